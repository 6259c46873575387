"""What the outbox, the lists and those who wait cost on the wire, counted exactly."""

import asyncio
from collections import Counter

import anyio
import pytest
from msgspec.structs import replace

from ctxbridge.stores.redis.resp import pack
from ctxbridge.testing.actor import PHONE, Actor, contact_of, outgoing

from .conftest import make
from .test_counts import Wire, wire_of

SHARDS = 256
TOKEN = b"worker-1"


async def whose(store, actor, *deliveries, **more):
    """A contact with deliveries, where it is, and scripts that the server knows by now."""
    contact = await outgoing(store, actor, *deliveries, **more)
    await store.deliver(actor.take(bytes(16), actor.id()))
    await store.deliver(actor.settle("sent", contact=contact, delivery=actor.id()))
    await store.scan(replace(actor.scan(), now=actor.now + 100_000_000))
    return contact, store._ground.keys.of_address(actor.tenant, PHONE).hash


class TestDeliveries:
    async def test_a_commit_with_deliveries_is_one_command(self, far):
        actor = Actor()
        await contact_of(far, actor)
        opened = await far.open(actor.claim("two", message_id="M2"))
        deliveries = (actor.delivery(1), actor.delivery(2, token=TOKEN))
        await far.commit(actor.change(opened, "x", finished=False, lease_seconds=9.0))
        wire = wire_of(far)
        await far.commit(actor.change(opened, "a", "b", deliveries=deliveries))
        assert wire.commands() == (["EVALSHA"], 1)

    async def test_a_claim_is_two_commands_in_one_write(self, far):
        actor, delivery = Actor(), Actor().delivery()
        _, where = await whose(far, actor, delivery)
        wire = wire_of(far)
        assert (await far.deliver(actor.take(where, delivery.id))).status == "taken"
        assert wire.commands() == (["EVALSHA", "LRANGE"], 1)
        assert (await far.deliver(actor.take(where, delivery.id))).status == "gone"
        assert wire.commands() == (["EVALSHA", "LRANGE"], 1)

    async def test_a_message_further_back_than_the_window_takes_one_command_more(self, far):
        actor, delivery = Actor(), Actor().delivery()
        contact, where = await whose(far, actor, delivery)
        await far.commit(actor.note(contact, *[actor.message(f"{n}") for n in range(30)]))
        wire = wire_of(far)
        taken = await far.deliver(actor.take(where, delivery.id, window=20))
        assert (taken.message.text, len(taken.context.window)) == ("ok", 20)
        assert wire.commands() == (["EVALSHA", "LRANGE", "LRANGE"], 2)

    async def test_who_claimed_it_settles_it_with_one_command(self, far):
        actor = Actor()
        taken, committed = actor.delivery(), actor.delivery(token=TOKEN)
        contact, where = await whose(far, actor, taken, committed)
        await far.deliver(actor.take(where, taken.id))
        wire = wire_of(far)
        for number, delivery in enumerate((taken, committed)):
            said = actor.settle("sent", contact=contact, delivery=delivery.id, attempt=1,
                                provider_id=f"P{number}")  # fmt: skip
            assert (await far.deliver(said)).delivery.status == "sent"
            assert wire.commands() == (["EVALSHA"], 1)
            assert (await far.deliver(said)).delivery.status == "sent"
            assert wire.commands() == (["EVALSHA"], 1)

    async def test_a_provider_is_heard_with_two(self, server, far):
        actor = Actor()
        delivery = actor.delivery(token=TOKEN)
        contact, _ = await whose(far, actor, delivery)
        sent = actor.settle("sent", contact=contact, delivery=delivery.id, provider_id="P1")
        await far.deliver(sent)
        async with make(server.url, near_cache=False, prefix=far.settings.prefix) as other:
            wire = wire_of(other)
            for status in ("delivered", "read"):
                said = actor.settle(status, recipient=PHONE, provider_id="P1")
                assert (await other.deliver(said)).delivery.status == status
                assert wire.commands() == (["EVALSHA", "EVALSHA"], 2)
            assert (await other.deliver(said)).delivery.status == "read"
            assert wire.commands() == (["EVALSHA"], 1), "what changes nothing is but looked at"

    async def test_the_near_cache_keeps_what_no_delivery_changes(self, near):
        actor, delivery = Actor(), Actor().delivery()
        contact, where = await whose(near, actor, delivery)
        await near.read(actor.query(window=20))
        wire = wire_of(near)
        await near.deliver(actor.take(where, delivery.id))
        await near.deliver(actor.settle("sent", contact=contact, delivery=delivery.id))
        assert wire.commands() == (["EVALSHA", "LRANGE", "EVALSHA"], 2)
        assert (await near.read(actor.query(window=20))).seq == 2
        assert wire.commands() == ([], 0)


