"""What the outbox and its lists are on these servers alone: clocks, cancellation, trimming, loss."""

import asyncio
from itertools import count

import anyio
import pytest

from ctxbridge.errors import HistoryRolledBack
from ctxbridge.stores.redis import outbox, scanning
from ctxbridge.stores.redis.scripts import FIND, SETTLE, TAKE, Script
from ctxbridge.testing.actor import PHONE, Actor, outgoing, raises

from .conftest import make

HOUR = 3_600_000
TOKEN = b"worker-1"
SHORT_MS = 1_500  # long enough that a busy machine sees what holds before it is over


@pytest.fixture
async def store(server):
    async with make(server.url) as store:
        yield store


def place_of(store, actor, address=PHONE):
    return store._ground.keys.of_address(actor.tenant, address)


def agenda_of(store, actor):
    return store._ground.keys.agenda(actor.tenant, place_of(store, actor).shard)


async def ids(store, actor, what="due"):
    return [found.id for found in await store.scan(actor.scan(what))]


async def over():
    await anyio.sleep(SHORT_MS / 1000 + 0.05)


class TestTheServersClock:
    @pytest.fixture
    async def store(self, server):
        async with make(server.url, clock="server") as store:
            yield store

    @pytest.fixture(params=[-HOUR, 0, HOUR], ids=["an hour slow", "right", "an hour fast"])
    def other(self, request):
        """A worker whose clock is off; not even the others' was right."""
        return Actor(seed=2, now=Actor().now + request.param)

    async def test_says_what_is_due(self, store, other):
        actor = Actor()
        now, later = actor.delivery(), actor.delivery(due=actor.now + SHORT_MS)
        await outgoing(store, actor, now, later)
        assert await ids(store, other) == [now.id], "also the first time it is asked"
        assert await ids(store, other) == [now.id]
        await over()
        assert await ids(store, other) == [now.id, later.id]

    async def test_says_when_a_turn_is_to_be_looked_after(self, store, other):
        actor = Actor()
        opened = await store.open(actor.claim(lease_seconds=SHORT_MS / 1000))
        assert await ids(store, other) == []
        await over()
        (found,) = await store.scan(other.scan())
        assert (found.place, found.at) == (1, opened.lease_end)

    async def test_says_whether_a_claim_has_run_out(self, store, other):
        actor = Actor()
        delivery = actor.delivery(repeatable=True)
        await outgoing(store, actor, delivery)
        where = place_of(store, actor).hash
        mine = await store.deliver(actor.take(where, delivery.id, hold_seconds=SHORT_MS / 1000))
        assert mine.status == "taken"
        assert (await store.deliver(other.take(where, delivery.id))).status == "gone"
        await over()
        assert await ids(store, other) == [delivery.id]
        assert (await store.deliver(other.take(where, delivery.id))).delivery.attempt == 2

    async def test_says_when_it_is_tried_again(self, store, other):
        actor = Actor()
        delivery = actor.delivery(token=TOKEN)
        contact = await outgoing(store, actor, delivery)
        await store.deliver(
            other.settle(
                "pending", contact=contact, delivery=delivery.id, retry_seconds=SHORT_MS / 1000
            )
        )
        assert await ids(store, other) == []
        await over()
        assert await ids(store, other) == [delivery.id]

    async def test_says_what_is_forgotten(self, store, other):
        actor = Actor()
        delivery = actor.delivery(token=TOKEN)
        contact = await outgoing(store, actor, delivery, remember_seconds=SHORT_MS / 1000)
        failed = other.settle("failed", contact=contact, delivery=delivery.id)
        assert (await store.deliver(failed)).status == "settled"
        assert await ids(store, other, "dead") == [delivery.id]
        await over()
        assert await ids(store, other, "dead") == []
        assert (await store.deliver(failed)).status == "gone"


