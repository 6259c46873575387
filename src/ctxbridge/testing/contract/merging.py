"""Merge and split: nothing is lost or doubled, both ids lead on, and all can be undone."""

from msgspec.structs import replace

from ctxbridge.model import (
    Address,
    Committed,
    Consent,
    Context,
    Event,
    Message,
    Opened,
    Refused,
)
from ctxbridge.ports import Store
from ctxbridge.rules.consent import may_send
from ctxbridge.rules.merging import came_with, said_by
from ctxbridge.testing.actor import CHAT, MAIL, PHONE, Actor, texts
from ctxbridge.testing.contract.overlap import accepted

TEAM, TEAM_OF_MAIL, BOTH = b"\x01\0\x01\x01phone", b"\x01\0\x01\x01mail", b"\x01\0\x01\x01both"


async def answered(
    store: Store, actor: Actor, address: Address, number: str, state: bytes | None = None
) -> Opened:
    """A message of `address` that was answered."""
    claim = actor.claim(f"{number} asks", message_id=number, address=address)
    opened = await store.open(claim)
    change = actor.change(
        opened, f"{number} answer", accept=accepted(claim), state=state, address=address
    )
    assert isinstance(await store.commit(change), Committed)
    return opened


async def two(store: Store, actor: Actor) -> tuple[bytes, bytes]:
    """Two people who talked, with a state each; the ids of the one by phone and the one by mail."""
    one = await answered(store, actor, PHONE, "1", TEAM)
    other = await answered(store, actor, MAIL, "2", TEAM_OF_MAIL)
    assert one.context.contact is not None
    assert other.context.contact is not None
    return one.context.contact.id, other.context.contact.id


async def told(store: Store, actor: Actor, address: Address, *, granted: bool) -> None:
    """The tenant says whether SMS may go to the contact of `address`."""
    actor.now += 1
    word = Consent("sms", "all", granted, actor.now, "crm:1", "tenant")
    number = f"{address.channel} {granted}"
    claim = actor.claim("told", message_id=number, address=address, lease_seconds=0.0)
    await store.open(replace(claim, consents=(word,)))


async def split_off(
    store: Store, actor: Actor, contact: bytes, part: bytes, address: Address = MAIL
) -> bytes:
    """Undo a merge, as the bridge does it; `address` is that of the part."""
    context = await store.read(actor.query(address=PHONE))
    held = dict(context.window.numbered())
    came = came_with(held, part)
    since = {place: entry for place, entry in held.items() if place >= came.stop}
    places = (*came, *said_by(since, [address]))
    moves = tuple([(place, held[place]) for place in places])
    identified = await store.identify(actor.split(contact, part, context.seq, moves))
    assert identified.status == "split"
    assert identified.part is not None
    return identified.part.id


def who(context: Context) -> tuple[object, ...]:
    """What makes a contact the one it is."""
    contact = context.contact
    assert contact is not None
    return contact.id, contact.links, contact.consents, contact.merged


