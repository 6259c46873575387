"""The outbox: what is to leave is committed with its turn, claimed once, and listed by time."""

from msgspec.structs import replace

from ctxbridge.model import Committed, Delivery, Event, Message, Refused, Take, Taken
from ctxbridge.ports import Store
from ctxbridge.testing.actor import CHAT, MAIL, PHONE, Actor, contact_of, outgoing, texts
from ctxbridge.testing.contract.overlap import accepted, refusal

TOKEN, OTHER_TOKEN = b"worker-1", b"worker-2"
HOLD_SECONDS = 60.0


async def listed(store: Store, actor: Actor, what: str = "due") -> list[bytes]:
    """The ids of the deliveries in a list, in its order."""
    return [found.id for found in await store.scan(actor.scan(what)) if found.id]


async def where_is(store: Store, actor: Actor, delivery: Delivery) -> bytes:
    """Where a delivery is that is on its way, in the store's own word."""
    for found in await store.scan(actor.scan("pending")):
        if found.id == delivery.id:
            return found.where
    raise AssertionError("the delivery is not on its way")


async def taken(store: Store, step: Take) -> Delivery:
    """The delivery, which `step` must get."""
    outcome = await store.deliver(step)
    assert outcome.status == "taken", outcome.status
    assert outcome.delivery is not None
    return outcome.delivery


async def status_of(store: Store, actor: Actor, contact: bytes, delivery: bytes) -> str:
    """What became of a delivery: what is said here changes nothing."""
    said = actor.settle("claimed", contact=contact, delivery=delivery)
    outcome = await store.deliver(said)
    assert outcome.status == "settled"
    assert outcome.delivery is not None
    return outcome.delivery.status


