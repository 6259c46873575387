"""Turns: dedupe, lease, fence, gate, and many at once."""

import anyio
from msgspec.structs import replace

from ctxbridge.model import Assurance, Committed, Endpoint, Opened, Refused
from ctxbridge.ports import Store
from ctxbridge.testing.actor import Actor, contact_of, is_dense, texts


class TurnContract:
    """One effect per message id, one turn at a time, all or nothing."""

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
        contact = await contact_of(store, actor)
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
        contact = await contact_of(store, actor)
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
        contact = await contact_of(store, Actor())

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
        contact = await contact_of(store, Actor())
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
