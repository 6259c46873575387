"""What control costs on the wire: nothing where it is asked, one copy for each shard where it is set."""

from collections import Counter

import pytest
from msgspec.structs import replace

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text
from ctxbridge.model import Committed, Sent
from ctxbridge.model.record import CONTROL
from ctxbridge.testing.actor import Actor, contact_of

from .conftest import make
from .test_counts import wire_of
from .test_counts_outbox import TOKEN, whose

SHARDS = 256
US, ANN = Endpoint("sms", "+15550199999"), Address("sms", "+15550100001")
OLD, NEW = (5).to_bytes(8, "big") + b"\x01", (9).to_bytes(8, "big") + b"\x01"


async def put(store, actor, value, revision):
    scope, name = CONTROL
    await store.records(actor.write_record(name, value, scope=scope, revision=revision))


@pytest.mark.parametrize("known", [0, 9])
class TestWhereItIsAsked:
    """Known or not: it comes with what is asked anyway."""

    async def test_open_and_commit_are_as_many_commands_as_without(self, far, known):
        actor = Actor()
        await contact_of(far, actor)
        opened = await far.open(actor.claim("two", message_id="M2"))
        delivery = actor.delivery(1, token=TOKEN)
        change = actor.change(opened, "a", deliveries=(delivery,))
        await far.commit(actor.change(opened, finished=False, lease_seconds=9.0))
        await put(far, actor, NEW, 0)
        wire = wire_of(far)
        again = await far.open(actor.claim("two", message_id="M2", control=known))
        assert (wire.commands(), bool(again.control)) == ((["EVALSHA", "LRANGE"], 1), not known)
        outcome = await far.commit(replace(change, control=known))
        assert (wire.commands(), isinstance(outcome, Committed)) == ((["EVALSHA"], 1), bool(known))

    async def test_a_claim_is_as_many_commands_as_without(self, far, known):
        actor, delivery = Actor(), Actor().delivery()
        _, where = await whose(far, actor, delivery)
        await put(far, actor, NEW, 0)
        wire = wire_of(far)
        taken = await far.deliver(actor.take(where, delivery.id, control=known))
        assert (wire.commands(), taken.status) == (
            (["EVALSHA", "LRANGE"], 1), "taken" if known else "stale",
        )  # fmt: skip


def reads(server):
    """How often a whole string was read, by scripts too."""
    lines = server.command("INFO", "commandstats").decode().split()
    found = [line for line in lines if line.startswith("cmdstat_get:")]
    return int(found[0].split("calls=")[1].split(",")[0]) if found else 0


@pytest.mark.parametrize("known", [0, 9])
async def test_a_control_that_is_known_is_not_read_for_each_turn(server, known):
    """With a thousand halts it has a quarter of a megabyte, which the server would copy each time."""
    async with make(server.url, near_cache=False) as store:
        actor = Actor()
        await contact_of(store, actor)
        await put(store, actor, NEW, 0)
        before = reads(server)
        opened = await store.open(actor.claim("two", message_id="M2", control=known))
        await store.commit(replace(actor.change(opened, "a"), control=known))
        assert (reads(server) == before) is bool(known)


class Provider:
    channel, repeatable, timeout_seconds, per_second = "sms", True, 5.0, 0.0

    async def send(self, outgoing):
        return Sent("sent", provider_id=outgoing.key)

    async def aclose(self):
        pass


async def agent(_turn):
    return "ok"


async def commands_of_a_turn(store, tenant, *, deploys):
    """A whole turn of a bridge, the second of a conversation, with what it sends."""
    bridge = Bridge(store, tenant=tenant, senders=[Provider()])
    if deploys:
        bridge.deploy("support@v11", agent)
        bridge.deploy("support@v12", agent)
    async with bridge:
        if deploys:
            await bridge.control.canary("support", "v12", 50)
            await bridge.control.pause(by="test", why="costs nothing either")
            await bridge.control.resume()
        for number in range(2):
            wire = wire_of(store)
            inbound = Inbound("sms", US, ANN, f"M{number}", (Text("hi"),), Assurance.CHANNEL)
            await bridge.answer(inbound, bridge.deployed if deploys else agent)
    return wire.commands()


async def test_a_turn_of_a_release_is_as_many_round_trips_as_one_without(far):
    bare = await commands_of_a_turn(far, "bare", deploys=False)
    assert bare == (["EVALSHA", "LRANGE", "EVALSHA", "EVALSHA"], 3)
    assert await commands_of_a_turn(far, "steered", deploys=True) == bare


class TestWhereItIsSet:
    async def test_an_act_is_two_records_and_a_copy_for_each_shard(self, server):
        async with make(server.url, shards=SHARDS, near_cache=False) as store:
            bridge = Bridge(store, tenant="acme")
            bridge.deploy("support@v11", agent)
            async with bridge:
                await bridge.control.pause()
                wire = wire_of(store)
                await bridge.control.resume()
                names, writes = wire.commands()
        assert Counter(names) == {"GET": 1, "PTTL": 1, "EVALSHA": 2 + SHARDS}
        print(f"\nan act of control: {len(names)} commands in {writes} writes")
        # The record is read, the act is noted, the record is written, and all copies leave at once.
        assert writes == 4
