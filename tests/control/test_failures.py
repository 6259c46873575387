"""The store fails in the middle of an act; a process cannot read the control, or has not got the release."""

import asyncio
from random import Random

import anyio
import pytest
from redis.asyncio import Redis

from ctxbridge import Bridge
from ctxbridge.bridge.tools import ToolGate
from ctxbridge.errors import Halted, StoreError, Unavailable, UnknownFormat
from ctxbridge.model import Message, RecordRead, RecordWrite, Sent, Settle
from ctxbridge.model.record import CONTROL
from ctxbridge.stores.memory import MemoryStore
from ctxbridge.stores.redis import RedisStore
from ctxbridge.testing.proxy import Proxy
from ctxbridge.testing.storm.around import Around
from ctxbridge.testing.topologies import SentinelSet
from ctxbridge.wire.control1 import decode_control
from tests.bridge.conftest import Clock
from tests.faults.stops import LATER, LATER_MILLISECONDS

from .processes import answered_by, bridge_of, says, write
from .worlds import NEW, OLD, World, asks_of, customer, inbound

pytestmark = pytest.mark.usefixtures("quiet")


# --- the store fails in the middle ----------------------------------------------------------------


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Failing(Around):
    """Can neither store what is asked for anew nor withhold, as long as it is told to."""

    fails = False

    async def open(self, claim, /):
        if self.fails:
            raise Unavailable("on purpose")
        return await super().open(claim)

    async def deliver(self, step, /):
        if self.fails and isinstance(step, Settle):
            raise Unavailable("on purpose")
        return await super().deliver(step)


async def test_the_same_call_again_finishes_what_broke_off():
    """A reply that was put off: neither withheld nor asked for anew by the first call."""
    store = Failing(MemoryStore())
    world = World(store, Random(1), customers=1)

    async def think(turn):
        return f"{LATER}: v12 {','.join(asks_of(turn))}"

    world.old = think
    async with world.here, world.operator as operator:
        await operator.control.promote("support", "v12")
        await world.here.answer(inbound(0), world.here.deployed)
        store.fails = True
        first = await operator.control.rollback("support", to="v11", within_seconds=0.0)
        assert (len(first.withheld), first.asked_anew) == (1, ())
        store.fails = False
        second = await operator.control.rollback("support", to="v11", within_seconds=0.0)
        assert (len(second.withheld), len(second.asked_anew)) == (1, 1)
        third = await operator.control.rollback("support", to="v11", within_seconds=0.0)
        assert (third.withheld, third.asked_anew) == ((), ())
        await world.here.recover(world.here.deployed)
        world.clock.time += LATER_MILLISECONDS
        await world.here.dispatch()
        context = await operator.context(customer(0))
    assert [release for release, *_ in world.account.sent] == [NEW]
    assert sum(m.author == "system" for m in context.messages) == 1


async def copies_of(store, client):
    """The control as each shard has it."""
    keys = [
        store._ground.keys.agenda("acme", shard).control for shard in range(store.settings.shards)
    ]
    return [await client.get(key) for key in keys]


async def written(store, client):
    """What the server has of the control now."""
    return await client.get(store._ground.keys.record("acme", *CONTROL)[1])


async def until_written(store, client, held):
    """Wait until there is another control than the one that was held before it was changed."""
    while await written(store, client) == held:  # noqa: ASYNC110 - the server alone tells of it
        await asyncio.sleep(0)


def redis_store(url, **options):
    options = {"prefix": "cb:acts", "near_cache": False, "deadline_seconds": 1.0} | options
    return RedisStore(url, **options)


