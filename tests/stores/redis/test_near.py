"""The near cache is never stale: many stores on one server, and what is held compared with what is there."""

import asyncio
import os
import random

import anyio
import pytest
from msgspec.structs import replace

from ctxbridge.model import Address, Committed, RecordRead
from ctxbridge.stores.redis import committing, looking, scripts
from ctxbridge.stores.redis.near import NearCache
from ctxbridge.testing.actor import MAIL, PHONE, Actor, contact_of, texts
from ctxbridge.testing.proxy import Proxy
from tests.patience import until

from .conftest import make, new_prefix
from .test_lost_replies import ThroughProxies

ROUNDS = 800 * int(os.environ.get("CTXBRIDGE_FUZZ_SCALE", "1"))
STORES, CONTACTS, CALLERS = 3, 6, 8


class Fuzz:
    """Several processes' worth of stores, asked for everything at random."""

    def __init__(self, stores, seed):
        self.stores, self.chance = stores, random.Random(seed)
        self.actors = [Actor(seed=n) for n in range(CALLERS)]
        self.contacts = {}
        self.compared = self.stale = self.backwards = self.calls = 0
        self.seen = {}

    async def prepare(self):
        for number in range(CONTACTS):
            address = Address("chat", f"visitor {number}")
            opened = await self.stores[0].open(
                self.actors[0].claim("hi", message_id=f"M{number}", address=address)
            )
            await self.stores[0].commit(self.actors[0].change(opened, "ok", address=address))
            self.contacts[address] = opened.context.contact.id

    async def act(self, caller):
        """One call; its task never sees a conversation go backwards."""
        store = self.chance.choice(self.stores)
        address = self.chance.choice(list(self.contacts))
        actor, what = self.actors[caller], self.chance.random()
        self.calls += 1
        if what < 0.6:
            context = await store.read(actor.query(address, window=self.chance.choice([3, 20])))
            key = (caller, id(store), address)
            self.backwards += context.seq < self.seen.get(key, 0)
            self.seen[key] = context.seq
        elif what < 0.85:
            state = self.chance.choice([None, None, b"%d" % self.calls])
            delivery = actor.delivery(token=self.chance.choice([b"", b"worker-1"]))
            note = actor.note(self.contacts[address], actor.message(f"{self.calls}"), state=state,
                              deliveries=self.chance.choice([(), (delivery,)]))  # fmt: skip
            outcome = await store.commit(note)
            self.seen[caller, id(store), address] = outcome.seq
            if note.deliveries:
                await self.send(actor, address, delivery)
        elif what < 0.95:
            claim = actor.claim(f"{self.calls}", message_id=f"{self.calls}", address=address,
                                lease_seconds=0.001)  # fmt: skip
            actor.now += 1_000
            opened = await store.open(claim)
            if opened.status == "new" and self.chance.random() < 0.7:
                accepted = replace(claim.message, disposition="accepted")
                await store.commit(actor.change(opened, "re", address=address, accept=accepted))
        else:
            link = actor.link(self.contacts[address], Address("email", f"{self.calls}@example.org"))
            await store.identify(link)

    async def send(self, actor, address, delivery):
        """By whichever process: a claim reads the conversation, and neither changes its list."""
        where = self.stores[0]._ground.keys.of_address("acme", address).hash
        await self.chance.choice(self.stores).deliver(actor.take(where, delivery.id, window=3))
        said = actor.settle("sent", contact=self.contacts[address], delivery=delivery.id)
        await self.chance.choice(self.stores).deliver(said)

    async def compare(self):
        """All that is held, when all news has arrived, with what the server has."""
        for store in self.stores:
            await store.records(RecordRead("nobody", "test", "nothing", 0))
        for store in self.stores:
            for address in self.contacts:
                query = self.actors[0].query(address, window=3)
                held = store._ground.near.held(store._ground.keys.of_address("acme", address))
                if held is None:
                    continue
                self.compared += 1
                cached = await store.read(query)
                there = await store.read(replace(query, fresh=True))
                self.stale += (cached.seq, cached.state, texts(cached), cached.contact) != (
                    there.seq, there.state, texts(there), there.contact,
                )  # fmt: skip


