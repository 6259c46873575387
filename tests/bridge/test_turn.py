"""The life of a turn."""

import anyio
import msgspec
import pydantic
import pytest

from ctxbridge import Address, Assurance, Bridge, errors, guards
from ctxbridge.bridge.clock import SystemClock, Uuid7
from ctxbridge.model import Quote, Text
from tests.patience import LIMIT_SECONDS

from .conftest import SENDERS, exchange, write


class TestOneConversation:
    async def test_a_customer_goes_on_by_another_channel(self, bridge):
        await bridge.link(SENDERS["sms"], SENDERS["email"], evidence="crm:4711")
        await bridge.link(SENDERS["sms"], "chat:customer-7", evidence="login")
        await exchange(bridge, write("my order A-17 is late"), "I look into it")
        async with bridge.turn(write("any news?", "email")) as turn:
            assert turn.context.as_chat() == [
                {"role": "user", "content": "[by sms, 2026-09-21 14:13 UTC] my order A-17 is late"},
                {"role": "assistant", "content": "I look into it"},
                {"role": "user", "content": "[by email, 2026-09-21 14:13 UTC] any news?"},
            ]
            turn.reply("It arrives tomorrow")
        context = await bridge.context("chat:customer-7")
        assert [m.channel for m in context.messages] == ["sms", "sms", "email", "email"]
        assert len({m.turn for m in context.messages}) == 2

    async def test_strangers_stay_apart(self, bridge):
        await exchange(bridge, write("mine"))
        other = write("theirs", sender=Address("sms", "+15550100002"))
        async with bridge.turn(other) as turn:
            assert len(turn.context.as_chat()) == 1

    async def test_two_tenants_on_one_store_never_meet(self, bridge, clock):
        await exchange(bridge, write("hello", id="same"))
        other = Bridge(bridge.store, tenant="other", clock=clock)
        async with other:
            assert (await other.context(SENDERS["sms"])).contact is None
            assert await exchange(other, write("hello", id="same")) == ["re: hello"]
        assert len((await bridge.context(SENDERS["sms"])).messages) == 2


class TestState:
    async def test_it_is_saved_with_the_turn_and_only_when_changed(self, bridge):
        async with bridge.turn(write("one")) as turn:
            turn.state.order = "A-17"
        async with bridge.turn(write("two")) as turn:
            assert turn.state.order == "A-17"
        context = await bridge.context(SENDERS["sms"])
        assert context.revision == 1

    async def test_it_may_be_replaced(self, bridge):
        async with bridge.turn(write("one")) as turn:
            turn.state = type(turn.state)(order="B-1")
        async with bridge.turn(write("two")) as turn:
            assert turn.state.order == "B-1"

    async def test_a_pydantic_model_serves_as_well(self, tmp_path):
        class Ticket(pydantic.BaseModel):
            order: str = ""
            notes: list[str] = []

        async with Bridge(f"sqlite:///{tmp_path}/x.db", tenant="t", state=Ticket) as bridge:
            async with bridge.turn(write("one")) as turn:
                turn.state.notes.append("né")
            async with bridge.turn(write("two")) as turn:
                assert turn.state == Ticket(notes=["né"])

    async def test_without_a_model_it_is_a_dict(self):
        async with Bridge("memory://", tenant="t") as bridge:
            async with bridge.turn(write("one")) as turn:
                turn.state["order"] = "A-17"
            async with bridge.turn(write("two")) as turn:
                assert turn.state == {"order": "A-17"}

    async def test_a_model_that_grew_reads_the_old_and_one_that_does_not_fit_says_so(
        self, tmp_path
    ):
        class Old(msgspec.Struct):
            order: str = "A-17"

        class Grown(msgspec.Struct):
            order: str = ""
            paid: bool = False

        class Other(msgspec.Struct):
            order: int = 0

        url = f"sqlite:///{tmp_path}/x.db"
        async with Bridge(url, tenant="t", state=Old) as bridge, bridge.turn(write("one")) as turn:
            turn.state.order = "A-18"
        async with (
            Bridge(url, tenant="t", state=Grown) as bridge,
            bridge.turn(write("two")) as turn,
        ):
            assert turn.state == Grown("A-18", paid=False)
        async with Bridge(url, tenant="t", state=Other) as bridge:
            with pytest.raises(errors.StateUnreadable, match="cannot be read as Other") as caught:
                async with bridge.turn(write("three")) as turn:
                    _ = turn.state
            assert "A-18" not in str(caught.value)

    def test_a_model_without_defaults_is_refused_at_once(self):
        class Needy(msgspec.Struct):
            order: str

        with pytest.raises(errors.ConfigurationError, match="defaults"):
            Bridge("memory://", tenant="t", state=Needy)

    async def test_a_state_that_is_too_large_is_refused_and_the_turn_given_back(self, bridge):
        inbound = write("one")
        with pytest.raises(errors.TooLarge):
            async with bridge.turn(inbound) as turn:
                turn.state.order = "x" * 70_000
        assert await exchange(bridge, inbound) == ["re: one"]


