"""Where the checkpoints of all threads are in the store: every record of them is touched here.

::

    ["trail", thread, ns]            Trail   the head and the newest entries; revision compared
    ["page", thread, ns, page]       Page    older entries
    ["point", thread, ns, id]        Saved   a checkpoint that is not the head
    ["value", thread, ns, id, name]  Typed   a large value, written with the checkpoint `id`
    ["writes", thread, ns, id]       Writes  the pending writes of a checkpoint
    ["spaces", thread]               Roll    the namespaces of a thread
    ["threads", part]                Roll    the threads, in 64 parts
    ["run", run]                     Roll    in which threads and namespaces a run has checkpoints
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple
from zlib import crc32

import msgspec

from ctxbridge.errors import Busy, Conflict, CorruptRecord
from ctxbridge.integrations.langgraph import trail as trails
from ctxbridge.integrations.langgraph.batches import Batches
from ctxbridge.integrations.langgraph.coming import Coming
from ctxbridge.integrations.langgraph.records import (
    TRIES,
    Name,
    Records,
    packed,
    together,
    unpacked,
)
from ctxbridge.integrations.langgraph.roll import Roll
from ctxbridge.integrations.langgraph.trail import (
    Entry,
    Held,
    Page,
    Saved,
    Trail,
    Typed,
    Write,
    Writes,
)

_PARTS = 64
_MOST_REMEMBERED = 256
_LOOSE_SECONDS = 3_600.0
"""How long writes stay whose checkpoint does not come: its run was refused, or its worker died."""


class Value(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A large value of a channel."""

    format: int
    value: Typed


class Where(NamedTuple):
    """A thread and a namespace of it."""

    thread: str
    space: str


