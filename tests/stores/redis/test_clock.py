"""Leases and lifetimes run on the server's clock: what a worker's own clock says does not matter."""

import anyio
import pytest

from ctxbridge.model import Committed
from ctxbridge.testing.actor import Actor

from .conftest import make

HOUR = 3_600_000
SHORT_SECONDS = 1.5  # long enough that a busy machine sees what holds before it is over


@pytest.fixture
async def store(server):
    async with make(server.url, clock="server") as store:
        yield store


@pytest.fixture(params=[-HOUR, 0, HOUR], ids=["an hour slow", "right", "an hour fast"])
def other(request):
    """A worker whose clock is off."""
    return Actor(seed=2, now=Actor().now + request.param)


async def test_a_live_lease_is_not_taken_by_a_worker_whose_clock_is_off(store, other):
    await store.open(Actor().claim("hi", lease_seconds=30.0))
    assert (await store.open(other.claim("hi", message_id="SM2"))).status == "busy"


async def test_a_lease_ends_when_the_server_says_so(store, other):
    actor = Actor()
    stale = await store.open(actor.claim("hi", lease_seconds=SHORT_SECONDS))
    assert (await store.open(other.claim("hi"))).status == "busy"
    await anyio.sleep(SHORT_SECONDS + 0.05)
    fresh = await store.open(other.claim("hi"))
    assert (fresh.status, fresh.resumed) == ("new", True)
    assert (await store.commit(actor.change(stale, "late"))).reason == "fenced"
    assert isinstance(await store.commit(other.change(fresh, "ok")), Committed)


async def test_an_id_is_remembered_for_its_time_by_the_server(store, other):
    claim = Actor().claim("hi", remember_seconds=SHORT_SECONDS, lease_seconds=0.1)
    opened = await store.open(claim)
    await store.commit(Actor().change(opened, "ok", remember_seconds=SHORT_SECONDS))
    assert (await store.open(other.claim("hi"))).status == "duplicate"
    await anyio.sleep(SHORT_SECONDS + 0.05)
    assert (await store.open(other.claim("hi"))).status == "new"


async def test_a_record_ends_when_the_server_says_so(store, other):
    await store.records(Actor().write_record("k", b"1", lifetime_seconds=SHORT_SECONDS))
    assert (await store.records(other.read_record("k"))).value == b"1"
    await anyio.sleep(SHORT_SECONDS + 0.05)
    assert await store.records(other.read_record("k")) is None
    again = await store.records(other.write_record("k", b"2", revision=0))
    assert again.revision == 2, "who still holds the revision that expired cannot win"


async def test_what_has_expired_is_let_go_of(server):
    """Ids are trimmed by time: never while they are promised, and not kept for ever either."""
    async with make(server.url) as store:
        actor = Actor()
        place = None
        for number in range(600):
            claim = actor.claim("hi", message_id=f"{number}", remember_seconds=100.0)
            opened = await store.open(claim)
            await store.commit(actor.change(opened, remember_seconds=100.0))
            actor.now += 1_000
            place = place or store._ground.keys.of_address("acme", claim.address)
            early = actor.claim("hi", message_id=f"{max(0, number - 90)}")
            assert (await store.open(early)).status == "duplicate"
        assert server.client().hlen(place.ids) < 500
        assert 100_000 < server.client().pttl(place.ids) <= 2 * 86_400_000
