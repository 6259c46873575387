"""A server with everybody in it, and beside each list a string of the same bytes for the floors."""

from collections.abc import Sequence
from dataclasses import dataclass

import redis

from bench import corpus
from bench.corpus import Answer, Person
from bench.redis import ways
from bench.redis.place import Place
from ctxbridge.model import Address
from ctxbridge.stores.redis.keys import Keys

_ALL = Keys("cb", 256, 1_000_000)
_TAIL = 3


@dataclass(frozen=True, slots=True)
class Filled:
    """Who is stored, with their ids as stored. `whose` gives what a copy's bytes say."""

    people: Sequence[Person]
    whose: dict[bytes, Answer]

    def copy_of(self, person: Person) -> bytes:
        return copy_key(person.address)

    def list_of(self, person: Person) -> bytes:
        return list_key(person.address)

    def answer(self, person: Person) -> Answer:
        return corpus.answer_of(person.messages[-corpus.WINDOW :], person.state)


def list_key(address: Address) -> bytes:
    """Where the store keeps the conversation of an address."""
    return _ALL.of_address(corpus.TENANT, address).key


def ids_key(address: Address) -> bytes:
    """Where the store keeps the ids that it remembers of that conversation."""
    return _ALL.of_address(corpus.TENANT, address).ids


def copy_key(address: Address) -> bytes:
    return b"bench:copy:%b" % address.value.encode()


async def filled(place: Place, everybody: Sequence[Person]) -> Filled:
    async with ways.store(place.url) as store:
        people = await corpus.store_all(store, everybody)
    found = Filled(people, {})
    copy_all(place.control, found)
    return found


def copy_all(control: "redis.Redis", found: Filled) -> None:
    """What a look-up reads, as one string."""
    for person in found.people:
        read: list[bytes] = control.lrange(  # type: ignore[assignment]
            list_key(person.address).decode(), -(corpus.WINDOW + _TAIL), -1
        )
        value = b"".join(read)
        control.set(copy_key(person.address).decode(), value)
        found.whose[value] = found.answer(person)
