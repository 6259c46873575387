"""Records, and the end of a store."""

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
