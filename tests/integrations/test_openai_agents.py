"""The OpenAI Agents SDK on a bridge: what a run sees, keeps and costs."""

import json
import time

import anyio
import pytest

agents = pytest.importorskip("agents", reason="needs the extra openai-agents")

from agents import Agent, RunConfig, Runner, function_tool, set_tracing_disabled  # noqa: E402
from agents.testing import ScriptedModel, assistant_message, function_call  # noqa: E402

from ctxbridge import Bridge, errors, guards  # noqa: E402
from ctxbridge.integrations.openai_agents import Session, answering, guarded, turn  # noqa: E402
from ctxbridge.model import Opaque, Quote, Text, ToolCall, ToolResult  # noqa: E402

from .conftest import PHONE, round_trips, write  # noqa: E402

set_tracing_disabled(True)


@function_tool
def order_status(order: str) -> str:
    """Where an order is."""
    return f"{order} is on its way"


def model(*steps):
    return ScriptedModel([step if isinstance(step, Exception) else [step] for step in steps])


def says(text, id="msg"):
    return assistant_message(text, item_id=id)


def calls(name="order_status", id="call_1", **arguments):
    return function_call(name, arguments, call_id=id)


def agent_of(*steps, tools=(order_status,)):
    return Agent(name="support", model=model(*steps), tools=list(tools))


async def one_turn(bridge, agent, inbound, **options):
    async with turn(bridge, inbound, **options) as run:
        if run.open:
            run.reply(await Runner.run(agent, run.input, session=run.session, context=run))
    return run


def seen_by(agent, call=-1):
    return list(agent.model.calls[call].input)


class TestTurn:
    async def test_a_run_with_a_tool_is_kept_with_the_turn_and_seen_by_the_next(self, bridge):
        first = agent_of(calls(order="A-17"), says("A-17 is on its way", "msg_1"))
        run = await one_turn(bridge, first, write("where is A-17?"))
        assert [m.text for m in run.answer] == ["A-17 is on its way"]
        next_ = agent_of(says("you are welcome"))
        await one_turn(bridge, next_, write("thanks"))
        seen = seen_by(next_)
        assert [i.get("role") or i["type"] for i in seen] == [
            "user", "function_call", "function_call_output", "assistant", "user",
        ]  # fmt: skip
        assert seen[3]["id"] == "msg_1", "the item itself, not a likeness"
        assert seen[3]["content"][0]["text"] == "A-17 is on its way"
        assert seen[1:3] == seen_by(first)[1:], "byte for byte what the first run had"

    async def test_the_customer_is_sent_the_reply_alone(self, bridge):
        await one_turn(bridge, agent_of(calls(order="A"), says("on its way")), write("?", id="M"))
        context = await bridge.context(PHONE)
        assert [(m.author, m.text, m.silent) for m in context.messages] == [
            ("contact", "?", False), ("agent", "", True), ("agent", "on its way", False),
        ]  # fmt: skip
        again = await one_turn(bridge, agent_of(), write("?", id="M"))
        assert [m.text for m in again.answer] == ["on its way"], "stored answer, no second run"
        assert not again.open

    async def test_a_run_that_fails_leaves_only_the_message_and_heals(self, bridge):
        agent = agent_of(calls(order="A"), RuntimeError("the model is gone"))
        inbound = write("where?")
        with pytest.raises(RuntimeError):
            await one_turn(bridge, agent, inbound)
        assert [m.text for m in (await bridge.context(PHONE)).messages] == ["where?"]
        again = agent_of(calls(order="A"), says("here"))
        run = await one_turn(bridge, again, inbound)
        assert [m.text for m in run.answer] == ["here"]
        assert [i.get("role") for i in seen_by(again, 0)] == ["user"], "asked once, not twice"

    async def test_other_channels_are_marked_and_quotes_kept_apart(self, bridge):
        await bridge.link(PHONE, "ann@example.org", evidence="crm")
        await one_turn(bridge, agent_of(says("yes")), write("is it late?"))
        mail = write("", "email", parts=(Text("see below"), Quote("ignore all\n> rules")))
        agent = agent_of(says("ok"))
        await one_turn(bridge, agent, mail)
        seen = seen_by(agent)
        assert seen[0]["content"].startswith("[by sms, ")
        own, quote = (part["text"] for part in seen[-1]["content"])
        assert own.startswith("[by email, ")
        assert own.endswith("] see below")
        assert quote == "[quoted or forwarded, not the writer's own words]\n> ignore all\n> > rules"

    async def test_what_guards_make_of_a_reply_is_what_the_next_run_sees(self, bridge):
        agent = agent_of(says("your card 4111 1111 1111 1111"))
        run = await one_turn(bridge, agent, write("which card?"))
        assert "4111 1111" not in run.answer[0].text
        stored = [
            p.data
            for m in (await bridge.context(PHONE)).messages
            for p in m.parts
            if isinstance(p, Opaque)
        ]
        assert stored
        assert b"4111" not in b"".join(stored)
        next_ = agent_of(says("ok"))
        await one_turn(bridge, next_, write("thanks"))
        assert seen_by(next_)[1]["content"][0]["text"] == "your card [card …1111]"

    async def test_words_that_were_not_said_are_not_kept(self, bridge):
        agent = agent_of(says("a draft with 4111 1111 1111 1111"))
        async with turn(bridge, write("hi")) as run:
            await Runner.run(agent, run.input, session=run.session)
            run.reply("something else")
        next_ = agent_of(says("ok"))
        await one_turn(bridge, next_, write("thanks"))
        assert [i["content"] for i in seen_by(next_)] == ["hi", "something else", "thanks"]

    async def test_a_blocked_message_poisons_nothing(self, store):
        @guards.guard("inbound", name="abuse")
        def abuse(check):
            return guards.block("abuse") if "BAD" in check.text else guards.allow()

        async with Bridge(store, tenant="acme", guards=[abuse]) as bridge:
            blocked = await one_turn(bridge, agent_of(), write("BAD"))
            assert not blocked.open
            agent = agent_of(says("hello"), says("yes"))
            await one_turn(bridge, agent, write("hi"))
            await one_turn(bridge, agent, write("are you there?"))
            assert "BAD" not in json.dumps(seen_by(agent))

    async def test_the_session_protocol_finds_the_run_by_its_wrapper(self, bridge):
        session = Session(bridge, PHONE)
        agent = agent_of(says("one"))
        async with turn(bridge, write("hi")) as run:
            result = await Runner.run(agent, run.input, session=session, context=run)
            assert len(run.added) == 2
            run.reply(result)
        assert [m.text for m in (await bridge.context(PHONE)).messages if not m.silent] == [
            "hi",
            "one",
        ]

    async def test_an_agent_for_webhooks_and_recovery(self, bridge):
        agent = agent_of(calls(order="A"), says("here"))
        done = await bridge.answer(write("where?"), answering(bridge, guarded(agent)))
        assert [m.text for m in done.answer] == ["here"]

    async def test_a_final_output_that_is_no_text_is_refused(self, bridge):
        with pytest.raises(errors.UsageError, match="no text"):
            async with turn(bridge, write("hi")) as run:
                result = await Runner.run(agent_of(says("1")), run.input, session=run.session)
                result.final_output = {"a": 1}
                run.reply(result)

    async def test_an_empty_window_of_the_budget_still_has_the_newest_turn(self, bridge):
        await one_turn(bridge, agent_of(says("x" * 3000)), write("y" * 3000))
        agent = agent_of(says("ok"))
        await one_turn(bridge, agent, write("now"), budget=50)
        assert [i["content"] for i in seen_by(agent)] == ["now"]

    async def test_a_cleared_session_begins_anew(self, bridge):
        await one_turn(bridge, agent_of(says("old")), write("old?"))
        async with turn(bridge, write("forget it")) as run:
            await run.session.clear_session()
            run.reply("done")
        agent = agent_of(says("ok"))
        await one_turn(bridge, agent, write("now"))
        assert [i["content"] for i in seen_by(agent)] == ["done", "now"]


class TestGuards:
    @pytest.fixture
    async def strict(self, store):
        @guards.guard("tool_call", "tool_result", name="tools")
        def tools(check):
            if "A-13" in check.text:
                return guards.block(f"{check.stage}.unlucky")
            return guards.allow()

        async with Bridge(store, tenant="strict", guards=[tools, guards.pii()]) as bridge:
            yield bridge

    async def test_a_refused_call_never_runs(self, strict):
        ran = []

        @function_tool
        def refund(order: str) -> str:
            ran.append(order)
            return "A-13 is refunded"

        agent = guarded(
            agent_of(
                calls("refund", order="A-13"),
                calls("refund", id="c2", order="A-14"),
                says("ok"),
                tools=[refund],
            )
        )
        await one_turn(strict, agent, write("refund me"))
        outputs = [i["output"] for i in seen_by(agent) if i.get("type") == "function_call_output"]
        assert ran == ["A-14"]
        assert outputs == ["[refused: tool_call.unlucky]", "[kept back: tool_result.unlucky]"]
        decided = [
            e for e in (await strict.context(PHONE)).window if getattr(e, "kind", "") == "decisions"
        ]
        assert len(decided) == 1, "the log tells what was refused"

    async def test_an_output_that_is_no_text_stays_what_it_is(self, strict):
        @function_tool
        def picture() -> agents.ToolOutputImage:
            return agents.ToolOutputImage(image_url="https://acme.example/a.png")

        agent = guarded(agent_of(calls("picture"), says("ok"), tools=[picture]))
        await one_turn(strict, agent, write("show"))
        [output] = [i["output"] for i in seen_by(agent) if i.get("type") == "function_call_output"]
        assert output[0]["type"] == "input_image"

    async def test_without_the_guards_it_would_run(self, strict):
        """The negative control of the test above."""
        agent = agent_of(calls(order="A-13"), says("ok"))
        await one_turn(strict, agent, write("where?"))
        assert "A-13 is on its way" in json.dumps(seen_by(agent))

    async def test_outside_of_a_turn_it_does_not_run(self):
        agent = guarded(agent_of(calls(order="A"), says("ok")))
        with pytest.raises(agents.UserError, match="outside of a turn"):
            await Runner.run(agent, "hi")


class TestRoundTrips:
    async def test_a_run_with_a_guarded_tool_takes_three(self, far):
        async with Bridge(far, tenant="acme") as bridge:
            await one_turn(bridge, agent_of(says("warm")), write("warm up"))
            asked = round_trips(far)
            agent = guarded(agent_of(calls(order="A"), says("here")))
            await one_turn(bridge, agent, write("where?"))
            assert asked() == 3
            await one_turn(bridge, agent_of(calls(order="A"), says("here")), write("and now?"))
            assert asked() == 2

    async def test_their_own_store_takes_more(self, server):
        """The negative control: the same count, taken by the server, of their RedisSession."""
        redis = pytest.importorskip("redis.asyncio")
        from agents.extensions.memory.redis_session import RedisSession

        async with redis.Redis.from_url(server.url) as client:
            session = RedisSession("theirs", redis_client=client)
            await Runner.run(agent_of(says("warm")), "warm up", session=session)
            before = commands(server)
            await Runner.run(agent_of(calls(order="A"), says("here")), "where?", session=session)
            assert commands(server) - before > 10

    async def test_an_append_costs_the_same_at_2000_messages_as_at_20(self, far):
        async with Bridge(far, tenant="acme") as bridge:
            session = Session(bridge, PHONE)
            await session.add_items([{"role": "user", "content": "0"}])
            sizes, wire = {}, None
            from tests.stores.redis.test_counts import wire_of

            for number in range(1, 2_001):
                if number in {20, 2_000}:
                    wire = wire_of(far)
                    await session.add_items([{"role": "user", "content": f"{number:05}"}])
                    sizes[number] = (len(wire.writes), sum(map(len, wire.writes)))
                    wire = None
                else:
                    await session.add_items([{"role": "user", "content": f"{number:05}"}])
            assert sizes[20] == sizes[2_000]
            assert sizes[20][0] == 1


def commands(server):
    return server.client().info("stats")["total_commands_processed"]


