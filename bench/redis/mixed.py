"""Reads and writes of a few busy contacts and many quiet ones, and whether any read was stale."""

import asyncio
from bisect import bisect
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import accumulate
from typing import NamedTuple

from bench import corpus
from bench.corpus import Person
from bench.harness import Outcome, Plan, Trial, counted
from bench.redis import ways
from bench.redis.append import pair
from bench.redis.filled import Filled, filled
from bench.redis.place import Place, standalone
from bench.redis.race import MANY, Call, Race, Way
from ctxbridge.model import Change, Query
from ctxbridge.ports import Store

REDIS, NEAR, PLAIN = "redis-py GET or SET", "look-up or append, near cache", "look-up or append"


class Step(NamedTuple):
    """A read, or a write where there is a change."""

    query: Query
    change: Change | None


async def run(plan: Plan) -> Outcome:
    async with standalone(plan) as place:
        found = await filled(place, corpus.people(plan.random, plan.size(1_000, 70), 20))
        trials = [await _mixed(plan, place, found, share) for share in (0.02, 0.3)]
        stale, compared = await _stale(plan, place, found)
    what = f"Redis: stale entries among {compared} of two near caches after random operations"
    outcome = Outcome(goals=[counted("G4 stale", what, 0, stale)])
    outcome.add(trials, REDIS)
    return outcome


async def _mixed(plan: Plan, place: Place, found: Filled, share: float) -> Trial:
    pick, write, random = _zipf(found.people), pair(plan), plan.random

    def step(_: Person) -> Step:
        person = found.people[pick(random.random())]
        change = corpus.addition(random, person) if random.random() < share else None
        return Step(Query(corpus.TENANT, person.address), change)

    def plain(_: Person) -> tuple[bytes, bytes | None]:
        person = found.people[pick(random.random())]
        return write(person) if random.random() < share else (found.copy_of(person), None)

    taking_part = [
        Way(REDIS, _redis, plain),
        Way(NEAR, lambda url: _store(url, near_cache=True), step, many=4),
        Way(PLAIN, lambda url: _store(url, near_cache=False), step),
    ]
    scenario = f"Redis, {share:.0%} writes, Zipf keys"
    async with Race(plan, place, scenario, taking_part) as race:
        return await race.run(found.people, MANY, calls=12 * MANY, rounds=plan.size(11, 2))


def _zipf(people: Sequence[Person], exponent: float = 1.1) -> "_Pick":
    return _Pick(list(accumulate(1 / (rank**exponent) for rank in range(1, len(people) + 1))))


class _Pick:
    def __init__(self, sums: Sequence[float]) -> None:
        self._sums = sums

    def __call__(self, chance: float) -> int:
        return bisect(self._sums, chance * self._sums[-1])


@asynccontextmanager
async def _redis(url: str) -> AsyncIterator[Call]:
    async with ways.client(url) as client:

        async def step(what: tuple[bytes, bytes | None]) -> object:
            key, value = what
            return await (client.get(key) if value is None else client.set(key, value))

        yield step


@asynccontextmanager
async def _store(url: str, near_cache: bool) -> AsyncIterator[Call]:
    async with ways.store(url, near_cache=near_cache) as store:

        async def step(what: Step) -> object:
            if what.change is None:
                return await store.read(what.query)
            return await store.commit(what.change)

        yield step


async def _stale(plan: Plan, place: Place, found: Filled) -> tuple[int, int]:
    """Two caches under random reads and writes through both, then compared with the truth."""
    people = found.people[:200]
    async with (
        ways.store(place.url, near_cache=True) as one,
        ways.store(place.url, near_cache=True) as other,
        ways.store(place.url) as truth,
    ):
        stores = (one, other)
        for _ in range(plan.size(40, 4)):
            await asyncio.gather(*(_random_step(plan, stores, people) for _ in range(4 * MANY)))
        await asyncio.sleep(0.05)  # what was announced has arrived
        pairs = [(store, person) for store in stores for person in people]
        wrong = [await _differs(store, truth, person) for store, person in pairs]
    return sum(wrong), len(wrong)


async def _random_step(plan: Plan, stores: Sequence[Store], people: Sequence[Person]) -> None:
    store, person = plan.random.choice(stores), plan.random.choice(people)
    if plan.random.random() < 0.3:
        await store.commit(corpus.addition(plan.random, person))
    else:
        await store.read(Query(corpus.TENANT, person.address))


async def _differs(store: Store, truth: Store, person: Person) -> bool:
    query = Query(corpus.TENANT, person.address)
    seen, stored = await store.read(query), await truth.read(query)
    return (seen.seq, corpus.answer(seen)) != (stored.seq, corpus.answer(stored))
