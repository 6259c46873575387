"""An agent in a turn: what the model is shown, what its checkpoints hold, what guards do to tools."""

import json

import anyio
import pytest

pytest.importorskip("langchain", reason="needs the extra: pip install ctxbridge[langchain]")

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.types import Command, interrupt

from ctxbridge import Bridge, errors, guards
from ctxbridge.integrations.langchain import BridgeMiddleware, answering
from ctxbridge.integrations.langchain.messages import NO_RESULT, healed
from ctxbridge.integrations.langgraph import BridgeSaver
from tests.integrations.conftest import write
from tests.integrations.langchain.agents import agent, bare, call, echoing, scripted


def texts(messages):
    return [message.text for message in messages]


class TestHistory:
    async def test_the_model_sees_one_conversation_across_channels(self, bridge):
        await bridge.answer(write("hello", "sms"), answering(agent(echoing())))
        await bridge.link("sms:+15550100001", "email:ann@example.org", evidence="crm:7")
        model = echoing()
        turn = await bridge.answer(write("it is me", "email"), answering(agent(model)))
        assert model.shown == [
            [
                ("human", "[by sms, 2026-09-21 14:13 UTC] hello"),
                ("ai", "re: hello"),
                ("human", "[by email, 2026-09-21 14:13 UTC] it is me"),
            ]
        ]
        assert texts(turn.answer) == ["re: it is me"]

    async def test_what_guards_have_stopped_is_never_shown(self, place):
        @guards.guard("inbound", name="no_bombs", version="1")
        def no_bombs(check):
            return guards.block("bomb") if "bomb" in check.text else guards.allow()

        async with (
            place("memory") as store,
            Bridge(store, tenant="shop", guards=[no_bombs]) as bridge,
        ):
            model = echoing()
            for text in ("a bomb", "hello"):
                await bridge.answer(write(text), answering(agent(model)))
            assert model.shown == [[("human", "hello")]]

    async def test_the_window_has_a_budget(self, bridge):
        model = echoing()
        bot = agent(model, budget=3, count=lambda _: 1)
        for n in range(4):
            await bridge.answer(write(f"{n}"), answering(bot))
        assert [len(shown) for shown in model.shown] == [1, 3, 3, 3]

    async def test_checkpoints_do_not_grow_with_the_conversation(self, bridge):
        saver, sizes = BridgeSaver(bridge, keep_last=1), []
        bot = agent(echoing(), saver=saver)
        for n in range(12):
            turn = await bridge.answer(write(f"question {n:02} " + "x" * 500), answering(bot))
            config = {"configurable": {"thread_id": turn.context.conversation.hex()}}
            state = await bot.aget_state(config)
            assert [m.type for m in state.values["messages"]] == ["ai"]
            _, data = saver.serde.dumps_typed(dict(state.values))
            sizes.append(len(data))
        assert max(sizes) - min(sizes) < 10

    async def test_the_models_own_instructions_stay_first(self, bridge):
        from langchain.agents import create_agent

        model = echoing()
        bot = create_agent(model, [], system_prompt="Be kind.", middleware=[BridgeMiddleware()])
        for text in ("one", "two"):
            await bridge.answer(write(text), answering(bot))
        assert [kind for kind, _ in model.shown[1]] == ["system", "human", "ai", "human"]


