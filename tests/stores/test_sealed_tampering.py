"""Sealed values that were moved, changed or cut: they do not open."""

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ctxbridge.errors import (
    CorruptRecord,
)
from ctxbridge.model import Assurance, Consent, Event
from ctxbridge.stores import open_store
from ctxbridge.stores.memory import MemoryStore
from ctxbridge.testing.actor import MAIL, PHONE, Actor, contact_of

pytest.importorskip("cryptography", reason="needs the extra crypto")

from ctxbridge.stores.sealed import SealedStore, values
from ctxbridge.stores.sealed.envelope import (
    header_of,
    key_in,
    new_data_key,
    wrapping_cipher,
)
from ctxbridge.stores.sealed.opening import Opener
from tests.stores.sealing import KEYS, Inside, keys_with, use

CANARY = "xylophone-marmalade"


async def two_contacts(store, tenants=("acme", "acme")):
    """Two contacts with the same ids, times and texts as far as can be, and their states."""
    first, second = (Actor(tenant, seed=9) for tenant in tenants)
    if tenants[0] == tenants[1]:
        second._ids = 1_000
    contacts = []
    for actor, address, id in ((first, PHONE, "SM1"), (second, MAIL, "SM2")):
        claim = actor.claim("hers" if id == "SM2" else "mine", address=address, message_id=id)
        opened = await store.open(claim)
        accepted = replace(claim.message, disposition="accepted")
        await store.commit(
            actor.change(
                opened, "ok", address=address, accept=accepted, state=b"\x01" + id.encode()
            )
        )
        contacts.append(opened.context.contact.id)
    return first, second, contacts


def exchanged(inside, what, tenants=("acme", "acme")):
    mine, hers = inside.home(PHONE, tenants[0]), inside.home(MAIL, tenants[1])
    if what == "parts":
        ours, theirs = inside.data(mine, 0), inside.data(hers, 0)
        inside.put(mine, 0, theirs)
        inside.put(hers, 0, ours)
    elif what == "parts of two turns' places":
        inside.put(mine, 0, inside.data(mine, 1))
    elif what == "entries":
        mine.entries[0], hers.entries[0] = hers.entries[0], mine.entries[0]
    else:
        mine.state, hers.state = hers.state, mine.state


@pytest.mark.parametrize("tenants", [("acme", "acme"), ("acme", "other")])
@pytest.mark.parametrize("what", ["parts", "parts of two turns' places", "entries", "state"])
async def test_what_was_moved_does_not_open(what, tenants):
    inner = MemoryStore()
    async with SealedStore(inner, keys_with()) as store:
        first, _, _ = await two_contacts(store, tenants)
        assert await use(store, first) == (["mine", "ok"], b"\x01SM1")
        exchanged(Inside(inner), what, tenants)
        with pytest.raises(CorruptRecord):
            await use(store, first)


@pytest.mark.parametrize("what", ["parts", "entries", "state"])
async def test_without_what_is_bound_in_it_would_open(what, monkeypatch):
    """The negative control: the same exchange goes unseen where nothing is bound in."""
    monkeypatch.setattr("ctxbridge.stores.sealed.envelope.bound", lambda *_: b"")
    inner = MemoryStore()
    async with SealedStore(inner, keys_with()) as store:
        first, _, _ = await two_contacts(store)
        exchanged(Inside(inner), what)
        texts, state = await use(store, first)
        assert "hers" in texts or state == b"\x01SM2"


async def test_a_waiting_message_that_was_moved_to_somebody_else_does_not_open():
    """It was stored before it was known whose the address is, so it is bound to that."""
    inner = MemoryStore()
    async with SealedStore(inner, keys_with()) as store:
        first, second, _ = await two_contacts(store)
        await store.open(second.claim("waits", address=MAIL, message_id="SM3"))
        inside = Inside(inner)
        inside.home(PHONE).entries[1] = inside.home(MAIL).entries[2]
        with pytest.raises(CorruptRecord):
            await use(store, first)
        assert (await store.read(first.query())).window[0].text == "mine", "what is intact"


async def test_a_record_that_was_moved_does_not_open():
    inner = MemoryStore()
    async with SealedStore(inner, keys_with()) as store:
        actor = Actor()
        await store.records(actor.write_record("a", b"1"))
        await store.records(actor.write_record("b", b"2"))
        held = inner._records
        one, two = ("acme", "test", "a"), ("acme", "test", "b")
        held[one], held[two] = held[two], held[one]
        with pytest.raises(CorruptRecord):
            await store.records(actor.read_record("a"))


@pytest.mark.parametrize(
    "field",
    [{"disposition": "quarantined"}, {"assurance": Assurance.AUTHENTICATED}, {"labels": ()},
     {"author": "agent"}, {"turn": bytes(16)}, {"address": MAIL}, {"written_as": "+1999"}, {"message_id": "SM9"}],
)  # fmt: skip
async def test_what_stays_readable_cannot_be_changed_unseen(field):
    inner = MemoryStore()
    async with SealedStore(inner, keys_with()) as store:
        actor = Actor()
        claim = actor.claim(labels=("health",))
        opened = await store.open(claim)
        await store.commit(
            actor.change(opened, accept=replace(claim.message, disposition="accepted"))
        )
        home = Inside(inner).home()
        home.entries[0] = replace(home.entries[0], **field)
        with pytest.raises(CorruptRecord):
            await use(store, actor)


