"""Messages that are acknowledged once they are stored: their turns go on in the background."""

import logging
from typing import TYPE_CHECKING, Any, Literal

import anyio

from ctxbridge.bridge.background import Background
from ctxbridge.bridge.recovery import Agent
from ctxbridge.bridge.telling import raised
from ctxbridge.bridge.turn import Turn
from ctxbridge.errors import Busy, CtxBridgeError, StoreClosed
from ctxbridge.model import Message

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

logger = logging.getLogger("ctxbridge")

Standing = Literal["new", "busy", "duplicate", "merged", "noted"]

_NOT_OPEN = "the bridge is not open, or is closing: nothing is accepted"
_GIVING_BACK_SECONDS = 10.0
"""How long an agent that hears no cancellation is waited for. Its lease then runs out by itself."""


class Accepted:
    """A message that is stored, and its turn, which goes on in the background.

    `status` is how the message stood when it was stored: ``new``: its turn has begun. ``busy``: it
    waits for another turn of the conversation. ``duplicate``, ``merged``: it was answered before.
    ``noted``: an edit or a deletion.
    """

    def __init__(
        self,
        bridge: "Bridge[Any]",
        turn: Turn[Any],
        agent: Agent | None,
        held: "set[Accepted]",
        *,
        answers: bool,
    ) -> None:
        self._held = held
        self._bridge = bridge
        self._turn = turn
        self._agent = agent
        self._answers = answers
        self._is_stored, self._has_ended_well = anyio.Event(), False
        self._failure: Exception | None = StoreClosed(_NOT_OPEN)
        self._status: Standing = "new"
        held.add(self)
        self._work = Background(self._run)

    def __repr__(self) -> str:
        return f"<Accepted {self._status}{'' if self._work.running else ', ended'}>"

    @property
    def status(self) -> Standing:
        """How the message stood when it was stored."""
        return self._status

    async def answer(self, seconds: float, /) -> tuple[Message, ...] | None:
        """What you are to send yourself (`Turn.answer`).

        `None` if the turn does not end well within `seconds`, or what would answer stands still:
        the message stays stored, and what is answered later is in the log alone, until its provider
        repeats it.
        """
        with anyio.move_on_after(seconds):
            await self._work.wait()
        return self._turn.answer if self._has_ended_well and not self._turn.waits else None

    async def stored(self) -> None:
        """Wait until the message is stored; raises what stood against it."""
        await self._is_stored.wait()
        if self._failure is not None:
            raise self._failure

    async def wait(self) -> None:
        """Wait until the turn has ended, however that may be."""
        await self._work.wait()

    def end(self) -> None:
        """Give the turn back."""
        self._work.end()

    async def _run(self) -> None:
        try:
            if await self._store():
                await self._go_on()
        finally:
            self._is_stored.set()
            self._held.discard(self)

    async def _store(self) -> bool:
        """Whether the message is stored. What has been sent to the store is waited for."""
        try:
            with anyio.CancelScope(shield=True):
                self._status = (await self._turn.arrival.store()).status  # type: ignore[assignment]
            self._failure = None
        except Exception as error:  # noqa: BLE001 - `stored` raises it
            self._failure = error
        self._is_stored.set()
        return self._failure is None

    async def _go_on(self) -> None:
        if self._agent is None:
            await self._turn.arrival.give_back()
        elif self._answers or self._status != "busy" or not self._turn.arrival.repeats:
            await self._think(self._agent)

    async def _think(self, agent: Agent) -> None:
        try:
            self._turn = await self._bridge.think(self._turn, agent)
            self._has_ended_well = True
        except Busy:
            return  # it waits, for whoever sweeps
        except CtxBridgeError as error:
            logger.warning("an accepted turn did not end well: %s", type(error).__name__)
        except Exception as error:  # noqa: BLE001 - an agent is foreign code
            logger.error("an agent raised %s; its turn waits to be taken up", raised(error))  # noqa: TRY400


class Acceptances:
    """The messages of one bridge that were accepted and whose turns have not ended yet."""

    def __init__(self, bridge: "Bridge[Any]") -> None:
        self._bridge = bridge
        self._held: set[Accepted] = set()
        self.is_open = False
        """Whether the bridge was entered, and is not being left."""
        self.is_closing = False
        """Whether it is being left, and waits for turns to end."""

    def __len__(self) -> int:
        return len(self._held)

    def open(self) -> None:
        """Accept from now on."""
        self.is_open = True

    async def accept(self, turn: Turn[Any], agent: Agent | None, *, answers: bool) -> Accepted:
        """Give the message once it is stored; see `Bridge.accept`."""
        if not self.is_open:
            raise StoreClosed(_NOT_OPEN)
        accepted = Accepted(self._bridge, turn, agent, self._held, answers=answers)
        await accepted.stored()
        return accepted

    async def aclose(self, seconds: float) -> None:
        """Accept nothing more, let turns end for so long, and give back the rest."""
        self.is_open, self.is_closing = False, True
        with anyio.move_on_after(seconds):
            await self._wait()
        if self._held:
            await self._give_back()
        self.is_closing = False

    async def _give_back(self) -> None:
        logger.warning("turns had not ended when the bridge closed: %d given back", len(self._held))
        for accepted in list(self._held):
            accepted.end()
        with anyio.move_on_after(_GIVING_BACK_SECONDS):
            await self._wait()

    async def _wait(self) -> None:
        for accepted in list(self._held):
            await accepted.wait()
