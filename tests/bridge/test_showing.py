"""Replies as their channel shows them: split, marked up, with choices, and judged whole."""

import pytest

from ctxbridge import Bridge, errors, guards
from ctxbridge.bridge import showing
from ctxbridge.guards import allow, block, guard, modify
from ctxbridge.model import Capabilities, Choice, Choices, Markup, Receipt, Sent
from tests.delivery.conftest import Pigeon

from .conftest import ENDPOINTS, SENDERS, Ticket, exchange, write

COLOURS = [Choice("r", "Red"), Choice("b", "Dark blue"), "Green"]


def able(channel="sms", **can):
    """A pigeon that says what it can show."""
    pigeon = Pigeon(channel)
    pigeon.capabilities = Capabilities(**can)
    return pigeon


async def say(bridge, text, channel="sms", words="hello", **more):
    async with bridge.turn(write(words, channel)) as turn:
        turn.reply(text, **more)
    return turn


class TestSplitting:
    async def test_42_what_is_over_the_limit_is_several_deliveries(self, another):
        pigeon = able(longest=30)
        bridge = await another(senders=[pigeon])
        turn = await say(
            bridge, "Your order has left. It comes on Monday. Somebody has to be there."
        )
        assert pigeon.texts == [
            "Your order has left.",
            "It comes on Monday.",
            "Somebody has to be there.",
        ]
        assert len({d.id for d in turn.deliveries}) == 3
        assert [d.status for d in turn.deliveries] == ["sent"] * 3
        assert [m.text for m in turn.said] == pigeon.texts

    async def test_each_has_receipts_of_its_own(self, another):
        pigeon = able(longest=30)
        bridge = await another(senders=[pigeon])
        await say(bridge, "Your order has left. It comes on Monday.")
        told = Receipt("sms", ENDPOINTS["sms"], "P2", "failed", SENDERS["sms"])
        assert (await bridge.receive(told)).status == "failed"
        told = Receipt("sms", ENDPOINTS["sms"], "P1", "delivered", SENDERS["sms"])
        assert (await bridge.receive(told)).status == "delivered"

    async def test_one_that_is_lost_is_unknown_and_never_sent_again(self, another):
        pigeon = able(longest=30)
        bridge = await another(senders=[pigeon])
        pigeon.says = [
            Sent("sent", provider_id="P1"),
            Sent("unknown"),
            Sent("sent", provider_id="P3"),
        ]
        message = write("hello")
        async with bridge.turn(message) as turn:
            turn.reply("Your order has left. It comes on Monday. Somebody has to be there.")
        assert [d.status for d in turn.deliveries] == ["sent", "unknown", "sent"]
        async with bridge.turn(message) as again:
            assert again.status == "duplicate"
        await bridge.dispatch()
        assert len(pigeon.carried) == 3

    async def test_behind_one_that_waits_the_others_wait(self, another, clock):
        pigeon = able(longest=30)
        bridge = await another(senders=[pigeon])
        later, taken = Sent("retry", retry_after=60.0), Sent("sent", provider_id="P")
        pigeon.says = [Sent("sent", provider_id="P1"), later, later, taken]
        turn = await say(
            bridge, "Your order has left. It comes on Monday. Somebody has to be there."
        )
        assert [d.status for d in turn.deliveries] == ["sent", "pending", "pending"]
        for _ in range(3):
            clock.time += 1_000_000
            await bridge.dispatch()
        assert pigeon.texts == [
            "Your order has left.", "It comes on Monday.", "It comes on Monday.", "It comes on Monday.",
            "Somebody has to be there.",
        ]  # fmt: skip

    async def test_behind_one_that_is_lost_they_do_not(self, another):
        pigeon = able(longest=30)
        bridge = await another(senders=[pigeon])
        pigeon.says = [Sent("failed"), Sent("sent", provider_id="P2")]
        turn = await say(bridge, "Your order has left. It comes on Monday.")
        assert [d.status for d in turn.deliveries] == ["failed", "sent"]

    async def test_guards_judge_it_whole(self, another):
        """What is torn apart by the limit is found, and masked before it is split."""
        seen = []

        @guard("reply", name="sees")
        def sees(check):
            seen.append(check.text)
            return allow()

        pigeon = able(longest=30)
        bridge = await another(senders=[pigeon], guards=[sees, guards.pii()])
        text = "The card on file is 4111 1111 1111 1111."
        await say(bridge, text)
        assert seen == [text]
        assert len(pigeon.texts) == 2
        assert "4111" not in "".join(pigeon.texts)

    async def test_judged_in_pieces_it_would_slip_through(self, another):
        """The broken variant: the guard that is asked of each message alone finds nothing."""
        pigeon = able(longest=30)
        bridge = await another(senders=[pigeon], guards=[])
        await say(bridge, "The card on file is 4111 1111 1111 1111.")
        judged = [
            guards.pii().check(guards.TextCheck("reply", t, "sms", 2, 1)).action
            for t in pigeon.texts
        ]
        assert (len(judged), set(judged)) == (2, {"allow"})

    async def test_what_is_blocked_leaves_in_no_piece(self, another):
        pigeon = able(longest=30)
        no = guard("reply", name="no")(lambda check: block("no", say="Sorry. " * 10))
        bridge = await another(senders=[pigeon], guards=[no])
        turn = await say(bridge, "Your order has left. It comes on Monday.")
        assert "".join(pigeon.texts).replace(" ", "") == "Sorry." * 10
        assert len(pigeon.texts) == 3
        assert {m.author for m in turn.said} == {"system"}

    async def test_at_night_all_of_it_waits(self, another, clock):
        pigeon = able(longest=30)
        quiet = guards.quiet_hours(
            zone="UTC", start="00:00", end="23:59", purposes=("service",), grace_seconds=0
        )
        bridge = await another(senders=[pigeon], guards=[quiet])
        clock.time = 1_790_000_000_000
        turn = await say(bridge, "Your order has left. It comes on Monday.")
        assert (pigeon.texts, [d.status for d in turn.deliveries]) == ([], ["pending"] * 2)
        clock.time += 86_400_000 - clock.time % 86_400_000 - 30_000
        await bridge.dispatch()
        assert pigeon.texts == ["Your order has left.", "It comes on Monday."]

    async def test_too_many_messages_are_none(self, another):
        pigeon = able(longest=4)
        bridge = await another(senders=[pigeon])
        turn = await say(bridge, "word " * 60)
        assert (pigeon.texts, turn.deliveries) == ([], ())
        context = await bridge.context(SENDERS["sms"])
        assert context.messages[-1].decision.code == "reply.too_long"

    async def test_what_is_written_first_is_split_as_well(self, another):
        pigeon = able(longest=30)
        bridge = await another(senders=[pigeon])
        await say(bridge, "Hello.")
        written = await bridge.send(
            SENDERS["sms"], "Your order has left. It comes on Monday.", key="k"
        )
        assert [m.text for m in written.messages] == pigeon.texts[1:]
        assert [d.status for d in written.deliveries] == ["sent"] * 2
        assert (
            await bridge.send(SENDERS["sms"], "Your order has left. It comes on Monday.", key="k")
        ).repeated
        assert len(pigeon.texts) == 3

    async def test_without_a_limit_it_is_as_it_always_was(self, another):
        pigeon = Pigeon()
        bridge = await another(senders=[pigeon])
        await say(bridge, "  **Not** Markdown \n\n\n at all  ")
        assert pigeon.texts == ["  **Not** Markdown \n\n\n at all  "]


