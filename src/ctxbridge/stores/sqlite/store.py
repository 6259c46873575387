"""The SQLite store: reads inline on the caller's thread, writes on one thread with group commit."""

import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeVar

import anyio
import anyio.to_thread
from msgspec.structs import replace

from ctxbridge import telemetry
from ctxbridge.errors import (
    ConfigurationError,
    Conflict,
    StoreClosed,
    StoreError,
    StoreReadOnly,
    UnknownFormat,
)
from ctxbridge.model import (
    Change,
    Claim,
    Committed,
    Context,
    Erase,
    Erased,
    Found,
    Identified,
    LinkClaim,
    Merge,
    Opened,
    Query,
    Record,
    RecordRead,
    RecordWrite,
    Refused,
    Scan,
    Settle,
    Split,
    StoreReport,
    Take,
    Taken,
    Window,
)
from ctxbridge.model.head import NO_ID
from ctxbridge.rules import fold, order
from ctxbridge.rules.access import view
from ctxbridge.stores.scoped import Scoped
from ctxbridge.stores.sqlite import erasing, joining, listing, outbox, rows, schema, statements
from ctxbridge.stores.sqlite.faults import typed
from ctxbridge.stores.sqlite.writer import Work, Writer
from ctxbridge.wire import decode_contact, decode_entries, decode_head, decode_record
from ctxbridge.wire.keys import address_key, record_key

T = TypeVar("T")

_SHORTEST_HEADER = 16
_LOOK_SECONDS = 0.005
_LOOK_FOR_RECORD_SECONDS = 0.05
_NOT_OPEN = "the sqlite store is not open: use `async with`"


