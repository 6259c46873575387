"""The store on a file, beside aiosqlite doing the same and the standard library as the floor."""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal, TypeVar

from bench import corpus
from bench.corpus import Person
from bench.harness import (
    Goal,
    Outcome,
    Plan,
    Sample,
    Trial,
    Variant,
    by_callers,
    compare,
    p50,
    per_second,
    require_equal,
)
from bench.peers.aiosqlite_peer import AiosqlitePeer, Stored, decode, fill
from bench.peers.inline import Inline
from ctxbridge.model import Change, Committed, Message, Query
from ctxbridge.stores.sqlite import SqliteStore

T = TypeVar("T")
Append = Callable[[Change], Awaitable[int]]

MANY = 64

LOOK_UP, LOOK_UP_BARE = "SQLite look-up", "SQLite look-up, no decisions stored"
PEER = "aiosqlite"
OURS, RAW, FLOOR = "read, all decoded", "read, nothing decoded", "sqlite3 inline, raw rows"
FULL, NORMAL = "commit, FULL", "commit, NORMAL"
PEER_NORMAL, FLOOR_NORMAL = "aiosqlite, NORMAL", "sqlite3 inline, NORMAL"


async def run(plan: Plan) -> Outcome:
    everybody = corpus.people(plan.random)
    async with AsyncExitStack() as stack:
        reading = await look_up(plan, everybody, stack)
        if not plan.quick:
            bare = corpus.people(plan.random, judged=False)
            reading += await look_up(plan, bare, stack, LOOK_UP_BARE)
    async with AsyncExitStack() as stack:
        writing = await append(plan, everybody, stack)
    rows = [row for trial in reading for row in trial.rows(PEER)]
    rows += [row for trial in writing for row in trial.rows(PEER_NORMAL)]
    return Outcome(rows, _goals(reading, writing))


def _goals(reading: Sequence[Trial], writing: Sequence[Trial]) -> list[Goal]:
    one, many, *_ = reading
    _, appending = writing
    return [
        Goal(
            "G14@64", "SQLite: look-ups of 20 messages with state, all decoded, per second, "
            "against aiosqlite, 64 callers",
            ">=", 3.0, "x", many.times(OURS, PEER, per_second),
        ),
        Goal(
            "G14@1", "SQLite: the same, p50 of aiosqlite against ours, 1 caller",
            ">=", 3.0, "x", one.times(PEER, OURS, p50),
        ),
        Goal(
            "G14 append", "SQLite: durable appends (FULL) per second, against aiosqlite with "
            "NORMAL, 64 callers",
            ">=", 4.0, "x", appending.times(FULL, PEER_NORMAL, per_second),
        ),
        Goal(
            "G14 FULL", "SQLite: how much slower appends are with FULL than with NORMAL, 64 "
            "callers",
            "<=", 1.2, "x", appending.times(NORMAL, FULL, per_second),
        ),
    ]  # fmt: skip


async def _store(
    stack: AsyncExitStack,
    path: Path,
    everybody: Sequence[Person],
    synchronous: Literal["full", "normal"] = "full",
) -> SqliteStore:
    store = await stack.enter_async_context(SqliteStore(str(path), synchronous=synchronous))
    await corpus.store_all(store, everybody)
    return store


async def _peer(stack: AsyncExitStack, path: Path, everybody: Sequence[Person]) -> AiosqlitePeer:
    _fill(path, everybody)
    return await stack.enter_async_context(AiosqlitePeer(path))


def _floor(stack: AsyncExitStack, path: Path, everybody: Sequence[Person]) -> Inline:
    _fill(path, everybody)
    floor = Inline(path)
    stack.callback(floor.close)
    return floor


def _fill(path: Path, everybody: Sequence[Person]) -> None:
    fill(path, [Stored(str(p.address), p.id, p.state, p.messages) for p in everybody])


def _variant(
    name: str, callers: int, call: Callable[[T], Awaitable[object]], arguments: Sequence[T]
) -> Variant:
    async def take() -> Sample:
        return await by_callers(callers, call, arguments)

    return Variant(name, take)


class Readers:
    """Those that look up, each in a file of its own with the same contacts."""

    def __init__(self, store: SqliteStore, peer: AiosqlitePeer, floor: Inline) -> None:
        self.store, self.peer, self.floor = store, peer, floor

    async def ours(self, query: Query) -> tuple[list[Message], bytes | None]:
        """Read, and decode every message of the window."""
        context = await self.store.read(query)
        return context.messages, context.state

    async def require_equal(self, person: Person) -> None:
        query, address = Query(corpus.TENANT, person.address), str(person.address)
        theirs = await self.peer.look_up(address)
        state, bodies = await self.floor.look_up(address)
        answers = {
            "corpus": corpus.answer_of(person.messages[-corpus.WINDOW :], person.state),
            OURS: corpus.answer_of(*await self.ours(query)),
            RAW: corpus.answer(await self.store.read(query)),
            PEER: corpus.answer_of(theirs.messages, theirs.state),
            FLOOR: corpus.answer_of([decode(body) for body in bodies], state),
        }
        require_equal("SQLite look-up", answers)

    def variants(self, callers: int, chosen: Sequence[Person]) -> list[Variant]:
        queries = [Query(corpus.TENANT, person.address) for person in chosen]
        addresses = [str(person.address) for person in chosen]
        return [
            _variant(PEER, callers, self.peer.look_up, addresses),
            _variant(OURS, callers, self.ours, queries),
            _variant(RAW, callers, self.store.read, queries),
            _variant(FLOOR, callers, self.floor.look_up, addresses),
        ]


