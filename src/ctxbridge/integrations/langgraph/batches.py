"""Work on one record that comes from many tasks at once: what waits is done in one go."""

from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Any, Generic, TypeVar

import anyio
from anyio.lowlevel import current_token

T = TypeVar("T")


class Batch(Generic[T]):
    """What is to be done together, and how that ended."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self.done = False
        self.error: Exception | None = None


class Batches(Generic[T]):
    """While one batch of a key is under way, all that comes for it is gathered into the next."""

    def __init__(self) -> None:
        self._open: dict[Hashable, Batch[T]] = {}
        self._locks: dict[Hashable, anyio.Lock] = {}

    async def add(
        self, name: Hashable, items: Iterable[T], work: Callable[[list[T]], Awaitable[Any]]
    ) -> None:
        """Return once `work` was done with these items; raises what it has raised."""
        key = (current_token(), name)
        batch = self._open.setdefault(key, Batch())
        batch.items += items
        lock = self._locks.setdefault(key, anyio.Lock())
        try:
            async with lock:
                if not batch.done:
                    await self._do(key, batch, work)
        finally:
            if not lock.locked() and not lock.statistics().tasks_waiting:
                self._locks.pop(key, None)
        if batch.error is not None:
            raise batch.error

    async def _do(
        self, key: Hashable, batch: Batch[T], work: Callable[[list[T]], Awaitable[Any]]
    ) -> None:
        """If this is cancelled, the next of those who wait for the batch does it."""
        if self._open.get(key) is batch:
            del self._open[key]
        try:
            await work(batch.items)
        except Exception as error:  # noqa: BLE001 - each of those who wait is told
            batch.error = error
        batch.done = True
