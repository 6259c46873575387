"""The thread that writes: it outlives mistakes, loses nobody, and ends when told to."""

import os
import sqlite3
import threading
from pathlib import Path

import anyio
import pytest

from ctxbridge import errors
from ctxbridge.model import Committed
from ctxbridge.stores.sqlite import SqliteStore, schema
from ctxbridge.testing.actor import Actor, raises, texts


def threads():
    return [t for t in threading.enumerate() if t.name == "ctxbridge-sqlite"]


@pytest.fixture
def writers():
    """Tells the threads of stores that the test itself has opened and not closed."""
    before = threads()
    return lambda: [t for t in threads() if t not in before]


def open_files():
    """How many files this process holds, where the system tells."""
    listing = Path("/proc/self/fd")
    return len(list(listing.iterdir())) if listing.is_dir() else 0


def exit_code_of(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
async def store(tmp_path):
    async with SqliteStore(str(tmp_path / "x.db")) as store:
        yield store


async def contact_of(store, actor):
    opened = await store.open(actor.claim())
    await store.commit(actor.change(opened))
    return opened.context.contact.id


async def test_closing_while_others_open_leaves_nobody_hanging(tmp_path, writers):
    for attempt in range(40):
        store = SqliteStore(str(tmp_path / "x.db"))
        await store.check()
        outcomes = []

        async def ask(store, number, attempt, outcomes):
            try:
                await store.open(
                    Actor(seed=number).claim(f"{attempt}", message_id=f"{attempt}.{number}")
                )
                outcomes.append("stored")
            except errors.StoreClosed:
                outcomes.append("closed")

        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for number in range(6):
                    group.start_soon(ask, store, number, attempt, outcomes)
                    if number == attempt % 6:
                        group.start_soon(store.aclose)
        assert len(outcomes) == 6
        await store.aclose()
    assert writers() == []


async def test_checking_at_once_opens_one_file_and_closing_at_once_finishes_the_work(
    tmp_path, writers
):
    store = SqliteStore(str(tmp_path / "x.db"))
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(store.check)
    assert len(writers()) == 1
    actor = Actor()
    contact = await contact_of(store, actor)
    outcomes = []

    async def write(number):
        outcomes.append(await store.commit(actor.note(contact, actor.message(f"{number}"))))

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(write, number)
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        for _ in range(3):
            group.start_soon(store.aclose)
    assert [type(o) for o in outcomes] == [Committed] * 4
    assert writers() == []


async def test_the_thread_outlives_every_mistake(store):
    async def try_work(work):
        return await raises(errors.Unavailable, store._write(work))

    def broken(error):
        def work(_):
            raise error

        return work

    for mistake in (OverflowError("x"), KeyboardInterrupt(), SystemExit(), MemoryError()):
        await try_work(broken(mistake))
    store._latest = 2**70  # no number that SQLite can hold: tidying up fails
    actor = Actor()
    contact = await contact_of(store, actor)
    await anyio.sleep(0.2)
    assert isinstance(await store.commit(actor.note(contact, actor.message("alive"))), Committed)


async def test_a_conflict_does_not_part_a_batch(store):
    transactions = []
    store._connections[0].set_trace_callback(
        lambda s: transactions.append(s) if s.startswith("COMMIT") else None
    )
    actor = Actor()
    await store.records(actor.write_record("k", b"1", revision=0))
    transactions.clear()
    outcomes = []

    async def write(number):
        try:
            await store.records(actor.write_record("k", b"2", revision=1))
            outcomes.append("written")
        except errors.Conflict:
            outcomes.append("conflict")

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(write, number)
    assert sorted(outcomes) == ["conflict"] * 19 + ["written"]
    assert len(transactions) == 1, "one tick, one transaction"


async def test_callers_of_one_tick_share_a_transaction(store):
    actor = Actor()
    contact = await contact_of(store, actor)
    commits = []
    store._connections[0].set_trace_callback(
        lambda s: commits.append(s) if s.startswith("COMMIT") else None
    )
    async with anyio.create_task_group() as group:
        for number in range(64):
            group.start_soon(store.commit, actor.note(contact, actor.message(f"{number}")))
    assert len(commits) == 1
    assert len(texts(await store.read(actor.query()))) == 65


async def test_a_lock_of_another_process_is_waited_for_once(store, tmp_path):
    store._connections[0].execute("PRAGMA busy_timeout=300")
    actor = Actor()
    contact = await contact_of(store, actor)
    other = schema.connect(str(tmp_path / "x.db"), "rw", "full")
    other.execute("BEGIN IMMEDIATE")
    outcomes = []

    async def write(number):
        outcomes.append(
            await raises(errors.Unavailable, store.commit(actor.note(contact, actor.message("x"))))
        )

    with anyio.fail_after(4):  # each for itself would take 6
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(write, number)
    assert all(type(o) is errors.Unavailable and o.retry_safe for o in outcomes)
    other.execute("ROLLBACK")
    other.close()
    assert isinstance(await store.commit(actor.note(contact, actor.message("x"))), Committed)


async def test_a_forked_child_is_told_to_open_for_itself(store):
    actor = Actor()
    claim = actor.claim()
    child = os.fork()
    if child == 0:
        try:
            store.open(claim).send(None)
        except errors.StoreClosed as error:
            os._exit(7 if "fork" in str(error) else 1)
        finally:
            os._exit(2)
    assert exit_code_of(child) == 7


async def test_a_file_that_fails_to_open_leaves_nothing_open(tmp_path, writers):
    before = open_files()
    (tmp_path / "bad.db").write_bytes(b"no database at all, but long enough" * 100)
    for _ in range(5):
        await raises(errors.UnknownFormat, SqliteStore(str(tmp_path / "bad.db")).check())
        await raises(errors.ConfigurationError, SqliteStore("nul\x00.db").check())
        await raises(errors.ConfigurationError, SqliteStore("lone\ud800.db").check())
    assert writers() == []
    assert open_files() <= before + 1


async def test_a_label_written_meanwhile_is_never_shown_without_its_flag(store, tmp_path):
    """A reader sees one moment: either the message without its label, or the label and no message."""
    from msgspec.structs import replace

    from ctxbridge.model import Assurance

    stop = False

    async def read():
        low = Actor().query(assurance=Assurance.CHANNEL)
        while not stop:
            for message in (await store.read(low)).messages:
                assert not message.labels
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        for number in range(200):
            actor = Actor(seed=number)
            claim = actor.claim(f"{number}", message_id=f"{number}")
            opened = await store.open(claim)
            accepted = replace(claim.message, disposition="accepted", labels=("health",))
            await store.commit(actor.change(opened, accept=accepted))
        stop = True


async def test_a_log_that_cannot_be_read_is_not_passed_over(tmp_path):
    """With its folder read-only, a file beside a full -wal would be read as it was long ago."""
    path = tmp_path / "x.db"
    actor = Actor()
    async with SqliteStore(str(path)) as store:
        await contact_of(store, actor)
        copy = tmp_path / "copy"
        copy.mkdir()
        (copy / "x.db").write_bytes(path.read_bytes())
        (copy / "x.db-wal").write_bytes(path.with_name("x.db-wal").read_bytes())
    reader = SqliteStore(str(copy / "x.db"), mode="ro")
    real = schema.connect

    def without_index(file, mode, synchronous):
        if mode == "ro":
            error = sqlite3.OperationalError("unable to open database file")
            error.sqlite_errorcode, error.sqlite_errorname = (
                sqlite3.SQLITE_CANTOPEN,
                "SQLITE_CANTOPEN",
            )
            raise error
        return real(file, mode, synchronous)

    schema.connect = without_index
    try:
        error = await raises(errors.StoreReadOnly, reader.check())
    finally:
        schema.connect = real
    assert "-wal" in str(error)
