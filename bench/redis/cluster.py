"""A Cluster of three masters, beside redis-py's own client for one."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio.cluster import RedisCluster

from bench import corpus
from bench.corpus import Person
from bench.harness import Goal, Outcome, Plan, Trial, counted, p50, per_second
from bench.redis import ways
from bench.redis.append import addition, pair, require_idempotent
from bench.redis.filled import Filled, copy_key, list_key
from bench.redis.lookup import decoded, query
from bench.redis.place import Place, binary
from bench.redis.race import MANY, Call, Race, Way
from ctxbridge.testing.topologies import Cluster

GET, SET = "RedisCluster GET", "RedisCluster SET"
OURS, APPEND = "look-up", "append"
SCENARIO = "Redis Cluster"


async def run(plan: Plan) -> Outcome:
    with Cluster(binary(plan), 3) as cluster:
        place = Nodes(cluster)
        found = await _filled(plan, place)
        async with ways.store(cluster.url) as store:
            await require_idempotent(SCENARIO, store, found.people[:20], plan)
            commands = await _commands(place, store, found.people)
        found = await _filled(plan, place)
        reading = await _race(plan, place, found, f"{SCENARIO}, look-up", _reading(found))
        writing = await _race(plan, place, found, f"{SCENARIO}, append", _writing(plan))
    outcome = Outcome(goals=_goals(reading, writing, commands))
    outcome.add(reading, GET)
    outcome.add(writing, SET)
    return outcome


class Nodes(Place):
    """All nodes as one place."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster.url, cluster.servers[0].url, None)
        self.cluster = cluster

    def forget(self) -> None:
        for server in self.cluster.servers:
            server.command("CONFIG", "RESETSTAT")

    def calls(self, name: str) -> int:
        """How often a command was called at any of them, since `forget`."""
        return sum(
            _calls(server.command("INFO", "commandstats"), name) for server in self.cluster.servers
        )

    def cpu_seconds(self) -> float:
        return 0.0


def _calls(info: bytes, name: str) -> int:
    for line in info.decode().splitlines():
        if line.startswith(f"cmdstat_{name}:"):
            return int(line.split("calls=")[1].split(",")[0])
    return 0


async def _filled(plan: Plan, place: Nodes) -> Filled:
    """As `filled.filled`, with the copies in the cluster."""
    everybody = corpus.people(plan.random, plan.size(200, 70))
    async with ways.store(place.url) as store:
        found = Filled(await corpus.store_all(store, everybody), {})
    async with _client(place.url) as client:
        for person in found.people:
            value = b"".join(await client.lrange(list_key(person.address), -23, -1))
            await client.set(copy_key(person.address), value)
            found.whose[value] = found.answer(person)
    return found


@asynccontextmanager
async def _client(url: str) -> AsyncIterator[Any]:
    host, _, port = url.removeprefix("redis+cluster://").split(",")[0].partition(":")
    async with RedisCluster(host=host, port=int(port)) as client:
        yield client


@asynccontextmanager
async def _get(url: str) -> AsyncIterator[Call]:
    async with _client(url) as client:
        yield client.get


@asynccontextmanager
async def _set(url: str) -> AsyncIterator[Call]:
    async with _client(url) as client:

        async def put(pair: tuple[bytes, bytes]) -> Any:
            return await client.set(*pair)

        yield put


async def _commands(place: Nodes, store: Any, people: Sequence[Person]) -> float:
    """What the nodes were asked for each look-up of a home address, redirections included."""
    place.forget()
    for person in people:
        await store.read(query(person))
    return place.calls("lrange") / len(people)


def _reading(found: Filled) -> list[Way]:
    return [
        Way(GET, _get, found.copy_of, found.whose.__getitem__),
        Way(OURS, ways.verb("read"), query, decoded),
    ]


def _writing(plan: Plan) -> list[Way]:
    return [Way(SET, _set, pair(plan)), Way(APPEND, ways.verb("commit"), addition(plan))]


async def _race(
    plan: Plan, place: Nodes, found: Filled, scenario: str, taking_part: Sequence[Way]
) -> list[Trial]:
    async with Race(plan, place, scenario, taking_part) as race:
        await race.check(found.people, found.answer)
        return [
            await race.run(
                found.people, callers, calls=(2 + callers // 16) * MANY, rounds=plan.size(15, 2)
            )
            for callers in (1, MANY)
        ]


def _goals(reading: Sequence[Trial], writing: Sequence[Trial], commands: float) -> list[Goal]:
    return [
        Goal(
            "G11@1", "Cluster: p50 of a look-up, against one RedisCluster GET of the same bytes, "
            "1 caller",
            "<=", 0.85, "x", reading[0].times(OURS, GET, p50),
        ),
        Goal(
            "G11@64", "Cluster: appends per second, against RedisCluster SETs of the same bytes, "
            "64 callers",
            ">=", 4.5, "x", writing[1].times(APPEND, SET, per_second),
        ),
        counted("G11 commands", "Cluster: commands for a look-up of a home address", 1, commands),
    ]  # fmt: skip
