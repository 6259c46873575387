"""What sealing costs: a look-up of 20 messages, and an append, over the same store without."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import TypeVar

from bench import corpus
from bench.corpus import Answer, Person
from bench.harness import (
    Outcome,
    Plan,
    Sample,
    Skip,
    Trial,
    Variant,
    compare,
    in_blocks,
    mean,
    require_equal,
)
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Change, Query
from ctxbridge.ports import Store
from ctxbridge.stores import open_store

T = TypeVar("T")
PLAIN, SEALED = "plain", "sealed"
_KEY = bytes(range(32))


def key(_: str, id: str | None) -> tuple[str, bytes]:
    """The one key of every tenant."""
    return id or "bench", _KEY


async def run(plan: Plan) -> Outcome:
    outcome = Outcome()
    for name, url in (("memory", "memory://"), ("SQLite", f"sqlite:///{plan.folder}/%s.db")):
        everybody = corpus.people(plan.random)
        async with AsyncExitStack() as stack:
            stores = {
                PLAIN: open_store(url.replace("%s", PLAIN)),
                SEALED: _sealed(url.replace("%s", SEALED)),
            }
            people: list[Person] = []
            for store in stores.values():
                await store.check()
                stack.push_async_callback(store.aclose)
                people = await corpus.store_all(store, everybody)
            for trial in await _trials(plan, name, stores, people):
                outcome.add([trial], PLAIN)
                outcome.notes.append(_more(trial))
    return outcome


def _more(trial: Trial) -> str:
    more = trial.over(SEALED, PLAIN, mean)
    return f"{trial.scenario}: {more.median:.0f} µs more ({more.low:.0f} to {more.high:.0f})"


def _sealed(url: str) -> Store:
    try:
        return open_store(url, seal=key)
    except ConfigurationError as error:
        raise Skip(str(error)) from None


async def _trials(
    plan: Plan, name: str, stores: dict[str, Store], people: Sequence[Person]
) -> list[Trial]:
    chosen = plan.random.choices(people, k=plan.size(2_000, 500))
    queries = [Query(corpus.TENANT, person.address) for person in chosen]
    readers = {kind: _reader(store) for kind, store in stores.items()}
    for query in queries[:20]:
        require_equal(f"{name}, sealed", {kind: await r(query) for kind, r in readers.items()})
    looking = [_variant(kind, reader, lambda: queries) for kind, reader in readers.items()]
    adding = [
        _variant(kind, _writer(store), lambda: [corpus.addition(plan.random, p) for p in chosen])
        for kind, store in stores.items()
    ]
    rounds = plan.size(15, 3)
    return [
        await compare(plan, f"{name} look-up, sealed", looking, rounds=rounds),
        await compare(plan, f"{name} append, sealed", adding, rounds=rounds),
    ]


def _reader(store: Store) -> Callable[[Query], Awaitable[Answer]]:
    async def read(query: Query) -> Answer:
        return corpus.answer(await store.read(query))

    return read


def _writer(store: Store) -> Callable[[Change], Awaitable[object]]:
    async def write(change: Change) -> object:
        return await store.commit(change)

    return write


def _variant(
    name: str, call: Callable[[T], Awaitable[object]], arguments: Callable[[], Sequence[T]]
) -> Variant:
    async def take() -> Sample:
        return await in_blocks(call, arguments())

    return Variant(name, take)
