"""Twenty turns of one conversation at once, by two workers: what is lost, doubled, or said blindly.

A turn reads the history, appends the customer's message, thinks, and appends an answer. Every fifth
webhook comes twice, as providers do. Counted at the end, from what is stored:

- lost: a message or an answer whose turn ended well, and which is not there;
- duplicates: a message or an answer that is there more than once;
- stale: an answer that stands behind another one which its turn had not seen;
- refused: a turn that ended with an error, so that its caller knows.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import redis

from bench import corpus
from bench.harness import Fate, Outcome, Plan, Skip
from bench.peers import adk_peer, langchain_peer, openai_peer
from bench.peers.said import Said, Talk
from bench.redis import ways
from bench.redis.place import Place, standalone
from ctxbridge import Bridge
from ctxbridge.model import Address, Assurance, Inbound, Text
from ctxbridge.ports import Store
from ctxbridge.stores.memory import MemoryStore
from ctxbridge.stores.sqlite import SqliteStore

TURNS = 20
THINKING_SECONDS = 0.01
ANSWER = "answer to "


@dataclass(slots=True)
class Turn:
    """One delivery of a webhook: what was seen before the answer, and how it ended."""

    question: str
    seen: set[str] = field(default_factory=set)
    ended_well: bool = False

    @property
    def answer(self) -> str:
        return f"{ANSWER}{self.question}"


Take = Callable[[Turn], Awaitable[None]]


class System:
    """One of those compared: a way to take a turn for each worker, and to see all that is there."""

    def __init__(self, takes: Sequence[Take], read: Callable[[], Awaitable[list[Said]]]) -> None:
        self.takes, self.read = takes, read


Opening = Callable[[str], AbstractAsyncContextManager[System]]


async def run(plan: Plan) -> Outcome:
    outcome = Outcome()
    async with AsyncExitStack() as stack:
        place: Place | None = None
        try:
            place = await stack.enter_async_context(standalone(plan))
        except Skip as reason:
            outcome.skipped.append(f"correctness on Redis: {reason}")
        for name, system in _systems(plan, place).items():
            try:
                outcome.correctness.append(await _fate(plan, name, system))
            except Skip as reason:
                outcome.skipped.append(str(reason))
    return outcome


def _systems(plan: Plan, place: Place | None) -> dict[str, Opening]:
    """By name: opens a system with an empty conversation of this id."""
    local: dict[str, Opening] = {
        "ctxbridge, memory": lambda name: _bridges(name, MemoryStore()),
        "ctxbridge, SQLite": partial(_on_sqlite, plan),
        "openai-agents SQLiteSession": partial(_openai_sqlite, plan),
        "google-adk DatabaseSessionService, SQLite": partial(_adk, plan),
    }
    if place is None:
        return local
    remote: dict[str, Opening] = {
        "ctxbridge, Redis": partial(_on_redis, place),
        "openai-agents RedisSession": partial(_openai_redis, place),
        "LangChain RedisChatMessageHistory": partial(_langchain, place),
    }
    return remote | local


async def _fate(plan: Plan, name: str, system: Opening) -> Fate:
    """The counts over some conversations."""
    conversations = plan.size(5, 1)
    total: Counter[str] = Counter()
    for number in range(conversations):
        async with system(f"{name} {number}".replace(" ", "-")) as opened:
            total += await _race(plan, opened)
    return Fate(
        name, conversations * TURNS, total["lost"], total["duplicates"], total["stale"],
        total["refused"], f"{conversations * (TURNS + TURNS // 5)} deliveries",
    )  # fmt: skip


async def _race(plan: Plan, system: System) -> Counter[str]:
    turns = [Turn(f"question {number}") for number in range(TURNS)]
    turns += [Turn(turn.question) for turn in turns[::5]]
    plan.random.shuffle(turns)
    takes = [system.takes[at % len(system.takes)] for at in range(len(turns))]
    await asyncio.gather(*map(_taken, takes, turns))
    return judge(turns, [said.text for said in await system.read()])


async def _taken(take: Take, turn: Turn) -> None:
    try:
        await take(turn)
        turn.ended_well = True
    except Skip:
        raise
    except Exception:  # noqa: BLE001 - whatever it is, the caller knows that it failed
        pass


def judge(turns: Sequence[Turn], stored: Sequence[str]) -> Counter[str]:
    """The counts, from what became of the turns and what is stored in the end."""
    there = Counter(stored)
    due = {text for turn in turns if turn.ended_well for text in (turn.question, turn.answer)}
    place = {text: at for at, text in enumerate(stored)}
    return Counter(
        lost=sum(text not in there for text in due),
        duplicates=sum(number - 1 for number in there.values()),
        stale=sum(_is_stale(question, place, turns, stored) for question in _questions(turns)),
        refused=sum(not turn.ended_well for turn in turns),
    )


def _questions(turns: Sequence[Turn]) -> list[str]:
    return list(dict.fromkeys(turn.question for turn in turns))


def _is_stale(
    question: str, place: dict[str, int], turns: Sequence[Turn], stored: Sequence[str]
) -> bool:
    """Whether a stored answer has another before it that nobody who could have given it saw.

    A question that comes while an agent thinks is seen by the turns behind, so it does not count.
    """
    answer = Turn(question).answer
    if answer not in place:
        return False
    before = {text for text in stored[: place[answer]] if text.startswith(ANSWER)} - {answer}
    seen = [turn.seen for turn in turns if turn.question == question]
    return not any(before <= one for one in seen)


# --- ours ---------------------------------------------------------------------------------------


@asynccontextmanager
async def _bridges(id: str, *stores: Store) -> AsyncIterator[System]:
    """A bridge for each worker; two workers may share a store in memory."""
    address = Address("chat", id)
    # Each message has a turn of its own, as the others do it.
    bridges = [
        Bridge(store, tenant="correctness", guards=(), window=200, overlap="queue")
        for store in (*stores, *stores)
    ]

    def taking(bridge: Bridge[dict[str, object]]) -> Take:
        async def take(turn: Turn) -> None:
            async with bridge.turn(_inbound(address, turn.question)) as ours:
                if ours.open:
                    turn.seen = {message.text for message in ours.context.messages}
                    await asyncio.sleep(THINKING_SECONDS)
                    ours.reply(turn.answer)

        return take

    async def read() -> list[Said]:
        context = await bridges[0].context(address, window=0)
        return [Said(message.author, message.text) for message in context.messages]

    yield System([taking(bridge) for bridge in bridges[: max(2, len(stores))]], read)


def _inbound(address: Address, text: str) -> Inbound:
    id = f"{address.value}: {text}"
    return Inbound("chat", corpus.ENDPOINT, address, id, (Text(text),), Assurance.CHANNEL)


@asynccontextmanager
async def _on_sqlite(plan: Plan, id: str) -> AsyncIterator[System]:
    path = str(plan.folder / "correctness.db")
    async with (
        SqliteStore(path) as one,
        SqliteStore(path) as other,
        _bridges(id, one, other) as system,
    ):
        yield system


@asynccontextmanager
async def _on_redis(place: Place, id: str) -> AsyncIterator[System]:
    async with (
        ways.store(place.url, near_cache=True) as one,
        ways.store(place.url, near_cache=True) as other,
        _bridges(id, one, other) as system,
    ):
        yield system


# --- peers --------------------------------------------------------------------------------------


def _taking(open_talk: Callable[[], Talk]) -> Take:
    """A turn of those that have a history to read and append to; opened anew for each."""

    async def take(turn: Turn) -> None:
        talk = open_talk()
        turn.seen = {said.text for said in await talk.read()}
        await talk.add(Said("contact", turn.question))
        await asyncio.sleep(THINKING_SECONDS)
        await talk.add(Said("agent", turn.answer))

    return take


@asynccontextmanager
async def _openai_redis(place: Place, id: str) -> AsyncIterator[System]:
    async with ways.client(place.url) as one, ways.client(place.url) as other:
        talks = [
            lambda c=client: openai_peer.SessionTalk(openai_peer.redis_session(c, id))
            for client in (one, other)
        ]
        yield System([_taking(talk) for talk in talks], talks[0]().read)


@asynccontextmanager
async def _openai_sqlite(plan: Plan, id: str) -> AsyncIterator[System]:
    path = plan.folder / "openai.db"
    opened = [openai_peer.sqlite_session(path, id) for _ in range(2)]
    talks = [lambda s=session: openai_peer.SessionTalk(s) for session in opened]
    try:
        yield System([_taking(talk) for talk in talks], talks[0]().read)
    finally:
        for session in opened:
            session.close()


@asynccontextmanager
async def _langchain(place: Place, id: str) -> AsyncIterator[System]:
    with redis.Redis.from_url(place.url) as one, redis.Redis.from_url(place.url) as other:
        talks = [
            lambda c=client: langchain_peer.HistoryTalk(langchain_peer.history(c, id, place.url))
            for client in (one, other)
        ]
        yield System([_taking(talk) for talk in talks], talks[0]().read)


@asynccontextmanager
async def _adk(plan: Plan, id: str) -> AsyncIterator[System]:
    path = plan.folder / "adk-correctness.db"
    services = [adk_peer.service(path) for _ in range(2)]
    try:
        await adk_peer.SessionTalk(services[0], id).create()
        talks = [lambda s=service: adk_peer.SessionTalk(s, id) for service in services]
        yield System([_taking(talk) for talk in talks], talks[0]().read)
    finally:
        for service in services:
            await service.close()
