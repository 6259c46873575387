"""What a load balancer asks: whether messages can be stored here."""

from time import monotonic
from typing import Any

import anyio
import msgspec
from msgspec import Struct

from ctxbridge.asgi.http import Answer
from ctxbridge.bridge import Bridge
from ctxbridge.errors import CtxBridgeError
from ctxbridge.model import RecordWrite, Scan

JSON = "application/json"
MOST_DUE = 100
_FRESH_SECONDS = 1.0
_PATIENCE_SECONDS = 3.0
_SCOPE = "health"
"""Of a record that is never there."""


class Report(Struct, frozen=True):
    """The body of ``GET /health``.

    `status` is ``ok`` (with 200; all others with 503), ``draining`` (nothing new is accepted),
    ``closed`` (the bridge is not open), ``failing`` (the store cannot be reached or written).
    `turns` have not ended in this process. `due` is how many conversations wait in the store for
    somebody to take them up, counted up to 100: some, for long, mean that nobody runs
    `bridge.run(agent)`.
    """

    status: str
    turns: int
    store: str = ""
    durable: bool = False
    due: int = 0
    error: str = ""


class Health:
    """Asks the store, at most once a second however often it is asked itself."""

    def __init__(self, bridge: Bridge[Any]) -> None:
        self._bridge = bridge
        self._asked, self._last = 0.0, Report("failing", 0)
        self._lock: anyio.Lock | None = None

    async def answer(self, draining: bool) -> Answer:
        """200 while messages can be stored, else 503; the body tells more."""
        report = await self._report(draining)
        status = 200 if report.status == "ok" else 503
        headers = (("cache-control", "no-store"),)
        return Answer(status, msgspec.json.encode(report), JSON, headers)

    async def _report(self, draining: bool) -> Report:
        acceptances = self._bridge.acceptances
        turns = len(acceptances)
        if draining or acceptances.is_closing:
            return Report("draining", turns)
        if not acceptances.is_open:
            return Report("closed", turns)
        self._lock = self._lock or anyio.Lock()
        async with self._lock:
            if monotonic() - self._asked >= _FRESH_SECONDS or not self._asked:
                self._last = await self._ask()
                self._asked = monotonic()
        return msgspec.structs.replace(self._last, turns=turns)

    async def _ask(self) -> Report:
        try:
            with anyio.fail_after(_PATIENCE_SECONDS):
                return await self._ask_store()
        except (CtxBridgeError, TimeoutError) as error:
            return Report("failing", 0, error=type(error).__name__)

    async def _ask_store(self) -> Report:
        bridge = self._bridge
        store = await bridge.store.check()
        if store.writable:
            await self._write_nothing()
        due = await bridge.store.scan(Scan(bridge.tenant, bridge.clock.now(), limit=MOST_DUE))
        status = "ok" if store.writable else "failing"
        waiting = sum(one.message is not None and not one.id for one in due)
        return Report(status, 0, store.kind, store.durable, waiting)

    async def _write_nothing(self) -> None:
        """Delete what is not there: it goes the way of a write, takes its lock, and stores nothing.

        A store that can be read alone, since another process holds the file, is found by it.
        """
        bridge = self._bridge
        nothing = RecordWrite(bridge.tenant, _SCOPE, "", bridge.clock.now(), None)
        await bridge.store.records(nothing)