class TestTurn:
    async def test_a_duplicate_asks_no_model(self, bridge):
        model = echoing()
        first = await bridge.answer(write("hello", id="A"), answering(agent(model)))
        again = await bridge.answer(write("hello", id="A"), answering(agent(model)))
        assert (first.status, again.status) == ("new", "duplicate")
        assert texts(again.answer) == ["re: hello"]
        assert len(model.seen) == 1

    async def test_an_agent_that_fails_gives_the_turn_back(self, bridge):
        def fails(_):
            raise RuntimeError("the model is down")

        model = echoing()
        model.script = fails
        with pytest.raises(RuntimeError):
            await bridge.answer(write("hello", id="A"), answering(agent(model)))
        turn = await bridge.answer(write("hello", id="A"), answering(agent(echoing())))
        assert (turn.status, texts(turn.answer)) == ("new", ["re: hello"])

    async def test_a_half_run_of_a_worker_that_died_leaves_nothing_behind(self, bridge):
        @tool
        async def lookup(order: str) -> str:
            """Look it up."""
            raise RuntimeError("the process dies here")

        saver = BridgeSaver(bridge)
        with pytest.raises(RuntimeError):
            await bridge.answer(
                write("hello", id="A"),
                answering(agent(scripted(call("lookup", order="A")), lookup, saver=saver)),
            )
        model = echoing()
        await bridge.answer(write("hello", id="A"), answering(agent(model, lookup, saver=saver)))
        assert model.shown == [[("human", "hello")]]

    async def test_a_lost_turn_asks_no_further_model(self, bridge):
        model = scripted(call("slow"), "never asked")

        @tool
        async def slow() -> str:
            """Take long."""
            turn.superseded.set()
            return "done"

        async with bridge.turn(write("hello")) as turn:
            assert await answering(agent(model, slow))(turn) is None
        assert len(model.seen) == 1

    async def test_a_turn_that_is_lost_already_asks_none(self, bridge):
        model = echoing()
        async with bridge.turn(write("hello")) as turn:
            turn.superseded.set()
            assert await answering(agent(model))(turn) is None
        assert model.seen == []

    async def test_outside_of_a_turn_it_says_what_to_do(self):
        with pytest.raises(
            errors.UsageError, match=r"bridge\.answer\(inbound, answering\(agent\)\)"
        ):
            await agent(echoing()).ainvoke({"messages": [HumanMessage("hi")]})

    async def test_an_agent_that_pauses_is_resumed_by_the_next_message(self, bridge):
        @tool
        async def confirm() -> str:
            """Ask the customer."""
            return interrupt("Really?")

        model = scripted(call("confirm"), "As you wish.")
        bot = agent(model, confirm, saver=BridgeSaver(bridge))
        first = await bridge.answer(write("cancel it"), answering(bot))
        assert texts(first.answer) == []
        resuming = answering(bot, given=lambda turn: Command(resume=turn.inbound.text))
        second = await bridge.answer(write("yes"), resuming)
        assert texts(second.answer) == ["As you wish."]
        assert model.shown[-1][-1] == ("tool", "yes")

    async def test_a_config_reaches_the_graph(self, bridge):
        bot = agent(echoing(), saver=BridgeSaver(bridge))
        respond = answering(bot, {"configurable": {"thread_id": "mine"}})
        await bridge.answer(write("hello"), respond)
        assert (await bot.aget_state({"configurable": {"thread_id": "mine"}})).values["messages"]


@guards.guard("tool_call", name="no_refunds", version="1")
def no_refunds(check):
    return (
        guards.block("refund", say="Refunds need a person.")
        if check.tool == "refund"
        else guards.allow()
    )


@guards.guard("tool_call", name="small_orders", version="1", modifies=True)
def small_orders(check):
    if check.tool != "order":
        return guards.allow()
    return guards.modify(json.dumps({**json.loads(check.text), "count": 1}), "count")


@guards.guard("tool_result", name="no_numbers", version="1", modifies=True)
def no_numbers(check):
    if "secret" in check.text:
        return guards.block("secret")
    return (
        guards.modify(check.text.replace("4111", "****"), "card")
        if "4111" in check.text
        else guards.allow()
    )


called = []


@tool
async def refund(amount: int) -> str:
    """Give money back."""
    called.append(("refund", amount))
    return "done"


@tool
async def order(item: str, count: int) -> str:
    """Order."""
    called.append(("order", item, count))
    return f"ordered {count}"


@tool
async def card() -> str:
    """Show the card."""
    return "4111 is it"


@tool(response_format="content_and_artifact")
async def secret() -> tuple[str, object]:
    """Tell."""
    return "a secret", {"raw": "a secret"}


@tool
async def moved() -> Command:
    """Answer by a command."""
    return Command(
        update={"messages": [ToolMessage("4111 by command", tool_call_id="c1", name="moved")]}
    )


@tool
async def flood() -> str:
    """Too much."""
    return "x" * 10_000_000


