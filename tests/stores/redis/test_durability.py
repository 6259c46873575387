"""What the levels promise: checked when a store is opened, and held while servers are killed."""

import asyncio
import time

import pytest
from msgspec.structs import replace

from ctxbridge import errors
from ctxbridge.model import Address, Committed
from ctxbridge.stores.redis.exchange import Exchange
from ctxbridge.stores.redis.resp import pack
from ctxbridge.stores.redis.scripts import COMMIT
from ctxbridge.testing.actor import PHONE, Actor, contact_of, raises, texts
from ctxbridge.testing.servers import Server, wait_for
from tests.patience import until

from .conftest import any_binary, make
from .test_fitness import changed
from .writers import NOTHING_WRONG, Writers

ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")
QUICK = {"timeout_seconds": 0.4, "deadline_seconds": 0.6}
"""A WAIT is given up after 200 ms."""


@pytest.fixture(scope="module")
def primary():
    with Server(any_binary(), "--repl-diskless-sync-delay", "0") as server:
        yield server


@pytest.fixture(scope="module")
def only_replica(primary):
    with Server(any_binary()) as server:
        follow(server, primary)
        yield server


@pytest.fixture
def replica(only_replica, primary):
    """The replica of `primary`, in sync before the test and after it."""
    yield only_replica
    only_replica.resume()
    follow(only_replica, primary)


def follow(replica, primary):
    replica.command("REPLICAOF", "127.0.0.1", primary.port)
    wait_for("it is in sync", lambda: b"master_link_status:up" in replica.command("INFO"))
    wait_for("it is counted", lambda: b"state=online" in primary.command("INFO"))


class TestLevels:
    async def test_local_needs_every_write_on_the_disk(self):
        with Server(any_binary()) as server:
            error = await raises(
                errors.ConfigurationError, make(server.url, durability="local").check()
            )
            assert "`appendonly yes`" in str(error)
            server.command("CONFIG", "SET", "appendonly", "yes")
            error = await raises(
                errors.ConfigurationError, make(server.url, durability="local").check()
            )
            assert "`appendfsync always`" in str(error)
            server.command("CONFIG", "SET", "appendfsync", "always")
            async with make(server.url, durability="local") as store:
                report = await store.check()
                assert report.durable
                assert report.notes == ("durability local",)
            async with make(server.url) as store:
                assert not (await store.check()).durable

    async def test_a_server_that_may_not_be_asked_for_its_settings_still_tells_of_its_log(self):
        with Server(any_binary()) as server:
            server.command("ACL", "SETUSER", "bot", "on", ">secret", "~*", "+@all", "-config")
            url = server.url.replace("//", "//bot:secret@")
            error = await raises(errors.ConfigurationError, make(url, durability="local").check())
            assert "`appendonly yes`" in str(error)

    async def test_replicated_needs_replicas(self, primary, replica):
        with Server(any_binary()) as alone:
            error = await raises(
                errors.ConfigurationError, make(alone.url, durability="replicated").check()
            )
            assert "`replicaof HOST PORT`" in str(error)
        two = make(primary.url, durability="replicated", replicas=2)
        assert "2 replica" in str(await raises(errors.ConfigurationError, two.check()))
        both = make(primary.url, durability="replicated+local")
        assert "appendonly" in str(await raises(errors.ConfigurationError, both.check()))
        async with make(primary.url, durability="replicated") as store:
            report = await store.check()
            assert report.durable
            assert "`min-replicas-to-write 1`" in " ".join(report.notes)
            primary.command("CONFIG", "SET", "min-replicas-to-write", 1)
            assert (await store.check()).notes == ("durability replicated",)
            primary.command("CONFIG", "SET", "min-replicas-to-write", 0)

    async def test_sentinels_have_replicas(self, sentinels):
        async with make(sentinels.url, durability="replicated", replicas=2) as store:
            assert (await store.check()).durable


