"""The idempotent append of one message, beside one SET of the same bytes."""

from collections.abc import Callable, Sequence
from itertools import count

from bench import corpus
from bench.corpus import Person
from bench.harness import Goal, Outcome, Plan, Trial, p50, per_second, require_equal
from bench.redis import ways
from bench.redis.filled import Filled, filled
from bench.redis.place import standalone
from bench.redis.race import MANY, Race, Way
from bench.redis.ways import SET
from ctxbridge.model import Change, Committed, Message, Query
from ctxbridge.ports import Store
from ctxbridge.wire import encode_entry

SCENARIO = "Redis append"
OURS, NEAR = "append", "append, near cache"
REPEATED = "append, the same again"


async def run(plan: Plan) -> Outcome:
    async with standalone(plan) as place:
        found = await filled(place, corpus.people(plan.random, plan.size(200, 70)))
        async with ways.store(place.url) as store:
            await require_idempotent(SCENARIO, store, found.people[:20], plan)
        async with Race(plan, place, SCENARIO, _ways(plan, found)) as race:
            await race.count(found.people)
            one, many = [
                await race.run(
                    found.people, callers, calls=(2 + callers // 16) * MANY, rounds=plan.size(21, 2)
                )
                for callers in (1, MANY)
            ]
    outcome = Outcome(goals=_goals(one, many))
    outcome.add((one, many), SET)
    return outcome


def _ways(plan: Plan, found: Filled) -> list[Way]:
    return [
        Way(SET, ways.redis_set, pair(plan)),
        Way(OURS, ways.verb("commit"), addition(plan), note="one message, idempotent by turn"),
        Way(NEAR, ways.verb("commit", near_cache=True), addition(plan)),
        Way(REPEATED, ways.verb("commit"), _repetition(plan, found), note="answered as before"),
    ]


def pair(plan: Plan) -> Callable[[Person], tuple[bytes, bytes]]:
    """A key that nobody has used, and a message as our store would store it."""
    number = count()

    def made(person: Person) -> tuple[bytes, bytes]:
        said = corpus.message(plan.random, person.address, 1)
        key = b"bench:set:%b:%d" % (person.address.value.encode(), next(number) % 64)
        return key, encode_entry(said)

    return made


def addition(plan: Plan) -> Callable[[Person], Change]:
    def made(person: Person) -> Change:
        return corpus.addition(plan.random, person)

    return made


def _repetition(plan: Plan, found: Filled) -> Callable[[Person], Change]:
    """A change that each person has made before: the first call of each is no repetition."""
    changes = {person.id: corpus.addition(plan.random, person) for person in found.people}

    def made(person: Person) -> Change:
        return changes[person.id]

    return made


async def require_idempotent(
    scenario: str, store: Store, people: Sequence[Person], plan: Plan
) -> None:
    """Each appended twice, stored once, read back as it was said, and the place is the same."""
    for person in people:
        change = corpus.addition(plan.random, person)
        first, again = await store.commit(change), await store.commit(change)
        context = await store.read(Query(corpus.TENANT, person.address))
        [said] = change.append
        last, before = context.window[-1], context.window[-2]
        assert isinstance(said, Message)
        assert isinstance(last, Message)
        place = len(person.messages) + 1
        require_equal(
            scenario,
            {
                "expected": (Committed(place, context.revision, True), said.text, place, True),
                "stored": (again, last.text, context.window.seqs[-1], last.turn != before.turn),
            },
        )
        assert isinstance(first, Committed)
        require_equal(scenario, {"first": (first.seq, False), "told": (place, first.replayed)})


def exactly(trial: Trial, name: str, counter: str) -> float:
    """What was counted of a variant, which does not differ between rounds."""
    return trial.samples[name][0].counters[counter]


def _goals(one: Trial, many: Trial) -> list[Goal]:
    return [
        Goal(
            "G5@1", "Redis: p50 of an idempotent append, against one redis-py SET of the same "
            "bytes, 1 caller",
            "<=", 0.8, "x", one.times(OURS, SET, p50),
        ),
        Goal(
            "G5@64", "Redis: idempotent appends per second, against redis-py SETs, 64 callers",
            ">=", 3.8, "x", many.times(OURS, SET, per_second),
        ),
    ]  # fmt: skip
