"""A bare model client: tools behind the guards, summaries; and what every integration shares."""

import subprocess
import sys

import pytest

from ctxbridge import Bridge, errors, guards
from ctxbridge.integrations import _versions, plain
from ctxbridge.model import Message, Opaque, Quote, Text, ToolCall, ToolResult
from tests.delivery.conftest import Pigeon

from .conftest import PHONE, write


async def said(bridge, text, reply="ok", **options):
    async with bridge.turn(write(text, **options)) as turn:
        turn.reply(reply)
    return turn


class TestKeep:
    async def test_what_is_kept_stands_before_the_reply_and_is_sent_to_nobody(self, bridge):
        async with bridge.turn(write("?", id="M")) as turn:
            turn.keep(ToolCall("c", "f", "{}"), ToolResult("c", "x"))
            turn.keep(Opaque("framework", b"\x00\xff"))
            turn.reply("done")
        assert [m.text for m in turn.answer] == ["done"]
        async with bridge.turn(write("?", id="M")) as again:
            assert [m.text for m in again.answer] == ["done"]
        asked, kept, reply = (await bridge.context(PHONE)).messages
        assert kept.parts == (
            ToolCall("c", "f", "{}"),
            ToolResult("c", "x"),
            Opaque("framework", b"\x00\xff"),
        )
        assert (kept.turn, kept.silent, reply.silent) == (asked.turn, True, False)

    async def test_what_is_no_part_is_refused(self, bridge):
        with pytest.raises(errors.Malformed):
            async with bridge.turn(write("?")) as turn:
                turn.keep("words")
        with pytest.raises(errors.Malformed):
            async with bridge.turn(write("?")) as turn:
                turn.keep(ToolCall("c", "f", 7))

    async def test_more_than_a_megabyte_is_refused(self, bridge):
        async with bridge.turn(write("?")) as turn:
            turn.keep(Opaque("x", b"x" * 600_000))
            with pytest.raises(errors.TooLarge):
                turn.keep(Opaque("x", b"x" * 600_000))
        assert len((await bridge.context(PHONE)).messages[1].parts) == 1

    async def test_a_turn_that_is_not_open_keeps_nothing(self, bridge):
        await said(bridge, "?", id="M")
        async with bridge.turn(write("?", id="M")) as turn:
            with pytest.raises(errors.UsageError, match="not open"):
                turn.keep(Opaque("x", b"x"))

    async def test_a_late_verdict_takes_it_with_the_words(self, store):
        @guards.guard("inbound", name="judge", overlap=True)
        async def judge(check):
            return guards.block("no")

        async with Bridge(store, tenant="late", guards=[judge]) as bridge:
            async with bridge.turn(write("?")) as turn:
                turn.keep(Opaque("x", b"secret"))
            assert not any(m.silent for m in (await bridge.context(PHONE)).messages)

    async def test_a_sender_carries_the_reply_and_the_receipt_finds_it(self, store):
        pigeon = Pigeon()
        async with Bridge(store, tenant="sent", senders=[pigeon]) as bridge:
            async with bridge.turn(write("?")) as turn:
                turn.keep(ToolCall("c", "f", "{}"), ToolResult("c", "x"))
                turn.reply("one")
                turn.reply("two")
            assert pigeon.texts == ["one", "two"]
            assert [d.status for d in turn.deliveries] == ["sent", "sent"]
            assert await bridge.dispatch() == 0

    async def test_guards_at_context_judge_it_too(self, store):
        @guards.guard("context", name="hide")
        def hide(check):
            return guards.block("hidden") if "A-13" in check.text else guards.allow()

        async with Bridge(store, tenant="hidden", guards=[hide]) as bridge:
            async with bridge.turn(write("", parts=(Text("one"), Quote("about A-13")))) as turn:
                assert [line.kind for line in turn.context.lines()] == ["text"]
                turn.keep(ToolCall("c", "f", "{}"), ToolResult("c", "A-13 is lost"))
                turn.keep(Opaque("x", b"fine"))
                turn.reply("ok")
            async with bridge.turn(write("two")) as turn:
                assert "A-13" not in str(turn.context.lines())
                assert [line.text for line in turn.context.lines()] == ["one", "ok", "two"]

    async def test_guards_of_the_past_do_not_take_it_for_a_reply(self, store):
        async with Bridge(store, tenant="b", guards=[guards.contact_budget(2)]) as bridge:
            answers = []
            for _number in range(3):
                async with bridge.turn(write("?")) as turn:
                    turn.keep(Opaque("x", b"x"))
                    turn.reply("one")
                answers.append(len(turn.answer))
            assert answers == [1, 1, 0]


class TestTools:
    async def test_a_call_is_guarded_and_kept_as_the_guards_left_it(self, store):
        async def look_up(arguments):
            return f"found for {arguments}: 4111 1111 1111 1111"

        async with Bridge(
            store,
            tenant="tools",
            guards=[guards.pii("tool_call", "tool_result")] if False else None,
        ) as bridge:
            async with bridge.turn(write("?")) as turn:
                content = await plain.call_tool(turn, "c", "look_up", '{"a": 1}', look_up)
                turn.reply("done")
            kept = (await bridge.context(PHONE)).messages[1].parts
            assert kept == (ToolCall("c", "look_up", '{"a": 1}'), ToolResult("c", content))

    async def test_a_refusal_is_told_in_the_place_of_the_result(self, store):
        @guards.guard("tool_call", name="no")
        def no(check):
            return guards.block("never")

        async def explode(arguments):
            raise AssertionError(arguments)

        async with (
            Bridge(store, tenant="refused", guards=[no]) as bridge,
            bridge.turn(write("?")) as turn,
        ):
            assert await plain.call_tool(turn, "c", "f", "{}", explode) == "[refused: never]"


