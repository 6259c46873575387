"""What is stored before anything is measured: many contacts, the same in every store."""

import asyncio
import time
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import msgspec

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


def _decision(random: Random, *, inbound: bool) -> Decision:
    digest = random.randbytes(16)
    guards = _GUARDS if inbound else ("consent", "pii")
    results = tuple(GuardResult(name, "1", "allow", microseconds=3) for name in guards)
    return Decision(
        "inbound" if inbound else "reply", "allow", "allow", "", results, digest, digest
    )


async def store_all(store: Store, everybody: Sequence[Person]) -> None:
    """Let everybody have said what they said."""
    await asyncio.gather(*(_store(store, person) for person in everybody))


async def _store(store: Store, person: Person) -> None:
    first, *others = person.messages
    opened = await store.open(claim(person, first))
    stored = await store.commit(
        Change(
            TENANT,
            person.id,
            first.turn,
            NOW,
            opened.fence,
            amend=((opened.seq, first),),
            append=tuple(others),
            state=person.state,
        )
    )
    assert isinstance(stored, Committed)


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