class TestCancelled:
    @pytest.mark.parametrize("when", ["before the answer", "with the answer"])
    async def test_a_claim_of_somebody_who_left_stays_until_it_runs_out(self, server, when):
        """Nobody can tell whether it was sent: it is no lease that could be given back."""
        async with make(server.url, grace_seconds=5.0) as store:
            actor, delivery = Actor(), Actor().delivery(repeatable=True)
            await outgoing(store, actor, delivery)
            where = place_of(store, actor).hash
            await store.deliver(actor.take(where, actor.id()))  # so that the script is known
            step = actor.take(where, delivery.id, hold_seconds=9.0)
            taking = asyncio.ensure_future(store.deliver(step))
            await asyncio.sleep(0)
            exchange = store._ground.courier.exchange_for(0)
            received = exchange.buffer_updated
            if when == "before the answer":
                taking.cancel()
            else:
                exchange.buffer_updated = lambda n: (taking.cancel(), received(n))
            await asyncio.wait([taking])
            exchange.buffer_updated = received
            assert taking.cancelled()
            assert (await store.deliver(actor.take(where, delivery.id))).status == "gone"
            assert (await store.deliver(step)).status == "taken", "the same call again has it"
            actor.now += 9_000
            assert (await store.deliver(actor.take(where, delivery.id))).delivery.attempt == 2

    async def test_many_who_leave_cause_no_second_claim(self, store):
        assert await self.most_attempts(store) == 1

    async def test_a_claim_that_is_not_looked_at_would_be_seen(self, store, monkeypatch):
        """The broken variant."""
        text = TAKE.text
        for right in (b"if d.status == CLAIMED and d.held > now then",
                      b"elseif d.status == CLAIMED and d.flags % 2 == 0 then"):  # fmt: skip
            assert right in text
            text = text.replace(right, right.split(b"d.")[0] + b"false then")
        monkeypatch.setattr(outbox, "TAKE", Script(text))
        assert await self.most_attempts(store) > 1

    async def most_attempts(self, store):
        """How often one delivery was claimed at most, of many that many want who have no time."""
        actor = Actor()
        deliveries = [actor.delivery() for _ in range(40)]
        await outgoing(store, actor, *deliveries)
        where = place_of(store, actor).hash
        await store.deliver(actor.take(where, actor.id()))  # so that the script is known

        async def take(delivery, number):
            step = actor.take(where, delivery.id, token=b"%08d" % number)
            with anyio.move_on_after(0.0005 * (number % 5)):
                await store.deliver(step)

        async with anyio.create_task_group() as group:
            for number in range(200):
                group.start_soon(take, deliveries[number % 40], number)
        return max(f.delivery.attempt for f in await store.scan(actor.scan("pending")))