class TestDuplicates:
    async def test_a_duplicate_gets_the_stored_answer_and_runs_no_agent(self, bridge):
        inbound = write("hello")
        first = await exchange(bridge, inbound, "answer")
        async with bridge.turn(inbound) as turn:
            assert (turn.open, turn.status) == (False, "duplicate")
            assert [m.text for m in turn.answer] == first == ["answer"]
            with pytest.raises(errors.UsageError):
                turn.reply("again")
        assert len((await bridge.context(SENDERS["sms"])).messages) == 2

    async def test_a_duplicate_of_a_turn_in_flight_waits_for_its_answer(self, bridge):
        inbound, runs, answers = write("hello"), [], []

        async def deliver():
            async with bridge.turn(inbound) as turn:
                if turn.open:
                    runs.append(turn.id)
                    await anyio.sleep(0.05)
                    turn.reply("once")
            answers.append([m.text for m in turn.answer])

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(deliver)
        assert len(runs) == 1
        assert answers == [["once"]] * 10

    async def test_a_known_id_with_another_body_is_refused_and_kept_aside_once(self, bridge):
        await exchange(bridge, write("one", id="SM1"))
        for _ in range(3):
            with pytest.raises(errors.IdempotencyMismatch):
                await exchange(bridge, write("two", id="SM1"))
        messages = (await bridge.context(SENDERS["sms"])).messages
        assert [(m.text, m.disposition) for m in messages] == [
            ("one", "accepted"), ("re: one", "accepted"), ("two", "quarantined"),
        ]  # fmt: skip
        assert "id_reused" in messages[-1].flags
        async with bridge.turn(write("three")) as turn:
            assert "two" not in str(turn.context.as_chat())

    async def test_a_reused_id_of_a_stranger_gets_into_nobodys_log(self, bridge):
        await exchange(bridge, write("one", id="SM1"))
        before = await bridge.context(SENDERS["sms"])
        stranger = Address("sms", "+15550100666")
        try:
            await exchange(bridge, write("two", id="SM1", sender=stranger))
        except errors.IdempotencyMismatch:
            assert (await bridge.context(stranger)).contact is None
        assert await bridge.context(SENDERS["sms"]) == before

    async def test_an_id_that_the_sender_chose_badly_is_kept_and_flagged(self, bridge):
        mail = {"channel": "email", "id": "<1@x>", "id_source": "sender"}
        await exchange(bridge, write("one", **mail))
        assert await exchange(bridge, write("two", **mail)) == ["re: two"]
        assert await exchange(bridge, write("two", **mail)) == ["re: two"]
        messages = (await bridge.context(SENDERS["email"])).messages
        assert [m.text for m in messages] == ["one", "re: one", "two", "re: two"]
        assert [m.flags for m in messages if m.author == "contact"] == [(), ("id_reused",)]

    async def test_another_version_of_a_guard_does_not_make_a_retry_look_new(self, bridge, clock):
        inbound = write("card 4111 1111 1111 1111")
        unguarded = Bridge(bridge.store, tenant="acme", guards=[], clock=clock)
        await exchange(unguarded, inbound, "ok")
        assert await exchange(bridge, inbound) == ["ok"]


