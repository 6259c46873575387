"""The list of all conversations, which operators read."""

from msgspec.structs import replace

from ctxbridge.model import Assurance, Committed
from ctxbridge.ports import Store
from ctxbridge.testing.actor import CHAT, MAIL, PHONE, Actor


class ListingContract:
    """Every conversation of a tenant is found, once, and none of another's."""

    async def test_each_conversation_is_listed_once(self, store: Store) -> None:
        actor = Actor()
        opened = await store.open(actor.claim())
        await store.identify(actor.link(PHONE, MAIL))
        await store.open(actor.claim(message_id="M2", address=MAIL))
        other = await store.open(actor.claim(message_id="M3", address=CHAT))
        listed = await store.scan(actor.scan("conversations", limit=1_000))
        contacts = {opened.context.contact, other.context.contact}
        assert sorted(found.contact for found in listed) == sorted(c.id for c in contacts if c)
        for found in listed:
            assert found.address is not None
            context = await store.read(actor.query(address=found.address))
            assert context.contact is not None
            assert context.contact.id == found.contact
        assert len(await store.scan(actor.scan("conversations", limit=1))) == 1

    async def test_who_waits_for_an_answer_is_listed_also_while_the_turn_runs(
        self, store: Store
    ) -> None:
        actor = Actor()
        opened = await store.open(actor.claim())
        await store.open(actor.claim(message_id="SM2"))
        other = await store.open(actor.claim(message_id="M3", address=MAIL))
        delivery = actor.delivery(due=actor.now + 1_000)
        told = replace(actor.claim(message_id="M3", address=MAIL).message, disposition="accepted")
        change = actor.change(other, "later", address=MAIL, accept=told, deliveries=(delivery,))
        assert isinstance(await store.commit(change), Committed)
        assert list(await store.scan(actor.scan())) == []
        (found,) = await store.scan(actor.scan("waiting"))
        assert (found.place, found.id, found.delivery) == (opened.seq, b"", None)
        assert found.message is not None
        assert found.message.turn == opened.turn
        assert list(await store.scan(Actor(tenant="globex").scan("waiting"))) == []
        accepted = replace(found.message, disposition="accepted")
        await store.commit(actor.change(opened, "ok", accept=accepted))
        (found,) = await store.scan(actor.scan("waiting"))
        assert found.place == opened.seq + 1, "the next of the same conversation"
        assert len(await store.scan(actor.scan("pending"))) == 1

    async def test_those_of_another_tenant_are_not(self, store: Store) -> None:
        actor, stranger = Actor(), Actor(tenant="globex")
        await store.open(actor.claim())
        await store.open(stranger.claim(assurance=Assurance.CLAIMED))
        (found,) = await store.scan(stranger.scan("conversations"))
        context = await store.read(stranger.query())
        assert context.contact is not None
        assert found.contact == context.contact.id
        assert list(await store.scan(Actor(tenant="nobody").scan("conversations"))) == []