async def look_up(
    plan: Plan, everybody: Sequence[Person], stack: AsyncExitStack, name: str = LOOK_UP
) -> list[Trial]:
    folder = plan.folder / name
    folder.mkdir()
    readers = Readers(
        await _store(stack, folder / "ours.db", everybody),
        await _peer(stack, folder / "peer.db", everybody),
        _floor(stack, folder / "floor.db", everybody),
    )
    for person in everybody:
        await readers.require_equal(person)
    return [
        await compare(
            plan, name,
            readers.variants(callers, plan.random.choices(everybody, k=4 * MANY)),
            rounds=plan.size(41, 6), callers=callers,
        )
        for callers in (1, MANY)
    ]  # fmt: skip


class Appender:
    """One that appends: how to ask it, where its file lies, and how to see what it has."""

    def __init__(
        self,
        path: Path,
        call: Append,
        look_up: Callable[[Person], Awaitable[corpus.Answer]],
    ) -> None:
        self.path, self.call, self.look_up = path, call, look_up

    async def take(self, callers: int, changes: Sequence[Change]) -> Sample:
        """Each sample begins with an empty log of its file, so nobody pays for another's."""
        with sqlite3.connect(self.path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.close()
        return await by_callers(callers, self.call, changes)


def _of_store(store: SqliteStore) -> Appender:
    async def append(change: Change) -> int:
        stored = await store.commit(change)
        assert isinstance(stored, Committed)
        return stored.seq

    async def look_up(person: Person) -> corpus.Answer:
        return corpus.answer(await store.read(Query(corpus.TENANT, person.address)))

    return Appender(Path(store.path), append, look_up)


def _of_peer(path: Path, peer: AiosqlitePeer) -> Appender:
    async def append(change: Change) -> int:
        [message] = change.append
        assert isinstance(message, Message)
        return await peer.append(change.contact, message)

    async def look_up(person: Person) -> corpus.Answer:
        found = await peer.look_up(str(person.address))
        return corpus.answer_of(found.messages, found.state)

    return Appender(path, append, look_up)


def _of_floor(path: Path, floor: Inline) -> Appender:
    async def append(change: Change) -> int:
        [message] = change.append
        assert isinstance(message, Message)
        return await floor.append(change.contact, message)

    async def look_up(person: Person) -> corpus.Answer:
        state, bodies = await floor.look_up(str(person.address))
        return corpus.answer_of([decode(body) for body in bodies], state)

    return Appender(path, append, look_up)


async def append(plan: Plan, everybody: Sequence[Person], stack: AsyncExitStack) -> list[Trial]:
    peer_path, floor_path = plan.folder / "write-peer.db", plan.folder / "write-floor.db"
    full = await _store(stack, plan.folder / "write-full.db", everybody)
    normal = await _store(stack, plan.folder / "write-normal.db", everybody, "normal")
    appenders = {
        PEER_NORMAL: _of_peer(peer_path, await _peer(stack, peer_path, everybody)),
        FULL: _of_store(full),
        NORMAL: _of_store(normal),
        FLOOR_NORMAL: _of_floor(floor_path, _floor(stack, floor_path, everybody)),
    }
    await _require_idempotent(plan, everybody, appenders)
    return [
        await _appending(plan, everybody, appenders, callers, calls)
        for callers, calls in ((1, MANY), (MANY, 5 * MANY))
    ]


async def _appending(
    plan: Plan,
    everybody: Sequence[Person],
    appenders: Mapping[str, Appender],
    callers: int,
    calls: int,
) -> Trial:
    def variant(name: str, appender: Appender) -> Variant:
        async def take() -> Sample:
            chosen = plan.random.choices(everybody, k=calls)
            changes = [corpus.addition(plan.random, person) for person in chosen]
            return await appender.take(callers, changes)

        return Variant(name, take)

    variants = [variant(name, appender) for name, appender in appenders.items()]
    rounds = plan.size(41, 5)
    return await compare(plan, "SQLite append", variants, rounds=rounds, callers=callers)


async def _require_idempotent(
    plan: Plan, everybody: Sequence[Person], appenders: Mapping[str, Appender]
) -> None:
    """All give the same places to the same messages, and to a repeated one the old place."""
    chosen = plan.random.choices(everybody, k=200)
    changes = [corpus.addition(plan.random, person) for person in chosen]
    changes += changes[::7]
    places = {
        name: [await appender.call(change) for change in changes]
        for name, appender in appenders.items()
    }
    require_equal("SQLite append", places)
    counts: dict[bytes, int] = {person.id: len(person.messages) for person in everybody}
    dense: list[int] = []
    for change in changes[:200]:
        counts[change.contact] += 1
        dense.append(counts[change.contact])
    require_equal("SQLite append", {"dense": dense, FULL: places[FULL][:200]})
    for person in chosen:
        found = {name: await appender.look_up(person) for name, appender in appenders.items()}
        require_equal("SQLite append", found)
