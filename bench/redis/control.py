"""What an act of control takes on a server of this machine, beside one round trip: for the docs.

Run as ``python -m bench.redis.control``. Each round measures, in random order, a GET by the same
store and an act that is copied into every shard; what counts is the ratio inside a round, since no
machine is quiet. A network adds its round trips: an act is four writes, one after the other.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from random import Random

from ctxbridge import Bridge
from ctxbridge.model import RecordRead
from ctxbridge.stores.redis import RedisStore
from ctxbridge.testing.servers import Server, binaries

SHARDS = (1, 16, 256)
ROUNDS, GETS = 100, 20
Act = Callable[[], Awaitable[object]]


async def _seconds(act: Act, times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        await act()
    return (time.perf_counter() - began) / times


async def _agent(_turn: object) -> None:
    """Never asked."""


async def measure(url: str, shards: int) -> str:
    """One line: the act and the GET in milliseconds, and their ratio, with the spread of it."""
    chance, ratios, acts, gets = Random(1), list[float](), list[float](), list[float]()
    async with RedisStore(url, shards=shards, prefix=f"bench:{shards}") as store:
        bridge = Bridge(store, tenant="bench")
        for version in ("v11", "v12"):
            bridge.deploy(f"support@{version}", _agent)

        async def get() -> object:
            return await store.records(RecordRead("bench", "none", "none", 0))

        async def act() -> object:
            return await bridge.control.rollback("support", to="v11", within_seconds=0.0)

        async with bridge:
            for _ in range(ROUNDS):
                await bridge.control.promote("support", "v12")
                if chance.random() < 0.5:
                    gets.append(await _seconds(get, GETS))
                    acts.append(await _seconds(act, 1))
                else:
                    acts.append(await _seconds(act, 1))
                    gets.append(await _seconds(get, GETS))
                ratios.append(acts[-1] / gets[-1])
    low, *_, high = statistics.quantiles(ratios, n=20)
    return (
        f"{shards:4} shards: a rollback {statistics.median(acts) * 1000:6.2f} ms, a round trip "
        f"{statistics.median(gets) * 1000:.3f} ms, {statistics.median(ratios):5.1f} times "
        f"(of 20 rounds one was below {low:.1f}, one above {high:.1f})"
    )


async def main() -> None:
    """Measure on whichever server is installed."""
    name, binary = max(binaries().items())
    with Server(binary) as server:
        print(f"{name}, {ROUNDS} rounds, nothing else in the store")
        for shards in SHARDS:
            print(await measure(server.url, shards))


if __name__ == "__main__":
    asyncio.run(main())
