"""Who waits for a turn is woken by the server's news, and leaves nothing behind."""

import asyncio
import statistics
from contextlib import asynccontextmanager, contextmanager

import anyio
import pytest
from msgspec.structs import replace

from ctxbridge.errors import StoreClosed
from ctxbridge.stores.redis.near import NearCache
from ctxbridge.stores.redis.news import News
from ctxbridge.testing.actor import MAIL, PHONE, Actor, texts
from ctxbridge.testing.proxy import Proxy

from .conftest import make, new_prefix

PATIENCE_SECONDS = 60.0
ROUNDS = 50
SOON_SECONDS = 10.0
"""On any machine, and long before somebody looks who is not told: see `told_alone`."""


def waiting(store, actor, opened, address=PHONE, **more):
    """Somebody who waits for the end of a turn."""
    more = {"held_by": opened.fence, "patience_seconds": PATIENCE_SECONDS, "window": 5} | more
    return asyncio.ensure_future(store.read(actor.query(address, **more)))


@pytest.fixture
def told_alone(monkeypatch):
    """Nobody looks again who has not been told: the news alone can wake them."""
    where = "ctxbridge.stores.redis.waiting._LONGEST_WITHOUT_LOOKING_SECONDS"
    monkeypatch.setattr(where, PATIENCE_SECONDS / 2)


class Sticky(News):
    """Broken on purpose: who has left is still there."""

    @contextmanager
    def of(self, key):
        told = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, set()).add(told)
        yield told


@asynccontextmanager
async def two(server, protocol=3, **options):
    """Two processes' worth of stores."""
    prefix, url = new_prefix(), server.url
    if protocol == 2:
        url = f"{url}?protocol=2"
    async with (
        make(url, prefix=prefix, **options) as one,
        make(url, prefix=prefix, **options) as other,
    ):
        yield one, other


async def wake_ups(one, other):
    """How long it takes, each time, from the commit in one process to the answer in another."""
    actor, clock, took = Actor(), asyncio.get_running_loop().time, []
    for number in range(ROUNDS):
        opened = await one.open(actor.claim(f"{number}", message_id=f"{number}"))
        waits = waiting(other, actor, opened)
        await asyncio.sleep(0.01)
        assert not waits.done()
        begun = clock()
        await one.commit(actor.change(opened, f"re {number}"))
        assert texts(await waits)[-1] == f"re {number}"
        took.append(clock() - begun)
    return took


class TestNews:
    async def test_of_another_process_it_comes_at_once(self, server):
        async with two(server) as (one, other):
            took = await wake_ups(one, other)
        print(f"woken after {statistics.median(took) * 1e3:.2f} ms (median), {max(took) * 1e3:.2f}")
        assert statistics.median(took) < 0.5
        assert statistics.median(took) < 0.05, "it was looked again and not told"

    async def test_without_it_a_look_every_few_milliseconds_finds_it(self, server):
        for options in ({"near_cache": False}, {"protocol": 2}):
            async with two(server, **options) as (one, other):
                took = await wake_ups(one, other)
            print(f"found after {statistics.median(took) * 1e3:.2f} ms (median)")
            assert statistics.median(took) < 0.5

    async def test_a_level_that_waits_for_replicas_is_told_too(self, sentinels):
        async with two(sentinels, durability="replicated") as (one, other):
            took = await wake_ups(one, other)
        print(f"woken after {statistics.median(took) * 1e3:.2f} ms (median)")
        assert statistics.median(took) < 0.5

    async def test_who_does_not_listen_is_late(self, server, monkeypatch):
        """The broken variant: then only a look once a second finds it."""
        monkeypatch.setattr("ctxbridge.stores.redis.waiting._LONGEST_WITHOUT_LOOKING_SECONDS", 0.1)
        monkeypatch.setattr("tests.stores.redis.test_waiting.ROUNDS", 5)
        monkeypatch.setattr(NearCache, "heed", lambda *_: None)
        async with two(server) as (one, other):
            assert statistics.median(await wake_ups(one, other)) > 0.05

    @pytest.mark.parametrize("near_cache", [True, False])
    async def test_ones_own_writes_are_no_news_of_the_server_but_wake_as_well(
        self, server, near_cache
    ):
        async with make(server.url, near_cache=near_cache) as store:
            took = await wake_ups(store, store)
            assert statistics.median(took) < 0.1

    @pytest.mark.usefixtures("told_alone")
    @pytest.mark.parametrize("how", ["supersede", "give back"])
    async def test_a_lease_that_is_taken_or_given_back_wakes_too(self, server, how):
        async with make(server.url) as store:
            actor = Actor()
            opened = await store.open(actor.claim())
            waits = waiting(store, actor, opened)
            await asyncio.sleep(0.01)
            begun = asyncio.get_running_loop().time()
            if how == "supersede":
                await store.open(actor.claim("2", message_id="2", overlap=how))
            else:
                await store.commit(actor.change(opened, finished=False))
            await waits
            assert asyncio.get_running_loop().time() - begun < SOON_SECONDS

    @pytest.mark.usefixtures("told_alone")
    async def test_what_a_cancelled_worker_gives_back_wakes_too(self, server):
        async with make(server.url) as store:
            actor = Actor()
            opening = asyncio.ensure_future(store.open(actor.claim()))
            await asyncio.sleep(0)
            opening.cancel()
            await asyncio.wait([opening])
            query = actor.query(held_by=1, patience_seconds=PATIENCE_SECONDS)
            async with asyncio.timeout(SOON_SECONDS):
                assert (await store.read(query)).waiting == (1,)

    @pytest.mark.usefixtures("told_alone")
    async def test_at_a_linked_address_one_waits_for_the_turn_of_its_contact(self, server):
        async with two(server) as (one, other):
            actor = Actor()
            opened = await one.open(actor.claim())
            await one.identify(actor.link(PHONE, MAIL))
            waits = waiting(other, actor, opened, MAIL)
            await asyncio.sleep(0.05)
            assert not waits.done()
            begun = asyncio.get_running_loop().time()
            await one.commit(actor.change(opened, "ok"))
            assert texts(await waits) == ["hello", "ok"]
            assert asyncio.get_running_loop().time() - begun < SOON_SECONDS


