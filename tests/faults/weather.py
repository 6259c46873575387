"""What goes wrong beside a storm, and how long it lasts here: CTXBRIDGE_STORM_SCALE makes it longer."""

import asyncio
import os
from random import Random

from ctxbridge.testing.storm import Plan, blow, tell

SCALE = float(os.environ.get("CTXBRIDGE_STORM_SCALE", "1"))
ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")
QUICK = {"timeout_seconds": 0.5, "deadline_seconds": 5.0}


def times(number):
    """So many, or more where there is time."""
    return max(1, round(number * SCALE))


def kill_plan(url, kills, **more):
    """A plan under which kills hit turns at every stage."""
    plan = {
        "customers": 24, "writers": 48, "lease_seconds": 0.3, "kill_seconds": 0.03,
        "messages": 400, "mishaps": 0.02, "seconds": 300 + kills, "kills": kills, "settle_seconds": 60.0,
    }  # fmt: skip
    return Plan(url=url, **(plan | more))


async def account_of(plan, *faults):
    """Let it blow, and print what came of it."""
    account = await blow(plan, *faults)
    print(f"\n{tell(account)}")
    return account


def server_kills(server, times, seconds=0.05):
    """`kill -9` of the server, as often as that, each time started again."""

    async def fault(storm):
        chance = Random(5)
        for _ in range(times):
            await asyncio.sleep(chance.uniform(0, 2 * seconds))
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)

    return fault


def cuts(proxy, every=15):
    """A line on which requests and answers are lost, late or cut: once for so many messages."""

    async def fault(storm):
        chance, after = Random(5), 0
        while after < storm.plan.messages:
            after = len(storm.writers.began) + every
            chance.choice(
                [
                    lambda: proxy.lose(1, "reset", b"EVALSHA"),
                    lambda: proxy.lose(1, "late", b"EVALSHA"),
                    lambda: proxy.refuse(1, b"EVALSHA"),
                    lambda: proxy.cut_requests(1, b"EVALSHA"),
                    proxy.reset_all,
                ]
                * 2
                + [lambda: proxy.lose(1, "blackhole", b"EVALSHA")]
            )()
            while len(storm.writers.began) < after:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        proxy.heal()

    return fault
