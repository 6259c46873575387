"""Every operation, every reply lost, on every topology: one effect, and the right status.

A server carries out a request whose answer never arrives. Who sends it again must find that out.
"""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress

import pytest
from msgspec.structs import replace

from ctxbridge.errors import OutcomeUnknown, Unavailable
from ctxbridge.model import Address, Committed, RecordWrite, Refused
from ctxbridge.rules.merging import came_with
from ctxbridge.stores.redis import (
    RedisStore,
    belongings,
    committing,
    ground,
    linking,
    merging,
    opening,
    outbox,
    recording,
    scanning,
    scripts,
)
from ctxbridge.stores.redis.resp import pack
from ctxbridge.testing.actor import Actor, texts
from ctxbridge.testing.proxy import Proxy

from .conftest import new_prefix
from .operations import OUTBOX_OPERATIONS, list_what_is_due

# With such time-outs a machine that is busy with something else looks like a lost reply.
pytestmark = pytest.mark.alone
TIMEOUT, DEADLINE = 0.08, 20.0
_seeds = iter(range(1, 1_000_000))


class ThroughProxies(RedisStore):
    """Goes to each server through a proxy of its own, also where sentinels or nodes name it."""

    def __init__(self, where, proxies, **options):
        super().__init__(where, **options)
        self.proxies = proxies

    async def _dial(self, line, where, waits):
        if where is not None and where[1] not in self.proxies:
            self.proxies[where[1]] = await Proxy(*where).__aenter__()
        there = where and ("127.0.0.1", self.proxies[where[1]].port)
        return await super()._dial(line, there, waits)


class Stand:
    """A store, the proxies on its way, somebody who uses it, and one finished turn."""

    def __init__(self, store, proxies, actor):
        self.store, self.proxies, self.actor = store, proxies, actor
        self.address = Address("chat", f"customer {next(_seeds)}")
        self.plan = None

    async def load_scripts(self):
        """So that what is lost is the answer of a script, and not that it has to be sent in full."""
        used = (opening.OPEN, committing.COMMIT, ground.CONTACT, linking.FORWARD, recording.RECORD,
                merging.ASIDE, belongings.GATHER, belongings.REWRITE, outbox.TAKE, outbox.SETTLE, scanning.FIND)  # fmt: skip
        for server in set(self.store._topology.servers):
            for line in server.lines:
                exchange = await line.reach()
                for script in used:
                    await exchange.ask(pack(b"SCRIPT", b"LOAD", script.text)).future

    async def prepare(self):
        await self.load_scripts()
        claim = self.actor.claim("hello", message_id="M0", address=self.address)
        opened = await self.store.open(claim)
        self.contact = opened.context.contact.id
        self.turn = self.actor.change(opened, "ok", address=self.address)
        await self.store.commit(self.turn)

    def each(self, plan):
        for proxy in self.proxies.values():
            plan(proxy)

    @contextmanager
    def in_peace(self):
        """What is done within is not what is tried: nothing of it is lost."""
        self.each(Proxy.heal)
        yield
        self.each(self.plan)

    def lost(self):
        return sum(proxy.lost for proxy in self.proxies.values())

    async def now(self):
        return await self.store.read(replace(self.actor.query(self.address), fresh=True))

    def claim(self, text="new", **more):
        return self.actor.claim(text, message_id="M1", address=self.address, **more)


@asynccontextmanager
async def stand_on(url, **options):
    options = {"timeout_seconds": TIMEOUT, "deadline_seconds": DEADLINE, "shards": 16} | options
    async with AsyncExitStack() as stack:
        proxies = {}
        if "+" not in url:
            port = int(url.rpartition(":")[2])
            proxies[port] = await Proxy(port=port).__aenter__()
            url = f"redis://127.0.0.1:{proxies[port].port}"
        stack.push_async_callback(close, proxies)
        store = ThroughProxies(url, proxies, prefix=new_prefix(), clock="caller", **options)
        await opened(store)
        stack.push_async_callback(store.aclose)
        stand = Stand(store, proxies, Actor(seed=next(_seeds)))
        await stand.prepare()
        yield stand