async def test_a_line_that_is_cut_in_the_middle_leaves_nothing_half_in_force(server, tmp_path):
    prefix = {"prefix": tmp_path.name}
    async with (
        Proxy(path=server.path) as proxy,
        redis_store(f"redis://127.0.0.1:{proxy.port}", **prefix) as cut_off,
        redis_store(server.url, **prefix) as store,
        Redis(unix_socket_path=str(server.path)) as client,
        bridge_of(cut_off) as operator, bridge_of(store) as worker,
    ):  # fmt: skip
        await operator.control.promote("support", "v12")
        await worker.steering.refresh()
        # It breaks as soon as the record is written: few of the copies come through, if any.
        held = await written(store, client)
        rollback = asyncio.ensure_future(operator.control.rollback("support", to="v11"))
        await until_written(store, client, held)
        proxy.down = True
        proxy.reset_all()
        with pytest.raises(StoreError):
            await rollback
        assert len(set(await copies_of(store, client))) <= 2
        # Whoever looks at the record knows, whatever the shards say.
        await worker.steering.refresh()
        assert await answered_by(worker, 1) == "v11"
        proxy.down = False
        report = await operator.control.rollback("support", to="v11", within_seconds=1.0)
        (copy,) = set(await copies_of(store, client))
        assert decode_control(copy).epoch == report.epoch
        assert decode_control(copy) == await worker.control.read()


@pytest.mark.slow
async def test_a_primary_that_dies_in_the_middle(some_binary):
    with SentinelSet(some_binary) as servers:
        options = {"durability": "replicated", "deadline_seconds": 5.0}
        async with (
            redis_store(servers.url, **options) as store,
            redis_store(servers.url, **options) as other,
            bridge_of(store) as operator, bridge_of(other) as worker,
        ):  # fmt: skip
            await operator.control.promote("support", "v12")
            old = servers.primary
            async with Redis(host="127.0.0.1", port=old.port) as client:
                held = await written(store, client)
                rollback = asyncio.ensure_future(operator.control.rollback("support", to="v11"))
                await until_written(store, client, held)
            old.kill()
            try:
                await rollback
            except StoreError as error:
                print(f"\nthe call raised {type(error).__name__}")
            await asyncio.to_thread(servers.wait_for_new_primary, old)
            report = await operator.control.rollback("support", to="v11", within_seconds=1.0)
            async with (
                servers.primary.client()
                if False
                else Redis(host="127.0.0.1", port=servers.primary.port) as client
            ):
                (copy,) = set(await copies_of(store, client))
            assert decode_control(copy).epoch == report.epoch
            assert await answered_by(worker, 1) == "v11"


# --- who cannot read it, and who has not got it ---------------------------------------------------


async def newer_format(store, clock):
    """A control as a later release of the library may write it."""
    read = await store.records(RecordRead("acme", *CONTROL, clock.now()))
    epoch = int.from_bytes(read.value[:8], "big") + 1
    value = epoch.to_bytes(8, "big") + b"\xff" + read.value[9:]
    await store.records(RecordWrite("acme", *CONTROL, clock.now(), value, read.revision))


@pytest.mark.parametrize("fails", ["closed", "open"])
async def test_a_control_that_cannot_be_read(fails):
    store, clock = MemoryStore(), Clock()
    async with bridge_of(store, clock=clock, control_fails=fails) as bridge:
        turn = bridge.turn(write(1))
        await turn.__aenter__()
        await newer_format(store, clock)
        turn.reply("was thought about before")
        if fails == "open":
            await turn.__aexit__(None, None, None)
            assert await answered_by(bridge, 2) == "v11"
            return
        with pytest.raises(UnknownFormat):
            await turn.__aexit__(None, None, None)
        with pytest.raises(UnknownFormat):
            await answered_by(bridge, 2)
        for number in (1, 2):
            context = await bridge.context(write(number).sender)
            (message,) = [m for m in context.messages if isinstance(m, Message)]
            assert message.disposition == "pending", "it waits"


@pytest.mark.parametrize("fails", ["closed", "open"])
async def test_who_starts_while_it_cannot_be_read(fails):
    """A process that was told to go on comes up too: it knows of nothing, so its first answers."""
    store, clock = MemoryStore(), Clock()
    async with bridge_of(store, clock=clock):
        await newer_format(store, clock)
    restarted = bridge_of(store, clock=clock, control_fails=fails)
    if fails == "closed":
        with pytest.raises(UnknownFormat):
            await restarted.__aenter__()
        return
    async with restarted:
        assert await answered_by(restarted, 1) == "v11"


