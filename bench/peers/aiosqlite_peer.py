"""aiosqlite, as its documentation would have it: one connection, cached statements, WAL.

It does as much as our store does, and as few hops to its thread as that takes: two for a look-up,
four for an append. It keeps no head, no contact and no consent, which favours it.

Its cost is not one number: where its thread and the loop's share one core (a busy machine, a
container of one CPU, ``taskset -c 0``) a hop costs less than half of what it costs between two.
"""

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import aiosqlite
import msgspec

from ctxbridge.model import Message

SCHEMA = """
CREATE TABLE conversation (
    id INTEGER PRIMARY KEY, contact BLOB NOT NULL UNIQUE, state BLOB, seq INTEGER NOT NULL
);
CREATE TABLE address (
    address TEXT PRIMARY KEY, conversation INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE message (
    conversation INTEGER NOT NULL, seq INTEGER NOT NULL, id BLOB NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (conversation, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX message_id ON message (conversation, id);
"""
CONVERSATION = """
    SELECT c.id, c.contact, c.state, c.seq
    FROM address a JOIN conversation c ON c.id = a.conversation WHERE a.address = ?
"""
LATEST = "SELECT body FROM message WHERE conversation = ? AND seq > ? ORDER BY seq"
INSERT = """
    INSERT INTO message (conversation, seq, id, body)
    SELECT id, seq + 1, ?2, ?3 FROM conversation WHERE contact = ?1
    ON CONFLICT (conversation, id) DO NOTHING RETURNING conversation, seq
"""
COUNT = "UPDATE conversation SET seq = ? WHERE id = ?"
STORED = """
    SELECT m.seq FROM message m JOIN conversation c ON c.id = m.conversation
    WHERE c.contact = ? AND m.id = ?
"""

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Message).decode


class Stored(NamedTuple):
    """One conversation to begin with."""

    address: str
    contact: bytes
    state: bytes
    messages: Sequence[Message]


class Found(NamedTuple):
    """What a look-up gives."""

    contact: bytes
    state: bytes | None
    messages: list[Message]


def tune(connection: sqlite3.Connection, synchronous: str) -> None:
    """The same settings as our store has."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute("PRAGMA wal_autocheckpoint=16000")
    connection.execute("PRAGMA mmap_size=268435456")


def fill(path: Path, stored: Iterable[Stored]) -> None:
    """Write the file that a peer or a floor then works on."""
    connection = sqlite3.connect(path, isolation_level=None)
    tune(connection, "normal")
    connection.executescript(SCHEMA)
    connection.execute("BEGIN")
    for number, one in enumerate(stored, 1):
        row = (number, one.contact, one.state, len(one.messages))
        connection.execute("INSERT INTO conversation VALUES (?, ?, ?, ?)", row)
        connection.execute("INSERT INTO address VALUES (?, ?)", (one.address, number))
        connection.executemany(
            "INSERT INTO message VALUES (?, ?, ?, ?)",
            [(number, seq, m.turn, encode(m)) for seq, m in enumerate(one.messages, 1)],
        )
    connection.execute("COMMIT")
    connection.close()


class AiosqlitePeer:
    """Looks up and appends over one aiosqlite connection."""

    def __init__(self, path: Path, synchronous: str = "normal") -> None:
        self._connection = aiosqlite.connect(path, isolation_level=None, cached_statements=64)
        self._synchronous = synchronous
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._connection
        for setting in (
            "journal_mode=WAL",
            f"synchronous={self._synchronous}",
            "wal_autocheckpoint=16000",
            "mmap_size=268435456",
        ):
            await self._connection.execute_fetchall(f"PRAGMA {setting}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._connection.close()

    async def look_up(self, address: str, window: int = 20) -> Found:
        fetch = self._connection.execute_fetchall
        [(id, contact, state, seq)] = await fetch(CONVERSATION, (address,))
        rows = await fetch(LATEST, (id, seq - window))
        return Found(contact, state, [decode(body) for (body,) in rows])

    async def append(self, contact: bytes, message: Message) -> int:
        """The place of the message, old or new."""
        body = encode(message)
        fetch = self._connection.execute_fetchall
        async with self._lock:
            await fetch("BEGIN IMMEDIATE")
            try:
                added = list(await fetch(INSERT, (contact, message.turn, body)))
                if added:
                    [(id, seq)] = added
                    await fetch(COUNT, (seq, id))
                else:
                    [(seq,)] = await fetch(STORED, (contact, message.turn))
                await fetch("COMMIT")
            except BaseException:
                await fetch("ROLLBACK")
                raise
        return int(seq)
