"""A whole exchange with the near cache: read, append, read, append, read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from bench import corpus
from bench.corpus import Person
from bench.harness import Goal, Outcome, Plan, Trial, counted, per_second, require_equal
from bench.redis import ways
from bench.redis.append import exactly, pair
from bench.redis.filled import filled
from bench.redis.place import standalone
from bench.redis.race import MANY, Call, Race, Way
from bench.redis.ways import SET
from ctxbridge.model import Change, Query

SCENARIO = "Redis exchange: 3 look-ups and 2 appends"
NEAR, PLAIN = "exchange, near cache", "exchange, no near cache"


class Exchanged(NamedTuple):
    """What an exchange is made of."""

    query: Query
    question: Change
    answer: Change


async def run(plan: Plan) -> Outcome:
    async with standalone(plan) as place:
        found = await filled(place, corpus.people(plan.random, plan.size(200, 70)))

        def whole(person: Person) -> Exchanged:
            question, answer = (corpus.addition(plan.random, person) for _ in range(2))
            return Exchanged(Query(corpus.TENANT, person.address), question, answer)

        for near_cache in (True, False):
            async with _exchange(place.url, near_cache) as call:
                await _require_seen(call, whole, found.people[:10])
        taking_part = [
            Way(SET, ways.redis_set, pair(plan), note="one SET"),
            Way(NEAR, lambda url: _exchange(url, near_cache=True), whole),
            Way(PLAIN, lambda url: _exchange(url, near_cache=False), whole),
        ]
        async with Race(plan, place, SCENARIO, taking_part) as race:
            await race.count(found.people)
            one = await race.run(found.people, 1, calls=MANY, rounds=plan.size(15, 2))
            many = await race.run(found.people, MANY, calls=6 * MANY, rounds=plan.size(21, 2))
    outcome = Outcome(goals=_goals(many))
    outcome.add((one, many), SET)
    return outcome


@asynccontextmanager
async def _exchange(url: str, near_cache: bool) -> AsyncIterator[Call]:
    async with ways.store(url, near_cache=near_cache) as store:

        async def exchange(what: Exchanged) -> tuple[int, int, int]:
            before = await store.read(what.query)
            await store.commit(what.question)
            asked = await store.read(what.query)
            await store.commit(what.answer)
            after = await store.read(what.query)
            return before.seq, asked.seq, after.seq

        yield exchange


async def _require_seen(call: Call, whole: object, people: object) -> None:
    """Each read sees what was appended before it."""
    for person in people:  # type: ignore[attr-defined]
        first, second, third = await call(whole(person))  # type: ignore[operator]
        require_equal(SCENARIO, {"dense": (first + 1, first + 2), "seen": (second, third)})


def _goals(many: Trial) -> list[Goal]:
    return [
        Goal(
            "G6@64", "Redis: whole exchanges (3 look-ups, 2 appends, near cache) per second, "
            "against single redis-py SETs, 64 callers",
            ">=", 1.0, "x", many.times(NEAR, SET, per_second),
        ),
        counted(
            "G6 trips", "Redis: network round trips of such an exchange", 2,
            exactly(many, NEAR, "round trips"),
        ),
    ]  # fmt: skip
