"""How checkpoints are taken away and copied: whole threads, runs, all but the newest."""

from collections.abc import Callable, Collection, Sequence

from msgspec.structs import replace

from ctxbridge.errors import Busy, Conflict
from ctxbridge.integrations.langgraph import trail as trails
from ctxbridge.integrations.langgraph.records import TRIES
from ctxbridge.integrations.langgraph.trail import Entry, Trail
from ctxbridge.integrations.langgraph.vault import Vault, Where

Keeps = Callable[[Sequence[Entry]], Collection[str]]
"""Says which of the entries, oldest first, stay."""


async def thin(vault: Vault, where: Where, keeps: Keeps) -> bool:
    """Let go of all checkpoints but those that stay; whether none is left.

    The newest that stays becomes the head. Raises `Busy` if the trail keeps changing.
    """
    for _ in range(TRIES):
        trail, revision = await vault.trail(where)
        if trail is None:
            return True
        entries, pages = await vault.whole(where, trail)
        stay = set(keeps(entries))
        kept = [entry for entry in entries if entry.id in stay]
        gone = [entry for entry in entries if entry.id not in stay]
        if not gone:
            return not kept
        if not kept:
            # The trail goes last: if this ends half way, the same call again finds the rest.
            await vault.drop(where, gone, ())
            await vault.drop_pages(where, pages)
            if await vault.clear(where, revision):
                return True
        elif await _settle(vault, where, trail, revision, kept):
            await vault.drop(where, gone, kept)
            await vault.drop_pages(where, pages)
            return False
    raise Busy("the checkpoints of a thread kept changing; nothing was deleted")


async def _settle(
    vault: Vault, where: Where, trail: Trail, revision: int, kept: list[Entry]
) -> bool:
    """Write the trail with those that stay; false if it has changed meanwhile."""
    head = trail.head
    if head.entry.id != kept[-1].id:
        found = await vault.point(where, kept[-1].id)
        if found is None:
            return False
        head = found
    return await vault.move(
        where, replace(trail, head=head, entries=tuple(kept), older=""), revision
    )


async def delete_thread(vault: Vault, thread: str) -> None:
    """Leave nothing of a thread."""
    spaces = await vault.spaces(thread)
    for space in spaces:
        await thin(vault, Where(thread, space), lambda _: ())
    await vault.strike(thread, spaces)


async def delete_runs(vault: Vault, runs: Sequence[str]) -> None:
    """Leave no checkpoint of these runs."""
    unwanted = set(runs)

    def others(entries: Sequence[Entry]) -> list[str]:
        return [entry.id for entry in entries if entry.run not in unwanted]

    for run in unwanted:
        for where in await vault.places_of(run):
            if await thin(vault, where, others):
                await vault.strike(where.thread, [where.space])
        await vault.forget_run(run)


async def keep_latest(vault: Vault, thread: str) -> None:
    """Leave the newest checkpoint of each namespace, with those that it cannot be read without."""
    for space in await vault.spaces(thread):
        await thin(vault, Where(thread, space), lambda entries: trails.retained(entries, 1))


async def copy_thread(vault: Vault, source: str, target: str) -> None:
    """Copy all checkpoints of a thread; raises `Conflict` where the target has some already."""
    spaces = await vault.spaces(source)
    for space in spaces:
        held, _ = await vault.trail(Where(target, space))
        if held is not None:
            raise Conflict("the thread to copy to has checkpoints already; nothing was copied")
    for space in spaces:
        await _copy(vault, Where(source, space), Where(target, space))


async def _copy(vault: Vault, source: Where, target: Where) -> None:
    trail, _ = await vault.trail(source)
    if trail is None:
        return
    await vault.enrol(target)
    _, revision = await vault.trail(target)
    entries, _ = await vault.whole(source, trail)
    by_channel = {(h.owner, channel): h for e in entries for channel, h in e.held.items()}
    for (owner, channel), held in by_channel.items():
        values = await vault.values(source, {channel: held})
        if values is not None:
            await vault.keep_value(target, owner, channel, values[channel])
    grown: list[Entry] = []
    for entry in entries:
        saved = (
            trail.head if entry.id == trail.head.entry.id else await vault.point(source, entry.id)
        )
        if saved is None:
            continue
        grown.append(entry)
        await vault.keep_point(target, saved)
        writes = await vault.writes(source, entry.id)
        if writes:
            await vault.add_writes(target, entry.id, writes)
        if entry.run:
            await vault.note_run(entry.run, target)
    if not await vault.move(target, replace(trail, entries=tuple(grown), older=""), revision):
        raise Conflict("somebody else wrote to the thread that was copied to")