class Vault:
    """Reads and writes checkpoints; what may follow what is for `trail` to say.

    `keep` is how many of a trail stay, 0 for all.
    """

    def __init__(self, records: Records, keep: int = 0) -> None:
        self.records = records
        self.keep = keep
        self._known: OrderedDict[Where, tuple[Trail | None, int]] = OrderedDict()
        self._loose: set[tuple[Where, str]] = set()
        self._coming = Coming()
        self._batches: Batches[Write] = Batches()

    def putting(self, where: Where) -> AbstractContextManager[None]:
        """While a checkpoint is put there: its writes wait for that."""
        return self._coming.while_putting(where)

    # --- the trail --------------------------------------------------------------------------------

    async def trail(self, where: Where) -> tuple[Trail | None, int]:
        """The trail as it is now, and its revision."""
        value, revision = await self.records.read(("trail", *where))
        trail = unpacked(value, Trail) if value else None
        self._remember(where, trail, revision)
        return trail, revision

    async def known(self, where: Where) -> tuple[Trail | None, int]:
        """The trail as this process saw it last: for a write that is refused if that is old."""
        return self._known.get(where) or await self.trail(where)

    def forget(self, where: Where) -> None:
        """Look anew the next time."""
        self._known.pop(where, None)

    def _remember(self, where: Where, trail: Trail | None, revision: int) -> None:
        self._known[where] = trail, revision
        self._known.move_to_end(where)
        while len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)

    async def move(self, where: Where, trail: Trail, revision: int) -> bool:
        """Put the trail in the place of that revision; false if another was there first."""
        page = ""
        if len(trail.entries) > trails.LONGEST and not self.keep:
            page = self.records.fresh()
            trail, full = trails.turned(trail, page)
            await self.records.write(("page", *where, page), packed(full))
        try:
            revision = await self.records.write(("trail", *where), packed(trail), revision)
        except Conflict:
            self.forget(where)
            if page:
                await self.records.drop(("page", *where, page))
            return False
        self._remember(where, trail, revision)
        return True

    def _is_known(self, where: Where, id: str) -> bool:
        trail, _ = self._known.get(where) or (None, 0)
        return trail is not None and trail.entry(id) is not None

    async def has(self, where: Where, id: str) -> bool:
        """Whether there is such a checkpoint."""
        if self._is_known(where, id):
            return True
        await self.trail(where)
        return self._is_known(where, id) or await self.point(where, id) is not None

    async def clear(self, where: Where, revision: int) -> bool:
        """Leave nothing of the trail; false if it is at another revision."""
        self.forget(where)
        try:
            await self.records.empty(("trail", *where), revision)
        except Conflict:
            return False
        return True

    async def entries(self, where: Where, trail: Trail | None) -> AsyncIterator[Entry]:
        """All entries of the trail, newest first."""
        async for some in self._pages(where, trail):
            for entry in reversed(some.entries):
                yield entry

    async def whole(self, where: Where, trail: Trail) -> tuple[list[Entry], list[str]]:
        """All entries, oldest first, and the names of the pages."""
        found = [page async for page in self._pages(where, trail)]
        entries = [entry for page in reversed(found) for entry in page.entries]
        return entries, [page.older for page in found if page.older]

    async def _pages(self, where: Where, trail: Trail | None) -> AsyncIterator[Page]:
        page = Page(1, trail.entries, trail.older) if trail is not None else None
        while page is not None:
            yield page
            value = b""
            if page.older:
                value, _ = await self.records.read(("page", *where, page.older))
            page = unpacked(value, Page) if value else None

    # --- checkpoints ------------------------------------------------------------------------------

    async def point(self, where: Where, id: str) -> Saved | None:
        """A checkpoint that is not the head."""
        value, _ = await self.records.read(("point", *where, id))
        return unpacked(value, Saved) if value else None

    async def keep_point(self, where: Where, saved: Saved) -> None:
        """Write a checkpoint that is the head no longer."""
        await self.records.write(("point", *where, saved.entry.id), packed(saved))

    async def values(self, where: Where, held: Mapping[str, Held]) -> dict[str, Typed] | None:
        """The large values of these channels; `None` if one of them is gone."""
        names = [("value", *where, one.owner, channel) for channel, one in held.items()]
        found = await together(self.records.read(name) for name in names)
        if not all(value for value, _ in found):
            return None
        stored = [unpacked(value, Value).value for value, _ in found]
        return dict(zip(held, stored, strict=True))

    async def keep_value(self, where: Where, id: str, channel: str, value: Typed) -> None:
        """Write a large value with the checkpoint `id`."""
        await self.records.write(("value", *where, id, channel), packed(Value(1, value)))

    async def writes(self, where: Where, id: str) -> tuple[Write, ...]:
        """The pending writes of a checkpoint, in the order in which they are applied."""
        value, _ = await self.records.read(("writes", *where, id))
        found = unpacked(value, Writes).all if value else ()
        return tuple(sorted(found, key=lambda w: (w.path, w.task, w.place)))

    async def add_writes(self, where: Where, id: str, new: Collection[Write]) -> None:
        """Add pending writes; the first of a checkpoint take one step, later ones three.

        Those of tasks that end at once are written together. They may come before their checkpoint:
        then they last for an hour, until that is there too.
        """
        await self._coming.wait(where, lambda: self._is_known(where, id))
        loose = not await self.has(where, id)
        if loose:
            self._loose.add((where, id))

        async def write(all: list[Write]) -> None:
            await self._add_writes(where, id, all, _LOOSE_SECONDS if loose else None)

        await self._batches.add((where, id), new, write)
        if loose and self._is_known(where, id):
            await self.settle_writes(where, id)

    async def settle_writes(self, where: Where, id: str) -> None:
        """Keep the writes of a checkpoint that has come after them."""
        if (where, id) in self._loose:
            self._loose.discard((where, id))
            await self._add_writes(where, id, (), None)

    async def _add_writes(
        self, where: Where, id: str, new: Collection[Write], lifetime_seconds: float | None
    ) -> None:
        name = ("writes", *where, id)
        held, revision = (b"", 0) if new else await self.records.read(name)
        for _ in range(TRIES):
            before = unpacked(held, Writes).all if held else ()
            after = trails.merged(before, new)
            if (new and after == before) or not after:
                return
            value = packed(Writes(1, after))
            try:
                await self.records.write(name, value, revision, lifetime_seconds=lifetime_seconds)
            except Conflict:
                held, revision = await self.records.read(name)
                continue
            return
        raise Busy("the pending writes of a checkpoint kept changing; these were not stored")

    async def disown(self, where: Where, id: str, channels: Collection[str]) -> None:
        """Leave nothing of a checkpoint that was refused; one that is there stays."""
        if await self.has(where, id):
            return
        self._loose.discard((where, id))
        await self.drop(where, [Entry(id, held={c: Held(id, 0, 0) for c in channels})], ())

    async def drop(self, where: Where, gone: Iterable[Entry], kept: Iterable[Entry]) -> None:
        """Delete checkpoints with all that only they have."""
        gone = list(gone)
        names: list[Name] = [
            (kind, *where, entry.id) for entry in gone for kind in ("point", "writes")
        ]
        alone = trails.values_of(gone) - trails.values_of(kept)
        names += [("value", *where, *value) for value in alone]
        await together(self.records.drop(name) for name in names)

    async def drop_pages(self, where: Where, pages: Iterable[str]) -> None:
        """Delete pages that no trail names any more."""
        await together(self.records.drop(("page", *where, page)) for page in pages)

    # --- which there are --------------------------------------------------------------------------

    def _spaces(self, thread: str) -> Roll:
        return Roll(self.records, "spaces", thread)

    def _threads(self, part: int) -> Roll:
        return Roll(self.records, "threads", str(part))

    async def enrol(self, where: Where) -> None:
        """Note that there is such a trail, before it is written."""
        await self._threads(_part(where.thread)).add(where.thread)
        await self._spaces(where.thread).add(where.space)

    async def strike(
        self, thread: str, spaces: Collection[str], *, unless_fresh: bool = False
    ) -> None:
        """Note that these namespaces of a thread are no more, unless they may be just beginning."""
        roll = self._spaces(thread)
        await roll.remove(spaces, unless_fresh=unless_fresh)
        if not await roll.names():
            await self._threads(_part(thread)).remove({thread}, unless_fresh=unless_fresh)
            await self.records.drop(("spaces", thread))

    async def spaces(self, thread: str) -> list[str]:
        """The namespaces of a thread."""
        return list(reversed(await self._spaces(thread).names()))

    async def threads(self) -> list[str]:
        """All threads of the tenant."""
        parts = await together(self._threads(part).names() for part in range(_PARTS))
        return [thread for part in parts for thread in part]

    async def note_run(self, run: str, where: Where) -> None:
        """Note that a run has a checkpoint there, so that it is found when its run is deleted."""
        await Roll(self.records, "run", run).add(msgspec.json.encode(where).decode())

    async def places_of(self, run: str) -> list[Where]:
        """Where a run has checkpoints."""
        names = await Roll(self.records, "run", run).names()
        try:
            return [Where(*msgspec.json.decode(name, type=tuple[str, str])) for name in names]
        except msgspec.MsgspecError:
            raise CorruptRecord("a stored list of places is damaged") from None

    async def forget_run(self, run: str) -> None:
        """Let go of what was noted of a run. Its list is short: nothing has pages there."""
        await self.records.drop(("run", run))


def _part(thread: str) -> int:
    return crc32(thread.encode("utf-8", "surrogatepass")) % _PARTS
