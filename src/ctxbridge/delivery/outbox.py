"""The outbox of one tenant: what is due is claimed, asked of the gate, sent, and recorded."""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic

import anyio
from msgspec.structs import replace

from ctxbridge.delivery import retrying
from ctxbridge.delivery.attempt import attempt
from ctxbridge.delivery.gate import Gate, Permit, Steers, Unsteered, policy
from ctxbridge.delivery.pacing import Pace
from ctxbridge.delivery.settling import Claimed, as_claimed, id_of, worded
from ctxbridge.errors import ConfigurationError, CtxBridgeError
from ctxbridge.model import (
    Address,
    Change,
    Context,
    Decision,
    Delivery,
    Endpoint,
    Event,
    Found,
    Message,
    Outgoing,
    Receipt,
    Release,
    Scan,
    Sent,
    Settle,
    Take,
    Taken,
)
from ctxbridge.ports import Clock, Ids, Sender, Store
from ctxbridge.rules import sms
from ctxbridge.telemetry import Sending, permitted

logger = logging.getLogger("ctxbridge.delivery")

_GATE_TRIES = 8
_AT_ONCE = 16
_MOST_LOOKED_AT = 100_000
_LOOK_AGAIN_MILLISECONDS = 1_000


class Outbox:
    """Sends what is in the outbox. Without senders it has nothing to do, and costs nothing.

    A delivery is claimed before it is sent, in the step that makes it where its own worker sends
    it. A claim that is older than its time is not used any more.

    `margin_seconds` is how much longer a claim holds than its sending may take.
    """

    margin_seconds = 30.0

    def __init__(
        self,
        store: Store,
        tenant: str,
        senders: Sequence[Sender],
        clock: Clock,
        ids: Ids,
        gate: Gate = policy,
        steering: Steers | None = None,
    ) -> None:
        self._gate = gate
        self._steering = steering or Unsteered()
        self._store = store
        self._tenant = tenant
        self._clock = clock
        self._ids = ids
        self._pace = Pace()
        self._senders: Mapping[str, Sender] = {sender.channel: sender for sender in senders}
        if len(self._senders) != len(senders):
            raise ConfigurationError("two senders are given for one channel")
        self._slowest = max((sender.timeout_seconds for sender in senders), default=0.0)
        if senders:
            retrying.require()

    def sender_on(self, channel: str) -> Sender | None:
        """Who sends by this channel, if anybody."""
        return self._senders.get(channel)

    def delivery(self, channel: str, place: int, id: bytes = b"") -> Delivery | None:
        """A delivery of what is to be appended at `place`, claimed; `None` where nobody sends."""
        sender = self._senders.get(channel)
        if sender is None:
            return None
        id = id or self._ids.new()
        return Delivery(id, place, repeatable=sender.repeatable, token=os.urandom(8))

    def hold_seconds(self, channel: str, count: int) -> float:
        """How long a claim of `count` messages must hold, which are sent one after the other."""
        sender = self._senders.get(channel)
        return self.margin_seconds + (sender.timeout_seconds if sender else 0.0) * max(1, count)

    @property
    def _hold_seconds(self) -> float:
        return self.margin_seconds + self._slowest

    async def aclose(self) -> None:
        """Close the senders."""
        for sender in self._senders.values():
            await sender.aclose()

    # --- sending ----------------------------------------------------------------------------------

    async def send_claimed(
        self, change: Change, since: float, seq: int, context: Context
    ) -> tuple[Delivery, ...]:
        """Send what a change of ours has put into the outbox and claimed at `since` (monotonic).

        `seq` is the place of the last entry that the change has appended, `context` what it was
        judged by.

        The gate was asked before: the commit was the claim, and it would have been refused under a
        later gate epoch. They leave in order: behind one that has to be tried again all wait.
        """
        messages, before = change.append, seq - len(change.append)
        sent: list[Delivery] = []
        wait_until = 0
        for delivery in change.deliveries:
            message = messages[delivery.place - 1]
            assert isinstance(message, Message)
            if not delivery.token:
                # It is due later.
                sent.append(replace(delivery, place=before + delivery.place))
                continue
            claimed = as_claimed(delivery, before)
            if wait_until:
                # For the one before it.
                done = await self._put_back(claimed, change.contact, Permit(until=wait_until))
            else:
                until = since + change.hold_seconds
                release = Release.parse(message.release) if message.release else None
                permitted(message.channel, "", release=release)
                claim = Claimed(claimed, message, context, change.control, until)
                with Sending(message.channel) as step:
                    done = await self._send(claim, change.contact, step)
            sent.append(done or claimed)
            wait_until = sent[-1].due if sent[-1].status == "pending" else 0
        return tuple(sent)

    async def _put_back(
        self, delivery: Delivery, contact: bytes, permit: Permit
    ) -> Delivery | None:
        """Hold a claimed delivery back: it has surely not left."""
        try:
            return await self._hold_back(delivery, contact, permit)
        except CtxBridgeError as error:
            # As after any claim that nobody speaks of: it runs out, and is shown as unknown.
            logger.error("that a message waits is not recorded: %s", type(error).__name__)  # noqa: TRY400
            return None

    async def _send(self, claim: Claimed, contact: bytes, step: Sending) -> Delivery | None:
        """Send a claimed delivery and record what became of it, also if we are cancelled.

        A worker that was stopped for longer than its claim holds must not send: by then the
        delivery may be somebody else's.
        """
        delivery, message = claim.delivery, claim.message
        sender = self._senders[message.channel]
        to = message.recipient
        assert to is not None and message.endpoint is not None  # noqa: PT018
        await self._pace.wait(message.endpoint, sender.per_second)
        if monotonic() >= claim.until:
            return None
        permit = await self._recalled(claim)
        if permit is not None:
            return await self._put_back(delivery, contact, permit)
        outgoing = Outgoing(delivery, message, to, message.endpoint)
        if step.records:
            parts = sms.segments(message.text) if message.channel == "sms" else 0
            step.describe(delivery.id, delivery.attempt, parts)
        try:
            sent = await attempt(sender, outgoing)
        except BaseException:
            with anyio.CancelScope(shield=True), anyio.move_on_after(5.0):
                await self._record(delivery, message, contact, Sent("unknown", code="cancelled"))
            raise
        step.came_to(sent)
        settled: list[Delivery | None] = []
        with anyio.CancelScope(shield=True):
            settled.append(await self._record(delivery, message, contact, sent))
        return settled[0]

    async def _recalled(self, claim: Claimed) -> Permit | None:
        """What a control says that came while a claimed message waited for those before it."""
        if self._steering.epoch == claim.control:
            return None
        code, until = self._steering.objection(claim.context, claim.message)
        if not code:
            return None
        return Permit(until=until) if until else await self._refused(claim.message, Permit(code))

    async def _record(
        self, delivery: Delivery, message: Message, contact: bytes, sent: Sent
    ) -> Delivery | None:
        said = Settle(
            self._tenant, "sent", self._clock.now(), contact, delivery=delivery.id,
            endpoint=message.endpoint, provider_id=sent.provider_id, attempt=delivery.attempt,
            code=sent.code,
        )  # fmt: skip
        try:
            return await self._tell(worded(said, sent, delivery), message)
        except CtxBridgeError as error:
            # The claim runs out, and then it is shown as unknown: nothing is sent a second time.
            logger.error("what became of a message is not recorded: %s", type(error).__name__)  # noqa: TRY400
            return None

    async def _tell(self, said: Settle, message: Message) -> Delivery | None:
        """Note what became of it, also where a split has taken it from its contact meanwhile."""
        told = (await self._store.deliver(said)).delivery
        if told is not None or message.address is None:
            return told
        elsewhere = replace(said, contact=b"", recipient=message.address)
        return (await self._store.deliver(elsewhere)).delivery

    # --- what is due ------------------------------------------------------------------------------

    async def dispatch(self, limit: int = 500) -> int:
        """Send what is due, and give how many were looked at. Raises `StoreError`.

        Messages of one conversation leave one after the other, others side by side. What goes by a
        channel that has no sender here is left to the processes that have one.
        """
        if not self._senders:
            return 0
        due = await self._due(limit)
        by_place: dict[bytes, list[Found]] = {}
        for one in due:
            by_place.setdefault(one.where, []).append(one)
        limiter = anyio.CapacityLimiter(_AT_ONCE)
        async with anyio.create_task_group() as group:
            for several in by_place.values():
                group.start_soon(self._dispatch, several, limiter)
        return len(due)

    async def _due(self, limit: int) -> list[Found]:
        """What is ours to send now; it is looked beyond what a pause holds back."""
        while True:
            found = await self._store.scan(Scan(self._tenant, self._clock.now(), limit=limit))
            ours = [one for one in found if one.id and self._is_ours(one)]
            if ours or len(found) < limit or limit >= _MOST_LOOKED_AT:
                return ours
            limit *= 10

    def _is_ours(self, found: Found) -> bool:
        is_ours = found.message is None or found.message.channel in self._senders
        # A claim counts as an attempt, so it is not made only to be put back.
        return is_ours and not self._steering.holds(found)

    async def _dispatch(self, several: Iterable[Found], limiter: anyio.CapacityLimiter) -> None:
        async with limiter:
            # Of what is due at the same moment (pieces of one reply) the first goes first, and
            # while it waits the others do.
            waiting: dict[tuple[bytes, str], int] = {}
            for one in sorted(several, key=lambda found: (found.at, found.place)):
                reply = (one.message.turn, one.message.channel) if one.message else (b"", "")
                try:
                    done = await self._take_and_send(one, waiting.get(reply, 0))
                    if done is not None and done.status == "pending":
                        waiting[reply] = done.due
                except CtxBridgeError as error:
                    logger.warning("a due delivery waits: %s", type(error).__name__)
                    return

    async def _take_and_send(self, found: Found, wait_until: int = 0) -> Delivery | None:
        """What became of it; `None` where it was not ours to send, or nobody could note it."""
        since, taken = monotonic(), await self._take(found)
        delivery, message, context = taken.delivery, taken.message, taken.context
        if taken.status != "taken" or delivery is None or message is None:
            if delivery is not None and delivery.status == "unknown":
                logger.error("a worker was lost while it sent; whether it did is unknown")
            return None
        assert context is not None and context.contact is not None  # noqa: PT018
        contact, epoch = context.contact.id, self._steering.epoch
        release = Release.parse(message.release) if message.release else None
        with Sending.later(message.channel, context, release) as step:
            permit = await self._permit(context, message)
            if wait_until and not (permit.refused or permit.until):
                permit = Permit(until=wait_until)
            if permit.refused or permit.until:
                done = await self._hold_back(delivery, contact, permit)
            else:
                until = since + self._hold_seconds
                claim = Claimed(delivery, message, context, epoch, until)
                done = await self._send(claim, contact, step)
        if permit.decision is not None and not permit.until:
            await self._note(contact, message, permit.decision)
        return done

    async def _note(self, contact: bytes, message: Message, decision: Decision) -> None:
        """Let the log tell what guards said of a message that left later than its turn."""
        now = self._clock.now()
        event = Event.of_decisions(now, message.turn, [("send", decision)])
        change = Change(self._tenant, contact, self._ids.new(), now, append=(event,))
        try:
            await self._store.commit(change)
        except CtxBridgeError as error:
            # What became of the message is recorded all the same, and with it why it did not leave.
            logger.warning("what guards said at `send` is not noted: %s", type(error).__name__)

    async def _permit(self, context: Context, message: Message) -> Permit:
        """What the gate says; where it refuses for good, others are told of it first."""
        permit = await self._gate(context, message)
        return await self._refused(message, permit) if permit.refused else permit

    async def _refused(self, message: Message, permit: Permit) -> Permit:
        try:
            await self._steering.refused(message, permit.refused)
        except CtxBridgeError as error:
            logger.warning("a delivery waits to be withheld: %s", type(error).__name__)
            return Permit(until=self._clock.now() + _LOOK_AGAIN_MILLISECONDS)
        return permit

    async def _was_withdrawn(self, found: Found) -> bool:
        """Whether it will never leave, which is told by the message alone: it is not claimed."""
        delivery, message = found.delivery, found.message
        if delivery is None or message is None or delivery.status != "pending":
            return False
        code = self._steering.withdrawn(message)
        if not code:
            return False
        await self._steering.refused(message, code)
        await self._hold_back(delivery, found.contact, Permit(code))
        return True

    async def _take(self, found: Found) -> Taken:
        """Claim what was found; under another gate epoch only if the gate says yes anew."""
        epoch: int | None = None
        token = os.urandom(8)
        for _ in range(_GATE_TRIES):
            if await self._was_withdrawn(found):
                return Taken("gone")
            step = Take(
                self._tenant, found.where, found.id, token, self._clock.now(), self._hold_seconds,
                epoch, control=self._steering.epoch,
            )  # fmt: skip
            taken = await self._store.deliver(step)
            if taken.status != "stale":
                return taken
            if taken.control:
                self._steering.adopt(taken.control)
            context, message, delivery = taken.context, taken.message, taken.delivery
            assert context is not None and message is not None and delivery is not None  # noqa: PT018
            permit = await self._permit(context, message)
            if permit.refused and context.contact is not None:
                await self._hold_back(delivery, context.contact.id, permit)
                return Taken("gone", delivery)
            epoch = context.gate_epoch
        return Taken("gone")

    async def _hold_back(
        self, delivery: Delivery, contact: bytes, permit: Permit
    ) -> Delivery | None:
        """Withhold it for good, or put it back until the gate is to be asked again."""
        now = self._clock.now()
        said = Settle(
            self._tenant, "withheld", now, contact, delivery=delivery.id, code=permit.refused
        )
        if not permit.refused:
            seconds = max(permit.until - now, 0) / 1000
            said = replace(said, status="pending", attempt=delivery.attempt, retry_seconds=seconds)
        return (await self._store.deliver(said)).delivery

    # --- what providers and operators say ---------------------------------------------------------

    async def record(self, receipt: Receipt) -> Delivery | None:
        """Note a provider's receipt, whenever it comes; `None` where no message is ours."""
        if receipt.status == "queued" or receipt.recipient is None:
            return None  # "queued" says no more than that it was handed over
        said = Settle(
            self._tenant, receipt.status, self._clock.now(), recipient=receipt.recipient,
            delivery=id_of(receipt.delivery), endpoint=receipt.endpoint,
            provider_id=receipt.message_id, code=receipt.error_code,
        )  # fmt: skip
        return (await self._store.deliver(said)).delivery

    async def known_as(
        self, provider_id: str, endpoint: Endpoint, recipient: Address
    ) -> Delivery | None:
        """The delivery that its provider calls so; `None` if there is none, or not any more."""
        # "claimed" is less than any word that a provider has: it is looked up, and changes nothing.
        asked = Settle(
            self._tenant, "claimed", self._clock.now(), recipient=recipient, endpoint=endpoint,
            provider_id=provider_id,
        )  # fmt: skip
        return (await self._store.deliver(asked)).delivery

    async def replay(self, dead: Found) -> Delivery | None:
        """Put a dead delivery back among those that are due. It may be sent a second time."""
        said = Settle(self._tenant, "pending", self._clock.now(), dead.contact, delivery=dead.id)
        return (await self._store.deliver(said)).delivery
