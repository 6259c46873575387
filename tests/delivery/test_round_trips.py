"""What a whole exchange costs on the wire: open, commit, and one more for the receipt."""

import pytest

from ctxbridge import Bridge, open_store
from ctxbridge.model import Sent
from tests.stores.redis.test_counts import wire_of

from .conftest import Clock, Pigeon, exchange, write


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def far(server):
    async with open_store(server.url, prefix="round-trips", near_cache=False) as store:
        yield store


async def test_an_exchange_is_two_round_trips_and_one_for_the_receipt(far):
    async with Bridge(far, tenant="acme", senders=[Pigeon()]) as bridge:
        await exchange(bridge, write("warm up"))
        wire = wire_of(far)
        async with bridge.turn(write("where?")) as turn:
            assert wire.commands() == (["EVALSHA", "LRANGE"], 1)
            turn.reply("on its way")
        assert wire.commands() == (["EVALSHA", "EVALSHA"], 2)
        assert turn.deliveries[0].status == "sent"


async def test_without_a_sender_it_is_two(far):
    async with Bridge(far, tenant="bare") as bridge:
        await exchange(bridge, write("warm up"))
        wire = wire_of(far)
        await exchange(bridge, write("where?"))
        assert wire.commands() == (["EVALSHA", "LRANGE", "EVALSHA"], 2)


async def test_a_merged_burst_costs_no_more_than_its_first_message(far):
    async with Bridge(far, tenant="burst") as bridge:
        await exchange(bridge, write("warm up"))
        with pytest.raises(ZeroDivisionError):
            async with bridge.turn(write("one")):
                raise ZeroDivisionError
        wire = wire_of(far)
        turn = await exchange(bridge, write("two"))
        assert [m.text for m in turn.messages] == ["one", "two"]
        assert wire.commands() == (["EVALSHA", "LRANGE", "EVALSHA"], 2)


async def test_a_delivery_of_the_dispatcher_is_a_claim_and_a_receipt_beside_what_finds_it(server):
    clock, pigeon = Clock(), Pigeon()
    pigeon.says = [Sent("retry"), Sent("retry"), None]
    async with (
        open_store(
            server.url, prefix="dispatched", near_cache=False, clock="caller", shards=4
        ) as store,
        Bridge(store, tenant="acme", senders=[pigeon], clock=clock) as bridge,
    ):
        await exchange(bridge, write("hi"))
        clock.time += 3_600_000
        assert await bridge.dispatch() == 1  # now the server knows all scripts
        clock.time += 3_600_000
        wire = wire_of(store)
        assert await bridge.dispatch() == 1
        names, writes = wire.commands()
        assert names.count("ZRANGEBYSCORE") == 4, "one for each shard, in one write"
        assert names.count("EVALSHA") == 3, "what is due, its claim, its receipt"
        assert writes <= 5
        assert len(pigeon.carried) == 3
