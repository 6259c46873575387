"""What goes over the wire, counted exactly: commands, writes, connections, decoded messages."""

import asyncio
from itertools import pairwise

import pytest

from ctxbridge.model import Address
from ctxbridge.stores.redis.resp import MISSING, PythonReader
from ctxbridge.testing.actor import CHAT, MAIL, PHONE, Actor, contact_of
from ctxbridge.wire import format1

from .conftest import make


class Wire:
    """Stands between an exchange and its transport, and notes what is written."""

    def __init__(self, exchange):
        self._transport = exchange._transport
        self.writes = []
        exchange._transport = self

    def __getattr__(self, name):
        return getattr(self._transport, name)

    def write(self, data):
        self.writes.append(data)
        self._transport.write(data)

    def commands(self):
        """The names of the commands since it was last asked, and in how many writes."""
        writes, self.writes = self.writes, []
        reader = PythonReader()
        reader.feed(b"".join(writes))
        names = []
        while (command := reader.gets()) is not MISSING:
            names.append(command[0].decode())
        return names, len(writes)


def wire_of(store):
    return Wire(store._topology.servers[0].writes.exchange)


class TestCommands:
    async def test_a_look_up_is_one_command(self, far):
        actor = Actor()
        await contact_of(far, actor)
        wire = wire_of(far)
        await far.read(actor.query(window=20))
        assert wire.commands() == (["LRANGE"], 1)

    async def test_a_look_up_of_somebody_unknown_is_one_command(self, far):
        wire = wire_of(far)
        await far.read(Actor().query())
        assert wire.commands() == (["LRANGE"], 1)

    async def test_a_linked_address_takes_a_second_one_once(self, server, far):
        actor = Actor()
        await contact_of(far, actor)
        await far.identify(actor.link(PHONE, MAIL))
        async with make(server.url, near_cache=False, prefix=far.settings.prefix) as other:
            wire = wire_of(other)
            await other.read(actor.query(MAIL))
            assert wire.commands() == (["LRANGE", "LRANGE"], 2)
            await other.read(actor.query(MAIL))
            assert wire.commands() == (["LRANGE"], 1)

    async def test_an_open_is_two_commands_in_one_write(self, far):
        actor = Actor()
        await contact_of(far, actor)
        wire = wire_of(far)
        opened = await far.open(actor.claim("two", message_id="M2"))
        assert wire.commands() == (["EVALSHA", "LRANGE"], 1)
        await far.open(actor.claim("two", message_id="M2"))
        assert wire.commands() == (["EVALSHA", "LRANGE"], 1)
        await far.commit(actor.change(opened, "ok"))
        assert wire.commands() == (["EVALSHA"], 1)
        await far.open(actor.claim("new", message_id="M3", address=CHAT))
        assert wire.commands() == (["EVALSHA", "LRANGE"], 1)

    async def test_a_change_of_consent_looks_at_the_contact_first(self, far):
        actor = Actor()
        await contact_of(far, actor)
        wire = wire_of(far)
        await far.open(actor.claim("STOP", message_id="M2", stop=True))
        assert wire.commands() == (["LRANGE", "EVALSHA", "LRANGE"], 2)

    async def test_a_commit_is_one_command_also_after_a_mere_look_up(self, server, far):
        actor = Actor()
        contact = await contact_of(far, actor)
        async with make(server.url, near_cache=False, prefix=far.settings.prefix) as other:
            wire = wire_of(other)
            await other.read(actor.query())
            await other.commit(actor.note(contact, actor.message("n")))
            assert wire.commands() == (["LRANGE", "EVALSHA"], 2)

    async def test_a_commit_by_a_bare_id_asks_once_where_the_contact_lives(self, server, far):
        actor = Actor()
        contact = await contact_of(far, actor)
        async with make(server.url, near_cache=False, prefix=far.settings.prefix) as other:
            wire = wire_of(other)
            for number in range(2):
                await other.commit(actor.note(contact, actor.message(f"{number}")))
            assert wire.commands() == (["GET", "EVALSHA", "EVALSHA"], 3)

    async def test_a_cached_look_up_is_no_command_and_an_exchange_is_two_round_trips(self, near):
        actor = Actor()
        contact = await contact_of(near, actor)
        query = actor.query(window=20)
        await near.read(query)
        wire = wire_of(near)
        await near.read(query)
        assert wire.commands() == ([], 0)
        for number in range(2):
            await near.commit(actor.note(contact, actor.message(f"{number}")))
            await near.read(query)
        assert wire.commands() == (["EVALSHA", "EVALSHA"], 2)

    async def test_all_of_one_tick_leave_in_one_write(self, far):
        actor = Actor()
        addresses = [Address("chat", f"{n}") for n in range(64)]
        for n, address in enumerate(addresses):
            await far.open(actor.claim("hi", message_id=f"{n}", address=address))
        wire = wire_of(far)
        await asyncio.gather(*(far.read(actor.query(a)) for a in addresses))
        assert wire.commands() == (["LRANGE"] * 64, 1)

    async def test_what_waits_for_replicas_has_one_barrier_and_one_wait_for_each_write(
        self, sentinels
    ):
        async with make(sentinels.url, durability="replicated", near_cache=False) as store:
            actor = Actor()
            contact = await contact_of(store, actor)
            wire = wire_of(store)
            notes = [actor.note(contact, actor.message(f"{n}")) for n in range(10)]
            await asyncio.gather(*(store.commit(note) for note in notes))
            assert wire.commands() == (["EVALSHA"] * 10 + ["SET", "WAIT"], 1)


