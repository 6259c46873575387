"""How a thread hands results to the event loop: one wake-up for a whole batch.

anyio can do this one call at a time only, and a blocking one; on the way of every write that is too
slow. So asyncio and trio are each asked in their own words, trio only where it is running.
"""

import asyncio
import sys
from collections.abc import Callable, Generator
from typing import Any, Protocol

import anyio


class Waiter(Protocol):
    """One result to come."""

    def __await__(self) -> Generator[Any, None, Any]: ...

    def done(self) -> bool:
        """Whether there is a result, or nobody waits for it any more."""
        ...

    def set_result(self, result: Any, /) -> None:
        """Wake the one who waits."""
        ...

    def set_exception(self, error: BaseException, /) -> None:
        """Wake the one who waits with an error."""
        ...


class Loop(Protocol):
    """An event loop, as far as a thread is concerned."""

    def waiter(self) -> Waiter:
        """A new result to come."""
        ...

    def soon(self, call: Callable[[], None], /) -> None:
        """Run `call` when those who are ready now have had their turn."""
        ...

    def from_thread(self, call: Callable[[], None], /) -> None:
        """Run `call` on the loop; may be called from any thread."""
        ...


class _Asyncio:
    """asyncio's futures, with its own batching of what is due in this tick."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.waiter: Callable[[], Any] = loop.create_future
        self.soon: Callable[[Callable[[], None]], Any] = loop.call_soon
        self.from_thread: Callable[[Callable[[], None]], Any] = loop.call_soon_threadsafe


class _EventWaiter:
    """A future's four verbs over an anyio event, for trio."""

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._result: Any = None
        self._error: BaseException | None = None

    def __await__(self) -> Generator[Any, None, Any]:
        yield from self._event.wait().__await__()
        if self._error is not None:
            raise self._error
        return self._result

    def done(self) -> bool:
        return self._event.is_set()

    def set_result(self, result: Any, /) -> None:
        self._result = result
        self._event.set()

    def set_exception(self, error: BaseException, /) -> None:
        self._error = error
        self._event.set()


class _Trio:
    """trio's token; what is due soon runs in the next batch of its loop."""

    def __init__(self, token: Any) -> None:
        self.waiter = _EventWaiter
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
