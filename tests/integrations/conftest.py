"""What the tests of all frameworks share: asyncio alone (none runs on trio), bridges over each store."""

from itertools import count

import pytest

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text, open_store
from tests.stores.redis.test_counts import wire_of

STORES = ["memory", "sqlite", "redis"]
_numbers = count(1)


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now=1_790_000_000_000):
        self.time = now

    def now(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def place(request, tmp_path):
    """Gives a store of a kind, an empty one each time; the caller's clock counts in it."""

    def place(kind):
        if kind == "redis":
            server = request.getfixturevalue("server")
            return open_store(server.url, prefix=f"fw:{next(_numbers)}", clock="caller")
        return open_store(
            "memory://"
            if kind == "memory"
            else f"sqlite:///{tmp_path}/{next(_numbers)}.db?synchronous=normal"
        )

    return place


@pytest.fixture(params=STORES)
def kind(request):
    """The store that a test runs on."""
    return request.param


@pytest.fixture
async def bridge(kind, place, clock):
    async with place(kind) as store, Bridge(store, tenant="shop", clock=clock) as bridge:
        yield bridge


ENDPOINTS = {
    "sms": Endpoint("sms", "+15550199999"),
    "email": Endpoint("email", "help@acme.example"),
}
PHONE, MAIL = Address("sms", "+15550100001"), Address("email", "ann@example.org")
SENDERS = {"sms": PHONE, "email": MAIL}


def write(text, channel="sms", id=None, **more):
    """A message of the customer."""
    id = id or f"M{next(_numbers)}"
    parts, sender = more.pop("parts", (Text(text),)), more.pop("sender", SENDERS[channel])
    return Inbound(channel, ENDPOINTS[channel], sender, id, parts, Assurance.CHANNEL, **more)


@pytest.fixture
async def store(kind, place):
    """One of each kind, for bridges of a test's own."""
    async with place(kind) as store:
        yield store


@pytest.fixture
async def far(server):
    """A store whose every round trip is counted."""
    async with open_store(server.url, prefix=f"far:{next(_numbers)}", near_cache=False) as store:
        yield store


def round_trips(store):
    """Asked again and again: how many times something was written to the server since."""
    wire = wire_of(store)
    return lambda: wire.commands()[1]