class OnMemory:
    """What does not depend on the store."""

    @pytest.fixture
    async def bridge(self, clock):
        async with Bridge("memory://", tenant="acme", state=Ticket, clock=clock) as bridge:
            yield bridge


class TestMarkdown(OnMemory):
    async def test_each_channel_gets_what_it_can_show(self, another):
        sms, mail = able(), able("email", form="html")
        bridge = await another(senders=[sms, mail], markdown=True)
        text = "**Hi!** See [your order](https://acme.example/17)."
        words = "Hi! See your order (https://acme.example/17)."
        await say(bridge, text)
        turn = await say(bridge, text, "email")
        assert sms.texts == mail.texts == [words]
        assert "<strong>Hi!</strong>" in mail.carried[0].marked("html")
        assert (sms.carried[0].marked("html"), mail.carried[0].marked("slack")) == ("", "")
        assert [type(part).__name__ for part in turn.said[0].parts] == ["Text", "Markup"]
        assert turn.context.as_chat()[-1]["content"] == "hello"

    async def test_what_was_lost_is_told_by_the_message(self, another):
        bridge = await another(senders=[able()], markdown=True)
        turn = await say(bridge, "**Hi**\n\n|a|\n|-|\n|b|")
        assert turn.said[0].flags == ("lost.emphasis", "lost.table")
        assert (await say(bridge, "Hi")).said[0].flags == ()

    async def test_only_where_it_was_said(self, another):
        sms, mail = able(), able("email", form="html")
        bridge = await another(senders=[sms, mail], markdown=["email"])
        await say(bridge, "**Hi**")
        await say(bridge, "**Hi**", "email")
        assert (sms.texts, mail.texts) == (["**Hi**"], ["Hi"])

    async def test_without_a_sender_the_words_and_the_markup_are_yours(self, another):
        bridge = await another(markdown=True)
        turn = await say(bridge, "**Hi**", "email")
        assert [m.text for m in turn.answer] == ["Hi"]
        assert [part.form for part in turn.answer[0].parts if isinstance(part, Markup)] == ["html"]

    async def test_what_marks_hide_is_judged(self, another):
        mail = able("email", form="html")
        bridge = await another(senders=[mail], markdown=True, guards=[guards.pii()])
        await say(bridge, "Card **4111** *1111* `1111` 1111", "email")
        sent = mail.carried[0]
        assert "4111" not in sent.text + sent.marked("html")
        assert "[card" in sent.text and "[card" in sent.marked("html")  # noqa: PT018

    async def test_what_we_say_ourselves_is_no_markdown(self, another):
        no = guard("reply", name="no")(lambda check: block("no", say="2 * 3 * 4 = <24>"))
        mail = able("email", form="html")
        bridge = await another(senders=[mail], markdown=True, guards=[no])
        await say(bridge, "**Hi**", "email")
        assert [(one.text, one.marked("html")) for one in mail.carried] == [
            ("2 * 3 * 4 = <24>", "")
        ]

    async def test_a_disclosure_costs_no_markup(self, another):
        mail = able("email", form="html")
        bridge = await another(
            senders=[mail], markdown=True, guards=[guards.disclosure("I am a bot.")]
        )
        await say(bridge, "**Hi**", "email")
        assert "I am a bot." in mail.carried[0].text
        assert "<strong>Hi</strong>" in mail.carried[0].marked("html")
        assert "I am a bot." in mail.carried[0].marked("html")

    async def test_what_leaves_later_is_still_what_was_judged(self, another, clock):
        mail = able("email", form="html")
        bridge = await another(senders=[mail], markdown=True)
        mail.says = [Sent("retry"), Sent("sent", provider_id="P")]
        await say(bridge, "**Hi**", "email")
        clock.time += 3_600_000
        await bridge.dispatch()
        assert [one.marked("html") for one in mail.carried] == [mail.carried[0].marked("html")] * 2
        assert "<strong>Hi</strong>" in mail.carried[1].marked("html")

    async def test_a_long_text_is_read_beside_the_loop(self, another, monkeypatch):
        ran = []
        run = showing.to_thread.run_sync

        async def noted(call):
            ran.append(call)
            return await run(call)

        monkeypatch.setattr(showing.to_thread, "run_sync", noted)
        bridge = await another(senders=[able()], markdown=True)
        await say(bridge, "**Hi**")
        assert ran == []
        await say(bridge, "**Hi** " * 100)
        await say(bridge, "|a" * 21)
        assert len(ran) == 2

    @pytest.mark.parametrize("nonsense", ["sms", ""])
    async def test_nonsense_is_refused(self, another, nonsense):
        with pytest.raises(errors.ConfigurationError):
            await another(markdown=nonsense)


