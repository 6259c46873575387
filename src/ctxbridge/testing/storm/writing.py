"""The customers, and their providers' webhooks: repeated until somebody has the message."""

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING

from ctxbridge.testing.storm.plan import CHANNELS

if TYPE_CHECKING:
    from ctxbridge.testing.storm.driver import Storm

_WEBHOOK_SECONDS = 10.0
_RETRY_SECONDS = 0.05
_AT_ONCE = 8
_LATE = 0.05
"""The share of messages that come once more although they were acknowledged."""


class Writers:
    """All writers of a storm. `began` and `ended` say when each message was written and taken."""

    def __init__(self, storm: "Storm") -> None:
        self.enough = asyncio.Event()
        self.errors: Counter[str] = Counter()
        self.began: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self._storm = storm
        self._chance = storm.chance

    async def write(self) -> None:
        """Write at least as many messages as planned, and until it is enough."""
        async with asyncio.TaskGroup() as group:
            for writer in range(self._storm.plan.writers):
                group.create_task(self._write(writer))

    async def _write(self, writer: int) -> None:
        plan, number = self._storm.plan, 0
        addresses = plan.addresses(writer % plan.customers)
        async with asyncio.TaskGroup() as group:
            on_their_way: set[asyncio.Task[None]] = set()
            while len(self.began) < plan.messages or not self.enough.is_set():
                channel = CHANNELS[(number + writer) % 2]
                number += 1
                id = f"m{len(self.began)}"
                self.began[id] = time.monotonic()
                task = group.create_task(self._deliver(channel, addresses[channel].value, id))
                on_their_way.add(task)
                task.add_done_callback(on_their_way.discard)
                if self._chance.random() < 0.5 or len(on_their_way) >= _AT_ONCE:
                    await asyncio.wait(on_their_way)
                await asyncio.sleep(self._chance.uniform(0, 2 * plan.pace_seconds))

    async def _deliver(self, channel: str, sender: str, id: str) -> None:
        """As providers do: several copies, repeated until one of them is answered with 200."""
        copies = self._chance.randint(1, self._storm.plan.copies)
        what = [channel, sender, id]
        while True:
            said = await asyncio.gather(*(self._webhook(what) for _ in range(copies)))
            if any(said):
                break
            await asyncio.sleep(_RETRY_SECONDS)
        self.ended[id] = time.monotonic()
        if self._chance.random() < _LATE:
            await self._webhook(what)

    async def _webhook(self, what: list[str]) -> bool:
        """Whether it was acknowledged."""
        lines = self._storm.lines
        while not lines:  # noqa: ASYNC110 - all workers were killed, others come soon
            await asyncio.sleep(0.01)
        self._storm.account.webhooks += 1
        try:
            async with asyncio.timeout(_WEBHOOK_SECONDS):
                said = str(await self._chance.choice(lines).ask(what))
        except (ConnectionResetError, TimeoutError) as error:
            said = f"again: {type(error).__name__}"
        again, _, why = said.partition(": ")
        if why:
            self.errors[why] += 1
        return again != "again"
