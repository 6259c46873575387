"""What steers a conversation from outside of it: the tenant's control, the floor, the release."""

import pytest
from msgspec.structs import replace

from ctxbridge.errors import UsageError
from ctxbridge.model import Committed, Floor, Refused
from ctxbridge.model.record import CONTROL
from ctxbridge.ports import Store
from ctxbridge.testing.actor import MAIL, PHONE, Actor, contact_of, outgoing, raises
from ctxbridge.testing.contract.outbox import taken, where_is

_SCOPE, _NAME = CONTROL
_OLD, _NEW = (5).to_bytes(8, "big") + b"old", (9).to_bytes(8, "big") + b"new"


async def _put(store: Store, actor: Actor, value: bytes, revision: int) -> None:
    await store.records(actor.write_record(_NAME, value, scope=_SCOPE, revision=revision))


class SteeringContract:
    """A newer control stops at the gate whoever does not know it; a floor raises the gate epoch."""

    async def test_who_opens_a_turn_is_told_of_a_newer_control_and_nothing_is_refused(
        self, store: Store
    ) -> None:
        actor = Actor()
        assert (await store.open(actor.claim())).control == b""
        await _put(store, actor, _OLD, 0)
        for address, known, told in ((MAIL, 0, _OLD), (MAIL, 5, b""), (PHONE, 4, _OLD)):
            claim = actor.claim(address=address, message_id=f"M{known}", control=known)
            opened = await store.open(claim)
            assert opened.control == told
            assert opened.status in {"new", "busy"}
        await _put(store, actor, _NEW, 1)
        assert (await store.open(replace(claim, control=5))).control == _NEW, "of a repetition too"
        assert (await store.open(replace(claim, tenant="else"))).control == b"", "to each his own"

    async def test_a_turn_under_an_older_control_is_refused_and_stores_nothing(
        self, store: Store
    ) -> None:
        actor = Actor()
        claim = actor.claim()
        opened = await store.open(claim)
        await _put(store, actor, _NEW, 0)
        accepted = replace(claim.message, disposition="accepted")
        change = actor.change(opened, "ok", accept=accepted, deliveries=(actor.delivery(),))
        before = await store.read(actor.query())
        for known in (0, 5, 8):
            refused = await store.commit(replace(change, control=known))
            assert refused == Refused("controlled", control=_NEW)
        assert await store.read(actor.query(fresh=True)) == before
        assert await store.scan(actor.scan("pending")) == []
        assert isinstance(await store.commit(replace(change, control=9)), Committed)
        replayed = await store.commit(replace(change, control=0))
        assert isinstance(replayed, Committed), "what was stored is stored"
        assert replayed.replayed

    async def test_what_passes_no_gate_asks_no_control(self, store: Store) -> None:
        actor = Actor()
        contact = await contact_of(store, actor)
        await _put(store, actor, _NEW, 0)
        assert isinstance(await store.commit(actor.note(contact, actor.message("x"))), Committed)
        opened = await store.open(actor.claim(message_id="SM2"))
        change = actor.change(opened, finished=False, lease_seconds=5.0)
        assert isinstance(await store.commit(change), Committed)
        assert isinstance(await store.commit(replace(change, lease_seconds=0.0)), Committed)

    async def test_a_message_without_a_turn_is_refused_under_an_older_control(
        self, store: Store
    ) -> None:
        actor = Actor()
        contact = await contact_of(store, actor)
        await _put(store, actor, _NEW, 0)
        message, delivery = actor.message("news", author="agent"), actor.delivery()
        note = actor.note(contact, message, deliveries=(delivery,))
        assert (await store.commit(note)) == Refused("controlled", control=_NEW)
        assert isinstance(await store.commit(replace(note, control=9)), Committed)

    async def test_nothing_is_claimed_under_an_older_control(self, store: Store) -> None:
        actor = Actor()
        delivery = actor.delivery()
        await outgoing(store, actor, delivery)
        where = await where_is(store, actor, delivery)
        await _put(store, actor, _NEW, 0)
        for known in (0, 8):
            stale = await store.deliver(actor.take(where, delivery.id, control=known))
            assert (stale.status, stale.control) == ("stale", _NEW)
            assert stale.delivery is not None
            assert stale.delivery.status == "pending"
            assert stale.message is not None
            assert stale.context is not None
        judged = await taken(store, actor.take(where, delivery.id, control=9))
        assert judged.attempt == 1

    async def test_who_knows_a_newer_control_than_the_store_goes_on(self, store: Store) -> None:
        """A copy that lags behind must not stop who has read the record itself."""
        actor = Actor()
        await _put(store, actor, _OLD, 0)
        claim = actor.claim(control=9)
        opened = await store.open(claim)
        assert opened.control == b""
        change = actor.change(opened, "ok", control=9)
        assert isinstance(await store.commit(change), Committed)

    async def test_a_control_is_a_record_that_is_never_lost(self, store: Store) -> None:
        actor = Actor()
        for value in (None, b"", b"short"):
            write = actor.write_record(_NAME, value, scope=_SCOPE)
            await raises(UsageError, store.records(write))
        write = actor.write_record(_NAME, _OLD, scope=_SCOPE, lifetime_seconds=1.0)
        await raises(UsageError, store.records(write))
        await _put(store, actor, _OLD, 0)
        read = await store.records(actor.read_record(_NAME, scope=_SCOPE))
        assert read is not None
        assert (read.value, read.revision) == (_OLD, 1)

    # --- the floor --------------------------------------------------------------------------------

    @pytest.mark.parametrize("floor", list(Floor))
    async def test_the_floor_goes_to_somebody_and_closes_the_gate(
        self, store: Store, floor: Floor
    ) -> None:
        actor = Actor()
        contact = await contact_of(store, actor)
        before = await store.read(actor.query())
        note = actor.note(contact, actor.message("x"), floor=floor, revision=before.revision)
        assert isinstance(await store.commit(note), Committed)
        after = await store.read(actor.query(fresh=True))
        assert (after.floor, after.gate_epoch) == (floor, before.gate_epoch + 1)
        assert after.revision == before.revision + 1
        assert await store.commit(replace(note, turn=actor.id())) == Refused(
            "conflict", after.revision, after.gate_epoch
        )

    async def test_a_turn_that_runs_cannot_speak_once_the_floor_has_gone(
        self, store: Store
    ) -> None:
        actor = Actor()
        opened = await store.open(actor.claim())
        assert opened.context.contact is not None
        await store.commit(actor.note(opened.context.contact.id, floor=Floor.HUMAN))
        outcome = await store.commit(actor.change(opened, "ok"))
        assert outcome == Refused("gated", 1, 1)

    async def test_a_turn_may_give_the_floor_away_with_its_last_words(self, store: Store) -> None:
        actor = Actor()
        claim = actor.claim()
        opened = await store.open(claim)
        accepted = replace(claim.message, disposition="accepted")
        now, later = actor.delivery(token=b"12345678"), actor.delivery(2, due=actor.now + 1_000)
        change = actor.change(
            opened, "one moment", "and more", accept=accepted, floor=Floor.QUEUE,
            deliveries=(now, later),
        )  # fmt: skip
        assert isinstance(await store.commit(change), Committed)
        context = await store.read(actor.query(fresh=True))
        assert (context.floor, context.gate_epoch, context.revision) == (Floor.QUEUE, 1, 1)
        where = await where_is(store, actor, later)
        settled = await store.deliver(
            actor.settle("sent", contact=opened.context.contact.id, delivery=now.id)  # type: ignore[union-attr]
        )
        assert settled.delivery is not None
        assert settled.delivery.status == "sent", "what it claims itself has left"
        actor.now += 1_000
        stale = await store.deliver(actor.take(where, later.id))
        assert stale.status == "stale", "what leaves later is judged anew"

    async def test_a_conversation_is_pinned_to_a_release_until_another_is_named(
        self, store: Store
    ) -> None:
        actor = Actor()
        opened = await store.open(actor.claim())
        await store.commit(actor.change(opened, "ok", release=b"release1"))
        first = await store.read(actor.query(fresh=True))
        assert (first.release, first.gate_epoch, first.revision) == (b"release1", 0, 0)
        opened = await store.open(actor.claim(message_id="SM2"))
        assert opened.context.release == b"release1"
        await store.commit(actor.change(opened, "ok", floor=Floor.HUMAN))
        assert (await store.read(actor.query(fresh=True))).release == b"release1"
        opened = await store.open(actor.claim(message_id="SM3"))
        await store.commit(actor.change(opened, "ok", release=b"release2"))
        last = await store.read(actor.query(fresh=True))
        assert (last.release, last.floor) == (b"release2", Floor.HUMAN)

    async def test_turns_that_run_or_wait_are_listed_whenever_they_are_due(
        self, store: Store
    ) -> None:
        actor = Actor()
        await outgoing(store, actor, actor.delivery(due=actor.now + 5_000))
        running = await store.open(actor.claim("one", message_id="SM2"))
        await store.open(actor.claim("two", message_id="SM3"))
        other = await store.open(actor.claim("three", address=MAIL, message_id="M1"))
        await store.open(replace(actor.claim("else"), tenant="else"))
        await store.commit(actor.change(other, finished=False, retry_seconds=60.0))
        for later in (0, 3_600_000):
            actor.now += later
            found = await store.scan(actor.scan("waiting"))
            assert sorted(one.message.text for one in found if one.message) == ["one", "three"]
            assert [one.id for one in found] == [b"", b""]
        assert len(await store.scan(actor.scan("waiting", limit=1))) == 1
        assert len(await store.scan(actor.scan("pending"))) == 1, "it was not taken off"
        await store.commit(actor.change(running, "ok", accept=actor.message("one")))
        found = await store.scan(actor.scan("waiting"))
        assert sorted(one.message.text for one in found if one.message) == ["three", "two"]
