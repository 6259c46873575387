"""A server that is milliseconds away: a proxy holds back what goes either way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from bench import corpus
from bench.harness import Outcome, Plan, Skip
from bench.redis import ways
from bench.redis.append import addition, pair
from bench.redis.filled import filled
from bench.redis.lookup import decoded, query
from bench.redis.place import Place, standalone
from bench.redis.race import Race, Way
from bench.redis.ways import GET, SET
from ctxbridge.testing.proxy import Proxy

DELAYS = (0.001, 0.005)


async def run(plan: Plan) -> Outcome:
    outcome = Outcome()
    for delay in DELAYS[: plan.size(2, 1)]:
        async with standalone(plan) as place:
            await _at(plan, place, delay, outcome)
    return outcome


async def _at(plan: Plan, place: Place, delay: float, outcome: Outcome) -> None:
    """One delay, on a server of its own: what is appended would be found by the next."""
    if urlsplit(place.tcp).scheme != "redis":
        raise Skip("the proxy does not speak TLS")
    found = await filled(place, corpus.people(plan.random, 70))
    taking_part = [
        Way(GET, ways.redis_get, found.copy_of, found.whose.__getitem__),
        Way(SET, ways.redis_set, pair(plan)),
        Way("look-up", ways.verb("read"), query, decoded),
        Way("append", ways.verb("commit"), addition(plan)),
        Way("look-up, near cache", ways.verb("read", near_cache=True), query, decoded),
    ]
    async with (
        _far_away(place, delay) as far,
        Race(plan, far, f"Redis, {delay * 1000:g} ms away", taking_part) as race,
    ):
        await race.check(found.people[:5], found.answer)
        calls, rounds = plan.size(40, 10), plan.size(5, 1)
        trial = await race.run(found.people, 1, calls=calls, rounds=rounds)
    outcome.add([trial], GET)


@asynccontextmanager
async def _far_away(place: Place, delay: float) -> AsyncIterator[Place]:
    async with Proxy(place.host, place.port) as proxy:
        proxy.delay_seconds = delay
        url = f"redis://127.0.0.1:{proxy.port}"
        yield Place(url, url, place.control)
