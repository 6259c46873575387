"""The workers of a storm, as its driver sees them: born, killed, stopped, and ended.

Where the store is a server or a file they are processes. Where it is in memory they are tasks, and
a kill is a cancellation: that is all that can happen to them there.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import Protocol

import msgspec

from ctxbridge.ports import Store
from ctxbridge.testing.storm.ground import Ground
from ctxbridge.testing.storm.plan import Plan
from ctxbridge.testing.storm.worker import work

_PROGRAM = "ctxbridge.testing.storm.nursery"


class Crew(Protocol):
    """Workers with the numbers from 0."""

    def bear(self, number: int) -> None:
        """Let a worker begin."""

    def kill(self, number: int) -> dict[str, int]:
        """Kill it in the middle of whatever it does; how many of its turns were how far."""

    async def freeze(self, number: int, seconds: float) -> None:
        """Stop it for a while in the middle of whatever it does."""

    def busy(self, stage: str) -> list[int]:
        """Who has turns at this stage now."""

    async def close(self) -> list[str]:
        """End all of them; what they have to tell of themselves."""


class Processes:
    """Workers that are killed as processes are."""

    def __init__(self, plan: Plan, folder: str) -> None:
        self._ground = Ground(plan, folder)
        self._stages = self._ground.stages
        self._pids = [0] * plan.workers
        self._nursery = Nursery(self._ground)

    def bear(self, number: int) -> None:
        self._stages.clear(number)
        self._pids[number] = self._nursery.born(number)

    def kill(self, number: int) -> dict[str, int]:
        self._signal(number, signal.SIGKILL)
        return self._stages.of(number)

    async def freeze(self, number: int, seconds: float) -> None:
        self._signal(number, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._signal(number, signal.SIGCONT)

    def _signal(self, number: int, sign: signal.Signals) -> None:
        assert self._pids[number], "0 would be the whole group of the driver itself"
        with suppress(ProcessLookupError):
            os.kill(self._pids[number], sign)

    def busy(self, stage: str) -> list[int]:
        return [n for n in range(len(self._pids)) if self._stages.of(n)[stage]]

    async def close(self) -> list[str]:
        self._nursery.close()
        ended = self._ground.ended
        told = ended.read_text().splitlines() if ended.exists() else []
        return [f"{line} ({times} times)" for line, times in Counter(told).items()]


class Tasks:
    """Workers that share this process, since their store is in its memory."""

    def __init__(self, plan: Plan, folder: str, store: Store) -> None:
        self._ground = Ground(plan, folder)
        self._stages = self._ground.stages
        self._store = store
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._ever: list[asyncio.Task[None]] = []

    def bear(self, number: int) -> None:
        plan, at = self._ground.plan, partial(self._stages.at, number)
        work_of_it = work(plan, self._ground.socket, at, self._store)
        self._tasks[number] = asyncio.ensure_future(work_of_it)
        self._ever.append(self._tasks[number])

    def kill(self, number: int) -> dict[str, int]:
        found = self._stages.of(number)
        self._tasks[number].cancel()
        return found

    async def freeze(self, number: int, seconds: float) -> None:  # noqa: ARG002 - see above
        await asyncio.sleep(seconds)

    def busy(self, stage: str) -> list[int]:
        return [n for n in self._tasks if self._stages.of(n)[stage]]

    async def close(self) -> list[str]:
        for task in self._ever:
            task.cancel()
        ended = await asyncio.gather(*self._ever, return_exceptions=True)
        failed = [type(e).__name__ for e in ended if isinstance(e, Exception)]
        return [f"a worker ended by itself: {name}" for name in failed]


class Nursery:
    """The driver's side of the program that forks workers; see `storm.nursery`."""

    def __init__(self, ground: Ground) -> None:
        # In a session of its own: an interrupt from the keyboard is the driver's alone.
        self._process = subprocess.Popen(
            [sys.executable, "-m", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        self._tell(msgspec.json.encode(ground))

    def _tell(self, line: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")
        self._process.stdin.flush()

    def born(self, number: int) -> int:
        """The process of a new worker. Blocks for some milliseconds."""
        assert self._process.stdout is not None
        self._tell(b"%d" % number)
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """No more of them, and none that is left."""
        with suppress(OSError):
            self._process.communicate()


def crew_of(plan: Plan, folder: str, store: Store | None) -> Crew:
    """The workers that a plan asks for; those that are tasks work on `store`."""
    if store is not None:
        return Tasks(plan, folder, store)
    return Processes(plan, folder)
