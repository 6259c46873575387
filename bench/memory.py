"""The store in memory, over an async call that does nothing."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from bench import corpus
from bench.corpus import Person
from bench.harness import (
    Goal,
    Outcome,
    Plan,
    Sample,
    Trial,
    Variant,
    compare,
    in_blocks,
    mean,
    require_equal,
)
from ctxbridge.model import Address, Assurance, Change, Claim, Committed, Query
from ctxbridge.stores.memory import MemoryStore

T = TypeVar("T")

FLOOR = "empty async call"
READ, READ_BUILT, READ_FRESH = "read", "Query built, read", "append, read"
COMMIT, TURN = "commit", "open, Change built, commit"


async def empty(_: object) -> None:
    """What any async call costs."""


async def run(plan: Plan) -> Outcome:
    everybody = corpus.people(plan.random)
    reading, appending = await look_up(plan, everybody), await append(plan, everybody)
    over_read = reading.over(READ, FLOOR, mean)
    over_append = appending.over(COMMIT, FLOOR, mean)
    return Outcome(
        reading.rows(FLOOR) + appending.rows(FLOOR),
        [
            Goal(
                "G15 look-up", "memory: look-up of 20 messages with state, over an empty async "
                "call",
                "<=", 0.5, "µs", over_read,
            ),
            Goal(
                "G15 append", "memory: append, idempotent by turn, over an empty async call",
                "<=", 1.5, "µs", over_append,
            ),
        ],
    )  # fmt: skip


async def _filled(everybody: Sequence[Person]) -> MemoryStore:
    store = MemoryStore()
    await corpus.store_all(store, everybody)
    return store


async def look_up(plan: Plan, everybody: Sequence[Person]) -> Trial:
    store = await _filled(everybody)
    changing = await _filled(everybody)
    chosen = plan.random.choices(everybody, k=5_000)
    addresses = [person.address for person in chosen]
    queries = [Query(corpus.TENANT, address) for address in addresses]
    read = store.read

    async def built(address: Address) -> object:
        return await read(Query(corpus.TENANT, address, Assurance.AUTHENTICATED, corpus.WINDOW))

    async def after_append(pair: tuple[Change, Query]) -> object:
        await changing.commit(pair[0])
        return await changing.read(pair[1])

    async def take_after_append() -> Sample:
        some = chosen[: len(chosen) // 5]
        changes = [corpus.addition(plan.random, person) for person in some]
        return await in_blocks(after_append, list(zip(changes, queries, strict=False)))

    await _require_same(everybody, store, built)
    variants = [
        _timed(FLOOR, empty, queries),
        _timed(READ, read, queries),
        _timed(READ_BUILT, built, addresses),
        Variant(READ_FRESH, take_after_append, "the window is built again"),
    ]
    return await compare(plan, "memory look-up", variants, rounds=plan.size(41, 7))


async def _require_same(
    everybody: Sequence[Person],
    store: MemoryStore,
    built: Callable[[Address], Awaitable[object]],
) -> None:
    for person in everybody:
        context = await store.read(Query(corpus.TENANT, person.address))
        again = await built(person.address)
        last = person.messages[-corpus.WINDOW :]
        require_equal(
            "memory look-up",
            {
                "corpus": corpus.answer_of(last, person.state),
                READ: corpus.answer(context),
                READ_BUILT: corpus.answer(again),  # type: ignore[arg-type]
            },
        )


def _timed(name: str, call: Callable[[T], Awaitable[object]], arguments: Sequence[T]) -> Variant:
    async def take() -> Sample:
        return await in_blocks(call, arguments)

    return Variant(name, take)


async def append(plan: Plan, everybody: Sequence[Person]) -> Trial:
    """Every sample has a fresh store; few enough calls that what they append is in the cache."""
    chosen = plan.random.choices(everybody, k=1_000)
    changes = [corpus.addition(plan.random, person) for person in chosen]
    await _require_idempotent(everybody, changes[:500])

    async def take_commit() -> Sample:
        store = await _filled(everybody)
        return await in_blocks(store.commit, changes)

    async def take_turn() -> Sample:
        store = await _filled(everybody)
        whole = [
            corpus.claim(person, corpus.message(plan.random, person.address, 0))
            for person in chosen
        ]
        return await in_blocks(_whole_turn(store), list(zip(whole, changes, strict=True)))

    variants = [
        _timed(FLOOR, empty, changes),
        Variant(COMMIT, take_commit),
        Variant(TURN, take_turn, "a whole turn"),
    ]
    return await compare(plan, "memory append", variants, rounds=plan.size(41, 7))


def _whole_turn(store: MemoryStore) -> Callable[[tuple[Claim, Change]], Awaitable[object]]:
    async def turn(pair: tuple[Claim, Change]) -> object:
        claim, reply = pair
        opened = await store.open(claim)
        change = Change(
            claim.tenant, reply.contact, claim.turn, claim.now, opened.fence,
            amend=((opened.seq, claim.message),), append=reply.append,
        )  # fmt: skip
        return await store.commit(change)

    return turn


async def _require_idempotent(everybody: Sequence[Person], changes: Sequence[Change]) -> None:
    """Each appended once, repeated once: every conversation grew by what was new, densely."""
    store = await _filled(everybody)
    first = [await store.commit(change) for change in changes]
    again = [await store.commit(change) for change in changes]
    places = [(done.seq, False) for done in first if isinstance(done, Committed)]
    repeated = [(done.seq, not done.replayed) for done in again if isinstance(done, Committed)]
    require_equal("memory append", {"first": places, "repeated": repeated})
    expected = {person.id: len(person.messages) for person in everybody}
    for change, (place, _) in zip(changes, places, strict=True):
        expected[change.contact] += 1
        require_equal("memory append", {"dense": expected[change.contact], COMMIT: place})
