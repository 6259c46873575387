"""The outbox and waiting on a file: old files, other processes, read-only files, and what it costs."""

import sqlite3
import statistics
import sys
import time

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from msgspec.structs import replace

from ctxbridge import errors, wire
from ctxbridge.model import Address, Contact, Head, Link, Scan
from ctxbridge.rules.fold import Answer
from ctxbridge.stores import open_store
from ctxbridge.stores.sqlite import SqliteStore, schema, statements
from ctxbridge.testing.actor import OURS, PHONE, Actor, outgoing, raises, texts
from ctxbridge.testing.contract.waiting import A_MOMENT_SECONDS, waiter
from ctxbridge.wire import keys

TABLES = ("seen", "answer", "delivery", "said")
PATIENCE_SECONDS = 20.0


@pytest.fixture
async def store(tmp_path):
    async with SqliteStore(str(tmp_path / "x.db")) as store:
        yield store


def count(store, what):
    (number,) = store._require_reader().execute(f"SELECT count(*) FROM {what}").fetchone()
    return number


class TestOldFiles:
    """A file of the first version, with a finished turn and one whose worker died in it."""

    def old_file(self, path, actor):
        one, two = actor.claim("one"), actor.claim("two", message_id="SM2")
        reply = actor.message("answer", author="agent", turn=one.turn)
        head = Head(
            one.conversation, seq=3, fence=2, lease_end=actor.now + 60_000, turn=two.turn,
            assurance=2,
        )  # fmt: skip
        contact = Contact(one.contact, (Link(PHONE, one.assurance, "first seen", "channel", 1),))
        until = actor.now + 10_000_000
        answer = Answer(2, 1, 0, 1, until)
        rows = {
            "home": [(1, keys.contact_key("acme", contact.id), wire.encode_head(head),
                      wire.encode_contact(contact), b"state")],
            "address": [(keys.address_key("acme", PHONE), 1)],
            "entry": [(1, place, wire.encode_entry(entry))
                      for place, entry in enumerate((one.message, reply, two.message), 1)],
            "seen": [(keys.message_key("acme", OURS, claim.message.message_id), 1, claim.turn,
                      claim.digest, place, 2, until) for claim, place in ((one, 1), (two, 3))],
            "answer": [(one.turn, 1, *(getattr(answer, f) for f in answer.__struct_fields__))],
        }  # fmt: skip
        connection = schema.connect(str(path), "rw", "full")
        assert schema.migrate(connection, schema.MIGRATIONS[:1]) == 1
        for table, values in rows.items():
            places = ", ".join("?" * len(values[0]))
            connection.executemany(f"INSERT INTO {table} VALUES ({places})", values)
        connection.close()
        return contact.id

    async def test_its_data_is_kept_and_goes_on(self, tmp_path):
        actor = Actor()
        contact = self.old_file(tmp_path / "old.db", actor)
        async with SqliteStore(str(tmp_path / "old.db")) as store:
            assert (await store.check()).version == str(len(schema.MIGRATIONS))
            context = await store.read(actor.query())
            assert (texts(context), context.state) == (["one", "answer", "two"], b"state")
            assert (context.contact.id, context.waiting) == (contact, ())
            duplicate = await store.open(actor.claim("one"))
            assert [m.text for m in duplicate.answer] == ["answer"]
            assert (await store.open(actor.claim("two", message_id="SM2"))).status == "busy"
            actor.now += 60_000
            assert await store.scan(actor.scan()) == []
            again = await store.open(actor.claim("two", message_id="SM2"))
            assert (again.status, again.resumed, again.fence) == ("new", True, 3)
            delivery = actor.delivery()
            await store.commit(actor.change(again, "to two", deliveries=(delivery,)))
            assert [one.id for one in await store.scan(actor.scan())] == [delivery.id]

    async def test_a_new_turn_in_it_is_found_when_its_worker_dies(self, tmp_path):
        actor = Actor()
        self.old_file(tmp_path / "old.db", actor)
        async with SqliteStore(str(tmp_path / "old.db")) as store:
            actor.now += 60_000
            await store.open(actor.claim("three", message_id="SM3", lease_seconds=1.0))
            actor.now += 1_000
            (found,) = await store.scan(actor.scan())
            assert (found.message.text, found.place) == ("three", 4)

    async def test_it_is_only_read_once_it_was_brought_up_to_date(self, tmp_path):
        self.old_file(tmp_path / "old.db", Actor())
        error = await raises(
            errors.StoreReadOnly, SqliteStore(str(tmp_path / "old.db"), mode="ro").check()
        )
        assert "version 1" in str(error)


