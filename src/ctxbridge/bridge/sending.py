"""Writing first: a message of ours that answers nobody."""

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

import anyio
from msgspec import Struct

from ctxbridge.bridge.finishing import deliveries_of
from ctxbridge.bridge.judging import Inquiry
from ctxbridge.bridge.keeping import Kept
from ctxbridge.bridge.replying import Reply, Replying, Speaker, checked_reply
from ctxbridge.errors import Busy, UnknownContact, UsageError
from ctxbridge.model import (
    Address,
    Change,
    Choice,
    Committed,
    Context,
    Delivery,
    Endpoint,
    Event,
    Floor,
    Inbound,
    Message,
    Purpose,
)
from ctxbridge.rules.choices import checked_choices
from ctxbridge.telemetry import Committing, about
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

    A text over the limit of its channel is several `messages`, each with its own of `deliveries`;
    `message` and `delivery` are the first.
    """

    message: Message
    delivery: Delivery | None = None
    repeated: bool = False
    messages: tuple[Message, ...] = ()
    deliveries: tuple[Delivery, ...] = ()


Along = Callable[[Context], tuple[Event, ...]]
"""Takes the context that a letter is judged by, and gives what the log is told along with it; or
raises, where it must not be written under that context."""


class Letter(Struct, frozen=True):
    """What is to be written, to whom, from where, what for, and the caller's key for it.

    `written_as` is the value of `address` as the caller wrote it. `floor` is whom the same step
    gives the floor to.
    """

    address: Address
    text: str
    endpoint: Endpoint | None = None
    purpose: Purpose = "service"
    subject: str = ""
    key: str = ""
    written_as: str = ""
    choices: tuple[Choice | str, ...] = ()
    author: Speaker = "agent"
    floor: Floor | None = None
    along: Along | None = None


async def write(bridge: "Bridge[Any]", letter: Letter) -> Written:
    """Judge, commit and send; again where a STOP came in between. See `Bridge.send`."""
    choices = checked_choices(letter.choices)
    reply = checked_reply(
        Reply(letter.text, purpose=letter.purpose, choices=choices, author=letter.author)
    )
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
    if bridge.outbox.sender_on(letter.address.channel) is None:
        # The caller sends it: a store compares the control only of what has a delivery.
        await bridge.steering.refresh()
    along = letter.along(context) if letter.along is not None else ()
    inquiry = Inquiry(bridge.panel, _as_if_answered(letter, context))
    if letter.author != "human_agent":  # a person is of no release
        bridge.releases.steer(inquiry, context, turn)
    channel, now = letter.address.channel, bridge.clock.now()
    replying = Replying(bridge, inquiry)
    replying.states = Kept(bridge.codec, context.state).guards
    judged = await replying.judge(turn, [reply], context, now)
    # What a guard would say in its place is nobody's answer to anything here.
    said = tuple([one for one in judged if one.message.author == letter.author])
    messages = tuple([one.message for one in said])
    deliveries = deliveries_of(bridge, said)
    bridge.steering.require(inquiry.release, inquiry.inbound, context, letter.purpose)
    change = Change(
        bridge.tenant, context.contact.id, turn, now, None, context.gate_epoch, context.revision,
        append=(*messages, *along, *replying.events), deliveries=deliveries,
        hold_seconds=bridge.outbox.hold_seconds(channel, len(deliveries)),
        remember_seconds=bridge.settings.remember_seconds, floor=letter.floor,
        control=bridge.steering.epoch,
    )  # fmt: skip
    since = monotonic()
    with anyio.CancelScope(shield=True), Committing(channel, release=inquiry.release) as step:
        outcome = await bridge.store.commit(change)
        step.came_to(outcome)
    if not isinstance(outcome, Committed):
        bridge.steering.adopt(outcome.control)
        return None
    if outcome.replayed:
        return Written(messages[0], repeated=True, messages=messages)
    with about(context.conversation):
        sent = await bridge.outbox.send_claimed(change, since, outcome.seq, context)
    return Written(messages[0], next(iter(sent), None), messages=messages, deliveries=sent)


def _as_if_answered(letter: Letter, context: Context) -> Inbound:
    """The message that ours would answer: the last from that address, as far as there is one."""
    address = letter.address
    said = [m for m in context.messages if m.address == address and m.endpoint is not None]
    last = said[-1] if said else None
    endpoint = letter.endpoint or (last.endpoint if last else None)
    if endpoint is None or endpoint.channel != address.channel:
        raise UsageError(f"name the endpoint to write from, one of channel {address.channel}")
    written_as = letter.written_as if letter.written_as != address.value else ""
    if last is None:
        return Inbound(
            address.channel, endpoint, address, "", (), subject=letter.subject,
            written_as=written_as,
        )  # fmt: skip
    ids = last.references if last.author != "contact" else (last.message_id, *last.references)
    return Inbound(
        address.channel, endpoint, address, ids[0] if ids else "", (), last.assurance,
        thread=last.thread, subject=letter.subject or last.subject, references=ids[1:],
        written_as=written_as or last.written_as,
    )  # fmt: skip
