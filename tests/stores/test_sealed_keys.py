"""Keys that are newer, other, or not there; and how sealing is turned on."""

import logging
import subprocess
import sys
from base64 import b64decode

import pytest

from ctxbridge import Bridge
from ctxbridge.errors import (
    ConfigurationError,
    CorruptRecord,
    KeyMissing,
    OutcomeUnknown,
    Unavailable,
)
from ctxbridge.stores import open_store
from ctxbridge.stores.memory import MemoryStore
from ctxbridge.testing.actor import Actor, contact_of, outgoing, texts
from ctxbridge.wire import decode_entry

pytest.importorskip("cryptography", reason="needs the extra crypto")

from ctxbridge.stores.sealed import SealedStore
from ctxbridge.stores.sealed.envelope import header_of, key_in
from ctxbridge.stores.sealed.keys import KeyRing
from ctxbridge.stores.sealed.opening import Opener
from tests.stores.sealing import KEYS, Inside, keys_with, use

CANARY = "xylophone-marmalade"


class Counted:
    """A source that counts what it is asked for, and may fail."""

    def __init__(self, newest="k1"):
        self.newest, self.asked, self.fails, self.keys = newest, [], None, dict(KEYS)

    async def __call__(self, tenant, id):
        self.asked.append(id)
        if self.fails:
            raise self.fails
        return id or self.newest, self.keys[id or self.newest]


async def test_a_newer_key_is_taken_up_and_what_older_ones_sealed_stays_readable():
    source, actor, inner = Counted(), Actor(), MemoryStore()
    async with SealedStore(inner, source, fresh_seconds=60) as store:
        contact = await contact_of(store, actor)
        source.newest = "k2"
        actor.now += 60_000
        await store.commit(actor.note(contact, actor.message("k1 still")))
        actor.now += 1
        await store.commit(actor.note(contact, actor.message("k2 now"), state=b"\x01s"))
        assert source.asked == [None, None]
    ids = [key_in(header_of(e.parts[0].data))[0] for e in Inside(inner).home().entries]
    assert ids == ["k1", "k1", "k1", "k2"]
    later = Counted("k2")
    async with SealedStore(inner, later) as store:
        assert texts(await store.read(actor.query())) == ["hello", "ok", "k1 still", "k2 now"]
        assert sorted(later.asked) == ["k1", "k2"]
        await store.read(actor.query())
        assert len(later.asked) == 2, "keys are kept"


async def test_data_keys_are_few_and_processes_come_to_share_them():
    inner, actor = MemoryStore(), Actor()
    async with SealedStore(inner, keys_with()) as store:
        contact = await contact_of(store, actor)
    for number in range(5):
        async with SealedStore(inner, keys_with()) as store:
            await store.read(actor.query())
            await store.open(actor.claim(f"{number}", message_id=f"N{number}", lease_seconds=0.0))
            await store.commit(actor.note(contact, actor.message("x")))
    data = [e.parts[0].data for e in Inside(inner).home().entries]
    assert len({header_of(d) for d in data}) == 1 + 5, (
        "a process that reads nothing first: one each"
    )


async def test_what_the_inner_store_holds_is_opened_once_and_held_no_longer_than_there():
    inner, actor = MemoryStore(), Actor()
    async with SealedStore(inner, keys_with()) as store:
        contact = await contact_of(store, actor)
        first, again = [await store.read(actor.query()) for _ in range(2)]
        assert first == again
        assert first.window is again.window
        assert repr(store._held) == "<Held windows=1>"
        await store.commit(actor.note(contact, actor.message("new")))
        assert repr(store._held) == "<Held windows=0>", "the inner store has let go of it"
        assert texts(await store.read(actor.query())) == ["hello", "ok", "new"]


async def test_a_missing_key_is_named_and_what_others_sealed_stays_readable():
    inner, actor = MemoryStore(), Actor()
    async with SealedStore(inner, keys_with("k1")) as store:
        contact = await contact_of(store, actor)
    async with SealedStore(inner, keys_with("k2")) as store:
        await store.commit(actor.note(contact, actor.message("later")))
    async with SealedStore(inner, keys_with("k2", {"k2": KEYS["k2"]})) as store:
        window = (await store.read(actor.query())).window
        assert window[-1].text == "later"
        with pytest.raises(KeyMissing, match="'k1'") as raised:
            list(window)
        assert raised.value.key_id == "k1"
    async with SealedStore(inner, keys_with("k3")) as store:
        with pytest.raises(KeyMissing, match="newest"):
            await store.open(actor.claim(message_id="SM7"))
    assert len(Inside(inner).home().entries) == 3, "nothing was stored"


async def test_another_key_under_the_same_id_opens_nothing():
    inner, actor = MemoryStore(), Actor()
    async with SealedStore(inner, keys_with()) as store:
        await contact_of(store, actor)
    async with SealedStore(inner, keys_with(keys={"k1": bytes(32)})) as store:
        with pytest.raises(CorruptRecord, match="key is another"):
            await use(store, actor)


@pytest.mark.parametrize(
    "answer", [None, "k1", ("k1",), ("k1", "text"), ("k1", b"short"), ("", bytes(32)), (1, bytes(32)),
               ("x" * 256, bytes(32)), ("a\nb", bytes(32))],
)  # fmt: skip
async def test_a_source_that_gives_no_key_is_refused(answer):
    async with SealedStore(MemoryStore(), lambda *_: answer) as store:
        with pytest.raises(ConfigurationError, match="source of keys"):
            await store.open(Actor().claim())


