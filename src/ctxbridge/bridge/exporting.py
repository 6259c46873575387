"""All that is stored of a person, for them to have (GDPR, Articles 15 and 20)."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import msgspec

from ctxbridge.bridge.explaining import whole_context
from ctxbridge.errors import UnknownContact
from ctxbridge.model import Address, Context, Event, Message
from ctxbridge.wire import decode_state
from ctxbridge.wire.aside import NAME, layers_of
from ctxbridge.wire.format1 import JSON, StateBytes

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

MOST_DELIVERIES = 1_000_000


async def export(bridge: "Bridge[Any]", address: Address | str) -> AsyncIterator[dict[str, Any]]:
    """One object after the other; see `Bridge.export`."""
    context = await whole_context(bridge, address)
    if context.contact is None:
        raise UnknownContact("nobody is stored under this address")
    yield {"kind": "contact", **_plain(context.contact)}
    yield {
        "kind": "conversation",
        "id": context.conversation.hex(),
        "status": context.status.name.lower(),
        "floor": context.floor.name.lower(),
        "seq": context.seq,
        "revision": context.revision,
    }
    if context.state is not None:
        for told in _states(context.state):
            yield told
    for told in _entries(context):
        yield told
    async for told in _deliveries(bridge, context):
        yield told


def _plain(value: Any) -> dict[str, Any]:
    """A value as JSON can hold it, its fields by name; ids in hexadecimal."""
    fields = ((name, getattr(value, name)) for name in value.__struct_fields__)
    return {name: _part(field) for name, field in fields}


def _part(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, msgspec.Struct):
        return {"kind": type(value).__name__.lower(), **_plain(value)}
    if isinstance(value, (tuple, list)):
        return [_part(one) for one in value]
    return value


def team_state(envelope: bytes) -> Any:
    """The team's own state, as JSON can hold it; `None` where there is none."""
    stored = decode_state(envelope)
    return _held(stored)["value"] if stored.payload else None


def _states(envelope: bytes) -> list[dict[str, Any]]:
    stored = decode_state(envelope)
    told = [{"kind": "state", "of": "team", **_held(stored)}] if stored.payload else []
    newer = [("team, laid aside", layer.newer) for layer in layers_of(stored)]
    guards = [(f"guard {n}", decode_state(kept)) for n, kept in stored.guards if n != NAME]
    return [*told, *[{"kind": "state", "of": of, **_held(kept)} for of, kept in newer + guards]]


def _held(state: StateBytes) -> dict[str, Any]:
    read = msgspec.json.decode if state.codec == JSON else msgspec.msgpack.decode
    return {"schema": state.schema, "value": _part(read(state.payload))}


def _entries(context: Context) -> list[dict[str, Any]]:
    return [
        {"kind": _kind(entry), "seq": seq, **_entry(entry)}
        for seq, entry in context.window.numbered()
    ]


def _kind(entry: Message | Event) -> str:
    return "message" if isinstance(entry, Message) else "event"


def _entry(entry: Message | Event) -> dict[str, Any]:
    told = _plain(entry)
    if isinstance(entry, Message):
        del told["packed_decision"]
        told["decision"] = _plain(entry.decision) if entry.decision else None
    else:
        told["event"] = told.pop("kind")
    return told


async def _deliveries(bridge: "Bridge[Any]", context: Context) -> AsyncIterator[dict[str, Any]]:
    assert context.contact is not None
    for what in ("pending", "dead"):
        for found in await bridge.deliveries(what, limit=MOST_DELIVERIES):
            if found.contact == context.contact.id and found.delivery is not None:
                yield {"kind": "delivery", **_plain(found.delivery)}