class TestTrimming:
    async def test_the_dead_are_let_go_of_as_others_die(self, server, store):
        assert await self.left_among_the_dead(server, store) <= 2

    async def test_where_they_are_not_they_stay(self, server, store, monkeypatch):
        """The broken variant."""
        trims = b"redis.call('ZREMRANGEBYSCORE', dead, '-inf', now)"
        assert trims in SETTLE.text
        monkeypatch.setattr(outbox, "SETTLE", Script(SETTLE.text.replace(trims, b"")))
        assert await self.left_among_the_dead(server, store) > 20

    async def left_among_the_dead(self, server, store):
        actor = Actor()
        for number in range(30):
            delivery = actor.delivery(token=TOKEN)
            contact = await outgoing(
                store, actor, delivery, message_id=f"{number}", remember_seconds=10.0
            )
            await store.deliver(actor.settle("failed", contact=contact, delivery=delivery.id))
            actor.now += 9_000
        return server.client().zcard(agenda_of(store, actor).dead)

    async def test_words_on_what_nobody_knows_are_forgotten_though_nothing_else_happens(
        self, server, store
    ):
        """They come from outside: a conversation that is silent must not grow by them for ever."""
        actor, numbers = Actor(), count()
        await outgoing(store, actor)
        for _ in range(1_500):
            said = actor.settle(
                "delivered", recipient=PHONE, provider_id=f"P{next(numbers)}", remember_seconds=50.0
            )
            assert (await store.deliver(said)).status == "kept"
            actor.now += 1_000
        assert server.client().hlen(place_of(store, actor).outbox) < 400

    async def test_an_outbox_ends_with_what_is_in_it(self, server, store):
        actor = Actor()
        later = actor.delivery(due=actor.now + 100_000)
        await outgoing(store, actor, later, remember_seconds=50.0)
        left = server.client().pttl(place_of(store, actor).outbox)
        assert 86_400_000 + 149_000 < left <= 86_400_000 + 150_000

    async def test_what_stands_for_nothing_is_taken_off(self, server, store):
        actor, client = Actor(), server.client()
        delivery, failed = actor.delivery(), actor.delivery()
        contact = await outgoing(store, actor, delivery, failed)
        await store.deliver(actor.settle("failed", contact=contact, delivery=failed.id))
        running = await store.open(actor.claim("x", message_id="2", lease_seconds=0.0))
        place, agenda = place_of(store, actor), agenda_of(store, actor)
        client.zadd(agenda.due, {place.hash: actor.now})
        client.delete(place.outbox)
        assert (client.zcard(agenda.due), client.zcard(agenda.dead)) == (2, 1)
        for what in ("due", "dead"):
            assert await ids(store, actor, what) == []
        assert (client.zcard(agenda.due), client.zcard(agenda.dead)) == (0, 0)
        assert running.status == "noted"

    async def test_what_came_meanwhile_is_not_taken_off(self, server, store, monkeypatch):
        """Between the look and the taking off, somebody writes: it must be found by the next."""
        assert await self.found_after_a_race(server, store, monkeypatch) == [b""]

    async def test_what_is_taken_off_without_another_look_would_be_missed(
        self, server, store, monkeypatch
    ):
        """The broken variant."""
        looks = b"if #h.waiting == 0 then"
        assert looks in FIND.text
        broken = FIND.text.replace(looks, b"if #h.waiting == 0 or drops == 1 then")
        monkeypatch.setattr(scanning, "FIND", Script(broken))
        assert await self.found_after_a_race(server, store, monkeypatch) == []

    async def found_after_a_race(self, server, store, monkeypatch):
        actor, client = Actor(), server.client()
        await outgoing(store, actor)
        place, agenda = place_of(store, actor), agenda_of(store, actor)
        client.zadd(agenda.due, {place.hash: actor.now})
        take_off = store._scanning._take_off

        async def later(*asked):
            opened = await store.open(actor.claim("x", message_id="2"))
            await store.commit(actor.change(opened, finished=False, retry_seconds=0.0))
            await take_off(*asked)

        monkeypatch.setattr(store._scanning, "_take_off", later)
        assert await ids(store, actor) == []
        return await ids(store, actor)


class TestLoss:
    async def test_of_a_conversation_is_told_once_to_who_claims_or_settles(self, server, store):
        actor, delivery = Actor(), Actor().delivery(token=TOKEN)
        for verb in ("take", "settle"):
            contact = await outgoing(store, actor, delivery, message_id=verb)
            where = place_of(store, actor).hash
            steps = {
                "take": actor.take(where, delivery.id),
                "settle": actor.settle("sent", contact=contact, delivery=delivery.id),
            }
            for key in server.client().scan_iter(f"{store.settings.prefix}:*"):
                if b":store" not in key:
                    server.client().delete(key)
            error = await raises(HistoryRolledBack, store.deliver(steps[verb]))
            assert error.retry_safe
            assert (await store.deliver(steps[verb])).status == "gone"

    async def test_of_a_commit_with_deliveries_is_told_as_of_any_other(self, server, store):
        actor = Actor()
        contact = await outgoing(store, actor)
        client, place = server.client(), place_of(store, actor)
        before = client.dump(place.key)
        for n in range(3):
            await store.commit(actor.note(contact, actor.message(f"{n}")))
        client.restore(place.key, 0, before, replace=True)
        note = actor.note(contact, actor.message("x"), deliveries=(actor.delivery(),))
        await raises(HistoryRolledBack, store.commit(note))
        outcome = await store.commit(note)
        assert outcome.replayed
        assert len(await ids(store, actor)) == 1

    async def test_what_is_remembered_of_a_delivery_is_never_taken_for_what_is_there(
        self, server, store
    ):
        """Another process has settled it: what this one wrote last is no more than a guess."""
        actor, delivery = Actor(), Actor().delivery(token=TOKEN)
        contact = await outgoing(store, actor, delivery)
        async with make(server.url, prefix=store.settings.prefix) as other:
            said = {"contact": contact, "delivery": delivery.id}
            await other.deliver(actor.settle("read", provider_id="P1", code="x", **said))
            late = await store.deliver(actor.settle("sent", provider_id="P1", **said))
            assert (late.delivery.status, late.delivery.code) == ("read", "x")