async def test_a_file_that_is_only_read_lists_and_waits_but_takes_nothing(tmp_path):
    actor = Actor()
    path, delivery = str(tmp_path / "x.db"), actor.delivery()
    async with SqliteStore(path) as writing:
        contact = await outgoing(writing, actor, delivery)
        async with open_store(f"sqlite:///{path}?mode=ro") as store:
            assert [one.id for one in await store.scan(actor.scan())] == [delivery.id]
            await raises(errors.StoreReadOnly, store.deliver(actor.take(contact, delivery.id)))
            said = actor.settle("sent", contact=contact, delivery=delivery.id)
            await raises(errors.StoreReadOnly, store.deliver(said))
            opened = await writing.open(actor.claim("two", message_id="SM2"))
            async with waiter(store, actor, opened):
                await writing.commit(actor.change(opened))
    async with open_store(f"sqlite:///{path}?mode=ro") as store:
        assert [one.delivery.status for one in await store.scan(actor.scan())] == ["pending"]


async def test_a_worker_that_is_cancelled_while_claiming_leaves_no_claim(store):
    """It sent nothing: nobody is to be told that this is unknown."""
    actor, cancelled = Actor(), 0
    for attempt in range(40):
        delivery = actor.delivery()
        contact = await outgoing(store, actor, delivery, message_id=f"SM{attempt}")
        with anyio.move_on_after(0.0002 * (attempt % 5)) as scope:
            await store.deliver(actor.take(contact, delivery.id))
        cancelled += scope.cancelled_caught
        again = await store.deliver(actor.take(contact, delivery.id))
        assert again.status == ("taken" if scope.cancelled_caught else "gone")
    assert cancelled


class TestWaiting:
    """`read` with `held_by` looks at the version of the file, and neither blocks nor holds a lock."""

    async def test_who_waits_for_a_store_that_closes_is_told(self, store):
        actor = Actor()
        opened = await store.open(actor.claim())
        query = actor.query(held_by=opened.fence, patience_seconds=20.0)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(raises, errors.StoreClosed, store.read(query))
                await anyio.sleep(A_MOMENT_SECONDS)
                await store.aclose()

    async def test_others_go_on_meanwhile(self, store):
        actor = Actor()
        opened = await store.open(actor.claim())
        async with waiter(store, actor, opened) as answers:
            for number in range(50):
                await store.open(actor.claim(message_id=f"x{number}"))
                await store.read(actor.query())
            assert answers == []
            await store.commit(actor.change(opened))

    async def test_a_commit_of_another_process_is_noticed_soon(self, tmp_path):
        """Each process opens the file for itself; `monotonic` is one clock for all of them."""
        path, actor, delays = str(tmp_path / "x.db"), Actor(), []
        async with (
            SqliteStore(path) as store,
            await anyio.open_process([sys.executable, "-c", OTHER_PROCESS, path]) as other,
        ):
            said = BufferedByteReceiveStream(other.stdout)
            for _ in range(20):
                await other.stdin.send(b"open\n")
                fence = int(await said.receive_until(b"\n", 100))
                async with anyio.create_task_group() as group:
                    group.start_soon(self.wait_for, store, actor, fence, returned := [])
                    await anyio.sleep(0.02)
                    assert returned == []
                    await other.stdin.send(b"commit\n")
                delays.append(returned[0] - float(await said.receive_until(b"\n", 100)))
            await other.stdin.aclose()
        print(f"noticed after {statistics.median(delays) * 1000:.1f} ms (median of 20)")
        assert statistics.median(delays) < 0.5
        assert max(delays) < PATIENCE_SECONDS / 2, "it was noticed, and not waited out"

    async def wait_for(self, store, actor, fence, returned):
        await store.read(actor.query(held_by=fence, patience_seconds=PATIENCE_SECONDS))
        returned.append(time.monotonic())


OTHER_PROCESS = """
import sys, time, anyio
from ctxbridge.stores.sqlite import SqliteStore
from ctxbridge.testing.actor import Actor

async def main():
    actor = Actor()
    async with SqliteStore(sys.argv[1]) as store:
        for number, line in enumerate(sys.stdin):
            if line == "open\\n":
                opened = await store.open(actor.claim(message_id=str(number)))
                print(opened.fence, flush=True)
            else:
                await store.commit(actor.change(opened, "ok"))
                print(time.monotonic(), flush=True)

anyio.run(main)
"""