class TestKilledServers:
    """`kill -9` of the server while eight customers write."""

    async def kills(self, server, times, **options):
        async with (
            make(server.url, **options) as store,
            Writers(store, pause_seconds=0.0) as writers,
        ):
            for _ in range(times):
                await writers.until(5)
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
            await writers.until(1)
        assert not writers.surprises
        async with make(server.url, prefix=store.settings.prefix) as store:
            return writers, await writers.account(store)

    @pytest.mark.slow
    async def test_at_local_what_was_acknowledged_is_there_once(self):
        with Server(any_binary(), *ALWAYS) as server:
            writers, found = await self.kills(server, 20, durability="local")
        print(f"20 kills, {writers.acknowledged} acknowledged turns, {dict(writers.errors)}")
        assert found == NOTHING_WRONG
        assert not writers.errors["HistoryRolledBack"]

    @pytest.mark.slow
    async def test_a_commit_that_does_not_remember_its_answer_is_there_twice(self, monkeypatch):
        """A broken variant: what was repeated after a lost answer must be seen."""
        remembers = b"if finished == 1 then\n  local outcome"
        forgets = changed(COMMIT, remembers, remembers.replace(b"finished == 1", b"false"))
        monkeypatch.setattr("ctxbridge.stores.redis.committing.COMMIT", forgets)
        with Server(any_binary(), *ALWAYS) as server:
            _, found = await self.kills(server, 20, durability="local")
        assert found["twice"]
        assert not found["lost"]

    async def test_at_fast_without_a_log_it_is_lost(self):
        """A broken variant: what is not there any more must be seen."""
        with Server(any_binary()) as server:
            writers, found = await self.kills(server, 2)
        assert found["lost"]
        assert not found["twice"]
        assert writers.errors["HistoryRolledBack"] >= 1


class WithoutBarrier(Exchange):
    """Broken on purpose: waits, but has written nothing that it could wait for."""

    def _barrier_and_wait(self, replicas, milliseconds):
        whole = super()._barrier_and_wait(replicas, milliseconds)
        return pack(b"PING") + whole[whole.index(b"*3\r\n$4\r\nWAIT") :]


