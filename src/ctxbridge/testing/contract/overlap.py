"""Turns that overlap: what waits, who may take a running turn's lease, and what is only noted."""

from msgspec.structs import replace

from ctxbridge.model import Assurance, Change, Claim, Committed, Message, Opened, Refused
from ctxbridge.ports import Store
from ctxbridge.testing.actor import MAIL, Actor, texts


def accepted(claim: Claim) -> Message:
    """The message as a turn leaves it that has judged it."""
    return replace(claim.message, disposition="accepted")


def joining(actor: Actor, opened: Opened, *others: tuple[int, Claim, bytes]) -> Change:
    """The end of a turn that answers other messages too: place, claim and turn of each."""
    amend = tuple((place, accepted(claim)) for place, claim, _ in others)
    change = actor.change(opened, "to all", joined=tuple(turn for *_, turn in others))
    return replace(change, amend=change.amend + amend)


async def refusal(store: Store, change: Change) -> str:
    """Why a change is refused."""
    outcome = await store.commit(change)
    assert isinstance(outcome, Refused)
    return outcome.reason


async def waiting(store: Store, actor: Actor) -> tuple[int, ...]:
    """Where the messages stand that no turn has finished."""
    return (await store.read(actor.query())).waiting


class OverlapContract:
    """A message that comes while a turn is running is never lost, and never runs beside it."""

    # --- what waits -------------------------------------------------------------------------------

    async def test_what_no_turn_has_finished_waits_the_oldest_first(self, store: Store) -> None:
        actor = Actor()
        claim = actor.claim("one")
        first = await store.open(claim)
        assert first.context.waiting == (1,)
        for number in (2, 3):
            opened = await store.open(actor.claim(str(number), message_id=f"SM{number}"))
            assert (opened.status, opened.fence, opened.lease_end) == (
                "busy", first.fence, first.lease_end,
            )  # fmt: skip
        assert opened.context.waiting == (1, 2, 3)
        await store.commit(actor.change(first, "ok", accept=accepted(claim)))
        assert await waiting(store, actor) == (2, 3)

    async def test_a_turn_that_is_given_back_or_renewed_still_waits(self, store: Store) -> None:
        actor = Actor()
        claim = actor.claim()
        opened = await store.open(claim)
        for seconds in (60.0, 0.0):
            change = actor.change(
                opened, accept=accepted(claim), finished=False, lease_seconds=seconds
            )
            assert isinstance(await store.commit(change), Committed)
            assert await waiting(store, actor) == (1,)

    async def test_a_note_takes_nobody_off_the_list(self, store: Store) -> None:
        actor = Actor()
        claim = actor.claim()
        opened = await store.open(claim)
        assert opened.context.contact is not None
        note = actor.note(opened.context.contact.id, amend=((1, accepted(claim)),))
        assert isinstance(await store.commit(note), Committed)
        assert await waiting(store, actor) == (1,)

    # --- who may take the lease -------------------------------------------------------------------

    async def test_a_later_message_of_equals_supersedes_the_running_turn(
        self, store: Store
    ) -> None:
        actor = Actor()
        first = await store.open(actor.claim("one"))
        claim = actor.claim("two", message_id="SM2", overlap="supersede")
        second = await store.open(claim)
        assert (second.status, second.resumed, second.seq) == ("new", False, 2)
        assert second.fence > first.fence
        assert second.context.waiting == (1, 2)
        for stale in (actor.change(first, "late"), actor.change(first, finished=False)):
            assert await refusal(store, stale) == "superseded"
        change = actor.change(second, "answer", accept=accepted(claim))
        assert isinstance(await store.commit(change), Committed)
        assert texts(await store.read(actor.query())) == ["one", "two", "answer"]
        assert await waiting(store, actor) == (1,)

    async def test_who_was_superseded_is_told_so_after_their_message_was_answered_too(
        self, store: Store
    ) -> None:
        actor = Actor()
        one = actor.claim("one")
        first = await store.open(one)
        two = actor.claim("two", message_id="SM2", overlap="supersede")
        second = await store.open(two)
        change = joining(actor, second, (1, one, first.turn), (2, two, second.turn))
        await store.commit(replace(change, joined=(first.turn,)))
        third = await store.open(actor.claim("three", message_id="SM3"))
        assert await refusal(store, actor.change(first, "late")) == "superseded"
        assert isinstance(await store.commit(actor.change(third)), Committed)
        assert await refusal(store, actor.change(first, "late")) == "superseded"

    async def test_only_equals_supersede(self, store: Store) -> None:
        actor = Actor()
        running = await store.open(actor.claim(assurance=Assurance.VERIFIED))
        for number, assurance in enumerate(Assurance):
            if assurance is not Assurance.VERIFIED:
                claim = actor.claim(
                    message_id=f"x{number}", overlap="supersede", assurance=assurance
                )
                assert (await store.open(claim)).status == "busy", assurance
        assert isinstance(await store.commit(actor.change(running)), Committed)

    async def test_who_lost_a_lease_that_ran_out_was_not_superseded(self, store: Store) -> None:
        actor = Actor()
        stale = await store.open(actor.claim(lease_seconds=1.0))
        actor.now += 1_000
        later = actor.claim("two", message_id="SM2", overlap="supersede")
        assert (await store.open(later)).status == "new"
        assert await refusal(store, actor.change(stale)) == "fenced"

    async def test_a_repetition_supersedes_nobody(self, store: Store) -> None:
        actor = Actor()
        running = await store.open(actor.claim())
        again = await store.open(actor.claim(overlap="supersede"))
        assert (again.status, again.fence) == ("busy", running.fence)
        assert isinstance(await store.commit(actor.change(running)), Committed)

    async def test_a_message_that_is_rejected_is_not_stored(self, store: Store) -> None:
        actor = Actor()
        running = await store.open(actor.claim())
        later = actor.claim("two", message_id="SM2", overlap="reject")
        refused = await store.open(later)
        assert (refused.status, refused.fence, refused.lease_end) == (
            "rejected", running.fence, running.lease_end,
        )  # fmt: skip
        assert texts(await store.read(actor.query())) == ["hello"]
        await store.commit(actor.change(running))
        opened = await store.open(later)
        assert (opened.status, opened.resumed, opened.seq) == ("new", False, 2)

    async def test_no_more_than_the_backlog_waits(self, store: Store) -> None:
        actor = Actor()
        claim = actor.claim(backlog=3)
        running = await store.open(claim)
        statuses = [
            (await store.open(actor.claim(str(n), message_id=f"SM{n}", backlog=3))).status
            for n in (2, 3, 4, 5)
        ]
        assert statuses == ["busy", "busy", "full", "full"]
        assert await waiting(store, actor) == (1, 2, 3)
        await store.commit(actor.change(running, accept=accepted(claim)))
        assert (await store.open(actor.claim("4", message_id="SM4"))).status == "new"
        assert texts(await store.read(actor.query())) == ["hello", "2", "3", "4"]

    async def test_a_consent_is_never_held_back(self, store: Store) -> None:
        actor = Actor()
        await store.open(actor.claim())
        stop = actor.claim("STOP", message_id="SM2", stop=True, overlap="reject")
        start = actor.claim("START", message_id="SM3", stop=False, backlog=1)
        assert (await store.open(stop)).status == "busy"
        assert (await store.open(start)).status == "busy"
        context = await store.read(actor.query())
        assert (texts(context), context.gate_epoch) == (["hello", "STOP", "START"], 2)

    # --- turns that are joined --------------------------------------------------------------------

    async def test_a_joined_message_is_answered_by_the_turn_that_joined_it(
        self, store: Store
    ) -> None:
        actor = Actor()
        one, two = actor.claim("one"), actor.claim("two", message_id="SM2")
        first, second = await store.open(one), await store.open(two)
        change = joining(actor, first, (1, one, first.turn), (2, two, second.turn))
        assert isinstance(
            await store.commit(replace(change, joined=(second.turn,))), Committed
        )  # fmt: skip
        merged = await store.open(actor.claim("two", message_id="SM2"))
        assert (merged.status, merged.answer, merged.turn, merged.seq) == (
            "merged", (), second.turn, 2,
        )  # fmt: skip
        assert (await store.open(actor.claim("else", message_id="SM2"))).status == "mismatch"
        duplicate = await store.open(actor.claim("one"))
        assert (duplicate.status, [m.text for m in duplicate.answer]) == ("duplicate", ["to all"])
        context = await store.read(actor.query())
        assert (texts(context), context.waiting) == (["one", "two", "to all"], ())

    async def test_a_refused_turn_joins_nothing(self, store: Store) -> None:
        actor = Actor()
        one, two = actor.claim("one"), actor.claim("two", message_id="SM2")
        first, second = await store.open(one), await store.open(two)
        await store.open(actor.claim("STOP", message_id="SM3", stop=True))
        change = joining(actor, first, (1, one, first.turn), (2, two, second.turn))
        assert await refusal(store, change) == "gated"
        assert await waiting(store, actor) == (1, 2, 3)
        assert (await store.open(two)).status == "busy"

    # --- renewal ----------------------------------------------------------------------------------

    async def test_a_lease_that_is_renewed_lasts_longer(self, store: Store) -> None:
        actor = Actor()
        opened = await store.open(actor.claim(lease_seconds=1.0))
        actor.now += 900
        renewal = actor.change(opened, finished=False, lease_seconds=1.0)
        assert await store.commit(renewal) == Committed(1, 0)
        actor.now += 900
        busy = await store.open(actor.claim("two", message_id="SM2"))
        assert (busy.status, busy.fence, busy.lease_end) == (
            "busy", opened.fence, actor.now + 100,
        )  # fmt: skip
        assert isinstance(await store.commit(actor.change(opened, "done")), Committed)

    async def test_a_stale_worker_cannot_renew(self, store: Store) -> None:
        actor = Actor()
        stale = await store.open(actor.claim(lease_seconds=1.0))
        actor.now += 1_000
        fresh = await store.open(actor.claim(lease_seconds=1.0))
        renewal = actor.change(stale, finished=False, lease_seconds=100.0)
        assert await refusal(store, renewal) == "fenced"
        actor.now += 1_000
        again = await store.open(actor.claim())
        assert (again.status, again.fence) == ("new", fresh.fence + 1)

    # --- what is taken up again -------------------------------------------------------------------

    async def test_a_message_that_waits_is_taken_up_whatever_its_digest(self, store: Store) -> None:
        actor = Actor()
        await store.commit(actor.change(await store.open(actor.claim("one")), finished=False))
        opened = await store.open(actor.claim("one, masked", resumes=1))
        assert (opened.status, opened.resumed, opened.seq) == ("new", True, 1)
        busy = await store.open(actor.claim("one, masked", resumes=1))
        assert (busy.status, texts(busy.context)) == ("busy", ["one"])

    async def test_nothing_is_stored_anew_that_was_only_to_be_taken_up(self, store: Store) -> None:
        actor = Actor()
        opened = await store.open(actor.claim(remember_seconds=10.0))
        await store.commit(actor.change(opened, finished=False))
        actor.now += 10_000
        forgotten = await store.open(actor.claim(resumes=1))
        assert (forgotten.status, forgotten.seq, forgotten.answer) == ("duplicate", 1, ())
        assert forgotten.context.waiting == ()
        context = await store.read(actor.query())
        assert (texts(context), context.waiting) == (["hello"], ())
        nobody = await store.open(actor.claim(address=MAIL, message_id="<1@x>", resumes=1))
        assert nobody.status == "duplicate"
        assert (await store.read(actor.query(MAIL))).contact is None

    async def test_an_id_that_came_anew_is_not_taken_for_the_message_that_waits(
        self, store: Store
    ) -> None:
        actor = Actor()
        opened = await store.open(actor.claim(remember_seconds=10.0))
        await store.commit(actor.change(opened, finished=False))
        actor.now += 10_000
        anew = await store.open(actor.claim())
        assert (anew.status, anew.seq, anew.context.waiting) == ("new", 2, (1, 2))
        await store.commit(actor.change(anew, finished=False))
        resumed = await store.open(actor.claim(resumes=1))
        assert (resumed.status, resumed.seq, resumed.context.waiting) == ("duplicate", 1, (2,))
        assert (await store.open(actor.claim(resumes=2))).status == "new"

    async def test_one_that_was_answered_waits_no_longer_once_it_is_looked_at(
        self, store: Store
    ) -> None:
        actor = Actor()
        await store.commit(actor.change(await store.open(actor.claim()), "ok"))
        assert await waiting(store, actor) == (1,)
        opened = await store.open(actor.claim("another digest", resumes=1))
        assert (opened.status, [m.text for m in opened.answer]) == ("duplicate", ["ok"])
        assert await waiting(store, actor) == ()

    # --- what is only noted -----------------------------------------------------------------------

    async def test_a_noted_message_is_stored_and_asks_for_no_turn(self, store: Store) -> None:
        actor = Actor()
        noted = await store.open(actor.claim("an edit", lease_seconds=0.0))
        assert (noted.status, noted.seq, noted.lease_end) == ("noted", 1, 0)
        assert (texts(noted.context), noted.context.waiting) == (["an edit"], ())
        again = await store.open(actor.claim("an edit", lease_seconds=0.0))
        assert (again.status, again.turn, again.answer) == ("duplicate", noted.turn, ())
        other = await store.open(actor.claim("another", lease_seconds=0.0))
        assert other.status == "mismatch"
        assert (await store.open(actor.claim("two", message_id="SM2"))).status == "new"
        assert (await store.read(actor.query())).seq == 2

    async def test_a_message_is_noted_beside_a_running_turn(self, store: Store) -> None:
        actor = Actor()
        running = await store.open(actor.claim())
        claim = actor.claim(
            "an edit", message_id="SM2", lease_seconds=0.0, overlap="reject", backlog=1
        )
        assert (await store.open(claim)).status == "noted"
        assert await waiting(store, actor) == (1,)
        assert isinstance(await store.commit(actor.change(running, "ok")), Committed)

    async def test_who_notes_what_waits_for_a_turn_leaves_it_waiting(self, store: Store) -> None:
        actor = Actor()
        await store.commit(actor.change(await store.open(actor.claim()), finished=False))
        assert (await store.open(actor.claim(lease_seconds=0.0))).status == "duplicate"
        assert await waiting(store, actor) == (1,)
        assert (await store.open(actor.claim())).status == "new"