class TestFailures:
    async def test_an_exception_gives_the_turn_back_and_loses_nothing(self, bridge):
        inbound = write("hello")
        with pytest.raises(ZeroDivisionError):
            async with bridge.turn(inbound) as turn:
                turn.reply("never said")
                turn.state.order = "never stored"
                raise ZeroDivisionError
        context = await bridge.context(SENDERS["sms"])
        assert [(m.text, m.disposition) for m in context.messages] == [("hello", "pending")]
        assert context.state is None
        async with bridge.turn(inbound) as again:
            assert (again.open, again.id) == (True, turn.id)
            again.reply("now")
        assert [m.text for m in again.answer] == ["now"]

    async def test_a_cancelled_turn_is_given_back_at_once(self, bridge):
        inbound = write("hello")
        with anyio.CancelScope() as scope:
            async with bridge.turn(inbound) as turn:
                turn.reply("never said")
                scope.cancel()
                await anyio.sleep(10)
        with anyio.fail_after(LIMIT_SECONDS / 2):  # and not the minute of its lease
            assert await exchange(bridge, inbound) == ["re: hello"]

    async def test_a_worker_past_its_lease_stores_nothing(self, bridge, clock):
        inbound = write("hello")
        with pytest.raises(errors.Fenced):
            async with bridge.turn(inbound) as turn:
                turn.reply("from the dead")
                clock.time += 61_000
                assert await exchange(bridge, inbound) == ["re: hello"]
        texts = [m.text for m in (await bridge.context(SENDERS["sms"])).messages]
        assert texts == ["hello", "re: hello"]

    async def test_a_message_behind_a_turn_that_never_ends_is_stored_and_told(self, bridge, clock):
        impatient = Bridge(bridge.store, tenant="acme", wait_seconds=0.05, clock=clock)
        async with bridge.turn(write("one")):
            with pytest.raises(errors.Busy) as caught:
                await exchange(impatient, write("two"))
        assert caught.value.retry_safe
        assert [m.text for m in (await bridge.context(SENDERS["sms"])).messages] == ["one", "two"]

    async def test_turns_of_one_conversation_run_one_at_a_time(self, queueing):
        running, most = 0, 0

        async def deliver(number):
            nonlocal running, most
            async with queueing.turn(write(f"{number}")) as turn:
                running += 1
                most = max(most, running)
                await anyio.sleep(0.005)
                turn.state.turns += 1
                turn.reply(f"re {number}")
                running -= 1

        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(deliver, number)
        assert most == 1
        async with queueing.turn(write("last")) as turn:
            assert turn.state.turns == 10
            assert len(turn.context.messages) == 20

    async def test_a_text_that_cannot_be_stored_is_refused_with_a_type(self, bridge):
        with pytest.raises(errors.Malformed):
            await exchange(bridge, write("lone \ud800"))

    async def test_a_reply_that_cannot_be_stored_is_cleaned(self, bridge):
        assert await exchange(bridge, write("hi"), "NUL \x00 and \udcff") == [
            "NUL \ufffd and \ufffd"
        ]

    async def test_a_reply_that_is_too_long_is_refused(self, bridge):
        with pytest.raises(errors.TooLarge):
            await exchange(bridge, write("hi"), "x" * 70_000)

    async def test_what_makes_no_sense_is_told(self, bridge):
        turn = bridge.turn(write("hi"))
        for ask in (
            lambda: turn.open,
            lambda: turn.context,
            lambda: turn.reply("x"),
            lambda: turn.id,
        ):
            with pytest.raises(errors.UsageError):
                ask()
        async with turn:
            pass
        with pytest.raises(errors.UsageError):
            await turn.__aenter__()

    @pytest.mark.parametrize("wrong", [{"tenant": ""}, {"window": 0}, {"lease_seconds": 0}, {"wait_seconds": -1},
                                       {"remember_seconds": 60}])  # fmt: skip
    def test_settings_that_break_a_promise_are_refused(self, wrong):
        with pytest.raises(errors.ConfigurationError):
            Bridge("memory://", **{"tenant": "t", **wrong})

    async def test_a_bridge_that_was_not_entered_says_so(self, tmp_path):
        bridge = Bridge(f"sqlite:///{tmp_path}/x.db", tenant="t")
        with pytest.raises(errors.StoreClosed, match="async with"):
            await exchange(bridge, write("hi"))


