"""STOP, revocation, takeover and pause at every stop of a turn: nothing is claimed after them.

First a bounded model of two processes, with the real bridges, outboxes and stores: every event at
every stop, and on memory every two events at every two stops. Then random runs on a real server,
where what happens crosses on the wire. Both must find a store that does not heed its gate epoch.

`CTXBRIDGE_SEED` is the first seed of the random runs; a run that went wrong tells its own.
"""

import os
from collections import Counter
from contextlib import asynccontextmanager
from functools import partial
from itertools import product

import anyio
import pytest
from redis.asyncio import Redis

from ctxbridge import Bridge, open_store
from ctxbridge.guards.opt_out import STARTED, STOPPED
from ctxbridge.model import Floor
from ctxbridge.stores.memory import MemoryStore
from tests.stores.broken import WithoutEpoch, WithoutFloor, WithoutGate

from .interruptions import BARRING, CUSTOMER, LIFTING, ByFloor, OnMemory, OnRedis, OnSqlite, write
from .processes import SCENARIOS, one_run, random_run
from .stops import Ungated
from .weather import times

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quiet")]
RUNS = times(1_000)
FIRST_SEED = int(os.environ.get("CTXBRIDGE_SEED", "1"))
AT_ONCE = 4
SHARDS = 2
SOAKS = times(2) > 2
TWO_IN = tuple(SCENARIOS) if SOAKS else ("at once", "later", "consent given")
TWO_EVENTS = (
    tuple(product(BARRING, BARRING + LIFTING))
    if SOAKS
    else (
        ("stop there", "start there"),
        ("takeover", "hand back"),
        ("stop here", "takeover"),
    )
)
LABELS = {
    "open before", "open after", "guard inbound", "agent", "guard reply", "commit before",
    "commit after", "guard send", "before send", "after send", "settle before", "settle after",
    "scan before", "scan after", "take before", "take after",
}  # fmt: skip


class Tally:
    """What the runs have come to."""

    def __init__(self):
        self.runs = self.left = self.none_left = self.claims = self.dated = 0
        self.stops, self.labels, self.statuses = Counter(), set(), set()
        self.wrong = []

    def add(self, what, world):
        account = world.account
        self.runs += 1
        self.labels |= set(world.stops.labels)
        self.statuses |= account.statuses
        left = any(claim.message.author == "agent" for claim in account.claims)
        self.left += left
        self.none_left += not left
        self.claims += len(account.claims)
        self.dated += sum(claim.epoch is not None for claim in account.claims)
        if account.wrong:
            self.wrong.append(f"{what}: {account.wrong} {account}")

    def tell(self, what):
        stops = f", of stops {dict(self.stops)}" if self.stops else ""
        print(
            f"\n{what}: {self.runs} runs{stops}; in {self.left} a reply was claimed, in "
            f"{self.none_left} none; of {self.claims} claims {self.dated} show their epoch; {len(self.wrong)} went wrong"
        )


# --- the bounded model ----------------------------------------------------------------------------


async def explore(make, tally, name, events, seconds=()):
    """Every event at every stop, each with every second event at every stop from there on."""
    async for plan in at_each_stop(make, tally, name, events):
        async for _ in at_each_stop(make, tally, name, seconds, *plan):
            pass  # it is in the tally


async def at_each_stop(make, tally, name, events, *before):
    """The scenario with one event more than `before`: at each stop that there is from the last on."""
    for event in events:
        place = before[-1][0] if before else 0
        while True:
            plan = (*before, (place, event))
            world = await one_run(*make(), name, plan)
            if world.stops.due:
                break  # the run came to its end before this stop: there are no more
            tally.add(f"{name}, {told(plan, world.stops.labels)}", world)
            yield plan
            place += 1
        if not before:
            tally.stops[name] = max(place, tally.stops[name])


def told(plan, labels):
    return ", ".join(f"{event} at stop {place} ({labels[place]})" for place, event in plan)


def in_memory(kind=MemoryStore):
    store = kind()
    return [store, store], OnMemory(store)


def in_memory_ungated():
    store = MemoryStore()
    return [Ungated(store)] * 2, OnMemory(store)


@asynccontextmanager
async def on_server(server, prefix):
    """Two processes' connections to a server, and that of an operator."""
    options = {"prefix": prefix, "shards": SHARDS, "clock": "caller"}
    async with (
        open_store(server.url, **options) as one,
        open_store(server.url, **options) as other,
        Redis(unix_socket_path=str(server.path)) as client,
    ):
        yield [one, other], OnRedis(client, prefix, SHARDS)


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def make(request, tmp_path):
    """Makes two processes' stores, which hold the same, and an operator beside them."""
    if request.param == "memory":
        yield in_memory
    elif request.param == "sqlite":
        path = tmp_path / "stops.db"
        async with open_store(f"sqlite:///{path}?synchronous=normal") as store:
            yield lambda: ([store, store], OnSqlite(path))
    else:
        async with on_server(request.getfixturevalue("server"), tmp_path.name) as made:
            yield lambda: made


