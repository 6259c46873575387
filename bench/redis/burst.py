"""Many callers who come at once, with default settings: over TCP, and to a cold store over TLS."""

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from bench import corpus
from bench.corpus import Person
from bench.harness import Goal, Outcome, Plan, Skip, counted
from bench.redis import ways
from bench.redis.filled import copy_key, filled
from bench.redis.lookup import query
from bench.redis.place import Place, standalone, with_tls

CALLERS, COLD = 256, 64


async def run(plan: Plan) -> Outcome:
    outcome = Outcome()
    async with standalone(plan) as place:
        people = (await filled(place, corpus.people(plan.random, 70))).people
        outcome.goals += await _many(place, people)
        outcome.notes.append(await _how_redis_py_does(place, people))
    try:
        outcome.goals += await _cold(plan)
    except Skip as reason:
        outcome.skipped.append(f"TLS burst: {reason}")
    return outcome


def _goal(id: str, what: str, target: float, number: float) -> Goal:
    return counted(f"G12 {id}", what, target, number)


async def _many(place: Place, people: Sequence[Person]) -> list[Goal]:
    """Each caller looks up five times; `control` is connected already."""
    before = _accepted(place)
    async with ways.store(place.url) as store:
        errors = await _errors(CALLERS, lambda person: store.read(query(person)), people)
    opened = _accepted(place) - before
    return [
        _goal("errors", f"Redis: errors of {CALLERS} callers with default settings", 0, errors),
        _goal("connections", f"Redis: connections that {CALLERS} callers share", 1, opened),
    ]


async def _errors(
    callers: int, call: Callable[[Person], Awaitable[object]], people: Sequence[Person]
) -> int:
    async def caller(number: int) -> int:
        failed = 0
        for turn in range(5):
            try:
                await call(people[(number + turn) % len(people)])
            except Exception:  # noqa: BLE001 - whatever it is, it is counted
                failed += 1
        return failed

    return sum(await asyncio.gather(*(caller(number) for number in range(callers))))


async def _how_redis_py_does(place: Place, people: Sequence[Person]) -> str:
    before = _accepted(place)
    async with ways.client(place.url) as client:
        get: Any = client.get
        errors = await _errors(CALLERS, lambda person: get(copy_key(person.address)), people)
    opened = _accepted(place) - before
    return (
        f"redis-py, {CALLERS} callers, default settings: "
        f"{errors} errors in {5 * CALLERS} GETs, {opened} connections"
    )


async def _cold(plan: Plan) -> list[Goal]:
    """How many connections the server has accepted, TLS handshakes that is, for one cold burst."""
    if importlib.util.find_spec("trustme") is None:
        raise Skip("the package trustme is not installed")
    async with with_tls() as (place, server):
        people = (await filled(place, corpus.people(plan.random, COLD))).people
        before = _accepted(place)
        async with ways.store(server.tls_url, check=False) as store:

            async def cold(person: Person) -> object:
                await store.check()
                return await store.read(query(person))

            errors = await _errors(COLD, cold, people)
            accepted = _accepted(place) - before
    return [
        _goal("TLS", f"Redis: TLS handshakes of a cold burst of {COLD} look-ups", 1, accepted),
        _goal("TLS errors", "Redis: errors in that burst", 0, errors),
    ]


def _accepted(place: Place) -> int:
    return int(place.control.info("stats")["total_connections_received"])
