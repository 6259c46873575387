"""Erasure under fire: nothing readable is left where the store keeps things, nobody late comes back."""

import random
import sqlite3

import anyio
import pytest

from ctxbridge import Bridge, errors, guards, open_store
from ctxbridge.model import Erased
from ctxbridge.stores.redis import erasing as redis_erasing
from ctxbridge.stores.sqlite import erasing as sqlite_erasing
from ctxbridge.testing.servers import Server
from tests.bridge.conftest import SENDERS, Clock, Ticket, write
from tests.bridge.test_guards import Pigeon

CANARY = "xylophone-canary"
SMS, MAIL = SENDERS["sms"], SENDERS["email"]
SECRETS = (CANARY, SMS.value, MAIL.value, "crm:4711")


async def lived(bridge):
    """A life with words everywhere: two channels, a state, evidence, an outbox, something that waits."""
    for number in range(8):
        channel = "email" if number % 3 == 2 else "sms"
        async with bridge.turn(write(f"{CANARY} {number} " * 40, channel, subject=CANARY)) as turn:
            turn.state.order = CANARY
            if turn.open:
                turn.reply(f"{CANARY} " * 60)
        if not number:
            await bridge.link(SMS, MAIL, evidence="crm:4711")
    with pytest.raises(ZeroDivisionError):
        async with bridge.turn(write(f"{CANARY} waits")):
            raise ZeroDivisionError
    await bridge.consent(SMS, granted=False, purpose="marketing", evidence=f"call {CANARY}")
    await bridge.challenge(MAIL, to=SMS)


def found_in(data):
    return [secret for secret in SECRETS if secret.encode() in data]


def bytes_of_file(path):
    return b"".join(p.read_bytes() for p in path.parent.iterdir() if p.name.startswith(path.name))


def bytes_below(folder):
    return b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())


def bytes_of_server(client, prefix):
    """Every key under the prefix and what stands there, as the server would write it to disk."""
    data = b""
    for key in client.scan_iter(f"{prefix}*"):
        kind = client.type(key)
        kind = kind.decode() if isinstance(kind, bytes) else kind
        read = {
            "list": lambda k: client.lrange(k, 0, -1), "hash": client.hgetall, "string": client.get,
            "zset": lambda k: client.zrange(k, 0, -1, withscores=True),
        }[kind]  # fmt: skip
        data += repr(key).encode() + repr(read(key)).encode()
    return data


def bridge_over(store):
    return Bridge(store, tenant="acme", state=Ticket, clock=Clock(), senders=[Pigeon()],
                  guards=[guards.opt_out()], wait_seconds=0.05)  # fmt: skip


class TestNothingIsLeft:
    async def test_in_the_file_and_its_log(self, tmp_path):
        path = tmp_path / "erase.db"
        async with bridge_over(f"sqlite:///{path}") as bridge:
            await lived(bridge)
            assert found_in(bytes_of_file(path)) == list(SECRETS)
            certificate = await bridge.erase(MAIL)
            assert found_in(bytes_of_file(path)) == []
            assert sqlite_erasing.LEFT_IN_FILE not in certificate.remains
        assert found_in(bytes_of_file(path)) == []

    async def test_it_is_told_where_the_log_could_not_be_emptied(self, tmp_path):
        path = tmp_path / "erase.db"
        async with bridge_over(f"sqlite:///{path}") as bridge:
            await lived(bridge)
            reader = sqlite3.connect(path, isolation_level=None)
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM home").fetchall()
            certificate = await bridge.erase(MAIL)
            assert sqlite_erasing.LEFT_IN_FILE in certificate.remains
            reader.execute("ROLLBACK")
            reader.close()

    async def test_a_file_that_is_not_written_anew_would_be_caught(self, tmp_path, monkeypatch):
        """The negative control: SQLite leaves copies of rows where it has split pages."""
        monkeypatch.setattr(sqlite_erasing, "LARGEST_REBUILT_BYTES", 0)
        path = tmp_path / "erase.db"
        async with bridge_over(f"sqlite:///{path}") as bridge:
            await lived(bridge)
            certificate = await bridge.erase(MAIL)
        assert sqlite_erasing.LEFT_IN_FILE in certificate.remains
        assert found_in(bytes_of_file(path))

    async def test_in_the_key_space_and_the_rewritten_log_of_the_server(self, server, tmp_path):
        prefix = f"erase-{tmp_path.name}"
        client = server.client()
        async with (
            open_store(f"{server.url}?prefix={prefix}") as store,
            bridge_over(store) as bridge,
        ):
            await lived(bridge)
            assert found_in(bytes_of_server(client, prefix)) == list(SECRETS)
            certificate = await bridge.erase(MAIL)
            assert found_in(bytes_of_server(client, prefix)) == []
        assert certificate.remains[: len(redis_erasing.REMAINS)] == redis_erasing.REMAINS
        assert (certificate.entries > 15, certificate.deliveries > 4) == (True, True)

    async def test_in_the_log_on_disk_once_it_is_rewritten(self, some_binary, tmp_path):
        with Server(some_binary, "--appendonly", "yes", "--dir", str(tmp_path)) as own:
            async with open_store(own.url) as store, bridge_over(store) as bridge:
                await lived(bridge)
                await bridge.erase(MAIL)
            assert found_in(bytes_below(tmp_path)), "the certificate says so"
            own.command("BGREWRITEAOF")
            for _ in range(400):
                if not found_in(bytes_below(tmp_path)):
                    return
                await anyio.sleep(0.05)
            raise AssertionError("the rewritten log still holds it")