class TestFaults:
    @pytest.mark.usefixtures("told_alone")
    async def test_a_connection_that_is_lost_is_no_reason_to_stop_waiting(self, server):
        async with Proxy(port=server.port) as proxy:
            where = f"redis://127.0.0.1:{proxy.port}"
            async with (
                make(where) as store,
                make(server.url, prefix=store.settings.prefix) as other,
            ):
                actor = Actor()
                opened = await other.open(actor.claim())
                waits = waiting(store, actor, opened)
                for _ in range(3):
                    await asyncio.sleep(0.05)
                    proxy.reset_all()
                await asyncio.sleep(0.05)
                assert not waits.done()
                begun = asyncio.get_running_loop().time()
                await other.commit(actor.change(opened, "ok"))
                assert texts(await waits) == ["hello", "ok"]
                assert asyncio.get_running_loop().time() - begun < SOON_SECONDS

    async def test_what_was_committed_while_the_line_was_down_is_found(self, server):
        async with Proxy(port=server.port) as proxy:
            where = f"redis://127.0.0.1:{proxy.port}"
            async with (
                make(where) as store,
                make(server.url, prefix=store.settings.prefix) as other,
            ):
                actor = Actor()
                opened = await other.open(actor.claim())
                waits = waiting(store, actor, opened)
                await asyncio.sleep(0.05)
                proxy.down = True
                proxy.reset_all()
                await other.commit(actor.change(opened, "ok"))
                await asyncio.sleep(0.05)
                assert not waits.done()
                proxy.down = False
                assert texts(await waits) == ["hello", "ok"]

    @pytest.mark.usefixtures("told_alone")
    async def test_a_store_that_is_closed_says_so_to_who_waits(self, server):
        for near_cache in (True, False):
            async with make(server.url, near_cache=near_cache) as store:
                actor = Actor()
                waits = waiting(store, actor, await store.open(actor.claim()))
                await asyncio.sleep(0.05)
                begun = asyncio.get_running_loop().time()
            with pytest.raises(StoreClosed):
                await waits
            assert asyncio.get_running_loop().time() - begun < SOON_SECONDS


class TestNothingIsLeft:
    @pytest.mark.parametrize("near_cache", [True, False])
    @pytest.mark.parametrize("end", ["answered", "cancelled", "out of patience"])
    async def test_of_twenty_who_waited(self, server, near_cache, end):
        async with make(server.url, near_cache=near_cache) as store:
            actor = Actor()
            opened = await store.open(actor.claim())
            before = asyncio.all_tasks()
            patience = 1.0 if end == "out of patience" else PATIENCE_SECONDS
            waits = [waiting(store, actor, opened, patience_seconds=patience) for _ in range(20)]
            await asyncio.sleep(0.05)
            news = store._waiting._news
            assert len(news) == 20 or not near_cache
            if end == "cancelled":
                for task in waits:
                    task.cancel()
            elif end == "answered":
                await store.commit(actor.change(opened, "ok"))
            outcomes = await asyncio.gather(*waits, return_exceptions=True)
            if end == "cancelled":
                assert all(isinstance(o, asyncio.CancelledError) for o in outcomes)
            else:
                seqs = {o.seq for o in outcomes}
                assert seqs == {2 if end == "answered" else 1}
            assert len(news) == 0
            assert news._waiting == {}
            assert asyncio.all_tasks() == before
            exchange = store._ground.courier.exchange_for(0)
            await store.read(replace(actor.query(), fresh=True))
            assert len(exchange._pending) == 0

    async def test_who_does_not_leave_would_be_seen(self, server, monkeypatch):
        """The broken variant of the check above."""
        monkeypatch.setattr("ctxbridge.stores.redis.near.News", Sticky)
        async with make(server.url) as store:
            actor = Actor()
            waits = waiting(store, actor, await store.open(actor.claim()))
            await asyncio.sleep(0.05)
            waits.cancel()
            await asyncio.wait([waits])
            assert len(store._waiting._news) == 1

    async def test_who_waits_within_a_deadline_is_let_go_of_in_time(self, server):
        async with make(server.url) as store:
            actor = Actor()
            opened = await store.open(actor.claim())
            query = actor.query(held_by=opened.fence, patience_seconds=PATIENCE_SECONDS)
            begun = asyncio.get_running_loop().time()
            with anyio.move_on_after(0.05):
                await store.read(query)
            assert asyncio.get_running_loop().time() - begun < SOON_SECONDS
            assert len(store._waiting._news) == 0
