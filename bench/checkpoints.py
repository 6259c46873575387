"""``python -m bench.checkpoints``: agents of LangChain over its SQLite saver and over ours.

First two channels at once on one conversation (`bench.two_channels`); then what one turn of 640
characters costs in a conversation of 20 turns and in a long one. All files are in WAL mode with
``synchronous=NORMAL``. A step is a call that waits for the store: with aiosqlite one hand-over to
its thread, with ours one call of the store. Bytes are what the file has grown by for each turn.
Answers are checked to be the same; the order of the variants changes from round to round.
"""

import argparse
import asyncio
import operator
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from statistics import median
from typing import Annotated, Any, TypedDict

import aiosqlite
from langchain.agents import create_agent
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from msgspec import Struct

from bench import machine, two_channels
from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text
from ctxbridge.integrations.langchain import BridgeMiddleware, answering
from ctxbridge.integrations.langgraph import BridgeSaver

Turn = Callable[[str], Awaitable[str]]
THREAD: Any = {"configurable": {"thread_id": "conversation"}}
_CHARACTERS = 320
_SHORT = 20
_AROUND = 10


class Steps:
    """Counts calls that wait for a store."""

    def __init__(self) -> None:
        self.count = 0


class Counted:
    """A store that counts the calls of its verbs."""

    def __init__(self, inner: Any, steps: Steps) -> None:
        self._inner, self._steps = inner, steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in {"open", "read", "commit", "records"}:
            return found

        async def counted(value: Any) -> Any:
            self._steps.count += 1
            return await found(value)

        return counted


class Saying(BaseChatModel):
    """Says the text behind the first word of what was said last, backwards."""

    @property
    def _llm_type(self) -> str:
        return "saying"

    def _generate(self, messages: Any, *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(_said(messages[-1])))])


def _said(message: Any) -> str:
    return str(message.text)[::-1]


# --- the variants ---------------------------------------------------------------------------------


def _agent(saver: Any) -> Any:
    return create_agent(Saying(), [], checkpointer=saver)


def _added(before: list[Any], writes: Sequence[list[Any]]) -> list[Any]:
    return [*before, *[message for some in writes for message in some]]


class _Log(TypedDict):
    messages: Annotated[list[Any], DeltaChannel(_added)]


def _delta(saver: Any) -> Any:
    graph = StateGraph(_Log)
    graph.add_node("model", lambda state: {"messages": [AIMessage(_said(state["messages"][-1]))]})
    graph.add_edge(START, "model").add_edge("model", END)
    return graph.compile(checkpointer=saver)


def _on_thread(graph: Any, durability: str) -> Turn:
    async def turn(text: str) -> str:
        given = {"messages": [HumanMessage(text)]}
        done = await graph.ainvoke(given, THREAD, durability=durability)
        return str(done["messages"][-1].text)

    return turn


@asynccontextmanager
async def theirs(
    file: Path, steps: Steps, make: Callable[[Any], Any], durability: str
) -> AsyncIterator[Turn]:
    async with aiosqlite.connect(file) as connection:
        handed: Any = connection._execute  # noqa: SLF001 - the one way to its thread

        async def counted(*work: Any, **more: Any) -> Any:
            steps.count += 1
            return await handed(*work, **more)

        connection._execute = counted  # type: ignore[method-assign] # noqa: SLF001
        saver = AsyncSqliteSaver(connection)
        await saver.setup()
        await connection.execute("PRAGMA synchronous=NORMAL")
        yield _on_thread(make(saver), durability)


@asynccontextmanager
async def ours(
    file: Path, steps: Steps, make: Callable[[Any], Any], durability: str, keep: int
) -> AsyncIterator[Turn]:
    async with _bridge(file, steps) as bridge:
        yield _on_thread(make(BridgeSaver(bridge, keep_last=keep)), durability)


@asynccontextmanager
async def in_turns(file: Path, steps: Steps, *, saves: bool) -> AsyncIterator[Turn]:
    async with _bridge(file, steps) as bridge:
        saver = BridgeSaver(bridge, keep_last=1) if saves else None
        bot = create_agent(Saying(), [], middleware=[BridgeMiddleware()], checkpointer=saver)
        respond = answering(bot, durability="exit" if saves else None)
        shop, ann = Endpoint("sms", "+15550199999"), Address("sms", "+15550100001")

        async def turn(text: str) -> str:
            inbound = Inbound("sms", shop, ann, text[:40], (Text(text),), Assurance.CHANNEL)
            done = await bridge.answer(inbound, respond)
            return done.answer[0].text

        yield turn


