"""Erasure: nothing readable is left, nothing prepared leaves, and nothing late comes back."""

from ctxbridge.model import Assurance, Committed, Message, Refused
from ctxbridge.ports import Store
from ctxbridge.rules.consent import may_send
from ctxbridge.testing.actor import CHAT, MAIL, PHONE, Actor, texts
from ctxbridge.testing.contract.overlap import accepted

CANARY = "a canary that must not be found"


async def talked(store: Store, actor: Actor, *, stop: bool = False) -> bytes:
    """Somebody with two addresses, an answered message, a state, and what waits to leave."""
    claim = actor.claim(CANARY)
    opened = await store.open(claim)
    change = actor.change(
        opened, CANARY, accept=accepted(claim), state=b"\x01\0\x01\x01" + CANARY.encode(),
        deliveries=(actor.delivery(),),
    )  # fmt: skip
    assert isinstance(await store.commit(change), Committed)
    await store.identify(actor.link(PHONE, MAIL))
    if stop:
        await store.open(actor.claim("STOP", message_id="SM0", stop=True, lease_seconds=0.0))
    assert opened.context.contact is not None
    return opened.context.contact.id


class ErasureContract:
    """What `Store.erase` promises."""

    async def test_nothing_of_an_erased_contact_is_read_again(self, store: Store) -> None:
        actor = Actor()
        contact = await talked(store, actor)
        erased = await store.erase(actor.erase(MAIL))
        assert (erased.status, erased.contact, erased.deliveries) == ("erased", contact, 1)
        assert erased.entries >= 3
        for address in (PHONE, MAIL):
            context = await store.read(actor.query(address=address))
            assert context.contact is not None
            assert (context.contact.links, context.state) == ((), None)
            assert context.contact.id != contact
            assert CANARY not in repr(list(context.window))
            assert not [e for e in context.window if isinstance(e, Message)]
        for what in ("due", "pending", "dead"):
            assert list(await store.scan(actor.scan(what))) == []

    async def test_it_is_erased_once_and_whoever_is_unknown_is_told_so(self, store: Store) -> None:
        actor = Actor()
        assert (await store.erase(actor.erase())).status == "unknown"
        await talked(store, actor)
        assert (await store.erase(Actor(tenant="globex").erase())).status == "unknown"
        assert (await store.erase(actor.erase())).status == "erased"
        assert (await store.erase(actor.erase())).status == "unknown"

    async def test_who_has_written_meanwhile_is_spared(self, store: Store) -> None:
        actor = Actor()
        await talked(store, actor)
        seq = (await store.read(actor.query())).seq
        await store.open(actor.claim("wait!", message_id="SM5"))
        assert (await store.erase(actor.erase(seq=seq))).status == "unknown"
        assert CANARY in repr(list((await store.read(actor.query())).window))
        assert (await store.erase(actor.erase(seq=seq + 1))).status == "erased"

    async def test_a_late_webhook_stores_nothing(self, store: Store) -> None:
        actor = Actor()
        await talked(store, actor)
        waits = actor.claim(CANARY, message_id="SM2", lease_seconds=0.001)
        await store.open(waits)
        await store.erase(actor.erase())
        before = await store.read(actor.query())
        actor.now += 1_000
        for late in (actor.claim(CANARY), actor.claim(CANARY, message_id="SM2"), actor.claim("x")):
            opened = await store.open(late)
            assert (opened.status, opened.answer) == ("duplicate", ())
        after = await store.read(actor.query())
        assert after.seq == before.seq
        assert CANARY not in repr(list(after.window))

    async def test_a_turn_that_runs_meanwhile_can_store_nothing(self, store: Store) -> None:
        actor = Actor()
        await talked(store, actor)
        running = await store.open(actor.claim(CANARY, message_id="SM2"))
        assert running.status == "new"
        await store.erase(actor.erase())
        change = actor.change(running, CANARY, deliveries=(actor.delivery(),))
        assert isinstance(await store.commit(change), Refused)
        assert CANARY not in repr(list((await store.read(actor.query())).window))
        assert list(await store.scan(actor.scan("pending"))) == []

    async def test_who_said_stop_is_still_not_written_to(self, store: Store) -> None:
        actor = Actor()
        await talked(store, actor, stop=True)
        await store.erase(actor.erase())
        context = (await store.open(actor.claim("hello", message_id="SM9"))).context
        assert context.contact is not None
        consents = context.contact.consents
        assert not may_send(consents, "sms", address=PHONE.value)
        assert [(c.evidence, c.by, c.address) for c in consents] == [("", "", "")]

    async def test_who_writes_again_is_somebody_new(self, store: Store) -> None:
        actor = Actor()
        await talked(store, actor)
        await store.erase(actor.erase())
        actor.now += 1_000
        claim = actor.claim("new words", message_id="SM9")
        opened = await store.open(claim)
        assert opened.status == "new"
        assert texts(opened.context) == ["new words"]
        assert opened.context.contact is not None
        assert opened.context.contact.addresses == (PHONE,)
        change = actor.change(opened, "an answer", accept=accepted(claim))
        assert isinstance(await store.commit(change), Committed)
        # The other address was the same person's. Nobody knows that any more.
        other = await store.open(actor.claim("by mail", message_id="M1", address=MAIL))
        assert texts(other.context) == ["by mail"]
        await store.commit(actor.change(other, address=MAIL))
        again = await store.open(actor.claim("and now?", message_id="SM10"))
        assert texts(again.context) == ["new words", "an answer", "and now?"]

    async def test_who_is_linked_anew_is_one_person_again(self, store: Store) -> None:
        actor = Actor()
        await talked(store, actor)
        await store.erase(actor.erase())
        assert (await store.identify(actor.link(PHONE, MAIL))).status == "linked"
        first = await store.open(actor.claim("by phone", message_id="SM9"))
        await store.commit(actor.change(first))
        other = await store.open(actor.claim("by mail", message_id="M9", address=MAIL))
        assert texts(other.context) == ["by phone", "by mail"]

    async def test_others_are_not_touched(self, store: Store) -> None:
        actor, stranger = Actor(), Actor(tenant="globex")
        await talked(store, actor)
        await talked(store, stranger)
        other = await store.open(actor.claim("by chat", message_id="C1", address=CHAT))
        await store.commit(actor.change(other, "ok", address=CHAT))
        await store.erase(actor.erase())
        assert CANARY in repr(list((await store.read(stranger.query())).window))
        seen = await store.read(actor.query(address=CHAT, assurance=Assurance.CHANNEL))
        assert texts(seen) == ["by chat", "ok"]
