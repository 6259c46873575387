"""A bridge over each store, with a clock that the test owns."""

from contextlib import AsyncExitStack

import msgspec
import pytest

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text, open_store


class Ticket(msgspec.Struct):
    order: str = ""
    turns: int = 0


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now=1_790_000_000_000):
        self.time = now

    def now(self):
        return self.time


ENDPOINTS = {"sms": Endpoint("sms", "+15550199999"), "email": Endpoint("email", "help@acme.example"),
             "chat": Endpoint("chat", "acme")}  # fmt: skip
SENDERS = {"sms": Address("sms", "+15550100001"), "email": Address("email", "ann@example.org"),
           "chat": Address("chat", "customer-7")}  # fmt: skip
_numbers = iter(range(1, 1_000_000))


def write(text, channel="sms", id=None, assurance=Assurance.CHANNEL, **more):
    """A message of the customer."""
    sender = more.pop("sender", SENDERS[channel])
    parts = more.pop("parts", (Text(text),))
    return Inbound(
        channel, ENDPOINTS[channel], sender, id or f"M{next(_numbers)}", parts, assurance, **more
    )


async def exchange(bridge, inbound, reply=None):
    """One turn with one reply; gives what the customer gets."""
    async with bridge.turn(inbound) as turn:
        if turn.open:
            turn.reply(reply or f"re: {inbound.text}")
    return [m.text for m in turn.answer]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def bridge(request, tmp_path, clock):
    if request.param == "redis":
        url = request.getfixturevalue("server").url
        prefix = f"bridge:{next(_numbers)}"
        where = open_store(url, prefix=prefix, clock="caller")
    else:
        where = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/bridge.db"
    async with Bridge(where, tenant="acme", state=Ticket, clock=clock) as bridge:
        yield bridge
    await bridge.store.aclose()


@pytest.fixture
async def another(bridge, clock):
    """Makes further bridges over the same store: other processes, as far as that is concerned."""
    async with AsyncExitStack() as stack:

        async def make(overlap="merge", **options):
            one = Bridge(
                bridge.store, tenant="acme", state=Ticket, clock=clock, overlap=overlap, **options
            )
            return await stack.enter_async_context(one)

        yield make


@pytest.fixture
async def queueing(another):
    """One that gives each message a turn of its own."""
    return await another("queue")
