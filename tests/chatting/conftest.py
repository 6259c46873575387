"""A chat over each store, and pages that speak ASGI to it, on both event loops."""

import json
import time
from contextlib import asynccontextmanager
from itertools import count

import anyio
import pytest

from ctxbridge import Address, Bridge, open_store
from ctxbridge.channels import WebChat
from ctxbridge.channels.webchat import Limits
from ctxbridge.chatting import chat
from ctxbridge.delivery.senders import WebChatSender

SITE = "https://shop.example"
CHANNEL = WebChat("s" * 32, app="shop")
QUICK = Limits(per_second=1000, burst=1000, heartbeat_seconds=20, resume_seconds=5)
_numbers = count(1)


def now():
    return time.time_ns() // 1_000_000


def token(subject="ann", **more):
    return CHANNEL.token(subject, now=now(), **more)


def address(subject="ann"):
    return Address("chat", subject)


async def echo(turn):
    return f"re: {turn.inbound.text}"


class Page:
    """A page as a server shows it: what it was sent, frame by frame, and how it was closed."""

    def __init__(self):
        self.put, self.incoming = anyio.create_memory_object_stream(1000)
        self.frames = []
        self.code = None
        self.accepted = False
        self.hangs = False
        self.ended = anyio.Event()
        self._news = anyio.Event()
        self._taken = 0

    async def receive(self):
        return await self.incoming.receive()

    async def send(self, message):
        if message["type"] == "websocket.accept":
            self.accepted = True
        elif message["type"] == "websocket.close":
            self.code = message["code"]
        else:
            if self.hangs:
                await anyio.sleep_forever()
            self.frames.append(json.loads(message["text"]))
        news, self._news = self._news, anyio.Event()
        news.set()

    async def live(self, app, scope):
        await app(scope, self.receive, self.send)
        self.ended.set()

    def say(self, **frame):
        self.put.send_nowait({"type": "websocket.receive", "text": json.dumps(frame)})

    def write(self, text, id, **more):
        self.say(type="message", client_msg_id=id, text=text, **more)

    async def next(self, type, **fields):
        """The next frame of this type and these fields; what stands before it is passed over."""
        with anyio.fail_after(60):
            while True:
                while self._taken < len(self.frames):
                    frame = self.frames[self._taken]
                    self._taken += 1
                    if frame["type"] == type and fields.items() <= frame.items():
                        return frame
                await self._news.wait()

    async def closed(self):
        with anyio.fail_after(60):
            while self.code is None:
                await self._news.wait()
        return self.code

    async def settled(self):
        """All frames so far: once pings have come back, what was said before is done.

        The first makes the server look into the log, the second comes behind what it found.
        """
        for _ in range(2):
            self.say(type="ping")
            await self.next("pong")
        return self.frames

    def texts(self, *authors):
        return [
            f["text"]
            for f in self.frames
            if f["type"] == "message" and (not authors or f["author"] in authors)
        ]


@asynccontextmanager
async def opened(app, origin=SITE, headers=()):
    """A page that has a connection, and has not said anything yet."""
    page = Page()
    page.put.send_nowait({"type": "websocket.connect"})
    named = [(b"origin", origin.encode())] if origin else []
    scope = {"type": "websocket", "path": "/", "headers": [*named, *headers]}
    async with page.put, page.incoming, anyio.create_task_group() as tasks:
        tasks.start_soon(page.live, app, scope)
        yield page
        page.put.send_nowait({"type": "websocket.disconnect", "code": 1001})


@asynccontextmanager
async def connected(app, subject="ann", **more):
    """A page that has resumed; `ready` is what it was answered."""
    async with opened(app) as page:
        page.say(type="resume", token=token(subject), **more)
        page.ready = await page.next("ready")
        yield page


def app_of(bridge, agent=echo, **more):
    return chat(bridge, CHANNEL, agent, **({"origins": [SITE], "limits": QUICK} | more))


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def bridge(request, tmp_path):
    where = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/chat.db"}.get(request.param)
    if where is None:
        where = open_store(request.getfixturevalue("server").url, prefix=f"chat:{next(_numbers)}")
    async with Bridge(where, tenant="acme", senders=[WebChatSender()]) as bridge:
        yield bridge
    await bridge.store.aclose()


@pytest.fixture
def app(bridge):
    return app_of(bridge)