@pytest.mark.parametrize("name", SCENARIOS)
async def test_uninterrupted_all_of_it_leaves(make, name):
    """Else interrupting it would show nothing."""
    account = (await one_run(*make(), name, ())).account
    assert not account.wrong
    texts = {text.removeprefix("later: ") for _, _, text in account.sent}
    if name == "consent given":
        assert {text for _, _, text in account.sent} == {STOPPED, STARTED}
    else:
        assert texts == {"on its way", "it has left"}


async def test_nothing_is_claimed_after_an_event_at_any_stop(make):
    tally = Tally()
    for name in SCENARIOS:
        await explore(make, tally, name, BARRING)
    tally.tell("one event")
    assert not tally.wrong[:5]
    assert tally.left
    assert tally.none_left
    assert tally.labels >= LABELS
    assert tally.statuses >= {"new", "busy", "noted"}


def by_floor(make):
    """The same stores, and a colleague who uses the library in the operator's place."""

    def made():
        stores, _ = make()
        return stores, ByFloor(stores[0])

    return made


async def test_nothing_is_claimed_after_a_colleague_has_taken_the_floor(make):
    tally = Tally()
    for name in ("at once", "later", "two at once"):
        await explore(by_floor(make), tally, name, ["takeover", "pause"])
    tally.tell("taken by a colleague")
    assert not tally.wrong[:5]
    assert tally.left
    assert tally.none_left


async def test_nothing_is_claimed_between_a_takeover_and_the_way_back():
    tally = Tally()
    await explore(by_floor(in_memory), tally, "later", ["takeover"], ["hand back"])
    tally.tell("taken and given back")
    assert not tally.wrong[:5]


@pytest.mark.parametrize("name", ["at once", "later"])
async def test_a_floor_that_does_not_raise_the_epoch_is_found(name):
    """The negative control."""
    tally = Tally()
    await explore(by_floor(partial(in_memory, WithoutFloor)), tally, name, ["takeover"])
    tally.tell("the floor without the epoch")
    assert tally.wrong


@pytest.mark.parametrize("name", TWO_IN)
async def test_nothing_is_claimed_between_two_events_at_any_stops(name):
    """The second lifts what the first has barred, or bars something else."""
    tally = Tally()
    for first, second in TWO_EVENTS:
        await explore(in_memory, tally, name, [first], [second])
    tally.tell("two events")
    assert not tally.wrong[:5]


async def test_what_is_said_after_a_takeover_is_not_given_to_the_caller_to_send_either():
    """Where the bridge has no sender, giving the answer is what the claim is elsewhere."""
    (store, _), operator = in_memory()

    async def agent(turn):
        await operator.move("acme", Floor.HUMAN)
        return "it has left"

    async with Bridge(store, tenant="acme") as bridge:
        turn = await bridge.answer(write("hello", "M1"), agent)
        entries = (await bridge.context(CUSTOMER)).messages
    assert turn.answer == ()
    assert [entry.disposition for entry in entries] == ["accepted", "withheld"]


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        (partial(in_memory, WithoutGate), "at once"),
        (partial(in_memory, WithoutEpoch), "later"),
        (in_memory_ungated, "at once"),
        (in_memory_ungated, "later"),
    ],
)
async def test_without_the_epoch_the_model_finds_it(broken, name):
    """The negative control."""
    for event in BARRING:
        tally = Tally()
        await explore(broken, tally, name, [event])
        tally.tell(f"without the epoch, {event}")
        assert tally.wrong


# --- random runs ----------------------------------------------------------------------------------


async def at_random(made, runs, *, until_wrong=False):
    """So many random runs, some of them side by side."""
    tally, seeds = Tally(), iter(range(FIRST_SEED, FIRST_SEED + runs))

    async def worker():
        for seed in seeds:
            try:
                world = await random_run(*made, seed)
            except BaseException:
                print(f"\nseed {seed} came to no end")
                raise
            tally.add(f"seed {seed}", world)
            if until_wrong and tally.wrong:
                return

    async with anyio.create_task_group() as group:
        for _ in range(AT_ONCE):
            group.start_soon(worker)
    return tally


async def test_nothing_is_claimed_after_an_event_at_a_random_time(server, tmp_path):
    async with on_server(server, tmp_path.name) as made:
        tally = await at_random(made, RUNS)
    tally.tell("at random")
    assert not tally.wrong[:5]
    assert tally.left > RUNS // 2
    assert tally.none_left > RUNS // 50
    assert tally.dated > tally.claims * 0.8  # or the epochs would show nothing


async def test_without_the_epoch_random_runs_find_it(server, tmp_path):
    """The negative control."""
    async with on_server(server, tmp_path.name) as (stores, operator):
        broken = [Ungated(store) for store in stores], operator
        tally = await at_random(broken, 200, until_wrong=True)
    tally.tell("at random, without the epoch")
    assert tally.wrong
