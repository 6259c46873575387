"""The sync half: an integration's coroutines, for callers that have no event loop."""

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from ctxbridge.errors import UsageError

T = TypeVar("T")

_starting = threading.Lock()
_loops: dict[int, asyncio.AbstractEventLoop] = {}


class Blocking:
    """Runs coroutines for threads that wait for them.

    Made inside a running loop they run there, where the bridge was opened; else on a thread that
    all of them share.
    """

    def __init__(self) -> None:
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`.

        Raises `UsageError` on the loop's own thread, which would wait for itself.
        """
        own = self._loop
        loop = own if own is not None and own.is_running() else _shared()
        if loop is _running():
            work.close()
            raise UsageError("this blocks the event loop that it needs: use the async verb")
        return asyncio.run_coroutine_threadsafe(work, loop).result()


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _shared() -> asyncio.AbstractEventLoop:
    """The loop of this process that runs for as long as the process does."""
    with _starting:
        loop = _loops.get(os.getpid())
        if loop is None:
            loop = _loops[os.getpid()] = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="ctxbridge-sync", daemon=True).start()
        return loop