class TestGuards:
    async def test_a_card_number_is_never_written_down(self, tmp_path, clock):
        path = tmp_path / "x.db"
        parts = (Text("pay with 4111 1111 1111 1111"), Quote("> 5500 0055 5555 5559"))
        mail = write("", "email", parts=parts, subject="card 378282246310005")
        async with Bridge(f"sqlite:///{path}", tenant="t", clock=clock) as bridge:
            async with bridge.turn(mail) as turn:
                assert "4111" not in str(turn.context.as_chat())
                turn.reply("I charge 4111 1111 1111 1111")
            inbound, reply = (await bridge.context(SENDERS["email"])).messages
            assert (inbound.text, inbound.disposition) == ("pay with [card …1111]", "modified")
            assert inbound.parts[1] == Quote("> [card …5559]")
            assert (inbound.decision.code, reply.decision.code) == ("pii.card", "pii.card")
        stored = b"".join(p.read_bytes() for p in tmp_path.iterdir())
        for number in (b"4111 1111", b"5500 0055", b"378282246310005"):
            assert number not in stored

    async def test_the_search_for_written_numbers_would_find_one(self, tmp_path):
        """The negative control of the test above."""
        async with Bridge(f"sqlite:///{tmp_path}/x.db", tenant="t", guards=[]) as bridge:
            await exchange(bridge, write("pay with 4111 1111 1111 1111"))
        assert b"4111 1111" in b"".join(p.read_bytes() for p in tmp_path.iterdir())

    async def test_a_quarantined_message_is_never_seen_by_a_model_again(self, bridge, clock):
        @guards.guard("inbound", name="abuse")
        def abuse(check):
            return (
                guards.block("abuse", say="Please be kind.")
                if "fool" in check.text
                else guards.allow()
            )

        strict = Bridge(bridge.store, tenant="acme", guards=[abuse], clock=clock)
        assert await exchange(strict, write("you fool")) == ["Please be kind."]
        async with strict.turn(write("sorry")) as turn:
            assert [m["content"] for m in turn.context.as_chat()] == ["Please be kind.", "sorry"]
        stored = (await bridge.context(SENDERS["sms"])).messages
        assert [m.disposition for m in stored] == ["quarantined", "accepted", "accepted"]

    async def test_a_withheld_reply_keeps_its_decision_and_not_its_words(self, bridge, clock):
        @guards.guard("reply", name="promises")
        def promises(check):
            return (
                guards.block("promise", say="Let me check.")
                if "promise" in check.text
                else guards.allow()
            )

        strict = Bridge(bridge.store, tenant="acme", guards=[promises], clock=clock)
        assert await exchange(strict, write("when?"), "tomorrow, I promise") == ["Let me check."]
        _, withheld, said = (await bridge.context(SENDERS["sms"])).messages
        assert (withheld.disposition, withheld.text, withheld.decision.code) == (
            "withheld",
            "",
            "promise",
        )
        assert (said.author, said.text) == ("system", "Let me check.")

    async def test_every_message_has_a_decision_for_allow_too(self, bridge):
        await exchange(bridge, write("hello"))
        for message in (await bridge.context(SENDERS["sms"])).messages:
            assert message.decision.enforced == "allow"
            assert message.decision.judged == message.decision.enforced_digest != b""
            assert message.decision.results

    async def test_guards_are_shown_the_context(self, bridge, clock):
        seen = []

        @guards.guard("inbound", "reply", name="spy")
        async def spy(check):
            seen.append((check.stage, len(check.context.messages), check.contact is not None))
            return guards.allow()

        watched = Bridge(bridge.store, tenant="acme", guards=[spy], clock=clock)
        await exchange(watched, write("hello"))
        assert seen == [("inbound", 1, True), ("reply", 1, True)]


