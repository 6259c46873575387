"""The life of a turn: judge, open, think, judge, commit."""

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
from msgspec.structs import replace

from ctxbridge.bridge.arriving import Arrival
from ctxbridge.bridge.finishing import Finished, Prepared, commit
from ctxbridge.bridge.judging import Inquiry, allowed_to
from ctxbridge.bridge.keeping import Kept
from ctxbridge.bridge.received import Entered
from ctxbridge.bridge.remarks import Remarks
from ctxbridge.bridge.replying import Reply, Replying
from ctxbridge.bridge.speaking import Speaking
from ctxbridge.bridge.steering import ELSEWHERE, PAUSED, Bar, unreadable
from ctxbridge.bridge.streaming import Drafts
from ctxbridge.bridge.telling import begin_span, describe, sendable, still_sendable
from ctxbridge.bridge.tools import ToolGate
from ctxbridge.bridge.viewing import look
from ctxbridge.errors import Fenced, Halted, StoreError, UsageError
from ctxbridge.model import (
    Context,
    Delivery,
    Floor,
    Inbound,
    Message,
    Opened,
)
from ctxbridge.model.control import Release
from ctxbridge.telemetry import TurnSpan, answered

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

StateT = TypeVar("StateT")
_HALTS = 3
"""How often a control may change while one turn is committed."""


