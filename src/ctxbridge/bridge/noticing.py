"""What a provider tells beside messages: kept in the log where it says something of somebody."""

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from ctxbridge.model import Change, Event, Notice
from ctxbridge.wire.checked import checked

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

PASSING = frozenset({"typing", "read", "unsupported"})
"""What is over when it is told, and is not stored."""

PROPOSALS = frozenset({"moved", "same"})
"""What would join two people. It is written down for somebody to look at, and joins nobody."""


async def notice(bridge: "Bridge[Any]", told: Notice) -> None:
    """Write it into the log of the sender, once; see `Bridge.receive`."""
    told = checked(told)
    if told.kind in PASSING or told.sender is None:
        return
    contact = (await bridge.context(told.sender, window=1)).contact
    if contact is None:
        return
    turn = _turn_of(told)
    event = Event(_kind(told), bridge.clock.now(), turn, _data(told))
    await bridge.store.commit(Change(bridge.tenant, contact.id, turn, event.at, append=(event,)))


def _kind(told: Notice) -> str:
    return "proposal" if told.kind in PROPOSALS else told.kind


def _data(told: Notice) -> tuple[tuple[str, str], ...]:
    other = told.other
    data = {
        "channel": told.channel,
        "provider": told.provider,
        "says": told.kind if told.kind in PROPOSALS else "",
        "about": told.about,
        "value": told.value,
        "other": str(other) if other else "",
    }
    return tuple([(name, value) for name, value in data.items() if value])


def _turn_of(told: Notice) -> bytes:
    """The same id for the same notice, however often the provider tells it."""
    named = (
        told.provider, str(told.endpoint), told.event_id, told.kind, told.about, told.value,
        str(told.sender), str(told.other), "" if told.event_id else str(told.occurred_at),
    )  # fmt: skip
    framed = b"".join([b"%d:%b" % (len(raw), raw) for raw in map(_raw, named)])
    return blake2b(framed, digest_size=16, person=b"ctxbridge notice").digest()


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