class TestConsent:
    async def test_stop_is_confirmed_once_and_then_there_is_silence(self, bridge):
        await exchange(bridge, write("hello"))
        assert len(await exchange(bridge, write("STOP"))) == 1
        async with bridge.turn(write("are you there?")) as turn:
            assert not turn.open
        assert turn.answer == ()

    async def test_start_ends_the_silence(self, bridge):
        await exchange(bridge, write("STOP"))
        assert "again" in (await exchange(bridge, write("START")))[0]
        assert await exchange(bridge, write("hello")) == ["re: hello"]

    async def test_help_is_answered_after_stop_too(self, bridge):
        await exchange(bridge, write("STOP"))
        assert "STOP" in (await exchange(bridge, write("HELP")))[0]

    async def test_a_stop_that_arrives_while_the_agent_thinks_wins(self, bridge):
        stopped = anyio.Event()

        async def stop():
            await exchange(bridge, write("STOP"))
            stopped.set()

        async with anyio.create_task_group() as group:
            async with bridge.turn(write("where is it?")) as turn:
                group.start_soon(stop)
                await anyio.sleep(0.05)
                turn.reply("on its way")
            assert turn.answer == ()
            await stopped.wait()
        withheld = [
            m
            for m in (await bridge.context(SENDERS["sms"])).messages
            if m.disposition == "withheld"
        ]
        assert [m.decision.code for m in withheld] == ["consent.opted_out"]

    async def test_stop_on_one_channel_leaves_the_others_open(self, bridge):
        await bridge.link(SENDERS["sms"], SENDERS["chat"], evidence="login")
        await exchange(bridge, write("STOP"))
        assert await exchange(bridge, write("hello", "chat")) == ["re: hello"]

    async def test_consent_holds_whatever_guards_a_team_chooses(self, bridge, clock):
        await exchange(bridge, write("STOP"))
        careless = Bridge(bridge.store, tenant="acme", guards=[], clock=clock)
        async with careless.turn(write("hello")) as turn:
            assert not turn.open
        assert turn.answer == ()

    async def test_automatic_mail_is_not_answered(self, bridge):
        assert await exchange(bridge, write("I am away", "email", flags=("auto",))) == []


class TestWithholding:
    async def test_an_unverified_sender_sees_their_own_message_and_saves_no_state(self, bridge):
        await bridge.link(SENDERS["sms"], SENDERS["email"], evidence="crm")
        async with bridge.turn(write("my order is A-17")) as turn:
            turn.state.order = "A-17"
        forged = write("what is my order?", "email", assurance=Assurance.CLAIMED)
        async with bridge.turn(forged) as turn:
            assert [m["content"] for m in turn.context.as_chat()] == ["what is my order?"]
            assert turn.context.withheld == 2
            assert turn.state.order == ""
            turn.state.order = "forged"
        async with bridge.turn(write("thanks")) as turn:
            assert turn.state.order == "A-17"
            assert "[unverified sender] what is my order?" in str(turn.context.as_chat())
        kinds = [
            e.kind for e in (await bridge.context(SENDERS["sms"])).window if hasattr(e, "kind")
        ]
        assert kinds == ["link", "state.not_saved"]


class TestLinking:
    async def test_a_contact_an_id_and_an_address_name_the_same_person(self, bridge):
        contact = await bridge.link("+15550100001", "ann@example.org", evidence="crm")
        again = await bridge.link(contact, "chat:a", evidence="crm")
        third = await bridge.link(contact.id, Address("chat", "b"), evidence="crm")
        assert contact.id == again.id == third.id
        assert len(third.addresses) == 4

    async def test_what_cannot_be_linked_is_told(self, bridge):
        await exchange(bridge, write("one"))
        await exchange(bridge, write("two", "email"))
        with pytest.raises(errors.AddressTaken):
            await bridge.link(SENDERS["sms"], SENDERS["email"], evidence="guess")
        with pytest.raises(errors.UnknownContact):
            await bridge.link(bytes(16), "chat:x", evidence="guess")


class TestClockAndIds:
    def test_ids_are_uuids_of_version_7_and_sort_by_time(self):
        import uuid

        ids = [Uuid7().new() for _ in range(1000)]
        assert len(set(ids)) == 1000
        assert {uuid.UUID(bytes=i).version for i in ids} == {7}
        assert {uuid.UUID(bytes=i).variant for i in ids} == {uuid.RFC_4122}
        assert [i[:6] for i in ids] == sorted(i[:6] for i in ids)
        assert abs(SystemClock().now() - int.from_bytes(ids[-1][:6], "big")) < 5_000
