"""Files that are wrong, full, locked away or damaged: a typed error, and what was stored stays."""

import ctypes
import resource
import signal
import sqlite3
import subprocess
import sys
import time

import anyio
import pytest

from ctxbridge import errors
from ctxbridge.model import Committed
from ctxbridge.stores import open_store
from ctxbridge.stores.sqlite import SqliteStore, schema, statements
from ctxbridge.testing.actor import Actor, raises, texts


@pytest.fixture
def anyio_backend():
    return "asyncio"


def obey_permissions():
    """Let go of root's power to write everywhere (CAP_DAC_OVERRIDE), which exec then cannot regain."""
    drop_from_bounding_set, dac_override = 24, 1
    ctypes.CDLL(None).prctl(drop_from_bounding_set, dac_override, 0, 0, 0)


async def fill(path, replies=1):
    """A file with one finished turn; gives the actor and the contact."""
    actor = Actor()
    async with SqliteStore(str(path)) as store:
        opened = await store.open(actor.claim("hello"))
        await store.commit(actor.change(opened, *["ok"] * replies, state=b"s"))
    return actor, opened.context.contact.id


async def refused_at_once(path, kind):
    started = time.monotonic()
    error = await raises(kind, SqliteStore(str(path)).check())
    assert time.monotonic() - started < 4.0, "the time that a lock is waited for is 5 s"
    assert str(path) in str(error), "the error names the file"
    return error


class TestWrongFiles:
    @pytest.mark.parametrize("content", [b"x", b"my notes\n", b"These are my notes.\n" * 100])
    async def test_no_database(self, tmp_path, content):
        path = tmp_path / "notes.txt"
        path.write_bytes(content)
        before = path.read_bytes()
        await refused_at_once(path, errors.UnknownFormat)
        assert path.read_bytes() == before

    async def test_another_programs_database_is_not_written_into(self, tmp_path):
        path = tmp_path / "other.db"
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE theirs (x)")
        connection.close()
        before = path.read_bytes()
        await refused_at_once(path, errors.UnknownFormat)
        assert path.read_bytes() == before

    async def test_a_newer_file_is_refused_and_told_apart(self, tmp_path):
        path = tmp_path / "newer.db"
        await fill(path)
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version=99")
        connection.close()
        error = await refused_at_once(path, errors.UnknownFormat)
        assert "99" in str(error)
        assert "upgrade" in str(error)

    async def test_a_folder_or_a_missing_folder(self, tmp_path):
        await refused_at_once(tmp_path, errors.UnknownFormat)
        await refused_at_once(tmp_path / "missing" / "x.db", errors.StoreReadOnly)

    async def test_an_empty_file_is_a_new_store(self, tmp_path):
        path = tmp_path / "empty.db"
        path.touch()
        await fill(path)

    @pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:///", "mysql://x", "memory://?x=1",
                                     "sqlite:///x.db?mode=no", "sqlite://host/x.db"])  # fmt: skip
    async def test_an_address_that_is_none(self, url):
        with pytest.raises(errors.ConfigurationError):
            open_store(url)


class TestMigration:
    async def test_a_file_is_brought_from_version_to_version(self, tmp_path):
        path = tmp_path / "old.db"
        await fill(path)
        connection = schema.connect(str(path), "rw", "full")
        migrations = (
            *schema.MIGRATIONS,
            "ALTER TABLE home ADD COLUMN extra; CREATE TABLE more (x)",
        )
        newest = len(migrations)
        assert schema.migrate(connection, migrations) == newest
        assert schema.migrate(connection, migrations) == newest
        assert connection.execute("PRAGMA user_version").fetchone() == (newest,)
        assert connection.execute("SELECT count(*) FROM entry").fetchone() == (2,)
        connection.close()
        await refused_at_once(path, errors.UnknownFormat)

    async def test_a_migration_that_fails_leaves_the_file_as_it_was(self, tmp_path):
        path = tmp_path / "old.db"
        actor, _ = await fill(path)
        connection = schema.connect(str(path), "rw", "full")
        broken = (*schema.MIGRATIONS, "CREATE TABLE more (x); CREATE TABLE entry (x)")
        with pytest.raises(sqlite3.Error):
            schema.migrate(connection, broken)
        connection.close()
        async with SqliteStore(str(path)) as store:
            assert texts(await store.read(actor.query())) == ["hello", "ok"]


