"""Handing over to a colleague and back: who may speak, what everybody is told, once each."""

from contextlib import suppress

import anyio
import pytest
from msgspec.structs import replace

from ctxbridge import Address, Bridge, errors, guards
from ctxbridge.bridge.floor import NOBODY_CAME
from ctxbridge.guards import allow, block, defer, guard
from ctxbridge.guards.guard import escalate
from ctxbridge.integrations import plain
from ctxbridge.model import Floor
from ctxbridge.model.lines import handoffs_in
from ctxbridge.stores.memory import MemoryStore
from tests.patience import until
from tests.stores.broken import WithoutFloor, WithoutRevision

from .conftest import ENDPOINTS, SENDERS, Ticket, exchange, write
from .test_guards import Pigeon

SMS, MAIL = SENDERS["sms"], SENDERS["email"]
MINUTE = 60_000
BEGIN = (
    "[not the customer] at 2026-09-21 14:13 UTC a colleague (ann) took the conversation over; "
    "what our side says from here on is theirs"
)
END = (
    "[not the customer] a colleague (ann) had the conversation from 2026-09-21 14:13 UTC to "
    "2026-09-21 14:18 UTC; you have it again: new lamp promised, free of charge"
)


@pytest.fixture
def pigeon():
    return Pigeon()


@pytest.fixture
async def desk(another, pigeon):
    """A bridge that can send, and a customer who has written before."""
    bridge = await another(senders=[pigeon], wait_seconds=0.01)
    await exchange(bridge, write("hello"), "hi")
    pigeon.texts.clear()
    return bridge


def slow(kind):
    """A store of this kind behind which others do something too, once it has read."""

    class Slow(kind):
        async def read(self, query, /):
            context = await super().read(query)
            await anyio.sleep(0.01)
            return context

    return Slow()


async def kinds(bridge, address=SMS):
    window = (await bridge.context(address, window=100, fresh=True)).window
    return [e.kind for e in window if getattr(e, "kind", "").startswith("handoff.")]


def refused(floor, holder=""):
    return pytest.raises(errors.FloorTaken, check=lambda e: (e.floor, e.holder) == (floor, holder))


