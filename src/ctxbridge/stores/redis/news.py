"""Who waits for a key to change, and how they are told."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

Told = asyncio.Future[None]


class News:
    """Wakes those who wait for a key, each once; who left is forgotten."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, set[Told]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @contextmanager
    def of(self, key: bytes) -> Iterator[Told]:
        """What is done when the key changes, from now on."""
        told: Told = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, set()).add(told)
        try:
            yield told
        finally:
            waiting = self._waiting.get(key, set())
            waiting.discard(told)
            if not waiting:
                self._waiting.pop(key, None)

    def tell(self, key: bytes) -> None:
        """The key has changed, or may have."""
        if self._waiting:
            _wake(self._waiting.pop(key, ()))

    def tell_all(self) -> None:
        """Any key may have changed."""
        waiting, self._waiting = self._waiting, {}
        for told in waiting.values():
            _wake(told)


async def within(told: Told, seconds: float) -> None:
    """Wait to be told, no longer than so long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await told


def _wake(waiting: Iterable[Told]) -> None:
    for told in waiting:
        if not told.done():
            told.set_result(None)
