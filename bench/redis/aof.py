"""Appends to a server that writes its file through to the disk before it answers (AOF, always)."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from bench import corpus
from bench.corpus import Person
from bench.harness import Goal, Outcome, Plan, per_second, require_equal
from bench.redis import ways
from bench.redis.append import addition, require_idempotent
from bench.redis.filled import Filled, filled, ids_key, list_key
from bench.redis.place import Place, own
from bench.redis.race import MANY, Call, Race, Way
from bench.redis.wire import relay
from ctxbridge.model import Change
from ctxbridge.stores.redis.scripts import COMMIT
from ctxbridge.stores.redis.values import packed_change
from ctxbridge.wire import encode_entry
from ctxbridge.wire.keys import address_key

SCENARIO = "Redis append, AOF always"
OURS, THEIRS = "append", "the same script over redis-py"
ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")

Words = tuple[Any, ...]


async def run(plan: Plan) -> Outcome:
    async with own(plan, *ALWAYS) as (place, _):
        found = await filled(place, corpus.people(plan.random, 70))
        async with ways.store(place.url) as store:
            await require_idempotent(SCENARIO, store, found.people[:5], plan)
        sha: str = place.control.script_load(COMMIT.text)
        await _require_same_script(plan, place, found, sha)
        script = Way(THEIRS, _evalsha, _words(plan, sha), note="evalsha")
        taking_part = [script, Way(OURS, ways.verb("commit"), addition(plan))]
        async with Race(plan, place, SCENARIO, taking_part) as race:
            one = await race.run(found.people, 1, calls=plan.size(32, 8), rounds=plan.size(7, 1))
            many = await race.run(
                found.people, MANY, calls=plan.size(10, 2) * MANY, rounds=plan.size(15, 2)
            )
    what = "Redis, AOF always: durable appends per second, against the same script over redis-py, "
    ratio = many.times(OURS, THEIRS, per_second)
    outcome = Outcome(goals=[Goal("G17@64", f"{what}64 callers", ">=", 2.3, "x", ratio)])
    outcome.add((one, many), THEIRS)
    return outcome


def _words(plan: Plan, sha: str) -> Callable[[Person], Words]:
    """An append as the words of the command that our store sends for it."""

    def made(person: Person) -> Words:
        return words(sha, person, corpus.addition(plan.random, person))

    return made


def words(sha: str, person: Person, change: Change) -> Words:
    list = address_key(corpus.TENANT, person.address)
    fixed = packed_change(change, corpus.random_id()[:8], 0, list)
    entries = [encode_entry(entry) for entry in change.append]
    return (sha, 2, list_key(person.address), ids_key(person.address), fixed, b"", *entries)


@asynccontextmanager
async def _evalsha(url: str) -> AsyncIterator[Call]:
    async with ways.client(url) as client:

        async def append(words: Words) -> Any:
            nonce, status, *_ = await client.evalsha(*words)
            assert (nonce, status) == (words[4][:8], b"ok")
            return status

        yield append


async def _require_same_script(plan: Plan, place: Place, found: Filled, sha: str) -> None:
    """What redis-py is to send is, word for word but for the nonce, what our store sends."""
    person = found.people[0]
    change = corpus.addition(plan.random, person)
    async with relay(place) as (url, wire), ways.store(url) as store:
        await store.commit(corpus.addition(plan.random, person))
        wire.forget()
        await store.commit(change)
    [sent] = wire.said
    ours = [word[8:] if at == 5 else word for at, word in enumerate(sent)][1:]
    theirs = [_bytes(word) for word in words(sha, person, change)]
    theirs[4] = theirs[4][8:]
    require_equal(SCENARIO, {OURS: ours, THEIRS: theirs})


def _bytes(word: Any) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode()
