"""The look-up of 20 messages, state and contact, beside one GET of the same bytes."""

from collections.abc import Sequence
from typing import Any

from bench import corpus
from bench.corpus import Answer, Person
from bench.harness import Goal, Outcome, Plan, Trial, p50, per_second
from bench.redis import ways
from bench.redis.filled import Filled, filled
from bench.redis.place import Place, standalone
from bench.redis.race import MANY, Race, Way
from bench.redis.ways import GET, MUX, RAW
from ctxbridge.model import Address, Context, Query

SCENARIO = "Redis look-up"
OURS, DECODED, NEAR = "look-up", "look-up, all decoded", "look-up, near cache"
BY_HAND = "redis-py LRANGE, all decoded"


async def run(plan: Plan) -> Outcome:
    async with standalone(plan) as place:
        found = await filled(place, corpus.people(plan.random, plan.size(200, 70)))
        one, many = await _race(plan, place, found)
        [near] = await _near(plan, place, found)
        bare = [] if plan.quick else await _bare(plan, place)
    outcome = Outcome(goals=_goals(one, many, near))
    outcome.add((one, many, near, *bare), GET)
    shown = {"ctxbridge near cache": NEAR, "ctxbridge look-up": OURS, RAW: RAW, GET: GET}
    outcome.curves = {label: one.curve(name) for label, name in shown.items()}
    return outcome


async def on_another_loop(plan: Plan) -> Outcome:
    """The same, for a loop that is not asyncio's own: rows alone."""
    async with standalone(plan) as place:
        found = await filled(place, corpus.people(plan.random, plan.size(200, 70)))
        trials = await _race(plan, place, found, f"{SCENARIO}, uvloop")
    outcome = Outcome()
    outcome.add(trials, GET)
    return outcome


def query(person: Person) -> Query:
    return Query(corpus.TENANT, person.address)


def decoded(context: Context) -> Answer:
    """What the context says, all of it decoded and of the right types."""
    return corpus.answer(context)


def floors(found: Filled) -> list[Way]:
    """One GET of the bytes that the look-up reads: over a socket, redis-py, our exchange."""

    def request(person: Person) -> bytes:
        return ways.get_request(found.copy_of(person))

    shows = found.whose.__getitem__
    return [
        Way(RAW, ways.raw_get, request, shows, "one blocking socket", alone=True),
        Way(GET, ways.redis_get, found.copy_of, shows),
        Way(MUX, ways.mux_get, request, shows, "the bare exchange of our store"),
    ]


def ours() -> list[Way]:
    return [
        Way(OURS, ways.verb("read"), query, decoded, "decoded when touched"),
        Way(DECODED, ways.read_decoded, query, _answer_of_pair),
    ]


def near(many: int = 8) -> Way:
    return Way(NEAR, ways.verb("read", near_cache=True), query, decoded, "warm", many=many)


def _answer_of_pair(pair: Any) -> Answer:
    return corpus.answer_of(*pair)


async def _race(
    plan: Plan, place: Place, found: Filled, scenario: str = SCENARIO
) -> Sequence[Trial]:
    by_hand = Way(BY_HAND, ways.redis_lrange, found.list_of, _answer_of_pair, "the same list")
    taking_part = [*floors(found), by_hand, *ours(), near()]
    async with Race(plan, place, scenario, taking_part) as race:
        await race.check(found.people, found.answer)
        await race.count(found.people)
        return [
            await race.run(
                found.people, callers, calls=(3 + callers // 16) * MANY, rounds=plan.size(21, 2)
            )
            for callers in (1, MANY)
        ]


async def _bare(plan: Plan, place: Place) -> Sequence[Trial]:
    """Messages without the guards' decisions, which are a third of their bytes."""
    people = [
        person._replace(address=Address("chat", person.address.value))
        for person in corpus.people(plan.random, 200, judged=False)
    ]
    return await _race(plan, place, await filled(place, people), f"{SCENARIO}, no decisions stored")


async def _near(plan: Plan, place: Place, found: Filled) -> Sequence[Trial]:
    """So short a call is timed by the hundred."""
    async with Race(
        plan, place, f"{SCENARIO}, timed by the hundred", [near(), floors(found)[1]]
    ) as race:
        await race.check(found.people, found.answer)
        trial = await race.run(
            found.people, 1, calls=plan.size(500, 200), rounds=plan.size(21, 2), blocks=True
        )
    return [trial]


def _goals(one: Trial, many: Trial, near: Trial) -> list[Goal]:
    return [
        Goal(
            "G1@1", "Redis: p50 of a look-up of 20 messages, state and contact, against one "
            "redis-py GET of the same bytes, 1 caller",
            "<=", 0.7, "x", one.times(OURS, GET, p50),
        ),
        Goal(
            "G1@64", "Redis: look-ups per second, against redis-py GETs, 64 callers",
            ">=", 4.0, "x", many.times(OURS, GET, per_second),
        ),
        Goal(
            "G2@1", "Redis: the same with everything decoded, p50, 1 caller",
            "<=", 0.9, "x", one.times(DECODED, GET, p50),
        ),
        Goal(
            "G2@64", "Redis: the same with everything decoded, per second, 64 callers",
            ">=", 1.9, "x", many.times(DECODED, GET, per_second),
        ),
        Goal(
            "G3@1", "Redis: p50 of a look-up, against a raw GET on the same kind of connection, "
            "1 caller",
            "<=", 1.25, "x", one.times(OURS, MUX, p50),
        ),
        Goal(
            "G3@64", "Redis: time of a look-up, against that raw GET, 64 callers",
            "<=", 1.6, "x", many.times(MUX, OURS, per_second),
        ),
        Goal(
            "G4 p50", "Redis: p50 of a look-up from the near cache",
            "<=", 2.0, "µs", near.metric(NEAR, p50),
        ),
        Goal(
            "G4@64", "Redis: look-ups per second from the near cache, against redis-py GET, "
            "64 callers",
            ">=", 30.0, "x", many.times(NEAR, GET, per_second),
        ),
    ]  # fmt: skip
