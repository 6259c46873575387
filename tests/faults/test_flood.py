"""Ten thousand messages for one conversation at once: what waits is bounded, and nothing stands still."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text, errors

from .weather import times

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quiet")]
BACKLOG = 128
MOST_KILOBYTES_EACH = 16
"""What a request under way may take, until it is told that it is refused."""
MOST_MEGABYTES_LEFT = 16
LONGEST_STOP_SECONDS = 2.5
"""The clock of a shared machine only shows what is far off: the figure itself is printed."""
IN_ONE_TICK = 50
"""How many requests a server takes from its sockets before its loop looks at its timers again."""


@pytest.fixture
async def store(each_store):
    # A server that has its scripts takes what comes in the order of its coming.
    async with Bridge(each_store, tenant="flood") as bridge:
        await Flood(bridge, "+15550100000").blow([0])
    return each_store


def megabytes():
    """What this process has in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor_seconds():
    """How long this thread has waited for the processor while it had something to do."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


class Ticker:
    """Notes for how long the loop did something else at a time, and how much memory there was more.

    When others had the processor meanwhile, that is not counted.
    """

    longest = megabytes = 0.0

    async def __aenter__(self):
        self._before = megabytes()
        self._task = asyncio.ensure_future(self._tick())
        return self

    async def __aexit__(self, *exc):
        self._task.cancel()

    async def _tick(self):
        while True:
            before, waited = time.monotonic(), processor_seconds()
            await asyncio.sleep(0.005)
            stopped = time.monotonic() - before - (processor_seconds() - waited)
            self.longest = max(self.longest, stopped)
            self.megabytes = max(self.megabytes, megabytes() - self._before)


class Flood:
    """Messages for one conversation. The first turn thinks until `released`."""

    def __init__(self, bridge, who):
        self.bridge, self.address = bridge, Address("sms", who)
        self.settled = []

    async def _agent(self, turn):
        await self.released.wait()
        return " ".join(m.text for m in turn.messages)

    async def write(self, number):
        """One message: whether it is stored and answered, or refused."""
        inbound = Inbound("sms", Endpoint("sms", "us"), self.address, f"m{number}", (Text(f"m{number}"),),
                          Assurance.CHANNEL)  # fmt: skip
        try:
            turn = await self.bridge.answer(inbound, self._agent)
        except errors.BacklogFull:
            self.refused.append(number)
        else:
            self.settled.append((number, turn.status))

    async def blow(self, numbers):
        """All at once, as a server takes them from its sockets; ends when each has its answer."""
        self.released, self.refused, self.most_waiting = asyncio.Event(), [], 0
        async with asyncio.TaskGroup() as group:
            for n in numbers:
                group.create_task(self.write(n))
                if not n % IN_ONE_TICK:
                    await asyncio.sleep(0)
            while self.most_waiting + len(self.refused) < len(numbers):
                await asyncio.sleep(0.02)
                context = await self.bridge.context(self.address, window=1, fresh=True)
                self.most_waiting = len(context.waiting)
            self.released.set()

    async def log(self):
        return (await self.bridge.context(self.address, window=0, fresh=True)).messages


def how_many(store):
    """A server answers thousands together, which are then read in one go: fewer keep the loop as busy."""
    return 2_000 if "Redis" in repr(store) else times(10_000)


@pytest.mark.parametrize("overlap", ["merge", "queue"])
async def test_what_waits_is_bounded_the_oldest_are_kept_and_all_of_them_answered(store, overlap):
    count = how_many(store)
    async with Bridge(store, tenant=f"flood-{overlap}", overlap=overlap, backlog=BACKLOG) as bridge:
        flood = Flood(bridge, "+15550100001")
        started = time.monotonic()
        async with Ticker() as ticker:
            await flood.blow(range(count))
        seconds = time.monotonic() - started
        log = await flood.log()
    stored = [m.text for m in log if m.author == "contact"]
    answered = " ".join(m.text for m in log if m.author == "agent").split()
    print(
        f"\n{count} at once ({overlap}): {len(stored)} stored and answered, {len(flood.refused)} refused, "
        f"{ticker.megabytes:.1f} MB more, longest stop {1000 * ticker.longest:.0f} ms, {seconds:.1f} s"
    )
    assert stored == [f"m{n}" for n in range(flood.most_waiting)]
    assert flood.most_waiting == BACKLOG
    assert sorted(answered) == sorted(stored)
    assert len(flood.refused) == count - BACKLOG
    assert len(flood.settled) == BACKLOG
    assert ticker.longest < LONGEST_STOP_SECONDS
    assert ticker.megabytes < count * MOST_KILOBYTES_EACH / 1000


async def test_a_flood_leaves_nothing_in_memory(store):
    """Each of them after the first finds the memory that it needs."""
    async with Bridge(store, tenant="flood-memory", backlog=BACKLOG) as bridge:
        flood = Flood(bridge, "+15550100004")
        await flood.blow(range(2_000))
        async with Ticker() as ticker:
            for first in range(2_000, 8_000, 2_000):
                await flood.blow(range(first, first + 2_000))
    print(f"\nthree floods after the first: {ticker.megabytes:.1f} MB more")
    assert ticker.megabytes < MOST_MEGABYTES_LEFT


async def test_those_that_were_refused_come_again_and_are_answered(store):
    async with Bridge(store, tenant="flood-again", backlog=BACKLOG) as bridge:
        flood, left, rounds = Flood(bridge, "+15550100002"), list(range(600)), 0
        while left:
            await flood.blow(left)
            left, rounds = flood.refused, rounds + 1
        log = await flood.log()
    assert rounds == 5
    stored = [m.text for m in log if m.author == "contact"]
    answered = " ".join(m.text for m in log if m.author == "agent").split()
    assert len(stored) == len(set(stored)) == 600
    assert sorted(answered) == sorted(stored)


async def test_without_a_bound_the_oldest_and_all_others_would_wait(store):
    """The negative control: a backlog of a thousand holds what comes, and more than one of 128."""
    async with Bridge(store, tenant="flood-wide", backlog=1_000) as bridge:
        flood = Flood(bridge, "+15550100003")
        await flood.blow(range(300))
    assert flood.most_waiting == 300
    assert flood.refused == []