class TestReplicas:
    async def test_a_write_that_no_replica_has_is_not_acknowledged(self, primary, replica):
        actor = Actor()
        async with make(primary.url, durability="replicated", **QUICK) as store:
            contact = await contact_of(store, actor)
            note = actor.note(contact, actor.message("important"))
            replica.pause()
            started = time.monotonic()
            error = await raises(errors.NotDurable, store.commit(note))
            assert 0.5 < time.monotonic() - started < 3.0, (
                "within its deadline, and not the 5 s of others"
            )
            assert error.retry_safe
            replica.resume()
            again = await store.commit(note)
            assert isinstance(again, Committed)
            assert again.replayed
            assert texts(await store.read(actor.query())) == ["hello", "ok", "important"]

    async def test_every_verb_waits(self, primary, replica):
        actor = Actor()
        async with make(primary.url, durability="replicated", **QUICK) as store:
            await contact_of(store, actor)
            replica.pause()
            claim, link = actor.claim("x", message_id="2"), actor.link(PHONE, Address("chat", "7"))
            write = actor.write_record("k", b"v")
            for call in (store.open(claim), store.identify(link), store.records(write)):
                await raises(errors.NotDurable, call)
            # What changes nothing waits for nobody.
            assert await store.records(actor.read_record("k")) is not None
            assert texts(await store.read(actor.query()))[:2] == ["hello", "ok"]
            replica.resume()
            assert (await store.identify(link)).status in {"linked", "unchanged"}
            await store.records(write)

    async def test_a_replica_that_is_gone(self, primary, replica):
        actor = Actor()
        async with make(primary.url, durability="replicated", **QUICK) as store:
            contact = await contact_of(store, actor)
            replica.command("REPLICAOF", "NO", "ONE")
            note = actor.note(contact, actor.message("important"))
            await raises(errors.NotDurable, store.commit(note))
            follow(replica, primary)
            assert (await store.commit(note)).replayed

    async def vacuous(self, primary, replica):
        """Whether a repetition over a new connection is acknowledged that no replica has."""
        actor = Actor()
        async with make(primary.url, durability="replicated", **QUICK) as store:
            contact = await contact_of(store, actor)
            note = actor.note(contact, actor.message("important"))
            replica.pause()
            await raises(errors.NotDurable, store.commit(note))
            primary.command("CLIENT", "KILL", "TYPE", "normal")
            try:
                return isinstance(await store.commit(note), Committed)
            except errors.NotDurable:
                return False

    async def test_a_repetition_over_a_new_connection_waits_for_a_write_of_its_own(
        self, primary, replica
    ):
        assert not await self.vacuous(primary, replica)

    async def test_without_that_write_it_would_be_acknowledged(self, primary, replica, monkeypatch):
        """The broken variant: WAIT has nothing to wait for, and says so at once."""
        monkeypatch.setattr("ctxbridge.stores.redis.dialing.Exchange", WithoutBarrier)
        assert await self.vacuous(primary, replica)

    async def test_one_wait_and_one_barrier_for_all_that_leaves_in_one_tick(self, primary, replica):
        addresses = [Address("chat", str(number)) for number in range(64)]
        async with make(primary.url, durability="replicated") as store:
            actor, changes = Actor(), []
            for address in addresses:
                opened = await store.open(actor.claim(message_id=address.value, address=address))
                changes.append(actor.change(opened, "ok", address=address))
            await store.commit(changes.pop())  # the server has the script from now on
            primary.command("CONFIG", "RESETSTAT")
            await asyncio.gather(*[store.commit(change) for change in changes])
            assert calls(primary) == {"evalsha": 63, "wait": 1, "set": 1}

    async def test_fast_has_one_connection_and_a_level_that_waits_has_two(self, primary, replica):
        for durability, count in (("fast", 1), ("replicated", 2)):
            await until(lambda: connections(primary) == 0)  # those that left are gone
            async with make(primary.url, durability=durability) as store:
                await contact_of(store, Actor())
                assert connections(primary) == count

    async def test_no_key_outside_the_prefix_after_a_connection_was_lost(self, primary, replica):
        actor = Actor()
        primary.command("FLUSHALL")
        async with make(primary.url, durability="replicated") as store:
            contact = await contact_of(store, actor)
            primary.command("CLIENT", "KILL", "TYPE", "normal")
            await asyncio.sleep(0.05)
            await store.commit(actor.note(contact, actor.message("x")))
            prefix = store.settings.prefix.encode()
        assert {k for k in primary.command("KEYS", "*") if not k.startswith(prefix)} == set()


def calls(server):
    """How often each command was called that is not about the statistics themselves."""
    lines = server.command("INFO", "commandstats").decode().split()
    found = {line.split(":")[0][8:]: int(line.split("calls=")[1].split(",")[0])
             for line in lines if line.startswith("cmdstat_")}  # fmt: skip
    return {name: found.get(name, 0) for name in ("evalsha", "wait", "set")}


def connections(server):
    """How many clients are connected besides ourselves."""
    return len(server.command("CLIENT", "LIST", "TYPE", "normal").splitlines()) - 1


