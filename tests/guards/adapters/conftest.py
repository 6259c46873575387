"""A judge behind HTTP on this machine, which behaves as its path says."""

import asyncio
import json
import threading

import pytest

from ctxbridge import guards
from ctxbridge.model import Assurance

FINE = {"results": [{"flagged": False, "categories": {"hate": False, "violence": False},
                     "category_scores": {"hate": 0.01, "violence": 0.2}}]}  # fmt: skip


def answer(status, body, *headers):
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Server:
    """Answers on 127.0.0.1 in a thread; `asked` are (connection, path, headers, body) so far."""

    def __init__(self):
        self.asked = []
        self.ready = threading.Event()
        self.reply = FINE
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self):
        self._thread.start()
        self.ready.wait()
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def url(self, path="/moderate"):
        return f"http://127.0.0.1:{self._port}{path}"

    async def _run(self):
        self._loop, self._end, self._tasks = asyncio.get_running_loop(), asyncio.Event(), set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self._end.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(asyncio.current_task())
            writer.close()

    async def _one(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        path = head[0].split()[1]
        self.asked.append((writer.get_extra_info("peername"), path, headers, json.loads(body)))
        behaviour = getattr(self, "_" + path.strip("/"))
        return await behaviour(writer)

    async def _say(self, writer, data):
        writer.write(data)
        await writer.drain()
        return True

    async def _moderate(self, writer):
        return await self._say(writer, answer(200, json.dumps(self.reply).encode()))

    async def _error(self, writer):
        return await self._say(writer, answer(500, json.dumps(FINE).encode()))

    async def _created(self, writer):
        return await self._say(writer, answer(201, json.dumps(FINE).encode()))

    async def _redirect(self, writer):
        return await self._say(writer, answer(307, b"", f"Location: {self.url()}"))

    async def _nonsense(self, writer):
        return await self._say(writer, answer(200, b'{"results": [{"flagged": fal'))

    async def _deep(self, writer):
        return await self._say(writer, answer(200, b"[" * 60_000))

    async def _compressed(self, writer):
        return await self._say(writer, answer(200, b"\x1f\x8b", "Content-Encoding: gzip"))

    async def _huge(self, writer):
        writer.write(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(1_000_000):  # far more than anybody would wait for
            writer.write(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
            await writer.drain()
        return True

    async def _slow(self, writer):
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):  # each byte in time for a timeout between bytes
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)
        return True

    async def _hang(self, writer):
        await asyncio.sleep(60)

    async def _closed(self, writer):
        return False

    async def _broken(self, writer):
        await self._say(writer, b"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n{}")
        return False

    async def _garbage(self, writer):
        await self._say(writer, b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        return False


@pytest.fixture(scope="session")
def running():
    with Server() as server:
        yield server


@pytest.fixture
def server(running):
    running.reply = FINE
    running.asked.clear()
    return running


@pytest.fixture
def judged():
    """Judges a text by guards, as the pipeline does."""

    async def judge(text, *which, stage="reply", channel="sms"):
        check = guards.TextCheck(stage, text, channel, Assurance.CHANNEL, 1_700_000_000_000)
        return await guards.judge(which, check, lambda text: text.encode()[:16])

    return judge
