"""One connection through the proxy: the client's, the server's, and what happens in between."""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from ctxbridge.testing.faults import Faults, How


class Lane:
    """One direction of a connection: what is put in comes out in order, each when it is due."""

    def __init__(self, end: Callable[[asyncio.Transport], None]) -> None:
        self.transport: asyncio.Transport | None = None
        self.stalled_until = 0.0
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, bytes | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, data: bytes | None, delay: float = 0.0) -> None:
        """Send `data`; None ends the direction."""
        before = self._waiting[-1][0] if self._waiting else 0.0
        due = max(self._loop.time() + delay, self.stalled_until, before)
        self._waiting.append((due, data))
        if self._timer is None:
            self.flush()

    def flush(self) -> None:
        """Send what is due, once there is somebody to send it to."""
        self._timer = None
        while self.transport and self._waiting:
            if self._waiting[0][0] > self._loop.time():
                self._timer = self._loop.call_at(self._waiting[0][0], self.flush)
                return
            self._write(self.transport, self._waiting.popleft()[1])

    def _write(self, transport: asyncio.Transport, data: bytes | None) -> None:
        if transport.is_closing():
            return
        if data is None:
            self._end(transport)
        else:
            transport.write(data)

    def reset(self) -> None:
        """Drop what waits and abort; of a TCP connection the other side sees a reset."""
        self._waiting.clear()
        if self._timer:
            self._timer.cancel()
        if self.transport:
            reset(self.transport)


class Pair:
    """A client's connection and the one to the server that belongs to it."""

    def __init__(
        self,
        faults: Faults,
        accepted: Callable[["Pair"], None],
        gone: Callable[["Pair"], None],
    ) -> None:
        self.left_over = b""
        self._faults = faults
        self._accepted = accepted
        self._gone = gone
        self._up = Lane(lambda server: server.write_eof())
        self._down = Lane(lambda client: client.close())
        self._doom: How | None = None
        self._muted = self._over = self._client_ended = False
        self._held: bytes | None = None
        self._client_there = self._server_there = True

    @property
    def has_client(self) -> bool:
        client = self._down.transport
        return self._client_there and client is not None and not client.is_closing()

    def client_here(self, transport: asyncio.Transport) -> None:
        self._down.transport = transport
        self._accepted(self)

    def server_here(self, transport: asyncio.Transport) -> None:
        self._up.transport = transport
        if self._over:
            self._up.reset()
        self._up.flush()

    def request(self, data: bytes) -> None:
        self._faults.requests += 1
        self._faults.bytes_in += len(data)
        if self._muted:
            return
        how = None if self._doom else self._faults.strike(data)
        if how in ("refuse", "cut"):
            self._drop(data[: len(data) // 2] if how == "cut" else b"")
            return
        self._doom = self._doom or how
        self._up.put(data, self._half())

    def answer(self, data: bytes) -> None:
        self._faults.bytes_out += len(data)
        if self._muted:
            return
        doom, self._doom = self._doom, None
        if doom == "reset":
            self._drop()
        elif doom == "blackhole":
            self._muted = True
        else:
            if doom == "late":
                until = asyncio.get_running_loop().time() + self._faults.late_seconds
                self._up.stalled_until = self._down.stalled_until = until
            self._deliver(self.left_over + data)
            self.left_over = b""

    def _deliver(self, data: bytes) -> None:
        if self._held is None and self._faults.take_swap():
            self._held = data
            return
        self._down.put(data, self._half())
        if self._held is not None:
            self._down.put(self._held, self._half())
            self._held = None

    def _half(self) -> float:
        return self._faults.delay_seconds / 2

    def _drop(self, last: bytes = b"") -> None:
        """Reset the client; the server still reads what it was sent, and `last`."""
        self._down.reset()
        if last:
            self._up.put(last, self._half())
        self._up.put(None, self._half())

    def client_ended(self) -> bool:
        """The client sends no more; whether it may still be answered."""
        self._client_ended = True
        self._up.put(None, self._half())
        return self._server_there and not self._muted

    def client_lost(self) -> None:
        self._client_there = False
        self._up.put(None, self._half())
        self._settle()

    def server_lost(self, error: Exception | None) -> None:
        self._server_there = False
        if error and not self._muted:
            self._down.reset()
        elif self._client_ended or not self._muted:
            self._down.put(None, self._half())
        self._settle()

    def unreached(self) -> None:
        """There is no server, or there shall be none."""
        self._server_there = False
        self._down.reset()
        self._settle()

    def reset(self) -> None:
        self._over = True
        self._down.reset()
        self._up.reset()

    def _settle(self) -> None:
        if not self._client_there and not self._server_there:
            self._gone(self)


class Client(asyncio.Protocol):
    """The side on which the proxy was connected to."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._pair.client_here(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        self._pair.request(data)

    def eof_received(self) -> bool:
        return self._pair.client_ended()

    def connection_lost(self, _: Exception | None) -> None:
        self._pair.client_lost()


class Upstream(asyncio.Protocol):
    """The side on which the proxy connected to the server."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._pair.server_here(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        self._pair.answer(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._pair.server_lost(error)


def reset(transport: asyncio.Transport) -> None:
    """Abort so that the other side sees a reset and no orderly end."""
    own = transport.get_extra_info("socket")
    if own is not None and own.family != socket.AF_UNIX and not transport.is_closing():
        # A socket that does not linger sends a reset when it is closed.
        with suppress(OSError):
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