class Turn(Speaking, Generic[StateT]):
    """One exchange: a message, and everything produced for it. Used as ``async with``.

    Entering stores the message, takes the conversation's lease and reads its context, in one step.
    Messages that wait at that moment may become part of the turn (see `Overlap`). While the block
    runs, the lease is renewed. Leaving judges the replies and commits them with the state, in one
    step, and sends them where the bridge has a sender for their channel.

    An exception inside gives the lease back and loses nothing: the message stays, and the
    provider's retry or `Bridge.recover` takes it up again.

    Entering raises `Malformed` for a message that cannot be stored, `Busy` if another turn does not
    end within the bridge's `wait_seconds` (the message is stored) or the channel rejects what
    overlaps (it is not), `BacklogFull`, `IdempotencyMismatch` for a known id with another body, and
    `StoreError`. Leaving raises `Fenced` if a later worker has taken the turn over (nothing was
    stored), `TooLarge` or `UsageError` for a state that cannot be stored, and `StoreError`.
    """

    def __init__(self, bridge: "Bridge[StateT]", inbound: Inbound, resumes: int = 0) -> None:
        self._bridge = bridge
        self._inbound = inbound
        self._inquiry = Inquiry(bridge.panel, inbound)
        self.arrival = Arrival(bridge, self._inquiry, resumes)
        """How the message comes into the store: `Bridge.accept` goes so far before it returns."""
        self._replying = Replying(bridge, self._inquiry)
        self._entered = self._left = self._was_open = False
        self._in: Entered | None = None
        self._context: Context | None = None
        self._status = ""
        self._answer: tuple[Message, ...] = ()
        self._deliveries: tuple[Delivery, ...] = ()
        self._replies: list[Reply] = []
        self._remarks, self._drafts = Remarks(), Drafts()
        self._kept: Kept[StateT] | None = None
        self._view: Context | None = None
        self._tools: ToolGate | None = None
        self._span: TurnSpan | None = None
        self._bar: Bar | None = None
        self._stop: Callable[[], object] | None = None
        self.waits = False
        """Whether there is an answer, or will be one, that stands still for now."""

    def __repr__(self) -> str:
        return f"<Turn {self._status or 'not entered'} replies={len(self._replies)}>"

    @property
    def id(self) -> str:
        """The turn's id, 32 hexadecimal digits; a repeated message has that of its first turn."""
        return self._require().opened.turn.hex()

    @property
    def status(self) -> str:
        """How the message stands.

        ``new``: this worker holds the turn. ``duplicate``: it was answered before. ``merged``: the
        turn of another message answered it. ``noted``: an edit or a deletion, stored. After the
        block also ``superseded``: a later message has taken the turn, and nothing was stored; and
        ``waiting``: the turn was never open, since what would answer is paused, and its message
        waits for the end of that.
        """
        self._require()
        return self._status

    @property
    def inbound(self) -> Inbound:
        """The message as it is stored: masked, once the turn was entered."""
        return self._inquiry.inbound

    @property
    def messages(self) -> tuple[Message, ...]:
        """All messages that this turn answers, oldest first: its own, and those that joined it."""
        return tuple(message for _, message in self._require().received.all)

    @property
    def context(self) -> Context:
        """The conversation as the writer of this message may see it; it ends with `messages`.

        Without what guards at ``context`` keep from a model.
        """
        self._require()
        context = self._view or self._context
        assert context is not None
        return context

    @property
    def open(self) -> bool:
        """Whether an agent should think: not answered before, not blocked, and it has the floor."""
        self._require()
        if self._left or self._status != "new" or self._inquiry.blocked or self._bar:
            return False
        beside = self._inquiry.beside
        if self._require().received.deleted or (beside is not None and beside.blocked):
            return False
        return self.context.floor is Floor.AGENT and allowed_to(self.context, self._inbound.sender)

    @property
    def release(self) -> Release | None:
        """Which release answers, once the turn was entered; `None` where none was deployed."""
        return self._inquiry.release

    @property
    def superseded(self) -> anyio.Event:
        """Set when this worker has lost the turn, so that the agent can stop thinking.

        Where a channel's overlap is ``supersede`` that is within milliseconds, else when the lease
        would have been renewed. What is committed all the same is refused.
        """
        return self._require().hold.lost

    @property
    def answer(self) -> tuple[Message, ...]:
        """What you are to send, once the block has been left; of a duplicate, at once.

        Nothing, where the bridge has a sender for the channel. A duplicate gives the stored answer,
        as far as it may still be sent: nothing after a STOP, and nothing to somebody of whom we are
        less sure than of who asked first.
        """
        sends_itself = self._bridge.outbox.sender_on(self._inbound.channel) is not None
        return () if sends_itself else self._answer

    @property
    def said(self) -> tuple[Message, ...]:
        """What this turn says to the customer, whoever sends it; of a duplicate, what it said."""
        return self._answer

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """What became of the replies that the bridge has sent itself, once the block was left."""
        return self._deliveries

    @property
    def state(self) -> StateT:
        """The conversation's state; what is changed in it is saved with the turn.

        A sender who may not see the conversation (an e-mail that nobody vouches for) gets a fresh
        state. What is written to that lasts for the turn, and the log notes that it was not saved.
        """
        return self._states().value

    @state.setter
    def state(self, state: StateT) -> None:
        if self._left:
            raise UsageError("the turn was left: what is set now would not be saved")
        self._states().value = state

    def _require(self) -> Entered:
        if self._in is None:
            raise UsageError("the turn was not entered: `async with bridge.turn(inbound) as turn`")
        return self._in

    def _states(self) -> Kept[StateT]:
        if self._kept is None:
            self._kept = Kept(self._bridge.codec, self.context.state)
        return self._kept

    # --- entering -------------------------------------------------------------------------------

    async def __aenter__(self) -> "Turn[StateT]":
        if self._entered:
            raise UsageError("a turn is entered once; ask the bridge for another")
        self._entered = True
        self._in = await self.arrival.enter()
        self._inbound = self._inquiry.inbound
        self._status = self._in.opened.status
        try:
            await self._begin(self._in.opened)
        except BaseException as error:
            self._bridge.steering.ends(self)
            await self._give_back(type(error))
            raise
        return self

    async def _begin(self, opened: Opened) -> None:
        context = self._context = opened.context
        waits = opened.status == "new" and self._steer(opened)
        self._span = begin_span(self._inquiry, context, self.arrival)
        if opened.status != "new":
            self._bridge.steering.adopt(opened.control)
            answer = still_sendable(opened.answer, context, self._inquiry)
            self._answer = self._bridge.steering.unhalted(answer, context)
            self.waits = self._bridge.steering.waits(answer, context)
            self._describe()
            return
        _, hold, received = self._require()
        if waits:
            return
        self._inquiry.states = self._replying.states = self._states().guards
        now = self._bridge.clock.now()
        received.settle_edits(context)
        received.take_choice(context)
        await self._inquiry.judge_inbound(context, now)
        received.judged()
        if context.waiting and self.open:
            context = await received.join(now)
        # Now a model may see them.
        window = context.window.ending_with(received.all)
        self._context = context = replace(context, window=window)
        panel = self._inquiry.panel
        if panel.context and self.open:
            self._view = await look(panel, self._inquiry, self._remarks, context, opened.turn, now)
        self._was_open = self.open
        self.recheck()  # a control that came while the guards judged has told nobody
        self._inquiry.ask_beside(context, now)
        self._tools = ToolGate(self._bridge, self._inquiry, hold, context, self._remarks)

    def _steer(self, opened: Opened) -> bool:
        """Find out which release answers; whether the turn must wait all the same."""
        bridge, inquiry, context = self._bridge, self._inquiry, opened.context
        bridge.steering.adopt(opened.control)
        deployed, anew = bridge.releases.steer(inquiry, context, opened.turn)
        self._kept = Kept(deployed.codec if deployed else bridge.codec, context.state)
        bridge.steering.begins(self)
        if context.floor is Floor.AGENT:
            self._bar = bridge.steering.bar(inquiry.release, inquiry.inbound, context)
            self._bar = self._bar or unreadable(deployed, context)
            if anew and self._bar is None:
                bridge.watching.begins(inquiry.release, context, inquiry.inbound.sender)
        # What a person is to answer is judged as all else: a model may see it later.
        return self._bar is not None and self._bar.then != "handoff"

    def when_stopped(self, call: Callable[[], object]) -> None:
        """Call `call` if the agent is to stop thinking: a judge, or a newer control, says so."""
        self._stop = call
        if self._inquiry.beside is not None:
            self._inquiry.beside.when_blocked = call

    def anew(self) -> "Turn[StateT]":
        """Another turn for the same message, which waits."""
        return Turn(self._bridge, self._inquiry.inbound, self._require().opened.seq)

    def recheck(self) -> None:
        """There is a newer control: stop the agent where that stops this turn."""
        if self._bar is not None or not self._was_open or self._left or self._context is None:
            return
        self._bar = self._bridge.steering.bar(self.release, self._inquiry.inbound, self._context)
        if self._bar is not None:
            self._require().hold.lost.set()
            if self._stop is not None:
                self._stop()

    # --- leaving --------------------------------------------------------------------------------

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._left = True
        self._bridge.steering.ends(self)
        if self._status != "new":
            self._end_span(kind)
        elif kind is not None:
            await self._give_back(kind)
        else:
            await self._finish()

    async def _give_back(self, kind: type[BaseException]) -> None:
        if self._inquiry.beside is not None:
            self._inquiry.beside.end()
        opened, hold, received = self._require()
        # Who was only told to stop has not failed: another worker may try at once.
        since = self._bridge.clock.now() - (self._bar.patience if self._bar else 0)
        failed = self._bar is None and issubclass(kind, Exception)
        contact = opened.context.contact
        if failed and contact is not None and not issubclass(kind, StoreError):
            self._bridge.watching.failed(contact.id)
        elsewhere = self._bar is not None and self._bar.code == ELSEWHERE
        if elsewhere and contact is not None:
            self._bridge.steering.pass_by(contact.id, opened.seq)
        await hold.give_back(received.accepted_at if failed else since, at_once=elsewhere)
        await self._drafts.withdraw(opened.turn)
        self._end_span(kind)

    async def _finish(self) -> None:
        opened, hold, _ = self._require()
        try:
            await self._inquiry.cleared()
            finished = await self._commit(opened)
        except Halted as error:
            await self._give_back(type(error))
            self._status, self.waits = "waiting", True
            if self._was_open:
                raise
            return
        except Fenced as error:
            hold.drop()
            await self._drafts.withdraw(opened.turn)
            self._end_span(type(error))
            raise
        except BaseException as error:
            await self._give_back(type(error))
            raise
        hold.end()
        if finished.superseded:
            self._status = "superseded"
        self._answer = sendable(finished.messages)
        try:
            await self._drafts.withdraw(opened.turn, finished.deliveries)
            change, since = finished.change, finished.since
            if change is not None and finished.deliveries:
                send = self._bridge.outbox.send_claimed
                self._deliveries = await send(change, since, finished.seq, self.context)
            if not finished.superseded:
                answered(
                    self._inbound.channel, self._inquiry.disposition, self.arrival.started,
                    self.release,
                )  # fmt: skip
        finally:
            self._describe()
            self._end_span(None)

    async def _commit(self, opened: Opened) -> Finished:
        """Commit; where a newer control hands the conversation over, that instead.

        Raises `Halted` where the message must wait.
        """
        assert self._context is not None
        for _ in range(_HALTS):
            if self._bar is not None and self._bar.then != "handoff":
                break
            try:
                return await commit(
                    self._bridge, self._inquiry, self._replying, opened, self._context,
                    self._prepared(), self._states(),
                )  # fmt: skip
            except Halted:
                self._bar = self._bridge.steering.bar(
                    self.release, self._inquiry.inbound, self._context
                )
        raise Halted(self._bar.code if self._bar else PAUSED)

    def _prepared(self) -> Prepared:
        opened, _, received = self._require()
        now = self._bridge.clock.now()
        handle = self._span.handle if self._span else b""
        if self._bar is not None:
            # It stands until somebody comes: the agent that was stopped cannot go on by itself.
            offer = self._bridge.floor.wanted(self._bar.code, within_seconds=0, by="control")
            return Prepared(received.own, received.joined, trace=handle, offer=offer, halted=True)
        remarks, replies = self._remarks, tuple(self._replies)
        notes = remarks.events(opened.turn, now)
        return Prepared(
            received.own, received.joined, replies, notes, remarks.work, handle, remarks.offer
        )

    # --- telling --------------------------------------------------------------------------------

    def _describe(self) -> None:
        if self._span is not None and self._span.records:
            opened, written = self._require().opened, self.messages
            describe(self._span, opened, self._status, self._inquiry, written, self._answer)

    def _end_span(self, kind: type[BaseException] | None) -> None:
        span, self._span = self._span, None
        if span:
            span.end(kind)
