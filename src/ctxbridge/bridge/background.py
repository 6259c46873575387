"""What runs beside the caller: spawned on whichever event loop is running, and ended on demand.

anyio's task groups belong to one block of one task, but a bridge is used by many. So asyncio and
trio are each asked in their own words. What is spawned here must catch what it raises.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Any

import anyio


class Background:
    """One thing that runs until it returns or is ended."""

    _tasks: "set[asyncio.Task[None]]" = set()  # noqa: RUF012 - asyncio itself keeps none alive

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._scope = anyio.CancelScope()
        self._ended = anyio.Event()
        self._spawn()

    def _spawn(self) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            trio: Any = sys.modules["trio"]
            # asyncio copies the caller's context by itself, trio's system tasks have none of it.
            trio.lowlevel.spawn_system_task(self._run, context=copy_context())
            return
        task = asyncio.ensure_future(self._run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        try:
            with self._scope:
                await self._work()
        finally:
            self._ended.set()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._ended.is_set()

    def end(self) -> None:
        """Let it end soon."""
        self._scope.cancel()

    async def wait(self) -> None:
        """Wait until it has ended."""
        await self._ended.wait()
