"""Which checkpoints this process is putting just now, so that their writes can wait for them.

The framework puts a checkpoint and the writes of the tasks behind it side by side. Writes that come
first would have to be stored on trial, and again once their checkpoint is there.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

import anyio
from anyio.lowlevel import checkpoint, current_token

_ROUNDS = 5
"""So often the loop goes round until the framework, told of one put, has begun the next."""


class Coming:
    """Puts that are under way, each in its event loop."""

    def __init__(self) -> None:
        self._ends: dict[tuple[Hashable, Hashable], anyio.Event] = {}

    @contextmanager
    def while_putting(self, where: Hashable) -> Iterator[None]:
        """Something is put there until the block is left."""
        key, end = (current_token(), where), anyio.Event()
        self._ends[key] = end
        try:
            yield
        finally:
            if self._ends.get(key) is end:
                del self._ends[key]
            end.set()

    async def wait(self, where: Hashable, is_there: Callable[[], bool]) -> None:
        """Return once it is there, or nothing is put there any more."""
        key = (current_token(), where)
        while not is_there():
            end = self._ends.get(key)
            if end is None:
                return
            await end.wait()
            for _ in range(_ROUNDS):
                await checkpoint()