async def test_a_source_that_fails_says_whether_anything_was_stored(caplog):
    source, actor, inner = Counted(), Actor(), MemoryStore()
    async with SealedStore(inner, source, cached_keys=1) as store:
        source.fails = OSError(f"no route to {CANARY}")
        with pytest.raises(Unavailable, match="OSError") as raised:
            await store.open(actor.claim())
        assert CANARY not in str(raised.value)
        source.fails = None
        await outgoing(store, actor, actor.delivery())
    source = Counted("k2")
    async with SealedStore(inner, source) as store:
        await store.records(actor.write_record("warm", b""))
        source.fails = OSError(CANARY)
        with pytest.raises(OutcomeUnknown, match="it was stored"):
            await store.open(actor.claim("more", message_id="SM5"))
        with pytest.raises(Unavailable):
            await store.read(actor.query())
        actor.now += 3_600_000
        with caplog.at_level(logging.WARNING, "ctxbridge"):
            await store.records(actor.write_record("warm", b"x"))
        assert "the newest key that is known is used on" in caplog.text
        source.fails = None
        again = await store.open(actor.claim("more", message_id="SM5"))
        assert (again.resumed, texts(again.context)) == (True, ["hello", "ok", "more"])


async def test_an_error_of_ours_that_a_source_raises_is_passed_on():
    source = Counted()
    source.fails = ConfigurationError("no vault is set")
    async with SealedStore(MemoryStore(), source) as store:
        with pytest.raises(ConfigurationError, match="no vault"):
            await store.open(Actor().claim())


async def test_neither_key_nor_word_is_in_what_is_printed():
    source = keys_with()
    async with SealedStore(MemoryStore(), source) as store:
        await contact_of(store, Actor(), CANARY)
        key = await store._ring.for_writing("acme", b"C1", 0)
        shown = repr((store, store._ring, key, vars(store)))
    assert "k1" in shown
    assert CANARY not in shown
    assert repr(KEYS["k1"])[2:-1] not in shown


# --- turned on later ------------------------------------------------------------------------------


async def test_what_was_stored_before_it_was_turned_on_stays_readable():
    inner, actor = MemoryStore(), Actor()
    async with inner:
        contact = await contact_of(inner, actor)
        await inner.commit(actor.note(contact, state=b"\x01old"))
        await inner.records(actor.write_record("r", b"old"))
        async with SealedStore(inner, keys_with()) as store:
            assert await use(store, actor) == (["hello", "ok"], b"\x01old")
            assert (await store.records(actor.read_record("r"))).value == b"old"
            again = await store.open(actor.claim("hello"))
            assert (again.status, texts(again.context)) == ("duplicate", ["hello", "ok"])
            await store.commit(actor.note(contact, actor.message("new"), state=b"\x01new"))
            assert await use(store, actor) == (["hello", "ok", "new"], b"\x01new")
            assert inner._contacts["acme", contact].state[:1] == b"\xc1"


async def test_a_store_that_must_be_sealed_takes_nothing_that_is_not():
    inner, actor = MemoryStore(), Actor()
    async with inner:
        contact = await contact_of(inner, actor)
        await inner.records(actor.write_record("r", b"old"))
        async with SealedStore(inner, keys_with(), only_sealed=True) as store:
            with pytest.raises(CorruptRecord, match="not sealed"):
                await use(store, actor)
            with pytest.raises(CorruptRecord, match="not sealed"):
                await store.records(actor.read_record("r"))
            await inner.commit(actor.note(contact, state=b"\x01old"))
            with pytest.raises(CorruptRecord, match="not sealed"):
                await store.read(actor.query())


# --- how it is turned on --------------------------------------------------------------------------


async def test_one_argument_turns_it_on():
    assert isinstance(open_store("memory://", seal=keys_with()), SealedStore)
    bridge = Bridge("memory://", tenant="t", seal=keys_with())
    assert isinstance(bridge.store, SealedStore)
    assert "sealed" in (await bridge.store.check()).notes[0]


def test_what_is_no_source_of_keys_is_refused():
    with pytest.raises(ConfigurationError, match="seal="):
        open_store("memory://", seal=bytes(32))


def test_without_the_package_the_error_names_the_extra():
    program = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from ctxbridge import errors, open_store\n"
        "try: open_store('memory://', seal=print)\n"
        "except errors.ConfigurationError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "ctxbridge[crypto]" in done.stdout


GOLDEN = (
    "AdwAFADEEAABAgMEBQYHCAkKCwwNDg+nY29udGFjdKNzbXORkwWwY3R4YnJpZGdlLnNlYWxlZMRsAUMCazF9y7bX"
    "I1Sp1Lkiimg361z1rnQSQqcd7S7r2v8XpJ0fASMWkF5iZnKyEFuwiRPxLf7Re0pvm75PYgWh5jV8OVoDZ2+dFBP2"
    "IQxjfOhfggUE2XjJFBxR0zDDq65WIn5Vh6fwuK/9X2XAzwAAAaDEUGwAqGFjY2VwdGVkk6NzbXOsKzE1NTUwMTAw"
    "MDAxoJKjc21zrCsxNTU1MDE5OTk5OaNTTTEBoKACxACQkJCgp3NlcnZpY2U="
)
"""A sealed entry as the first release wrote it: bytes that must open for ever."""


async def test_what_the_first_release_sealed_still_opens():
    entry = decode_entry(b64decode(GOLDEN))
    header = header_of(entry.parts[0].data)
    keys = await KeyRing(keys_with("k2"), 8, 60.0).for_reading("acme", [header])
    opened = Opener("acme", (bytes(16),), (), keys, only_sealed=True).message(entry)
    assert (opened.text, opened.subject, opened.message_id) == ("gold", "s", "SM1")
    other = await KeyRing(keys_with("k2"), 8, 60.0).for_reading("other", [header])
    assert list(other.values()) == [None], "a key that was wrapped for another tenant"