class MergingContract:
    """What `Store.identify` promises of a `Merge` and a `Split`."""

    async def test_both_logs_are_one_and_both_ids_and_addresses_lead_there(
        self, store: Store
    ) -> None:
        actor = Actor()
        phone, mail = await two(store, actor)
        identified = await store.identify(actor.merge(phone, mail, state=BOTH))
        assert identified.status == "merged"
        assert identified.contact is not None
        assert (identified.contact.id, identified.contact.merged) == (phone, (mail,))
        for address in (PHONE, MAIL):
            context = await store.read(actor.query(address=address))
            assert texts(context) == ["1 asks", "1 answer", "2 asks", "2 answer"]
            assert context.seq == len(context.window) == 5
            assert (context.contact, context.state) == (identified.contact, BOTH)
        note = actor.note(mail, actor.message("a note by the old id", author="system"))
        assert isinstance(await store.commit(note), Committed)
        assert texts(await store.read(actor.query()))[-1] == "a note by the old id"
        again = await store.identify(actor.merge(phone, mail))
        assert again.status == "unchanged"

    async def test_an_unknown_contact_or_a_state_made_of_an_older_one_merges_nothing(
        self, store: Store
    ) -> None:
        actor = Actor()
        phone, mail = await two(store, actor)
        assert (await store.identify(actor.merge(phone, actor.id()))).status == "unknown"
        assert (await store.identify(actor.merge(actor.id(), mail))).status == "unknown"
        other = Actor(tenant="globex")
        assert (await store.identify(other.merge(phone, mail))).status == "unknown"
        now = [(await store.read(actor.query(address=a))).revision for a in (PHONE, MAIL)]
        stale = actor.merge(phone, mail, state=BOTH, revisions=(now[0], now[1] + 1))
        assert (await store.identify(stale)).status == "conflict"
        assert texts(await store.read(actor.query(address=MAIL))) == ["2 asks", "2 answer"]
        fresh = actor.merge(phone, mail, state=BOTH, revisions=(now[0], now[1]))
        assert (await store.identify(fresh)).status == "merged"

    async def test_what_was_answered_before_is_answered_again_the_same(self, store: Store) -> None:
        actor = Actor()
        phone, mail = await two(store, actor)
        await store.identify(actor.merge(phone, mail))
        again = await store.open(actor.claim("2 asks", message_id="2", address=MAIL))
        assert again.status == "duplicate"
        assert [m.text for m in again.answer] == ["2 answer"]
        mine = await store.open(actor.claim("1 asks", message_id="1"))
        assert [m.text for m in mine.answer] == ["1 answer"]

    async def test_who_holds_a_turn_of_either_has_lost_it_and_what_waits_is_taken_up(
        self, store: Store
    ) -> None:
        actor = Actor()
        phone, mail = await two(store, actor)
        ours, theirs = (
            actor.claim("3 asks", message_id="3"),
            actor.claim("4 asks", message_id="4", address=MAIL),
        )
        running = [(await store.open(claim), claim) for claim in (ours, theirs)]
        await store.identify(actor.merge(phone, mail))
        for opened, claim in running:
            refused = await store.commit(
                actor.change(opened, "too late", accept=accepted(claim), address=claim.address)
            )
            assert isinstance(refused, Refused)
            assert refused.reason in {"superseded", "fenced"}
        context = await store.read(actor.query())
        assert len(context.waiting) == 2
        actor.now += 5_000
        (due,) = await store.scan(actor.scan())
        assert due.contact == phone
        again = await store.open(theirs)
        assert (again.status, again.resumed) == ("new", True)
        done = actor.change(again, "4 answer", accept=accepted(theirs), address=MAIL)
        assert isinstance(await store.commit(done), Committed)
        assert texts(await store.read(actor.query()))[-1] == "4 answer"

    async def test_what_was_to_leave_is_judged_anew_and_leaves_once(self, store: Store) -> None:
        actor = Actor()
        phone, mail = await two(store, actor)
        claim = actor.claim("3 asks", message_id="3", address=MAIL)
        opened = await store.open(claim)
        delivery = actor.delivery()
        await store.commit(
            actor.change(
                opened, "3 answer", accept=accepted(claim), address=MAIL, deliveries=(delivery,)
            )
        )
        await store.identify(actor.merge(phone, mail))
        (found,) = await store.scan(actor.scan("pending"))
        assert (found.id, found.contact) == (delivery.id, phone)
        stale = await store.deliver(actor.take(found.where, found.id))
        assert stale.status == "stale"
        assert stale.context is not None
        taken = await store.deliver(
            actor.take(found.where, found.id, gate_epoch=stale.context.gate_epoch)
        )
        assert taken.status == "taken"
        assert taken.message is not None
        assert taken.message.text == "3 answer"
        settled = await store.deliver(
            actor.settle("sent", recipient=MAIL, delivery=found.id, provider_id="P1")
        )
        assert settled.status == "settled"
        await store.deliver(actor.settle("delivered", recipient=MAIL, provider_id="P1"))
        assert list(await store.scan(actor.scan("pending"))) == []

    async def test_a_refusal_of_either_counts_for_both(self, store: Store) -> None:
        actor = Actor()
        phone, mail = await two(store, actor)
        await store.open(
            actor.claim("STOP", message_id="0", address=MAIL, stop=True, lease_seconds=0.0)
        )
        identified = await store.identify(actor.merge(phone, mail))
        assert identified.contact is not None
        assert not may_send(identified.contact.consents, "email")
        assert may_send(identified.contact.consents, "sms")

    async def test_what_one_refused_no_grant_of_the_other_takes_back(self, store: Store) -> None:
        actor = Actor()
        phone, mail = await two(store, actor)
        chat = (await answered(store, actor, CHAT, "3")).context.contact
        assert chat is not None
        await told(store, actor, PHONE, granted=False)
        await told(store, actor, MAIL, granted=True)
        for other in (mail, chat.id):
            both = (await store.identify(actor.merge(phone, other))).contact
            assert both is not None
            assert not may_send(both.consents, "sms")
        await split_off(store, actor, phone, mail)
        await split_off(store, actor, phone, chat.id, CHAT)
        ours, theirs = [await store.read(actor.query(address=a)) for a in (PHONE, MAIL)]
        assert ours.contact is not None
        assert theirs.contact is not None
        assert [word.granted for word in ours.contact.consents] == [False]
        assert may_send(theirs.contact.consents, "sms")

    async def test_a_split_undoes_it_with_what_arrived_since(self, store: Store) -> None:
        actor = Actor()
        phone, mail = await two(store, actor)
        before = {a: await store.read(actor.query(address=a)) for a in (PHONE, MAIL)}
        await store.identify(actor.merge(phone, mail, state=BOTH))
        await answered(store, actor, PHONE, "3")
        await answered(store, actor, MAIL, "4")
        assert await split_off(store, actor, phone, mail) == mail
        ours = await store.read(actor.query(address=PHONE))
        theirs = await store.read(actor.query(address=MAIL))
        assert texts(ours) == ["1 asks", "1 answer", "3 asks", "3 answer"]
        assert texts(theirs) == ["2 asks", "2 answer", "4 asks", "4 answer"]
        assert (ours.state, theirs.state) == (TEAM, TEAM_OF_MAIL)
        assert who(ours) == who(before[PHONE])
        assert who(theirs) == who(before[MAIL])
        assert theirs.conversation == before[MAIL].conversation
        for number, address, text in (("2", MAIL, "2"), ("4", MAIL, "4"), ("3", PHONE, "3")):
            claim = actor.claim(f"{text} asks", message_id=number, address=address)
            again = await store.open(claim)
            assert again.status == "duplicate"
            assert [m.text for m in again.answer] == [f"{text} answer"]
        await answered(store, actor, MAIL, "5")
        assert texts(await store.read(actor.query(address=MAIL)))[-1] == "5 answer"
        assert texts(await store.read(actor.query(address=PHONE)))[-1] == "3 answer"
        assert isinstance(await store.commit(actor.note(mail, actor.message("by id"))), Committed)
        assert texts(await store.read(actor.query(address=MAIL)))[-1] == "by id"

    async def test_a_state_that_was_changed_since_the_merge_stays(self, store: Store) -> None:
        actor = Actor()
        phone, mail = await two(store, actor)
        await store.identify(actor.merge(phone, mail, state=BOTH))
        await answered(store, actor, PHONE, "3", b"\x01\0\x01\x01later")
        await split_off(store, actor, phone, mail)
        ours = await store.read(actor.query(address=PHONE))
        theirs = await store.read(actor.query(address=MAIL))
        assert (ours.state, theirs.state) == (b"\x01\0\x01\x01later", TEAM_OF_MAIL)

    async def test_a_split_of_an_older_log_or_of_no_merge_changes_nothing(
        self, store: Store
    ) -> None:
        actor = Actor()
        phone, mail = await two(store, actor)
        seq = (await store.read(actor.query())).seq
        assert (await store.identify(actor.split(phone, mail, seq))).status == "unknown"
        await store.identify(actor.merge(phone, mail))
        asked = await store.identify(actor.split(phone, mail, 0))
        assert asked.status == "conflict"
        assert asked.part is not None
        assert asked.part.addresses == (MAIL,)
        assert (await store.identify(actor.split(phone, actor.id(), seq))).status == "unknown"
        assert len(texts(await store.read(actor.query(address=MAIL)))) == 4

    async def test_words_about_consent_go_with_the_address_that_said_them(
        self, store: Store
    ) -> None:
        actor = Actor()
        phone, mail = await two(store, actor)
        await store.identify(actor.merge(phone, mail))
        for number, address in (("8", PHONE), ("9", MAIL)):
            await store.open(
                actor.claim(
                    "STOP", message_id=number, address=address, stop=True, lease_seconds=0.0
                )
            )
        await split_off(store, actor, phone, mail)
        ours = (await store.read(actor.query(address=PHONE))).contact
        theirs = (await store.read(actor.query(address=MAIL))).contact
        assert ours is not None
        assert theirs is not None
        assert not may_send(ours.consents, "sms")
        assert may_send(ours.consents, "email")
        assert not may_send(theirs.consents, "email")
        assert may_send(theirs.consents, "sms")

    async def test_merges_into_merges_are_undone_from_the_outside_in(self, store: Store) -> None:
        actor = Actor()
        phone, mail = await two(store, actor)
        third = (await answered(store, actor, CHAT, "3")).context.contact
        assert third is not None
        await store.identify(actor.merge(mail, third.id))
        identified = await store.identify(actor.merge(phone, mail))
        assert identified.contact is not None
        assert identified.contact.merged == (mail, third.id)
        context = await store.read(actor.query(address=CHAT))
        assert texts(context) == [
            "1 asks", "1 answer", "2 asks", "2 answer", "3 asks", "3 answer",
        ]  # fmt: skip
        nested = actor.split(phone, third.id, context.seq)
        assert (await store.identify(nested)).status == "unknown"
        held = dict(context.window.numbered())
        moves = tuple([(place, held[place]) for place in came_with(held, mail)])
        await store.identify(actor.split(phone, mail, context.seq, moves))
        theirs = await store.read(actor.query(address=CHAT))
        assert texts(theirs) == ["2 asks", "2 answer", "3 asks", "3 answer"]
        assert theirs.contact is not None
        assert (theirs.contact.id, theirs.contact.merged) == (mail, (third.id,))
        held = dict(theirs.window.numbered())
        moves = tuple([(place, held[place]) for place in came_with(held, third.id)])
        identified = await store.identify(actor.split(mail, third.id, theirs.seq, moves))
        assert identified.part is not None
        assert identified.part.id == third.id
        assert texts(await store.read(actor.query(address=CHAT))) == ["3 asks", "3 answer"]
        assert texts(await store.read(actor.query(address=MAIL))) == ["2 asks", "2 answer"]
        assert texts(await store.read(actor.query(address=PHONE))) == ["1 asks", "1 answer"]

    async def test_a_parted_address_is_somebody_new_and_late_webhooks_stay_duplicates(
        self, store: Store
    ) -> None:
        actor = Actor()
        contact = (await answered(store, actor, PHONE, "1")).context.contact
        assert contact is not None
        await store.identify(actor.link(PHONE, MAIL))
        await answered(store, actor, MAIL, "2")
        for address in (PHONE, MAIL):
            context = await store.read(actor.query(address=address))
            held = dict(context.window.numbered())
            places = said_by(held, [address])
            moves = tuple([(place, held[place]) for place in places])
            fresh = actor.id()
            split = actor.split(contact.id, fresh, context.seq, moves, address=address)
            identified = await store.identify(split)
            if address == MAIL:
                assert identified.status == "unknown"  # it is the only one that is left
                continue
            assert identified.part is not None
            assert identified.part.addresses == (PHONE,)
            assert identified.contact is not None
            assert identified.contact.addresses == (MAIL,)
        theirs = await store.read(actor.query(address=PHONE))
        assert texts(theirs) == ["1 asks", "1 answer"]
        assert texts(await store.read(actor.query(address=MAIL))) == ["2 asks", "2 answer"]
        again = await store.open(actor.claim("1 asks", message_id="1"))
        assert (again.status, [m.text for m in again.answer]) == ("duplicate", ["1 answer"])
        await answered(store, actor, PHONE, "3")
        assert texts(await store.read(actor.query(address=MAIL))) == ["2 asks", "2 answer"]
        assert (await store.identify(actor.link(MAIL, PHONE))).status == "taken"

    async def test_history_that_stays_with_the_person_is_not_answered_to_who_has_the_address_now(
        self, store: Store
    ) -> None:
        actor = Actor()
        contact = (await answered(store, actor, PHONE, "1")).context.contact
        assert contact is not None
        await store.identify(actor.link(PHONE, MAIL))
        seq = (await store.read(actor.query())).seq
        split = actor.split(contact.id, actor.id(), seq, address=PHONE)
        assert (await store.identify(split)).status == "split"
        assert texts(await store.read(actor.query(address=MAIL))) == ["1 asks", "1 answer"]
        late = await store.open(actor.claim("1 asks", message_id="1"))
        assert (late.status, late.answer, texts(late.context)) == ("duplicate", (), [])
        await answered(store, actor, PHONE, "2")
        assert texts(await store.read(actor.query())) == ["2 asks", "2 answer"]
        for address in (PHONE, MAIL):
            erased = await store.erase(actor.erase(address))
            assert erased.status == "erased"
        again = await answered(store, actor, PHONE, "3")
        assert texts(again.context) == ["3 asks"]

    async def test_an_erasure_takes_what_was_merged_along_and_not_what_was_split(
        self, store: Store
    ) -> None:
        actor = Actor()
        phone, mail = await two(store, actor)
        await store.identify(actor.merge(phone, mail))
        await split_off(store, actor, phone, mail)
        assert (await store.erase(actor.erase(PHONE))).status == "erased"
        assert texts(await store.read(actor.query(address=MAIL))) == ["2 asks", "2 answer"]
        late = await store.open(actor.claim("hello?", message_id="7", address=MAIL))
        assert late.context.contact is not None
        assert late.context.contact.id == mail
        again = await store.open(actor.claim("1 asks", message_id="1"))
        assert (again.status, again.answer) == ("duplicate", ())
        somebody = await answered(store, actor, PHONE, "6")
        assert somebody.context.contact is not None
        await store.identify(actor.merge(somebody.context.contact.id, mail))
        assert (await store.erase(actor.erase(MAIL))).status == "erased"
        for address in (PHONE, MAIL):
            context = await store.read(actor.query(address=address))
            assert not [e for e in context.window if isinstance(e, Message)]
            assert not [e for e in context.window if isinstance(e, Event) and e.data]
        assert isinstance(
            await store.commit(actor.note(mail, actor.message("by the old id"))), Refused
        )
