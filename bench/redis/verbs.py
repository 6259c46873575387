"""How many commands each verb is on the wire: counted, so the same on every machine."""

from collections.abc import Awaitable, Sequence

from bench import corpus
from bench.corpus import Person
from bench.harness import Goal, Outcome, Plan, counted
from bench.redis import ways
from bench.redis.place import standalone
from bench.redis.wire import Wire, relay
from ctxbridge.model import Address, Assurance, Link, LinkClaim, Query
from ctxbridge.ports import Store

_CALLS = 20


async def run(plan: Plan) -> Outcome:
    async with standalone(plan) as place:
        async with ways.store(place.url) as store:
            people = await corpus.store_all(store, corpus.people(plan.random, 4 * _CALLS, 4))
            await _link(store, people)
        async with relay(place) as (url, wire), ways.store(url) as store:
            await store.read(_query(people[0].address))
            goals = [*await _own(plan, store, wire, people), *await _forwarded(store, wire, people)]
    return Outcome(goals=goals)


async def _own(plan: Plan, store: Store, wire: Wire, people: Sequence[Person]) -> list[Goal]:
    """Verbs of contacts under the address that their list lies at."""
    met, unmet = people[::2], people[1::2]
    looked_up = await _wire(wire, [store.read(_query(person.address)) for person in met])
    said = [(person, corpus.message(plan.random, person.address, 0)) for person in met]
    opened = await _wire(wire, [store.open(corpus.claim(p, message)) for p, message in said])
    appended = await _wire(wire, _appends(plan, store, met))
    first = await _wire(wire, _appends(plan, store, unmet))
    return [
        _goal("look-up", "commands of a look-up", 1, looked_up["commands"]),
        _goal("append", "commands of an append", 1, appended["commands"]),
        _goal(
            "append, unmet", "commands of an append to a contact that this process has not met", 2,
            first["commands"],
        ),
        _goal("open", "commands of an open", 2, opened["commands"]),
        _goal("open, writes", "writes of an open", 1, opened["writes"]),
    ]  # fmt: skip


def _appends(plan: Plan, store: Store, people: Sequence[Person]) -> list[Awaitable[object]]:
    return [store.commit(corpus.addition(plan.random, person)) for person in people]


async def _forwarded(store: Store, wire: Wire, people: Sequence[Person]) -> list[Goal]:
    """A linked address leads elsewhere: that is asked once and remembered."""
    linked = [_query(second_address(person)) for person in people]
    first = await _wire(wire, [store.read(query) for query in linked])
    again = await _wire(wire, [store.read(query) for query in linked])
    return [
        _goal("forward", "commands of the first look-up of a linked address", 2, first["commands"]),
        _goal("forward, known", "commands of its next look-up", 1, again["commands"]),
    ]


def _goal(id: str, what: str, target: float, measured: float) -> Goal:
    return counted(f"G13 {id}", f"Redis: {what}, on the wire", target, measured)


async def _wire(wire: Wire, calls: Sequence[Awaitable[object]]) -> dict[str, float]:
    """What each of the calls is there, one made after the other."""
    wire.forget()
    for call in calls:
        await call
    return {**wire.per(len(calls)), "writes": wire.writes / len(calls)}


def _query(address: Address) -> Query:
    return Query(corpus.TENANT, address)


def second_address(person: Person) -> Address:
    return Address("email", f"{person.address.value[1:]}@example.org")


async def _link(store: Store, people: Sequence[Person]) -> None:
    for person in people:
        await store.identify(link_claim(person, second_address(person)))


def link_claim(person: Person, address: Address) -> LinkClaim:
    link = Link(address, Assurance.AUTHENTICATED, "bench", "tenant", corpus.NOW)
    return LinkClaim(
        corpus.TENANT, person.id, link, corpus.random_id(), corpus.random_id(), corpus.NOW
    )
