"""``ctxbridge stats``: how much there is in a store, and what needs somebody."""

from collections import Counter
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import anyio
from msgspec import Struct, field

from ctxbridge import Bridge
from ctxbridge.bridge.explaining import EVERYTHING, whole_context
from ctxbridge.cli.commands.command import MOST
from ctxbridge.cli.output import emit, plain, say
from ctxbridge.cli.progress import Progress, progress
from ctxbridge.cli.tables import tell_table
from ctxbridge.cli.where import Where
from ctxbridge.errors import CorruptRecord, KeyMissing, UnknownFormat
from ctxbridge.model import Found, Message, Scan

UNREADABLE = 3
HEADLINE = ("what", "how many")


class Stats(Struct):
    """What was counted. `waiting` messages wait for a turn, `pending` ones of ours to leave."""

    conversations: int = 0
    messages: int = 0
    events: int = 0
    waiting: int = 0
    pending: int = 0
    failed: int = 0
    unknown: int = 0
    merged: int = 0
    unreadable: int = 0
    messages_by_channel: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def dead(self) -> int:
        """What failed, and what may or may not have left."""
        return self.failed + self.unknown


def stats(where: Where, *, as_json: bool) -> int:
    """Count and tell; 3 where a conversation cannot be read."""
    with progress("conversations") as shown:
        counted = anyio.run(_count, where, shown)
    if as_json:
        emit(record(counted))
    else:
        _tell(counted)
    return UNREADABLE if counted.unreadable else 0


async def _count(where: Where, shown: Progress) -> Stats:
    counted, began = Stats(), perf_counter()
    async with where.bridge() as bridge:
        scan = Scan(bridge.tenant, bridge.clock.now(), "conversations", EVERYTHING)
        found = await bridge.store.scan(scan)
        for one in found:
            await _take(bridge, counted, one)
            shown.step(len(found))
        counted.pending = len(await bridge.deliveries("pending", limit=MOST))
        _take_dead(counted, await bridge.deliveries("dead", limit=MOST))
    counted.seconds = perf_counter() - began
    return counted


async def _take(bridge: Bridge[Any], counted: Stats, found: Found) -> None:
    counted.conversations += 1
    if found.address is None:
        return
    try:
        context = await whole_context(bridge, found.address)
        channels = [e.channel for e in context.window if isinstance(e, Message)]
    except (CorruptRecord, UnknownFormat, KeyMissing):
        counted.unreadable += 1
        return
    counted.messages += len(channels)
    counted.messages_by_channel.update(channels)
    counted.events += len(context.window) - len(channels)
    counted.waiting += len(context.waiting)
    counted.merged += len(context.contact.merged) if context.contact else 0


def _take_dead(counted: Stats, dead: Sequence[Found]) -> None:
    statuses = Counter(one.delivery.status for one in dead if one.delivery)
    counted.failed, counted.unknown = statuses["failed"], statuses["unknown"]


def record(counted: Stats) -> dict[str, Any]:
    """The counts as an object."""
    told = {name: getattr(counted, name) for name in counted.__struct_fields__}
    return {"kind": "stats", "dead": counted.dead} | told | {"seconds": round(counted.seconds, 3)}


def _tell(counted: Stats) -> None:
    rows = [HEADLINE, ("conversations", f"{counted.conversations:,}")]
    rows += [("messages", f"{counted.messages:,}")]
    by_channel = sorted(counted.messages_by_channel.items())
    rows += [(f"  of {plain(channel)}", f"{count:,}") for channel, count in by_channel]
    dead = f"{counted.dead:,}"
    if counted.dead:
        dead += f" ({counted.failed:,} failed, {counted.unknown:,} unknown)"
    rows += [
        ("events", f"{counted.events:,}"),
        ("messages that wait for a turn", f"{counted.waiting:,}"),
        ("deliveries that have not left", f"{counted.pending:,}"),
        ("dead deliveries", dead),
        ("contacts merged into others", f"{counted.merged:,}"),
    ]
    if counted.unreadable:
        rows.append(("conversations that cannot be read", f"{counted.unreadable:,}"))
    tell_table(rows)
    say(f"\nCounted in {counted.seconds:.2f} s.")
