"""Callers that are cancelled at any moment, on a line that is slow and breaks now and then.

Nobody may be given another's data, nothing may be there twice, and no connection may be left over.
"""

import asyncio
import os
import random
from collections import Counter
from contextlib import asynccontextmanager

import anyio
import pytest
from msgspec.structs import replace

from ctxbridge.errors import CtxBridgeError, ReplyMismatch
from ctxbridge.model import Address, Committed
from ctxbridge.stores.redis.exchange import Exchange
from ctxbridge.stores.redis.reading import Reading
from ctxbridge.stores.redis.scripts import Request
from ctxbridge.testing.actor import Actor, is_dense, texts
from ctxbridge.testing.proxy import Proxy
from tests.patience import until

from .conftest import make

CANCELS = int(os.environ.get("CTXBRIDGE_CANCELS", "5000"))
CUSTOMERS = 24


class Tally:
    """What happened."""

    def __init__(self):
        self.cancelled = self.foreign = self.lost = self.resets = 0
        self.errors = Counter()


class Customer:
    """Somebody whose messages carry a name; whatever comes back must carry it too."""

    def __init__(self, number, store, tally, chance):
        self.name = f"customer-{number}/"
        self.address = Address("chat", self.name)
        self.actor = Actor(seed=number)
        self.store, self.tally, self.chance = store, tally, chance
        self.written = []

    def look_at(self, context):
        for message in context.messages:
            self.tally.foreign += not message.text.startswith(self.name)
        if context.contact is not None:
            self.tally.foreign += self.address not in context.contact.addresses

    async def hurried(self, ask):
        """Ask, and be cancelled before the answer is there, or not; by one of three ways."""
        seconds = self.chance.choice([0.0, self.chance.uniform(0, 0.004), 1.0])
        task = asyncio.ensure_future(ask())
        how = self.chance.randrange(3)
        try:
            if how == 0:
                return await self._timed_out(task, seconds)
            if how == 1:
                with anyio.move_on_after(seconds) as scope:
                    return await task
                self.tally.cancelled += scope.cancelled_caught
                return None
            async with asyncio.timeout(seconds):
                return await task
        except TimeoutError:
            self.tally.cancelled += 1
        except CtxBridgeError as error:
            self.tally.errors[type(error).__name__] += 1
        finally:
            if not task.done():
                task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()

    async def _timed_out(self, task, seconds):
        await asyncio.wait([task], timeout=seconds)
        if task.done():
            return task.result()
        task.cancel()
        self.tally.cancelled += 1
        return None

    async def insist(self, ask):
        """Ask until there is an answer: the same again is safe."""
        while True:
            answer = await self.hurried(ask)
            if answer is not None:
                return answer

    async def talk(self, turns):
        for number in range(len(self.written), len(self.written) + turns):
            text = f"{self.name}{number}"
            claim = self.actor.claim(text, message_id=text, address=self.address)
            opened = await self.insist(lambda claim=claim: self.store.open(claim))
            self.look_at(opened.context)
            if opened.status == "new":
                reply = self.actor.message(f"{self.name}re:{number}", turn=opened.turn)
                change = replace(self.actor.change(opened), append=(reply,))
                outcome = await self.insist(lambda change=change: self.store.commit(change))
                if not isinstance(outcome, Committed):
                    self.tally.errors[outcome.reason] += 1
            self.written.append(text)
            await self.look()

    async def look(self):
        query = self.actor.query(self.address)
        self.look_at(await self.insist(lambda: self.store.read(query)))


async def trouble(proxy, tally, chance):
    """Breaks the line now and then."""
    while True:
        await asyncio.sleep(chance.uniform(0.05, 0.15))
        if chance.random() < 0.5:
            proxy.lose(1, "reset", containing=b"EVAL")
        else:
            proxy.reset_all()
        tally.resets += 1


@asynccontextmanager
async def line_to(server, **options):
    async with Proxy(port=server.port) as proxy:
        proxy.delay_seconds = 0.002
        where = f"redis://127.0.0.1:{proxy.port}"
        async with make(where, timeout_seconds=0.5, **options) as store:
            yield proxy, store


async def storm(server, cancels, seed=11, tally=None, **options):
    """Customers talk until so many calls were cancelled; what was found in the end."""
    tally, chance = tally or Tally(), random.Random(seed)
    async with line_to(server, **options) as (proxy, store):
        breaking = asyncio.ensure_future(trouble(proxy, tally, chance))
        customers = [Customer(n, store, tally, chance) for n in range(CUSTOMERS)]
        while tally.cancelled < cancels:
            async with asyncio.TaskGroup() as group:
                for customer in customers:
                    group.create_task(customer.talk(5))
        breaking.cancel()
        proxy.heal()
        for customer in customers:
            await account(store, customer, tally)
        tally.open = proxy.open
        tally.mismatches = store._ground.courier.mismatches
        tally.pending = [len(e._pending) for e in live_exchanges(store)]
    return tally


def live_exchanges(store):
    return [line.exchange for s in set(store._topology.servers) for line in s.lines]


async def account(store, customer, tally):
    query = replace(customer.actor.query(customer.address), fresh=True)
    context = await store.read(query)
    counted = Counter(texts(context))
    tally.lost += sum(not counted[text] for text in customer.written)
    tally.errors["twice"] += sum(n > 1 for n in counted.values())
    tally.errors["gaps"] += not is_dense(context.window.seqs)