async def test_a_row_of_sqlite_that_was_moved_to_another_contact_does_not_open(tmp_path):
    path = tmp_path / "moved.db"
    async with open_store(f"sqlite:///{path}", seal=keys_with()) as store:
        first, _, _ = await two_contacts(store)
        with closing(sqlite3.connect(path)) as behind, behind:
            (hers,) = behind.execute("SELECT body FROM entry WHERE home = 2 AND seq = 1").fetchone()
            behind.execute("UPDATE entry SET body = ? WHERE home = 1 AND seq = 1", (hers,))
        with pytest.raises(CorruptRecord):
            await use(store, first)


async def test_a_damaged_row_is_found_when_it_is_touched_and_others_stay_readable(tmp_path):
    path = tmp_path / "damaged.db"
    async with open_store(f"sqlite:///{path}", seal=keys_with()) as store:
        actor = Actor()
        await contact_of(store, actor)
        with closing(sqlite3.connect(path)) as behind, behind:
            behind.execute("UPDATE entry SET body = x'01ff' WHERE seq = 1")
        window = (await store.read(actor.query())).window
        assert window[1].text == "ok"
        with pytest.raises(CorruptRecord):
            _ = window[0]


async def test_what_lies_beside_messages_does_not_open_changed_either():
    inner = MemoryStore()
    async with SealedStore(inner, keys_with()) as store:
        actor = Actor()
        contact = await contact_of(store, actor)
        await store.commit(actor.note(contact, Event("note", actor.now, data=(("a", "b"),))))
        await store.identify(actor.link(PHONE, MAIL))
        home = Inside(inner).home()
        note, link = home.entries[2], home.entries[3]
        for damaged in ("ctxbridge.sealed:%%%", note.data[0][1][:-8], link.about("evidence")):
            home.entries[2] = replace(note, data=(("ctxbridge.sealed", damaged),))
            window = (await store.read(actor.query())).window
            with pytest.raises(CorruptRecord):
                _ = window[2]
            assert window[3].about("evidence") == "crm:4711"
        home.contact = replace(
            home.contact,
            links=tuple(replace(k, evidence=note.data[0][1]) for k in home.contact.links),
        )
        home.views.clear()
        with pytest.raises(CorruptRecord):
            await store.read(actor.query())


async def test_evidence_that_is_bound_to_a_withheld_address_is_withheld_with_it():
    async with SealedStore(MemoryStore(), keys_with()) as store:
        actor = Actor()
        await contact_of(store, actor)
        word = Consent("sms", "all", True, actor.now, "form:1", "tenant")
        await store.open(replace(actor.claim(message_id="F"), consents=(word,), lease_seconds=0.0))
        await store.identify(actor.link(PHONE, MAIL, Assurance.CLAIMED))
        low = (await store.read(actor.query(MAIL, Assurance.CHANNEL))).contact
        assert ([k.evidence for k in low.links], low.consents[0].evidence) == (["crm:4711"], "")
        assert (await store.read(actor.query())).contact.consents == (word,)


async def test_a_value_that_opens_to_something_else_is_damage():
    inner = MemoryStore()
    async with SealedStore(inner, keys_with()) as store:
        actor = Actor()
        contact = await contact_of(store, actor)
        key = await store._ring.for_writing("acme", values.of_contact(contact), actor.now)
        home = Inside(inner).home()
        place = values.place_of_message("acme", home.entries[0])
        Inside(inner).put(home, 0, key.seal(values.of_contact(contact), place, b"\xc1"))
        with pytest.raises(CorruptRecord, match="something else"):
            await use(store, actor)


def test_a_header_that_names_no_key_is_none():
    assert key_in(b"\x01\xff" + bytes(60)) is None


KEY = new_data_key(wrapping_cipher(KEYS["k1"]), b"t", "k1")
SEALED = KEY.seal(b"C1", ("state",), CANARY.encode() * 3)


@given(st.data())
def test_damage_of_any_kind_does_not_open(data):
    """Flipped, cut or lengthened anywhere: no byte comes back, and no other error."""
    how = data.draw(st.sampled_from(["flip", "cut", "more"]))
    changed = bytearray(SEALED)
    if how == "flip":
        place = data.draw(st.integers(0, len(SEALED) - 1))
        changed[place] ^= data.draw(st.integers(1, 255))
    elif how == "cut":
        changed = changed[: data.draw(st.integers(0, len(SEALED) - 1))]
    else:
        changed += data.draw(st.binary(min_size=1, max_size=20))
    opener = Opener("acme", (b"1",), (), {KEY.header: KEY}, only_sealed=False)
    with pytest.raises(CorruptRecord):
        opener._plain(bytes(changed), ("state",))
    key_in(header_of(bytes(changed)))


@given(st.binary(max_size=200))
def test_no_bytes_are_ever_taken_for_a_sealed_value(data):
    opener = Opener("acme", (b"1",), (), {KEY.header: KEY}, only_sealed=False)
    with pytest.raises(CorruptRecord):
        opener._plain(data, ("state",))
    key_in(header_of(data))


def test_the_sealed_value_opens_where_nothing_was_changed():
    opener = Opener("acme", (b"1",), (), {KEY.header: KEY}, only_sealed=False)
    assert opener._plain(SEALED, ("state",)) == CANARY.encode() * 3
