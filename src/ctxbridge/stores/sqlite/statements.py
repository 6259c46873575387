"""What is written: each function is one atomic step inside the writer's transaction.

Each looks up what `rules.fold` asks for, lets it decide, and writes down its answer. Checks come
before the first write.
"""

import sqlite3
from collections.abc import Callable
from typing import Literal

from ctxbridge.model import (
    Address,
    Change,
    Claim,
    Committed,
    Contact,
    Entry,
    Head,
    Identified,
    LinkClaim,
    Message,
    Opened,
    Record,
    RecordWrite,
    Refused,
    Window,
)
from ctxbridge.rules import fold, identity, order
from ctxbridge.rules.access import view
from ctxbridge.wire import (
    decode_contact,
    decode_entries,
    decode_head,
    decode_record,
    encode_contact,
    encode_entry,
    encode_head,
    encode_record,
)
from ctxbridge.wire.keys import address_key, contact_key, message_key, record_key

HOME_OF_ADDRESS = """
    SELECT home.home, head, contact, state FROM address JOIN home USING (home) WHERE address = ?
"""
ENTRIES = "SELECT body FROM entry WHERE home = ? AND seq BETWEEN ? AND ? ORDER BY seq"
RECORD = "SELECT body FROM record WHERE record = ?"

_HOME = "SELECT home, head, contact, state FROM home WHERE home = ?"
_HEAD_OF_CONTACT = "SELECT home, head FROM home WHERE owner = ?"
_HOME_OF_CONTACT = "SELECT home, head, contact, state FROM home WHERE owner = ?"
_SEEN = "SELECT home, turn, digest, seq, assurance, until FROM seen WHERE message = ?"
_ANSWER = "SELECT first, count, revision, fence, until FROM answer WHERE turn = ? AND home = ?"

_ADD_HOME = "INSERT INTO home (owner, head, contact) VALUES (?, ?, ?)"
_PUT_ADDRESS = "INSERT OR REPLACE INTO address (address, home) VALUES (?, ?)"
_ADD_ENTRY = "INSERT INTO entry (home, seq, body) VALUES (?, ?, ?)"
_AMEND_ENTRY = "UPDATE entry SET body = ? WHERE home = ? AND seq = ?"
_PUT_SEEN = "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?, ?)"
_PUT_ANSWER = "INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?, ?, ?)"
_PUT_HEAD = "UPDATE home SET head = ? WHERE home = ?"
_PUT_HEAD_AND_CONTACT = "UPDATE home SET head = ?, contact = ? WHERE home = ?"
_PUT_HEAD_AND_STATE = "UPDATE home SET head = ?, state = ? WHERE home = ?"
_PUT_RECORD = "INSERT OR REPLACE INTO record VALUES (?, ?, ?)"
_DROP_RECORD = "DELETE FROM record WHERE record = ?"


class _Home:
    """A row of `home`, decoded."""

    __slots__ = ("contact", "head", "home", "state")

    def __init__(self, row: tuple[int, bytes, bytes, bytes | None]) -> None:
        self.home = row[0]
        self.head = decode_head(row[1])
        self.contact = decode_contact(row[2])
        self.state = row[3]


def _find(connection: sqlite3.Connection, statement: str, key: bytes | int) -> _Home | None:
    row = connection.execute(statement, (key,)).fetchone()
    return _Home(row) if row else None


def _add_home(
    connection: sqlite3.Connection, tenant: str, address: Address, head: Head, contact: Contact
) -> int:
    owner = contact_key(tenant, contact.id)
    cursor = connection.execute(_ADD_HOME, (owner, encode_head(head), encode_contact(contact)))
    home = cursor.lastrowid
    assert home is not None
    connection.execute(_PUT_ADDRESS, (address_key(tenant, address), home))
    return home


def _append(
    connection: sqlite3.Connection, home: int, last: int, entries: tuple[Entry, ...]
) -> None:
    """Append `entries` so that the last of them stands at `last`."""
    first = last - len(entries) + 1
    for place, entry in enumerate(entries, first):
        connection.execute(_ADD_ENTRY, (home, place, encode_entry(entry)))


