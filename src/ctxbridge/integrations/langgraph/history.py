"""What made the values of delta channels, read back from a checkpoint to where they are whole."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from langgraph.checkpoint.base import DeltaChannelHistory, PendingWrite
from langgraph.checkpoint.serde.base import SerializerProtocol

from ctxbridge.errors import CorruptRecord
from ctxbridge.integrations.langgraph.points import pending_of, value_of
from ctxbridge.integrations.langgraph.records import together
from ctxbridge.integrations.langgraph.trail import Entry, Saved, Write
from ctxbridge.integrations.langgraph.vault import Vault, Where

_AT_ONCE = 16


async def delta_history(
    vault: Vault, serde: SerializerProtocol, where: Where, id: str, channels: Sequence[str]
) -> dict[str, DeltaChannelHistory]:
    """For each channel its writes, oldest first, and the value that they came on top of, if any.

    Goes from parent to parent. What was written on a checkpoint made the one after it, so those of
    the checkpoint `id` itself (the head, if it is empty) are not among them.
    """
    found: dict[str, list[PendingWrite]] = {channel: [] for channel in channels}
    seeds: dict[str, Any] = {}
    open_channels = set(channels)
    async for saved, writes in _before(vault, where, id if channels else None):
        for write in reversed(pending_of(serde, [w for w in writes if w.channel in open_channels])):
            found[write[1]].append(write)
        for channel in open_channels & (saved.values.keys() | saved.entry.held.keys()):
            seeds[channel] = await _value(vault, serde, where, saved, channel)
            open_channels.discard(channel)
        if not open_channels:
            break
    result: dict[str, DeltaChannelHistory] = {}
    for channel, backwards in found.items():
        result[channel] = {"writes": backwards[::-1]}
        if channel in seeds:
            result[channel]["seed"] = seeds[channel]
    return result


async def _before(
    vault: Vault, where: Where, id: str | None
) -> AsyncIterator[tuple[Saved, Sequence[Write]]]:
    """The checkpoints before this one, parent after parent, with their pending writes."""
    trail, _ = await vault.trail(where) if id is not None else (None, 0)
    line: list[Entry] = []
    wanted = id or (trail.head.entry.id if trail else "")
    async for entry in vault.entries(where, trail):
        if entry.id != wanted:
            continue
        wanted = entry.parent
        line.append(entry)
        if len(line) > _AT_ONCE:
            for one in await _read(vault, where, line[1:]):
                yield one
            line = [entry]
    for one in await _read(vault, where, line[1:]):
        yield one


async def _read(
    vault: Vault, where: Where, line: Sequence[Entry]
) -> list[tuple[Saved, Sequence[Write]]]:
    points = await together(vault.point(where, entry.id) for entry in line)
    writes = await together(vault.writes(where, entry.id) for entry in line)
    return [(p, w) for p, w in zip(points, writes, strict=True) if p is not None]


async def _value(
    vault: Vault, serde: SerializerProtocol, where: Where, saved: Saved, channel: str
) -> Any:
    value = saved.values.get(channel)
    if value is None:
        large = await vault.values(where, {channel: saved.entry.held[channel]})
        if large is None:
            raise CorruptRecord("a value of a stored checkpoint is missing")
        value = large[channel]
    return value_of(serde, value, channel)
