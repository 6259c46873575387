"""The floor under SQLite: the same statements by the standard library, on the caller's thread.

It blocks the event loop and shares it with nobody, so it is no way to serve; nothing in Python can
be faster with one statement after the other.
"""

import sqlite3
from pathlib import Path

from bench.peers.aiosqlite_peer import CONVERSATION, COUNT, INSERT, LATEST, STORED, encode, tune
from ctxbridge.model import Message


class Inline:
    """Looks up raw rows and appends, without any hop."""

    def __init__(self, path: Path, synchronous: str = "normal") -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=64)
        tune(self._connection, synchronous)

    def close(self) -> None:
        self._connection.close()

    async def look_up(self, address: str, window: int = 20) -> tuple[bytes | None, list[bytes]]:
        """The state and the bodies, not decoded."""
        execute = self._connection.execute
        id, _, state, seq = execute(CONVERSATION, (address,)).fetchone()
        return state, [body for (body,) in execute(LATEST, (id, seq - window)).fetchall()]

    async def append(self, contact: bytes, message: Message) -> int:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        added = execute(INSERT, (contact, message.turn, encode(message))).fetchall()
        if added:
            [(id, seq)] = added
            execute(COUNT, (seq, id))
        else:
            (seq,) = execute(STORED, (contact, message.turn)).fetchone()
        execute("COMMIT")
        return int(seq)