class TestTheSteps:
    async def test_offered_accepted_passed_and_released(self, desk, clock):
        offer = await desk.floor.offer(
            SMS, reason="refund", to="billing", summary="wants 20 back", promised=["a call today"]
        )
        assert (offer.floor, offer.holder, offer.step) == ("queue", "", "offered")
        assert (offer.expires_at, offer.at) == (clock.time + 60 * MINUTE, clock.time)
        clock.time += MINUTE
        taken = await desk.floor.accept(SMS, by="ann", epoch=offer.epoch)
        assert (taken.floor, taken.holder, taken.before) == ("human", "ann", offer.epoch)
        assert (taken.reason, taken.promised) == ("refund", ("a call today",))
        clock.time += MINUTE
        passed = await desk.floor.pass_on(SMS, by="ann", to="bob")
        assert (passed.holder, passed.last_holder, passed.accepted_at) == (
            "bob", "bob", taken.at,
        )  # fmt: skip
        back = await desk.floor.release(SMS, by="bob", note="paid out")
        assert (back.floor, back.holder, back.note) == ("agent", "", "paid out")
        assert await desk.floor.show(SMS) == back
        assert await kinds(desk) == [
            "handoff.offered", "handoff.accepted", "handoff.passed", "handoff.released",
        ]  # fmt: skip
        context = await desk.context(SMS, fresh=True)
        assert (context.floor, context.gate_epoch) == (Floor.AGENT, back.epoch)

    async def test_the_first_step_of_all_is_known_too(self, desk):
        shown = await desk.floor.show(str(SMS))
        assert (shown.floor, shown.step, shown.epoch) == ("agent", "", 0)

    async def test_a_takeover_needs_no_offer(self, desk):
        taken = await desk.floor.accept(SMS, by="ann")
        assert (taken.floor, taken.holder, taken.reason) == ("human", "ann", "")

    async def test_repeated_by_the_same_each_step_is_done_once(self, desk):
        floor = desk.floor
        offer = await floor.offer(SMS, reason="refund")
        assert await floor.offer(SMS, reason="refund") == offer
        taken = await floor.accept(SMS, by="ann", epoch=offer.epoch)
        assert await floor.accept(SMS, by="ann", epoch=offer.epoch) == taken
        assert await floor.accept(SMS, by="ann") == taken
        passed = await floor.pass_on(SMS, by="ann", to="bob", epoch=taken.epoch)
        assert await floor.pass_on(SMS, by="ann", to="bob", epoch=taken.epoch) == passed
        back = await floor.release(SMS, by="bob", epoch=passed.epoch)
        assert await floor.release(SMS, by="bob", epoch=passed.epoch) == back
        assert len(await kinds(desk)) == 4

    async def test_a_repetition_that_comes_late_does_not_touch_what_came_after(self, desk):
        taken = await desk.floor.accept(SMS, by="ann")
        await desk.floor.release(SMS, by="ann", epoch=taken.epoch)
        again = await desk.floor.accept(SMS, by="ann")
        with refused("human", "ann"):
            await desk.floor.release(SMS, by="ann", epoch=taken.epoch)
        assert await desk.floor.show(SMS) == again

    async def test_of_two_who_accept_at_once_one_has_it(self, desk, another):
        other = await another()
        offer = await desk.floor.offer(SMS, reason="refund")
        won, lost = [], []

        async def accept(bridge, by):
            try:
                won.append((await bridge.floor.accept(SMS, by=by, epoch=offer.epoch)).holder)
            except errors.FloorTaken as error:
                lost.append((error.floor, error.holder))

        async with anyio.create_task_group() as group:
            for bridge, by in ((desk, "ann"), (other, "bob"), (desk, "cat"), (other, "dan")):
                group.start_soon(accept, bridge, by)
        assert len(won) == 1
        assert lost == [("human", won[0])] * 3
        assert await kinds(desk) == ["handoff.offered", "handoff.accepted"]

    @pytest.mark.parametrize(("kind", "winners"), [(MemoryStore, 1), (WithoutRevision, 2)])
    async def test_both_would_have_it_if_the_store_compared_no_revision(self, kind, winners):
        """The control: both have read that the agent has the floor before one of them writes."""
        bridge, won = Bridge(slow(kind), tenant="acme"), []
        await exchange(bridge, write("hello"), "hi")

        async def accept(by):
            with suppress(errors.FloorTaken):
                won.append(await bridge.floor.accept(SMS, by=by))

        async with anyio.create_task_group() as group:
            group.start_soon(accept, "ann")
            group.start_soon(accept, "bob")
        assert len(won) == winners

    @pytest.mark.parametrize(("kind", "times"), [(MemoryStore, 1), (WithoutRevision, 2)])
    async def test_it_would_end_twice_if_the_store_compared_no_revision(self, kind, times, clock):
        """The control. With a text to say the gate epoch stands against it as well."""
        bridge = Bridge(slow(kind), tenant="acme", clock=clock)
        await exchange(bridge, write("hello"), "hi")
        await bridge.floor.offer(SMS, reason="refund", within_seconds=60, otherwise="")
        clock.time += MINUTE
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(bridge.floor._expire, SMS)
        assert await kinds(bridge) == ["handoff.offered", *["handoff.expired"] * times]

    async def test_who_has_no_floor_can_give_none(self, desk):
        with refused("agent"):
            await desk.floor.release(SMS, by="ann")
        with refused("agent"):
            await desk.floor.pass_on(SMS, by="ann", to="bob")
        await desk.floor.accept(SMS, by="ann")
        for step in (
            desk.floor.accept(SMS, by="bob"),
            desk.floor.offer(SMS, reason="x"),
            desk.floor.release(SMS, by="bob"),
            desk.floor.pass_on(SMS, by="bob", to="cat"),
            desk.floor.say(SMS, "hi", by="bob"),
        ):
            with refused("human", "ann"):
                await step
        assert await kinds(desk) == ["handoff.accepted"]

    async def test_a_floor_whose_holder_has_gone_home_can_be_taken_back(self, desk):
        await desk.floor.accept(SMS, by="ann")
        back = await desk.floor.release(SMS, by="boss", force=True)
        assert (back.floor, back.by, back.last_holder) == ("agent", "boss", "ann")

    async def test_an_offer_can_be_called_off_and_passed_back_to_the_queue(self, desk):
        await desk.floor.offer(SMS, reason="refund")
        assert (await desk.floor.release(SMS, by="agent")).floor == "agent"
        await desk.floor.accept(SMS, by="ann")
        queued = await desk.floor.pass_on(SMS, by="ann", to="queue", within_seconds=60)
        assert (queued.floor, queued.to, queued.holder) == ("queue", "", "")
        taken = await desk.floor.accept(SMS, by="bob", epoch=queued.epoch)
        assert taken.holder == "bob"

    async def test_a_stop_in_between_leaves_the_offer_as_it_is(self, desk):
        offer = await desk.floor.offer(SMS, reason="refund")
        await desk.consent(SMS, granted=False, purpose="marketing", evidence="call:1")
        assert (await desk.floor.accept(SMS, by="ann", epoch=offer.epoch)).holder == "ann"

    async def test_far_back_in_a_long_log_the_holder_is_still_known(self, desk, monkeypatch):
        monkeypatch.setattr("ctxbridge.bridge.stepping.WINDOW", 3)
        await desk.floor.accept(SMS, by="ann")
        for number in range(5):
            await exchange(desk, write(f"{number}"))
        assert (await desk.floor.show(SMS)).holder == "ann"

    @pytest.mark.parametrize(("into", "other"), [(SMS, MAIL), (MAIL, SMS)])
    async def test_who_has_it_of_either_has_it_of_both_that_are_merged(self, desk, into, other):
        await exchange(desk, write("hello", "email"), "hi")
        for by in ("bob", "cat"):
            await desk.floor.accept(MAIL, by=by)
            await desk.floor.release(MAIL, by=by)
        await desk.floor.accept(SMS, by="ann")
        await desk.merge(into, other, evidence="crm:1")
        assert ((await desk.floor.show(MAIL)).holder, await kinds(desk, SMS)) == (
            "ann", await kinds(desk, MAIL),
        )  # fmt: skip
        back = await desk.floor.release(MAIL, by="ann")
        assert await desk.floor.show(SMS) == back

    @pytest.mark.parametrize("name", ["", "  ", "agent", "queue", None, 7])
    async def test_nothing_is_handed_over_to_nobody(self, desk, name):
        with pytest.raises(errors.UsageError):
            await desk.floor.accept(SMS, by=name)
        await desk.floor.accept(SMS, by="ann")
        if name != "queue":
            with pytest.raises(errors.UsageError):
                await desk.floor.pass_on(SMS, by="ann", to=name)
        assert (await desk.floor.show(SMS)).holder == "ann"

    async def test_somebody_unknown_is_no_case(self, desk):
        who = Address("sms", "+15550100777")
        floor = desk.floor
        for step in (
            floor.show(who), floor.offer(who, reason="x"), floor.accept(who, by="ann"),
            floor.pass_on(who, by="ann", to="bob"), floor.release(who, by="ann"),
            floor.say(who, "hi", by="ann"), floor.package(who),
        ):  # fmt: skip
            with pytest.raises(errors.UnknownContact):
                await step

    @pytest.mark.parametrize(
        "more",
        [
            {"reason": "x" * 201}, {"summary": "x" * 4_001}, {"to": "x" * 101},
            {"promised": ["x"] * 21}, {"promised": ["x" * 501]}, {"otherwise": "x" * 1_001},
        ],
    )  # fmt: skip
    async def test_what_is_too_long_is_refused(self, desk, more):
        with pytest.raises(errors.TooLarge):
            await desk.floor.offer(SMS, **{"reason": "refund", **more})
        assert await kinds(desk) == []

    @pytest.mark.parametrize(
        "more",
        [{"reason": None}, {"promised": "a call"}, {"promised": [7]}, {"within_seconds": -1},
         {"within_seconds": float("nan")}, {"within_seconds": 1e9}],
    )  # fmt: skip
    async def test_nonsense_is_refused(self, desk, more):
        with pytest.raises(errors.UsageError):
            await desk.floor.offer(SMS, **{"reason": "refund", **more})


