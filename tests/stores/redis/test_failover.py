"""Primaries that die, stall or are cut off while eight customers write; slots that move."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from ctxbridge.model import Committed
from ctxbridge.testing.actor import PHONE, Actor, contact_of, outgoing
from ctxbridge.testing.servers import free_port
from ctxbridge.testing.topologies import Cluster, SentinelSet

from .conftest import any_binary, make
from .writers import NOTHING_WRONG, Writers

pytestmark = pytest.mark.slow
LONGEST_GAP_SECONDS = 10.0


@pytest.fixture(scope="module")
def sentinels():
    """A set of its own: primaries change here."""
    with SentinelSet(any_binary()) as servers:
        for server in servers.servers:
            add_bot(server)
        yield servers


@pytest.fixture(scope="module")
def cluster():
    with Cluster(any_binary(), 3, 1) as servers:
        yield servers


@asynccontextmanager
async def writing(servers, **options):
    """Writers that have something to lose, under a user of their own where there are sentinels."""
    url = servers.url
    if isinstance(servers, SentinelSet):
        url = url.replace("//", "//bot:secret@")
    async with make(url, deadline_seconds=10.0, **options) as store, Writers(store) as writers:
        await writers.until(10)
        yield writers


async def outcome(writers, servers):
    """What became of it, when all servers are well again, as somebody else sees it."""
    await asyncio.to_thread(servers.wait_until_whole)
    where, kept = servers.url, writers.store.settings
    async with make(where, prefix=kept.prefix, shards=kept.shards) as store:
        found = await writers.account(store)
    assert not writers.surprises
    assert writers.gap < LONGEST_GAP_SECONDS
    print(
        f"{writers.acknowledged} turns, {writers.look_ups} look-ups, gap {writers.gap:.2f} s, {dict(writers.errors)}"
    )
    return found


def add_bot(server):
    server.command("ACL", "SETUSER", "bot", "on", ">secret", "~*", "&*", "+@all")


def revive(server, how):
    """Undo what was done to it."""
    if how == "pause":
        server.resume()
    else:
        server.start()
        add_bot(server)


class TestSentinels:
    @pytest.mark.parametrize("how", ["kill", "pause"])
    async def test_a_primary_that_ends_or_stalls_loses_nothing(self, sentinels, how):
        """Callers wait; they are told of nothing else."""
        async with writing(sentinels, durability="replicated") as writers:
            old = sentinels.primary
            await asyncio.to_thread(getattr(old, how))
            await writers.until(10)
        await asyncio.to_thread(revive, old, how)
        assert await outcome(writers, sentinels) == NOTHING_WRONG
        assert not writers.errors

    async def asked_at_once(self, sentinels, ask):
        """How many of four are still known after many have asked together; the first is absent."""
        absent = free_port()
        url = sentinels.url.replace("//", f"//127.0.0.1:{absent},")
        async with make(url) as store:
            clients = store._topology._sentinels.sentinels
            clients.sort(key=lambda c: c.connection_pool.connection_kwargs["port"] != absent)
            every = list(clients)
            await asyncio.gather(*[ask(store._topology) for _ in range(16)])
            left = len({id(client) for client in clients})
            clients[:] = every
        return left

    async def test_sentinels_that_are_asked_by_many_at_once_are_all_kept(self, sentinels):
        assert await self.asked_at_once(sentinels, lambda topology: topology.rethink()) == 4

    async def test_redis_py_alone_would_lose_one(self, sentinels):
        """The broken variant: it moves the one that answered to the front, two at a time."""
        assert await self.asked_at_once(sentinels, lambda topology: topology._ask()) < 4

    async def split_brain(self, sentinels, durability):
        """The primary loses its replicas and the sentinels, but not its clients."""
        async with writing(sentinels, durability=durability) as writers:
            old = sentinels.primary
            cut_off(old)
            try:
                await asyncio.to_thread(sentinels.wait_for_new_primary, old)
                assert old.command("ROLE")[0] == b"master"
                await writers.until(10)
            finally:
                old.command("ACL", "SETUSER", "default", "+@all")
            await asyncio.to_thread(sentinels.wait_until_whole)
            await writers.until(10)
        return writers, await outcome(writers, sentinels)

    async def test_a_primary_that_was_cut_off_acknowledges_nothing(self, sentinels):
        writers, found = await self.split_brain(sentinels, "replicated")
        assert found == NOTHING_WRONG
        assert not writers.errors

    async def test_at_fast_it_acknowledges_what_is_lost_and_that_is_told(self, sentinels):
        """The negative control: the account must see it; each customer's next call tells of it."""
        writers, found = await self.split_brain(sentinels, "fast")
        assert found["lost"]
        assert not found["twice"]
        assert not found["foreign"]
        assert writers.errors == {"HistoryRolledBack": len(writers.customers)}


def cut_off(server):
    """From now on it is deaf to those who have no password: sentinels and replicas."""
    words = ("sync", "psync", "replconf", "ping", "info", "publish", "subscribe")
    server.command("ACL", "SETUSER", "default", *[f"-{word}" for word in words])
    server.command("CLIENT", "KILL", "TYPE", "replica")
    server.command("CLIENT", "KILL", "TYPE", "pubsub")


