"""The driver: breaks the workers while customers write, plays the providers, keeps the account."""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

from ctxbridge.bridge import Bridge
from ctxbridge.errors import CtxBridgeError
from ctxbridge.ports import Store
from ctxbridge.testing.storm.crew import Crew, crew_of
from ctxbridge.testing.storm.line import Line
from ctxbridge.testing.storm.plan import Account, Plan
from ctxbridge.testing.storm.provider import Provider
from ctxbridge.testing.storm.reading import Reader
from ctxbridge.testing.storm.reckoning import reckon
from ctxbridge.testing.storm.variants import store_of
from ctxbridge.testing.storm.writing import Writers

Fault = Callable[["Storm"], Awaitable[None]]
"""Something else that goes wrong meanwhile; customers write until it has happened."""

INTERRUPTED = "it was interrupted"
_LOOK_SECONDS = 0.1


def run(plan: Plan, *faults: Fault) -> Account:
    """Let the storm blow over, and give the account. Not for use inside an event loop."""
    return asyncio.run(blow(plan, *faults))


async def blow(plan: Plan, *faults: Fault) -> Account:
    """As `run`, on the event loop that is running (of asyncio)."""
    return await Storm(plan).blow(*faults)


class Storm:
    """One storm while it blows."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.account = Account()
        self.chance = Random(plan.seed)
        self.lines: list[Line] = []
        self.provider = Provider(plan)
        self.writers = Writers(self)
        self.crew: Crew
        self._store: Store | None = store_of(plan) if plan.in_process else None
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """End it now, with the account so far."""
        self._stopped.set()

    async def blow(self, *faults: Fault) -> Account:
        """Everything, from the first message to the account."""
        started = time.monotonic()
        try:
            async with AsyncExitStack() as open_things:
                folder = open_things.enter_context(tempfile.TemporaryDirectory())
                bridge = await open_things.enter_async_context(self._looking())
                await self._introduce(bridge)
                await open_things.enter_async_context(self._working(folder))
                await self._weather(bridge, faults)
                await self._settle(bridge)
        finally:
            self.account.seconds = round(time.monotonic() - started, 1)
        return self.account

    @asynccontextmanager
    async def _looking(self) -> AsyncIterator[Bridge[dict[str, Any]]]:
        """A bridge of the driver's own, to see what became of it all."""
        store = self._store or store_of(self.plan)
        try:
            async with Bridge(store, tenant=self.plan.tenant) as bridge:
                yield bridge
        finally:
            await store.aclose()

    async def _introduce(self, bridge: Bridge[dict[str, Any]]) -> None:
        """Both channels of each customer are one conversation."""
        for customer in range(self.plan.customers):
            sms, chat = self.plan.addresses(customer).values()
            await bridge.link(sms, chat, evidence="storm")

    @asynccontextmanager
    async def _working(self, folder: str) -> AsyncIterator[None]:
        """With workers who find their way to us."""
        server = await asyncio.start_unix_server(self._joined, str(Path(folder) / "storm"))
        self.crew = crew_of(self.plan, folder, self._store)
        try:
            for number in range(self.plan.workers):
                self.crew.bear(number)
            yield
        finally:
            self.account.problems += await self.crew.close()
            server.close()
            for line in list(self.lines):
                line.close()
            while self.lines:  # noqa: ASYNC110 - what was cut ends within a tick or two
                await asyncio.sleep(0)

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(reader, writer, self.provider.take)
        self.lines.append(line)
        try:
            await line.run()
        finally:
            self.lines.remove(line)

    async def _weather(self, bridge: Bridge[dict[str, Any]], faults: tuple[Fault, ...]) -> None:
        """Customers write, until they have written enough and all has gone wrong that should."""
        reader = asyncio.ensure_future(Reader(self, bridge).read())
        breaking = [asyncio.ensure_future(fault(self)) for fault in (kills, freezes, *faults)]
        writing = asyncio.ensure_future(self.writers.write())
        try:
            async with asyncio.timeout(self.plan.seconds):
                await self._unless_stopped(*breaking)
                self.writers.enough.set()
                await self._unless_stopped(writing)
        except TimeoutError:
            self.account.problems.append("the time was over before all was written and broken")
        finally:
            failed = await _end(reader, writing, *breaking)
            self.account.problems += [f"the storm itself failed: {name}" for name in failed]
        self.account.errors = dict(self.writers.errors)

    async def _unless_stopped(self, *work: asyncio.Future[Any]) -> None:
        """Wait for all of it, or until we are to end; what it raises is raised."""
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            for one in work:
                await asyncio.wait({one, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if one.done():
                    one.result()
        finally:
            await _end(stopped)

    async def _settle(self, bridge: Bridge[dict[str, Any]]) -> None:
        """Let the workers finish what is left, then look at everything."""
        ends = time.monotonic() + self.plan.settle_seconds
        while True:
            last = self._stopped.is_set() or time.monotonic() >= ends
            try:
                if await reckon(self, bridge) or last:
                    break
            except CtxBridgeError as error:
                if last:
                    name = type(error).__name__
                    self.account.problems.append(f"the store could not be read: {name}")
                    break
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), _LOOK_SECONDS)
        if self._stopped.is_set():
            self.account.problems.append(INTERRUPTED)


async def _end(*tasks: asyncio.Future[Any]) -> list[str]:
    """Cancel them, and give what they have failed with, if they had."""
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    return [type(error).__name__ for error in ended if isinstance(error, Exception)]


async def kills(storm: Storm) -> None:
    """Kill as many workers as planned, at random moments, each followed by another."""
    chance, plan = Random(storm.plan.seed + 1), storm.plan
    found: Counter[str] = Counter()
    for _ in range(plan.kills):
        await asyncio.sleep(chance.uniform(0.0, 2 * plan.kill_seconds))
        number = chance.randrange(plan.workers)
        turns = storm.crew.kill(number)
        storm.crew.bear(number)
        found.update(turns if any(turns.values()) else {"nothing": 1})
        storm.account.kills += 1
        storm.account.killed_at = dict(found)


async def freezes(storm: Storm) -> None:
    """Stop as many workers as planned while they think, one after the other, past their lease."""
    for _ in range(storm.plan.freezes):
        while not (busy := storm.crew.busy("think")):  # noqa: ASYNC110 - it is told in a file
            await asyncio.sleep(0.001)
        seconds = 2 * storm.plan.lease_seconds + 0.2
        await storm.crew.freeze(storm.chance.choice(busy), seconds)
        storm.account.freezes += 1