@pytest.mark.parametrize("seed", range(20))
async def test_writers_that_are_under_way_bring_nothing_back(each_store, seed, quiet):
    """Turns at every stage while the erasure happens; afterwards no word of before is found."""
    rng = random.Random(seed)
    async with bridge_over(each_store) as bridge:
        await lived(bridge)
        late = [write(f"{CANARY} late {n}", id=f"late-{n}") for n in range(6)]

        async def writer(inbound):
            await anyio.sleep(rng.random() * 0.01)
            try:
                async with bridge.turn(inbound) as turn:
                    await anyio.sleep(rng.random() * 0.01)
                    if turn.open:
                        turn.reply(CANARY)
            except errors.CtxBridgeError:
                pass

        seen_before: set[str] = set()

        async def eraser():
            await anyio.sleep(rng.random() * 0.02)
            context = await bridge.context(SMS, window=0)
            seen_before.update(m.message_id for m in context.messages)
            await bridge.erase(SMS)

        async with anyio.create_task_group() as group:
            for inbound in late:
                group.start_soon(writer, inbound)
            group.start_soon(eraser)
        again = [inbound for inbound in late if inbound.message_id in seen_before]
        for inbound in again:
            async with bridge.turn(inbound) as turn:
                assert turn.status == "duplicate"
        context = await bridge.context(SMS, window=0)
        assert all(m.message_id not in seen_before for m in context.messages if m.message_id)
        assert f"{CANARY} 0" not in repr(list(context.window))


async def test_a_store_that_forgets_its_ids_would_be_caught(tmp_path):
    """The negative control of late webhooks: without the ids the message is stored anew."""
    async with bridge_over(f"sqlite:///{tmp_path}/forget.db") as bridge:
        late = write(f"{CANARY} once", id="once")
        async with bridge.turn(late):
            pass
        await bridge.erase(SMS)
        await bridge.store._write(lambda c: c.execute("DELETE FROM seen"))
        async with bridge.turn(late) as turn:
            assert turn.status == "new"


async def test_nobody_is_erased_twice_or_by_a_wrong_name(each_store):
    async with bridge_over(each_store) as bridge:
        with pytest.raises(errors.UnknownContact):
            await bridge.erase(SMS)
        await lived(bridge)
        first = await bridge.erase(SMS)
        assert (len(first.contact), first.entries > 0) == (32, True)
        with pytest.raises(errors.UnknownContact):
            await bridge.erase(MAIL)
        with pytest.raises(errors.UnknownContact):
            _ = [told async for told in bridge.export("sms:+1999")]
        assert CANARY not in repr([told async for told in bridge.export(SMS)])


async def test_what_agent_frameworks_keep_beside_the_log_is_named():
    """A checkpoint outlives its customer, so the certificate says so."""
    async with bridge_over("memory://") as bridge:
        await lived(bridge)
        certificate = await bridge.erase(MAIL)
    assert any("delete_thread" in remains for remains in certificate.remains)


def test_an_answer_names_what_remains():
    assert Erased("unknown").remains == ()
