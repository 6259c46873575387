"""Whether a look-up stays as fast with long conversations and with many contacts, and what they
take of the server's memory."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from random import Random
from typing import Any

from bench import corpus
from bench.corpus import Person
from bench.harness import (
    Goal,
    Outcome,
    Plan,
    Sample,
    Spread,
    Trial,
    Variant,
    by_callers,
    compare,
    p50,
)
from bench.redis import ways
from bench.redis.filled import ids_key, list_key
from bench.redis.place import Place, own, standalone
from bench.redis.verbs import link_claim, second_address
from ctxbridge.model import Address, Change, Query
from ctxbridge.ports import Store

_FILLERS = 128
_REMEMBERED = (b"m", b"t")  # a message id, a turn whose answer is stored


async def run(plan: Plan) -> Outcome:
    lengths, length_goals = await _lengths(plan)
    contacts, contact_goals = await _contacts(plan)
    memory_goals = await _memory(plan)
    outcome = Outcome(goals=[*length_goals, *contact_goals, *memory_goals])
    outcome.add([lengths], next(iter(lengths.samples)))
    outcome.add([contacts], next(iter(contacts.samples)))
    return outcome


# --- long conversations -------------------------------------------------------------------------


async def _lengths(plan: Plan) -> tuple[Trial, list[Goal]]:
    longest = plan.size(10_000, 1_000)
    sizes = [20, 200, 2_000, longest] if not plan.quick else [20, longest]
    everybody = _of_lengths(plan.random, sizes)
    async with standalone(plan) as place, ways.store(place.url) as store:
        variants = []
        for size, made in everybody.items():
            people = await corpus.store_all(store, made)
            variants.append(_reading(f"{size:,} messages", store, people, plan))
        trial = await compare(plan, "Redis look-up, by length", variants, rounds=plan.size(21, 3))
    what = f"Redis: p50 of a look-up of 20 messages out of {longest:,}, against out of 20"
    ratio = trial.times(f"{longest:,} messages", "20 messages", p50)
    return trial, [Goal("G9 length", what, "<=", 1.15, "x", ratio)]


def _of_lengths(random: Random, sizes: Sequence[int]) -> dict[int, list[Person]]:
    """A few people of each length, under addresses of their own."""
    made: dict[int, list[Person]] = {}
    for size in sizes:
        people = corpus.people(random, 8, size)
        made[size] = [
            person._replace(address=Address("sms", f"{person.address.value}-{size}"))
            for person in people
        ]
    return made


def _reading(name: str, store: Store, people: Sequence[Person], plan: Plan) -> Variant:
    queries = [Query(corpus.TENANT, person.address) for person in people]
    chosen = plan.random.choices(queries, k=256)

    async def take() -> Sample:
        return await by_callers(1, store.read, chosen)

    return Variant(name, take)


# --- many contacts ------------------------------------------------------------------------------


async def _contacts(plan: Plan) -> tuple[Trial, list[Goal]]:
    few = plan.size(1_000, 100)
    many = 1_000_000 if plan.setting.million else plan.size(200_000, 600)
    async with AsyncExitStack() as stack:
        variants, per_contact = [], 0.0
        for count in (few, many):
            place, _ = await stack.enter_async_context(own(plan))
            store = await stack.enter_async_context(ways.store(place.url))
            per_contact = await _fill(plan, place, store, count)
            variants.append(_random_reading(plan, store, count))
        name = "Redis look-up, by number of contacts"
        trial = await compare(plan, name, variants, rounds=plan.size(21, 3))
    ratio = trial.times(f"{many:,} contacts", f"{few:,} contacts", p50)
    return trial, [
        Goal(
            "G9 contacts", f"Redis: p50 of a look-up among {many:,} contacts, against among "
            f"{few:,}",
            "<=", 1.2, "x", ratio,
        ),
        Goal(
            "G9 bytes", "Redis: server memory per contact (3 messages, one linked address, ids)",
            "<=", 3_000, "bytes", Spread(per_contact, per_contact, per_contact),
        ),
    ]  # fmt: skip


def _random_reading(plan: Plan, store: Store, count: int) -> Variant:
    async def take() -> Sample:
        numbers = [plan.random.randrange(count) for _ in range(256)]
        queries = [Query(corpus.TENANT, _address(number)) for number in numbers]
        return await by_callers(1, store.read, queries)

    return Variant(f"{count:,} contacts", take)


def _address(number: int) -> Address:
    return Address("sms", f"+1555{number:07}")


async def _fill(plan: Plan, place: Place, store: Store, count: int) -> float:
    """Store so many contacts; gives the bytes that each takes."""
    before, numbers = place.memory(), iter(range(count))
    templates = corpus.people(plan.random, 50, 3)

    async def filler() -> None:
        for number in numbers:
            template = templates[number % len(templates)]
            person = template._replace(id=corpus.random_id(), address=_address(number))
            await _found(store, person)

    async with asyncio.TaskGroup() as group:
        for _ in range(_FILLERS):
            group.create_task(filler())
    return (place.memory() - before) / count


async def _found(store: Store, person: Person) -> None:
    """One contact as it comes to be: a question, its answer, another question, a linked address."""
    question, answer, another = person.messages
    opened = await store.open(_new(person, question))
    assert opened.context.contact is not None
    person = person._replace(id=opened.context.contact.id)
    await store.commit(_done(person, opened.turn, opened.fence, answer))
    again = await store.open(_new(person, another))
    await store.commit(_done(person, again.turn, again.fence))
    await store.identify(link_claim(person, second_address(person)))


def _new(person: Person, message: Any) -> Any:
    turn = corpus.random_id()
    return corpus.claim(person, corpus.told_anew(message, person.address, turn))


def _done(person: Person, turn: bytes, fence: int, *answer: Any) -> Change:
    return Change(corpus.TENANT, person.id, turn, corpus.NOW, fence, append=answer)


# --- memory -------------------------------------------------------------------------------------


async def _memory(plan: Plan) -> list[Goal]:
    everybody = _of_lengths(plan.random, [20, 200])
    goals = []
    async with standalone(plan) as place, ways.store(place.url) as store:
        for size, most in ((20, 16.0), (200, 6.0)):
            people = await corpus.store_all(store, everybody[size])
            over = [_overhead(place, person) for person in people]
            what = (
                f"Redis: memory over the encoded bytes of {size} messages, head, contact and state"
            )
            goals.append(Goal(f"G10@{size}", what, "<=", most, "%", Spread.over(over)))
        ids = [await _bytes_per_id(plan, place, store, person) for person in people[:4]]
    what = "Redis: memory for each message id that is remembered, and its turn's answer"
    goals.append(Goal("G10 ids", what, "<=", 64.0, "bytes", Spread.over(ids)))
    return goals


def _usage(place: Place, key: bytes) -> int:
    return int(place.control.execute_command("MEMORY USAGE", key, "SAMPLES", 0))


def _overhead(place: Place, person: Person) -> float:
    key = list_key(person.address)
    encoded = sum(map(len, place.control.lrange(key, 0, -1)))
    return (_usage(place, key) / encoded - 1) * 100


async def _bytes_per_id(plan: Plan, place: Place, store: Store, person: Person) -> float:
    """A hundred turns of one contact, each with a message id and an answer."""
    for _ in range(100):
        said = corpus.message(plan.random, person.address, 0)
        opened = await store.open(_new(person, said))
        await store.commit(_done(person, opened.turn, opened.fence))
    key = ids_key(person.address)
    fields = place.control.hkeys(key)
    return _usage(place, key) / sum(field[:1] in _REMEMBERED for field in fields)
