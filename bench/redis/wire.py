"""What a call is on the wire: a relay that counts commands, bytes and round trips, exactly.

It is slow, so nothing is timed behind it.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.redis.place import Place
from ctxbridge.stores.redis.resp import MISSING, new_reader


@dataclass(slots=True)
class Wire:
    """What went through the relay. A round trip begins when a client speaks after the server."""

    commands: Counter[str] = field(default_factory=Counter)
    said: list[list[bytes]] = field(default_factory=list)
    writes: int = 0
    round_trips: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    connections: int = 0
    server_spoke: bool = True

    def forget(self) -> None:
        """Begin to count anew; connections stay."""
        self.commands.clear()
        self.said.clear()
        self.writes = self.round_trips = self.bytes_out = self.bytes_in = 0
        self.server_spoke = True

    def out(self, data: bytes) -> None:
        self.writes += 1
        self.bytes_out += len(data)
        self.round_trips += self.server_spoke
        self.server_spoke = False

    def back(self, data: bytes) -> None:
        self.bytes_in += len(data)
        self.server_spoke = True

    def per(self, calls: int) -> dict[str, float]:
        """The counters of a report, for each of so many calls."""
        return {
            "commands": self.commands.total() / calls,
            "round trips": self.round_trips / calls,
            "bytes out": self.bytes_out / calls,
            "bytes in": self.bytes_in / calls,
        }


@asynccontextmanager
async def relay(place: Place) -> AsyncIterator[tuple[str, Wire]]:
    """The address of a relay to the server, and what went through it."""
    wire = Wire()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire.connections += 1
        there, back = await asyncio.open_connection(place.host, place.port)
        for coroutine in (_forth(reader, back, wire), _back(there, writer, wire)):
            task = asyncio.ensure_future(coroutine)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = place.tcp.replace(f"{place.host}:{place.port}", f"127.0.0.1:{port}")
    try:
        yield url, wire
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _forth(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wire: Wire) -> None:
    requests = new_reader()
    while data := await reader.read(1 << 20):
        wire.out(data)
        requests.feed(data)
        while (request := requests.gets()) is not MISSING:
            wire.commands[_name(request)] += 1
            wire.said.append(request)
        writer.write(data)
    writer.close()


async def _back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wire: Wire) -> None:
    while data := await reader.read(1 << 20):
        wire.back(data)
        writer.write(data)
    writer.close()


def _name(request: Any) -> str:
    return str(request[0].decode().lower())


async def made_counted(
    wire: Wire, call: Callable[[Any], Awaitable[object]], arguments: Iterable[Any]
) -> int:
    """Make the calls one after the other, counted anew; gives how many they were."""
    await asyncio.sleep(0.01)  # what earlier calls left behind has come through
    wire.forget()
    number = 0
    for argument in arguments:
        await call(argument)
        number += 1
    await asyncio.sleep(0.01)
    return number