class TestRolledBack:
    async def told(self, store, *calls):
        """For each of the calls, made one after the other, whether it told of lost history."""
        told = []
        for call in calls:
            try:
                await call()
                told.append(False)
            except errors.HistoryRolledBack:
                told.append(True)
        return told

    @pytest.mark.parametrize("first", ["read", "open", "commit", "records"])
    async def test_a_server_that_comes_back_empty_is_told_once(self, first):
        actor = Actor()
        with Server(any_binary()) as server:
            async with make(server.url) as store:
                contact = await contact_of(store, actor)
                server.restart()
                await asyncio.sleep(0.05)
                calls = {
                    "read": lambda: store.read(actor.query()),
                    "open": lambda: store.open(actor.claim(message_id="SM2")),
                    "commit": lambda: store.commit(actor.note(contact, actor.message("x"))),
                    "records": lambda: store.records(actor.write_record("k", b"v")),
                }
                told = await self.told(store, calls[first], *[calls["read"]] * 3)
                assert told.count(True) == 1
                assert not any(told[2:])
                assert "hello" not in texts(await store.read(actor.query()))
                again = await store.open(actor.claim("again", message_id="SM3"))
                assert again.status in {"new", "busy"}
                for _ in range(3):
                    server.command("CLIENT", "KILL", "TYPE", "normal")
                    await asyncio.sleep(0.02)
                    assert not any(await self.told(store, *[calls["read"]] * 2))

    async def test_with_replicas_it_is_told_once_too(self):
        actor = Actor()
        with (
            Server(any_binary(), "--repl-diskless-sync-delay", "0") as server,
            Server(any_binary()) as replica,
        ):
            follow(replica, server)
            async with make(server.url, durability="replicated") as store:
                await contact_of(store, actor)
                server.kill()
                server.start()
                follow(replica, server)
                read = lambda: store.read(actor.query())  # noqa: E731
                told = await self.told(store, read, read, read)
                assert told.count(True) == 1

    async def turned_back(self, server, store, actor):
        """A conversation of which the last of three entries is gone; gives the contact's id."""
        contact = await contact_of(store, actor)
        place = store._ground.keys.of_address(actor.tenant, PHONE)
        with server.client() as client:
            before = {key: client.dump(key) for key in (place.key, place.ids)}
            for number in range(3):
                await store.commit(actor.note(contact, actor.message(str(number))))
            assert len(texts(await store.read(actor.query()))) == 5
            for key, value in before.items():
                client.restore(key, 0, value, replace=True)
        await asyncio.sleep(0.01)  # the near cache hears of it
        return contact

    async def test_a_conversation_that_went_back_is_told_once_by_a_look_up(self, primary):
        actor = Actor()
        async with make(primary.url) as store:
            await self.turned_back(primary, store, actor)
            read = lambda: store.read(actor.query())  # noqa: E731
            assert await self.told(store, read, read) == [True, False]
            assert texts(await store.read(actor.query())) == ["hello", "ok"]

    async def test_and_by_an_open_which_goes_on_from_what_is_there(self, primary):
        actor = Actor()
        async with make(primary.url) as store:
            await self.turned_back(primary, store, actor)
            claim = actor.claim("next", message_id="SM2")
            await raises(errors.HistoryRolledBack, store.open(claim))
            opened = await store.open(claim)
            assert opened.status == "new"
            assert texts(opened.context) == ["hello", "ok", "next"]

    async def test_and_by_an_open_where_only_one_entry_was_lost(self, primary):
        actor = Actor()
        async with make(primary.url) as store:
            contact = await contact_of(store, actor)
            place = store._ground.keys.of_address(actor.tenant, PHONE)
            with primary.client() as client:
                before = client.dump(place.key)
                await store.commit(actor.note(contact, actor.message("lost")))
                client.restore(place.key, 0, before, replace=True)
            claim = actor.claim("next", message_id="SM2")
            await raises(errors.HistoryRolledBack, store.open(claim))

    async def test_and_by_a_commit(self, primary):
        actor = Actor()
        async with make(primary.url) as store:
            contact = await self.turned_back(primary, store, actor)
            note = actor.note(contact, actor.message("next"))
            await raises(errors.HistoryRolledBack, store.commit(note))
            assert isinstance(await store.commit(note), Committed)
            assert texts(await store.read(actor.query())) == ["hello", "ok", "next"]

    async def test_a_turn_whose_lease_was_rolled_back_is_not_called_fenced(self, primary):
        actor = Actor()
        async with make(primary.url) as store:
            await contact_of(store, actor)
            place = store._ground.keys.of_address(actor.tenant, PHONE)
            with primary.client() as client:
                before = {key: client.dump(key) for key in (place.key, place.ids)}
                opened = await store.open(actor.claim("next", message_id="SM2"))
                for key, value in before.items():
                    client.restore(key, 0, value, replace=True)
            change = actor.change(opened, "never stored")
            await raises(errors.HistoryRolledBack, store.commit(change))
            assert texts(await store.read(replace(actor.query(), fresh=True))) == ["hello", "ok"]
            again = await store.open(actor.claim("next", message_id="SM2"))
            assert again.status == "new"
            assert isinstance(await store.commit(actor.change(again, "stored")), Committed)
            assert texts(await store.read(actor.query()))[-1] == "stored"
