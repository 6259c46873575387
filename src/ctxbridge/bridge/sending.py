"""Writing first: a message of ours that answers nobody."""

from time import monotonic
from typing import TYPE_CHECKING, Any

import anyio
from msgspec import Struct

from ctxbridge.bridge.finishing import deliveries_of
from ctxbridge.bridge.judging import Inquiry
from ctxbridge.bridge.keeping import Kept
from ctxbridge.bridge.replying import Reply, Replying, checked_reply
from ctxbridge.errors import Busy, UnknownContact, UsageError
from ctxbridge.model import (
    Address,
    Change,
    Committed,
    Context,
    Delivery,
    Endpoint,
    Inbound,
    Message,
    Purpose,
)
from ctxbridge.wire.keys import sending_key

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

_TRIES = 8


class Written(Struct, frozen=True):
    """What became of a message that you wrote first.

    `message` is as it was judged and stored; withheld, it has no words, and its decision tells why.
    `delivery` is `None` where the bridge has no sender for the channel (then a visible message is
    yours to send), where it was withheld, and where it had been written before under the same key
    (`repeated`): then nothing was stored or sent.
    """

    message: Message
    delivery: Delivery | None = None
    repeated: bool = False


class Letter(Struct, frozen=True):
    """What is to be written, to whom, from where, what for, and the caller's key for it."""

    address: Address
    text: str
    endpoint: Endpoint | None = None
    purpose: Purpose = "service"
    subject: str = ""
    key: str = ""


async def write(bridge: "Bridge[Any]", letter: Letter) -> Written:
    """Judge, commit and send; again where a STOP came in between. See `Bridge.send`."""
    reply = checked_reply(Reply(letter.text, purpose=letter.purpose))
    turn = sending_key(bridge.tenant, letter.key) if letter.key else bridge.ids.new()
    for _ in range(_TRIES):
        context = await bridge.context(letter.address, fresh=True)
        if context.contact is None:
            raise UnknownContact("nobody is stored under this address: link it, or record consent")
        written = await _write(bridge, letter, reply, turn, context)
        if written is not None:
            return written
    raise Busy("the conversation kept changing; nothing was stored, and a retry is safe")


async def _write(
    bridge: "Bridge[Any]", letter: Letter, reply: Reply, turn: bytes, context: Context
) -> Written | None:
    """`None` where the conversation has changed since it was read."""
    assert context.contact is not None
    inquiry = Inquiry(bridge.panel, _as_if_answered(letter, context))
    channel, now = letter.address.channel, bridge.clock.now()
    can_wait = bridge.outbox.sender_on(channel) is not None
    replying = Replying(bridge.panel, inquiry, can_wait=can_wait)
    replying.states = Kept(bridge.codec, context.state).guards
    said, *_ = await replying.judge(turn, [reply], context, now)
    deliveries = deliveries_of(bridge, (said,), (reply,))
    change = Change(
        bridge.tenant, context.contact.id, turn, now, None, context.gate_epoch, context.revision,
        append=(said.message, *replying.events), deliveries=deliveries,
        hold_seconds=bridge.outbox.hold_seconds(channel, 1),
        remember_seconds=bridge.settings.remember_seconds,
    )  # fmt: skip
    since = monotonic()
    with anyio.CancelScope(shield=True):
        outcome = await bridge.store.commit(change)
    if not isinstance(outcome, Committed):
        return None
    if outcome.replayed:
        return Written(said.message, repeated=True)
    sent = await bridge.outbox.send_claimed(change, since, outcome.seq)
    return Written(said.message, next(iter(sent), None))


def _as_if_answered(letter: Letter, context: Context) -> Inbound:
    """The message that ours would answer: the last from that address, as far as there is one."""
    address = letter.address
    said = [m for m in context.messages if m.address == address and m.endpoint is not None]
    last = said[-1] if said else None
    endpoint = letter.endpoint or (last.endpoint if last else None)
    if endpoint is None or endpoint.channel != address.channel:
        raise UsageError(f"name the endpoint to write from, one of channel {address.channel}")
    if last is None:
        return Inbound(address.channel, endpoint, address, "", (), subject=letter.subject)
    ids = last.references if last.author != "contact" else (last.message_id, *last.references)
    return Inbound(
        address.channel, endpoint, address, ids[0] if ids else "", (), last.assurance,
        thread=last.thread, subject=letter.subject or last.subject, references=ids[1:],
    )  # fmt: skip