class TestReadOnly:
    async def test_mode_ro_reads_and_refuses_to_write(self, tmp_path):
        path = tmp_path / "x.db"
        actor, contact = await fill(path)
        async with open_store(f"sqlite:///{path}?mode=ro") as store:
            assert texts(await store.read(actor.query())) == ["hello", "ok"]
            assert not (await store.check()).writable
            await raises(errors.StoreReadOnly, store.commit(actor.note(contact)))

    async def test_a_file_that_may_not_be_written_is_read(self, tmp_path):
        path = tmp_path / "x.db"
        await fill(path)
        path.chmod(0o444)
        tmp_path.chmod(0o555)
        program = (
            "import sys, asyncio\n"
            "from ctxbridge.stores.sqlite import SqliteStore\n"
            "from ctxbridge.testing.actor import Actor, texts\n"
            "from ctxbridge import errors\n"
            "async def main():\n"
            "    async with SqliteStore(sys.argv[1]) as store:\n"
            "        print(texts(await store.read(Actor().query())))\n"
            "        try: await store.open(Actor().claim())\n"
            "        except errors.StoreReadOnly: print('refused')\n"
            "asyncio.run(main())\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(path)],
            preexec_fn=obey_permissions, capture_output=True, text=True, check=False,
        )  # fmt: skip
        tmp_path.chmod(0o755)
        assert done.stdout.splitlines() == ["['hello', 'ok']", "refused"], done.stderr


class TestFull:
    async def test_a_full_store_refuses_and_stays_readable_and_goes_on_when_there_is_room(
        self, tmp_path
    ):
        actor, contact = await fill(tmp_path / "x.db")
        async with SqliteStore(str(tmp_path / "x.db")) as store:
            writer = store._connections[0]
            (pages,) = writer.execute("PRAGMA page_count").fetchone()
            writer.execute(f"PRAGMA max_page_count={pages + 2}")
            long = actor.note(contact, actor.message("x" * 50_000))
            error = await raises(errors.StoreFull, store.commit(long))
            assert error.retry_safe
            assert texts(await store.read(actor.query())) == ["hello", "ok"]
            writer.execute("PRAGMA max_page_count=1000000")
            assert isinstance(await store.commit(long), Committed)
            assert len(texts(await store.read(actor.query()))) == 3

    async def test_one_who_does_not_fit_does_not_take_the_others_of_the_batch_along(self, tmp_path):
        actor, contact = await fill(tmp_path / "x.db")
        outcomes = {}
        async with SqliteStore(str(tmp_path / "x.db")) as store:
            writer = store._connections[0]
            (pages,) = writer.execute("PRAGMA page_count").fetchone()
            writer.execute(f"PRAGMA max_page_count={pages + 4}")

            async def write(name, text):
                try:
                    await store.commit(actor.note(contact, actor.message(text)))
                    outcomes[name] = "stored"
                except errors.StoreFull:
                    outcomes[name] = "full"

            async with anyio.create_task_group() as group:
                for number in range(5):
                    group.start_soon(write, number, "x" * 100_000 if number == 2 else "short")
        assert outcomes == {0: "stored", 1: "stored", 2: "full", 3: "stored", 4: "stored"}

    async def test_a_disk_that_fails_in_the_middle(self, tmp_path):
        """A file size limit of the system: the write itself fails, as on a full disk."""
        path = tmp_path / "x.db"
        actor, contact = await fill(path)
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            async with SqliteStore(str(path)) as store:
                resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
                long = [actor.note(contact, actor.message("x" * 60_000)) for _ in range(10)]
                kinds = set()
                for change in long:
                    try:
                        await store.commit(change)
                    except errors.StoreError as error:
                        kinds.add(type(error))
                assert kinds
                assert all(kind.retry_safe for kind in kinds)
                assert kinds <= {errors.StoreFull, errors.OutcomeUnknown, errors.Unavailable}
                assert texts(await store.read(actor.query()))[:2] == ["hello", "ok"]
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
                for change in long:
                    assert isinstance(await store.commit(change), Committed)
                assert len(texts(await store.read(actor.query()))) == 12
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, before)


