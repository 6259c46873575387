"""The life of a turn: judge, open, think, judge, commit."""

import time
from collections.abc import AsyncIterable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio
from msgspec.structs import replace

from ctxbridge.bridge.finishing import Prepared, Reply, commit, give_back
from ctxbridge.bridge.joining import Joined, as_edited, gather
from ctxbridge.bridge.judging import Inquiry, allowed_to
from ctxbridge.bridge.leases import Lease
from ctxbridge.bridge.opening import open_turn
from ctxbridge.bridge.replying import Replying
from ctxbridge.bridge.streaming import Stream
from ctxbridge.bridge.telling import attributes_of, sendable
from ctxbridge.errors import Fenced, TooLarge, UsageError
from ctxbridge.model import (
    Context,
    Delivery,
    Event,
    Floor,
    Inbound,
    Message,
    Opened,
)
from ctxbridge.model.head import NO_TRACE
from ctxbridge.rules.access import sees_state
from ctxbridge.rules.text import clean
from ctxbridge.telemetry import TurnSpan
from ctxbridge.wire.checked import checked, checked_inbound

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

StateT = TypeVar("StateT")

MAX_REPLY_CHARACTERS = 64 * 1024
_NOT_OPEN = "the turn is not open, so nothing can be replied: see turn.open"


