"""A bridge with a sender of the test, over each store, with a clock that the test owns."""

from itertools import count

import pytest

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text, open_store
from ctxbridge.model import Sent

ANN = Address("sms", "+15550100001")
US = Endpoint("sms", "+15550199999")
_numbers = count(1)


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now=1_790_000_000_000):
        self.time = now

    def now(self):
        return self.time


class Pigeon:
    """A provider in one list: `says` is what it answers next, the last for ever."""

    def __init__(self, channel="sms", *, repeatable=False, timeout_seconds=5.0, per_second=0.0):
        self.channel, self.repeatable = channel, repeatable
        self.timeout_seconds, self.per_second = timeout_seconds, per_second
        self.carried = []
        self.says = []
        self.closed = 0

    async def send(self, outgoing):
        self.carried.append(outgoing)
        said = self.says.pop(0) if len(self.says) > 1 else (self.says or [None])[0]
        if said is None:
            return Sent("sent", provider_id=f"P{len(self.carried)}")
        if isinstance(said, BaseException):
            raise said
        return await said(outgoing) if callable(said) else said

    async def aclose(self):
        self.closed += 1

    @property
    def texts(self):
        return [outgoing.text for outgoing in self.carried]


def write(text, id=None, channel="sms", **more):
    """A message of Ann."""
    return Inbound(
        channel, Endpoint(channel, US.value), Address(channel, ANN.value), id or f"M{next(_numbers)}",
        (Text(text),), more.pop("assurance", Assurance.CHANNEL), **more,
    )  # fmt: skip


async def exchange(bridge, inbound, reply="ok"):
    """One turn with one reply."""
    async with bridge.turn(inbound) as turn:
        if turn.open and reply:
            turn.reply(reply)
    return turn


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pigeon():
    return Pigeon()


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def store(request, tmp_path):
    if request.param == "redis":
        url = request.getfixturevalue("server").url
        where = open_store(url, prefix=f"delivery:{next(_numbers)}", clock="caller")
    else:
        where = open_store(
            "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/d.db"
        )
    async with where:
        yield where


@pytest.fixture
async def bridge(store, clock, pigeon):
    async with Bridge(store, tenant="acme", senders=[pigeon], clock=clock) as bridge:
        yield bridge