class OutboxContract:
    """Nothing leaves that was not committed, and nobody claims it twice or against the gate."""

    # --- with the turn, or not at all -------------------------------------------------------------

    async def test_a_delivery_is_stored_with_its_turn(self, store: Store) -> None:
        actor = Actor()
        claim, delivery = actor.claim(), actor.delivery(2, repeatable=True)
        opened = await store.open(claim)
        change = actor.change(opened, "one", "two", accept=accepted(claim), deliveries=(delivery,))
        assert await store.commit(change) == Committed(3, 0)
        for what in ("due", "pending"):
            (found,) = await store.scan(actor.scan(what))
            assert found.message is not None
            assert (found.message.text, found.message.address) == ("two", PHONE)
            assert (found.id, found.at, found.place) == (delivery.id, actor.now, 3)
            assert opened.context.contact is not None
            assert found.contact == opened.context.contact.id
            assert found.delivery is not None
            assert (found.delivery.status, found.delivery.attempt) == ("pending", 0)
            assert (found.delivery.place, found.delivery.repeatable) == (3, True)
            assert (found.delivery.created_at, found.delivery.due) == (actor.now, actor.now)
        assert list(await store.scan(actor.scan("dead"))) == []

    async def test_a_refused_change_leaves_no_delivery(self, store: Store) -> None:
        actor = Actor()
        stale = await store.open(actor.claim(lease_seconds=1.0))
        actor.now += 1_000
        running = await store.open(actor.claim())
        await store.open(actor.claim("STOP", message_id="SM2", stop=True))
        contact = running.context.contact
        assert contact is not None
        message, delivery = actor.message("x", author="agent"), actor.delivery()
        refused = {
            "fenced": actor.change(stale, "x", deliveries=(delivery,)),
            "gated": actor.change(running, "x", deliveries=(delivery,)),
            "conflict": actor.note(
                contact.id, message, revision=7, gate_epoch=1, deliveries=(delivery,)
            ),
        }
        for reason, change in refused.items():
            assert await refusal(store, change) == reason
        assert await refusal(store, replace(refused["gated"], finished=False)) == "gated"
        assert await listed(store, actor, "pending") == []
        assert (await store.read(actor.query())).seq == 3

    async def test_a_replayed_commit_adds_no_delivery(self, store: Store) -> None:
        actor = Actor()
        opened, delivery = await store.open(actor.claim()), actor.delivery()
        change = actor.change(opened, "ok", deliveries=(delivery,))
        await store.commit(change)
        assert opened.context.contact is not None
        contact = opened.context.contact.id
        await store.deliver(actor.settle("sent", contact=contact, delivery=delivery.id))
        again = await store.commit(change)
        assert isinstance(again, Committed)
        assert again.replayed
        assert await status_of(store, actor, contact, delivery.id) == "sent"
        assert await listed(store, actor, "pending") == []

    async def test_outside_of_a_turn_the_gate_counts_too(self, store: Store) -> None:
        actor = Actor()
        contact = await contact_of(store, actor)
        await store.open(actor.claim("STOP", message_id="SM2", stop=True))
        message, delivery = actor.message("an offer", author="agent"), actor.delivery()
        note = actor.note(contact, message, deliveries=(delivery,))
        assert await store.commit(note) == Refused("gated", 1, 1)
        assert await listed(store, actor) == []
        assert await store.commit(replace(note, gate_epoch=1)) == Committed(5, 1)
        assert await listed(store, actor) == [delivery.id]

    async def test_a_delivery_of_what_is_not_there_is_refused(self, store: Store) -> None:
        actor = Actor()
        contact = await contact_of(store, actor)
        nobodys: Message = replace(actor.message("to nobody"), address=None)
        for place in (0, 1, 3, 5, -1):
            entries = (Event("note", actor.now), actor.message("x"), nobodys, actor.message("y"))
            change = actor.note(contact, *entries, deliveries=(actor.delivery(place),))
            assert await refusal(store, change) == "unknown", place
        assert await listed(store, actor, "pending") == []

    async def test_what_was_claimed_with_its_turn_is_not_due(self, store: Store) -> None:
        actor = Actor()
        delivery = actor.delivery(token=TOKEN, repeatable=True)
        await outgoing(store, actor, delivery, hold_seconds=HOLD_SECONDS)
        where = await where_is(store, actor, delivery)
        assert await listed(store, actor) == []
        (found,) = await store.scan(actor.scan("pending"))
        assert found.delivery is not None
        assert (found.delivery.status, found.delivery.attempt) == ("claimed", 1)
        assert found.at == actor.now + round(HOLD_SECONDS * 1000)
        other = await store.deliver(actor.take(where, delivery.id, token=OTHER_TOKEN))
        assert other.status == "gone"
        mine = await taken(store, actor.take(where, delivery.id, token=TOKEN))
        assert (mine.attempt, mine.held_until) == (1, found.at)
        actor.now = found.at
        assert await listed(store, actor) == [delivery.id]

    # --- claimed once -----------------------------------------------------------------------------

    async def test_what_is_due_is_taken_with_what_the_gate_needs(self, store: Store) -> None:
        actor = Actor()
        delivery = actor.delivery()
        await outgoing(store, actor, delivery)
        (found,) = await store.scan(actor.scan())
        outcome = await store.deliver(actor.take(found.where, found.id, hold_seconds=HOLD_SECONDS))
        assert outcome.delivery is not None
        assert (outcome.status, outcome.delivery.status) == ("taken", "claimed")
        assert (outcome.delivery.id, outcome.delivery.attempt) == (delivery.id, 1)
        assert outcome.delivery.held_until == actor.now + round(HOLD_SECONDS * 1000)
        assert outcome.message is not None
        assert (outcome.message.text, outcome.message.address) == ("ok", PHONE)
        assert outcome.context is not None
        assert texts(outcome.context) == ["hello", "ok"]
        assert outcome.context.contact is not None
        assert outcome.context.contact.id == found.contact
        assert await listed(store, actor) == []

    async def test_nobody_takes_what_is_not_due_or_not_there(self, store: Store) -> None:
        actor = Actor()
        delivery = actor.delivery(due=actor.now + 5_000)
        await outgoing(store, actor, delivery)
        where = await where_is(store, actor, delivery)
        assert (await store.deliver(actor.take(where, delivery.id))).status == "gone"
        assert await store.deliver(actor.take(where, actor.id())) == Taken("gone")
        assert await store.deliver(actor.take(actor.id(), delivery.id)) == Taken("gone")
        assert await listed(store, actor) == []
        assert await listed(store, actor, "pending") == [delivery.id]
        actor.now += 5_000
        assert await listed(store, actor) == [delivery.id]
        assert (await taken(store, actor.take(where, delivery.id))).attempt == 1

    async def test_one_worker_gets_a_delivery(self, store: Store) -> None:
        actor = Actor()
        delivery = actor.delivery(repeatable=True)
        await outgoing(store, actor, delivery)
        where = await where_is(store, actor, delivery)
        first = await taken(store, actor.take(where, delivery.id, token=TOKEN))
        second = await store.deliver(actor.take(where, delivery.id, token=OTHER_TOKEN))
        assert second.status == "gone"
        # The answer may have been lost: who asks again in the same words is told again.
        again = await taken(store, actor.take(where, delivery.id, token=TOKEN))
        assert again == first

    async def test_after_stop_nothing_is_claimed_that_was_not_judged_anew(
        self, store: Store
    ) -> None:
        actor = Actor()
        delivery = actor.delivery()
        await outgoing(store, actor, delivery)
        where = await where_is(store, actor, delivery)
        await store.open(actor.claim("STOP", message_id="SM2", stop=True))
        for epoch in (None, 0, 2):
            stale = await store.deliver(actor.take(where, delivery.id, gate_epoch=epoch))
            assert stale.status == "stale", epoch
            assert stale.delivery is not None
            assert stale.delivery.status == "pending"
            assert stale.message is not None
            assert stale.context is not None
            assert stale.context.gate_epoch == 1
            assert stale.context.contact is not None
            assert [c.granted for c in stale.context.contact.consents] == [False]
        judged = await taken(store, actor.take(where, delivery.id, gate_epoch=1))
        assert (judged.gate_epoch, judged.attempt) == (1, 1)

    async def test_a_claim_that_ran_out_is_unknown_where_sending_is_not_repeatable(
        self, store: Store
    ) -> None:
        actor = Actor()
        delivery = actor.delivery()
        await outgoing(store, actor, delivery)
        where = await where_is(store, actor, delivery)
        await taken(store, actor.take(where, delivery.id, token=TOKEN, hold_seconds=1.0))
        actor.now += 1_000
        assert await listed(store, actor) == [delivery.id]
        lost = await store.deliver(actor.take(where, delivery.id, token=TOKEN))
        assert lost.delivery is not None
        assert (lost.status, lost.delivery.status) == ("gone", "unknown")
        assert lost.delivery.code == "worker.lost"
        assert await listed(store, actor) == []
        assert await listed(store, actor, "pending") == []
        (dead,) = await store.scan(actor.scan("dead"))
        assert (dead.id, dead.at, dead.delivery) == (delivery.id, actor.now - 1_000, lost.delivery)
        assert (await store.deliver(actor.take(where, delivery.id))).status == "gone"

    async def test_a_claim_that_ran_out_is_given_to_the_next_where_it_may_be_repeated(
        self, store: Store
    ) -> None:
        actor = Actor()
        delivery = actor.delivery(repeatable=True)
        await outgoing(store, actor, delivery)
        where = await where_is(store, actor, delivery)
        await taken(store, actor.take(where, delivery.id, token=TOKEN, hold_seconds=1.0))
        actor.now += 1_000
        step = actor.take(where, delivery.id, token=OTHER_TOKEN, hold_seconds=1.0)
        again = await taken(store, step)
        assert (again.attempt, again.token, again.key) == (2, OTHER_TOKEN, delivery.key)
        assert again.held_until == actor.now + 1_000
        late = await store.deliver(actor.take(where, delivery.id, token=TOKEN))
        assert late.status == "gone"

    # --- the lists --------------------------------------------------------------------------------

    async def test_lists_start_with_the_oldest_and_hold_no_more_than_asked_for(
        self, store: Store
    ) -> None:
        actor = Actor()
        claim = actor.claim(lease_seconds=4.0)
        opened = await store.open(claim)
        delays = {3: b"", 1: b"", 2: b"", 9: b""}
        deliveries = [actor.delivery(due=actor.now + delay * 1_000) for delay in delays]
        delays = {delay: d.id for delay, d in zip(delays, deliveries, strict=True)}
        contact = opened.context.contact
        assert contact is not None
        note = actor.note(contact.id, actor.message("x"), deliveries=tuple(deliveries))
        await store.commit(note)
        actor.now += 5_000
        expected = [delays[1], delays[2], delays[3], b""]
        found = await store.scan(actor.scan())
        assert [one.id for one in found] == expected, "a turn is listed among them by its time"
        assert [one.at for one in found] == sorted(one.at for one in found)
        found = await store.scan(actor.scan(limit=2))
        assert [one.id for one in found] == expected[:2]
        assert await listed(store, actor, "pending") == [delays[n] for n in (1, 2, 3, 9)]
        for delivery in deliveries:
            await store.deliver(
                actor.settle("failed", contact=contact.id, delivery=delivery.id)
            )  # fmt: skip
        assert await listed(store, actor, "pending") == []
        assert set(await listed(store, actor, "dead")) == set(delays.values())
        assert len(await store.scan(actor.scan("dead", limit=3))) == 3

    async def test_deliveries_of_many_contacts_are_listed_together(self, store: Store) -> None:
        actor = Actor()
        ids = []
        for address in (PHONE, MAIL, CHAT):
            opened = await store.open(actor.claim(message_id=f"{address}", address=address))
            delivery = actor.delivery()
            change = actor.change(opened, "ok", address=address, deliveries=(delivery,))
            await store.commit(change)
            ids.append(delivery.id)
            actor.now += 1
        found = [one for one in await store.scan(actor.scan()) if one.id]
        assert [one.id for one in found] == ids
        assert [one.message.address for one in found if one.message] == [PHONE, MAIL, CHAT]

    async def test_no_tenant_sees_or_touches_anothers_outbox(self, store: Store) -> None:
        actor, other = Actor("acme"), Actor("other")
        delivery, failed = actor.delivery(), actor.delivery()
        contact = await outgoing(store, actor, delivery, failed)
        await store.deliver(actor.settle("failed", contact=contact, delivery=failed.id))
        await contact_of(store, other)
        for what in ("due", "pending", "dead"):
            assert list(await store.scan(other.scan(what))) == [], what
        for place in (await where_is(store, actor, delivery), contact):
            assert await store.deliver(other.take(place, delivery.id)) == Taken("gone")
        assert await store.deliver(
            other.settle("sent", contact=contact, delivery=delivery.id)
        ) == Taken("gone")
        assert await store.deliver(
            other.settle("sent", recipient=PHONE, delivery=delivery.id)
        ) == Taken("gone")
        assert await listed(store, actor) == [delivery.id]
        assert await listed(store, actor, "dead") == [failed.id]

    # --- how long ---------------------------------------------------------------------------------

    async def test_a_delivery_is_remembered_for_its_time_and_no_longer(self, store: Store) -> None:
        actor = Actor()
        pending, failed = actor.delivery(), actor.delivery()
        contact = await outgoing(store, actor, pending, failed, remember_seconds=100.0)
        where = await where_is(store, actor, pending)
        await store.deliver(actor.settle("failed", contact=contact, delivery=failed.id))
        actor.now += 99_999
        assert await listed(store, actor, "pending") == [pending.id]
        assert await listed(store, actor, "dead") == [failed.id]
        actor.now += 1
        for what in ("due", "pending", "dead"):
            assert await listed(store, actor, what) == []
        assert await store.deliver(actor.take(where, pending.id)) == Taken("gone")
        said = actor.settle("sent", contact=contact, delivery=pending.id)
        assert await store.deliver(said) == Taken("gone")

    async def test_what_is_to_leave_later_is_remembered_from_then_on(self, store: Store) -> None:
        actor = Actor()
        delivery = actor.delivery(due=actor.now + 1_000_000)
        await outgoing(store, actor, delivery, remember_seconds=100.0)
        where = await where_is(store, actor, delivery)
        actor.now += 1_000_000
        assert await listed(store, actor) == [delivery.id]
        assert (await taken(store, actor.take(where, delivery.id))).attempt == 1