def _answer_of(
    connection: sqlite3.Connection, home: int, turn: bytes, now: int
) -> fold.Answer | None:
    row = connection.execute(_ANSWER, (turn, home)).fetchone()
    return fold.Answer(*row) if row and row[4] > now else None


def _entries(connection: sqlite3.Connection, home: int, places: range) -> list[bytes]:
    if not places:
        return []
    found = connection.execute(ENTRIES, (home, places.start, places.stop - 1)).fetchall()
    order.require_whole(places, len(found))
    return [body for (body,) in found]


def open_turn(connection: sqlite3.Connection, claim: Claim) -> Opened:
    """`Store.open`."""
    message = message_key(claim.tenant, claim.endpoint, claim.message.message_id)
    row = connection.execute(_SEEN, (message,)).fetchone()
    seen = fold.Seen(*row[1:]) if row and row[5] > claim.now else None
    if seen:
        held = _find(connection, _HOME, row[0])
    else:
        held = _find(connection, HOME_OF_ADDRESS, address_key(claim.tenant, claim.address))
    answer = _answer_of(connection, held.home, seen.turn, claim.now) if held and seen else None
    opening = fold.open_turn(
        held.head if held else None, held.contact if held else None,
        seen, answer is not None, claim,
    )  # fmt: skip
    home = _write_opening(connection, claim, held, opening, message)
    replies: list[Entry] = []
    if answer and opening.tells:
        replies = decode_entries(_entries(connection, home, answer.places))
    places = order.newest(opening.head.seq, claim.window)
    window = Window(_entries(connection, home, places), places, decode_entries)
    context = view(
        opening.head, opening.contact, held.state if held else None, window,
        claim.address, claim.assurance, opening.turn,
    )  # fmt: skip
    return Opened(
        opening.status, opening.turn, opening.seq, opening.head.fence, context,
        tuple(e for e in replies if type(e) is Message), opening.resumed, opening.head.lease_end,
    )  # fmt: skip


def _write_opening(
    connection: sqlite3.Connection,
    claim: Claim,
    held: _Home | None,
    opening: fold.Opening,
    message: bytes,
) -> int:
    if held is None:
        home = _add_home(connection, claim.tenant, claim.address, opening.head, opening.contact)
    else:
        home = held.home
        if opening.contact is not held.contact:
            values = (encode_head(opening.head), encode_contact(opening.contact), home)
            connection.execute(_PUT_HEAD_AND_CONTACT, values)
        elif opening.head is not held.head:
            connection.execute(_PUT_HEAD, (encode_head(opening.head), home))
    _append(connection, home, opening.head.seq, opening.append)
    if opening.remember:
        seen = opening.remember
        row = (message, home, seen.turn, seen.digest, seen.seq, seen.assurance, seen.until)
        connection.execute(_PUT_SEEN, row)
    return home


def release_of(claim: Claim, opened: Opened) -> Callable[[sqlite3.Connection], object] | None:
    """The work that gives back the lease of a turn whose worker was cancelled while opening it."""
    contact = opened.context.contact
    if opened.status != "new" or contact is None:
        return None
    change = Change(
        claim.tenant, contact.id, opened.turn, claim.now, opened.fence, finished=False
    )  # fmt: skip
    return lambda connection: commit_turn(connection, change)


