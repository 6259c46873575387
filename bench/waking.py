"""How soon a waiting turn begins once another process has ended the one before it."""

import asyncio
import os
import sys
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

from bench.harness import Goal, Outcome, Plan, Skip, Spread
from bench.redis.place import NO_SERVER
from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text
from ctxbridge.testing.servers import Server, binaries

SENDER, OURS = Address("sms", "+15550100001"), Endpoint("sms", "+15550199999")
HELD_SECONDS = 0.03


def _message(id: str) -> Inbound:
    return Inbound("sms", OURS, SENDER, id, (Text(id),), Assurance.CHANNEL)


async def _hold(url: str) -> None:
    """The other process: one turn for each line on stdin, and when its commit had returned."""
    loop = asyncio.get_running_loop()
    async with Bridge(url, tenant="waking", overlap="queue") as bridge:
        print("ready", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            async with bridge.turn(_message(f"held {os.getpid()} {line.strip()}")) as turn:
                print("open", flush=True)
                await asyncio.sleep(HELD_SECONDS)
                turn.reply("ok")
            print(time.monotonic_ns(), flush=True)


async def _waits(url: str, times: int) -> list[float]:
    """Milliseconds from the other's commit to the beginning of ours."""
    command = [sys.executable, "-m", "bench.waking", url]
    holder = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert holder.stdin is not None
    assert holder.stdout is not None
    found, numbers = [], count()
    async with Bridge(url, tenant="waking", overlap="queue") as bridge:
        await holder.stdout.readline()
        for number in range(times):
            holder.stdin.write(b"%d\n" % number)
            await holder.stdout.readline()
            async with bridge.turn(_message(f"waits {holder.pid} {next(numbers)}")):
                began = time.monotonic_ns()
            ended = int(await holder.stdout.readline())
            found.append((began - ended) / 1e6)
    holder.stdin.close()
    with suppress(ProcessLookupError):
        await holder.wait()
    return found


def _goal(kind: str, target: float, found: list[float]) -> Goal:
    what = f"{kind}: a waiting turn begins after the commit of another process, p50"
    ranked = sorted(found)
    spread = Spread(ranked[len(ranked) // 2], ranked[0], ranked[-1])
    return Goal(f"waking {kind}", what, "<=", target, "ms", spread)


async def run(plan: Plan) -> Outcome:
    times = plan.size(200, 20)
    outcome = Outcome()
    outcome.goals.append(
        _goal("SQLite", 10.0, await _waits(f"sqlite:///{plan.folder}/waking.db", times))
    )
    binary = next(iter(binaries().values()), None)
    if binary is None:
        raise Skip(NO_SERVER)
    with Server(binary) as server:
        outcome.goals.append(_goal("Redis", 5.0, await _waits(server.url, times)))
        without = f"{server.url}?near_cache=no"
        outcome.goals.append(_goal("Redis, no near cache", 5.0, await _waits(without, times)))
    return outcome


if __name__ == "__main__":
    asyncio.run(_hold(sys.argv[1]))
    os._exit(0)
