"""Encryption around every store: it keeps the contract, and what lies inside tells nothing."""

import msgspec
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from msgspec.structs import replace

from ctxbridge import Bridge
from ctxbridge.model import (
    Assurance,
    Attachment,
    Event,
    Link,
    Message,
    Opaque,
    Quote,
    ToolCall,
    ToolResult,
)
from ctxbridge.stores import open_store
from ctxbridge.stores.memory import MemoryStore
from ctxbridge.stores.redis import RedisStore
from ctxbridge.testing import StoreContract, store_machine
from ctxbridge.testing.actor import MAIL, PHONE, Actor, contact_of, texts
from ctxbridge.testing.contract.merging import split_off, told, two
from ctxbridge.wire import encode_contact, encode_entry
from tests.bridge.conftest import exchange, write
from tests.stores.redis.conftest import new_prefix
from tests.stores.test_machine import CALM

pytest.importorskip("cryptography", reason="needs the extra crypto")

from ctxbridge.stores.sealed import SealedStore
from tests.stores.sealing import keys_with


class TestMemory(StoreContract):
    @pytest.fixture
    async def store(self):
        async with open_store("memory://", seal=keys_with()) as store:
            yield store


class TestSqlite(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path):
        async with open_store(f"sqlite:///{tmp_path}/contract.db", seal=keys_with()) as store:
            yield store


class TestRedis(StoreContract):
    @pytest.fixture
    def anyio_backend(self):
        return "asyncio"

    @pytest.fixture
    async def store(self, server):
        async with SealedStore(
            RedisStore(server.url, prefix=new_prefix(), clock="caller", deadline_seconds=5.0),
            keys_with(),
        ) as store:
            yield store

    async def test_what_the_near_cache_holds_is_opened_once(self, store):
        actor = Actor()
        contact = await contact_of(store, actor)
        query = actor.query(window=20)
        windows = [(await store.read(query)).window for _ in range(3)]
        assert windows[1] is windows[2]
        await store.commit(actor.note(contact, actor.message("new")))
        assert texts(await store.read(query)) == ["hello", "ok", "new"]


@pytest.mark.parametrize("kind", ["memory", "redis"])
@pytest.mark.parametrize("granted", [False, True], ids=["refused", "granted"])
async def test_what_was_told_of_an_address_that_was_split_off_hinders_nobody(
    request, kind, granted
):
    """It was sealed for that address: who stays goes without, and reads all else."""
    where, options = "memory://", {}
    if kind == "redis":
        where = request.getfixturevalue("server").url
        options = {"prefix": new_prefix(), "clock": "caller"}
    async with open_store(where, seal=keys_with(), **options) as store:
        actor = Actor()
        phone, mail = await two(store, actor)
        await store.identify(actor.merge(phone, mail))
        await told(store, actor, MAIL, granted=granted)
        await store.identify(actor.link(phone, MAIL))
        await split_off(store, actor, phone, mail)
        ours, theirs = [await store.read(actor.query(address=a)) for a in (PHONE, MAIL)]
        assert texts(ours) == ["1 asks", "1 answer"]
        (link,) = [e for e in ours.window if isinstance(e, Event) and e.kind == "link"]
        assert link.about("evidence") == ""
        (word,) = ours.contact.consents
        assert (word.granted, word.evidence) == (granted, "")
        (event,) = [e for e in theirs.window if isinstance(e, Event) and e.kind == "consent"]
        assert event.about("evidence") == "crm:1"
        assert [link.evidence for link in theirs.contact.links] == ["crm:4711"]


# --- what lies inside ------------------------------------------------------------------------------

CANARY = "xylophone-marmalade"
WORDS = [f"{CANARY}-{n}".encode() for n in range(20)]


def everything_in_redis(server, prefix):
    """Every value under the prefix, raw and as the server dumps it."""
    reads = {
        b"string": ("GET",), b"list": ("LRANGE", 0, -1), b"hash": ("HGETALL",),
        b"zset": ("ZRANGE", 0, -1), b"set": ("SMEMBERS",),
    }  # fmt: skip
    with server.client() as client:
        found = []
        for key in client.scan_iter(f"{prefix}*"):
            command, *more = reads[client.type(key)]
            found += [
                key,
                client.dump(key),
                repr(client.execute_command(command, key, *more)).encode(),
            ]
        assert found
        return b"".join(found)


def everything_in_memory(store):
    homes = set(store._contacts.values())
    packed = [encode_entry(entry) for home in homes for entry in home.entries]
    packed += [encode_contact(home.contact) + (home.state or b"") for home in homes]
    packed += [record.value for record in store._records.values()]
    packed += [repr((home.answers, home.outbox, home.kept)).encode() for home in homes]
    return b"".join([*packed, repr(store._seen).encode()])


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def ground(request, tmp_path):
    """A store to seal, and a way to see all that lies in it."""
    if request.param == "memory":
        inner = MemoryStore()
        yield inner, lambda: everything_in_memory(inner)
    elif request.param == "sqlite":
        path = tmp_path / "sealed.db"
        files = lambda: sorted(tmp_path.glob("sealed.db*"))  # noqa: E731
        yield open_store(f"sqlite:///{path}"), lambda: b"".join(f.read_bytes() for f in files())
    else:
        server, prefix = request.getfixturevalue("server"), new_prefix()
        inner = RedisStore(server.url, prefix=prefix, clock="caller", deadline_seconds=5.0)
        yield inner, lambda: everything_in_redis(server, prefix)


