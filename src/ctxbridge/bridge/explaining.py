"""What was decided in a turn, and why: read from the log, long after."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ctxbridge.errors import UsageError
from ctxbridge.model import Address, Context, Decision, Delivery, Event, Message, Query, Scan
from ctxbridge.model.access import OPERATOR_POLICY

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

LEAST_DIGITS = 8
EVERYTHING = 1_000_000_000
MOST_DELIVERIES = 1_000


class Explained(Struct, frozen=True):
    """One turn as the log tells it: each entry with its place, oldest first.

    `deliveries` are those of it that have not left yet, failed or are unknown, as far as they are
    among the first 1,000 of these.
    """

    turn: bytes
    context: Context
    messages: tuple[tuple[int, Message], ...]
    events: tuple[tuple[int, Event], ...]
    deliveries: tuple[tuple[int, Delivery], ...] = ()

    @property
    def decisions(self) -> tuple[tuple[str, Decision], ...]:
        """All decisions: of messages by their place (``"#12"``), others by what they were about."""
        of_messages = [(f"#{seq}", m.decision) for seq, m in self.messages if m.decision]
        others = [pair for _, event in self.events for pair in event.decisions]
        return (*of_messages, *others)


async def whole_context(bridge: "Bridge[Any]", address: Address | str) -> Context:
    """All that is stored of a conversation, also what no reader is shown."""
    where = bridge.canonical(address)
    query = Query(bridge.tenant, where, window=0, fresh=True, policy=OPERATOR_POLICY)
    return await bridge.store.read(query)


async def conversations(bridge: "Bridge[Any]") -> AsyncIterator[Context]:
    """Every conversation of the tenant, whole; the store is read from end to end."""
    scan = Scan(bridge.tenant, bridge.clock.now(), "conversations", EVERYTHING)
    for found in await bridge.store.scan(scan):
        if found.address is not None:
            yield await whole_context(bridge, found.address)


async def explain(
    bridge: "Bridge[Any]", turn: str, address: Address | str | None = None
) -> tuple[Explained, ...]:
    """The turns whose id begins with `turn`; see `Bridge.explain`."""
    digits = turn.lower()
    if not LEAST_DIGITS <= len(digits) <= 32 or set(digits) - set("0123456789abcdef"):
        raise UsageError(f"a turn is named by {LEAST_DIGITS} to 32 of its hexadecimal digits")
    if address is not None:
        contexts = [await whole_context(bridge, address)]
    else:
        contexts = [context async for context in conversations(bridge) if _has(context, digits)]
    found = [one for context in contexts for one in turns_of(context) if _named(one.turn, digits)]
    return tuple([await _with_deliveries(bridge, one) for one in found])


def _named(turn: bytes, digits: str) -> bool:
    return turn.hex().startswith(digits)


def _has(context: Context, digits: str) -> bool:
    return any(_named(entry.turn, digits) for entry in context.window)


def turns_of(context: Context) -> tuple[Explained, ...]:
    """The turns that a context shows, oldest first."""
    entries: dict[bytes, list[tuple[int, Any]]] = {}
    for seq, entry in context.window.numbered():
        if entry.turn:
            entries.setdefault(entry.turn, []).append((seq, entry))
    return tuple(
        Explained(
            turn,
            context,
            tuple([pair for pair in pairs if isinstance(pair[1], Message)]),
            tuple([pair for pair in pairs if isinstance(pair[1], Event)]),
        )
        for turn, pairs in entries.items()
    )


async def _with_deliveries(bridge: "Bridge[Any]", one: Explained) -> Explained:
    contact, places = one.context.contact, {seq for seq, _ in one.messages}
    found: list[tuple[int, Delivery]] = []
    for what in ("pending", "dead"):
        listed = await bridge.deliveries(what, limit=MOST_DELIVERIES)
        found += [
            (d.place, d.delivery)
            for d in listed
            if contact and d.contact == contact.id and d.place in places and d.delivery
        ]
    return Explained(one.turn, one.context, one.messages, one.events, tuple(found))
