"""A bridge over each store, on the loop that the frameworks run on; and who writes to it."""

import itertools

import pytest

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text, open_store
from tests.stores.redis.test_counts import wire_of

PHONE, MAIL = Address("sms", "+15550100001"), Address("email", "ann@example.org")
ENDPOINTS = {
    "sms": Endpoint("sms", "+15550199999"),
    "email": Endpoint("email", "help@acme.example"),
}
_numbers = itertools.count(1)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def store(request, tmp_path):
    if request.param == "redis":
        where = request.getfixturevalue("server").url
        options = {"prefix": f"integrations:{next(_numbers)}"}
    else:
        where = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/x.db"
        options = {}
    async with open_store(where, **options) as store:
        yield store


@pytest.fixture
async def far(server):
    """A store whose every round trip is counted."""
    async with open_store(server.url, prefix=f"far:{next(_numbers)}", near_cache=False) as store:
        yield store


@pytest.fixture
async def bridge(store):
    async with Bridge(store, tenant="acme") as bridge:
        yield bridge


def write(text, channel="sms", id=None, **more):
    sender = more.pop("sender", PHONE if channel == "sms" else MAIL)
    parts = more.pop("parts", (Text(text),))
    assurance = more.pop("assurance", Assurance.CHANNEL)
    return Inbound(
        channel, ENDPOINTS[channel], sender, id or f"M{next(_numbers)}", parts, assurance, **more
    )


def round_trips(store):
    """Asked again and again: how many times something was written to the server since."""
    wire = wire_of(store)
    return lambda: wire.commands()[1]
