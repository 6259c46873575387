"""Reading: windows, contexts, who is who, and what is withheld from whom."""

from ctxbridge.model import Address, Assurance, Endpoint, Event, Refused
from ctxbridge.ports import Store
from ctxbridge.testing.actor import MAIL, PHONE, Actor, contact_of, id_of, texts

HOSTILE = [
    "", " ", "{}", "{a}", ":", "a:b", "*", "?", "[", "\\", "'", '"', ";--", "\r\n", "\t",
    "\u202e", "\u200d", "é", "😀", "%s", "x" * 65_536, "\x7f", "../..", "null", "$(x)",
]  # fmt: skip
"""Values that have broken somebody's keys before."""


class ReadingContract:
    """What comes back is what was stored, of the right contact, as far as its reader may see it."""

    async def test_a_window_shows_the_newest_entries_and_their_places(self, store: Store) -> None:
        actor = Actor()
        contact = await contact_of(store, actor)
        for i in range(30):
            await store.commit(actor.note(contact, actor.message(str(i))))
        context = await store.read(actor.query(window=3))
        assert texts(context) == ["27", "28", "29"]
        assert list(context.window.seqs) == [30, 31, 32]
        assert len((await store.read(actor.query(window=0))).window) == 32
        assert len((await store.read(actor.query(window=99))).window) == 32

    async def test_a_context_does_not_change_under_its_reader(self, store: Store) -> None:
        actor = Actor()
        contact = await contact_of(store, actor)
        before = await store.read(actor.query())
        await store.commit(actor.note(contact, actor.message("later"), state=b"new"))
        assert texts(before) == ["hello", "ok"]
        assert (before.state, before.seq) == (None, 2)
        assert texts(await store.read(actor.query())) == ["hello", "ok", "later"]

    async def test_every_kind_of_entry_comes_back_as_it_was(self, store: Store) -> None:
        actor = Actor()
        contact = await contact_of(store, actor)
        message = actor.message("né 😀 \u202e", labels=("health",), subject="s", flags=("auto",))
        event = Event("note", actor.now, data=(("key", "value"),))
        await store.commit(actor.note(contact, message, event))
        assert list((await store.read(actor.query())).window)[-2:] == [message, event]

    # --- identity and access ----------------------------------------------------------------------

    async def test_linked_addresses_lead_to_one_conversation(self, store: Store) -> None:
        actor = Actor()
        contact = await contact_of(store, actor)
        assert (await store.identify(actor.link(PHONE, MAIL))).status == "linked"
        opened = await store.open(
            actor.claim(
                "by mail", message_id="<1@x>", address=MAIL, endpoint=Endpoint("email", "us")
            )
        )
        assert opened.context.contact is not None
        assert opened.context.contact.id == contact
        assert texts(opened.context) == ["hello", "ok", "by mail"]
        assert (await store.identify(actor.link(contact, MAIL))).status == "unchanged"

    async def test_a_link_between_two_unknown_addresses_founds_a_contact(
        self, store: Store
    ) -> None:
        actor = Actor()
        founded = await store.identify(actor.link(PHONE, MAIL))
        assert founded.status == "linked"
        assert founded.contact is not None
        assert set(founded.contact.addresses) == {PHONE, MAIL}
        for address in (PHONE, MAIL):
            context = await store.read(actor.query(address))
            assert context.contact == founded.contact

    async def test_an_address_with_a_history_elsewhere_is_taken(self, store: Store) -> None:
        actor = Actor()
        await contact_of(store, actor)
        await store.open(actor.claim("mail", message_id="<1@x>", address=MAIL))
        assert (await store.identify(actor.link(PHONE, MAIL))).status == "taken"
        assert texts(await store.read(actor.query(MAIL))) == ["mail"]

    async def test_linking_to_an_id_that_is_not_stored_is_refused(self, store: Store) -> None:
        actor = Actor()
        assert (await store.identify(actor.link(actor.id(), MAIL))).status == "unknown"
        assert (await store.read(actor.query(MAIL))).contact is None

    async def test_a_claimed_sender_sees_their_own_message_only(self, store: Store) -> None:
        actor = Actor()
        await contact_of(store, actor)
        await store.identify(actor.link(PHONE, MAIL))
        await store.commit(actor.note(await id_of(store, actor), state=b"secret"))
        forged = actor.claim(
            "it is me", message_id="<1@x>", address=MAIL, assurance=Assurance.CLAIMED
        )
        context = (await store.open(forged)).context
        assert (texts(context), context.state, context.withheld) == (["it is me"], None, 3)
        assert context.contact is not None
        assert context.contact.addresses == (MAIL,)

    async def test_other_channels_need_a_firm_link_on_both_sides(self, store: Store) -> None:
        actor = Actor()
        await contact_of(store, actor)
        await store.identify(actor.link(PHONE, MAIL, Assurance.CLAIMED))
        seen = await store.read(actor.query(MAIL, Assurance.CHANNEL))
        assert (texts(seen), seen.withheld) == ([], 3)
        await store.identify(actor.link(PHONE, MAIL, Assurance.CHANNEL))
        seen = await store.read(actor.query(MAIL, Assurance.CHANNEL))
        assert texts(seen) == ["hello", "ok"]

    async def test_labelled_messages_need_a_verified_reader(self, store: Store) -> None:
        actor = Actor()
        contact = await contact_of(store, actor)
        await store.commit(actor.note(contact, actor.message("my illness", labels=("health",))))
        low = await store.read(actor.query(assurance=Assurance.CHANNEL))
        assert (texts(low), low.withheld) == (["hello", "ok"], 1)
        high = await store.read(actor.query(assurance=Assurance.VERIFIED))
        assert texts(high) == ["hello", "ok", "my illness"]

    async def test_tenants_never_meet(self, store: Store) -> None:
        acme, other = Actor("acme"), Actor("other")
        contact = await contact_of(store, acme)
        assert (await store.read(other.query())).contact is None
        assert await store.commit(other.note(contact, other.message("x"))) == Refused("unknown")
        assert (await store.identify(other.link(contact, MAIL))).status == "unknown"
        await store.records(acme.write_record("k", b"acme"))
        assert await store.records(other.read_record("k")) is None
        await contact_of(store, other, "hers")
        assert texts(await store.read(acme.query())) == ["hello", "ok"]

    async def test_hostile_names_stay_apart(self, store: Store) -> None:
        actor = Actor()
        addresses = [Address("chat", value) for value in HOSTILE]
        addresses += [Address("chat", "a", "bc"), Address("chat", "ab", "c"), Address("chata", "b")]
        for number, address in enumerate(addresses):
            claim = actor.claim(str(number), message_id=str(address), address=address)
            opened = await store.open(claim)
            assert opened.status == "new", address
            await store.commit(actor.change(opened, "ok"))
        for number, address in enumerate(addresses):
            assert texts(await store.read(actor.query(address))) == [str(number), "ok"]
