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
    unmet = set(channels)
    async for entry, saved, writes in _before(vault, where, id, set(channels)):
        for write in reversed(pending_of(serde, [w for w in writes if w.channel in unmet])):
            found[write[1]].append(write)
        whole = saved.values.keys() | entry.held.keys() if saved is not None else set()
        for channel in unmet & whole:
            seeds[channel] = await _value(vault, serde, where, saved, channel)
        unmet -= whole
        if not unmet:
            break
    result: dict[str, DeltaChannelHistory] = {}
    for channel, backwards in found.items():
        result[channel] = {"writes": backwards[::-1]}
        if channel in seeds:
            result[channel]["seed"] = seeds[channel]
    return result


async def _before(
    vault: Vault, where: Where, id: str, channels: set[str]
) -> AsyncIterator[tuple[Entry, Saved | None, Sequence[Write]]]:
    """The checkpoints before this one, parent after parent, with their pending writes.

    Those that are known to lack the channels are not read themselves.
    """
    trail, _ = await vault.trail(where) if channels else (None, 0)
    wanted = id or (trail.head.entry.id if trail else "")
    line: list[Entry] = []
    async for entry in vault.entries(where, trail):
        if entry.id != wanted:
            continue
        line.append(entry)
        wanted = entry.parent
        if len(line) > _AT_ONCE or not channels & set(entry.lacks):
            for one in await _read(vault, where, line[1:], channels):
                yield one
            line = [entry]
    for one in await _read(vault, where, line[1:], channels):
        yield one


async def _read(
    vault: Vault, where: Where, line: Sequence[Entry], channels: set[str]
) -> list[tuple[Entry, Saved | None, Sequence[Write]]]:
    writes = await together(vault.writes(where, entry.id) for entry in line)
    read = [entry for entry in line if channels - set(entry.lacks)]
    points = await together(vault.point(where, entry.id) for entry in read)
    saved = {entry.id: point for entry, point in zip(read, points, strict=True)}
    return [(e, saved.get(e.id), w) for e, w in zip(line, writes, strict=True)]


async def _value(
    vault: Vault, serde: SerializerProtocol, where: Where, saved: Saved | None, channel: str
) -> Any:
    assert saved is not None
    value = saved.values.get(channel)
    if value is None:
        large = await vault.values(where, {channel: saved.entry.held[channel]})
        if large is None:
            raise CorruptRecord("a value of a stored checkpoint is missing")
        value = large[channel]
    return value_of(serde, value, channel)