class TestTools:
    @pytest.fixture
    async def strict(self, place):
        called.clear()
        policy = [no_refunds, small_orders, no_numbers]
        async with place("memory") as store, Bridge(store, tenant="shop", guards=policy) as bridge:
            yield bridge

    async def run(self, bridge, first):
        model = scripted(first, "said")
        turn = await bridge.answer(
            write("please"), answering(agent(model, refund, order, card, secret, moved, flood))
        )
        assert texts(turn.answer) == ["said"]
        return model.seen[1][-1]

    async def test_a_call_that_is_blocked_is_not_made_and_the_model_is_told(self, strict):
        answer = await self.run(strict, call("refund", amount=5))
        assert (answer.text, answer.status, called) == ("Refunds need a person.", "error", [])

    async def test_a_call_that_is_changed_is_made_so(self, strict):
        answer = await self.run(strict, call("order", item="tea", count=500))
        assert (answer.text, called) == ("ordered 1", [("order", "tea", 1)])

    async def test_of_a_result_the_model_sees_what_guards_leave(self, strict):
        assert (await self.run(strict, call("card"))).text == "**** is it"

    async def test_a_result_that_is_blocked_is_kept_back_whole(self, strict):
        answer = await self.run(strict, call("secret"))
        assert (answer.text, answer.artifact) == ("[the result was withheld]", None)

    async def test_a_result_by_command_is_judged_too(self, strict):
        assert (await self.run(strict, call("moved"))).text == "**** by command"

    async def test_what_is_too_large_is_left_out_and_the_agent_goes_on(self, strict):
        assert "too large" in (await self.run(strict, call("flood"))).text
        assert (
            "too large"
            in (await self.run(strict, call("order", item="x" * 10_000_000, count=1))).text
        )

    async def test_arguments_that_are_no_json_are_refused(self, strict):
        answer = await self.run(strict, call("order", item={1, 2}, count=1))
        assert "no JSON" in answer.text
        assert called == []

    async def test_the_log_tells_what_was_decided(self, strict):
        await self.run(strict, call("refund", amount=5))
        context = await strict.context("sms:+15550100001")
        decided = [
            about for entry in context.window for about, _ in getattr(entry, "decisions", ())
        ]
        assert "tool_call refund" in decided

    async def test_tools_without_effects_need_not_wait_for_judges(self, place):
        asked = anyio.Event()

        @guards.guard("inbound", name="judge", version="1", overlap=True, deadline_seconds=30)
        async def judge(check):
            await asked.wait()
            return guards.allow()

        async with place("memory") as store, Bridge(store, tenant="shop", guards=[judge]) as bridge:

            @tool
            async def look() -> str:
                """Look."""
                asked.set()
                return "seen"

            with anyio.fail_after(5):
                await bridge.answer(
                    write("x"),
                    answering(agent(scripted(call("look"), "ok"), look, read_only=["look"])),
                )


class TestHealing:
    def test_pairs_stay_as_they_are(self):
        whole = [
            HumanMessage("q"),
            call("a", "1"),
            ToolMessage("r", tool_call_id="1"),
            AIMessage("done"),
        ]
        assert healed(whole) == whole

    def test_a_call_without_a_result_gets_one_that_says_so(self):
        found = healed([HumanMessage("q"), call("a", "1"), HumanMessage("again")])
        assert [m.type for m in found] == ["human", "ai", "tool", "human"]
        assert (found[2].text, found[2].tool_call_id, found[2].name) == (NO_RESULT, "1", "a")

    def test_results_without_a_call_and_second_ones_are_left_out(self):
        found = healed([
            ToolMessage("lost", tool_call_id="0"), call("a", "1"), ToolMessage("r", tool_call_id="1"),
            ToolMessage("r2", tool_call_id="1"),
        ])  # fmt: skip
        assert [m.text for m in found] == ["", "r"]

    def test_results_stand_right_behind_their_call_in_its_order(self):
        both = AIMessage("", tool_calls=[{"name": n, "args": {}, "id": n} for n in "ab"])
        found = healed(
            [
                both,
                SystemMessage("s"),
                ToolMessage("B", tool_call_id="b"),
                ToolMessage("A", tool_call_id="a"),
            ]
        )
        assert [m.text for m in found] == ["", "A", "B", "s"]

    def test_calls_that_did_not_parse_are_answered_too(self):
        broken = AIMessage(
            "", invalid_tool_calls=[{"name": "a", "args": "{", "id": "9", "error": "x"}]
        )
        assert healed([broken])[1].tool_call_id == "9"

    async def test_the_model_is_never_shown_half_a_pair(self, bridge):
        from langchain.agents import create_agent
        from langchain.agents.middleware import AgentMiddleware

        class Breaks(AgentMiddleware):
            async def abefore_model(self, state, runtime):
                return {"messages": [call("gone", "7")]}

        model = echoing()
        bot = create_agent(model, [], middleware=[BridgeMiddleware(), Breaks()])
        await bridge.answer(write("hello"), answering(bot))
        assert model.shown[0][-1] == ("tool", NO_RESULT)


async def test_what_another_channel_wrote_meanwhile_comes_behind_the_answer(place):
    """In the log it stands between; a model would take it for a part of the question."""
    async with place("memory") as store, Bridge(store, tenant="shop", overlap="queue") as bridge:
        await bridge.link("sms:+15550100001", "email:ann@example.org", evidence="crm:7")
        model, came = echoing(seconds=0.05), anyio.Event()

        async def by_mail():
            await came.wait()
            await bridge.answer(write("by mail", "email"), answering(agent(model)))

        async with anyio.create_task_group() as group:
            group.start_soon(by_mail)
            async with bridge.turn(write("by text")) as turn:
                came.set()
                turn.reply(await answering(agent(model))(turn))
        logged = [m.text for m in (await bridge.context("sms:+15550100001")).messages]
        assert logged == ["by text", "by mail", "re: by text", "re: by mail"]
        await bridge.answer(write("and now?"), answering(agent(model)))
        assert [bare(text) for _, text in model.shown[-1]] == [
            "by text",
            "re: by text",
            "by mail",
            "re: by mail",
            "and now?",
        ]