class Turn(Generic[StateT]):
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
        self._resumes = resumes
        guards, tenant, known = bridge.settings.guards, bridge.tenant, bridge.verdicts
        self._inquiry = Inquiry(guards, tenant, inbound, known)
        can_wait = bridge.outbox.sender_on(inbound.channel) is not None
        self._replying = Replying(guards, tenant, self._inquiry, known, can_wait=can_wait)
        self._entered = self._left = self._deleted = False
        self._opened: Opened | None = None
        self._context: Context | None = None
        self._own: Message | None = None
        self._joined: tuple[Joined, ...] = ()
        self._status = ""
        self._answer: tuple[Message, ...] = ()
        self._deliveries: tuple[Delivery, ...] = ()
        self._replies: list[Reply] = []
        self._notes: list[Event] = []
        self._state: StateT | None = None
        self._state_before = b""
        self._lease: Lease | None = None
        self._span: TurnSpan | None = None

    def __repr__(self) -> str:
        return f"<Turn {self._status or 'not entered'} replies={len(self._replies)}>"

    @property
    def id(self) -> str:
        """The turn's id, 32 hexadecimal digits; a repeated message has that of its first turn."""
        return self._require().turn.hex()

    @property
    def status(self) -> str:
        """How the message stands.

        ``new``: this worker holds the turn. ``duplicate``: it was answered before. ``merged``: the
        turn of another message answered it. ``noted``: an edit or a deletion, stored. After the
        block also ``superseded``: a later message has taken the turn, and nothing was stored.
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
        return tuple(message for _, message in self._answered())

    @property
    def context(self) -> Context:
        """The conversation as the writer of this message may see it; it ends with `messages`."""
        self._require()
        assert self._context is not None
        return self._context

    @property
    def open(self) -> bool:
        """Whether an agent should think: not answered before, not blocked, and it has the floor."""
        self._require()
        if self._left or self._status != "new" or self._inquiry.blocked or self._deleted:
            return False
        return self.context.floor is Floor.AGENT and allowed_to(self.context, self._inbound.channel)

    @property
    def superseded(self) -> anyio.Event:
        """Set when this worker has lost the turn, so that the agent can stop thinking.

        Where a channel's overlap is ``supersede`` that is within milliseconds, else when the lease
        would have been renewed. What is committed all the same is refused.
        """
        self._require()
        if self._lease is None:
            raise UsageError("this turn is held by nobody: see turn.status")
        return self._lease.lost

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
        if self._state is None:
            self._state = self._bridge.codec.decode(self.context.state)
            self._state_before = self._bridge.codec.encode(self._state)
        return self._state

    @state.setter
    def state(self, state: StateT) -> None:
        if self._left:
            raise UsageError("the turn was left: what is set now would not be saved")
        _ = self.state
        self._state = state

    def reply(self, text: str) -> None:
        """Say `text` to the customer; it is judged and stored when the block is left.

        May be called several times. Raises `UsageError` when the turn is not open or the text is
        empty, `TooLarge` beyond 65,536 characters.
        """
        self._say(text)

    async def stream(self, chunks: AsyncIterable[str]) -> str:
        """Say the text that comes in `chunks`, as one reply, and give it whole.

        A channel that shows texts while they are written gets what the guards have let through so
        far, but for its last words; others get the reply when the block is left. Stops where the
        turn is lost or its text blocked. Raises as `reply` does, and whatever `chunks` raises: then
        what was shown is withdrawn.
        """
        if not self.open:
            raise UsageError(_NOT_OPEN)
        stream = Stream(self._bridge, self._replying, self.inbound, self.context, self.superseded)
        text = await stream.collect(chunks, self._require().turn)
        self._say(text, stream.delivery)
        return text

    def note(self, event: Event) -> None:
        """Store an event with the turn: what your own tools did and a later reader must know."""
        if self._left or self._status != "new":
            raise UsageError("the turn is not held: what is noted now would not be saved")
        self._notes.append(checked(event))

    def _say(self, text: str, delivery: bytes = b"") -> None:
        if not self.open:
            raise UsageError(_NOT_OPEN)
        given: Any = text
        if not given or not isinstance(given, str):
            raise UsageError("a reply is a text that is not empty")
        if len(text) > MAX_REPLY_CHARACTERS:
            raise TooLarge("a reply", len(text), MAX_REPLY_CHARACTERS)
        self._replies.append(Reply(clean(text), delivery))

    def _require(self) -> Opened:
        if self._opened is None:
            raise UsageError("the turn was not entered: `async with bridge.turn(inbound) as turn`")
        return self._opened

    def _answered(self) -> list[tuple[int, Message]]:
        own = [(self._require().seq, self._own)] if self._own else []
        joined = [(one.place, one.message) for one in self._joined]
        return sorted([*joined, *own], key=lambda one: one[0])

    # --- entering -------------------------------------------------------------------------------

    async def __aenter__(self) -> "Turn[StateT]":
        if self._entered:
            raise UsageError("a turn is entered once; ask the bridge for another")
        self._entered = True
        started = time.time_ns()
        try:
            inbound, content = checked_inbound(self._inbound)
            self._inbound = self._inquiry.inbound = inbound
            await self._inquiry.judge_early(self._bridge.clock.now())
            opened = await open_turn(self._bridge, self._inquiry, content, self._resumes)
            self._opened, self._status = opened, opened.status
        except BaseException as error:
            TurnSpan(self._inbound.channel, b"", NO_TRACE, started).end(type(error))
            raise
        try:
            await self._begin(opened, started)
        except BaseException as error:
            await self._give_back(type(error))
            raise
        return self

    async def _begin(self, opened: Opened, started: int) -> None:
        context = self._context = opened.context
        self._span = TurnSpan(self._inbound.channel, context.conversation, context.trace, started)
        if opened.status != "new":
            self._answer = self._still_sendable(opened.answer)
            self._describe()
            return
        self._hold(opened)
        self._settle_edits(opened, context)
        now = self._bridge.clock.now()
        await self._inquiry.judge_inbound(context, now)
        self._own = self._inquiry.message(
            opened.turn, self._accepted_at(), self._inquiry.disposition
        )
        if context.waiting and self.open:
            context, self._joined = await gather(self._bridge, self._inquiry, opened, now)
        # Now a model may see them.
        window = context.window.ending_with(self._answered())
        self._context = replace(context, window=window)

    def _hold(self, opened: Opened) -> None:
        assert opened.context.contact is not None
        settings = self._bridge.settings
        self._lease = Lease(
            opened.context.contact.id, opened.turn, opened.fence, self._inbound.sender
        )
        watched = any(overlap.mode == "supersede" for overlap in settings.overlaps.values())
        self._bridge.leases.hold(self._lease, watched=watched)

    def _settle_edits(self, opened: Opened, context: Context) -> None:
        """An edit or a deletion may have come before its original, or while that waited."""
        mine = self._inquiry.message(opened.turn, 0, "pending")
        edited = as_edited(self._inquiry.inbound, mine, context)
        self._deleted = edited is None
        self._inquiry.inbound = edited or replace(self._inquiry.inbound, parts=())

    def _accepted_at(self) -> int:
        opened = self._require()
        window = opened.context.window
        # Only this entry is decoded: others may be damaged, and the turn is to be given back then.
        own = window[window.seqs.index(opened.seq)] if opened.seq in window.seqs else None
        return own.accepted_at if isinstance(own, Message) else self._bridge.clock.now()

    # --- leaving --------------------------------------------------------------------------------

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._left = True
        if self._status != "new":
            self._end_span(kind)
        elif kind is not None:
            await self._give_back(kind)
        else:
            await self._finish()

    async def _give_back(self, kind: type[BaseException]) -> None:
        opened = self._require()
        self._let_go()
        if opened.status == "new":
            # The error inside the block is the one to tell, whatever becomes of this.
            with anyio.CancelScope(shield=True), anyio.move_on_after(5.0), suppress(Exception):
                await give_back(self._bridge, opened, self._accepted_at())
            self._call_next()
        self._end_span(kind)

    def _let_go(self) -> None:
        if self._lease is not None:
            self._bridge.leases.drop(self._lease)

    def _call_next(self) -> None:
        contact = self._require().context.contact
        if contact is not None:
            self._bridge.lines.call(contact.id)

    async def _finish(self) -> None:
        try:
            finished = await commit(
                self._bridge, self._inquiry, self._replying, self._require(), self.context,
                self._prepared(),
            )  # fmt: skip
        except Fenced as error:
            self._let_go()
            self._end_span(type(error))
            raise
        except BaseException as error:
            await self._give_back(type(error))
            raise
        self._let_go()
        self._call_next()
        if finished.superseded:
            self._status = "superseded"
        self._answer = sendable(finished.messages)
        try:
            if finished.change is not None and finished.change.deliveries:
                self._deliveries = await self._bridge.outbox.send_claimed(
                    finished.change, finished.since, finished.context or self.context
                )
        finally:
            self._describe()
            self._end_span(None)

    def _prepared(self) -> Prepared:
        opened, state, notes = self._require(), self._changed_state(), self._notes
        assert self._own is not None
        if state is not None and not sees_state(self.context, self._inbound.sender):
            now = self._bridge.clock.now()
            notes, state = [*notes, Event("state.not_saved", now, opened.turn)], None
        return Prepared(
            (opened.seq, self._own), self._joined, tuple(self._replies), tuple(notes), state,
            self._span.handle if self._span else b"",
        )  # fmt: skip

    def _changed_state(self) -> bytes | None:
        if self._state is None:
            return None
        after = self._bridge.codec.encode(self._state)
        return None if after == self._state_before else after

    def _still_sendable(self, answer: tuple[Message, ...]) -> tuple[Message, ...]:
        """Of a stored answer what may leave now: after a STOP, only what confirms this message."""
        if not allowed_to(self.context, self._inbound.channel) and not self._inquiry.confirms:
            return ()
        return sendable(answer)

    # --- telling --------------------------------------------------------------------------------

    def _describe(self) -> None:
        if self._span is not None:
            opened, assurance = self._require(), self._inbound.assurance
            self._span.describe(
                attributes_of(opened, self._status, assurance, self._inquiry, len(self._answer))
            )

    def _end_span(self, kind: type[BaseException] | None) -> None:
        span, self._span = self._span, None
        if span is not None:
            span.end(kind)