class TestWhatLeaves:
    async def test_what_a_colleague_writes_is_judged_stored_and_sent(self, desk, pigeon):
        await desk.floor.accept(SMS, by="ann")
        written = await desk.floor.say(SMS, "Ann here. I look into it.", by="ann")
        assert (pigeon.texts, written.delivery.status) == (["Ann here. I look into it."], "sent")
        last = (await desk.context(SMS)).messages[-1]
        assert (last.author, last.endpoint) == ("human_agent", ENDPOINTS["sms"])
        assert [r.guard for r in last.decision.results] == ["gate"]

    async def test_consent_counts_for_colleagues_too(self, desk, pigeon):
        await exchange(desk, write("STOP"))
        pigeon.texts.clear()
        await desk.floor.accept(SMS, by="ann")
        written = await desk.floor.say(SMS, "but", by="ann")
        assert (written.message.disposition, pigeon.texts) == ("withheld", [])

    async def test_guards_of_replies_judge_agents_alone_and_those_at_send_all(
        self, another, pigeon
    ):
        judged = []

        @guard("reply", "send", name="both")
        def both(check):
            judged.append((check.stage, check.text))
            return block("no") if check.stage == "send" and check.text == "bad" else guards.allow()

        bridge = await another(guards=[both], senders=[pigeon])
        await exchange(bridge, write("hello"), "hi")
        await bridge.floor.accept(SMS, by="ann")
        judged.clear()
        await bridge.floor.say(SMS, "good", by="ann")
        await bridge.floor.say(SMS, "bad", by="ann")
        assert judged == [("send", "good"), ("send", "bad")]
        assert pigeon.texts == ["hi", "good"]

    async def test_a_key_makes_it_once(self, desk, pigeon):
        await desk.floor.accept(SMS, by="ann")
        first = await desk.floor.say(SMS, "one", by="ann", key="m1")
        again = await desk.floor.say(SMS, "one", by="ann", key="m1")
        assert (first.repeated, again.repeated, pigeon.texts) == (False, True, ["one"])

    async def test_a_reply_from_before_the_takeover_cannot_leave(self, desk, pigeon):
        async with desk.turn(write("where is it?")) as turn:
            turn.reply("on its way")
            await desk.floor.accept(SMS, by="ann")
        assert pigeon.texts == []
        last = (await desk.context(SMS)).messages[-1]
        assert (last.disposition, last.decision.code) == ("withheld", "floor.not_agent")

    async def test_without_the_gate_epoch_it_would(self, clock, pigeon):
        """The control: a store that does not raise the epoch lets the reply out."""
        options = {"tenant": "acme", "state": Ticket, "clock": clock, "senders": [pigeon]}
        async with (
            Bridge(WithoutFloor(), **options) as bridge,
            bridge.turn(write("where is it?")) as turn,
        ):
            turn.reply("on its way")
            await bridge.floor.accept(SMS, by="ann")
        assert pigeon.texts == ["on its way"]

    async def test_what_an_agent_wrote_for_later_does_not_leave_after_a_takeover(
        self, another, pigeon, clock
    ):
        quiet = guards.quiet_hours("UTC", start="21:00", end="08:00", grace_seconds=0.0)
        bridge = await another(guards=[quiet], senders=[pigeon])
        await exchange(bridge, write("hello"), "hi")
        pigeon.texts.clear()
        clock.time += 86_400_000 - clock.time % 86_400_000 + 22 * 60 * MINUTE
        await bridge.send(SMS, "Sofas!", purpose="marketing")
        await bridge.floor.accept(SMS, by="ann")
        clock.time += 11 * 60 * MINUTE
        await bridge.dispatch()
        assert pigeon.texts == []

    @pytest.mark.parametrize("said", [1, 30])
    async def test_nor_does_it_where_the_floor_was_given_back_meanwhile(
        self, another, pigeon, said
    ):
        """The agent does not know what the colleague has said."""
        desk = await another(senders=[pigeon])
        await exchange(desk, write("hello"), "hi")
        async with desk.turn(write("do I get a refund?")) as turn:
            turn.reply("we never refund")
            await desk.floor.accept(SMS, by="ann")
            for number in range(said):
                await desk.floor.say(SMS, f"you do {number}", by="ann")
            await desk.floor.release(SMS, by="ann")
            call = await turn.tool_call("refuse", "{}")
            assert (call.blocked, call.decision.code) == (True, "floor.not_agent")
        assert pigeon.texts == ["hi", *[f"you do {number}" for number in range(said)]]
        assert await exchange(desk, write("thanks"), "you're welcome") == []
        assert pigeon.texts[-1] == "you're welcome"

    async def test_an_offer_that_was_called_off_is_no_takeover(self, desk, pigeon):
        async with desk.turn(write("where is it?")) as turn:
            await desk.floor.offer(SMS, reason="?")
            await desk.floor.release(SMS, by="ann")
            assert not (await turn.tool_call("look", "{}")).blocked
            turn.reply("on its way")
        assert pigeon.texts == ["on its way"]

    @pytest.mark.parametrize("said", [1, 30])
    async def test_nor_does_what_was_written_for_later(self, another, pigeon, clock, said):
        @guard("reply", name="later")
        def later(check):
            return defer(check.now + MINUTE, "later") if "later" in check.text else allow()

        desk = await another(senders=[pigeon], guards=[later])
        await exchange(desk, write("hello"), "later: we never refund")
        await desk.floor.accept(SMS, by="ann")
        for number in range(said):
            await desk.floor.say(SMS, f"you do {number}", by="ann")
        await desk.floor.release(SMS, by="ann")
        await exchange(desk, write("thanks"), "later: you're welcome")
        clock.time += 2 * MINUTE
        await desk.dispatch()
        assert pigeon.texts == [
            *[f"you do {number}" for number in range(said)],
            "later: you're welcome",
        ]

    async def test_while_people_have_it_no_agent_is_asked(self, desk, pigeon):
        async def agent(turn):
            raise AssertionError("must not think")

        await desk.floor.offer(SMS, reason="refund")
        await desk.answer(write("hello?"), agent)
        await desk.floor.accept(SMS, by="ann")
        turn = await desk.answer(write("hello??"), agent)
        assert (turn.status, pigeon.texts) == ("new", [])


