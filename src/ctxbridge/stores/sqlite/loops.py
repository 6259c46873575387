"""How a thread hands results to the event loop: one wake-up for a whole batch.

anyio can do this one call at a time only, and a blocking one; on the way of every write that is too
slow. So asyncio and trio are each asked in their own words, trio only where it is running.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Any, Protocol

import anyio


class Waiter:
    """One result to come, for one caller. It may be waited for again after a cancellation."""

    __slots__ = ("_outcome", "settled")

    def __init__(self) -> None:
        self.settled = False
        self._outcome: Any = None

    async def wait(self) -> None:
        """Return once it is settled."""
        raise AssertionError  # each loop has its own

    def settle(self, outcome: Any) -> None:
        """Wake the one who waits. Called on the loop."""
        self.settled = True
        self._outcome = outcome

    def result(self) -> Any:
        """The outcome; an exception is raised."""
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome


class _AsyncioWaiter(Waiter):
    """asyncio cancels the future that is waited for, so each wait has its own."""

    __slots__ = ("_future",)

    def __init__(self) -> None:
        super().__init__()
        self._future: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        if not self.settled:
            self._future = asyncio.get_running_loop().create_future()
            await self._future

    def settle(self, outcome: Any) -> None:
        super().settle(outcome)
        if self._future is not None and not self._future.done():
            self._future.set_result(None)


class _TrioWaiter(Waiter):
    __slots__ = ("_event",)

    def __init__(self) -> None:
        super().__init__()
        self._event = anyio.Event()

    async def wait(self) -> None:
        await self._event.wait()

    def settle(self, outcome: Any) -> None:
        super().settle(outcome)
        self._event.set()


class Loop(Protocol):
    """An event loop, as far as a thread is concerned."""

    waiter: type[Waiter]

    def soon(self, call: Callable[[], None], /) -> None:
        """Run `call` when those who are ready now have had their turn."""
        ...

    def from_thread(self, call: Callable[[], None], /) -> None:
        """Run `call` on the loop; may be called from any thread."""
        ...


class _Asyncio:
    """asyncio, with its own batching of what is due in this tick."""

    waiter: type[Waiter] = _AsyncioWaiter

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.soon: Callable[[Callable[[], None]], Any] = loop.call_soon
        self.from_thread: Callable[[Callable[[], None]], Any] = loop.call_soon_threadsafe


class _Trio:
    """trio's token; what is due soon runs in the next batch of its loop."""

    waiter: type[Waiter] = _TrioWaiter

    def __init__(self, token: Any) -> None:
        self.soon: Callable[[Callable[[], None]], Any] = token.run_sync_soon
        self.from_thread: Callable[[Callable[[], None]], Any] = token.run_sync_soon


def running() -> Any:
    """What identifies the event loop that runs in this thread."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return sys.modules["trio"].lowlevel.current_trio_token()


def adopt(running_loop: Any) -> Loop:
    """The loop that `running` named, in our words."""
    if isinstance(running_loop, asyncio.AbstractEventLoop):
        return _Asyncio(running_loop)
    return _Trio(running_loop)
