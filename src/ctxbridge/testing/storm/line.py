"""JSON lines between a worker and the driver: requests in both directions over one socket."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

Answering = Callable[[Any], Awaitable[Any]]


class Line:
    """One end. `answer` is asked for what the other side asks."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answering
    ) -> None:
        self._reader, self._writer, self._answer = reader, writer, answer
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.open = True

    async def ask(self, what: Any) -> Any:
        """The other side's answer; raises `ConnectionResetError` where it is gone."""
        if not self.open or self._writer.is_closing():
            raise ConnectionResetError
        self._number += 1
        number = self._number
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._write(["ask", number, what])
            return await future
        finally:
            self._asked.pop(number, None)

    def _write(self, what: Any) -> None:
        if not self._writer.is_closing():
            self._writer.write(msgspec.json.encode(what) + b"\n")

    async def run(self) -> None:
        """Carry what comes, until the line is cut."""
        try:
            while line := await self._reader.readline():
                kind, number, what = msgspec.json.decode(line)
                if kind == "ask":
                    task = asyncio.ensure_future(self._reply(number, what))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                elif (future := self._asked.get(number)) and not future.done():
                    future.set_result(what)
        except (OSError, ValueError):
            pass
        finally:
            self.close()

    async def _reply(self, number: int, what: Any) -> None:
        self._write(["answer", number, await self._answer(what)])

    def close(self) -> None:
        """Cut it: who waits is told."""
        self.open = False
        self._writer.close()
        for task in self._tasks:
            task.cancel()
        for future in self._asked.values():
            if not future.done():
                future.set_exception(ConnectionResetError())
