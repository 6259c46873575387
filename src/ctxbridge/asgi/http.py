"""The ASGI messages of one request and its answer (asgi.readthedocs.io, HTTP 2.5)."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Self
from urllib.parse import quote

import anyio
from msgspec import Struct

from ctxbridge.model import HttpReply, RawRequest

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

TEXT = "text/plain; charset=utf-8"
MOST_URL_BYTES = 64 * 1024
MOST_HEADERS = 200


class Answer(Struct, frozen=True):
    """What a request is answered with. `closes` ends the connection behind it."""

    status: int
    body: bytes = b""
    content_type: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()
    closes: bool = False


def again(why: bytes, seconds: int = 5) -> Answer:
    """503: the provider shall send it again, in so many seconds at the earliest."""
    return Answer(503, why, headers=(("retry-after", str(seconds)),))


NOT_FOUND = Answer(404, b"no channel has this path")
TOO_LARGE = Answer(413, b"the body is over its limit", closes=True)
TOO_LONG = Answer(414, b"the address is over its limit", closes=True)
TOO_MANY_HEADERS = Answer(431, b"the headers are over their limit", closes=True)
TOO_SLOW = Answer(408, b"the body did not arrive in time", closes=True)
FAILED = Answer(500, b"internal error")


def not_allowed(methods: Iterable[str]) -> Answer:
    """405, with the methods that are."""
    return Answer(405, b"method not allowed", headers=(("allow", ", ".join(methods)),))


def answer_of(reply: HttpReply) -> Answer:
    """What an adapter wants to be answered."""
    headers = tuple([(name.lower(), value) for name, value in reply.headers])
    return Answer(reply.status, reply.body, reply.content_type, headers)


async def respond(send: Send, scope: Scope, answer: Answer) -> None:
    """Send the answer; to HEAD without its body."""
    headers = [("content-type", answer.content_type), ("content-length", str(len(answer.body)))]
    # HTTP/2 knows no such header, and ends a stream alone (RFC 9113, 8.2.2).
    if answer.closes and scope.get("http_version", "1.1").startswith("1"):
        headers.append(("connection", "close"))
    encoded = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in (*headers, *answer.headers)]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    body = b"" if scope["method"] == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body})


def over_limits(scope: Scope, header_bytes: int) -> Answer | None:
    """What the address and the headers are refused with, if they are too long."""
    if len(_raw_path(scope)) + len(scope.get("query_string", b"")) > MOST_URL_BYTES:
        return TOO_LONG
    headers = scope["headers"]
    size = sum(len(name) + len(value) for name, value in headers)
    return TOO_MANY_HEADERS if size > header_bytes or len(headers) > MOST_HEADERS else None


def announced(scope: Scope) -> int:
    """How long the body says it is; 0 where it does not say."""
    for name, value in scope["headers"]:
        if name.lower() == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0


class Buffers:
    """How many bytes of bodies are held at once, by all requests together."""

    def __init__(self, most: int) -> None:
        self._free = most

    def take(self, size: int) -> bool:
        """Hold so many more, if there is room."""
        self._free -= size
        return self._free >= 0

    def free(self, size: int) -> None:
        """Hold so many less."""
        self._free += size


class Body:
    """The body of one request, as far as it has come. Used as ``with``: then it is let go."""

    def __init__(self, receive: Receive, buffers: Buffers, limit: int) -> None:
        self._receive = receive
        self._buffers = buffers
        self._limit = limit
        self._pieces = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._buffers.free(len(self._pieces))

    async def read(self, seconds: float) -> bytes | Answer | None:
        """All of it; or what it is refused with; or `None` where the client has gone."""
        with anyio.move_on_after(seconds):
            return await self._read()
        return TOO_SLOW

    async def _read(self) -> bytes | Answer | None:
        more = True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                return None
            piece = message.get("body", b"")
            more = message.get("more_body", False)
            self._pieces += piece
            if not self._buffers.take(len(piece)):
                return again(b"too many bytes at once; try again later")
            if len(self._pieces) > self._limit:
                return TOO_LARGE
        return bytes(self._pieces)


def raw_request(scope: Scope, body: bytes, origin: str, now: int) -> RawRequest:
    """The request as an adapter takes it. X-Forwarded-* are never believed.

    `origin` is what stands before the path in the address that the provider calls; without, it is
    what the request says.
    """
    headers = tuple([(k.decode("latin-1"), v.decode("latin-1")) for k, v in scope["headers"]])
    query = scope.get("query_string", b"").decode("latin-1")
    path = _raw_path(scope).decode("latin-1")
    url = (origin or _origin(scope)) + path + ("?" + query if query else "")
    return RawRequest(body, headers, scope["method"], url, now)


def _origin(scope: Scope) -> str:
    hosts = [value for name, value in scope["headers"] if name.lower() == b"host"]
    host = (
        hosts[0].decode("latin-1") if hosts else "{}:{}".format(*(scope.get("server") or ("", 0)))
    )
    return f"{scope.get('scheme', 'http')}://{host}"


def _raw_path(scope: Scope) -> bytes:
    """The path as it was called; some servers tell it only decoded."""
    raw = scope.get("raw_path")
    return (
        raw
        if isinstance(raw, bytes) and raw
        else quote(scope["path"], safe="/%:@!$&'()*+,;=~").encode()
    )
