"""A message of ours that was withheld for good: whoever answers now is asked for another."""

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ctxbridge.model import Change, Claim, Context, Message, Text
from ctxbridge.wire.keys import content_digest

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

ASKED = "Your reply before this did not reach the customer. Answer their last message again."
_LOOKED_AT = 100
_ASKS = "anew:"


async def ask_anew(bridge: "Bridge[Any]", withheld: Message) -> bool:
    """Store a message of the system that asks for another answer, once; whether there was need.

    It waits like any other, for whoever sweeps. What answered nobody (a message that was written
    first) is not asked for again, and of one reply in several messages once. Ask before the message
    is withheld: should this fail, it is still listed, and asked of again.

    Raises `StoreError`.
    """
    if withheld.address is None:
        return False
    context = await bridge.context(withheld.address, window=_LOOKED_AT, fresh=True)
    asked = _answered_by(context, withheld)
    if asked is None or asked.endpoint is None:
        return False
    now, turn = bridge.clock.now(), bridge.ids.new()
    id = f"{_ASKS}{withheld.turn.hex()}"
    message = replace(
        asked, turn=turn, author="system", parts=(Text(ASKED),), accepted_at=now, message_id=id,
        occurred_at=0, disposition="pending", packed_decision=b"", labels=(), flags=(),
        references=(asked.message_id, *asked.references) if asked.channel == "email" else (),
        release="",
    )  # fmt: skip
    settings = bridge.settings
    claim = Claim(
        bridge.tenant, asked.endpoint, withheld.address, message,
        content_digest(bridge.tenant, id.encode()), turn, bridge.ids.new(), bridge.ids.new(), now,
        asked.assurance, lease_seconds=settings.lease_seconds,
        remember_seconds=settings.remember_seconds, window=1, backlog=settings.backlog,
        policy=settings.access, control=bridge.steering.epoch,
    )  # fmt: skip
    opened = await bridge.store.open(claim)
    if opened.status == "new" and opened.context.contact is not None:
        change = Change(
            bridge.tenant, opened.context.contact.id, opened.turn, now, opened.fence,
            finished=False, retry_seconds=0.0,
        )  # fmt: skip
        await bridge.store.commit(change)
    return opened.status in {"new", "busy"}


def _answered_by(context: Context, reply: Message) -> Message | None:
    """The message that `reply` answered: the contact's, or one of ours that had asked for another.

    It stands there as accepted: one that still waits is answered in any case.
    """
    for message in reversed(context.messages):
        asks = message.author == "contact" or message.message_id.startswith(_ASKS)
        if message.turn == reply.turn and asks and message.disposition != "pending":
            return message
    return None
