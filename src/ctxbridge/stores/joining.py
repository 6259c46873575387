"""Merge and split of the memory store: what belongs to one conversation goes over to another."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.model import Delivery, Identified, Merge, Split
from ctxbridge.rules import merging
from ctxbridge.rules.merging import Kept, Side
from ctxbridge.stores.home import Home

if TYPE_CHECKING:
    from ctxbridge.stores.memory import MemoryStore


class Note(Struct, frozen=True):
    """What is noted of a merge: how both were, and what had been merged into the other before."""

    kept: Kept
    inner: dict[bytes, "Note"]


def merge(store: "MemoryStore", merge: Merge) -> Identified:
    """`Store.identify` of a `Merge`."""
    into, part = (store.home_of(merge.tenant, id) for id in (merge.into, merge.contact))
    if into is None or part is None:
        return Identified("unknown")
    if into is part:
        return Identified("unchanged", into.contact)
    ours, theirs = _side(into), _side(part)
    if not merging.is_current(ours, theirs, merge):
        return Identified("conflict", into.contact)
    both, base = merging.merged(ours, theirs, merge), ours.head.seq + 1
    into.notes[theirs.contact.id] = Note(
        Kept(theirs, ours.contact, ours.state, both.state), part.notes
    )
    into.entries += [merging.merge_event(theirs, merge), *part.entries]
    _take_over(store, part, into, {n: n + base for n in range(1, theirs.head.seq + 1)})
    _write(into, both)
    store.let_go(part)
    store.settle_in(into)
    store.look_after(into, merge.now)
    return Identified("merged", into.contact)


def split(store: "MemoryStore", split: Split) -> Identified:
    """`Store.identify` of a `Split`."""
    held = store.home_of(split.tenant, split.contact)
    note = held.notes.get(split.part) if held and split.address is None else None
    first = note.kept.part if note else merging.unlinked(_side(held), split) if held else None
    if held is None or first is None or held.contact.id != split.contact:
        return Identified("unknown")
    if held.head.seq != split.seq or len(split.moves) < first.head.seq:
        part_now = merging.as_now(held.contact, first.contact) if note else None
        return Identified("conflict", held.contact, part_now)
    silent = merging.silent(dict(enumerate(held.entries, 1)), split)
    parted = merging.parted(_side(held), note.kept if note else None, first, split, silent)
    event = merging.split_event(split, first.contact, len(split.moves))
    part = Home(split.tenant, parted.part.head, parted.part.contact)
    part.notes = note.inner if note else {}
    read = [entry for _, entry in split.moves]
    told = merging.split_event(split, first.contact, len(split.moves), of_part=True)
    part.entries = [*read[: first.head.seq], told, *read[first.head.seq :]]
    store.remember_at(held, part, silent)
    _take_over(store, held, part, parted.places)
    for place in parted.places:
        held.entries[place - 1] = merging.GONE
    held.entries.append(event)
    held.notes.pop(split.part, None)
    for home, side in ((held, parted.rest), (part, parted.part)):
        _write(home, side)
        store.settle_in(home)
        store.look_after(home, split.now)
    return Identified("split", held.contact, part.contact)


def _side(home: Home) -> Side:
    return Side(home.head, home.contact, home.state)


def _write(home: Home, side: Side) -> None:
    home.head, home.contact, home.state = side.head, side.contact, side.state
    home.views.clear()


def _take_over(store: "MemoryStore", giver: Home, taker: Home, places: Mapping[int, int]) -> None:
    """What is remembered of entries goes where they go."""
    store.remember_at(giver, taker, places)
    for turn, answer in list(giver.answers.items()):
        there = merging.answer_at(answer, places)
        if there is not None:
            taker.answers[turn] = there
        if merging.is_moved(answer, places):
            del giver.answers[turn]
    for id, delivery in list(giver.outbox.items()):
        if delivery.place in places:
            taker.outbox[id] = _at(giver.outbox.pop(id), places)
    for named, id in list(giver.provider_ids.items()):
        if id in taker.outbox:
            taker.provider_ids[named] = giver.provider_ids.pop(named)
    taker.kept.update(giver.kept)


def _at(delivery: Delivery, places: Mapping[int, int]) -> Delivery:
    return replace(delivery, place=places[delivery.place])
