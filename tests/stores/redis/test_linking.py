"""Links lie in two slots: whoever crashes between their steps leaves nothing half done for others."""

import pytest

from ctxbridge.model import Address
from ctxbridge.stores.redis import linking
from ctxbridge.testing.actor import MAIL, PHONE, Actor, contact_of, id_of, texts

from .conftest import make


class Crash(Exception):
    """The process ends here."""


async def crash_in(step, store, claim, monkeypatch):
    """Begin a link, and end before its `step`: 1 the journal, 2 the contact, 3 the forward."""
    put, apply = linking.Linking._put, linking.Linking._apply
    puts = []

    async def counted(self, place, before, then):
        puts.append(1)
        if len(puts) == (1 if step == 1 else 2) and step != 2:
            raise Crash
        return await put(self, place, before, then)

    async def refused(self, home, claim):
        if step == 2:
            raise Crash
        return await apply(self, home, claim)

    with monkeypatch.context() as patch:
        patch.setattr(linking.Linking, "_put", counted)
        patch.setattr(linking.Linking, "_apply", refused)
        with pytest.raises(Crash):
            await store.identify(claim)


@pytest.fixture(params=["alone", "cluster"])
async def stores(request):
    """Two processes' worth of stores; the first of them will crash."""
    url = request.getfixturevalue("server" if request.param == "alone" else "cluster").url
    async with make(url) as one, make(url, prefix=one.settings.prefix) as other:
        yield one, other


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("then", ["look-up", "message", "link", "other link"])
async def test_whoever_comes_by_sees_before_or_after_and_never_half(
    stores, monkeypatch, step, then
):
    crashed, other = stores
    actor = Actor()
    contact = await contact_of(crashed, actor)
    await crash_in(step, crashed, actor.link(contact, MAIL), monkeypatch)
    if then == "look-up":
        seen = await other.read(actor.query(MAIL))
        assert (seen.contact is None) == (step == 1)
    elif then == "message":
        claim = actor.claim("by mail", message_id="<1@x>", address=MAIL)
        opened = await other.open(claim)
        assert (opened.context.contact.id == contact) == (step > 1)
    elif then == "link":
        outcome = await other.identify(actor.link(contact, MAIL))
        assert outcome.status == ("linked" if step == 1 else "unchanged")
    else:
        somebody = Address("chat", "somebody else")
        outcome = await other.identify(actor.link(somebody, MAIL))
        assert outcome.status == ("linked" if step == 1 else "taken")
    if step > 1:
        context = await other.read(actor.query(MAIL))
        assert context.contact.id == contact
        assert set(context.contact.addresses) == {PHONE, MAIL}
        log = [getattr(entry, "kind", "message") for entry in context.window]
        assert log.count("link") == 1, "the link was made twice"


async def test_a_link_that_founds_a_contact_is_finished_too(stores, monkeypatch):
    crashed, other = stores
    actor = Actor()
    await crash_in(2, crashed, actor.link(PHONE, MAIL), monkeypatch)
    context = await other.read(actor.query(MAIL))
    assert set(context.contact.addresses) == {PHONE, MAIL}
    assert (await other.read(actor.query(PHONE))).contact == context.contact


async def test_many_who_link_the_same_at_once_make_one_link(stores):
    import asyncio

    actor = Actor()
    contact = await contact_of(stores[0], actor)
    claims = [Actor(seed=n).link(contact, MAIL) for n in range(20)]
    outcomes = await asyncio.gather(
        *(stores[n % 2].identify(claim) for n, claim in enumerate(claims))
    )
    assert {o.status for o in outcomes} <= {"linked", "unchanged"}
    context = await stores[0].read(actor.query(MAIL))
    assert len(context.contact.links) == 2
    assert (context.seq, texts(context)) == (3, ["hello", "ok"])


async def test_who_wins_an_address_that_two_contacts_are_to_have_has_all_of_it(stores):
    import asyncio

    actor = Actor()
    first = await contact_of(stores[0], actor)
    await stores[1].open(actor.claim("hi", message_id="C1", address=Address("chat", "c")))
    second = (await stores[1].read(actor.query(Address("chat", "c")))).contact.id
    outcomes = await asyncio.gather(
        stores[0].identify(actor.link(first, MAIL)), stores[1].identify(actor.link(second, MAIL))
    )
    assert sorted(o.status for o in outcomes) == ["linked", "taken"]
    won = first if outcomes[0].status == "linked" else second
    assert (await stores[0].read(actor.query(MAIL))).contact.id == won
    assert await id_of(stores[0], actor) == first
