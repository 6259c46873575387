import pytest
from ctxbridge.model import Committed, Message, Consent, Address, Event
from ctxbridge.model import Refused
from ctxbridge.testing.actor import CHAT, MAIL, PHONE, Actor, texts
from ctxbridge.testing.contract.merging import answered, split_off, two
from ctxbridge.rules.consent import may_send
from ctxbridge.rules.merging import came_with, said_by
from .conftest import make


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("what", ["merge", "commit", "link", "settle", "split"])
async def test_stale(server, near, what):
    async with (
        make(server.url, near_cache=near) as one,
        make(server.url, near_cache=near, prefix=one.settings.prefix) as other,
    ):
        actor = Actor()
        phone, mail = await two(one, actor)
        await one.identify(actor.merge(phone, mail))
        assert isinstance(
            await other.commit(actor.note(mail, actor.message("x", address=MAIL))), Committed
        )
        await split_off(one, actor, phone, mail)
        if what == "merge":
            assert (await other.identify(actor.merge(phone, mail))).status == "merged"
        if what == "commit":
            assert isinstance(
                await other.commit(actor.note(mail, actor.message("y", address=MAIL))), Committed
            )
            assert "y" in texts(await one.read(actor.query(address=MAIL)))
        if what == "link":
            got = await other.identify(actor.link(mail, CHAT))
            assert got.status == "linked"
            assert got.contact.id == mail
        if what == "split":
            c = await one.identify(actor.link(mail, CHAT))
            seq = (await one.read(actor.query(address=MAIL))).seq
            got = await other.identify(actor.split(mail, actor.id(), seq, address=CHAT))
            assert got.status == "split"
        if what == "settle":
            got = await other.deliver(actor.settle("sent", contact=mail, provider_id="P9"))
            assert got.status == "kept"
            ...


async def part(store, actor, contact, part, address, others):
    context = await store.read(actor.query(address=address))
    held = dict(context.window.numbered())
    came = came_with(held, part)
    since = {p: e for p, e in held.items() if p >= came.stop}
    places = (*came, *said_by(since, others))
    moves = tuple([(p, held[p]) for p in places])
    i = await store.identify(actor.split(contact, part, context.seq, moves))
    assert i.status == "split"
    return i


@pytest.mark.parametrize("kind", ["memory"])
async def test_consents_b_c(server, kind):
    from ctxbridge.stores import open_store

    async with make(server.url) if kind == "redis" else open_store("memory://") as store:
        actor = Actor()
        phone, mail = await two(store, actor)
        chat = (await answered(store, actor, CHAT, "3")).context.contact.id

        async def says(address, number, granted):
            actor.now += 1000
            claim = actor.claim("w", message_id=number, address=address, lease_seconds=0.0)
            from msgspec.structs import replace

            word = Consent("email", "all", granted, actor.now, "crm", "tenant")
            await store.open(replace(claim, consents=(word,)))

        await says(PHONE, "s1", False)
        await says(MAIL, "s2", True)
        await store.identify(actor.merge(phone, mail))
        await store.identify(actor.merge(phone, chat))
        i = await part(store, actor, phone, mail, PHONE, [MAIL])
        print(i.contact.consents, i.part.consents)
        assert not may_send(i.contact.consents, "email")
        i = await part(store, actor, phone, chat, PHONE, [CHAT])
        print(i.contact.consents, i.part.consents)
        assert not may_send(i.contact.consents, "email")


from ctxbridge.stores import open_store


async def test_consents_kept_on_merge():
    async with open_store("memory://") as store:
        actor = Actor()
        phone, mail = await two(store, actor)
        from msgspec.structs import replace

        await store.open(actor.claim("STOP", message_id="0", stop=True, lease_seconds=0.0))
        actor.now += 1000
        claim = actor.claim("w", message_id="s2", address=MAIL, lease_seconds=0.0)
        word = Consent("sms", "all", True, actor.now, "crm", "tenant")
        await store.open(replace(claim, consents=(word,)))
        i = await store.identify(actor.merge(phone, mail))
        assert not may_send(i.contact.consents, "sms")


async def test_left(server):
    async with make(server.url) as one, make(server.url, prefix=one.settings.prefix) as other:
        actor = Actor()
        phone, mail = await two(one, actor)
        await one.identify(actor.link(mail, CHAT))
        await one.identify(actor.merge(phone, mail))
        seq = (await one.read(actor.query())).seq
        i = await one.identify(actor.split(phone, actor.id(), seq, address=CHAT))
        n = i.part.id
        await split_off(one, actor, phone, mail)
        o = await other.open(actor.claim("x", message_id="77", address=CHAT))
        assert o.context.contact.id == n
        i = await other.identify(actor.merge(mail, n))
        assert i.status == "merged"
        async with make(server.url, prefix=one.settings.prefix) as third:
            assert (await third.read(actor.query(address=CHAT))).contact.id == mail
