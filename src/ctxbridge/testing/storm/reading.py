"""Somebody who looks on: what was seen once stays where it is, whatever is killed meanwhile."""

import asyncio
from itertools import cycle
from typing import TYPE_CHECKING, Any

from ctxbridge.errors import CtxBridgeError, HistoryRolledBack
from ctxbridge.model import Message

if TYPE_CHECKING:
    from ctxbridge.bridge import Bridge
    from ctxbridge.testing.storm.driver import Storm

_PAUSE_SECONDS = 0.01


class Reader:
    """Reads one conversation after the other; each look is to extend the one before."""

    def __init__(self, storm: "Storm", bridge: "Bridge[Any]") -> None:
        self._storm = storm
        self._bridge = bridge
        self._seen: dict[tuple[int, int], str] = {}
        self._latest: dict[int, int] = {}

    async def read(self) -> None:
        """Until cancelled."""
        for customer in cycle(range(self._storm.plan.customers)):
            await asyncio.sleep(_PAUSE_SECONDS)
            try:
                await self._look(customer)
            except HistoryRolledBack:
                self._tell("the store told that history was rolled back")
            except CtxBridgeError:
                pass  # that the store cannot be reached is the weather

    async def _look(self, customer: int) -> None:
        address = self._storm.plan.addresses(customer)["sms"]
        context = await self._bridge.context(address)
        if context.seq < self._latest.get(customer, 0):
            self._tell(f"a reader was shown an older state of customer {customer}")
        self._latest[customer] = max(context.seq, self._latest.get(customer, 0))
        for seq, entry in context.window.numbered():
            if isinstance(entry, Message):
                before = self._seen.setdefault((customer, seq), entry.text)
                if before != entry.text:
                    self._tell(f"a reader saw place {seq} of customer {customer} change")

    def _tell(self, problem: str) -> None:
        if problem not in self._storm.account.problems:
            self._storm.account.problems.append(problem)
