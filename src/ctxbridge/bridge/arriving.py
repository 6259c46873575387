"""How a message comes into the store, and its turn by its lease: at once, or after a wait."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ctxbridge.bridge.holding import Hold
from ctxbridge.bridge.judging import Inquiry
from ctxbridge.bridge.opening import claim_turn, wait_for_turn
from ctxbridge.bridge.received import Entered, Received, known_as
from ctxbridge.model import Claim, Floor, Opened
from ctxbridge.model.head import NO_TRACE
from ctxbridge.telemetry import TurnSpan
from ctxbridge.wire.checked import checked_inbound

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge


class Arrival:
    """The way of one message into the store. A lease that it gets is renewed from then on.

    `started` is when it set out, `asked` and `opened` when the store was asked and had answered
    (Unix nanoseconds). Where it fails, its span says so.
    """

    def __init__(self, bridge: "Bridge[Any]", inquiry: Inquiry, resumes: int) -> None:
        self._bridge = bridge
        self._inquiry = inquiry
        self._resumes = resumes
        self.started = self.asked = self.opened = 0
        self._claimed: tuple[Claim, Opened] | None = None
        self._entered: Entered | None = None

    async def store(self) -> Opened:
        """What the store says of the message, without waiting: ``busy`` where it waits.

        A second call stores nothing, and says the same.
        """
        if self._claimed is None:
            with self._told():
                self._claimed = await self._claim()
            self._enter(self._claimed[1])
        return self._claimed[1]

    async def _claim(self) -> tuple[Claim, Opened]:
        inquiry = self._inquiry
        inbound, content = checked_inbound(inquiry.inbound)
        inquiry.inbound = known_as(self._bridge, inbound)
        await inquiry.judge_early(self._bridge.clock.now())
        self.asked = time.time_ns()
        claimed = await claim_turn(self._bridge, inquiry, content, self._resumes)
        self.opened = time.time_ns()
        return claimed

    @contextmanager
    def _told(self) -> Iterator[None]:
        self.started = self.started or time.time_ns()
        try:
            yield
        except BaseException as error:
            channel = self._inquiry.inbound.channel
            TurnSpan(channel, b"", NO_TRACE, self.started).end(type(error))
            raise

    @property
    def repeats(self) -> bool:
        """Whether the message had been stored before it came now."""
        return self._claimed is not None and self._claimed[0].turn != self._claimed[1].turn

    async def enter(self) -> Entered:
        """What the turn goes on with, once no other turn of the conversation runs."""
        opened = await self.store()
        if opened.status == "busy" and self._claimed is not None:
            with self._told():
                self._enter(await wait_for_turn(self._bridge, *self._claimed))
        assert self._entered is not None
        opened = self._entered.opened
        if opened.status == "new" and opened.context.floor is Floor.QUEUE:
            await self._end_offer(self._entered)
        return self._entered

    async def _end_offer(self, entered: Entered) -> None:
        """Where an offer of the floor is over by now, the turn begins with the agent having it."""
        try:
            context = await self._bridge.floor.on_arrival(
                entered.opened.context, self._inquiry.inbound.sender
            )
        except BaseException:
            await self.give_back()
            raise
        opened = replace(entered.opened, context=context)
        received = Received(self._bridge, self._inquiry, opened)
        self._entered = Entered(opened, entered.hold, received)

    def _enter(self, opened: Opened) -> None:
        hold = Hold(self._bridge, opened)
        if opened.status == "new":
            hold.begin(self._inquiry.inbound)
        self._entered = Entered(opened, hold, Received(self._bridge, self._inquiry, opened))

    async def give_back(self) -> None:
        """Let another worker have the turn, if it is ours."""
        if self._entered is not None:
            await self._entered.hold.give_back(self._entered.received.accepted_at)