async def fuzz(server, rounds, seed=5):
    prefix = new_prefix()
    stores = [make(server.url, prefix=prefix) for _ in range(STORES)]
    async with stores[0], stores[1], stores[2]:
        found = Fuzz(stores, seed)
        await found.prepare()
        for _ in range(rounds):
            async with anyio.create_task_group() as group:
                for caller in range(CALLERS):
                    group.start_soon(found.act, caller)
                    group.start_soon(found.act, caller)
            await found.compare()
    return found


@pytest.mark.slow
async def test_nothing_that_is_held_is_stale(valkey):
    found = await fuzz(valkey, ROUNDS)
    print(f"{found.calls} calls, {found.compared} entries compared, {found.stale} stale")
    assert found.compared > ROUNDS
    assert found.stale == 0


async def test_nothing_that_is_held_is_stale_on_redis_70(redis70):
    found = await fuzz(redis70, ROUNDS // 3)
    assert (found.compared > 0, found.stale) == (True, 0)


class TestBrokenOnPurpose:
    """The traps that others fell into: each must show stale entries."""

    async def test_scripts_that_end_without_a_read_leave_a_key_untracked(self, valkey, monkeypatch):
        last = b"redis.call('LLEN', KEYS[1])\nreturn done"
        assert last in scripts.COMMIT.text
        broken = scripts.Script(scripts.COMMIT.text.replace(last, b"return done"))
        monkeypatch.setattr(committing, "COMMIT", broken)
        assert (await fuzz(valkey, 60)).stale > 0

    async def test_a_cache_that_is_filled_by_the_waiting_task_overlooks_news(
        self, valkey, monkeypatch
    ):
        filling = looking.Looking.filling

        def filling_later(self, place):
            take, loop = filling(self, place), asyncio.get_running_loop()
            return lambda exchange, elements: loop.call_soon(take, exchange, elements)

        monkeypatch.setattr(looking.Looking, "filling", filling_later)
        assert (await fuzz(valkey, 100)).stale > 0

    async def test_a_change_that_is_written_through_blindly_is_stale(self, valkey, monkeypatch):
        """Put though the entry was not of the very moment before."""
        monkeypatch.setattr(NearCache, "heed", lambda *_: None)
        assert (await fuzz(valkey, 30)).stale > 0


class TestReadingOnesOwnWrites:
    """What waits for replicas goes over another connection than the news of changes."""

    async def lags(self, sentinels):
        """How often a look-up right after a commit does not show it, when news comes late."""
        proxies = {}
        store = TwoLines(sentinels.url, proxies, prefix=new_prefix(), clock="caller",
                         durability="replicated")  # fmt: skip
        lags = 0
        async with store:
            actor = Actor()
            contact = await contact_of(store, actor)
            proxies["reads"].delay_seconds = 0.02
            for number in range(20):
                await store.read(actor.query())
                outcome = await store.commit(actor.note(contact, actor.message(f"{number}")))
                assert isinstance(outcome, Committed)
                lags += (await store.read(actor.query())).seq < outcome.seq
        for proxy in proxies.values():
            await proxy.__aexit__(None, None, None)
        return lags

    async def test_a_look_up_after_a_commit_shows_it(self, sentinels):
        assert await self.lags(sentinels) == 0

    async def test_without_waiting_for_the_write_to_settle_it_would_not(
        self, sentinels, monkeypatch
    ):
        monkeypatch.setattr(NearCache, "unsettle", lambda *_: None)
        monkeypatch.setattr(NearCache, "settle", lambda *_: None)
        assert await self.lags(sentinels) > 0


class TwoLines(ThroughProxies):
    """A proxy for the connection that reads, and one for the connection that writes and waits."""

    async def _dial(self, line, where, waits):
        name = "writes" if waits else "reads"
        if name not in self.proxies:
            self.proxies[name] = await Proxy(*where).__aenter__()
        return await super(ThroughProxies, self)._dial(
            line, ("127.0.0.1", self.proxies[name].port), waits
        )


async def test_a_cache_holds_no_more_than_it_may(server):
    async with make(server.url, near_entries=10) as store:
        actor = Actor()
        for number in range(50):
            address = Address("chat", f"{number}")
            await store.open(actor.claim("hi", message_id=f"{number}", address=address))
            await store.read(actor.query(address, window=20))
        assert len(store._ground.near) == 10


async def test_a_very_long_window_is_not_held(server):
    async with make(server.url) as store:
        actor = Actor()
        contact = await contact_of(store, actor)
        for _ in range(3):
            notes = [actor.message("x") for _ in range(100)]
            await store.commit(actor.note(contact, *notes))
        place = store._ground.keys.of_address("acme", PHONE)
        store._ground.near.drop(place.key)
        assert len((await store.read(actor.query(window=0))).window) == 302
        assert store._ground.near.held(place) is None
        await store.read(actor.query(window=20))
        assert store._ground.near.held(place) is not None
        assert len((await store.read(actor.query(window=0))).window) == 302


async def test_nothing_is_served_when_the_server_has_been_silent_for_too_long(server):
    async with Proxy(port=server.port) as proxy:
        where = f"redis://127.0.0.1:{proxy.port}"
        async with make(where, staleness_seconds=0.1, timeout_seconds=0.3) as store:
            actor = Actor()
            contact = await contact_of(store, actor)
            await store.read(actor.query(window=20))
            async with make(server.url, prefix=store.settings.prefix) as other:
                proxy.lose(1, "blackhole")  # the line is dead from here on, and nobody is told
                await other.commit(actor.note(contact, actor.message("news")))
                await anyio.sleep(0.15)
                assert texts(await store.read(actor.query(window=20)))[-1] == "news"


async def test_fresh_goes_past_the_cache(server):
    async with make(server.url) as store:
        actor = Actor()
        await contact_of(store, actor)
        held = store._ground.near.held(store._ground.keys.of_address("acme", PHONE))
        held.records[0] = b"what only the cache has"
        assert texts(await store.read(replace(actor.query(window=20), fresh=True))) == [
            "hello",
            "ok",
        ]


async def test_a_lost_connection_takes_all_that_it_told_of_with_it(server):
    async with (
        Proxy(port=server.port) as proxy,
        make(f"redis://127.0.0.1:{proxy.port}") as store,
    ):
        actor = Actor()
        await contact_of(store, actor)
        await store.read(actor.query(window=20))
        assert len(store._ground.near) == 1
        proxy.reset_all()
        await until(lambda: len(store._ground.near) == 0)
        assert texts(await store.read(actor.query())) == ["hello", "ok"]


async def test_a_commit_that_is_acknowledged_meanwhile_is_no_history_rolled_back(sentinels):
    """The look-up leaves first and arrives last: over another connection, and behind a forward."""
    proxies = {}
    store = TwoLines(sentinels.url, proxies, prefix=new_prefix(), clock="caller",
                     durability="replicated", near_cache=False)  # fmt: skip
    async with store:
        actor = Actor()
        contact = await contact_of(store, actor)
        await store.identify(actor.link(PHONE, MAIL))
        proxies["reads"].delay_seconds = 0.4
        for number in range(2):
            store._ground.keys.homes.clear()
            looking_up = asyncio.ensure_future(store.read(actor.query(MAIL)))
            for _ in ("forward", "list"):  # the list has been read, and is on its way back
                came = proxies["reads"].bytes_out
                await until(lambda came=came: proxies["reads"].bytes_out > came)
            seq = (await store.commit(actor.note(contact, actor.message(f"{number}")))).seq
            assert (await looking_up).seq == seq - 1
    for proxy in proxies.values():
        await proxy.__aexit__(None, None, None)
