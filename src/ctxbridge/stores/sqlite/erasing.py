"""Erasing a contact from the file: what it said is overwritten, in the file and in its log."""

import sqlite3

from ctxbridge.model import Erase, Erased
from ctxbridge.rules import erasure
from ctxbridge.stores.sqlite import rows
from ctxbridge.stores.sqlite.rows import find
from ctxbridge.wire import encode_contact, encode_entry, encode_head
from ctxbridge.wire.keys import address_key, contact_key

_HOME = """
    UPDATE home SET owner = ?, head = ?, contact = ?, state = NULL, due = NULL WHERE home = ?
"""
_ENTRIES = "UPDATE entry SET body = ? WHERE home = ?"
_SEEN = "UPDATE seen SET seq = 0, digest = x'', turn = zeroblob(16) WHERE home = ?"
_GONE = (
    "DELETE FROM answer WHERE home = ?", "DELETE FROM said WHERE home = ?",
    "DELETE FROM led WHERE home = ?", "DELETE FROM note WHERE home = ?",
)  # fmt: skip
_DELIVERIES = "DELETE FROM delivery WHERE home = ?"

LARGEST_REBUILT_BYTES = 256 * 1024 * 1024
LEFT_IN_FILE = (
    "free places of the file and its log: another process was using it, or it is large; run VACUUM "
    "and PRAGMA wal_checkpoint(TRUNCATE) on it when nobody else does"
)
COPIES = "copies of the file that were made before, backups among them"


def erase(connection: sqlite3.Connection, erase: Erase) -> Erased:
    """`Store.erase`, in the writer's transaction."""
    held = find(connection, rows.HOME_OF_ADDRESS, address_key(erase.tenant, erase.address))
    if held is None or not erasure.is_due(held.head, held.contact, erase):
        return Erased("unknown")
    scrubbed = erasure.scrub(held.head, held.contact, erase)
    home = held.home
    row = (
        contact_key(erase.tenant, erase.fresh), encode_head(scrubbed.head),
        encode_contact(scrubbed.contact), home,
    )  # fmt: skip
    connection.execute(_HOME, row)
    entries = connection.execute(_ENTRIES, (encode_entry(erasure.PLACEHOLDER), home)).rowcount
    connection.execute(_SEEN, (home,))
    deliveries = connection.execute(_DELIVERIES, (home,)).rowcount
    for statement in _GONE:
        connection.execute(statement, (home,))
    return Erased("erased", held.contact.id, entries, deliveries, (COPIES,))


def rebuild(connection: sqlite3.Connection, size: int) -> bool:
    """Take what was overwritten out of the file's free places and its log; whether it is gone.

    SQLite leaves copies of rows where it has split or joined pages, so the file is written anew;
    for one of more than 256 MiB that would hold up everybody else for too long.
    """
    if size > LARGEST_REBUILT_BYTES:
        return False
    connection.execute("VACUUM")
    busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy
