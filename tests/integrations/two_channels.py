"""Two channels at once on one conversation: what becomes of it on a bridge, and on the framework's own store.

Ten customers write three messages by SMS and, at the same time, three by e-mail: 60 in all. For
each there is one run with one tool call. Counted from what is stored in the end:

- lost: a question or an answer that is not there;
- interleaved: a question whose call, result and answer do not follow it, one after the other;
- wasted: a run of the agent whose answer was not stored.

``python -m tests.integrations.two_channels`` prints the figures.
"""

import asyncio
import random
import sys
import tempfile
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

from ctxbridge import Address, Bridge, open_store

from .conftest import write

CUSTOMERS, EACH = 10, 3
THINKING_SECONDS = 0.01


class Talk:
    """What became of one customer's six messages."""

    def __init__(self, customer):
        self.phone = Address("sms", f"+1555010{customer:04}")
        self.mail = Address("email", f"customer{customer}@example.org")
        self.customer = customer
        self.runs = 0

    def messages(self, channel):
        sender = self.phone if channel == "sms" else self.mail
        for number in range(EACH):
            text = f"{channel} question {number}"
            yield write(text, channel, f"{self.customer} {text}", sender=sender)


def judged(talk, said):
    """The counts; `said` is what is stored, in short: questions, "call", "result", answers."""
    there = Counter(said)
    questions = [m.text for channel in ("sms", "email") for m in talk.messages(channel)]
    interleaved = sum(
        said[at : at + 4] != [q, "call", "result", f"re: {q}"]
        for q in questions
        if q in there
        for at in [said.index(q)]
    )
    answered = sum(f"re: {q}" in there for q in questions)
    lost = sum(t not in there for q in questions for t in (q, f"re: {q}"))
    return Counter(lost=lost, interleaved=interleaved, wasted=talk.runs - answered)


async def race(system):
    """The counts over all customers, who write at the same time."""
    total = Counter(lost=0, interleaved=0, wasted=0)
    for counts in await asyncio.gather(*(_fate(system, Talk(n)) for n in range(CUSTOMERS))):
        total.update(counts)
    return dict(total)


async def _fate(system, talk):
    async with system(talk) as (take, read):

        async def channel(name):
            for inbound in talk.messages(name):
                await asyncio.sleep(random.random() * THINKING_SECONDS)
                await take(inbound)

        await asyncio.gather(channel("sms"), channel("email"))
        return judged(talk, await read())


def bare(text):
    """Words without what a bridge puts before them."""
    return text.partition("] ")[2] if text.startswith("[by ") else text


@asynccontextmanager
async def bridges(url, talk, of):
    """Two workers over one store; each message has a turn of its own, as the peers do it."""
    if url.startswith("sqlite"):
        url += f"-{talk.customer}"  # not twenty writers on one file
    async with open_store(url) as one, open_store(url) as other:
        shared = other if not url.startswith("memory") else one
        async with (
            Bridge(one, tenant=of, overlap="queue", window=200) as a,
            Bridge(shared, tenant=of, overlap="queue", window=200) as b,
        ):
            await a.link(talk.phone, talk.mail, evidence="crm")
            yield {"sms": a, "email": b}


# --- OpenAI Agents --------------------------------------------------------------------------------


def openai_agent(talk):
    from agents import Agent, function_tool, set_tracing_disabled
    from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call

    set_tracing_disabled(True)

    async def think(call):
        await asyncio.sleep(THINKING_SECONDS)
        if call.input[-1].get("type") == "function_call_output":
            return ModelStep(output=[assistant_message(f"re: {question(call.input)}")])
        return ModelStep(output=[function_call("look_up", {}, call_id=f"c{talk.runs}")])

    def question(items):
        return bare([i for i in items if i.get("role") == "user"][-1]["content"])

    @function_tool
    async def look_up() -> str:
        """Look up."""
        await asyncio.sleep(THINKING_SECONDS)
        return "found"

    model = ScriptedModel([ModelStep.respond(think) for _ in range(1_000)])
    return Agent(name="support", model=model, tools=[look_up])


def openai_said(items):
    short = {"function_call": "call", "function_call_output": "result"}
    found = []
    for item in items:
        if item.get("type") in short:
            found.append(short[item["type"]])
        else:
            content = item["content"]
            found.append(bare(content if isinstance(content, str) else content[0]["text"]))
    return found


