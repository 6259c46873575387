"""Our adapters beside the frameworks' own stores, each at its best documented use.

Whole runs ask a model that answers at once, so what they cost is the framework and its store.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bench import corpus
from bench.corpus import Answer, Person
from bench.harness import Goal, Outcome, Plan, Trial, p50, per_second
from bench.peers import openai_peer
from bench.peers.said import Said, load
from bench.redis import ways
from bench.redis.place import Place, standalone
from bench.redis.race import MANY, Call, Race, Way
from ctxbridge import Bridge
from ctxbridge.model import Assurance, Inbound, Text

OURS_READ, OURS_ADD, OURS_RUN = "ours get_items(20)", "ours add_items", "ours turn and run"
OURS_FAR = "ours get_items(20), no near cache"
READ, ADD, RUN = "RedisSession get_items(20)", "RedisSession add_items", "RedisSession run"
PACKAGE = "openai-agents"


async def run(plan: Plan) -> Outcome:
    """Reads, appends of two items, and runs with one tool call, by 1 and 64 callers."""
    outcome = Outcome()
    load("agents", PACKAGE).set_tracing_disabled(True)
    async with standalone(plan) as place:
        people = corpus.people(plan.random, MANY + 6, corpus.WINDOW)
        await _fill(place, people)
        await _reads(plan, place, people, outcome)
        await _appends(plan, place, people, outcome)
        await _runs(plan, place, people, outcome)
    return outcome


def _items(person: Person) -> list[Any]:
    return [openai_peer.item(Said(m.author, m.text)) for m in person.messages]


async def _fill(place: Place, people: Sequence[Person]) -> None:
    async with _both(place.url) as (ours, theirs):
        for person in people:
            for item in _items(person):
                await ours(person).add_items([item])
                await theirs(person).add_items([item])


async def _reads(plan: Plan, place: Place, people: Sequence[Person], outcome: Outcome) -> None:
    def shows(items: Any) -> Answer:
        said = openai_peer.said(items)
        return Answer(tuple(s.text for s in said), tuple(s.author for s in said), None)

    async def get(session: Any, _: Person) -> Any:
        return await session.get_items(corpus.WINDOW)

    race = [
        Way(READ, _verb(get, ours=False), _person, shows),
        Way(OURS_READ, _verb(get, ours=True), _person, shows, "from the near cache"),
        Way(OURS_FAR, _verb(get, ours=True, near_cache=False), _person, shows),
    ]
    trials = await _race(plan, place, "openai-agents: read", race, people, _expected)
    outcome.add(trials, READ)
    outcome.goals += [
        _goal("A1 read", "get_items(20) per second, 64 callers", 5.0, trials[1], READ, OURS_READ)
    ]


async def _appends(plan: Plan, place: Place, people: Sequence[Person], outcome: Outcome) -> None:
    async def add(session: Any, person: Person) -> None:
        await session.add_items(_items(person)[:2])

    race = [
        Way(ADD, _verb(add, ours=False), _person, note="two items"),
        Way(OURS_ADD, _verb(add, ours=True), _person, note="two items"),
    ]
    trials = await _race(plan, place, "openai-agents: append", race, people)
    outcome.add(trials, ADD)
    outcome.goals += [
        _goal("A2 append", "add_items(2) per second, 64 callers", 20.0, trials[1], ADD, OURS_ADD)
    ]


async def _runs(plan: Plan, place: Place, people: Sequence[Person], outcome: Outcome) -> None:
    race = [
        Way(RUN, _their_runs, _person, note="one tool call, the last 20 items"),
        Way(OURS_RUN, _our_runs, _person, note="the same; deduplicated, leased, guarded"),
    ]
    trials = await _race(plan, place, "openai-agents: a run with a tool", race, people, few=8)
    outcome.add(trials, RUN)


async def _race(
    plan: Plan, place: Place, scenario: str, race: list[Way], people: Sequence[Person],
    expected: Any = None, few: int = 1,
) -> list[Trial]:  # fmt: skip
    async with Race(plan, place, scenario, race) as running:
        if expected:
            await running.check(people, expected)
        await running.count(people)
        rounds = plan.size(11, 2)
        one = await running.run(people, 1, calls=MANY // few, rounds=rounds)
        many = await running.run(people, MANY, calls=4 * MANY // few, rounds=rounds)
    return [one, many]


def _goal(id: str, what: str, target: float, trial: Trial, peer: str, ours: str) -> Goal:
    ratio = (
        trial.times(ours, peer, per_second) if trial.callers > 1 else trial.times(peer, ours, p50)
    )
    return Goal(id, f"Redis, the adapter beside RedisSession: {what}", ">=", target, "x", ratio)


def _person(person: Person) -> Person:
    return person


def _expected(person: Person) -> Answer:
    last = person.messages[-corpus.WINDOW :]
    return Answer(tuple(m.text for m in last), tuple(m.author for m in last), None)


# --- sessions -------------------------------------------------------------------------------------


@asynccontextmanager
async def _both(url: str, *, near_cache: bool = True) -> AsyncIterator[Any]:
    """Gives a person's session of ours, and of theirs."""
    async with _ours(url, near_cache=near_cache) as (_, ours), _theirs(url) as theirs:
        yield ours, theirs


