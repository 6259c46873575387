"""Merge and split in the file: what belongs to one home goes over to another, in one transaction.

The rows of ids and answers are found by their home, for which they have no index: a merge or a
split reads these tables once, as an erasure does.
"""

import sqlite3
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from ctxbridge.model import Contact, Identified, Merge, Split
from ctxbridge.rules import fold, merging
from ctxbridge.rules.merging import Kept, Parted, Side
from ctxbridge.stores.sqlite import rows
from ctxbridge.stores.sqlite.outbox import put_at
from ctxbridge.stores.sqlite.rows import Home, add_home, append, due_of, put_address, put_home
from ctxbridge.wire import (
    Merged,
    decode_contact,
    decode_delivery,
    decode_entries,
    decode_head,
    decode_merged,
    encode_contact,
    encode_entry,
    encode_head,
    encode_merged,
)
from ctxbridge.wire.keys import contact_key

_SHIFT = (
    "UPDATE entry SET home = :to, seq = seq + :by WHERE home = :of",
    """UPDATE seen SET home = :to, seq = CASE WHEN seq > 0 THEN seq + :by ELSE 0 END
       WHERE home = :of""",
    """UPDATE OR REPLACE answer
       SET home = :to, first = CASE WHEN first > 0 THEN first + :by ELSE 0 END
       WHERE home = :of""",
    "UPDATE OR REPLACE said SET home = :to WHERE home = :of",
    "UPDATE address SET home = :to WHERE home = :of",
    "UPDATE led SET home = :to WHERE home = :of",
    "DELETE FROM note WHERE home = :of",
    "DELETE FROM home WHERE home = :of",
)
_LEAD = "INSERT OR REPLACE INTO led VALUES (?, ?)"
_LEAD_NO_MORE = "DELETE FROM led WHERE owner = ?"
_PUT_NOTE = "INSERT OR REPLACE INTO note VALUES (?, ?, ?)"
_NOTE = "SELECT body FROM note WHERE home = ? AND owner = ?"
_NOTES = "SELECT owner, body FROM note WHERE home = ?"
_DROP_NOTE = "DELETE FROM note WHERE home = ? AND owner = ?"
_DELIVERIES = "SELECT delivery, body FROM delivery WHERE home = ?"
_SEEN = "SELECT message, seq FROM seen WHERE home = ?"
_MOVE_SEEN = "UPDATE seen SET home = ?, seq = ? WHERE message = ?"
_SILENCE = "UPDATE seen SET home = ?, seq = 0, digest = x'' WHERE message = ?"
_ANSWERS = "SELECT turn, first, count, revision, fence, until FROM answer WHERE home = ?"
_PUT_ANSWER = "INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?, ?, ?)"
_DROP_ANSWER = "DELETE FROM answer WHERE turn = ? AND home = ?"
_COPY_SAID = """
    INSERT OR IGNORE INTO said
    SELECT provider, ?, delivery, status, attempt, code, until FROM said
    WHERE home = ? AND delivery IS NULL
"""
_MOVE_SAID = "UPDATE OR REPLACE said SET home = ? WHERE home = ? AND delivery = ?"
_GONE = "UPDATE entry SET body = ? WHERE home = ? AND seq = ?"


def merge(connection: sqlite3.Connection, merge: Merge) -> Identified:
    """`Store.identify` of a `Merge`."""
    owner = contact_key(merge.tenant, merge.contact)
    into = rows.of_contact(connection, contact_key(merge.tenant, merge.into))
    part = rows.of_contact(connection, owner)
    if into is None or part is None:
        return Identified("unknown")
    if into.home == part.home:
        return Identified("unchanged", into.contact)
    ours, theirs = _side(into), _side(part)
    if not merging.is_current(ours, theirs, merge):
        return Identified("conflict", into.contact)
    both, by = merging.merged(ours, theirs, merge), ours.head.seq + 1
    owner = contact_key(merge.tenant, theirs.contact.id)
    _note(connection, into.home, owner, ours, theirs, both, part.home)
    append(connection, into.home, by, (merging.merge_event(theirs, merge),))
    _shift_deliveries(connection, part.home, into.home, by)
    for statement in _SHIFT:
        connection.execute(statement, {"of": part.home, "to": into.home, "by": by})
    connection.execute(_LEAD, (owner, into.home))
    _write(connection, merge.tenant, into.home, both, merge.now)
    return Identified("merged", both.contact)


def split(connection: sqlite3.Connection, split: Split) -> Identified:
    """`Store.identify` of a `Split`."""
    held = rows.of_contact(connection, contact_key(split.tenant, split.contact))
    if held is None or held.contact.id != split.contact:
        return Identified("unknown")
    note = None if split.address else _note_of(connection, held.home, split)
    kept = _kept(note) if note else None
    first = kept.part if kept else merging.unlinked(_side(held), split)
    if first is None:
        return Identified("unknown")
    if held.head.seq != split.seq or len(split.moves) < first.head.seq:
        part = merging.as_now(held.contact, first.contact) if note else None
        return Identified("conflict", held.contact, part)
    silent = _silent(connection, held, split)
    parted = merging.parted(_side(held), kept, first, split, silent)
    home = _found(connection, split, parted, first.head.seq)
    _lead_apart(connection, split.tenant, held.home, home, parted.part.contact, note)
    seen = connection.execute(_SEEN, (held.home,)).fetchall()
    connection.executemany(_SILENCE, [(home, message) for message, seq in seen if seq in silent])
    _take_over(connection, held.home, home, parted.places)
    event = merging.split_event(split, first.contact, len(split.moves))
    append(connection, held.home, parted.rest.head.seq, (event,))
    _write(connection, split.tenant, held.home, parted.rest, split.now)
    return Identified("split", parted.rest.contact, parted.part.contact)


