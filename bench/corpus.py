"""What is stored before anything is measured: many contacts, the same in every store."""

import asyncio
import os
import time
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ctxbridge.model import (
    Address,
    Assurance,
    Change,
    Claim,
    Committed,
    Context,
    Decision,
    Endpoint,
    GuardResult,
    Inbound,
    Message,
    Text,
)
from ctxbridge.ports import Store
from ctxbridge.wire import StateBytes, encode_state

TENANT = "bench"
ENDPOINT = Endpoint("sms", "+15550000000")
WINDOW = 20
_AT_ONCE = 500
NOW = int(time.time() * 1000)

_STORY = (
    "The order was to arrive tomorrow, but the parcel with the blue lamp is still at the depot. "
    "Could you please send it to my neighbour's door instead, as my bell is broken? Thank you! "
    "Of course: I have changed the delivery address, and the driver will leave a receipt there. "
    "One more thing: the invoice shows the size twice, and I should like a refund for one of them. "
)
_GUARDS = ("opt_out", "automatic", "pii")


class Person(NamedTuple):
    """One contact: whom they are, what was said so far, and the state that was stored."""

    id: bytes
    address: Address
    messages: tuple[Message, ...]
    state: bytes


class Answer(NamedTuple):
    """What a look-up must answer, whoever is asked."""

    texts: tuple[str, ...]
    authors: tuple[str, ...]
    state: bytes | None


def people(
    random: Random, count: int = 200, messages: int = 30, *, judged: bool = True
) -> list[Person]:
    """`count` contacts with `messages` each, with the guards' decisions if `judged`."""
    return [_person(random, number, messages, judged) for number in range(count)]


def _person(random: Random, number: int, messages: int, judged: bool) -> Person:
    address = Address("sms", f"+1555{number:07}")
    said = tuple(message(random, address, place, judged=judged) for place in range(messages))
    fields = {f"field_{place}": random.randrange(10_000) for place in range(12)}
    payload = msgspec.msgpack.encode({"note": words(random, 200), **fields})
    return Person(random.randbytes(16), address, said, encode_state(StateBytes(1, 1, payload)))


def words(random: Random, characters: int = 200) -> str:
    start = random.randrange(len(_STORY))
    return (_STORY * 2)[start : start + characters]


def message(random: Random, address: Address, place: int, *, judged: bool = True) -> Message:
    """A message as a turn stores it with the built-in guards: judged, its decision with it."""
    inbound = place % 2 == 0
    text = words(random, random.randrange(120, 280))
    return Message(
        random.randbytes(16),
        "contact" if inbound else "agent",
        address.channel,
        (Text(text),),
        NOW + place,
        address=address,
        endpoint=ENDPOINT,
        message_id=random.randbytes(17).hex() if inbound else "",
        assurance=Assurance.CHANNEL if inbound else Assurance.ANONYMOUS,
        packed_decision=_decision(random, inbound=inbound).pack() if judged else b"",
    )


def told_anew(message: Message, address: Address, turn: bytes) -> Message:
    """The same words, under an id and from an address that they were not said with before."""
    return replace(message, turn=turn, address=address, message_id=turn.hex())


def _decision(random: Random, *, inbound: bool) -> Decision:
    digest = random.randbytes(16)
    guards = _GUARDS if inbound else ("consent", "pii")
    results = tuple(GuardResult(name, "1", "allow", microseconds=3) for name in guards)
    return Decision(
        "inbound" if inbound else "reply", "allow", "allow", "", results, digest, digest
    )


async def store_all(store: Store, everybody: Sequence[Person], at_once: int = 64) -> list[Person]:
    """Let everybody have said what they said; they come back with the ids that they were given."""
    known: list[Person] = []
    for at in range(0, len(everybody), at_once):
        some = everybody[at : at + at_once]
        known += await asyncio.gather(*(_store(store, person) for person in some))
    return known


async def _store(store: Store, person: Person) -> Person:
    first, *others = person.messages
    opened = await store.open(claim(person, first))
    assert opened.context.contact is not None
    person = person._replace(id=opened.context.contact.id)
    for at in range(0, max(len(others), 1), _AT_ONCE):
        change = Change(
            TENANT, person.id, random_id(), NOW, append=tuple(others[at : at + _AT_ONCE])
        )
        if not at:
            change = replace(
                change, turn=first.turn, fence=opened.fence, amend=((opened.seq, first),),
                state=person.state,
            )  # fmt: skip
        assert isinstance(await store.commit(change), Committed)
    return person


def random_id() -> bytes:
    """An id that nobody has used."""
    return os.urandom(16)


def claim(person: Person, first: Message) -> Claim:
    return Claim(
        TENANT,
        ENDPOINT,
        person.address,
        first,
        first.turn,
        first.turn,
        person.id,
        first.turn,
        NOW,
        Assurance.CHANNEL,
    )


def addition(random: Random, person: Person) -> Change:
    """One more message of a person, under a turn id that nobody has used."""
    more = message(random, person.address, 1)
    return Change(TENANT, person.id, more.turn, NOW, append=(more,))


def inbound(random: Random, person: Person) -> Inbound:
    """A message that comes in for a turn."""
    return Inbound(
        "sms",
        ENDPOINT,
        person.address,
        random.randbytes(17).hex(),
        (Text(words(random)),),
        Assurance.CHANNEL,
        provider="bench",
    )


def answer(context: Context) -> Answer:
    return answer_of(context.messages, context.state)


def answer_of(messages: Sequence[Message], state: bytes | None) -> Answer:
    return Answer(tuple(m.text for m in messages), tuple(m.author for m in messages), state)