async def test_where_the_stable_version_is_not_deployed_another_process_answers():
    store, clock = MemoryStore(), Clock()
    started = anyio.Event()

    async def think(_turn):
        started.set()
        await anyio.sleep_forever()

    both = bridge_of(store, clock=clock)
    old = Bridge(store, tenant="acme", guards=(), clock=clock)
    old.deploy("support@v12", think)
    async with both, old:
        await both.control.promote("support", "v12")
        await old.steering.refresh()
        async with anyio.create_task_group() as group:

            async def ask():
                turn = await old.answer(write(1), old.deployed)
                assert turn.status == "waiting"

            group.start_soon(ask)
            await started.wait()
            await both.control.rollback("support", to="v11", within_seconds=0.0)
            await old.steering.refresh()
        clock.time += 2_000
        await old.recover(old.deployed)  # it always comes first, and has not got what answers
        await both.recover(both.deployed)
        context = await both.context(write(1).sender)
        assert [m.text for m in context.messages] == ["hi", "v11"]


# --- what an agent does with tools ----------------------------------------------------------------


async def refunds_after_a_rollback():
    """What an agent has refunded that asks in the moment after a rollback by another process."""
    store, refunded = MemoryStore(), []

    async def agent(turn):
        await operator.control.rollback("support", to="v11", within_seconds=0.0)
        judged = await turn._tools.before(bytes(16), "refund", "{}", effects=True)
        if judged.decision.enforced == "allow":
            refunded.append(turn.inbound.message_id)
        return "refunded"

    bridge, operator = Bridge(store, tenant="acme", guards=()), bridge_of(store)
    bridge.deploy("support@v11", says("v11"))
    bridge.deploy("support@v12", agent)
    async with bridge, operator:
        await operator.control.promote("support", "v12")
        assert await answered_by(bridge, 1) == "v11"
    return refunded


async def test_a_tool_with_effects_is_refused_though_nobody_has_told_this_process():
    assert await refunds_after_a_rollback() == []


async def test_a_tool_that_asks_nobody_would_have_its_effect(monkeypatch):
    """The negative control."""

    async def refusing(self):
        return None

    monkeypatch.setattr(ToolGate, "_refusing", refusing)
    assert await refunds_after_a_rollback() == ["M1"]


# --- a repeated message while all stands still ----------------------------------------------------


async def test_a_repeated_message_gets_no_stored_answer_while_all_stands_still():
    store = MemoryStore()
    async with bridge_of(store) as bridge, bridge_of(store) as operator:
        assert await answered_by(bridge, 1) == "v11"
        await operator.control.pause()
        assert (await bridge.answer(write(1), bridge.deployed)).answer == ()
        await operator.control.resume()
        again = await bridge.answer(write(1), bridge.deployed)
        assert [message.text for message in again.answer] == ["v11"]


async def test_what_is_written_first_is_of_the_release_that_holds():
    store = MemoryStore()
    sent = []

    class Provider:
        channel, repeatable, timeout_seconds, per_second = "chat", True, 5.0, 0.0

        async def send(self, outgoing):
            sent.append(outgoing.message.release)
            return Sent("sent", provider_id=outgoing.key)

        async def aclose(self):
            pass

    async with bridge_of(store, senders=[Provider()]) as bridge, bridge_of(store) as operator:
        await operator.control.promote("support", "v12")
        assert await answered_by(bridge, 1) == "v12"
        await operator.control.rollback("support", to="v11", within_seconds=0.0)
        await bridge.send(write(1).sender, "news")
        assert sent == [OLD, NEW]
        await operator.control.pause()
        with pytest.raises(Halted):
            await bridge.send(write(1).sender, "more news")
        assert sent == [OLD, NEW]