def commit_turn(connection: sqlite3.Connection, change: Change) -> Committed | Refused:
    """`Store.commit`."""
    owner = contact_key(change.tenant, change.contact)
    row = connection.execute(_HEAD_OF_CONTACT, (owner,)).fetchone()
    if row is None:
        return Refused("unknown")
    home, head = row[0], decode_head(row[1])
    known = None
    if not fold.holds_lease(head, change):
        known = _answer_of(connection, home, change.turn, change.now)
    settling = fold.settle_turn(head, known, change)
    if not isinstance(settling, fold.Settling):
        return settling
    head = settling.head
    _append(connection, home, head.seq, change.append)
    for place, message in change.amend:
        connection.execute(_AMEND_ENTRY, (encode_entry(message), home, place))
    if change.state is None:
        connection.execute(_PUT_HEAD, (encode_head(head), home))
    else:
        connection.execute(_PUT_HEAD_AND_STATE, (encode_head(head), change.state, home))
    if settling.answer:
        a = settling.answer
        row = (change.turn, home, a.first, a.count, a.revision, a.fence, a.until)
        connection.execute(_PUT_ANSWER, row)
    return Committed(head.seq, head.revision)


def identify(connection: sqlite3.Connection, claim: LinkClaim) -> Identified:
    """`Store.identify`."""
    tenant, address = claim.tenant, address_key(claim.tenant, claim.link.address)
    if isinstance(claim.contact, bytes):
        held = _find(connection, _HOME_OF_CONTACT, contact_key(tenant, claim.contact))
        if held is None:
            return Identified("unknown")
    else:
        held = _find(connection, HOME_OF_ADDRESS, address_key(tenant, claim.contact))
    other = _find(connection, HOME_OF_ADDRESS, address)
    if other and not (held and held.home == other.home):
        return Identified("taken", other.contact)
    if held is None:
        assert isinstance(claim.contact, Address)
        linked, head = identity.founded(claim), Head(claim.conversation)
        home = _add_home(connection, tenant, claim.contact, head, linked)
    else:
        linked, head, home = identity.add_link(held.contact, claim.link), held.head, held.home
        if linked is held.contact:
            return Identified("unchanged", linked)
    head = fold.link_head(head)
    _append(connection, home, head.seq, (identity.link_event(claim.link, claim.now),))
    connection.execute(_PUT_HEAD_AND_CONTACT, (encode_head(head), encode_contact(linked), home))
    connection.execute(_PUT_ADDRESS, (address, home))
    return Identified("linked", linked)


def write_record(
    connection: sqlite3.Connection, write: RecordWrite
) -> Record | Literal["conflict"] | None:
    """`Store.records`, for a write; a conflict is an outcome and no failure of the transaction."""
    key = record_key(write.tenant, write.scope, write.name)
    row = connection.execute(RECORD, (key,)).fetchone()
    record = fold.fold_record(decode_record(row[0]) if row else None, write)
    if record == "conflict":
        return record
    if record is None:
        connection.execute(_DROP_RECORD, (key,))
        return None
    connection.execute(_PUT_RECORD, (key, encode_record(record), record.expires_at))
    return record


_SWEPT_AT_ONCE = 512
_SWEEPS = {
    "seen": (
        "SELECT until, message FROM seen WHERE message > ? ORDER BY message LIMIT ?",
        "DELETE FROM seen WHERE message = ?",
    ),
    "answer": (
        "SELECT until, turn, home FROM answer WHERE turn > ? ORDER BY turn LIMIT ?",
        "DELETE FROM answer WHERE turn = ? AND home = ?",
    ),
    "record": (
        "SELECT until, record FROM record WHERE record > ? ORDER BY record LIMIT ?",
        "DELETE FROM record WHERE record = ?",
    ),
}


def tidy(connection: sqlite3.Connection, reached: dict[str, bytes], now: int) -> None:
    """What the writer does when it is idle: move the log into the file, let go of what has expired.

    Some rows at a time, from where it stopped before (`reached`), so that no pause is long. `now`
    is the time that the last caller named: callers own the time.
    """
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    connection.execute("BEGIN IMMEDIATE")
    for table, (look, drop) in _SWEEPS.items():
        rows = connection.execute(look, (reached.get(table, b""), _SWEPT_AT_ONCE)).fetchall()
        connection.executemany(drop, [key for until, *key in rows if 0 < until <= now])
        reached[table] = rows[-1][1] if len(rows) == _SWEPT_AT_ONCE else b""
    connection.execute("COMMIT")
