"""The checkpoints of one thread and namespace, as values, and what of them is kept. No I/O.

The trail is one record: its head whole, and an entry for each of the newest checkpoints. Older
entries are on pages, which are never changed; checkpoints behind the head, large values and pending
writes have records of their own. So a checkpoint costs the same however many there were before.
"""

from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

Typed = tuple[str, bytes]
"""What a serializer made of a value: the name of the form, and the bytes."""

LONGEST = 32
_STAYING = 8
SLACK = 8
"""So many more than are to be kept pile up before they are swept out together."""


class Held(Struct, frozen=True, array_like=True, gc=False):
    """Where a large value is: it was written with the checkpoint `owner`, at that time."""

    owner: str
    at: int
    version: str | int | float


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """One checkpoint. `lacks` names the channels whose value is only in the writes before it."""

    id: str
    parent: str = ""
    run: str = ""
    held: dict[str, Held] = {}
    lacks: tuple[str, ...] = ()


class Saved(Struct, frozen=True, array_like=True, gc=False):
    """A checkpoint as it is stored; `values` are the small ones of its channels."""

    format: int
    entry: Entry
    checkpoint: Typed
    metadata: Typed
    values: dict[str, Typed]


class Write(Struct, frozen=True, array_like=True, gc=False):
    """One pending write of a task."""

    task: str
    place: int
    channel: str
    value: Typed
    path: str = ""


class Writes(Struct, frozen=True, array_like=True, gc=False):
    """The pending writes of one checkpoint."""

    format: int = 1
    all: tuple[Write, ...] = ()


class Page(Struct, frozen=True, array_like=True, gc=False):
    """Entries, oldest first, and the page of older ones."""

    format: int
    entries: tuple[Entry, ...]
    older: str = ""


class Trail(Struct, frozen=True, array_like=True, gc=False):
    """The newest checkpoints in the order in which they were put; the last one is the head."""

    format: int
    head: Saved
    entries: tuple[Entry, ...]
    older: str = ""

    def entry(self, id: str) -> Entry | None:
        """The entry of a checkpoint, if it is among the newest."""
        return next((e for e in reversed(self.entries) if e.id == id), None)


def follows(trail: Trail | None, parent: str, seen: str) -> bool:
    """Whether a checkpoint may become the head.

    It must come after the head, or be a branch of something older by somebody who has `seen` the
    head (time travel): what was done meanwhile by another is never left behind unsaid.
    """
    return trail.head.entry.id in {parent, seen} if trail is not None else not parent


def grown(trail: Trail | None, saved: Saved, keep: int) -> tuple[Trail, tuple[Entry, ...]]:
    """The trail with a new head, and the entries that it lets go of (`keep` 0: none)."""
    entries = (*(trail.entries if trail else ()), saved.entry)
    gone: tuple[Entry, ...] = ()
    if keep and len(entries) > keep + SLACK:
        kept = retained(entries, keep)
        gone = tuple([e for e in entries if e.id not in kept])
        entries = tuple([e for e in entries if e.id in kept])
    return Trail(1, saved, entries, trail.older if trail else ""), gone


def turned(trail: Trail, page: str) -> tuple[Trail, Page]:
    """The trail with its older entries on a new page, and that page."""
    out, stay = trail.entries[:-_STAYING], trail.entries[-_STAYING:]
    return replace(trail, entries=stay, older=page), Page(1, out, trail.older)


def retained(entries: Sequence[Entry], keep: int) -> set[str]:
    """Which checkpoints stay: the newest, and those without which they could not be read.

    A delta channel has its value in the writes of the checkpoints before, back to the nearest that
    has it whole.
    """
    known = {entry.id: entry for entry in entries}
    kept = {entry.id for entry in entries[-keep:]}
    for entry in entries[-keep:]:
        lacks, before = set(entry.lacks), known.get(entry.parent)
        while lacks and before is not None:
            kept.add(before.id)
            lacks &= set(before.lacks)
            before = known.get(before.parent)
    return kept


def values_of(entries: Iterable[Entry]) -> set[tuple[str, str]]:
    """Owner and channel of each large value that these checkpoints have."""
    return {(held.owner, channel) for e in entries for channel, held in e.held.items()}


def merged(before: Iterable[Write], new: Collection[Write]) -> tuple[Write, ...]:
    """The pending writes with new ones.

    A task's own write stays as it was first put, what is said of the task (an error, an interrupt:
    negative places) is replaced.
    """
    found = {(write.task, write.place): write for write in before}
    for write in new:
        if write.place < 0 or (write.task, write.place) not in found:
            found[write.task, write.place] = write
    return tuple(found.values())
