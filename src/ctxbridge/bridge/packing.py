"""The package that goes along with a handoff: bounded, and as JSON can hold it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from ctxbridge.bridge.exporting import team_state
from ctxbridge.model import Attachment, Context, Handoff, Message, Package
from ctxbridge.model.handoff import PackedAddress, PackedDelivery, PackedMessage
from ctxbridge.model.lines import Placed, standing

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

MESSAGES = 30
MOST_TEXT_BYTES = MOST_STATE_BYTES = 64 * 1024
_MOST_FILES, _LONGEST_NAME = 20, 200
_MOST_DELIVERIES = 1_000


async def pack(bridge: "Bridge[Any]", context: Context, held: Handoff, most: int) -> Package:
    """The package; of deliveries those among the tenant's first 1,000 that wait or are dead."""
    assert context.contact is not None
    seen = [(place, m) for place, m in standing(context.window) if not m.silent]
    messages = _bounded(seen[-most:])
    state = team_state(context.state) if context.state is not None else None
    too_large = len(msgspec.json.encode(state)) > MOST_STATE_BYTES
    places = {one.seq for one in messages}
    return Package(
        held,
        tuple([
            PackedAddress(str(link.address), link.assurance.name.lower())
            for link in context.contact.links
            if not link.until
        ]),
        messages,
        len(seen) - len(messages),
        None if too_large else state,
        too_large,
        tuple([one async for one in _deliveries(bridge, context.contact.id, places)]),
        context.seq,
    )  # fmt: skip


def _bounded(seen: list[Placed]) -> tuple[PackedMessage, ...]:
    """The newest of them, as far as there is room for their texts."""
    left, kept = MOST_TEXT_BYTES, list[PackedMessage]()
    for place, message in reversed(seen):
        raw = message.text.encode("utf-8", "replace")
        if left <= 0:
            break
        text = raw[:left].decode("utf-8", "ignore")
        kept.append(_packed(place, message, text, cut=len(raw) > left))
        left -= len(raw)
    return tuple(reversed(kept))


def _packed(place: int, message: Message, text: str, *, cut: bool) -> PackedMessage:
    return PackedMessage(
        place, message.author, message.channel, str(message.address or ""), text,
        message.accepted_at, tuple(_files(message)), cut,
    )  # fmt: skip


def _files(message: Message) -> Iterator[str]:
    files = [part for part in message.parts if isinstance(part, Attachment)]
    return ((file.name or file.media_type)[:_LONGEST_NAME] for file in files[:_MOST_FILES])


async def _deliveries(bridge: "Bridge[Any]", contact: bytes, places: set[int]) -> Any:
    for what in ("pending", "dead"):
        for found in await bridge.deliveries(what, limit=_MOST_DELIVERIES):
            delivery = found.delivery
            if found.contact == contact and found.place in places and delivery is not None:
                yield PackedDelivery(found.place, delivery.status, delivery.code)
