"""The file: its tables, its versions, and how a connection is opened."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from ctxbridge.errors import StoreReadOnly, UnknownFormat

APPLICATION_ID = 0x63747862  # "ctxb": a file of another program is refused, not written into

_CREATE = """
CREATE TABLE home (
    home    INTEGER PRIMARY KEY,
    owner   BLOB NOT NULL UNIQUE,     -- hash of tenant and contact id
    head    BLOB NOT NULL,
    contact BLOB NOT NULL,
    state   BLOB
);
CREATE TABLE address (
    address BLOB PRIMARY KEY,         -- hash of tenant and address
    home    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE entry (
    home    INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    body    BLOB NOT NULL,
    PRIMARY KEY (home, seq)
) WITHOUT ROWID;
CREATE TABLE seen (
    message BLOB PRIMARY KEY,         -- hash of tenant, endpoint and message id
    home    INTEGER NOT NULL,
    turn    BLOB NOT NULL,
    digest  BLOB NOT NULL,
    seq     INTEGER NOT NULL,
    assurance INTEGER NOT NULL,
    until   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE answer (
    turn     BLOB NOT NULL,           -- first in the key: ids sort by time, so rows are appended
    home     INTEGER NOT NULL,
    first    INTEGER NOT NULL,
    count    INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    fence    INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    PRIMARY KEY (turn, home)
) WITHOUT ROWID;
CREATE TABLE record (
    record  BLOB PRIMARY KEY,         -- hash of tenant, scope and name
    body    BLOB NOT NULL,
    until   INTEGER NOT NULL          -- 0: for ever
) WITHOUT ROWID;
"""

_OUTBOX = """
ALTER TABLE home ADD COLUMN tenant BLOB;    -- hash of the tenant, unknown until the next turn
ALTER TABLE home ADD COLUMN due INTEGER;    -- when somebody should look after a turn
CREATE INDEX home_due ON home (tenant, due) WHERE due IS NOT NULL;
CREATE TABLE delivery (
    delivery BLOB NOT NULL,           -- its id
    home    INTEGER NOT NULL,
    tenant  BLOB NOT NULL,            -- hash of the tenant
    seq     INTEGER NOT NULL,         -- where its message stands
    at      INTEGER,                  -- when to look for it again
    dead    INTEGER,                  -- when it was made, where it failed or is unknown
    until   INTEGER NOT NULL,
    body    BLOB NOT NULL,
    PRIMARY KEY (delivery, home)
) WITHOUT ROWID;
CREATE INDEX delivery_at ON delivery (tenant, at) WHERE at IS NOT NULL;
CREATE INDEX delivery_dead ON delivery (tenant, dead) WHERE dead IS NOT NULL;
CREATE TABLE said (
    provider BLOB NOT NULL,           -- hash of tenant, endpoint and the provider's id
    home    INTEGER NOT NULL,
    delivery BLOB,                    -- whose id it is, or unknown yet, and then what was said
    status  INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    code    TEXT NOT NULL,
    until   INTEGER NOT NULL,
    PRIMARY KEY (provider, home)
) WITHOUT ROWID;
"""

_MERGES = """
CREATE TABLE led (
    owner   BLOB PRIMARY KEY,         -- hash of tenant and id of a contact that was merged
    home    INTEGER NOT NULL          -- where it leads to
) WITHOUT ROWID;
CREATE TABLE note (
    home    INTEGER NOT NULL,
    owner   BLOB NOT NULL,            -- hash of tenant and id of who was merged into the home
    body    BLOB NOT NULL,            -- what undoes it
    PRIMARY KEY (home, owner)
) WITHOUT ROWID;
"""

MIGRATIONS: tuple[str, ...] = (_CREATE, _OUTBOX, _MERGES)
"""The script that leads from version n to n + 1 stands at place n. Append, never edit."""

# A page of WAL is written for every touched page, so SQLite's own limit of 1,000 pages would stop
# for a checkpoint every 200 appends; the writer checkpoints when it is idle instead.
_WAL_PAGES = 16_000
_BUSY_SECONDS = 5.0


def connect(path: str, mode: Literal["rw", "ro", "frozen"], synchronous: str) -> sqlite3.Connection:
    """A connection for the writer (``rw``) or a reader (``ro``).

    ``frozen`` reads a file whose folder cannot be written, where SQLite could not put the index of
    its log; it is right only while nobody writes.
    """
    how = {"rw": "mode=rwc", "ro": "mode=ro", "frozen": "mode=ro&immutable=1"}[mode]
    connection = sqlite3.connect(
        f"file:{quote(str(Path(path).absolute()))}?{how}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=64,
    )
    try:
        connection.execute("PRAGMA mmap_size=268435456")
        if mode == "rw":
            connection.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
            connection.execute(f"PRAGMA synchronous={synchronous}")
            # What is taken away does not stay readable in its page, as far as that costs nothing.
            connection.execute("PRAGMA secure_delete=FAST").fetchone()
        else:
            connection.execute("PRAGMA query_only=1")
    except BaseException:
        connection.close()
        raise
    return connection


def migrate(connection: sqlite3.Connection, migrations: Sequence[str] = MIGRATIONS) -> int:
    """Bring the file to the newest version, in one transaction; two processes may both try.

    Raises `UnknownFormat` for a file of another program or of a newer release.
    """
    version = _version(connection, len(migrations))
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise StoreReadOnly(f"the file cannot be put into WAL mode (it is in {mode!r})")
    if version == len(migrations):
        return version
    connection.execute("BEGIN IMMEDIATE")
    try:
        for number in range(_version(connection, len(migrations)), len(migrations)):
            for statement in migrations[number].split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={number + 1}")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return len(migrations)


def require_readable(connection: sqlite3.Connection) -> int:
    """The version of a file that is only read; `StoreReadOnly` if it needs migrating."""
    version = _version(connection, len(MIGRATIONS))
    if version < len(MIGRATIONS):
        raise StoreReadOnly(
            f"the store has version {version} and must be brought to {len(MIGRATIONS)} first: "
            "open it once where it can be written"
        )
    return version


def _version(connection: sqlite3.Connection, known: int) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (program,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if program != APPLICATION_ID and (program or version or tables):
        raise UnknownFormat("the file is a database of another program; choose another path")
    if version > known:
        raise UnknownFormat(
            f"the store has version {version}, this release reads up to {known}: upgrade ctxbridge"
        )
    return int(version)