class TestWordsSaid:
    """A reply's item follows what became of the reply."""

    def said(self, *texts):
        return [
            Message(
                b"t" * 16,
                "agent",
                "sms",
                (Text(t),) if t else (),
                0,
                "accepted" if t else "withheld",
            )
            for t in texts
        ]

    @pytest.mark.parametrize(
        ("texts", "reply", "of", "words", "seen"),
        [
            (["one"], 0, 1, "one", 1),
            (["in", "two pieces"], 0, 1, "in\ntwo pieces", 2),
            (["one", "two"], 1, 2, "two", 1),
            ([""], 0, 1, "", 1),
            (["one"], 0, 2, "", 0),
            (["one", "two"], 7, 2, "", 0),
            ([], 0, 1, "", 0),
        ],
    )
    def test_it(self, texts, reply, of, words, seen):
        shown = set()
        assert plain.words_said({"reply": reply, "of": of}, self.said(*texts), shown) == words
        assert len(shown) == seen

    @pytest.mark.parametrize("stored", [None, [], {}, {"reply": "0", "of": "1"}])
    def test_damage_says_nothing(self, stored):
        assert plain.words_said(stored, self.said("one"), set()) == ""


class TestSummaries:
    async def talk(self, bridge, turns, budget, window=20):
        """Some turns, each summing up what overflows; what each was shown, and what was summed up."""
        shown, given = [], []

        async def summarize(lines):
            given.append(lines)
            return f"summary {len(given)}"

        for number in range(turns):
            async with bridge.turn(write(f"question {number} " + "x" * 60)) as turn:
                context = await plain.summarized(turn, summarize, budget=budget, window=window)
                shown.append(context.lines(budget))
                turn.reply(f"answer {number}")
        return shown, given

    def next_message(self, context, place):
        """Where the message stands that comes after `place`."""
        return next(p for p, e in context.window.numbered() if p > place and isinstance(e, Message))

    @pytest.mark.parametrize("budget", [200, 100_000], ids=["by budget", "by window"])
    async def test_nothing_leaves_that_no_summary_covers(self, bridge, budget):
        shown, given = await self.talk(bridge, 40, budget)
        assert given, "it was asked"
        everything = await bridge.context(PHONE, window=0)
        for lines in shown:
            covered = lines[0].until if lines[0].kind == "summary" else 0
            first = next(line.place for line in lines if line.kind == "text")
            assert first <= self.next_message(everything, covered), "no gap behind the summary"
        assert given[1][0].kind == "summary", "the one before is part of the next"
        assert len(given) < 20, "not in every turn"

    async def test_without_it_the_oldest_would_be_gone(self, bridge):
        """The negative control."""
        for number in range(15):
            await said(bridge, f"question {number}")
        context = await bridge.context(PHONE, window=20)
        assert context.lines()[0].place > 2

    async def test_it_is_stored_with_what_it_covers(self, bridge):
        await self.talk(bridge, 12, 200)
        context = await bridge.context(PHONE, window=0)
        events = [e for e in context.window if getattr(e, "kind", "") == "summary"]
        assert [e.about("first") for e in events] == ["1"] * len(events)
        lasts = [int(e.about("last")) for e in events]
        assert lasts == sorted(lasts)

    async def test_what_is_withheld_or_labelled_is_not_summed_up(self, store):
        @guards.guard("inbound", name="label")
        def label(check):
            return guards.warn("ill", labels=("ill",)) if "ill" in check.text else guards.allow()

        async with Bridge(store, tenant="labels", guards=[label]) as bridge:
            await said(bridge, "I am ill")
            shown, given = await self.talk(bridge, 6, 60)
            assert "ill" not in str(given)
            assert shown


class TestVersions:
    def test_what_is_not_installed_is_named(self):
        with pytest.raises(
            errors.ConfigurationError, match=r"no-such-framework>=1,<2.*not installed"
        ):
            _versions.require("no-such-framework", "1", "2")

    @pytest.mark.parametrize("bounds", [("999", "1000"), ("0.1", "0.2")])
    def test_another_version_is_named(self, bounds):
        with pytest.raises(errors.ConfigurationError, match=r"msgspec>=.*; 0\.\d+.* is installed"):
            _versions.require("msgspec", *bounds)

    @pytest.mark.parametrize("module", ["openai_agents", "pydantic_ai", "pydantic_store"])
    def test_a_framework_of_another_version_is_told_on_import(self, module):
        program = (
            "import importlib.metadata as m; m.version = lambda name: '0.1'\n"
            f"import ctxbridge.integrations.{module}"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        assert "ConfigurationError: this integration needs" in done.stderr
        assert "0.1 is installed" in done.stderr

    def test_the_root_and_the_bridge_load_no_framework(self):
        program = "import ctxbridge, sys; ctxbridge.Bridge; print('agents' in sys.modules or 'pydantic_ai' in sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "False"