class TestChoices(OnMemory):
    async def test_88_without_buttons_they_are_lines_and_the_answer_maps_back(self, another):
        pigeon = able(buttons=2)
        bridge = await another(senders=[pigeon])
        await say(bridge, "Which colour?", choices=COLOURS)
        assert pigeon.texts == ["Which colour?\n\n1. Red\n2. Dark blue\n3. Green"]
        async with bridge.turn(write("2")) as turn:
            assert turn.inbound.choice == Choice("b", "Dark blue")
            assert (turn.inbound.text, turn.context.messages[-1].choice) == (
                "2",
                turn.inbound.choice,
            )
            turn.reply("Blue it is.")
        stored = (await bridge.context(SENDERS["sms"])).messages
        assert [m.choice for m in stored if m.author == "contact"] == [
            None,
            Choice("b", "Dark blue"),
        ]
        async with bridge.turn(write("2")) as turn:
            assert turn.inbound.choice is None

    async def test_88_where_there_are_enough_they_are_buttons(self, another):
        pigeon = able(buttons=3, button_characters=20)
        bridge = await another(senders=[pigeon])
        await say(bridge, "Which colour?", choices=COLOURS)
        assert pigeon.texts == ["Which colour?"]
        assert [one.label for one in pigeon.carried[0].choices.offered] == [
            "Red",
            "Dark blue",
            "Green",
        ]
        async with bridge.turn(write("dark blue!")) as turn:
            assert turn.inbound.choice.id == "b"

    async def test_guards_judge_the_labels_too(self, another):
        seen = []

        @guard("reply", name="sees")
        def sees(check):
            seen.append(check.text)
            return block("no") if "blue" in check.text else allow()

        pigeon = able(buttons=3)
        bridge = await another(senders=[pigeon], guards=[sees])
        await say(bridge, "Which colour?", choices=COLOURS)
        assert seen == ["Which colour?\n\n1. Red\n2. Dark blue\n3. Green"]
        assert pigeon.carried == []

    async def test_what_guards_take_out_of_a_label_is_on_no_button(self, another):
        pigeon = able(buttons=3)
        bridge = await another(senders=[pigeon], guards=[guards.pii()])
        await say(
            bridge,
            "Which card?",
            choices=[Choice("a", "4111 1111 1111 1111"), Choice("b", "another")],
        )
        assert "4111" not in str(pigeon.carried[0].message)
        assert [one.label for one in pigeon.carried[0].choices.offered] == ["1", "2"]
        assert "2. another" in pigeon.texts[0]
        async with bridge.turn(write("2")) as turn:
            assert turn.inbound.choice.id == "b"

    async def test_what_guards_only_add_leaves_the_buttons(self, another):
        more = guard("reply", name="more", modifies=True)(
            lambda check: modify(check.text + "\n\nI am a bot.", "more")
        )
        pigeon = able(buttons=3)
        bridge = await another(senders=[pigeon], guards=[more])
        await say(bridge, "Which colour?", choices=COLOURS)
        assert pigeon.texts == ["Which colour?\n\nI am a bot."]
        assert [one.label for one in pigeon.carried[0].choices.offered] == [
            "Red",
            "Dark blue",
            "Green",
        ]

    async def test_split_they_stand_with_the_last(self, another):
        pigeon = able(longest=30)
        bridge = await another(senders=[pigeon])
        await say(bridge, "Your order has left. It comes on Monday. Which colour?", choices=COLOURS)
        assert pigeon.texts[-1] == "1. Red\n2. Dark blue\n3. Green"
        assert [one.choices is not None for one in pigeon.carried] == [False] * (
            len(pigeon.carried) - 1
        ) + [True]

    async def test_in_html_they_are_lines_too(self, another):
        mail = able("email", form="html")
        bridge = await another(senders=[mail], markdown=True)
        await say(bridge, "**Which?**", "email", choices=["Tea & milk", "Coffee"])
        assert "<p>1. Tea &amp; milk<br>\n2. Coffee</p>" in mail.carried[0].marked("html")

    async def test_of_a_burst_each_message_may_answer(self, another):
        bridge = await another(senders=[able()], overlap="queue")
        await say(bridge, "Which colour?", choices=COLOURS)
        merging = await another(senders=[able()], wait_seconds=0)
        async with merging.turn(write("hm")):
            with pytest.raises(errors.Busy):
                async with merging.turn(write("2")):
                    pass
        async with merging.turn(write("and thanks")) as turn:
            said = {m.text: m.choice for m in turn.messages}
            turn.reply("ok")
        assert said["2"] == Choice("b", "Dark blue")

    async def test_90_who_may_not_see_the_offer_does_not_answer_it(self, another):
        bridge = await another(senders=[able("email")])
        await say(bridge, "Ship it?", "email", choices=["Ship", "Wait"])
        forged = write("ship", "email", assurance=0)
        async with bridge.turn(forged) as turn:
            assert turn.inbound.choice is None
        async with bridge.turn(write("ship", "email")) as turn:
            assert turn.inbound.choice.id == "Ship"

    async def test_90_across_channels_only_with_a_link(self, bridge):
        await say(bridge, "Ship it?", "email", choices=["Ship", "Wait"])
        async with bridge.turn(write("ship")) as turn:
            assert turn.inbound.choice is None
        await bridge.link(SENDERS["email"], "chat:customer-7", evidence="crm:1")
        async with bridge.turn(write("ship", "chat")) as turn:
            assert turn.inbound.choice.id == "Ship"

    async def test_what_cannot_be_offered_is_told_at_once(self, bridge):
        async with bridge.turn(write("hi")) as turn:
            with pytest.raises(errors.UsageError):
                turn.reply("Which?", choices=["a", "A"])

    async def test_written_first_they_are_offered_as_well(self, another):
        pigeon = able()
        bridge = await another(senders=[pigeon])
        await exchange(bridge, write("hello"), "hi")
        written = await bridge.send(SENDERS["sms"], "Still there?", choices=["Yes, I am", "No"])
        assert pigeon.texts[-1] == "Still there?\n\n1. Yes, I am\n2. No"
        assert isinstance(written.message.parts[-1], Choices)


async def test_42_a_stream_over_the_limit_leaves_in_messages_under_its_own_id_first(another):
    pigeon = able("chat", longest=30)
    bridge = await another(senders=[pigeon])

    async def chunks():
        for word in ["Your", "order", "has", "left.", "It", "comes", "on", "Monday."]:
            yield f"{word} "

    async with bridge.turn(write("hello", "chat")) as turn:
        await turn.stream(chunks())
    assert pigeon.texts == ["Your order has left.", "It comes on Monday."]
    assert [d.id for d in turn.deliveries] == [one.delivery.id for one in pigeon.carried]
