"""The contract: what every store promises, as tests. See `ctxbridge.ports.Store`."""

from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from ctxbridge.errors import Conflict, StoreClosed
from ctxbridge.model import (
    Address,
    Assurance,
    Committed,
    Endpoint,
    Event,
    Message,
    Opened,
    Refused,
)
from ctxbridge.ports import Store
from ctxbridge.testing.actor import CHAT, MAIL, OURS, PHONE, Actor, is_dense, texts

HOSTILE = [
    "", " ", "{}", "{a}", ":", "a:b", "*", "?", "[", "\\", "'", '"', ";--", "\r\n", "\t",
    "\u202e", "\u200d", "é", "😀", "%s", "x" * 65_536, "\x7f", "../..", "null", "$(x)",
]  # fmt: skip
"""Values that have broken somebody's keys before."""


async def raises(kind: type[Exception], awaitable: Any) -> Exception:
    """The error of `kind` that awaiting raises; an AssertionError if there is none."""
    try:
        await awaitable
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


class StoreContract:
    """Subclass it, with a fixture `store` that gives an opened, empty store.

    Each test runs on the event loops that anyio's plugin is told (its fixture `anyio_backend`).
    """

    pytestmark = pytest.mark.anyio

    # --- turns ----------------------------------------------------------------------------------

    async def test_nobody_is_known_at_first(self, store: Store) -> None:
        context = await store.read(Actor().query())
        assert (context.contact, len(context.window), context.seq) == (None, 0, 0)

    async def test_a_new_message_opens_a_turn_and_is_stored_before_it_is_answered(
        self, store: Store
    ) -> None:
        actor = Actor()
        opened = await store.open(actor.claim("hi"))
        assert (opened.status, opened.seq, opened.resumed) == ("new", 1, False)
        stored = (await store.read(actor.query())).messages
        assert [(m.text, m.disposition) for m in stored] == [("hi", "pending")]
        assert texts(opened.context) == ["hi"]

    async def test_a_commit_stores_replies_state_and_disposition_together(
        self, store: Store
    ) -> None:
        actor = Actor()
        claim = actor.claim("hi")
        opened = await store.open(claim)
        accepted = replace(claim.message, disposition="accepted")
        trace = bytes(range(25))
        change = actor.change(opened, "hello", "there", accept=accepted, state=b"s", trace=trace)
        outcome = await store.commit(change)
        assert outcome == Committed(3, 1)
        context = await store.read(actor.query())
        assert [(m.text, m.disposition) for m in context.messages] == [
            ("hi", "accepted"), ("hello", "accepted"), ("there", "accepted"),
        ]  # fmt: skip
        assert (context.state, context.trace, context.seq, context.revision) == (b"s", trace, 3, 1)
        assert is_dense(context.window.seqs)

    async def test_a_repeated_commit_has_one_effect_and_the_same_answer(self, store: Store) -> None:
        actor = Actor()
        opened = await store.open(actor.claim())
        change = actor.change(opened, "hello", state=b"s")
        first = await store.commit(change)
        again = await store.commit(change)
        assert isinstance(first, Committed)
        assert again == replace(first, replayed=True)
        assert (await store.read(actor.query())).seq == 2

    async def test_a_duplicate_gets_the_stored_answer(self, store: Store) -> None:
        actor = Actor()
        claim = actor.claim()
        opened = await store.open(claim)
        await store.commit(actor.change(opened, "hello"))
        again = await store.open(actor.claim())
        assert (again.status, again.turn, again.seq) == ("duplicate", opened.turn, 1)
        assert [m.text for m in again.answer] == ["hello"]
        assert (await store.read(actor.query())).seq == 2

    async def test_a_duplicate_of_a_turn_that_said_nothing_is_a_duplicate(
        self, store: Store
    ) -> None:
        actor = Actor()
        await store.commit(actor.change(await store.open(actor.claim())))
        again = await store.open(actor.claim())
        assert (again.status, again.answer) == ("duplicate", ())

    async def test_who_is_less_sure_than_the_first_gets_no_stored_answer(
        self, store: Store
    ) -> None:
        actor = Actor()
        opened = await store.open(actor.claim(assurance=Assurance.AUTHENTICATED))
        await store.commit(actor.change(opened, "your balance is 4711"))
        forged = await store.open(actor.claim(assurance=Assurance.CHANNEL))
        assert (forged.status, forged.answer) == ("duplicate", ())
        again = await store.open(actor.claim(assurance=Assurance.AUTHENTICATED))
        assert [m.text for m in again.answer] == ["your balance is 4711"]

    async def test_an_entry_that_is_not_there_cannot_be_amended(self, store: Store) -> None:
        actor = Actor()
        contact = await self._contact(store, actor)
        for place in (0, 3, -1):
            change = actor.note(contact, amend=((place, actor.message("x")),))
            assert isinstance(await store.commit(change), Refused)
        assert (await store.read(actor.query())).seq == 2

    async def test_the_same_id_with_another_body_is_refused_and_changes_nothing(
        self, store: Store
    ) -> None:
        actor = Actor()
        await store.commit(actor.change(await store.open(actor.claim("one")), "ok"))
        before = await store.read(actor.query())
        assert (await store.open(actor.claim("two"))).status == "mismatch"
        assert await store.read(actor.query()) == before

    async def test_an_id_counts_once_per_tenant_and_endpoint(self, store: Store) -> None:
        actor = Actor()
        await store.commit(actor.change(await store.open(actor.claim()), "ok"))
        other = Endpoint("sms", "+15550188888")
        assert (await store.open(actor.claim(endpoint=other))).status == "new"
        assert (await store.open(Actor("other").claim())).status == "new"

    async def test_an_id_is_remembered_for_its_time_and_no_longer(self, store: Store) -> None:
        actor = Actor()
        claim = actor.claim(remember_seconds=100.0)
        await store.commit(actor.change(await store.open(claim), "ok", remember_seconds=100.0))
        actor.now += 99_999
        assert (await store.open(actor.claim())).status == "duplicate"
        actor.now += 1
        assert (await store.open(actor.claim())).status == "new"

    # --- lease, fence, gate -----------------------------------------------------------------------

    async def test_a_second_message_waits_while_a_turn_is_running(self, store: Store) -> None:
        actor = Actor()
        first = await store.open(actor.claim("one"))
        second = await store.open(actor.claim("two", message_id="SM2"))
        assert (second.status, second.seq) == ("busy", 2)
        await store.commit(actor.change(first, "answer"))
        taken_up = await store.open(actor.claim("two", message_id="SM2"))
        assert (taken_up.status, taken_up.resumed, taken_up.turn) == ("new", True, second.turn)
        assert taken_up.fence > first.fence
        assert texts(taken_up.context) == ["one", "two", "answer"]

    async def test_a_duplicate_of_a_turn_in_flight_is_busy_and_stored_once(
        self, store: Store
    ) -> None:
        actor = Actor()
        await store.open(actor.claim())
        assert (await store.open(actor.claim())).status == "busy"
        assert (await store.read(actor.query())).seq == 1

    async def test_a_lease_that_ran_out_goes_to_the_next_and_the_stale_worker_is_fenced(
        self, store: Store
    ) -> None:
        actor = Actor()
        stale = await store.open(actor.claim(lease_seconds=1.0))
        actor.now += 1_000
        fresh = await store.open(actor.claim(lease_seconds=1.0))
        assert (fresh.status, fresh.turn, fresh.resumed) == ("new", stale.turn, True)
        assert fresh.fence > stale.fence
        refused = await store.commit(actor.change(stale, "from the dead", state=b"x"))
        assert isinstance(refused, Refused)
        assert refused.reason == "fenced"
        assert isinstance(await store.commit(actor.change(fresh, "alive")), Committed)
        context = await store.read(actor.query())
        assert (texts(context), context.state) == (["hello", "alive"], None)
        # Finished by another, the turn is no replay for the stale worker: it must not send.
        assert isinstance(await store.commit(actor.change(stale, "from the dead")), Refused)

    async def test_a_turn_given_back_keeps_its_message_and_is_taken_up_again(
        self, store: Store
    ) -> None:
        actor = Actor()
        opened = await store.open(actor.claim())
        await store.commit(actor.change(opened, finished=False))
        again = await store.open(actor.claim())
        assert (again.status, again.turn, again.seq) == ("new", opened.turn, 1)
        assert isinstance(await store.commit(actor.change(opened, "late")), Refused)

    async def test_consent_is_applied_while_another_turn_runs_and_closes_its_gate(
        self, store: Store
    ) -> None:
        actor = Actor()
        running = await store.open(actor.claim("where is it?"))
        stop = await store.open(actor.claim("STOP", message_id="SM2", stop=True))
        assert stop.status == "busy"
        refused = await store.commit(actor.change(running, "on its way"))
        assert isinstance(refused, Refused)
        assert refused.reason == "gated"
        context = await store.read(actor.query())
        assert context.contact is not None
        assert [c.granted for c in context.contact.consents] == [False]
        assert context.gate_epoch > running.context.gate_epoch
        assert "on its way" not in texts(context)
        again = replace(actor.change(running), gate_epoch=context.gate_epoch)
        assert isinstance(await store.commit(again), Committed)

    async def test_start_takes_back_what_stop_said(self, store: Store) -> None:
        actor = Actor()
        await store.commit(actor.change(await store.open(actor.claim("STOP", stop=True))))
        start = actor.claim("START", message_id="SM2", stop=False)
        opened = await store.open(start)
        assert opened.context.contact is not None
        assert [c.granted for c in opened.context.contact.consents] == [True]

    async def test_state_outside_of_a_turn_is_checked_against_the_revision(
        self, store: Store
    ) -> None:
        actor = Actor()
        contact = await self._contact(store, actor)
        first = await store.commit(actor.note(contact, state=b"1", revision=0))
        assert first == Committed(2, 1)
        refused = await store.commit(actor.note(contact, state=b"2", revision=0))
        assert refused == Refused("conflict", 1, 0)
        assert (await store.read(actor.query())).state == b"1"

    async def test_a_commit_for_nobody_is_refused(self, store: Store) -> None:
        actor = Actor()
        assert await store.commit(actor.note(actor.id())) == Refused("unknown")

    # --- many at once -----------------------------------------------------------------------------

    async def test_twenty_workers_with_one_webhook_open_one_turn(self, store: Store) -> None:
        answers: list[Opened] = []

        async def deliver(worker: int) -> None:
            answers.append(await store.open(Actor(seed=worker).claim()))

        async with anyio.create_task_group() as group:
            for worker in range(20):
                group.start_soon(deliver, worker)
        assert sorted(a.status for a in answers) == ["busy"] * 19 + ["new"]
        assert len({a.turn for a in answers}) == 1
        assert (await store.read(Actor().query())).seq == 1

    async def test_many_writers_lose_nothing_and_leave_no_gap(self, store: Store) -> None:
        contact = await self._contact(store, Actor())

        async def write(writer: int) -> None:
            actor = Actor(seed=writer + 1)
            for i in range(10):
                await store.commit(actor.note(contact, actor.message(f"{writer}:{i}")))

        async with anyio.create_task_group() as group:
            for writer in range(20):
                group.start_soon(write, writer)
        context = await store.read(Actor().query())
        assert is_dense(context.window.seqs)
        found = texts(context)[2:]
        assert sorted(found) == sorted(f"{w}:{i}" for w in range(20) for i in range(10))
        for writer in range(20):
            own = [t for t in found if t.startswith(f"{writer}:")]
            assert own == [f"{writer}:{i}" for i in range(10)]

    async def test_a_cancelled_caller_leaves_all_or_nothing_and_may_repeat(
        self, store: Store
    ) -> None:
        contact = await self._contact(store, Actor())
        for attempt in range(20):
            actor = Actor(seed=attempt + 1)
            change = actor.note(contact, actor.message(f"{attempt}"), state=b"%d" % attempt)
            with anyio.move_on_after(0.0003 * (attempt % 4)):
                await store.commit(change)
            assert isinstance(await store.commit(change), Committed)
        context = await store.read(Actor().query())
        assert texts(context)[2:] == [str(attempt) for attempt in range(20)]
        assert context.revision == 20

    async def test_a_worker_that_is_cancelled_while_opening_leaves_no_lease(
        self, store: Store
    ) -> None:
        for attempt in range(20):
            actor = Actor(seed=attempt)
            claim = actor.claim(f"{attempt}", message_id=f"SM{attempt}")
            with anyio.move_on_after(0.0002 * (attempt % 5)) as scope:
                opened = await store.open(claim)
            if not scope.cancelled_caught:
                await store.commit(actor.change(opened))
            again = await store.open(claim)
            assert again.status in {"new", "duplicate"}
            if again.status == "new":
                await store.commit(actor.change(again))
        assert (await store.read(Actor().query())).seq == 20

    # --- reading ----------------------------------------------------------------------------------

    async def test_a_window_shows_the_newest_entries_and_their_places(self, store: Store) -> None:
        actor = Actor()
        contact = await self._contact(store, actor)
        for i in range(30):
            await store.commit(actor.note(contact, actor.message(str(i))))
        context = await store.read(actor.query(window=3))
        assert texts(context) == ["27", "28", "29"]
        assert list(context.window.seqs) == [30, 31, 32]
        assert len((await store.read(actor.query(window=0))).window) == 32
        assert len((await store.read(actor.query(window=99))).window) == 32

    async def test_a_context_does_not_change_under_its_reader(self, store: Store) -> None:
        actor = Actor()
        contact = await self._contact(store, actor)
        before = await store.read(actor.query())
        await store.commit(actor.note(contact, actor.message("later"), state=b"new"))
        assert texts(before) == ["hello", "ok"]
        assert (before.state, before.seq) == (None, 2)
        assert texts(await store.read(actor.query())) == ["hello", "ok", "later"]

    async def test_every_kind_of_entry_comes_back_as_it_was(self, store: Store) -> None:
        actor = Actor()
        contact = await self._contact(store, actor)
        message = actor.message("né 😀 \u202e", labels=("health",), subject="s", flags=("auto",))
        event = Event("note", actor.now, data=(("key", "value"),))
        await store.commit(actor.note(contact, message, event))
        assert list((await store.read(actor.query())).window)[-2:] == [message, event]

    # --- identity and access ----------------------------------------------------------------------

    async def test_linked_addresses_lead_to_one_conversation(self, store: Store) -> None:
        actor = Actor()
        contact = await self._contact(store, actor)
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
        await self._contact(store, actor)
        await store.open(actor.claim("mail", message_id="<1@x>", address=MAIL))
        assert (await store.identify(actor.link(PHONE, MAIL))).status == "taken"
        assert texts(await store.read(actor.query(MAIL))) == ["mail"]

    async def test_linking_to_an_id_that_is_not_stored_is_refused(self, store: Store) -> None:
        actor = Actor()
        assert (await store.identify(actor.link(actor.id(), MAIL))).status == "unknown"
        assert (await store.read(actor.query(MAIL))).contact is None

    async def test_a_claimed_sender_sees_their_own_message_only(self, store: Store) -> None:
        actor = Actor()
        await self._contact(store, actor)
        await store.identify(actor.link(PHONE, MAIL))
        await store.commit(actor.note((await self._id(store, actor)), state=b"secret"))
        forged = actor.claim(
            "it is me", message_id="<1@x>", address=MAIL, assurance=Assurance.CLAIMED
        )
        context = (await store.open(forged)).context
        assert (texts(context), context.state, context.withheld) == (["it is me"], None, 3)
        assert context.contact is not None
        assert context.contact.addresses == (MAIL,)

    async def test_other_channels_need_a_firm_link_on_both_sides(self, store: Store) -> None:
        actor = Actor()
        await self._contact(store, actor)
        await store.identify(actor.link(PHONE, MAIL, Assurance.CLAIMED))
        seen = await store.read(actor.query(MAIL, Assurance.CHANNEL))
        assert (texts(seen), seen.withheld) == ([], 3)
        await store.identify(actor.link(PHONE, MAIL, Assurance.CHANNEL))
        seen = await store.read(actor.query(MAIL, Assurance.CHANNEL))
        assert texts(seen) == ["hello", "ok"]

    async def test_labelled_messages_need_a_verified_reader(self, store: Store) -> None:
        actor = Actor()
        contact = await self._contact(store, actor)
        await store.commit(actor.note(contact, actor.message("my illness", labels=("health",))))
        low = await store.read(actor.query(assurance=Assurance.CHANNEL))
        assert (texts(low), low.withheld) == (["hello", "ok"], 1)
        high = await store.read(actor.query(assurance=Assurance.VERIFIED))
        assert texts(high) == ["hello", "ok", "my illness"]

    async def test_tenants_never_meet(self, store: Store) -> None:
        acme, other = Actor("acme"), Actor("other")
        contact = await self._contact(store, acme)
        assert (await store.read(other.query())).contact is None
        assert await store.commit(other.note(contact, other.message("x"))) == Refused("unknown")
        assert (await store.identify(other.link(contact, MAIL))).status == "unknown"
        await store.records(acme.write_record("k", b"acme"))
        assert await store.records(other.read_record("k")) is None
        await self._contact(store, other, "hers")
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

    # --- records ----------------------------------------------------------------------------------

    async def test_a_record_is_read_as_it_was_written(self, store: Store) -> None:
        actor = Actor()
        assert await store.records(actor.read_record("k")) is None
        for revision, value in ((1, b"one"), (2, b""), (3, bytes(range(256)))):
            written = await store.records(actor.write_record("k", value))
            assert written is not None
            assert (written.value, written.revision) == (value, revision)
            assert await store.records(actor.read_record("k")) == written
        assert await store.records(actor.read_record("k", scope="elsewhere")) is None

    async def test_a_record_of_another_revision_than_expected_is_a_conflict(
        self, store: Store
    ) -> None:
        actor = Actor()
        await store.records(actor.write_record("k", b"1", revision=0))
        await raises(Conflict, store.records(actor.write_record("k", b"x", revision=0)))
        await raises(Conflict, store.records(actor.write_record("k", b"x", revision=2)))
        await store.records(actor.write_record("k", b"2", revision=1))
        await raises(Conflict, store.records(actor.write_record("k", None, revision=1)))
        assert await store.records(actor.write_record("k", None, revision=2)) is None
        assert await store.records(actor.read_record("k")) is None

    async def test_a_record_ends_with_its_lifetime(self, store: Store) -> None:
        actor = Actor()
        await store.records(actor.write_record("k", b"1", lifetime_seconds=1.0))
        actor.now += 999
        assert await store.records(actor.read_record("k")) is not None
        actor.now += 1
        assert await store.records(actor.read_record("k")) is None
        again = await store.records(actor.write_record("k", b"2", revision=0))
        assert again is not None
        assert again.revision == 2, "who still holds the revision that expired cannot win"
        tiny = await store.records(actor.write_record("t", b"1", lifetime_seconds=0.0001))
        assert tiny is not None
        assert tiny.expires_at > actor.now

    # --- the end ----------------------------------------------------------------------------------

    async def test_a_closed_store_refuses_and_closing_twice_is_fine(self, store: Store) -> None:
        actor = Actor()
        claim, note = actor.claim(), actor.note(actor.id())
        await store.aclose()
        await store.aclose()
        await raises(StoreClosed, store.open(claim))
        await raises(StoreClosed, store.read(actor.query()))
        await raises(StoreClosed, store.commit(note))
        await raises(StoreClosed, store.identify(actor.link(PHONE, MAIL)))
        await raises(StoreClosed, store.records(actor.read_record("k")))

    async def test_the_report_says_what_the_store_can_give(self, store: Store) -> None:
        report = await store.check()
        assert report.writable
        assert report.kind

    # --- what several of them need ----------------------------------------------------------------

    @staticmethod
    async def _contact(store: Store, actor: Actor, text: str = "hello") -> bytes:
        """A contact with one finished turn: `text` and the answer "ok"."""
        claim = actor.claim(text)
        opened = await store.open(claim)
        accepted: Message = replace(claim.message, disposition="accepted")
        await store.commit(actor.change(opened, "ok", accept=accepted))
        assert opened.context.contact is not None
        return opened.context.contact.id

    @staticmethod
    async def _id(store: Store, actor: Actor) -> bytes:
        contact = (await store.read(actor.query())).contact
        assert contact is not None
        return contact.id


__all__ = ["CHAT", "HOSTILE", "OURS", "StoreContract", "raises"]