async def test_what_has_expired_is_let_go_of_when_idle(store):
    actor = Actor()
    delivery = actor.delivery()
    contact = await outgoing(store, actor, delivery, remember_seconds=1.0)
    more = {"contact": contact, "remember_seconds": 1.0}
    await store.deliver(actor.settle("sent", delivery=delivery.id, provider_id="P1", **more))
    await store.deliver(actor.settle("sent", provider_id="P2", **more))
    assert [count(store, table) for table in TABLES] == [1, 1, 1, 2]

    def tidy(connection):
        connection.execute("COMMIT")
        statements.tidy(connection, {}, actor.now + 1_000)
        connection.execute("BEGIN")

    await store._write(tidy)
    assert [count(store, table) for table in TABLES] == [1, 0, 0, 0], "the id is kept for longer"


class TestWhatItCosts:
    """The way of a turn is as long as it was: what is due is written with the head."""

    async def statements_of(self, store, work):
        told = []
        connection = store._connections[0]
        connection.set_trace_callback(told.append)
        await work
        connection.set_trace_callback(None)
        return [line.split()[0] for line in told if line.split()[0] not in {"BEGIN", "COMMIT"}]

    async def test_a_turn_takes_no_more_statements_than_it_has_rows(self, store):
        actor = Actor()
        await outgoing(store, actor)
        claim = actor.claim("two", message_id="SM2")
        opening = await self.statements_of(store, store.open(claim))
        # The last looks for the control of the tenant, as does the second of a commit.
        assert opening == ["SELECT"] * 2 + ["UPDATE", "INSERT", "INSERT", "SELECT", "SELECT"]
        opened = await store.open(claim)
        accepted = replace(claim.message, disposition="accepted")
        change = actor.change(opened, "ok", accept=accepted, state=b"s")
        assert opened.status == "busy"
        committing = await self.statements_of(store, store.commit(change))
        assert committing == ["SELECT", "SELECT", "INSERT", "UPDATE", "UPDATE", "INSERT"]
        assert count(store, "home WHERE due IS NOT NULL") == 0

    async def test_a_note_leaves_what_is_due_alone(self, store):
        actor = Actor()
        opened = await store.open(actor.claim(lease_seconds=5.0))
        note = actor.note(opened.context.contact.id, actor.message("x"))
        assert await self.statements_of(store, store.commit(note)) == [
            "SELECT", "SELECT", "INSERT", "UPDATE", "INSERT",
        ]  # fmt: skip
        actor.now += 5_000
        assert [one.at for one in await store.scan(actor.scan())] == [opened.lease_end]

    @pytest.mark.parametrize("what", ["due", "pending", "dead"])
    async def test_no_list_is_found_by_looking_at_all(self, store, what):
        told = []
        connection = store._require_reader()
        connection.set_trace_callback(told.append)
        await store.scan(Actor().scan(what))
        connection.set_trace_callback(None)
        looks = [line for line in told if line.split()[0] == "SELECT"]
        assert looks
        for look in looks:
            plan = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {look}")]
            assert all(step.startswith("SEARCH") for step in plan), plan


def test_a_plan_that_looks_at_all_is_told_apart(tmp_path):
    """The negative control of the plans above."""
    connection = schema.connect(str(tmp_path / "x.db"), "rw", "normal")
    schema.migrate(connection)
    look = "EXPLAIN QUERY PLAN SELECT * FROM delivery WHERE until < 7"
    assert any(not step.startswith("SEARCH") for *_, step in connection.execute(look))
    connection.close()
    with pytest.raises(sqlite3.Error):
        connection.execute(look)


async def test_one_damaged_conversation_does_not_hold_up_the_others(tmp_path, caplog):
    path = tmp_path / "damaged.db"
    async with SqliteStore(str(path)) as store:
        actor = Actor()
        for number in range(3):
            address = Address("chat", f"{number}")
            opened = await store.open(
                actor.claim(f"{number}", address=address, message_id=f"{number}")
            )
            await store.commit(actor.change(opened, finished=False, address=address))
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE entry SET body = x'01c1' WHERE home = 2")
        connection.close()
        actor.now += 10_000
        with caplog.at_level("CRITICAL"):
            found = await store.scan(Scan(actor.tenant, actor.now))
        assert [one.message.text for one in found] == ["0", "2"]