# --- what is noted of a merge ---------------------------------------------------------------------


def _note(
    connection: sqlite3.Connection,
    home: int,
    owner: bytes,
    ours: Side,
    theirs: Side,
    both: Side,
    part: int,
) -> None:
    inner = tuple(connection.execute(_NOTES, (part,)).fetchall())
    merged = Merged(
        encode_head(theirs.head), encode_contact(theirs.contact), theirs.state,
        encode_contact(ours.contact), ours.state, both.state, inner,
    )  # fmt: skip
    connection.execute(_PUT_NOTE, (home, owner, encode_merged(merged)))


def _note_of(connection: sqlite3.Connection, home: int, split: Split) -> Merged | None:
    row = connection.execute(_NOTE, (home, contact_key(split.tenant, split.part))).fetchone()
    return decode_merged(row[0]) if row else None


def _kept(note: Merged) -> Kept:
    part = Side(decode_head(note.head), decode_contact(note.contact), note.state)
    return Kept(part, decode_contact(note.into_contact), note.into_state, note.made)


def _side(home: Home) -> Side:
    return Side(home.head, home.contact, home.state)


# --- what goes over -------------------------------------------------------------------------------


def _write(connection: sqlite3.Connection, tenant: str, home: int, side: Side, now: int) -> None:
    due = due_of(tenant, side.head, now)
    put_home(connection, home, side.head, contact=side.contact, due=due)
    rows.put_state(connection, home, side.state)


def _shift_deliveries(connection: sqlite3.Connection, of: int, to: int, by: int) -> None:
    for id, body in connection.execute(_DELIVERIES, (of,)).fetchall():
        delivery = decode_delivery(body)
        put_at(connection, of, to, replace(delivery, id=id, place=delivery.place + by))


def _found(connection: sqlite3.Connection, split: Split, parted: Parted, before: int) -> int:
    """The part's home, with its log: what came with it, the event, and what arrived since."""
    side = parted.part
    home = add_home(connection, split.tenant, None, side.head, side.contact)
    read = [entry for _, entry in split.moves]
    event = merging.split_event(split, side.contact, len(read), of_part=True)
    log = (*read[:before], event, *read[before:])
    append(connection, home, len(log), log)
    _write(connection, split.tenant, home, side, split.now)
    for address in side.contact.addresses:
        put_address(connection, split.tenant, address, home)
    return home


def _lead_apart(
    connection: sqlite3.Connection,
    tenant: str,
    held: int,
    home: int,
    part: Contact,
    note: Merged | None,
) -> None:
    """The ids of the part lead to its own home again, with what had been merged into it."""
    owner = contact_key(tenant, part.id)
    connection.execute(_LEAD_NO_MORE, (owner,))
    connection.execute(_DROP_NOTE, (held, owner))
    connection.executemany(_LEAD, [(contact_key(tenant, id), home) for id in part.merged])
    inner = note.inner if note else ()
    connection.executemany(_PUT_NOTE, [(home, owner, body) for owner, body in inner])


def _take_over(connection: sqlite3.Connection, of: int, to: int, places: Mapping[int, int]) -> None:
    """What is remembered of entries goes where they go."""
    gone = encode_entry(merging.GONE)
    connection.executemany(_GONE, [(gone, of, place) for place in places])
    seen = connection.execute(_SEEN, (of,)).fetchall()
    moved = [(to, places[seq], message) for message, seq in seen if seq in places]
    connection.executemany(_MOVE_SEEN, moved)
    connection.execute(_COPY_SAID, (to, of))
    for turn, *told in connection.execute(_ANSWERS, (of,)).fetchall():
        answer = fold.Answer(*told)
        there = merging.answer_at(answer, places)
        if there is not None:
            connection.execute(_PUT_ANSWER, (turn, to, *_fields(there)))
        if merging.is_moved(answer, places):
            connection.execute(_DROP_ANSWER, (turn, of))
    for id, body in connection.execute(_DELIVERIES, (of,)).fetchall():
        delivery = replace(decode_delivery(body), id=id)
        if delivery.place in places:
            put_at(connection, of, to, replace(delivery, place=places[delivery.place]))
            connection.execute(_MOVE_SAID, (to, of, id))


def _silent(connection: sqlite3.Connection, held: Home, split: Split) -> dict[int, int]:
    if split.address is None:
        return {}
    every = range(1, held.head.seq + 1)
    log = dict(zip(every, decode_entries(rows.entries(connection, held.home, every)), strict=True))
    return merging.silent(log, split)


def _fields(answer: fold.Answer) -> Iterable[int]:
    return answer.first, answer.count, answer.revision, answer.fence, answer.until