@pytest.mark.slow
@pytest.mark.parametrize("near_cache", [True, False], ids=["near cache", "no near cache"])
async def test_cancelled_callers_get_nothing_foreign_and_leave_nothing_behind(server, near_cache):
    before = server.client().info("clients")["connected_clients"]
    tally = await storm(server, CANCELS // 2, near_cache=near_cache)
    print(
        f"{tally.cancelled} cancellations, {tally.resets} breaks of the line: {tally.foreign} "
        f"foreign, {tally.lost} lost, {tally.errors['twice']} twice"
    )
    assert tally.cancelled >= CANCELS // 2
    assert tally.resets > 5
    assert (tally.foreign, tally.lost, tally.mismatches) == (0, 0, 0)
    assert +tally.errors == Counter()
    assert (tally.open, tally.pending) == (1, [0])
    await until(lambda: server.client().info("clients")["connected_clients"] <= before)


class TestBrokenOnPurpose:
    @pytest.fixture(autouse=True)
    def forgets_who_was_cancelled(self, monkeypatch):
        """What redis-py once did: a cancelled request leaves its reply on the connection."""
        received = Exchange.buffer_updated

        def buffer_updated(exchange, nbytes):
            while exchange._pending and exchange._pending[0].future.cancelled():
                exchange._pending.popleft()
            received(exchange, nbytes)

        monkeypatch.setattr(Exchange, "buffer_updated", buffer_updated)

    async def test_replies_are_bound_to_requests_so_that_nothing_foreign_is_given(self, server):
        tally = await storm(server, 150, near_cache=False)
        assert (tally.foreign, tally.lost) == (0, 0)
        assert tally.mismatches > 0, "the variant is not broken enough to be seen"

    async def test_without_the_binding_foreign_data_would_be_given(self, server, monkeypatch):
        """The negative control: the customers can see what they look for.

        They only read, so that every reply has the form that was asked for and none ends the run.
        """
        monkeypatch.setattr(Request, "is_answered_by", lambda *_: True)
        monkeypatch.setattr(Reading, "is_of", lambda *_: True)
        tally, chance = Tally(), random.Random(11)
        async with line_to(server, near_cache=False) as (_, store):
            customers = [Customer(n, store, tally, chance) for n in range(CUSTOMERS)]
            for customer in customers:
                greeting = customer.actor.claim(f"{customer.name}0", address=customer.address)
                await store.open(greeting)
            with anyio.move_on_after(30):  # some callers wait for a reply that went to another
                while tally.cancelled < 150:
                    await asyncio.gather(*(customer.look() for customer in customers))
        assert tally.foreign > 0, "nothing foreign was seen though nothing was bound"


async def test_a_left_over_reply_is_noticed_at_once(server):
    """Whatever lies on the connection unread is never taken for an answer."""
    async with line_to(server) as (proxy, store):
        ann, bob = (Customer(n, store, Tally(), random.Random(1)) for n in range(2))
        for customer in (ann, bob):
            await customer.talk(1)
        for left_over in (b"+OK\r\n", b"*0\r\n", b":1\r\n", b"$-1\r\n", b"*1\r\n$1\r\nx\r\n"):
            proxy.inject(left_over)
            claim = bob.actor.claim("hi", message_id=f"{left_over}", address=bob.address)
            opened = await store.open(claim)
            await store.commit(bob.actor.change(opened))
        assert proxy.connections >= 6, "the connection was kept"


async def test_another_customers_conversation_in_place_of_ones_own_is_never_given(server):
    async with line_to(server, deadline_seconds=1.0) as (proxy, store):
        ann, bob = (Customer(n, store, Tally(), random.Random(1)) for n in range(2))
        for customer in (ann, bob):
            await customer.talk(3)
        exchange = store._ground.courier.exchange_for(0)
        place = store._ground.keys.of_address("acme", ann.address)
        elements = await exchange.ask(place.look(20).data).future
        packed = b"*%d\r\n" % len(elements) + b"".join(
            b"$%d\r\n%b\r\n" % (len(e), e) for e in elements
        )
        for _ in range(20):
            proxy.inject(packed)
            context = await store.read(replace(bob.actor.query(bob.address), fresh=True))
            bob.look_at(context)
        assert bob.tally.foreign == 0
        assert proxy.connections >= 20, "the connection was kept"


async def test_who_answers_wrongly_all_the_time_is_reported(server, monkeypatch):
    async with line_to(server, near_cache=False) as (_, store):
        ann = Customer(0, store, Tally(), random.Random(1))
        await ann.talk(1)
        monkeypatch.setattr(Reading, "is_of", lambda *_: False)
        with pytest.raises(ReplyMismatch):
            await store.read(ann.actor.query(ann.address))


@pytest.mark.parametrize("when", ["before the answer", "with the answer", "after the answer"])
async def test_a_lease_is_given_back_whenever_the_cancellation_comes(server, when):
    async with make(server.url, grace_seconds=60.0) as store:
        claim = Actor().claim()
        opening = asyncio.ensure_future(store.open(claim))
        exchange = store._ground.courier.exchange_for(0)
        received = exchange.buffer_updated

        def cancelled_meanwhile(nbytes):
            if when == "with the answer":
                opening.cancel()
            received(nbytes)
            if when == "after the answer":
                opening.cancel()

        exchange.buffer_updated = cancelled_meanwhile
        await asyncio.sleep(0)
        if when == "before the answer":
            opening.cancel()
        begun = asyncio.get_running_loop().time()
        await asyncio.wait([opening])
        assert opening.cancelled()
        assert asyncio.get_running_loop().time() - begun < 30.0, "it was not seen as settled"
        exchange.buffer_updated = received
        again = await store.open(claim)
        assert (again.status, again.fence) == ("new", 2)