class TestClusters:
    async def test_a_slot_that_moves_under_load_is_not_noticed(self, cluster):
        """To and fro three times, all customers in it, with the near cache read all the while."""
        async with writing(cluster, shards=1) as writers:
            for customer in writers.customers[:4]:
                writers.watch(customer)
            slot = cluster.slot_of(writers.store._ground.keys.store)
            owner = cluster.owner_of(slot)
            other = next(server for server in cluster.servers[:3] if server is not owner)
            for to in (other, owner) * 3:
                await asyncio.to_thread(cluster.move_slot, slot, to, 0.03)
                await writers.until(3)
        assert await outcome(writers, cluster) == NOTHING_WRONG
        assert not writers.errors
        assert writers.look_ups > 100

    async def test_no_key_stands_on_both_sides_of_a_slot_on_its_way(self, cluster):
        """MIGRATE would stop at it: BUSYKEY."""
        actor = Actor()
        async with make(cluster.url, durability="replicated") as store:
            contact = await contact_of(store, actor)
            place = store._ground.keys.of_address(actor.tenant, PHONE)
            slot = cluster.slot_of(place.key)
            owner = cluster.owner_of(slot)
            other = next(server for server in cluster.servers[:3] if server is not owner)
            cluster.begin_move(slot, other)
            cluster.migrate_key(slot, other, place.key, place.ids)
            note = actor.note(contact, actor.message("on its way"))
            committed = await store.commit(note)
            sides = [s.command("CLUSTER", "GETKEYSINSLOT", slot, 100) for s in (owner, other)]
            twice = set(sides[0]) & set(sides[1])
            for key in twice:
                owner.command("DEL", key)
            await asyncio.to_thread(cluster.finish_move, slot, other)
            await asyncio.to_thread(cluster.move_slot, slot, owner)
        assert isinstance(committed, Committed)
        assert not twice

    async def test_a_turn_in_a_slot_on_its_way_waits_until_the_slot_has_arrived(self, cluster):
        """Its list and what is due may be on two sides, and no script can be on both."""
        actor, delivery = Actor(), Actor().delivery()
        async with make(cluster.url, deadline_seconds=10.0) as store:
            contact = await outgoing(store, actor, delivery)
            place = store._ground.keys.of_address(actor.tenant, PHONE)
            slot = cluster.slot_of(place.key)
            owner = cluster.owner_of(slot)
            other = next(server for server in cluster.servers[:3] if server is not owner)
            cluster.begin_move(slot, other)
            cluster.migrate_key(slot, other, place.key, place.ids)
            said = actor.settle("sent", contact=contact, delivery=delivery.id)
            asked = (
                store.open(actor.claim("on its way", message_id="SM2")),
                store.deliver(actor.take(place.hash, delivery.id)),
                store.deliver(said),
            )
            pending = [asyncio.ensure_future(one) for one in asked]
            await asyncio.sleep(0.3)
            assert not any(one.done() for one in pending)
            context = await store.read(replace(actor.query(), fresh=True))
            assert context.seq == 2, "who only looks is not kept waiting"
            await asyncio.to_thread(cluster.finish_move, slot, other)
            opened, taken, settled = await asyncio.gather(*pending)
            await asyncio.to_thread(cluster.move_slot, slot, owner)
            assert (opened.status, taken.status, settled.status) == ("new", "taken", "settled")
            assert await store.scan(actor.scan("pending")) == []

    async def test_look_ups_that_show_others_or_less_than_was_acknowledged_are_seen(self, cluster):
        """The broken variant: a store that answers with what the look-up before found."""
        async with make(cluster.url) as store, Writers(Mixing(store)) as writers:
            for customer in writers.customers[:2]:
                writers.watch(customer)
            await writers.until(10)
        assert any(" for " in str(surprise) for surprise in writers.surprises)
        assert any("is not there" in str(surprise) for surprise in writers.surprises)

    @pytest.mark.parametrize("how", ["kill", "pause"])
    async def test_a_master_that_ends_or_stalls_is_replaced(self, cluster, how):
        async with writing(cluster) as writers:
            keys = writers.store._ground.keys
            places = [keys.of_address("acme", c) for c in writers.customers]
            old = cluster.owner_of(cluster.slot_of(places[0].key))
            await asyncio.to_thread(getattr(old, how))
            await writers.until(3)
        await asyncio.to_thread(revive, old, how)
        found = await outcome(writers, cluster)
        assert not found["twice"]
        assert not found["foreign"]
        assert set(writers.errors) <= {"HistoryRolledBack"}


class Mixing:
    """Broken on purpose: each look-up is answered with what was found for the one before."""

    def __init__(self, store):
        self._store = store
        self._before = None

    def __getattr__(self, verb):
        return getattr(self._store, verb)

    async def read(self, query):
        found, self._before = self._before, await self._store.read(query)
        return found or self._before
