"""Webhooks over a store in memory, called as an ASGI server calls them, without a server."""

import json
from typing import NamedTuple

import anyio
import pytest
from twilio.request_validator import RequestValidator

from ctxbridge import Bridge
from ctxbridge.asgi import webhooks
from ctxbridge.channels import Twilio, WebChat
from ctxbridge.testing.storm.around import Around

TOKEN = "token-of-the-tests"
SECRET = "chat-secret-of-the-tests-with-32-bytes"
ORIGIN = "https://hooks.example.org"
ANN = "+15550100001"
SHOP = "+15550199999"


class Answer(NamedTuple):
    status: int
    body: bytes
    headers: dict


class Agent:
    """Repeats what it was told; thinks until it is let go."""

    def __init__(self, *, waits=False):
        self.asked, self.let_go, self.at_once, self.most = 0, anyio.Event(), 0, 0
        if not waits:
            self.let_go.set()

    async def __call__(self, turn):
        self.asked += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.let_go.wait()
        finally:
            self.at_once -= 1
        return "re: " + " ".join(m.text for m in turn.messages)


def scope_of(method, path, headers=(), query=b"", **more):
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": query,
        "root_path": "", "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in headers],
        "server": ("127.0.0.1", 8000), **more,
    }  # fmt: skip


async def call(app, scope, pieces=(b"",)):
    """The answer to a request whose body comes in pieces; `None` stands for a client that hangs
    up, and a function for what is to be awaited before the next piece. `None` where there is none.
    """
    sent, left = [], list(pieces)

    async def receive():
        while left and callable(left[0]):
            await left.pop(0)()
        if not left:
            await anyio.sleep_forever()
        piece = left.pop(0)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(left)}

    async def send(message):
        sent.append(message)

    with anyio.fail_after(30):
        await app(scope, receive, send)
    if not sent:
        return None
    start, *bodies = sent
    headers = {k.decode(): v.decode() for k, v in start["headers"]}
    return Answer(start["status"], b"".join(m["body"] for m in bodies), headers)


def form(sid, body, sender=ANN, **more):
    return {"MessageSid": sid, "From": sender, "To": SHOP, "Body": body, "NumMedia": "0", **more}


def encoded(fields):
    from urllib.parse import urlencode

    return urlencode(fields).encode()


def signature(url, fields, token=TOKEN):
    return RequestValidator(token).compute_signature(url, fields)


async def sms(app, sid, body, *, path="/twilio", token=TOKEN, origin=ORIGIN, **more):
    """A message by Twilio, signed by Twilio's own validator."""
    fields = form(sid, body, **more)
    headers = [("X-Twilio-Signature", signature(origin + path, fields, token))]
    return await call(app, scope_of("POST", path, headers), [encoded(fields)])


async def chat(app, id, text, subject="visitor-1", *, now, path="/webchat"):
    token = WebChat(SECRET, app="acme").token(subject, now=now)
    frame = json.dumps({"type": "message", "client_msg_id": id, "text": text}).encode()
    return await call(app, scope_of("POST", path, [("Authorization", f"Bearer {token}")]), [frame])


class Breakable(Around):
    """A store that can be told to fail: an error for each of the next messages, or none."""

    def __init__(self, store):
        super().__init__(store)
        self.fails, self.hangs = [], None

    async def open(self, claim, /):
        if self.hangs is not None:
            await self.hangs.wait()
        error = self.fails.pop(0) if self.fails else None
        if error is not None:
            raise error
        return await self._store.open(claim)


@pytest.fixture
async def bridge():
    from ctxbridge.stores.memory import MemoryStore

    async with Bridge(Breakable(MemoryStore()), tenant="acme", drain_seconds=0.1) as bridge:
        yield bridge


@pytest.fixture
def hooks(bridge):
    """Makes the app, with options of the test's own."""

    def make(agent=None, channels=None, **options):
        ours = [Twilio(TOKEN), WebChat(SECRET, app="acme")]
        options.setdefault("origin", ORIGIN)
        return webhooks(bridge, channels or ours, agent, **options)

    return make


async def said(bridge, address="sms:" + ANN):
    return [(m.author, m.text) for m in (await bridge.context(address, window=0)).messages]


async def settled(bridge):
    """Wait until no turn of an accepted message runs."""
    await until(lambda: not len(bridge.acceptances))


async def until(holds):
    with anyio.fail_after(60):
        while not holds():  # noqa: ASYNC110 - what is waited for tells nobody
            await anyio.sleep(0.01)
