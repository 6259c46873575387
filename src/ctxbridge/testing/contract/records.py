"""Records, and the end of a store."""

import anyio
from msgspec.structs import replace

from ctxbridge.errors import Conflict, StoreClosed
from ctxbridge.ports import Store
from ctxbridge.testing.actor import MAIL, PHONE, Actor, raises


class RecordContract:
    """Records have revisions and lifetimes; a closed store refuses."""

    async def test_a_record_is_read_as_it_was_written(self, store: Store) -> None:
        actor = Actor()
        assert await store.records(actor.read_record("k")) is None
        for revision, value in ((1, b"one"), (2, b""), (3, bytes(range(256)))):
            written = await store.records(actor.write_record("k", value))
            assert written is not None
            assert (written.value, written.revision) == (value, revision)
            assert await store.records(actor.read_record("k")) == written
        assert await store.records(actor.read_record("k", scope="elsewhere")) is None

    async def test_a_record_of_another_revision_than_expected_is_a_conflict(
        self, store: Store
    ) -> None:
        actor = Actor()
        await store.records(actor.write_record("k", b"1", revision=0))
        await raises(Conflict, store.records(actor.write_record("k", b"x", revision=0)))
        await raises(Conflict, store.records(actor.write_record("k", b"x", revision=2)))
        await store.records(actor.write_record("k", b"2", revision=1))
        await raises(Conflict, store.records(actor.write_record("k", None, revision=1)))
        assert await store.records(actor.write_record("k", None, revision=2)) is None
        assert await store.records(actor.read_record("k")) is None

    async def test_a_record_ends_with_its_lifetime(self, store: Store) -> None:
        actor = Actor()
        await store.records(actor.write_record("k", b"1", lifetime_seconds=1.0))
        actor.now += 999
        assert await store.records(actor.read_record("k")) is not None
        actor.now += 1
        assert await store.records(actor.read_record("k")) is None
        again = await store.records(actor.write_record("k", b"2", revision=0))
        assert again is not None
        assert again.revision == 2, "who still holds the revision that expired cannot win"
        tiny = await store.records(actor.write_record("t", b"1", lifetime_seconds=0.0001))
        assert tiny is not None
        assert tiny.expires_at > actor.now

    async def test_who_waits_for_a_record_is_answered_when_it_changes(self, store: Store) -> None:
        actor, seen = Actor(), list[tuple[int, bytes]]()

        async def wait(held: int) -> None:
            read = replace(actor.read_record("k"), held=held, patience_seconds=20.0)
            record = await store.records(read)
            assert record is not None
            seen.append((record.revision, record.value))

        with anyio.fail_after(10.0):
            async with anyio.create_task_group() as group:
                group.start_soon(wait, 0)
                group.start_soon(wait, 0)
                await anyio.sleep(0.02)
                assert seen == []
                await store.records(actor.write_record("else", b"x"))
                await store.records(actor.write_record("k", b"one"))
            async with anyio.create_task_group() as group:
                group.start_soon(wait, 0)  # it has another already
                group.start_soon(wait, 1)
                await anyio.sleep(0.1)
                assert len(seen) == 3
                await store.records(actor.write_record("k", b"two"))
        assert sorted(seen) == [(1, b"one")] * 3 + [(2, b"two")]

    async def test_who_waits_for_a_record_does_so_no_longer_than_patience(
        self, store: Store
    ) -> None:
        actor = Actor()
        with anyio.fail_after(5.0):
            read = replace(actor.read_record("k"), patience_seconds=0.05)
            assert await store.records(read) is None
            written = await store.records(actor.write_record("k", b"one"))
            assert await store.records(replace(read, held=1)) == written

    # --- the end ----------------------------------------------------------------------------------

    async def test_a_closed_store_refuses_and_closing_twice_is_fine(self, store: Store) -> None:
        actor = Actor()
        claim, note = actor.claim(), actor.note(actor.id())
        await store.aclose()
        await store.aclose()
        await raises(StoreClosed, store.open(claim))
        await raises(StoreClosed, store.read(actor.query()))
        await raises(StoreClosed, store.commit(note))
        await raises(StoreClosed, store.identify(actor.link(PHONE, MAIL)))
        await raises(StoreClosed, store.records(actor.read_record("k")))
        await raises(StoreClosed, store.scan(actor.scan()))
        await raises(StoreClosed, store.deliver(actor.take(actor.id(), actor.id())))
        await raises(StoreClosed, store.deliver(actor.settle("sent", recipient=PHONE)))

    async def test_the_report_says_what_the_store_can_give(self, store: Store) -> None:
        report = await store.check()
        assert report.writable
        assert report.kind