class SqliteStore(Scoped):
    """One file in WAL mode. Reads never wait for writes, and many writes share one fsync.

    `synchronous` is ``full`` (what was acknowledged survives a power cut) or ``normal`` (it
    survives the end of the process). `mode="ro"` only reads. Several processes of one machine may
    share the file, each opening it for itself; it must not lie on a network drive. Runs on asyncio
    and trio.
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
        self._opening = threading.Lock()
        self._reading = threading.Lock()
        self._writer: Writer | None = None
        self._reader: sqlite3.Connection | None = None
        self._connections: list[sqlite3.Connection] = []
        self._process = 0
        self._version = 0
        self._notes: tuple[str, ...] = ()
        self._swept: dict[str, bytes] = {}
        self._latest = 0
        self._overwritten = False
        """Whether what was erased may still lie in free places of the file."""

    def __repr__(self) -> str:
        state = "open" if self._reader else "closed"
        return f"<SqliteStore {self._mode} synchronous={self._synchronous} {state}>"

    async def check(self) -> StoreReport:
        """Open the file, bring it to the newest version, and say what it can give.

        A file that cannot be written is opened for reading, and the report says so. Raises
        `UnknownFormat`, `CorruptRecord`, `StoreReadOnly`, `Unavailable` or `ConfigurationError`.
        """
        if self._reader is None:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._start)
        writable = self._writer is not None
        durable = writable and self._synchronous == "full"
        return StoreReport("sqlite", durable, writable, str(self._version), self._notes)

    def _start(self) -> None:
        with self._opening:
            if self._reader is not None:
                return
            try:
                self._open_file()
            except (sqlite3.Error, StoreError) as error:
                self._let_go()
                fault = typed(error) if isinstance(error, sqlite3.Error) else error
                raise type(fault)(f"{self.path}: {fault}") from None
            except (OSError, ValueError):
                self._let_go()
                raise ConfigurationError("the path of the store is no path of a file") from None

    def _open_file(self) -> None:
        if "\x00" in self.path:
            raise ValueError  # SQLite would take what stands before it for the name
        if Path(self.path).is_dir():
            raise UnknownFormat("this is a folder; name a file in it")
        if Path(self.path).is_file() and 0 < Path(self.path).stat().st_size < _SHORTEST_HEADER:
            # Of a file that is shorter than a header's mark SQLite makes a new database.
            raise UnknownFormat("the file is no SQLite database; choose another path")
        self._process, self._notes = os.getpid(), ()
        if self._mode == "ro" or not self._start_writing():
            self._start_reading()
        else:
            self._reader = self._connect("ro")

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
        statements.tidy(connection, self._swept, self._latest)

    def _start_reading(self) -> None:
        """For a folder that cannot be written SQLite needs to be told that nobody else writes."""
        try:
            self._reader = self._connect("ro")
            self._version = schema.require_readable(self._reader)
        except sqlite3.Error as error:
            if not isinstance(typed(error), StoreReadOnly) or not Path(self.path).is_file():
                raise
            log = Path(f"{self.path}-wal")
            if log.exists() and log.stat().st_size:
                raise StoreReadOnly(
                    "the folder cannot be written, and the file's -wal holds what could not be "
                    "read then; open it once where it can be written"
                ) from None
            self._reader = self._connect("frozen")
            self._version = schema.require_readable(self._reader)
            self._notes = ("read as it was when it was opened: its folder cannot be written",)

    def _connect(self, mode: Literal["rw", "ro", "frozen"]) -> sqlite3.Connection:
        connection = schema.connect(self.path, mode, self._synchronous)
        self._connections.append(connection)
        return connection

    async def aclose(self) -> None:
        """Finish what is under way and close the file; a second call does nothing."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._stop)

    def _stop(self) -> None:
        with self._opening:
            self._let_go()

    def _let_go(self) -> None:
        if self._writer is not None:
            self._writer.close()
        with self._reading:
            self._writer = self._reader = None
            while self._connections:
                self._connections.pop().close()

    async def read(self, query: Query, /) -> Context:
        """The context of an address, by two statements on the caller's own thread."""
        key = address_key(query.tenant, query.address)
        if query.held_by:
            await self._wait(key, query)
        with telemetry.Loading(query.address.channel) as loading:
            context = self._look(lambda connection: self._context(connection, key, query))
            return loading.found(context)

    def _look(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` sees of one moment: a label that is written meanwhile with its message."""
        with self._reading:
            connection = self._require_reader()
            try:
                connection.execute("BEGIN")
                return work(connection)
            except sqlite3.Error as error:
                raise typed(error) from None
            finally:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")

    def _context(self, connection: sqlite3.Connection, key: bytes, query: Query) -> Context:
        row = connection.execute(rows.HOME_OF_ADDRESS, (key,)).fetchone()
        if row is None:
            return Context(None, NO_ID, Window(), reader=query.assurance)
        head = decode_head(row[1])
        places = order.newest(head.seq, query.window)
        found = connection.execute(rows.ENTRIES, (row[0], places.start, head.seq)).fetchall()
        order.require_whole(places, len(found))
        window = Window([body for (body,) in found], places, decode_entries)
        return view(
            head, decode_contact(row[2]), row[3], window, query.reader
        )  # fmt: skip

    async def _wait(self, key: bytes, query: Query) -> None:
        """Wait until the turn has ended that holds the lease under the fence of the query.

        SQLite tells nobody of a commit, but what it says of its own version is cheap to look at and
        changes with the commits of other processes too.
        """
        ends = anyio.current_time() + query.patience_seconds
        seen: int | None = None
        while True:
            seen = self._changed(seen, key, query.held_by)
            left = ends - anyio.current_time()
            if seen is None or left <= 0:
                return
            await anyio.sleep(min(_LOOK_SECONDS, left))

    def _changed(self, seen: int | None, key: bytes, fence: int) -> int | None:
        """The version of the file, if the turn still runs in it; `seen` is one where it did."""
        with self._reading:
            connection = self._require_reader()
            try:
                (version,) = connection.execute("PRAGMA data_version").fetchone()
                if version == seen:
                    return seen
                row = connection.execute(rows.HEAD_OF_ADDRESS, (key,)).fetchone()
            except sqlite3.Error as error:
                raise typed(error) from None
        head = decode_head(row[0]) if row else None
        runs = head is not None and head.lease_end and head.fence == fence
        return int(version) if runs else None

    def stamp(self) -> int:
        """Another number after every write of any process: a few microseconds (`data_version`)."""
        with self._reading:
            try:
                (version,) = self._require_reader().execute("PRAGMA data_version").fetchone()
            except sqlite3.Error as error:
                raise typed(error) from None
        return int(version)

    def _require_reader(self) -> sqlite3.Connection:
        if self._reader is None:
            raise StoreClosed(_NOT_OPEN)
        if self._process != os.getpid():
            raise StoreClosed("the store was opened before this process was forked: open it here")
        return self._reader

    async def _write(
        self,
        work: Callable[[sqlite3.Connection], T],
        undo: Callable[[T], Work | None] = lambda _: None,
    ) -> T:
        self._require_reader()
        if self._writer is None:
            raise StoreReadOnly("the store was opened for reading only; nothing was changed")
        return await self._writer.run(work, undo)

    async def open(self, claim: Claim, /) -> Opened:
        """Open a turn; see `Store.open`."""
        opened = await self._write(
            lambda connection: statements.open_turn(connection, claim),
            lambda opened: statements.release_of(claim, opened),
        )
        self._latest = claim.now
        return opened

    async def commit(self, change: Change, /) -> Committed | Refused:
        """Commit a turn; see `Store.commit`."""
        return await self._write(lambda connection: statements.commit_turn(connection, change))

    async def deliver(self, step: Take | Settle, /) -> Taken:
        """Claim a delivery or settle it; see `Store.deliver`."""
        if isinstance(step, Take):
            taken = await self._write(
                lambda connection: outbox.take(connection, step),
                lambda taken: outbox.release_of(step, taken),
            )
        else:
            taken = await self._write(lambda connection: outbox.settle(connection, step))
        self._latest = step.now
        return taken

    async def scan(self, scan: Scan, /) -> Sequence[Found]:
        """What is due, pending or dead; see `Store.scan`. On the caller's own thread."""
        work = listing.conversations if scan.what == "conversations" else outbox.scan
        return self._look(lambda connection: work(connection, scan))

    async def identify(self, claim: LinkClaim | Merge | Split, /) -> Identified:
        """Link, merge or split; see `Store.identify`."""
        match claim:
            case Merge():
                return await self._write(lambda connection: joining.merge(connection, claim))
            case Split():
                return await self._write(lambda connection: joining.split(connection, claim))
        return await self._write(lambda connection: statements.identify(connection, claim))

    async def erase(self, erase: Erase, /) -> Erased:
        """Erase a contact; see `Store.erase`. The file is written anew without it."""
        erased = await self._write(lambda connection: erasing.erase(connection, erase))
        self._overwritten = self._overwritten or erased.status == "erased"
        if not (erase.settles and self._overwritten):
            return erased
        self._overwritten = not await anyio.to_thread.run_sync(self._rebuild)
        if self._overwritten:
            return replace(erased, remains=(*erased.remains, erasing.LEFT_IN_FILE))
        return erased

    def _rebuild(self) -> bool:
        connection = schema.connect(self.path, "rw", self._synchronous)
        try:
            return erasing.rebuild(connection, Path(self.path).stat().st_size)
        except sqlite3.Error:
            return False
        finally:
            connection.close()

    async def records(self, operation: RecordRead | RecordWrite, /) -> Record | None:
        """Read or write a record; see `Store.records`."""
        if isinstance(operation, RecordRead):
            return await self._record(operation)
        record = await self._write(lambda c: statements.write_record(c, operation))
        if record == "conflict":
            raise Conflict("a record has another revision than expected; read it again")
        return record

    async def _record(self, read: RecordRead) -> Record | None:
        ends, seen = anyio.current_time() + read.patience_seconds, self.stamp()
        record = self._read_record(read)
        while fold.revision_of(record) == read.held and (left := ends - anyio.current_time()) > 0:
            await anyio.sleep(min(_LOOK_FOR_RECORD_SECONDS, left))
            before, seen = seen, self.stamp()
            if seen != before:
                record = self._read_record(read)
        return record

    def _read_record(self, operation: RecordRead) -> Record | None:
        key = record_key(operation.tenant, operation.scope, operation.name)
        with self._reading:
            try:
                row = self._require_reader().execute(rows.RECORD, (key,)).fetchone()
            except sqlite3.Error as error:
                raise typed(error) from None
        held = decode_record(row[0]) if row else None
        return None if held is None or fold.expired(held, operation.now) else held
