"""The life of a turn: judge, open, think, judge, commit."""

import time
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio
from msgspec.structs import replace

from ctxbridge.bridge.judging import Inquiry, allowed_to
from ctxbridge.bridge.opening import open_turn
from ctxbridge.errors import Busy, Fenced, TooLarge, UsageError
from ctxbridge.model import (
    Change,
    Committed,
    Context,
    Entry,
    Event,
    Floor,
    Inbound,
    Message,
    Opened,
    Query,
    Refused,
)
from ctxbridge.model.head import NO_TRACE
from ctxbridge.rules.access import sees_state
from ctxbridge.rules.text import clean
from ctxbridge.telemetry import (
    ASSURANCE,
    DECISION_ACTION,
    DECISION_CODE,
    DECISION_ENFORCED,
    DISPOSITION,
    REPLIES,
    TURN_SEQ,
    TURN_STATUS,
    TurnSpan,
)
from ctxbridge.wire.checked import checked_inbound

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

StateT = TypeVar("StateT")

MAX_REPLY_CHARACTERS = 64 * 1024
_GATE_TRIES = 8


class Turn(Generic[StateT]):
    """One exchange: a message, and everything produced for it. Used as ``async with``.

    Entering stores the message, takes the conversation's lease and reads its context, in one step.
    Leaving judges the replies and commits them with the state, in one step. An exception inside
    gives the lease back and loses nothing: the message stays, and the provider's retry takes it up
    again.

    Entering raises `Malformed` for a message that cannot be stored, `Busy` if another turn does not
    end within the bridge's `wait_seconds` (the message is stored), `IdempotencyMismatch` for a
    known id with another body, and `StoreError`. Leaving raises `Fenced` if a later worker has
    taken the turn over (nothing was stored), `TooLarge` or `UsageError` for a state that cannot be
    stored, and
    `StoreError`.
    """

    def __init__(self, bridge: "Bridge[StateT]", inbound: Inbound) -> None:
        self._bridge = bridge
        self._inbound = inbound
        self._inquiry = Inquiry(bridge.guards, bridge.tenant, inbound)
        self._entered = self._left = False
        self._opened: Opened | None = None
        self._context: Context | None = None
        self._own: Message | None = None
        self._answer: tuple[Message, ...] = ()
        self._replies: list[str] = []
        self._state: StateT | None = None
        self._state_before = b""
        self._span: TurnSpan | None = None

    def __repr__(self) -> str:
        status = self._opened.status if self._opened else "not entered"
        return f"<Turn {status} replies={len(self._replies)}>"

    @property
    def id(self) -> str:
        """The turn's id, 32 hexadecimal digits; a repeated message has that of its first turn."""
        return self._require().turn.hex()

    @property
    def status(self) -> str:
        """``new``: this worker holds it. ``duplicate``: it was answered before."""
        return self._require().status

    @property
    def inbound(self) -> Inbound:
        """The message as it is stored: masked, once the turn was entered."""
        return self._inquiry.inbound

    @property
    def context(self) -> Context:
        """The conversation as the writer of this message may see it, the message being the last."""
        self._require()
        assert self._context is not None
        return self._context

    @property
    def open(self) -> bool:
        """Whether an agent should think: not answered before, not blocked, and it has the floor."""
        opened = self._require()
        if self._left or opened.status != "new" or self._inquiry.blocked:
            return False
        return self.context.floor is Floor.AGENT and allowed_to(self.context, self._inbound.channel)

    @property
    def answer(self) -> tuple[Message, ...]:
        """What the customer is to get, once the block has been left; of a duplicate, at once.

        A duplicate gives the stored answer, as far as it may still be sent: nothing after a STOP,
        and nothing to somebody of whom we are less sure than of who asked first.
        """
        return self._answer

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
        if not self.open:
            raise UsageError("the turn is not open, so nothing can be replied: see turn.open")
        given: Any = text
        if not given or not isinstance(given, str):
            raise UsageError("a reply is a text that is not empty")
        if len(text) > MAX_REPLY_CHARACTERS:
            raise TooLarge("a reply", len(text), MAX_REPLY_CHARACTERS)
        self._replies.append(clean(text))

    def _require(self) -> Opened:
        if self._opened is None:
            raise UsageError("the turn was not entered: `async with bridge.turn(inbound) as turn`")
        return self._opened

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
            self._opened = await open_turn(self._bridge, self._inquiry, content)
        except BaseException as error:
            TurnSpan(self._inbound.channel, b"", NO_TRACE, started).end(type(error))
            raise
        try:
            await self._begin(self._opened, started)
        except BaseException as error:
            await self._give_back(type(error))
            raise
        return self

    async def _begin(self, opened: Opened, started: int) -> None:
        context = self._context = opened.context
        self._span = TurnSpan(self._inbound.channel, context.conversation, context.trace, started)
        if opened.status == "duplicate":
            self._answer = self._still_sendable(opened.answer)
            self._describe()
            return
        own = next((e for s, e in context.window.numbered() if s == opened.seq), None)
        accepted_at = own.accepted_at if isinstance(own, Message) else self._bridge.clock.now()
        await self._inquiry.judge_inbound(context, self._bridge.clock.now())
        self._own = self._inquiry.message(opened.turn, accepted_at, self._inquiry.disposition)
        self._context = self._with_own(context)

    def _with_own(self, context: Context) -> Context:
        """The context with this turn's message as judged, at its end: now a model may see it."""
        assert self._own is not None
        window = context.window.ending_with(self._require().seq, self._own)
        return replace(context, window=window)

    # --- leaving --------------------------------------------------------------------------------

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._left = True
        if self._require().status != "new":
            self._end_span(kind)
        elif kind is not None:
            await self._give_back(kind)
        else:
            await self._finish()

    async def _give_back(self, kind: type[BaseException]) -> None:
        """Free the lease. Should that fail too, it runs out by itself, and nothing is lost."""
        opened = self._require()
        if opened.status == "new":
            change = replace(self._change(opened.context), finished=False)
            # The error inside the block is the one to tell, whatever becomes of this.
            with anyio.CancelScope(shield=True), anyio.move_on_after(5.0), suppress(Exception):
                await self._bridge.store.commit(change)
            self._call_next()
        self._end_span(kind)

    def _call_next(self) -> None:
        contact = self._require().context.contact
        if contact is not None:
            self._bridge.lines.call(contact.id)

    async def _finish(self) -> None:
        try:
            await self._commit(self._changed_state())
        except Fenced as error:
            self._end_span(type(error))
            raise
        except BaseException as error:
            await self._give_back(type(error))
            raise
        self._call_next()
        self._describe()
        self._end_span(None)

    def _changed_state(self) -> bytes | None:
        if self._state is None:
            return None
        after = self._bridge.codec.encode(self._state)
        return None if after == self._state_before else after

    async def _commit(self, state: bytes | None) -> None:
        """Judge and commit; again where a STOP came while the agent thought."""
        context, opened = self.context, self._require()
        assert self._own is not None
        saved = state if sees_state(context, self._inbound.sender) else None
        for _ in range(_GATE_TRIES):
            now = self._bridge.clock.now()
            messages = await self._inquiry.judge_replies(opened.turn, self._replies, context, now)
            notes: tuple[Entry, ...] = ()
            if state is not saved:
                notes = (Event("state.not_saved", now, opened.turn),)
            change = replace(
                self._change(context),
                append=(*messages, *notes),
                state=saved,
                amend=((opened.seq, self._own),),
            )
            # What has been sent to the store is settled before a cancellation is heard.
            with anyio.CancelScope(shield=True):
                outcome = await self._bridge.store.commit(change)
            if isinstance(outcome, Committed):
                self._answer = _sendable(messages)
                return
            context = await self._after(outcome)
        raise Busy("the conversation kept changing while it was committed; nothing was stored")

    async def _after(self, refused: Refused) -> Context:
        """The context after the gate was closed on what the agent had prepared."""
        if refused.reason != "gated":
            raise Fenced("a later worker has taken this turn over; nothing of this one was stored")
        bridge, inbound = self._bridge, self._inbound
        query = Query(bridge.tenant, inbound.sender, inbound.assurance, bridge.window)
        return self._with_own(await bridge.store.read(query))

    def _change(self, context: Context) -> Change:
        opened, bridge = self._require(), self._bridge
        assert opened.context.contact is not None
        return Change(
            bridge.tenant,
            opened.context.contact.id,
            opened.turn,
            bridge.clock.now(),
            opened.fence,
            context.gate_epoch,
            trace=self._span.handle if self._span else b"",
            remember_seconds=max(bridge.remember_seconds, self._inbound.horizon_seconds),
        )

    def _still_sendable(self, answer: tuple[Message, ...]) -> tuple[Message, ...]:
        """Of a stored answer what may leave now: after a STOP, only what confirms this message."""
        if not allowed_to(self.context, self._inbound.channel) and not self._inquiry.confirms:
            return ()
        return _sendable(answer)

    # --- telling --------------------------------------------------------------------------------

    def _describe(self) -> None:
        opened, decision = self._require(), self._inquiry.decision
        if self._span is None:
            return
        attributes: dict[str, str | int] = {
            TURN_STATUS: opened.status,
            TURN_SEQ: opened.seq,
            ASSURANCE: int(self._inbound.assurance),
            REPLIES: len(self._answer),
        }
        if decision is not None and opened.status == "new":
            attributes |= {
                DISPOSITION: self._inquiry.disposition,
                DECISION_ACTION: decision.action,
                DECISION_ENFORCED: decision.enforced,
                DECISION_CODE: decision.code,
            }
        self._span.describe(attributes)

    def _end_span(self, kind: type[BaseException] | None) -> None:
        span, self._span = self._span, None
        if span is not None:
            span.end(kind)


def _sendable(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    return tuple(m for m in messages if m.visible and m.author != "contact")
