"""The ASGI side: who may connect, and the page's own script."""

import hashlib
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from ctxbridge.bridge import Bridge
from ctxbridge.bridge.recovery import Agent
from ctxbridge.channels.webchat import Limits, WebChat, client
from ctxbridge.chatting.talk import Talk, Terms
from ctxbridge.delivery.senders.webchat import WebChatSender
from ctxbridge.errors import ConfigurationError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = tuple[tuple[str, str], ...]

ANY = "*"
SCRIPT = "/client.js"


def chat(
    bridge: Bridge[Any],
    channel: WebChat,
    agent: Agent,
    *,
    origins: Collection[str],
    limits: Limits | None = None,
) -> "Chat":
    """An ASGI app for the web chat `channel`: a WebSocket at any path, ``GET .../client.js``.

    `agent` answers, as in `Bridge.answer`; turns go on when the page is gone. `origins` are the
    sites whose pages may connect (``https://acme.example``), ``"*"`` any client at all; a client
    that names none is let in by that alone. `limits` are what one connection may do.

    The bridge must be open while the app runs, beside it `Bridge.run`, and it needs a
    `WebChatSender`. Raises `ConfigurationError` where that is missing, or an origin is none.
    """
    sender = bridge.outbox.sender_on(channel.channel)
    if not isinstance(sender, WebChatSender):
        raise ConfigurationError("the bridge needs a WebChatSender among its senders")
    allowed = frozenset([origins] if isinstance(origins, str) else origins)
    wrong = not allowed or any(not _is_origin(one) for one in allowed - {ANY})
    if wrong:
        raise ConfigurationError('origins are of the form https://acme.example, or "*" for any')
    return Chat(Terms(bridge, channel, agent, sender, limits or Limits()), allowed)


def _is_origin(value: str) -> bool:
    """Scheme, host and port as browsers write them (RFC 6454, 6.2), and nothing else."""
    try:
        parts = urlsplit(value)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and value == f"{parts.scheme}://{parts.netloc}" == value.lower()


class Chat:
    """The app that `chat` makes."""

    def __init__(self, terms: Terms, origins: frozenset[str]) -> None:
        self._terms = terms
        self._origins = origins
        self._script = client()
        self._tag = f'"{hashlib.sha256(self._script).hexdigest()[:32]}"'

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One connection or request, as ASGI 3 has it."""
        kind = scope["type"]
        if kind == "websocket":
            await self._connect(_headers(scope), receive, send)
        elif kind == "http":
            await self._serve_script(scope, send)
        elif kind == "lifespan":
            await _live(receive, send)
        else:
            raise ConfigurationError("this app serves http, websocket and lifespan")

    async def _connect(self, headers: Headers, receive: Receive, send: Send) -> None:
        await receive()
        if self._origin_of(headers) is None:
            # Before it is accepted, this is a 403.
            await send({"type": "websocket.close", "code": 4403})
            return
        await send({"type": "websocket.accept"})
        await Talk(self._terms, Socket(receive, send), headers).run()

    def _origin_of(self, headers: Headers) -> str | None:
        """The origin that the client names, empty for any; `None` where it is not to be let in."""
        given = [value for name, value in headers if name == "origin"]
        if len(given) == 1 and given[0] in self._origins:
            return given[0]
        return "" if ANY in self._origins else None

    async def _serve_script(self, scope: Message, send: Send) -> None:
        if not scope["path"].endswith(SCRIPT) or scope["method"] not in {"GET", "HEAD"}:
            await _respond(send, 404, b"", [])
            return
        headers = _headers(scope)
        about = [
            ("content-type", "text/javascript; charset=utf-8"),
            ("etag", self._tag),
            ("cache-control", "public, max-age=300"),
            ("x-content-type-options", "nosniff"),
            ("vary", "origin"),
        ]
        if origin := self._origin_of(headers) or (ANY if ANY in self._origins else ""):
            # A module script is fetched across origins with CORS.
            about.append(("access-control-allow-origin", origin))
        if (("if-none-match", self._tag)) in headers:
            await _respond(send, 304, b"", about)
        else:
            await _respond(send, 200, self._script if scope["method"] == "GET" else b"", about)


class Socket:
    """One WebSocket of ASGI, once it is accepted."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    async def receive(self) -> bytes | str | None:
        """The next frame; `None` once the page has gone."""
        message = await self._receive()
        if message["type"] != "websocket.receive":
            return None
        text, data = message.get("text"), message.get("bytes")
        return text if text is not None else data or b""

    async def send(self, text: str) -> None:
        """Write a frame."""
        await self._send({"type": "websocket.send", "text": text})

    async def close(self, code: int) -> None:
        """Close it."""
        await self._send({"type": "websocket.close", "code": code})


def _headers(scope: Message) -> Headers:
    return tuple([(n.decode("latin-1").lower(), v.decode("latin-1")) for n, v in scope["headers"]])


async def _respond(send: Send, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
    coded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": coded})
    await send({"type": "http.response.body", "body": body})


async def _live(receive: Receive, send: Send) -> None:
    """Nothing is to be started: the bridge is its owner's to open."""
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
