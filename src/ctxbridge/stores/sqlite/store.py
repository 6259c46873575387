"""The SQLite store: reads inline on the caller's thread, writes on one thread with group commit."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import anyio.to_thread

from ctxbridge.errors import StoreClosed, StoreError, StoreReadOnly, UnknownFormat
from ctxbridge.model import (
    Change,
    Claim,
    Committed,
    Context,
    Identified,
    LinkClaim,
    Opened,
    Query,
    Record,
    RecordRead,
    RecordWrite,
    Refused,
    StoreReport,
    Window,
)
from ctxbridge.model.head import NO_ID
from ctxbridge.rules import fold, order
from ctxbridge.rules.access import view
from ctxbridge.stores.sqlite import schema, statements
from ctxbridge.stores.sqlite.faults import typed
from ctxbridge.stores.sqlite.writer import Writer
from ctxbridge.wire import decode_contact, decode_entry, decode_head, decode_record
from ctxbridge.wire.keys import address_key, record_key

T = TypeVar("T")


class SqliteStore:
    """One file in WAL mode. Reads never wait for writes, and many writes share one fsync.

    `synchronous` is ``full`` (what was acknowledged survives a power cut) or ``normal`` (it
    survives the end of the process). `mode="ro"` only reads. Several processes of one machine may
    share the file; it must not lie on a network drive. Runs on asyncio and trio.
    """

    def __init__(
        self,
        path: str,
        *,
        mode: Literal["rw", "ro"] = "rw",
        synchronous: Literal["full", "normal"] = "full",
    ) -> None:
        self.path = path
        self._mode = mode
        self._synchronous = synchronous
        self._writer: Writer | None = None
        self._reader: sqlite3.Connection | None = None
        self._connections: list[sqlite3.Connection] = []
        self._version = 0
        self._tidied = 0
        self._latest = 0

    def __repr__(self) -> str:
        state = "open" if self._reader else "closed"
        return f"<SqliteStore {self._mode} synchronous={self._synchronous} {state}>"

    async def __aenter__(self) -> Self:
        await self.check()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def check(self) -> StoreReport:
        """Open the file, bring it to the newest version, and say what it can give.

        A file that cannot be written is opened for reading, and the report says so. Raises
        `UnknownFormat`, `CorruptRecord`, `StoreReadOnly` or `Unavailable`.
        """
        if self._reader is None:
            await anyio.to_thread.run_sync(self._start)
        durable = self._writer is not None and self._synchronous == "full"
        return StoreReport("sqlite", durable, self._writer is not None, str(self._version))

    def _start(self) -> None:
        if Path(self.path).is_dir():
            raise UnknownFormat(f"{self.path}: this is a folder; name a file in it")
        try:
            if self._mode == "ro" or not self._start_writing():
                self._start_reading()
            else:
                self._reader = self._connect("ro")
        except (sqlite3.Error, StoreError) as error:
            self._stop()
            fault = typed(error) if isinstance(error, sqlite3.Error) else error
            raise type(fault)(f"{self.path}: {fault}") from None

    def _start_writing(self) -> bool:
        """Whether the file can be written; where it exists and cannot, it can still be read."""
        try:
            connection = self._connect("rw")
            self._version = schema.migrate(connection)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"PRAGMA user_version={self._version}")
            connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            if isinstance(typed(error), StoreReadOnly):
                return False
            raise
        self._writer = Writer(connection, self._tidy)
        return True

    def _tidy(self, connection: sqlite3.Connection) -> None:
        self._tidied += 1
        statements.tidy(connection, self._tidied, self._latest)

    def _start_reading(self) -> None:
        """For a folder that cannot be written SQLite needs to be told that nobody else writes."""
        try:
            self._reader = self._connect("ro")
            self._version = schema.require_readable(self._reader)
        except sqlite3.Error as error:
            if not isinstance(typed(error), StoreReadOnly) or not Path(self.path).is_file():
                raise
            self._reader = self._connect("frozen")
            self._version = schema.require_readable(self._reader)

    def _connect(self, mode: Literal["rw", "ro", "frozen"]) -> sqlite3.Connection:
        connection = schema.connect(self.path, mode, self._synchronous)
        self._connections.append(connection)
        return connection

    async def aclose(self) -> None:
        """Finish what is under way and close the file; a second call does nothing."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._stop)

    def _stop(self) -> None:
        writer, self._writer, self._reader = self._writer, None, None
        if writer is not None:
            writer.close()
        while self._connections:
            self._connections.pop().close()

    async def read(self, query: Query, /) -> Context:
        """The context of an address, by two statements on the caller's own thread."""
        key = address_key(query.tenant, query.address)
        row = self._rows(statements.HOME_OF_ADDRESS, (key,))
        if not row:
            return Context(None, NO_ID, Window(), reader=query.assurance)
        home, head_bytes, contact_bytes, state = row[0]
        head = decode_head(head_bytes)
        places = order.newest(head.seq, query.window)
        found = self._rows(statements.WINDOW, (home, places.start, head.seq))
        window = Window(
            [body for (body,) in found], order.require_whole(places, len(found)), decode_entry
        )
        contact = decode_contact(contact_bytes)
        return view(head, contact, state, window, query.address, query.assurance)

    def _rows(self, statement: str, values: tuple[object, ...]) -> list[Any]:
        if self._reader is None:
            raise StoreClosed("the sqlite store is not open: use `async with`")
        try:
            return self._reader.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise typed(error) from None

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._writer is None:
            if self._reader is not None:
                raise StoreReadOnly("the store was opened for reading only; nothing was changed")
            raise StoreClosed("the sqlite store is not open: use `async with`")
        return await self._writer.run(work)

    async def open(self, claim: Claim, /) -> Opened:
        """Open a turn; see `Store.open`."""
        self._latest = max(self._latest, claim.now)
        return await self._write(lambda connection: statements.open_turn(connection, claim))

    async def commit(self, change: Change, /) -> Committed | Refused:
        """Commit a turn; see `Store.commit`."""
        return await self._write(lambda connection: statements.commit_turn(connection, change))

    async def identify(self, claim: LinkClaim, /) -> Identified:
        """Link an address; see `Store.identify`."""
        return await self._write(lambda connection: statements.identify(connection, claim))

    async def records(self, operation: RecordRead | RecordWrite, /) -> Record | None:
        """Read or write a record; see `Store.records`."""
        if isinstance(operation, RecordWrite):
            return await self._write(lambda c: statements.write_record(c, operation))
        key = record_key(operation.tenant, operation.scope, operation.name)
        rows = self._rows(statements.RECORD, (key,))
        held = decode_record(rows[0][0]) if rows else None
        return None if held is None or fold.expired(held, operation.now) else held
