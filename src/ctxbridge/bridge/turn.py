"""The life of a turn: judge, open, think, judge, commit."""

import time
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
from msgspec.structs import replace

from ctxbridge.bridge.judging import Inquiry
from ctxbridge.errors import (
    Busy,
    Fenced,
    IdempotencyMismatch,
    Malformed,
    TooLarge,
    UsageError,
)
from ctxbridge.model import (
    Change,
    Claim,
    Committed,
    Consent,
    Context,
    Entry,
    Event,
    Floor,
    Inbound,
    Message,
    Opened,
    Query,
    Refused,
    Window,
)
from ctxbridge.rules.access import sees_state
from ctxbridge.rules.consent import may_send
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
from ctxbridge.wire.keys import content_digest

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

StateT = TypeVar("StateT")

MAX_REPLY_CHARACTERS = 64 * 1024
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.005, 0.05
_GATE_TRIES = 8


class Turn(Generic[StateT]):
    """One exchange: a message, and everything produced for it. Used as ``async with``.

    Entering stores the message, takes the conversation's lease and reads its context, in one step.
    Leaving judges the replies and commits them with the state, in one step. An exception inside
    gives the lease back and loses nothing: the message stays, and the provider's retry takes it up
    again.

    Entering raises `Busy` if another turn does not end within the bridge's `wait_seconds` (the
    message is stored), `IdempotencyMismatch` for a known id with another body, and `StoreError`.
    Leaving raises `Fenced` if a later worker has taken the turn over (nothing was stored), and
    `StoreError`.
    """

    def __init__(self, bridge: "Bridge[StateT]", inbound: Inbound) -> None:
        self.inbound = inbound
        self._bridge = bridge
        self._inquiry = Inquiry(bridge.guards, bridge.tenant, inbound)
        self._opened: Opened | None = None
        self._context: Context | None = None
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
    def context(self) -> Context:
        """The conversation as the writer of this message may see it, the message being the last."""
        self._require()
        assert self._context is not None
        return self._context

    @property
    def open(self) -> bool:
        """Whether an agent should think: not answered before, not blocked, and it has the floor."""
        opened = self._require()
        if opened.status != "new" or self._inquiry.blocked:
            return False
        consent = may_send(self.context.consent, self.inbound.channel, "service")
        return self.context.floor is Floor.AGENT and consent

    @property
    def answer(self) -> tuple[Message, ...]:
        """What the customer is to get, once the block has been left; of a duplicate, at once."""
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
        _ = self.state
        self._state = state

    def reply(self, text: str) -> None:
        """Say `text` to the customer; it is judged and stored when the block is left.

        May be called several times. Raises `UsageError` when the turn is not open, `TooLarge`
        beyond 65,536 characters.
        """
        if not self.open:
            raise UsageError(
                "the turn is not open, so nothing can be replied: look at turn.open first"
            )
        if len(text) > MAX_REPLY_CHARACTERS:
            raise TooLarge("a reply", len(text), MAX_REPLY_CHARACTERS)
        self._replies.append(clean(text))

    def _require(self) -> Opened:
        if self._opened is None:
            raise UsageError(
                "the turn was not entered: use `async with bridge.turn(inbound) as turn`"
            )
        return self._opened

    # --- entering -------------------------------------------------------------------------------

    async def __aenter__(self) -> "Turn[StateT]":
        if self._opened is not None:
            raise UsageError("a turn is entered once; ask the bridge for another")
        started = time.time_ns()
        await self._inquiry.judge_early(self._bridge.clock.now())
        opened = await self._open()
        self._opened, self._context = opened, opened.context
        context = opened.context
        self._span = TurnSpan(self.inbound.channel, context.conversation, context.trace, started)
        if opened.status == "duplicate":
            self._answer = _sendable(opened.answer)
            self._describe()
            return self
        try:
            await self._inquiry.judge_inbound(context, self._bridge.clock.now())
        except BaseException as error:
            await self._give_back(type(error))
            raise
        self._context = self._with_own_message(context)
        return self

    async def _open(self) -> Opened:
        """Open, waiting while another turn holds the lease: the same claim may be repeated."""
        claim = self._claim(self.inbound)
        pause = _FIRST_WAIT_SECONDS
        until = time.monotonic() + self._bridge.wait_seconds
        while True:
            opened = await self._bridge.store.open(claim)
            if opened.status == "mismatch":
                claim = self._claim_beside(claim)
            elif opened.status != "busy":
                return opened
            elif time.monotonic() >= until:
                raise Busy("another turn of this conversation is running; the message is stored")
            else:
                await anyio.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_WAIT_SECONDS)
                claim = replace(claim, now=self._bridge.clock.now())

    def _claim(self, inbound: Inbound) -> Claim:
        bridge, now = self._bridge, self._bridge.clock.now()
        turn = bridge.ids.new()
        try:
            # Of the content as it came: another version of a guard must not make a retry look new.
            digest = content_digest(bridge.tenant, inbound)
        except UnicodeEncodeError:
            raise Malformed("the message holds a lone surrogate: `rules.text.clean` it") from None
        wish = self._inquiry.consent
        consents: tuple[Consent, ...] = ()
        if wish:
            consents = (Consent(wish.channel, "all", wish.granted, now, inbound.message_id),)
        return Claim(
            bridge.tenant,
            inbound.endpoint,
            inbound.sender,
            self._inquiry.message(turn, now, "pending"),
            digest,
            turn,
            bridge.ids.new(),
            bridge.ids.new(),
            now,
            inbound.assurance,
            consents,
            bridge.lease_seconds,
            max(bridge.remember_seconds, inbound.horizon_seconds),
            bridge.window,
        )

    def _claim_beside(self, claim: Claim) -> Claim:
        """Senders choose their mails' ids, some badly: such a mail is kept, and flagged."""
        if self.inbound.id_source != "sender" or "id_reused" in claim.message.flags:
            raise IdempotencyMismatch(
                "this message id is known with another body; the stored message stays"
            )
        id = f"{claim.message.message_id}#{claim.digest.hex()}"
        flags = (*claim.message.flags, "id_reused")
        self.inbound = replace(self.inbound, message_id=id, flags=flags)
        self._inquiry.inbound = self.inbound
        return replace(claim, message=replace(claim.message, message_id=id, flags=flags))

    def _with_own_message(self, context: Context) -> Context:
        """The context with this turn's message as judged: only now may a model see it."""
        opened = self._require()
        own = self._inquiry.message(opened.turn, 0, self._inquiry.disposition)
        window = context.window
        entries: list[Entry] = []
        for place, entry in window.numbered():
            if place == opened.seq and type(entry) is Message:
                own = replace(own, accepted_at=entry.accepted_at)
                entries.append(own)
            else:
                entries.append(entry)
        self._own = own
        return replace(context, window=Window(entries, window.seqs))

    # --- leaving --------------------------------------------------------------------------------

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._require().status != "new":
            self._end_span(kind)
        elif kind is not None:
            await self._give_back(kind)
        else:
            await self._finish()

    async def _give_back(self, kind: type[BaseException]) -> None:
        """Free the lease. Should that fail too, it runs out by itself, and nothing is lost."""
        opened = self._require()
        change = replace(self._change(opened.context), finished=False)
        # The error inside the block is the one to tell, whatever becomes of this.
        with anyio.CancelScope(shield=True), anyio.move_on_after(5.0), suppress(Exception):
            await self._bridge.store.commit(change)
        self._end_span(kind)

    async def _finish(self) -> None:
        try:
            await self._commit(self._changed_state())
        except Fenced as error:
            self._end_span(type(error))
            raise
        except BaseException as error:
            await self._give_back(type(error))
            raise
        self._describe()
        self._end_span(None)

    def _changed_state(self) -> bytes | None:
        if self._state is None:
            return None
        after = self._bridge.codec.encode(self._state)
        return None if after == self._state_before else after

    async def _commit(self, state: bytes | None) -> None:
        """Judge and commit; again where consent or floor changed while the agent thought."""
        context = self.context
        saved = state if sees_state(context, self.inbound.sender) else None
        for _ in range(_GATE_TRIES):
            now = self._bridge.clock.now()
            messages = await self._inquiry.judge_replies(
                self._require().turn, self._replies, context, now
            )
            notes: tuple[Entry, ...] = ()
            if state is not saved:
                notes = (Event("state.not_saved", now, self._require().turn),)
            change = replace(
                self._change(context), append=(*messages, *notes), state=saved,
                amend=((self._require().seq, self._own),),
            )  # fmt: skip
            # What has been sent to the store is settled before a cancellation is heard.
            with anyio.CancelScope(shield=True):
                outcome = await self._bridge.store.commit(change)
            if isinstance(outcome, Committed):
                self._answer = _sendable(messages)
                return
            context = await self._after(outcome)
        raise Busy("the conversation kept changing while it was committed; nothing was stored")

    async def _after(self, refused: Refused) -> Context:
        if refused.reason != "gated":
            raise Fenced("a later worker has taken this turn over; nothing of this one was stored")
        bridge, inbound = self._bridge, self.inbound
        query = Query(bridge.tenant, inbound.sender, inbound.assurance, bridge.window)
        return await bridge.store.read(query)

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
            remember_seconds=max(bridge.remember_seconds, self.inbound.horizon_seconds),
        )

    # --- telling --------------------------------------------------------------------------------

    def _describe(self) -> None:
        opened, decision = self._require(), self._inquiry.decision
        if self._span is None:
            return
        attributes: dict[str, str | int] = {
            TURN_STATUS: opened.status,
            TURN_SEQ: opened.seq,
            ASSURANCE: int(self.inbound.assurance),
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
