import pytest
from msgspec.structs import replace
from ctxbridge.model import Consent
from ctxbridge.stores import open_store
from ctxbridge.testing.actor import CHAT, MAIL, PHONE, Actor, texts
from ctxbridge.testing.contract.merging import answered, split_off, two
from ctxbridge.stores.sealed import SealedStore
from tests.bridge.conftest import *

KEY = ("k", bytes(32))
def sealed():
    return SealedStore(open_store("memory://"), lambda tenant, id: ("k1", b"k" * 32))

async def say(store, actor, address, number, granted, **more):
    actor.now += 1000
    claim = actor.claim("w", message_id=number, address=address, lease_seconds=0.0)
    word = Consent("all", "all", granted, actor.now, "crm:7", "tenant", **more)
    await store.open(replace(claim, consents=(word,)))

@pytest.mark.parametrize("granted", [True, False])
async def test_sealed_word(granted):
    store = sealed()
    actor = Actor()
    phone, mail = await two(store, actor)
    await store.identify(actor.merge(phone, mail))
    await say(store, actor, MAIL, "9", granted)
    await split_off(store, actor, phone, mail)
    for a in (PHONE, MAIL):
        c = await store.read(actor.query(address=a))
        print(c.contact.consents, list(c.window))

async def test_sealed_unlinked_then_split():
    store = sealed()
    actor = Actor()
    phone, mail = await two(store, actor)
    await store.identify(actor.link(mail, CHAT))
    await store.identify(actor.merge(phone, mail))
    await answered(store, actor, CHAT, "5")
    seq = (await store.read(actor.query())).seq
    i = await store.identify(actor.split(phone, actor.id(), seq, address=CHAT))
    assert i.status == "split"
    await split_off(store, actor, phone, mail)
    for a in (PHONE, MAIL, CHAT):
        c = await store.read(actor.query(address=a))
        print(a, texts(c), list(c.window)[0])
        list(c.window)

async def test_sealed_link_again():
    store = sealed()
    actor = Actor()
    phone, mail = await two(store, actor)
    await store.identify(actor.merge(phone, mail))
    i = await store.identify(actor.link(phone, MAIL))
    assert i.status == "linked"
    await split_off(store, actor, phone, mail)
    for a in (PHONE, MAIL):
        c = await store.read(actor.query(address=a))
        list(c.window)