class TestTheWayBack:
    async def test_the_agent_sees_begin_end_words_and_note_and_speaks_again(self, desk, clock):
        await desk.floor.accept(SMS, by="ann")
        clock.time += MINUTE
        await exchange(desk, write("is it broken?"))
        await desk.floor.say(SMS, "We send a new one.", by="ann")
        clock.time += 4 * MINUTE
        await desk.floor.release(SMS, by="ann", note="new lamp promised,\nfree of charge")
        seen = []

        async def agent(turn):
            seen.extend(m["content"] for m in turn.context.as_chat())
            return "It leaves today."

        turn = await desk.answer(write("when?"), agent)
        assert [m.text for m in turn.said] == ["It leaves today."]
        assert seen == [
            "hello", "hi", BEGIN, "is it broken?", "We send a new one.", END, "when?",
        ]  # fmt: skip

    async def test_what_came_while_a_colleague_had_it_is_not_answered_by_the_agent(
        self, desk, pigeon
    ):
        async def agent(turn):
            return f"re: {turn.inbound.text}"

        await desk.floor.accept(SMS, by="ann")
        await desk.answer(write("one", id="M-one"), agent)
        await desk.floor.release(SMS, by="ann")
        await desk.answer(write("one", id="M-one"), agent)
        await desk.recover(agent)
        assert pigeon.texts == []
        await desk.answer(write("two"), agent)
        assert pigeon.texts == ["re: two"]

    async def test_all_forms_of_a_context_tell_of_it(self, desk):
        await desk.floor.offer(SMS, reason="refund")
        await desk.floor.release(SMS, by="ann", note="no need")
        await exchange(desk, write("ok"))
        context = await desk.context(SMS)
        kinds_ = [line.kind for line in context.lines()]
        assert kinds_ == ["text", "text", "handoff", "handoff", "text", "text"]
        assert "called off" in str(context.as_responses())
        assert "called off" in str(context.as_anthropic())

    async def test_what_is_summed_up_says_who_had_it_once(self, desk):
        await desk.floor.accept(SMS, by="ann")
        await desk.floor.say(SMS, "We send a new one.", by="ann")
        await desk.floor.release(SMS, by="ann", note="promised")
        for number in range(4):
            await exchange(desk, write(f"{number}"))
        seen = []

        async def summarize(lines):
            seen.append([line.kind for line in lines])
            return "sum"

        for _ in range(2):
            async with desk.turn(write("and now?")) as turn:
                await plain.summarized(turn, summarize, budget=90, window=20)
        told = [kinds_.count("handoff") for kinds_ in seen]
        assert (told[0], sum(told)) == (2, 2)

    async def test_a_stretch_that_is_cut_away_is_not_told_of(self, desk):
        await desk.floor.accept(SMS, by="ann")
        await desk.floor.release(SMS, by="ann")
        for number in range(6):
            await exchange(desk, write(f"{number}"))
        few = await desk.context(SMS, window=8)
        assert [line.kind for line in few.lines()].count("handoff") == 0
        assert [line.kind for line in (await desk.context(SMS)).lines()].count("handoff") == 2

    async def test_who_may_not_see_the_conversation_sees_no_note(self, desk):
        await desk.link(SMS, MAIL, evidence="crm:1")
        await desk.floor.accept(SMS, by="ann")
        await desk.floor.release(SMS, by="ann", note="secret")
        for level, told in ((1, 0), (2, 2)):
            context = await desk.context(MAIL, assurance=level)
            assert len(handoffs_in(context.window)) == told


