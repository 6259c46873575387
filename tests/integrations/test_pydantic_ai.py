"""PydanticAI on a bridge: a run is a turn; what it sees, keeps and costs."""

import json
import time

import pytest

pytest.importorskip("pydantic_ai", reason="needs the extra pydantic-ai")

from pydantic_ai import Agent, BinaryContent, ToolReturn
from pydantic_ai.messages import (
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import FunctionModel

from ctxbridge import Bridge, errors, guards
from ctxbridge.integrations.pydantic_ai import InTurn, answering, turn
from ctxbridge.model import Opaque, Quote, Text, ToolCall

from .conftest import PHONE, round_trips, write


class Script:
    """A model that says one thing after the other, and remembers what it was shown."""

    def __init__(self, *steps):
        self.steps, self.seen = list(steps), []

    def __call__(self, messages, info):
        self.seen.append(list(messages))
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return ModelResponse(parts=[TextPart(step) if isinstance(step, str) else step])

    def last(self):
        """What it was shown last, in short."""
        return [part for message in self.seen[-1] for part in message.parts]

    def words(self):
        return [str(part.content) for part in self.last() if not isinstance(part, ToolCallPart)]


def calls(name="order_status", **arguments):
    return ToolCallPart(name, arguments, tool_call_id="call_1")


def agent_of(*steps):
    script = Script(*steps)
    agent = Agent(FunctionModel(script), instructions="Be brief.")

    @agent.tool_plain
    def order_status(order: str) -> str:
        return f"{order} is on its way"

    return agent, script


async def one_turn(bridge, agent, inbound, **options):
    held = InTurn(bridge, inbound, **options)
    result = await agent.run(capabilities=[held])
    return held.turn, result.output


class TestTurn:
    async def test_a_run_with_a_tool_is_kept_with_the_turn_and_seen_by_the_next(self, bridge):
        agent, first = agent_of(calls(order="A-17"), "A-17 is on its way")
        done, output = await one_turn(bridge, agent, write("where is A-17?"))
        assert [m.text for m in done.answer] == ["A-17 is on its way"] == [output]
        agent, script = agent_of("you are welcome")
        await one_turn(bridge, agent, write("thanks"))
        assert [type(p).__name__ for p in script.last()] == [
            "UserPromptPart", "ToolCallPart", "ToolReturnPart", "TextPart", "UserPromptPart",
        ]  # fmt: skip
        stored, original = script.seen[-1][1:3], first.seen[-1][1:3]
        assert [m.parts for m in stored] == [m.parts for m in original], "what the first run had"

    async def test_a_duplicate_asks_no_model(self, bridge):
        agent, script = agent_of("on its way")
        await one_turn(bridge, agent, write("?", id="M"))
        done, output = await one_turn(bridge, agent, write("?", id="M"))
        assert output == "on its way" == done.answer[0].text
        assert len(script.seen) == 1

    async def test_a_run_that_fails_leaves_only_the_message(self, bridge):
        agent, _ = agent_of(calls(order="A"), RuntimeError("gone"))
        inbound = write("where?")
        with pytest.raises(RuntimeError):
            await one_turn(bridge, agent, inbound)
        assert [m.disposition for m in (await bridge.context(PHONE)).messages] == ["pending"]
        agent, script = agent_of("here")
        _, output = await one_turn(bridge, agent, inbound)
        assert (output, script.words()) == ("here", ["where?"])

    async def test_what_guards_make_of_words_is_what_models_see(self, bridge):
        agent, script = agent_of("your card 4111 1111 1111 1111")
        await one_turn(bridge, agent, write("is it 5500 0055 5555 5559?"))
        assert script.words() == ["is it [card …5559]?"]
        agent, script = agent_of("ok")
        await one_turn(bridge, agent, write("thanks"))
        assert script.words()[1] == "your card [card …1111]"
        kept = [
            p.data
            for m in (await bridge.context(PHONE)).messages
            for p in m.parts
            if isinstance(p, Opaque)
        ]
        assert b"4111" not in b"".join(kept)

    async def test_a_blocked_message_poisons_nothing(self, store):
        @guards.guard("inbound", name="abuse")
        def abuse(check):
            return guards.block("abuse", say="Please.") if "BAD" in check.text else guards.allow()

        async with Bridge(store, tenant="acme", guards=[abuse]) as bridge:
            agent, script = agent_of("hello")
            _, output = await one_turn(bridge, agent, write("BAD"))
            assert (output, script.seen) == ("Please.", [])
            await one_turn(bridge, agent, write("hi"))
            assert script.words() == ["hi"]

    async def test_channels_and_quotes_are_marked(self, bridge):
        await bridge.link(PHONE, "ann@example.org", evidence="crm")
        agent, script = agent_of("yes", "ok")
        await one_turn(bridge, agent, write("late?"))
        await one_turn(bridge, agent, write("", "email", parts=(Text("see"), Quote("rules"))))
        first, _, own, quote = script.words()
        assert first.startswith("[by sms, ")
        assert own.startswith("[by email, ")
        assert quote.endswith("\n> rules")

    async def test_the_system_prompt_is_there_in_every_run_and_never_stored(self, bridge):
        script = Script(calls(order="A"), "one", "two")
        agent = Agent(FunctionModel(script), system_prompt="SYSTEM", instructions="INSTRUCTIONS")

        @agent.tool_plain
        def order_status(order: str) -> str:
            return "here"

        for text in ("hi", "again"):
            await one_turn(bridge, agent, write(text))
            assert script.words().count("SYSTEM") == 1
        kept = [
            p.data
            for m in (await bridge.context(PHONE)).messages
            for p in m.parts
            if isinstance(p, Opaque)
        ]
        assert b"here" in b"".join(kept)
        assert b"SYSTEM" not in b"".join(kept)
        assert b"INSTRUCTIONS" not in b"".join(kept)

    async def test_a_prompt_beside_is_refused(self, bridge):
        agent, _ = agent_of("ok")
        with pytest.raises(errors.UsageError, match="prompt"):
            await agent.run("hi", capabilities=[InTurn(bridge, write("hi"))])

    async def test_the_turn_around_a_run_of_your_own(self, bridge):
        agent, _ = agent_of(calls(order="A"), "here", "fine")
        async with turn(bridge, write("where?")) as run:
            run.reply(await agent.run(message_history=run.history))
        assert [m.text for m in run.answer] == ["here"]
        async with turn(bridge, write("thanks")) as run:
            assert len(run.history) == 5
            run.reply("by hand")
        assert [m.text for m in run.answer] == ["by hand"]

    async def test_an_output_that_is_no_text(self, bridge):
        agent = Agent(
            FunctionModel(lambda *_: ModelResponse(parts=[calls("final_result", response=7)])),
            output_type=int,
        )
        async with turn(bridge, write("how many?")) as run:
            result = await agent.run(message_history=run.history)
            with pytest.raises(errors.UsageError, match="no text"):
                run.reply(result)
            run.reply(f"{result.output} pieces")
        held = InTurn(bridge, write("and now?"), say=lambda number: f"now {number}")
        await agent.run(capabilities=[held])
        assert [m.text for m in held.turn.answer] == ["now 7"]
        async with turn(bridge, write("thanks")) as run:
            assert [str(p.content) for m in run.history for p in m.parts] == [
                "how many?",
                "7 pieces",
                "and now?",
                "now 7",
                "thanks",
            ]

    async def test_an_agent_for_webhooks_and_recovery(self, bridge):
        agent, _ = agent_of(calls(order="A"), "here", "there")
        answer = answering(agent)
        for text in ("here", "there"):
            done = await bridge.answer(write("where?"), answer)
            assert [m.text for m in done.answer] == [text]

    async def test_bytes_survive(self, bridge):
        agent, script = agent_of(calls("picture"), "a picture", "ok")

        @agent.tool_plain
        def picture() -> ToolReturn:
            return ToolReturn(
                "see", content=[BinaryContent(b"\x89PNG\x00\xff", media_type="image/png")]
            )

        await one_turn(bridge, agent, write("show"))
        await one_turn(bridge, agent, write("thanks"))
        shown = [
            p
            for p in script.last()
            if isinstance(p, UserPromptPart) and not isinstance(p.content, str)
        ]
        assert shown[0].content[0].data == b"\x89PNG\x00\xff"


class TestGuards:
    async def test_a_refused_call_never_runs(self, store):
        @guards.guard("tool_call", "tool_result", name="tools")
        def tools(check):
            return (
                guards.block(f"{check.stage}.unlucky") if "A-13" in check.text else guards.allow()
            )

        ran = []
        agent, script = agent_of(calls("refund", order="A-13"), calls("refund", order="A-14"), "ok")

        @agent.tool_plain
        def refund(order: str) -> str:
            ran.append(order)
            return "A-13 is refunded"

        async with Bridge(store, tenant="acme", guards=[tools]) as bridge:
            await one_turn(bridge, agent, write("refund me"))
        assert ran == ["A-14"]
        results = [p.content for p in script.last() if isinstance(p, ToolReturnPart)]
        assert results == ["[refused: tool_call.unlucky]", "[kept back: tool_result.unlucky]"]

    async def test_without_the_guards_it_would_run(self, store):
        """The negative control of the test above."""
        agent, script = agent_of(calls(order="A-13"), "ok")
        async with Bridge(store, tenant="acme") as bridge, turn(bridge, write("hi")) as run:
            run.reply(await agent.run(message_history=run.history))
        assert "A-13 is on its way" in script.words()

    async def test_what_they_change_in_arguments_and_results_counts(self, store):
        @guards.guard("tool_call", "tool_result", name="mask", modifies=True)
        def mask(check):
            return guards.modify(check.text.replace("A-17", "A-00").replace("way", "road"), "m")

        agent, script = agent_of(calls(order="A-17"), "ok")
        async with Bridge(store, tenant="acme", guards=[mask]) as bridge:
            await one_turn(bridge, agent, write("hi"))
        assert "A-00 is on its road" in script.words()

    async def test_arguments_that_a_guard_has_broken_are_refused(self, store):
        @guards.guard("tool_call", name="blunt", modifies=True)
        def blunt(check):
            return guards.modify("[removed]", "m")

        agent, script = agent_of(calls(order="A-17"), "ok")
        async with Bridge(store, tenant="acme", guards=[blunt]) as bridge:
            await one_turn(bridge, agent, write("hi"))
        assert "[refused: arguments.no_json]" in script.words()


class TestCosts:
    async def test_a_run_with_a_tool_takes_three_round_trips(self, far):
        async with Bridge(far, tenant="acme") as bridge:
            agent, _ = agent_of("warm", calls(order="A"), "here", calls(order="A"), "here")
            await one_turn(bridge, agent, write("warm up"))
            asked = round_trips(far)
            await one_turn(bridge, agent, write("where?"))
            assert asked() == 3
            await one_turn(bridge, agent, write("where?"), reads={"order_status"})
            assert asked() == 2


class TestBadInput:
    async def test_ten_megabytes_of_a_tool_are_refused_and_the_message_waits(self, bridge):
        agent, _ = agent_of(calls("dump"), "ok")

        @agent.tool_plain
        def dump() -> str:
            return "x" * 10_000_000

        started = time.process_time()
        with pytest.raises(errors.TooLarge):
            await one_turn(bridge, agent, write("hi"))
        assert time.process_time() - started < 1
        assert [m.disposition for m in (await bridge.context(PHONE)).messages] == ["pending"]

    async def test_damaged_and_orphaned_items_do_no_harm(self, bridge):
        async with bridge.turn(write("one")) as plain:
            plain.keep(Opaque("pydantic_ai", b"{"), Opaque("pydantic_ai", b'{"kind": "future"}'))
            plain.keep(Opaque("pydantic_ai.said", b"[]"), ToolCall("c1", "order_status", "{}"))
            plain.reply("fine")
        agent, script = agent_of("ok")
        await one_turn(bridge, agent, write("two"))
        assert "[no result was stored: the run ended before]" in script.words()
        assert json.dumps(script.words()).count("fine") == 1

    async def test_an_orphaned_call_of_a_history_is_repaired_by_the_framework(self, bridge):
        async with turn(bridge, write("one")) as run:
            run._added.append(ModelResponse(parts=[calls(order="A")]))
            run.reply("hm")
        agent, script = agent_of("ok")
        await one_turn(bridge, agent, write("two"))
        assert isinstance(script.seen[-1][-1], ModelRequest)