async def opened(store):
    """Open the store: its hasty time-outs are for what is lost later, not for a busy machine."""
    for _ in range(9):
        with suppress(Unavailable):
            return await store.check()
    return await store.check()


async def close(proxies):
    for proxy in proxies.values():
        await proxy.__aexit__(None, None, None)


# --- the operations: what is lost, what is done, and what must be true afterwards ------------------


async def read(stand):
    context = await stand.store.read(replace(stand.actor.query(stand.address), fresh=True))
    assert texts(context) == ["hello", "ok"]


async def open_a_turn(stand):
    opened = await stand.store.open(stand.claim())
    assert (opened.status, opened.seq, opened.fence, opened.resumed) == ("new", 3, 2, False)
    assert texts(opened.context) == texts(await stand.now()) == ["hello", "ok", "new"]
    assert isinstance(await stand.store.commit(stand.actor.change(opened)), Committed)


async def open_with_a_stop(stand):
    opened = await stand.store.open(stand.claim("STOP", stop=True))
    context = await stand.now()
    assert (opened.status, context.seq, context.gate_epoch, context.revision) == ("new", 4, 1, 1)
    assert [c.granted for c in context.contact.consents] == [False]


async def open_for_somebody_new(stand):
    stand.address = Address("chat", f"newcomer {next(_seeds)}")
    opened = await stand.store.open(stand.claim())
    assert (opened.status, opened.seq, opened.fence) == ("new", 1, 1)
    assert texts(await stand.now()) == ["new"]


async def open_while_another_runs(stand):
    await stand.store.open(stand.actor.claim("first", message_id="M2", address=stand.address))
    opened = await stand.store.open(stand.claim())
    assert (opened.status, opened.seq, (await stand.now()).seq) == ("busy", 4, 4)


async def open_a_duplicate(stand):
    again = stand.actor.claim("hello", message_id="M0", address=stand.address)
    opened = await stand.store.open(again)
    assert (opened.status, [m.text for m in opened.answer]) == ("duplicate", ["ok"])
    assert (await stand.now()).seq == 2


async def commit_a_turn(stand):
    opened = await stand.store.open(stand.claim())
    change = stand.actor.change(opened, "one", "two", address=stand.address, state=b"s")
    outcome = await stand.store.commit(change)
    assert (outcome.seq, outcome.revision) == (5, 1)
    context = await stand.now()
    assert texts(context) == ["hello", "ok", "new", "one", "two"]
    assert (context.state, context.revision) == (b"s", 1)


async def give_a_turn_back(stand):
    opened = await stand.store.open(stand.claim())
    assert isinstance(
        await stand.store.commit(stand.actor.change(opened, finished=False)), Committed
    )
    assert (await stand.store.open(stand.claim())).resumed


async def append_a_note(stand):
    outcome = await stand.store.commit(
        stand.actor.note(stand.contact, stand.actor.message("n"), state=b"1", revision=0)
    )
    assert (outcome.seq, outcome.revision) == (3, 1)
    assert texts(await stand.now()) == ["hello", "ok", "n"]


async def link_an_address(stand):
    mail = Address("email", f"{next(_seeds)}@example.org")
    outcome = await stand.store.identify(stand.actor.link(stand.contact, mail))
    assert outcome.status == "linked"
    assert set(outcome.contact.addresses) == {stand.address, mail}
    for address in (stand.address, mail):
        context = await stand.store.read(stand.actor.query(address))
        assert (context.seq, len(context.contact.links)) == (3, 2)


async def two_people(stand):
    """Somebody else who talked, by mail; the address and the id."""
    mail = Address("email", f"{next(_seeds)}@example.org")
    opened = await stand.store.open(stand.actor.claim("by mail", message_id="M9", address=mail))
    await stand.store.commit(stand.actor.change(opened, "re: mail", address=mail))
    return mail, opened.context.contact.id