@pytest.mark.parametrize("sealed", [True, False])
async def test_what_is_handed_over_is_sealed_like_all_that_is_said(tmp_path, clock, sealed):
    """Unsealed it is the control."""
    pytest.importorskip("cryptography")
    seal = (lambda tenant, key_id: ("1", bytes(32))) if sealed else None
    async with Bridge(
        f"sqlite:///{tmp_path}/b.db", tenant="acme", clock=clock, seal=seal
    ) as bridge:
        await exchange(bridge, write("hello"), "hi")
        await bridge.floor.offer(SMS, reason="the-reason", summary="the-summary")
        await bridge.floor.accept(SMS, by="ann")
        back = await bridge.floor.release(SMS, by="ann", note="the-note")
        assert (await bridge.floor.show(SMS)) == back
        stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for words in (b"the-reason", b"the-summary", b"the-note"):
        assert (words in stored) is not sealed, words


class TestInATurn:
    async def test_last_words_leave_and_the_floor_is_offered_in_one_step(self, desk, pigeon):
        async with desk.turn(write("a person please")) as turn:
            turn.reply("One moment, a colleague comes.")
            turn.hand_over("asked for", to="billing", summary="s", promised=["a call"])
        assert pigeon.texts == ["One moment, a colleague comes."]
        offer = await desk.floor.show(SMS)
        assert (offer.floor, offer.reason, offer.to, offer.by) == (
            "queue", "asked for", "billing", "agent",
        )  # fmt: skip
        assert offer.epoch == (await desk.context(SMS)).gate_epoch
        assert (await desk.floor.accept(SMS, by="ann", epoch=offer.epoch)).promised == ("a call",)

    async def test_a_turn_that_fails_hands_nothing_over(self, desk):
        with pytest.raises(RuntimeError):
            async with desk.turn(write("a person please")) as turn:
                turn.hand_over("asked for")
                raise RuntimeError
        assert (await desk.floor.show(SMS)).floor == "agent"

    async def test_a_colleague_who_was_faster_keeps_the_floor(self, desk, pigeon):
        async with desk.turn(write("a person please")) as turn:
            turn.reply("One moment.")
            turn.hand_over("asked for")
            await desk.floor.accept(SMS, by="ann")
        assert (await desk.floor.show(SMS)).holder == "ann"
        assert (await kinds(desk), pigeon.texts) == (["handoff.accepted"], [])

    async def test_a_stop_that_comes_while_it_thinks_does_not_lose_the_offer(self, desk, another):
        other = await another("queue")
        async with desk.turn(write("a person please")) as turn:
            turn.hand_over("asked for")
            await other.consent(SMS, granted=False, purpose="marketing", evidence="call:1")
        offer = await desk.floor.show(SMS)
        assert (offer.floor, offer.epoch) == ("queue", (await desk.context(SMS)).gate_epoch)

    async def test_outside_of_an_open_turn_nothing_is_handed_over(self, desk):
        await desk.floor.accept(SMS, by="ann")
        async with desk.turn(write("hello")) as turn:
            with pytest.raises(errors.UsageError):
                turn.hand_over("asked for")

    @pytest.mark.parametrize("mode", ["note", "offer"])
    @pytest.mark.parametrize("stage", ["inbound", "reply"])
    async def test_a_guard_that_escalates_offers_the_floor_where_that_is_wanted(
        self, another, pigeon, mode, stage
    ):
        @guard(stage, name="angry")
        def angry(check):
            return escalate("complaints", "angry", say="A colleague will write to you.")

        bridge = await another(guards=[angry], senders=[pigeon], escalations=mode)
        await exchange(bridge, write("!!!"), "calm down")
        stands = await bridge.floor.show(SMS)
        wanted = ("queue", "angry", "complaints", "guard")
        told = (stands.floor, stands.reason, stands.to, stands.by)
        assert told == (wanted if mode == "offer" else ("agent", "", "", ""))
        assert pigeon.texts == ["A colleague will write to you."]

    async def test_another_word_for_escalations_is_refused(self, another):
        for wrong in ({"escalations": "always"}, {"offer_seconds": -1}):
            with pytest.raises(errors.ConfigurationError):
                await another(**wrong)


