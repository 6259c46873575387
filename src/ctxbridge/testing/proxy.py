"""A proxy that breaks what runs through it, between a client and a server.

::

    async with Proxy("127.0.0.1", server.port) as proxy:
        client = connect("127.0.0.1", proxy.port)
        proxy.lose(1, "reset", containing=b"EVALSHA")

It knows no protocol. What it takes for a request is told in `ctxbridge.testing.faults`.
"""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from ctxbridge.testing.faults import Faults
from ctxbridge.testing.relay import Client, Pair, Upstream


class Proxy(Faults):
    """Listens at `port` of this machine and speaks to a server at `host` and `port`, or at `path`.

    Runs on asyncio. It holds what a slow reader does not take, without limit.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, *, path: str | Path | None = None
    ) -> None:
        super().__init__()
        self.port = 0
        self._target = (host, port, path)
        self._pairs: set[Pair] = set()
        self._reaching: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Client(self._pair()), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.down = True
        await asyncio.sleep(0.001)  # those that were accepted a moment ago are reset by `down`
        for task in self._reaching:
            task.cancel()
        await asyncio.gather(*self._reaching, return_exceptions=True)
        self.reset_all()
        while self._pairs:  # noqa: ASYNC110 - aborted connections are gone within a tick or two
            await asyncio.sleep(0)

    @property
    def open(self) -> int:
        """How many clients are connected."""
        return sum(pair.has_client for pair in self._pairs)

    def inject(self, data: bytes) -> None:
        """Put `data` before the next answer on every connection that is open."""
        for pair in self._pairs:
            pair.left_over += data

    def reset_all(self) -> None:
        """Reset every connection, on both sides."""
        for pair in list(self._pairs):
            pair.reset()

    def _pair(self) -> Pair:
        return Pair(self, self._accept, self._pairs.discard)

    def _accept(self, pair: Pair) -> None:
        self.connections += 1
        self._pairs.add(pair)
        if self.down:
            pair.unreached()
            return
        task = asyncio.get_running_loop().create_task(self._reach(pair))
        self._reaching.add(task)
        task.add_done_callback(self._reaching.discard)

    async def _reach(self, pair: Pair) -> None:
        loop = asyncio.get_running_loop()
        host, port, path = self._target
        try:
            if path is None:
                await loop.create_connection(lambda: Upstream(pair), host, port)
            else:
                await loop.create_unix_connection(lambda: Upstream(pair), str(path))
        except BaseException as error:
            pair.unreached()
            if not isinstance(error, OSError):
                raise