@asynccontextmanager
async def _ours(url: str, *, near_cache: bool = True) -> AsyncIterator[Any]:
    adapter = load("ctxbridge.integrations.openai_agents", PACKAGE)
    sessions: dict[str, Any] = {}
    async with ways.store(url, near_cache=near_cache) as store:
        bridge = Bridge(store, tenant="agents")

        def session(person: Person) -> Any:
            id = str(person.address)
            if id not in sessions:
                sessions[id] = adapter.Session(bridge, person.address)
            return sessions[id]

        yield bridge, session


@asynccontextmanager
async def _theirs(url: str) -> AsyncIterator[Any]:
    sessions: dict[str, Any] = {}
    async with ways.client(url) as client:

        def session(person: Person) -> Any:
            id = str(person.address)
            if id not in sessions:
                sessions[id] = openai_peer.redis_session(client, id)
            return sessions[id]

        yield session


def _verb(verb: Any, *, ours: bool, near_cache: bool = True) -> Any:
    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[Call]:
        async with _both(url, near_cache=near_cache) as (mine, peer):
            session = mine if ours else peer

            async def call(person: Person) -> Any:
                return await verb(session(person), person)

            yield call

    return opened


# --- runs -----------------------------------------------------------------------------------------


def _agent() -> Any:
    agents = load("agents", PACKAGE)
    testing = load("agents.testing", PACKAGE)

    class Model(agents.Model):  # type: ignore[misc, name-defined]
        """Calls the tool, then answers; the SDK's test model keeps all that it was asked."""

        async def get_response(self, *_: Any, **asked: Any) -> Any:
            done = asked["input"][-1].get("type") == "function_call_output"
            said = testing.assistant_message("on its way")
            item = said if done else testing.function_call("order_status", {}, call_id="1")
            return agents.ModelResponse(output=[item], usage=agents.Usage(), response_id=None)

        def stream_response(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

    def order_status() -> str:
        """Where an order is."""
        return "on its way"

    return agents.Agent(name="bench", model=Model(), tools=[agents.function_tool(order_status)])


@asynccontextmanager
async def _their_runs(url: str) -> AsyncIterator[Call]:
    agents, agent = load("agents", PACKAGE), _agent()
    options = agents.RunConfig(session_settings=agents.SessionSettings(limit=corpus.WINDOW))
    async with _theirs(url) as session:

        async def call(person: Person) -> Any:
            return await agents.Runner.run(
                agent, "where?", session=session(person), run_config=options
            )

        yield call


@asynccontextmanager
async def _our_runs(url: str) -> AsyncIterator[Call]:
    adapter = load("ctxbridge.integrations.openai_agents", PACKAGE)
    agents, agent = load("agents", PACKAGE), adapter.guarded(_agent())
    async with _ours(url) as (bridge, _):

        async def call(person: Person) -> Any:
            inbound = Inbound(
                person.address.channel, corpus.ENDPOINT, person.address, bridge.ids.new().hex(),
                (Text("where?"),), Assurance.CHANNEL,
            )  # fmt: skip
            async with adapter.turn(bridge, inbound) as run:
                if run.open:
                    run.reply(await agents.Runner.run(agent, run.input, session=run.session))

        yield call