class TestDamage:
    async def change_file(self, path, statement, *values):
        with sqlite3.connect(path) as connection:
            assert connection.execute(statement, values).rowcount > 0
        connection.close()

    async def test_a_missing_entry_is_reported_as_torn(self, tmp_path):
        path = tmp_path / "x.db"
        actor, _ = await fill(path, replies=5)
        await self.change_file(path, "DELETE FROM entry WHERE seq = 3")
        async with SqliteStore(str(path)) as store:
            await raises(errors.CorruptRecord, store.read(actor.query()))
            await raises(errors.CorruptRecord, store.open(actor.claim("new", message_id="SM9")))
            intact = await store.read(actor.query(window=2))
            assert texts(intact) == ["ok", "ok"]

    @pytest.mark.parametrize(
        ("body", "kind"),
        [(b"", errors.CorruptRecord), (b"\x00", errors.CorruptRecord),
         (b"\x01", errors.CorruptRecord), (b"\x01\xc1\xff", errors.CorruptRecord),
         (b"\x01\x93\x00\xa1\xff\x00", errors.CorruptRecord), (b"\x01" + b"\x91" * 5000, errors.CorruptRecord),
         (b"\x02\x90", errors.UnknownFormat), (b"\xff", errors.UnknownFormat)],
    )  # fmt: skip
    async def test_a_damaged_or_newer_entry_is_reported_when_it_is_touched(
        self, tmp_path, body, kind
    ):
        path = tmp_path / "x.db"
        actor, _ = await fill(path)
        await self.change_file(path, "UPDATE entry SET body = ? WHERE seq = 1", body)
        async with SqliteStore(str(path)) as store:
            window = (await store.read(actor.query())).window
            assert window[1].text == "ok"
            with pytest.raises(kind):
                window[0]

    @pytest.mark.parametrize("column", ["head", "contact"])
    @pytest.mark.parametrize("body", [b"", b"\x01", b"\x01" * 40, b"\x09" + bytes(200)])
    async def test_a_damaged_head_or_contact_is_reported(self, tmp_path, column, body):
        path = tmp_path / "x.db"
        actor, _ = await fill(path)
        await self.change_file(path, f"UPDATE home SET {column} = ?", body)
        async with SqliteStore(str(path)) as store:
            await raises(errors.StoreError, store.read(actor.query()))
            await raises(errors.StoreError, store.open(actor.claim("new", message_id="SM9")))

    async def test_overwritten_pages_are_reported(self, tmp_path):
        path = tmp_path / "x.db"
        actor, _ = await fill(path, replies=200)
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * 4096 * 3)
        with pytest.raises(errors.StoreError):
            async with SqliteStore(str(path)) as store:
                list((await store.read(actor.query())).window)


class TestSharing:
    async def test_two_processes_share_a_file(self, tmp_path):
        path = tmp_path / "x.db"
        async with SqliteStore(str(path)) as here, SqliteStore(str(path)) as there:
            actor = Actor()
            opened = await here.open(actor.claim())
            assert (await there.open(actor.claim())).status == "busy"
            await here.commit(actor.change(opened, "ok"))
            again = await there.open(actor.claim())
            assert (again.status, [m.text for m in again.answer]) == ("duplicate", ["ok"])

    async def test_what_has_expired_is_let_go_of_when_idle(self, tmp_path):
        path = tmp_path / "x.db"
        actor = Actor()
        async with SqliteStore(str(path)) as store:
            opened = await store.open(actor.claim(remember_seconds=1.0))
            await store.commit(actor.change(opened, remember_seconds=1.0))
            await store.records(actor.write_record("k", b"v", lifetime_seconds=1.0))
            actor.now += 10_000
            contact = opened.context.contact.id

            def tidy(connection):
                connection.execute("COMMIT")
                statements.tidy(connection, {}, actor.now)
                connection.execute("BEGIN")

            await store._write(tidy)
            await anyio.sleep(0.2)
            reader = store._require_reader()
            tables = ("seen", "answer", "record")
            counts = [reader.execute(f"SELECT count(*) FROM {t}").fetchone() for t in tables]
            assert counts == [(0,)] * 3
            assert isinstance(
                await store.commit(actor.note(contact, actor.message("x"))), Committed
            )