async def talk(store):
    """A conversation with a canary in every place that may hold words."""
    actor = Actor()
    claim = actor.claim(f"{CANARY}-0", stop=True)
    extra = (
        Quote(f"{CANARY}-1"), Attachment("image/png", f"{CANARY}-2.png", 1, f"https://x/{CANARY}-3"),
        ToolCall("1", f"{CANARY}-4", f'{{"a": "{CANARY}-5"}}'), ToolResult("1", f"{CANARY}-6"),
        Opaque(f"{CANARY}-7", f"{CANARY}-8".encode()),
    )  # fmt: skip
    said = replace(
        claim.message, parts=claim.message.parts + extra, subject=f"{CANARY}-9",
        thread=f"{CANARY}-10", references=(f"{CANARY}-11",), packed_decision=f"{CANARY}-12".encode(),
    )  # fmt: skip
    word = replace(claim.consents[0], evidence=f"{CANARY}-13", source="tenant")
    opened = await store.open(replace(claim, message=said, consents=(word,)))
    accepted = replace(said, disposition="accepted")
    note = Event("note", actor.now, opened.turn, (("why", f"{CANARY}-14"),))
    change = actor.change(
        opened, f"{CANARY}-15", accept=accepted, state=f"\x01{CANARY}-16".encode()
    )
    await store.commit(replace(change, append=(*change.append, note)))
    link = Link(MAIL, Assurance.AUTHENTICATED, f"{CANARY}-17", "tenant", actor.now)
    await store.identify(replace(actor.link(PHONE, MAIL), link=link))
    await store.records(actor.write_record("r", f"{CANARY}-18".encode()))
    waiting = actor.claim(f"{CANARY}-19", message_id="SM2", address=MAIL)
    await store.open(waiting)
    return actor, accepted, note, word, link


async def test_all_comes_back_and_nothing_readable_lies_inside(ground):
    inner, everything = ground
    async with SealedStore(inner, keys_with()) as store:
        actor, accepted, note, word, link = await talk(store)
        context = await store.read(actor.query())
        entries = list(context.window)
        assert next(e for e in entries if isinstance(e, Message)) == accepted
        assert [m.text for m in context.messages] == [f"{CANARY}-{n}" for n in (0, 15, 19)]
        assert note in entries
        assert {e.about("evidence") for e in entries if isinstance(e, Event)} == {
            "", word.evidence, link.evidence,
        }  # fmt: skip
        assert context.contact.consents == (word,)
        assert link in context.contact.links
        assert context.state == f"\x01{CANARY}-16".encode()
        assert (await store.records(actor.read_record("r"))).value == WORDS[18]
        lies = everything()
        assert PHONE.value.encode() in lies, "what stays readable is found, so the search works"
        assert [w for w in WORDS if w in lies] == []
        assert CANARY.encode() not in lies
    assert CANARY.encode() not in everything(), "nor after closing, when the log is written back"


async def test_without_sealing_the_same_search_finds_every_word(ground):
    """The negative control."""
    inner, everything = ground
    async with inner:
        await talk(inner)
        lies = everything()
    assert [w for w in WORDS if w not in lies] == []


async def test_a_bridge_runs_over_it(ground):
    inner, everything = ground
    keys = keys_with()

    class Ticket(msgspec.Struct):
        note: str = ""

    async with inner:
        async with Bridge(inner, tenant="acme", state=Ticket, seal=keys) as bridge:
            await bridge.link(
                "sms:+15550100001", "email:ann@example.org", evidence=f"{CANARY} said so"
            )
            await bridge.consent("sms:+15550100001", granted=True, evidence=f"{CANARY} on a form")
            await exchange(bridge, write(f"{CANARY} one", id="A"), f"{CANARY} answer")
            assert await exchange(bridge, write(f"{CANARY} one", id="A")) == [f"{CANARY} answer"]
            async with bridge.turn(write(f"{CANARY} two", "email", subject=f"{CANARY}")) as turn:
                turn.state.note = CANARY
                turn.reply("ok")
            await exchange(bridge, write(f"{CANARY} edited", "sms", id="B", revises="A"))
        assert CANARY.encode() not in everything()
        async with Bridge(inner, tenant="acme", state=Ticket, seal=keys) as bridge:
            async with bridge.turn(write("three")) as turn:
                said = [m["content"] for m in turn.context.as_chat()]
                assert said[0].endswith(f" UTC] {CANARY} edited")
                assert said[1] == f"{CANARY} answer"
                assert turn.state.note == CANARY
            await exchange(bridge, write("", id="C", parts=(), revises="A"))
            chat = (await bridge.context("sms:+15550100001")).as_chat()
            assert f"{CANARY} edited" not in str(chat), "a deletion stays one"
            (word,) = await bridge.consents("sms:+15550100001")
            assert word.evidence == f"{CANARY} on a form"
        assert (await inner.check()).kind, "a store that it was given stays open behind the bridge"


def test_it_follows_the_model_of_a_store():
    machine = store_machine(lambda: open_store("memory://", seal=keys_with()), backend="asyncio")
    run_state_machine_as_test(machine, settings=settings(CALM, max_examples=20))
