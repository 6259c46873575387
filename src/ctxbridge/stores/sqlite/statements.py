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
from ctxbridge.rules.control import newer, require_control
from ctxbridge.stores.sqlite import outbox, rows
from ctxbridge.stores.sqlite.rows import Home, add_home, append, due_of, find, put_address, put_home
from ctxbridge.wire import (
    decode_entries,
    decode_head,
    decode_record,
    encode_entry,
    encode_record,
)
from ctxbridge.wire.keys import address_key, contact_key, message_key, record_key

_SEEN = "SELECT home, turn, digest, seq, assurance, until FROM seen WHERE message = ?"
_ANSWER = "SELECT first, count, revision, fence, until FROM answer WHERE turn = ? AND home = ?"
_AMEND_ENTRY = "UPDATE entry SET body = ? WHERE home = ? AND seq = ?"
_PUT_SEEN = "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?, ?)"
_PUT_ANSWER = "INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?, ?, ?)"
_PUT_RECORD = "INSERT OR REPLACE INTO record VALUES (?, ?, ?)"
_DROP_RECORD = "DELETE FROM record WHERE record = ?"


def _answer_of(
    connection: sqlite3.Connection, home: int, turn: bytes, now: int
) -> fold.Answer | None:
    row = connection.execute(_ANSWER, (turn, home)).fetchone()
    return fold.Answer(*row) if row and row[4] > now else None


def open_turn(connection: sqlite3.Connection, claim: Claim) -> Opened:
    """`Store.open`."""
    message = message_key(claim.tenant, claim.endpoint, claim.message.message_id)
    row = connection.execute(_SEEN, (message,)).fetchone()
    seen = fold.Seen(*row[1:]) if row and row[5] > claim.now else None
    held = find(connection, rows.HOME, row[0]) if seen and seen.seq else None
    if held is None:
        held = find(connection, rows.HOME_OF_ADDRESS, address_key(claim.tenant, claim.address))
    answer = _answer_of(connection, held.home, seen.turn, claim.now) if held and seen else None
    opening = fold.open_turn(
        held.head if held else None, held.contact if held else None, seen, answer, claim
    )
    home = _write_opening(connection, claim, held, opening, message)
    replies: list[Entry] = []
    if answer and opening.tells:
        replies = decode_entries(rows.entries(connection, home, answer.places))
    places = order.newest(opening.head.seq, claim.window)
    window = Window(rows.entries(connection, home, places), places, decode_entries)
    context = view(
        opening.head, opening.contact, held.state if held else None, window,
        claim.reader, opening.turn,
    )  # fmt: skip
    return Opened(
        opening.status, opening.turn, opening.seq, opening.head.fence, context,
        tuple(e for e in replies if type(e) is Message), opening.resumed, opening.head.lease_end,
        newer(rows.control_of(connection, claim.tenant), claim.control),
    )  # fmt: skip


def _write_opening(
    connection: sqlite3.Connection,
    claim: Claim,
    held: Home | None,
    opening: fold.Opening,
    message: bytes,
) -> int:
    """Write what the opening says; gives the home, 0 where there is none and none was founded."""
    tenant, head, contact = claim.tenant, opening.head, opening.contact
    if held is not None:
        home = held.home
        if head is not held.head or contact is not held.contact:
            raised = contact if contact is not held.contact else None
            due = due_of(tenant, head, claim.now)
            put_home(connection, home, head, contact=raised, due=due)
    elif opening.remember:
        at, _ = due_of(tenant, head, claim.now)
        home = add_home(connection, tenant, claim.address, head, contact, at)
    else:
        return 0
    append(connection, home, head.seq, opening.append)
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
    row = rows.row_of_contact(connection, rows.HEAD_OF_CONTACT, owner)
    if row is None:
        return Refused("unknown")
    home, head = row[0], decode_head(row[1])
    known = None
    if not fold.holds_lease(head, change):
        known = _answer_of(connection, home, change.turn, change.now)
    control = rows.control_of(connection, change.tenant) if fold.passes_gate(change) else b""
    settling = fold.settle_turn(head, known, change, control)
    if not isinstance(settling, fold.Settling):
        return settling
    _write_settling(connection, home, head.seq, change, settling)
    return Committed(settling.head.seq, settling.head.revision)


def _write_settling(
    connection: sqlite3.Connection, home: int, before: int, change: Change, settling: fold.Settling
) -> None:
    """Write what the settling says, of a log that ended at `before`."""
    head, due = settling.head, None
    append(connection, home, head.seq, change.append)
    for place, message in change.amend:
        connection.execute(_AMEND_ENTRY, (encode_entry(message), home, place))
    if change.fence is not None or change.deliveries:
        due = due_of(change.tenant, head, change.now, round(change.retry_seconds * 1000))
    put_home(connection, home, head, state=change.state, due=due)
    if settling.answer:
        _put_answer(connection, home, change.turn, settling.answer)
        for turn in change.joined:
            _put_answer(connection, home, turn, settling.merged_answer)
    if change.deliveries:
        outbox.add(connection, home, change, before)


def _put_answer(connection: sqlite3.Connection, home: int, turn: bytes, a: fold.Answer) -> None:
    row = (turn, home, a.first, a.count, a.revision, a.fence, a.until)
    connection.execute(_PUT_ANSWER, row)


def identify(connection: sqlite3.Connection, claim: LinkClaim) -> Identified:
    """`Store.identify`."""
    tenant, address = claim.tenant, claim.link.address
    if isinstance(claim.contact, bytes):
        held = rows.of_contact(connection, contact_key(tenant, claim.contact))
        if held is None:
            return Identified("unknown")
    else:
        held = find(connection, rows.HOME_OF_ADDRESS, address_key(tenant, claim.contact))
    other = find(connection, rows.HOME_OF_ADDRESS, address_key(tenant, address))
    if other and not (held and held.home == other.home):
        return Identified("taken", other.contact)
    if held is None:
        assert isinstance(claim.contact, Address)
        linked, head = identity.founded(claim), Head(claim.conversation)
        home = add_home(connection, tenant, claim.contact, head, linked)
    else:
        linked, head, home = identity.linked(held.contact, claim), held.head, held.home
        if linked is held.contact:
            return Identified("unchanged", linked)
    head = fold.link_head(head)
    append(connection, home, head.seq, (identity.link_event(claim.link, claim.now),))
    put_home(connection, home, head, contact=linked)
    put_address(connection, tenant, address, home)
    return Identified("linked", linked)


def write_record(
    connection: sqlite3.Connection, write: RecordWrite
) -> Record | Literal["conflict"] | None:
    """`Store.records`, for a write; a conflict is an outcome and no failure of the transaction."""
    require_control(write)
    key = record_key(write.tenant, write.scope, write.name)
    row = connection.execute(rows.RECORD, (key,)).fetchone()
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
    "delivery": (
        "SELECT until, delivery, home FROM delivery WHERE delivery > ? ORDER BY delivery LIMIT ?",
        "DELETE FROM delivery WHERE delivery = ? AND home = ?",
    ),
    "said": (
        "SELECT until, provider, home FROM said WHERE provider > ? ORDER BY provider LIMIT ?",
        "DELETE FROM said WHERE provider = ? AND home = ?",
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
        seen = connection.execute(look, (reached.get(table, b""), _SWEPT_AT_ONCE)).fetchall()
        connection.executemany(drop, [key for until, *key in seen if 0 < until <= now])
        reached[table] = seen[-1][1] if len(seen) == _SWEPT_AT_ONCE else b""
    connection.execute("COMMIT")