def openai_ours(url):
    from agents import Runner

    from ctxbridge.integrations.openai_agents import Session, turn

    @asynccontextmanager
    async def system(talk):
        async with bridges(url, talk, "openai") as workers:
            agent = openai_agent(talk)

            async def take(inbound):
                async with turn(workers[inbound.channel], inbound, budget=100_000) as run:
                    talk.runs += 1
                    run.reply(await Runner.run(agent, run.input, session=run.session))

            yield take, lambda: read(workers["sms"], talk)

    async def read(bridge, talk):
        return openai_said(await Session(bridge, talk.phone).get_items())

    return system


def openai_theirs(open_session):
    """A session of theirs for each worker, over one store."""
    from agents import Runner

    @asynccontextmanager
    async def system(talk):
        agent = openai_agent(talk)
        sessions = {
            channel: open_session(f"customer {talk.customer}") for channel in ("sms", "email")
        }

        async def take(inbound):
            talk.runs += 1
            await Runner.run(agent, inbound.text, session=sessions[inbound.channel])

        async def read():
            return openai_said(await sessions["sms"].get_items())

        yield take, read
        for session in sessions.values():
            closed = session.close()
            if closed is not None:
                await closed

    return system


# --- PydanticAI -----------------------------------------------------------------------------------


def pydantic_agent():
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, UserPromptPart
    from pydantic_ai.models.function import FunctionModel

    async def think(messages, info):
        await asyncio.sleep(THINKING_SECONDS)
        if messages[-1].parts[-1].part_kind == "tool-return":
            asked = [p for m in messages for p in m.parts if isinstance(p, UserPromptPart)]
            return ModelResponse(parts=[TextPart(f"re: {bare(asked[-1].content)}")])
        return ModelResponse(parts=[ToolCallPart("look_up", {})])

    agent = Agent(FunctionModel(think))

    @agent.tool_plain
    async def look_up() -> str:
        await asyncio.sleep(THINKING_SECONDS)
        return "found"

    return agent


def pydantic_said(messages):
    short = {"tool-call": "call", "tool-return": "result"}
    parts = [part for message in messages for part in message.parts]
    return [short.get(p.part_kind) or bare(str(p.content)) for p in parts]


def pydantic_ours(url):
    from ctxbridge.integrations.pydantic_ai import InTurn, messages_of
    from ctxbridge.model.lines import standing, told_of

    @asynccontextmanager
    async def system(talk):
        async with bridges(url, talk, "pydantic") as workers:
            agent = pydantic_agent()

            async def take(inbound):
                talk.runs += 1
                held = InTurn(workers[inbound.channel], inbound, budget=100_000)
                await agent.run(capabilities=[held])

            async def read():
                context = await workers["sms"].context(talk.phone, window=0)
                told = told_of(context, standing(context.window))
                return pydantic_said(messages_of(context, told))

            yield take, read

    return system


def pydantic_port(open_store_of):
    """As its documentation has it: load, run, save, and again where the save conflicts."""
    from pydantic_ai.conversation import Conversation
    from pydantic_ai.conversation_store import ConversationConflict

    @asynccontextmanager
    async def system(talk):
        agent, id = pydantic_agent(), str(talk.phone)
        async with open_store_of(talk) as store:

            async def take(inbound):
                while True:
                    conversation = await store.load(id) or Conversation(conversation_id=id)
                    talk.runs += 1
                    result = await agent.run(inbound.text, conversation=conversation)
                    try:
                        return await store.save(result)
                    except ConversationConflict:
                        continue

            async def read():
                return pydantic_said((await store.load(id)).messages)

            yield take, read

    return system


@asynccontextmanager
async def their_memory(talk):
    from pydantic_ai.conversation_store import InMemoryConversationStore

    yield InMemoryConversationStore()


async def main():
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/ours.db"
        from agents import SQLiteSession

        file = Path(folder) / "theirs.db"
        systems = {
            "openai-agents, ctxbridge on SQLite": openai_ours(url),
            "openai-agents, SQLiteSession": openai_theirs(lambda name: SQLiteSession(name, file)),
            "pydantic-ai, ctxbridge on SQLite": pydantic_ours(f"sqlite:///{folder}/two.db"),
            "pydantic-ai, InMemoryConversationStore": pydantic_port(their_memory),
        }
        for name, system in systems.items():
            print(f"{name:45}", await race(system), file=sys.stdout, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