async def connections(server, store):
    names = [c["id"] for c in server.client().client_list()]
    async with store:
        return len(server.client().client_list()) - len(names)


class TestConnections:
    async def test_one_is_enough_for_all(self, server):
        assert await connections(server, make(server.url)) == 1

    async def test_two_hundred_and_fifty_six_callers_share_it(self, server, far):
        actor = Actor()
        await contact_of(far, actor)
        before = server.client().info("stats")["total_connections_received"]
        await asyncio.gather(*(far.read(actor.query()) for _ in range(256)))
        assert server.client().info("stats")["total_connections_received"] == before + 1

    async def test_levels_that_wait_have_a_second(self, sentinels):
        store = make(sentinels.url, durability="replicated")
        assert await connections(sentinels.primary, store) == 2


class TestWork:
    @pytest.mark.parametrize("near_cache", [True, False])
    async def test_untouched_messages_are_not_decoded(self, server, near_cache, monkeypatch):
        async with make(server.url, near_cache=near_cache) as store:
            actor = Actor()
            contact = await contact_of(store, actor)
            for number in range(20):
                await store.commit(actor.note(contact, actor.message(f"{number}")))
            decoded, decode = [], format1._decode_entry
            monkeypatch.setattr(
                format1, "_decode_entry", lambda data: decoded.append(data) or decode(data)
            )
            context = await store.read(actor.query(window=20))
            await store.open(actor.claim("x", message_id="M2"))
            assert decoded == []
            assert len(context.messages) == len(decoded) == 20

    async def test_no_timer_is_set_for_a_call(self, far, monkeypatch):
        actor = Actor()
        contact = await contact_of(far, actor)
        loop, set_ = asyncio.get_running_loop(), []
        later = loop.call_at
        monkeypatch.setattr(loop, "call_at", lambda *a, **k: set_.append(a) or later(*a, **k))
        for number in range(300):
            await far.commit(actor.note(contact, actor.message(f"{number}")))
            await far.read(actor.query(window=5))
        assert len(set_) < 10

    async def test_no_task_is_started_for_a_call(self, far):
        actor = Actor()
        contact = await contact_of(far, actor)
        before = asyncio.all_tasks()
        pending = [
            asyncio.ensure_future(far.commit(actor.note(contact, actor.message(f"{n}"))))
            for n in range(50)
        ]
        await asyncio.sleep(0)
        assert asyncio.all_tasks() - before == set(pending)
        await asyncio.gather(*pending)


class TestBackPressure:
    async def test_who_writes_faster_than_the_server_reads_waits_and_loses_nothing(self, server):
        async with make(server.url, near_cache=False) as store:
            actor = Actor()
            contact = await contact_of(store, actor)
            exchange = store._ground.courier.exchange_for(0)
            server.pause()
            try:
                notes = [
                    actor.note(contact, actor.message(f"{n} " + "x" * 60_000)) for n in range(300)
                ]
                writing = []
                for note in notes:
                    writing.append(asyncio.ensure_future(store.commit(note)))
                    await asyncio.sleep(0)
                await asyncio.sleep(0.1)
                asked = exchange._asked
                assert exchange.crowded
                assert asked < 300, "everything was taken in, however slow the server"
            finally:
                server.resume()
            await asyncio.gather(*writing)
            window = (await store.read(actor.query())).window
            assert all(b - a == 1 for a, b in pairwise(window.seqs))
            assert len(window) == 302