class TestLists:
    @pytest.mark.parametrize("what", ["due", "pending", "dead"])
    async def test_a_list_of_nothing_is_one_write_with_one_command_for_each_shard(self, far, what):
        wire = wire_of(far)
        assert list(await far.scan(Actor().scan(what))) == []
        assert wire.commands() == (["ZRANGEBYSCORE"] * SHARDS, 1)

    async def test_by_the_servers_clock_it_is_asked_for_the_time_besides(self, server):
        async with make(server.url, clock="server") as store:
            wire = wire_of(store)
            for _ in range(2):
                assert list(await store.scan(Actor().scan())) == []
                assert wire.commands() == (["TIME"] + ["ZRANGEBYSCORE"] * SHARDS, 1)
            await store.scan(Actor().scan("pending"))
            assert wire.commands() == (["ZRANGEBYSCORE"] * SHARDS, 1)

    async def test_all_that_is_found_takes_one_write_more(self, far):
        actor = Actor()
        deliveries = [actor.delivery() for _ in range(20)]
        await whose(far, actor, *deliveries)
        wire = wire_of(far)
        assert len(await far.scan(actor.scan())) == 20
        assert wire.commands() == (["ZRANGEBYSCORE"] * SHARDS + ["EVALSHA"] * 20, 2)
        assert len(await far.scan(actor.scan(limit=5))) == 5
        assert wire.commands() == (["ZRANGEBYSCORE"] * SHARDS + ["EVALSHA"] * 5, 2)

    async def test_turns_do_not_hide_deliveries(self, far):
        """They stand in one set; who asks for deliveries alone reads on behind the turns."""
        actor = Actor()
        deliveries = [actor.delivery(due=actor.now + 100_000_000 + n) for n in range(3)]
        await outgoing(far, actor, *deliveries)
        shard = far._ground.keys.of_address(actor.tenant, PHONE).shard
        agenda = far._ground.keys.agenda(actor.tenant, shard)
        exchange = far._ground.courier.exchange_for(shard)
        for n in range(7):
            turn = bytes([shard]) + bytes(14) + bytes([n])
            await exchange.ask(pack(b"ZADD", agenda.due, b"1", turn)).future
        found = await far.scan(actor.scan("pending", limit=2))
        assert [one.id for one in found] == [d.id for d in deliveries[:2]]

    async def test_on_a_cluster_each_node_gets_one_write(self, cluster):
        async with make(cluster.url, near_cache=False) as store:
            actor = Actor()
            await whose(store, actor, actor.delivery())
            servers = dict.fromkeys(store._topology.servers)
            wires = [Wire(server.reads.exchange) for server in servers]
            assert len(wires) == 3
            assert list(await store.scan(actor.scan("dead"))) == []
            found = [wire.commands() for wire in wires]
            assert [writes for _, writes in found] == [1, 1, 1]
            assert Counter(name for names, _ in found for name in names) == {
                "ZRANGEBYSCORE": SHARDS
            }

    async def test_no_task_is_started_for_a_list(self, far):
        await far.scan(Actor().scan())
        before = asyncio.all_tasks()
        scan = asyncio.ensure_future(far.scan(Actor().scan()))
        await asyncio.sleep(0)
        assert asyncio.all_tasks() - before == {scan}
        await scan


class TestWaiting:
    async def test_who_waits_with_the_near_cache_asks_once_and_once_when_it_is_told(
        self, server, near, monkeypatch
    ):
        # Once a second they would look all the same, and this machine may be slow.
        looks = "ctxbridge.stores.redis.waiting._LONGEST_WITHOUT_LOOKING_SECONDS"
        monkeypatch.setattr(looks, 60.0)
        actor = Actor()
        opened = await near.open(actor.claim())
        async with make(server.url, prefix=near.settings.prefix) as other:
            await other.read(actor.query())
            wire = wire_of(other)
            query = actor.query(held_by=opened.fence, patience_seconds=60.0)
            waiting = asyncio.ensure_future(other.read(query))
            await anyio.sleep(0.3)
            assert wire.commands() == (["LRANGE"], 1)
            await near.commit(actor.change(opened, "ok"))
            assert (await waiting).seq == 2
            assert wire.commands() == (["LRANGE"], 1)

    async def test_without_it_they_look_again_every_few_milliseconds(self, far):
        actor = Actor()
        opened = await far.open(actor.claim())
        wire = wire_of(far)
        await far.read(actor.query(held_by=opened.fence, patience_seconds=2.0))
        names, writes = wire.commands()
        assert set(names) == {"LRANGE"}
        assert 8 <= writes <= 45