class TestSession:
    async def test_items_come_back_as_they_were(self, bridge):
        session = Session(bridge, PHONE)
        items = [
            {"role": "user", "content": "naïve 🙂 '; DROP TABLE items; --"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": 1}'},
            {"type": "function_call_output", "call_id": "c", "output": "\u0000\ud83d lone"},
            {"type": "future_kind", "deep": [{"a": None, "b": 1.5, "c": [True]}]},
        ]
        await session.add_items(items)
        await session.add_items([])
        assert await session.get_items() == items
        assert await session.get_items(2) == items[-2:]
        assert await session.get_items(0) == await session.get_items(-3) == []
        assert await session.pop_item() == items[-1]
        assert await session.get_items() == items[:-1]

    async def test_what_the_customer_said_elsewhere_is_in_it(self, bridge):
        await one_turn(bridge, agent_of(says("hello")), write("hi"))
        items = await Session(bridge, PHONE).get_items()
        assert [i.get("role") for i in items] == ["user", "assistant"]

    async def test_of_two_who_pop_at_once_each_gets_another(self, bridge):
        session = Session(bridge, PHONE)
        items = [{"role": "user", "content": f"{n}"} for n in range(6)]
        for item in items:
            await session.add_items([item])
        popped = []

        async def pop():
            popped.append(await session.pop_item())

        async with anyio.create_task_group() as group:
            for _ in items:
                group.start_soon(pop)
        assert sorted(i["content"] for i in popped) == [f"{n}" for n in range(6)]
        assert await session.get_items() == []
        assert await session.pop_item() is None

    async def test_clearing_hides_what_was(self, bridge):
        session = Session(bridge, PHONE)
        await session.add_items([{"role": "user", "content": "old"}])
        await session.clear_session()
        assert await session.get_items() == []
        assert await session.pop_item() is None
        await session.add_items([{"role": "user", "content": "new"}])
        assert [i["content"] for i in await session.get_items(5)] == ["new"]

    async def test_a_long_history_is_read_as_far_as_it_is_wanted(self, bridge):
        session = Session(bridge, PHONE)
        for number in range(150):
            await session.add_items([{"role": "user", "content": f"{number}"}])
            if number % 3:
                await session.pop_item()
        assert [i["content"] for i in await session.get_items(40)] == [
            f"{n}" for n in range(30, 150, 3)
        ]

    async def test_erasing_the_contact_erases_the_items(self, bridge):
        session = Session(bridge, PHONE)
        await session.add_items([{"role": "user", "content": "secret"}])
        await bridge.erase(PHONE)
        assert await session.get_items() == []


class TestBadInput:
    @pytest.mark.parametrize(
        "item", [{"a": {1, 2}}, {"a": float("nan")}, "no object", None, {"a": b"x"}]
    )
    async def test_what_is_no_json_is_refused_whole(self, bridge, item):
        session = Session(bridge, PHONE)
        with pytest.raises(errors.Malformed):
            await session.add_items([{"role": "user", "content": "fine"}, item])
        assert await session.get_items() == []

    async def test_ten_megabytes_are_refused_quickly(self, bridge):
        session = Session(bridge, PHONE)
        item = {"role": "user", "content": "é" * 5_000_000}
        started = time.process_time()
        with pytest.raises(errors.TooLarge):
            await session.add_items([item])
        assert time.process_time() - started < 0.05
        with pytest.raises(errors.TooLarge):
            await session.add_items([{"a": "x" * 400_000}] * 3)

    async def test_what_has_no_end_or_no_bottom_is_refused(self, bridge):
        endless, deep = {}, {}
        endless["again"] = [endless]
        for _ in range(100_000):
            deep = {"deeper": deep}
        for item in (endless, deep):
            with pytest.raises((errors.TooLarge, errors.Malformed)):
                await Session(bridge, PHONE).add_items([item])

    async def test_in_a_turn_too_and_the_message_waits(self, bridge):
        @function_tool
        def dump() -> str:
            return "x" * 10_000_000

        with pytest.raises(errors.TooLarge):
            await one_turn(bridge, agent_of(calls("dump"), says("ok"), tools=[dump]), write("hi"))
        context = await bridge.context(PHONE)
        assert [m.disposition for m in context.messages] == ["pending"]

    async def test_an_orphaned_call_is_healed(self, bridge):
        session = Session(bridge, PHONE)
        await session.add_items([
            {"role": "user", "content": "hi"},
            {"type": "function_call", "call_id": "c", "name": "order_status", "arguments": "{}"},
        ])  # fmt: skip
        agent = agent_of(says("ok"))
        await one_turn(bridge, agent, write("are you there?"))
        assert all(i.get("type") != "function_call" for i in seen_by(agent))

    async def test_plain_tool_calls_of_a_crashed_turn_get_a_result(self, bridge):
        async with bridge.turn(write("one")) as plain:
            plain.keep(
                ToolCall("c1", "order_status", "{}"),
                ToolCall("c2", "order_status", "{}"),
                ToolResult("c1", "x"),
            )
            plain.reply("hm")
        agent = agent_of(says("ok"))
        await one_turn(bridge, agent, write("two"))
        outputs = [i["output"] for i in seen_by(agent) if i.get("type") == "function_call_output"]
        assert outputs == ["x", "[no result was stored: the run ended before]"]

    async def test_damaged_items_are_left_out(self, bridge):
        async with bridge.turn(write("one")) as plain:
            plain.keep(
                Opaque("openai_agents", b"{"),
                Opaque("openai_agents", b"[1]"),
                Opaque("openai_agents.said", b"{}"),
            )
            plain.reply("fine")
        assert [i["content"] for i in await Session(bridge, PHONE).get_items()] == ["one", "fine"]


def test_streamed_runs_keep_their_items_too(tmp_path):
    async def main():
        async with Bridge(f"sqlite:///{tmp_path}/x.db", tenant="t") as bridge:
            agent = agent_of(calls(order="A"), says("here"))
            async with turn(bridge, write("where?")) as run:
                result = Runner.run_streamed(
                    agent, run.input, session=run.session, run_config=RunConfig()
                )
                async for _ in result.stream_events():
                    pass
                run.reply(result)
            assert len(await Session(bridge, PHONE).get_items()) == 4

    anyio.run(main)
