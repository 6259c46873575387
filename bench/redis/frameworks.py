"""What agents' frameworks offer for the same purpose, each at its best documented use."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import redis

from bench import corpus
from bench.corpus import Answer, Person
from bench.harness import Goal, Outcome, Plan, Skip, Trial, p50, per_second
from bench.peers import adk_peer, langchain_peer, openai_peer, search_peers
from bench.peers.said import Said
from bench.redis import ways
from bench.redis.append import addition
from bench.redis.filled import Filled, filled
from bench.redis.lookup import query
from bench.redis.place import Place, standalone
from bench.redis.race import MANY, Call, Race, Way
from ctxbridge.model import Address

OURS, RAW, APPEND = "look-up, all decoded", "look-up", "append"
GET_ITEMS, ADD_ITEMS = "openai-agents get_items(20)", "openai-agents add_items"
LANGCHAIN, ADK = "LangChain aget_messages", "google-adk get_session"

NOTE = (
    "The frameworks keep a role and a text of each message. Ours has its id, address, endpoint, "
    "time, assurance and the guards' decisions too, and an append is idempotent; theirs are not."
)


async def run(plan: Plan) -> Outcome:
    outcome = Outcome()
    async with standalone(plan) as place:
        found = await filled(place, corpus.people(plan.random, 70, corpus.WINDOW))
        for part in (_openai_reads, _langchain, _langchain_long, _adk, _openai_writes):
            try:
                await part(plan, place, found, outcome)
            except Skip as reason:
                if str(reason) not in outcome.skipped:
                    outcome.skipped.append(str(reason))
        outcome.skipped += search_peers.reasons(place.tcp)
    outcome.notes.append(NOTE)
    return outcome


def _all_said(person: Person) -> list[Said]:
    return [Said(message.author, message.text) for message in person.messages]


def _bare(person: Person) -> Answer:
    """What a framework can answer: it keeps no state."""
    return _answer(_all_said(person)[-corpus.WINDOW :])


def _answer(said: Sequence[Said]) -> Answer:
    return Answer(tuple(s.text for s in said), tuple(s.author for s in said), None)


def _ours() -> list[Way]:
    def shows(pair: Any) -> Answer:
        return corpus.answer_of(pair[0], None)

    return [
        Way(OURS, ways.read_decoded, query, shows),
        Way(RAW, ways.verb("read"), query, note="decoded when touched"),
    ]


# --- openai-agents ------------------------------------------------------------------------------


async def _openai_reads(plan: Plan, place: Place, found: Filled, outcome: Outcome) -> None:
    await _fill_openai(place, found.people)

    def shows(items: Any) -> Answer:
        return _answer(openai_peer.said(items))

    peer = Way(GET_ITEMS, _sessions(_get_items), _id, shows)
    async with Race(plan, place, "Redis, beside openai-agents: read", [peer, *_ours()]) as race:
        await race.check(found.people, _bare)
        await race.count(found.people)
        one = await race.run(found.people, 1, calls=3 * MANY, rounds=plan.size(15, 2))
        many = await race.run(found.people, MANY, calls=5 * MANY, rounds=plan.size(15, 2))
    outcome.add((one, many), GET_ITEMS)
    outcome.curves["openai-agents RedisSession"] = one.curve(GET_ITEMS)
    outcome.goals += [
        _goal("G7 read@1", "p50 of openai-agents RedisSession.get_items(20) against a look-up, all "
              "decoded, 1 caller", 2.5, one, GET_ITEMS, OURS),
        _goal("G7 read@64", "decoded look-ups per second, against openai-agents get_items(20), 64 "
              "callers", 5.0, many, GET_ITEMS, OURS),
    ]  # fmt: skip


async def _openai_writes(plan: Plan, place: Place, found: Filled, outcome: Outcome) -> None:
    def adding(person: Person) -> tuple[str, list[dict[str, str]]]:
        said = corpus.message(plan.random, person.address, 1)
        return _id(person), [openai_peer.item(Said(said.author, said.text))]

    peer = Way(ADD_ITEMS, _sessions(_add_items), adding, note="one item")
    ours = Way(APPEND, ways.verb("commit"), addition(plan), note="one message")
    async with Race(plan, place, "Redis, beside openai-agents: write", [peer, ours]) as race:
        await race.count(found.people)
        one = await race.run(found.people, 1, calls=MANY, rounds=plan.size(15, 2))
        many = await race.run(found.people, MANY, calls=3 * MANY, rounds=plan.size(15, 2))
    outcome.add((one, many), ADD_ITEMS)
    outcome.goals += [
        _goal("G7 write@1", "p50 of openai-agents RedisSession.add_items(1) against an append, 1 "
              "caller", 12.0, one, ADD_ITEMS, APPEND),
        _goal("G7 write@64", "appends per second, against openai-agents add_items(1), 64 callers",
              20.0, many, ADD_ITEMS, APPEND),
    ]  # fmt: skip


def _goal(id: str, what: str, target: float, trial: Trial, peer: str, ours: str = OURS) -> Goal:
    """How many times faster we are: by p50 alone, by throughput where callers overlap."""
    if trial.callers == 1:
        ratio = trial.times(peer, ours, p50)
    else:
        ratio = trial.times(ours, peer, per_second)
    return Goal(id, f"Redis: {what}", ">=", target, "x", ratio)


def _id(person: Person) -> str:
    return str(person.address)


async def _fill_openai(place: Place, people: Sequence[Person]) -> None:
    async with ways.client(place.url) as client:
        for person in people:
            session = openai_peer.redis_session(client, _id(person))
            await session.add_items([openai_peer.item(said) for said in _all_said(person)])


Verb = Callable[[Callable[[str], Any], Any], Awaitable[Any]]


def _sessions(verb: Verb) -> Callable[[str], Any]:
    """Opens one client, and keeps a session for each conversation."""

    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[Call]:
        sessions: dict[str, Any] = {}
        async with ways.client(url) as client:

            def session(id: str) -> Any:
                if id not in sessions:
                    sessions[id] = openai_peer.redis_session(client, id)
                return sessions[id]

            async def call(argument: Any) -> Any:
                return await verb(session, argument)

            yield call

    return opened


async def _get_items(session: Callable[[str], Any], id: str) -> Any:
    return await session(id).get_items(corpus.WINDOW)


async def _add_items(session: Callable[[str], Any], what: tuple[str, Any]) -> None:
    id, items = what
    await session(id).add_items(items)


# --- LangChain ----------------------------------------------------------------------------------


async def _langchain(plan: Plan, place: Place, found: Filled, outcome: Outcome) -> None:
    trial = await _race_langchain(plan, place, found.people, plan.size(15, 2), 2 * MANY)
    outcome.add([trial], LANGCHAIN)
    outcome.goals.append(
        _goal("G8 LangChain", "p50 of LangChain's Redis history of 20 messages against a look-up, "
              "all decoded, 1 caller", 8.0, trial, LANGCHAIN)
    )  # fmt: skip


async def _langchain_long(plan: Plan, place: Place, _: Filled, outcome: Outcome) -> None:
    """It reads all there is, however little is wanted."""
    size = plan.size(10_000, 500)
    [made] = corpus.people(plan.random, 1, size)
    person = made._replace(address=Address("sms", "+15559999999"))
    async with ways.store(place.url) as store:
        people = await corpus.store_all(store, [person])
    trial = await _race_langchain(plan, place, people, plan.size(5, 1), 2)
    outcome.add([trial], LANGCHAIN)
    what = f"the same of {size:,} messages, of which a look-up reads 20"
    outcome.goals.append(_goal("G8 LangChain, long", what, 1_000.0, trial, LANGCHAIN))


async def _race_langchain(
    plan: Plan, place: Place, people: Sequence[Person], rounds: int, calls: int
) -> Trial:
    with redis.Redis.from_url(place.url) as client:
        for person in people:
            history = langchain_peer.history(client, _id(person), place.url)
            for said in _all_said(person):
                history.add_message(langchain_peer.message(said))
    number = len(people[0].messages)

    def shows(messages: Any) -> Answer:
        return _answer(langchain_peer.said(messages)[-corpus.WINDOW :])

    peer = Way(LANGCHAIN, _histories, _id, shows, "reads the whole list")
    ours = [Way(w.name, w.open, w.argument, w.shows, w.note, many=4) for w in _ours()]
    scenario = f"Redis, beside LangChain: {number:,} messages"
    async with Race(plan, place, scenario, [peer, *ours]) as race:
        await race.check(people[:10], _bare)
        await race.count(people[:5])
        return await race.run(people, 1, calls=calls, rounds=rounds)


@asynccontextmanager
async def _histories(url: str) -> AsyncIterator[Call]:
    histories: dict[str, Any] = {}
    with redis.Redis.from_url(url) as client:

        async def read(id: str) -> Any:
            if id not in histories:
                made = await asyncio.to_thread(langchain_peer.history, client, id, url)
                histories[id] = made
            return await histories[id].aget_messages()

        yield read


# --- google-adk ---------------------------------------------------------------------------------


async def _adk(plan: Plan, place: Place, found: Filled, outcome: Outcome) -> None:
    people = found.people[: plan.size(10, 3)]
    path = plan.folder / "adk.db"
    service = adk_peer.service(path)
    for person in people:
        talk = adk_peer.SessionTalk(service, _id(person))
        await talk.create()
        await talk.read()
        for said in _all_said(person):
            await talk.add(said)

    @asynccontextmanager
    async def opened(_: str) -> AsyncIterator[Call]:
        async def read(id: str) -> Any:
            return await adk_peer.SessionTalk(service, id).latest(corpus.WINDOW)

        yield read

    def shows(session: Any) -> Answer:
        return _answer(adk_peer.said(session))

    peer = Way(ADK, opened, _id, shows, "SQLite by aiosqlite")
    try:
        async with Race(plan, place, "Redis, beside google-adk", [peer, *_ours()]) as race:
            await race.check(people, _bare)
            trial = await race.run(people, 1, calls=plan.size(40, 10), rounds=plan.size(7, 1))
    finally:
        await service.close()
    outcome.add([trial], ADK)
    outcome.goals.append(
        _goal("G8 google-adk", "p50 of google-adk's get_session(20) on SQLite against a look-up, "
              "all decoded, 1 caller", 50.0, trial, ADK)
    )  # fmt: skip