@asynccontextmanager
async def _bridge(file: Path, steps: Steps) -> AsyncIterator[Bridge[Any]]:
    async with Bridge(f"sqlite:///{file}?synchronous=normal", tenant="shop") as bridge:
        inner = bridge.store
        bridge.store = Counted(inner, steps)
        yield bridge
        bridge.store = inner


VARIANTS: dict[str, Callable[[Path, Steps], Any]] = {
    "AsyncSqliteSaver": lambda f, s: theirs(f, s, _agent, "async"),
    "AsyncSqliteSaver, durability exit": lambda f, s: theirs(f, s, _agent, "exit"),
    "AsyncSqliteSaver, DeltaChannel(100), exit": lambda f, s: theirs(f, s, _delta, "exit"),
    "BridgeSaver": lambda f, s: ours(f, s, _agent, "async", 0),
    "BridgeSaver, keep_last 1, exit": lambda f, s: ours(f, s, _agent, "exit", 1),
    "BridgeSaver, DeltaChannel(100), exit": lambda f, s: ours(f, s, _delta, "exit", 0),
    "turn and middleware": lambda f, s: in_turns(f, s, saves=False),
    "turn and middleware, BridgeSaver, exit": lambda f, s: in_turns(f, s, saves=True),
}


# --- measuring ------------------------------------------------------------------------------------


class Cost(Struct, frozen=True):
    """Of one turn: milliseconds and steps in the short and the long conversation, and bytes."""

    short: float
    long: float
    steps_short: float
    steps_long: float
    bytes: float


async def measured(name: str, turns: int, random: Random) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        file, steps = Path(folder) / "bench.db", Steps()
        seconds: list[float] = []
        counts: list[int] = []
        async with VARIANTS[name](file, steps) as turn:
            for n in range(turns):
                text = f"{n:04} " + "".join(random.choices("abcdefghijklmnop ", k=_CHARACTERS - 5))
                steps.count, began = 0, time.perf_counter()
                said = await turn(text)
                seconds.append(time.perf_counter() - began)
                counts.append(steps.count)
                if said != text[::-1]:
                    raise AssertionError(f"{name} answered something else")
        await _settle(file)
        size = file.stat().st_size
    early, late = slice(_SHORT - _AROUND, _SHORT), slice(turns - _AROUND, turns)
    return Cost(
        median(seconds[early]) * 1e3, median(seconds[late]) * 1e3, median(counts[early]),
        median(counts[late]), size / turns,
    )  # fmt: skip


async def _settle(file: Path) -> None:
    async with aiosqlite.connect(file) as connection:
        await connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def costs(turns: int, rounds: int, random: Random) -> dict[str, Cost]:
    found: dict[str, list[Cost]] = {name: [] for name in VARIANTS}
    for _ in range(rounds):
        for name in random.sample(list(VARIANTS), len(VARIANTS)):
            found[name].append(await measured(name, turns, random))
    return {name: _middle(some) for name, some in found.items()}


def _middle(some: Sequence[Cost]) -> Cost:
    fields = Cost.__struct_fields__
    return Cost(*[median(map(operator.attrgetter(field), some)) for field in fields])


async def race(folder: Path) -> dict[str, two_channels.Found]:
    return {
        "AsyncSqliteSaver": await two_channels.on_their_saver(folder),
        "BridgeSaver alone": await two_channels.on_our_saver(f"sqlite:///{folder}/a.db"),
        "turn and middleware, BridgeSaver": await two_channels.in_turns(f"sqlite:///{folder}/b.db"),
    }


async def report(turns: int, rounds: int, random: Random) -> None:
    print(f"load average {machine.load():.1f}, {machine.cores()} cores\n")
    print("| two channels, 60 messages | lost | refused | interleaved | wasted runs |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, found in (await race(Path(folder))).items():
            cells = (found.lost, found.refused, found.interleaved, found.wasted)
            print(f"| {name} | {' | '.join(map(str, cells))} |")
    print(f"\n| one turn | ms at {_SHORT} | ms at {turns} | steps | KiB of file |")
    print("|---|---|---|---|---|")
    for name, cost in (await costs(turns, rounds, random)).items():
        steps = f"{cost.steps_short:.0f}, {cost.steps_long:.0f}"
        size = f"{cost.bytes / 1024:.1f}"
        print(f"| {name} | {cost.short:.1f} | {cost.long:.1f} | {steps} | {size} |")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.checkpoints", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="60 turns, once, instead of 300")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    turns, rounds = (60, 1) if options.quick else (300, 3)
    asyncio.run(report(turns, rounds, Random(options.seed)))


if __name__ == "__main__":
    main()