async def merge_two(stand):
    mail, other = await two_people(stand)
    outcome = await stand.store.identify(stand.actor.merge(stand.contact, other))
    assert (outcome.status, outcome.contact.merged) == ("merged", (other,))
    for address in (stand.address, mail):
        context = await stand.store.read(stand.actor.query(address))
        assert texts(context) == ["hello", "ok", "by mail", "re: mail"]


async def split_one_off(stand):
    mail, other = await two_people(stand)
    await stand.store.identify(stand.actor.merge(stand.contact, other))
    held = dict((await stand.now()).window.numbered())
    moves = tuple([(place, held[place]) for place in came_with(held, other)])
    outcome = await stand.store.identify(stand.actor.split(stand.contact, other, 5, moves))
    assert (outcome.status, outcome.part.id) == ("split", other)
    assert texts(await stand.now()) == ["hello", "ok"]
    assert texts(await stand.store.read(stand.actor.query(mail))) == ["by mail", "re: mail"]


async def unlink_an_address(stand):
    mail = Address("email", f"{next(_seeds)}@example.org")
    await stand.store.identify(stand.actor.link(stand.contact, mail))
    held = dict((await stand.now()).window.numbered())
    moves = tuple([(place, held[place]) for place in (1, 2)])
    split = stand.actor.split(stand.contact, stand.actor.id(), 3, moves, address=stand.address)
    outcome = await stand.store.identify(split)
    assert (outcome.status, outcome.part.addresses) == ("split", (stand.address,))
    assert texts(await stand.now()) == ["hello", "ok"]
    assert texts(await stand.store.read(stand.actor.query(mail))) == []


async def write_a_record(stand):
    first = await stand.store.records(stand.actor.write_record("k", b"1", revision=0))
    second = await stand.store.records(stand.actor.write_record("k", b"2", revision=1))
    assert (first.revision, second.revision) == (1, 2)
    assert (await stand.store.records(stand.actor.read_record("k"))).value == b"2"


async def delete_a_record(stand):
    await stand.store.records(stand.actor.write_record("k", b"1", revision=0))
    assert await stand.store.records(stand.actor.write_record("k", None, revision=1)) is None
    assert await stand.store.records(stand.actor.read_record("k")) is None


OPERATIONS = [
    read, open_a_turn, open_with_a_stop, open_for_somebody_new, open_while_another_runs,
    open_a_duplicate, commit_a_turn, give_a_turn_back, append_a_note, link_an_address,
    merge_two, split_one_off, unlink_an_address, write_a_record, delete_a_record,
]  # fmt: skip


async def survives(operation, url, how, times, options):
    async with stand_on(url, **options) as stand:
        asked = {read: b"LRANGE", list_what_is_due: b"ZRANGEBYSCORE"}.get(operation, b"EVAL")
        stand.each(lambda proxy: setattr(proxy, "late_seconds", 3 * TIMEOUT))
        stand.plan = lambda proxy: proxy.lose(times, how, containing=asked)
        stand.each(stand.plan)
        await operation(stand)
        assert stand.lost() >= min(times, 1), f"nothing was lost for {operation.__name__}"


async def all_survive(url, how, times, **options):
    for operations in (OPERATIONS, OUTBOX_OPERATIONS):
        async with asyncio.TaskGroup() as group:
            for operation in operations:
                group.create_task(survives(operation, url, how, times, options))


@pytest.fixture(params=["alone", "sentinel", "replicated", "cluster"])
def topology(request):
    """The address of a topology, and the options to use it with."""
    fixture = {"alone": "server", "cluster": "cluster"}.get(request.param, "sentinels")
    options = {"durability": "replicated"} if request.param == "replicated" else {}
    return request.getfixturevalue(fixture).url, options


@pytest.mark.parametrize("how", ["reset", "blackhole", "late"])
@pytest.mark.parametrize("times", [1, 2, 3, 11])
async def test_lost_replies_have_one_effect_and_the_right_status(topology, how, times):
    url, options = topology
    await all_survive(url, how, times, **options)