class TestTheEndOfAnOffer:
    async def test_the_agent_has_it_again_and_the_customer_is_told_once(
        self, desk, another, pigeon, clock
    ):
        others = [await another(senders=[pigeon]) for _ in range(3)]
        offer = await desk.floor.offer(SMS, reason="refund", within_seconds=60)
        await exchange(desk, write("hello?"))
        await desk.floor.sweep()
        assert (await desk.floor.show(SMS), pigeon.texts) == (offer, [])
        clock.time += MINUTE
        async with anyio.create_task_group() as group:
            for bridge in (desk, *others):
                group.start_soon(bridge.floor.sweep)
        assert pigeon.texts == [NOBODY_CAME]
        assert await kinds(desk) == ["handoff.offered", "handoff.expired"]
        context = await desk.context(SMS, fresh=True)
        assert (context.floor, context.messages[-1].author) == (Floor.AGENT, "system")
        pigeon.texts.clear()
        await exchange(desk, write("my refund"), "I see to it.")
        assert pigeon.texts == ["I see to it."]

    async def test_run_does_it(self, desk, pigeon, clock):
        await desk.floor.offer(SMS, reason="refund", within_seconds=60, otherwise="Back again.")
        clock.time += MINUTE
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: desk.run(sweep_seconds=0.01))
            await until(lambda: pigeon.texts)
            await anyio.sleep(0.1)  # some sweeps more, which say nothing
            group.cancel_scope.cancel()
        assert pigeon.texts == ["Back again."]

    async def test_an_accept_that_comes_late_is_refused_and_a_takeover_is_not(self, desk, clock):
        offer = await desk.floor.offer(SMS, reason="refund", within_seconds=60, otherwise="")
        clock.time += MINUTE
        with refused("agent"):
            await desk.floor.accept(SMS, by="ann", epoch=offer.epoch)
        assert await kinds(desk) == ["handoff.offered", "handoff.expired"]
        assert (await desk.floor.accept(SMS, by="ann")).holder == "ann"

    async def test_one_that_was_accepted_in_time_does_not_end(self, desk, pigeon, clock):
        offer = await desk.floor.offer(SMS, reason="refund", within_seconds=60)
        await desk.floor.accept(SMS, by="ann", epoch=offer.epoch)
        clock.time += MINUTE
        assert await desk.floor.sweep() == 1
        assert await desk.floor.sweep() == 0
        assert ((await desk.floor.show(SMS)).holder, pigeon.texts) == ("ann", [])

    async def test_a_later_offer_ends_at_its_own_time(self, desk, clock):
        await desk.floor.offer(SMS, reason="one", within_seconds=60)
        await desk.floor.release(SMS, by="ann")
        clock.time += MINUTE // 2
        await desk.floor.offer(SMS, reason="two", within_seconds=60)
        clock.time += MINUTE // 2
        await desk.floor.sweep()
        assert (await desk.floor.show(SMS)).reason == "two"
        clock.time += MINUTE // 2
        await desk.floor.sweep()
        assert (await desk.floor.show(SMS)).step == "expired"

    async def test_the_offer_of_a_turn_ends_too(self, desk, pigeon, clock):
        async with desk.turn(write("a person please")) as turn:
            turn.hand_over("asked for", within_seconds=60, otherwise="Back again.")
        clock.time += MINUTE
        await desk.floor.sweep()
        assert pigeon.texts == ["Back again."]

    async def test_one_without_an_end_stands(self, desk, clock):
        await desk.floor.offer(SMS, reason="refund", within_seconds=0)
        clock.time += 30 * 86_400_000
        assert await desk.floor.sweep() == 0
        assert (await desk.floor.show(SMS)).floor == "queue"

    async def test_the_next_message_ends_it_too_and_is_answered(self, desk, another, pigeon, clock):
        await desk.floor.offer(SMS, reason="refund", within_seconds=60)
        clock.time += MINUTE
        await exchange(desk, write("hello?"), "Here I am.")
        assert pigeon.texts == ["Here I am."]
        assert await kinds(desk) == ["handoff.offered", "handoff.expired"]
        await desk.floor.sweep()
        assert pigeon.texts == ["Here I am."]

    async def test_who_accepts_while_the_next_message_ends_it_has_it_or_has_it_not(
        self, desk, pigeon, clock
    ):
        await desk.floor.offer(SMS, reason="refund", within_seconds=60)
        clock.time += MINUTE
        async with desk.turn(write("hello?")) as turn:
            assert turn.open
            turn.reply("Here I am.")
            await desk.floor.accept(SMS, by="ann")
        assert pigeon.texts == []

    async def test_a_store_that_fails_meanwhile_gives_the_turn_back(
        self, desk, pigeon, clock, monkeypatch
    ):
        await desk.floor.offer(SMS, reason="refund", within_seconds=60)
        clock.time += MINUTE

        async def down(self, context, made):
            raise errors.Unavailable("down")

        with monkeypatch.context() as patch:
            patch.setattr("ctxbridge.bridge.floor.Handoffs._commit", down)
            with pytest.raises(errors.Unavailable):
                await exchange(desk, write("hello?", id="M-late"), "Here I am.")
        await exchange(desk, write("hello?", id="M-late"), "Here I am.")
        assert pigeon.texts == ["Here I am."]

    async def test_many_offers_at_once_are_all_kept(self, desk, another, clock):
        bridges = [desk, await another(), await another()]
        people = [replace(SMS, value=f"+1555010{n:04}") for n in range(200, 230)]
        for one in people:
            await exchange(desk, write("hello", sender=one))
        async with anyio.create_task_group() as group:
            for number, one in enumerate(people):
                offer = bridges[number % 3].floor.offer
                group.start_soon(lambda o=offer, a=one: o(a, reason="x", within_seconds=60))
        clock.time += MINUTE
        assert await desk.floor.sweep() == len(people)
        assert {(await desk.floor.show(one)).step for one in people} == {"expired"}

    async def test_a_worker_that_died_before_its_step_leaves_nothing_behind(
        self, desk, clock, monkeypatch
    ):
        async def dies(self, context, made):
            raise RuntimeError

        monkeypatch.setattr("ctxbridge.bridge.floor.Handoffs._commit", dies)
        with pytest.raises(RuntimeError):
            await desk.floor.offer(SMS, reason="refund", within_seconds=60)
        clock.time += MINUTE
        assert [await desk.floor.sweep() for _ in range(2)] == [1, 0]
        assert await kinds(desk) == []

    async def test_a_sweeper_that_dies_is_followed_by_another(self, desk, clock, monkeypatch):
        await desk.floor.offer(SMS, reason="refund", within_seconds=60)
        clock.time += MINUTE

        async def dies(self, look):
            raise RuntimeError

        with monkeypatch.context() as patch:
            patch.setattr("ctxbridge.bridge.floor.Handoffs._looked_at", dies)
            with pytest.raises(ExceptionGroup):
                await desk.floor.sweep()
        assert await desk.floor.sweep() == 0
        clock.time += 5 * MINUTE
        assert await desk.floor.sweep() == 1
        assert (await desk.floor.show(SMS)).step == "expired"

    async def test_who_said_stop_is_not_told_and_the_agent_has_it_again(self, desk, pigeon, clock):
        await desk.floor.offer(SMS, reason="refund", within_seconds=60)
        await desk.consent(SMS, granted=False, evidence="call:1")
        clock.time += MINUTE
        await desk.floor.sweep()
        assert (pigeon.texts, (await desk.floor.show(SMS)).step) == ([], "expired")

    async def test_who_never_wrote_there_cannot_be_told(self, desk, clock):
        await desk.link(SMS, MAIL, evidence="crm:1")
        await desk.floor.offer(MAIL, reason="refund", within_seconds=60)
        clock.time += MINUTE
        await desk.floor.sweep()
        assert (await desk.floor.show(MAIL)).step == "expired"

    async def test_nothing_of_an_erased_contact_stays_in_the_agenda(self, desk, clock):
        await desk.floor.offer(SMS, reason="refund", within_seconds=60)
        await desk.erase(SMS)
        clock.time += MINUTE
        assert await desk.floor.sweep() == 0

    async def test_no_more_offers_stand_than_can_be_kept(self, desk, monkeypatch):
        monkeypatch.setattr("ctxbridge.bridge.agenda.MOST", 1)
        await desk.floor.offer(SMS, reason="refund")
        other = replace(SMS, value="+15550100002")
        await exchange(desk, write("hello", sender=other))
        with pytest.raises(errors.TooLarge):
            await desk.floor.offer(other, reason="refund")
        assert (await desk.floor.show(other)).floor == "agent"