async def test_a_deadline_says_that_the_outcome_is_unknown_and_the_same_again_tells(topology):
    url, options = topology
    async with stand_on(url, deadline_seconds=0.5, **options) as stand:
        opened = await stand.store.open(stand.claim())
        change = stand.actor.change(opened, "reply", address=stand.address)
        stand.each(lambda proxy: proxy.lose(10_000, "reset", containing=b"EVAL"))
        with pytest.raises(OutcomeUnknown, match="same message id"):
            await stand.store.commit(change)
        stand.each(Proxy.heal)
        assert await stand.store.commit(change) == Committed(4, 0, replayed=True)
        assert texts(await stand.now()) == ["hello", "ok", "new", "reply"]


async def test_what_never_reached_the_server_is_surely_not_applied(topology):
    url, options = topology
    async with stand_on(url, deadline_seconds=0.5, **options) as stand:
        stand.each(lambda proxy: setattr(proxy, "down", True))
        stand.each(Proxy.reset_all)
        await asyncio.sleep(0.02)  # the news has to arrive, else a request may have left
        with pytest.raises(Unavailable, match="nothing was changed"):
            await stand.store.commit(stand.actor.note(stand.contact, stand.actor.message("n")))
        stand.each(Proxy.heal)
        assert texts(await stand.now()) == ["hello", "ok"]


async def test_that_nothing_is_there_is_an_answer_also_on_the_second_try(server):
    async with stand_on(server.url, deadline_seconds=3.0) as stand:
        stand.each(lambda proxy: proxy.lose(2, "reset", containing=b"GET"))
        nobody = stand.actor.note(stand.actor.id(), stand.actor.message("n"))
        assert await stand.store.commit(nobody) == Refused("unknown")
        assert stand.lost() == 2


async def test_a_request_that_was_cut_in_two_is_sent_again(server):
    async with stand_on(server.url) as stand:
        stand.each(lambda proxy: proxy.cut_requests(2, containing=b"EVAL"))
        await open_a_turn(stand)
        assert stand.lost() == 2


class TestBrokenOnPurpose:
    """The negative controls: a matrix that cannot fail proves nothing."""

    @pytest.mark.parametrize(
        ("script", "room", "right", "wrong"),
        [
            ("OPEN", "opening", b"string.sub(raw, 1, 8) == nonce", b"false"),
            ("OPEN", "opening", b"if known[1] then", b"if false then"),
            ("OPEN", "opening", b"is_mine(known[3])", b"false"),
            ("TAKE", "outbox", b"d.token == token", b"false"),
            ("COMMIT", "committing", b"if done then", b"if false then"),
            ("RECORD", "recording", b"string.sub(raw, 1, 8) == nonce", b"false"),
        ],
        ids=[
            "a lease of its own",
            "message ids",
            "a note of its own",
            "a claim of its own",
            "answers of turns",
            "who wrote a record",
        ],
    )
    async def test_a_script_that_does_not_know_its_own_repetition_is_found_out(
        self, server, monkeypatch, script, room, right, wrong
    ):
        text = getattr(scripts, script).text
        assert right in text
        broken = scripts.Script(text.replace(right, wrong))
        monkeypatch.setattr(f"ctxbridge.stores.redis.{room}.{script}", broken)
        with pytest.raises(ExceptionGroup):
            await all_survive(server.url, "reset", 1)

    async def test_a_store_that_takes_a_lost_reply_for_success_is_found_out(
        self, server, monkeypatch
    ):
        monkeypatch.setattr("ctxbridge.stores.redis.courier._is_sound", lambda *_: True)
        with pytest.raises(ExceptionGroup):
            await all_survive(server.url, "reset", 1)


async def test_a_record_write_of_somebody_else_is_no_replay(server):
    async with stand_on(server.url) as stand:
        write = RecordWrite("acme", "test", "k", stand.actor.now, b"mine", revision=0)
        assert (await stand.store.records(write)).revision == 1
        with pytest.raises(Exception, match="another revision"):
            await stand.store.records(write)
