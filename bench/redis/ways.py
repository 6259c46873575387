"""Those that take part: the floors, redis-py at its best documented use, and our store."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import redis.asyncio
from redis.asyncio.connection import parse_url

from bench.corpus import WINDOW
from bench.redis.race import Call
from ctxbridge.model import Message, Query
from ctxbridge.stores.redis import RedisStore
from ctxbridge.stores.redis.exchange import Exchange
from ctxbridge.stores.redis.resp import pack
from ctxbridge.wire import decode_entries

RAW, GET, SET, MUX = "raw socket GET", "redis-py GET", "redis-py SET", "mux GET"


@asynccontextmanager
async def raw_get(url: str) -> AsyncIterator[Call]:
    """One blocking socket: no client in Python can be faster with one request after the other."""
    parts = urlsplit(url)
    unix = parts.scheme == "unix"
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as talk:
        talk.connect(parts.path if unix else (parts.hostname, parts.port))
        if not unix:
            talk.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        async def get(request: bytes) -> bytes:
            talk.sendall(request)
            data = talk.recv(1 << 18)
            head, _, value = data.partition(b"\r\n")
            missing = int(head[1:]) + 2 - len(value)
            while missing > 0:
                more = talk.recv(1 << 18)
                value, missing = value + more, missing - len(more)
            return value[:-2]

        yield get


@asynccontextmanager
async def client(url: str) -> AsyncIterator["redis.asyncio.Redis"]:
    """One client with its default pool, as its documentation would have it."""
    async with redis.asyncio.Redis.from_url(url) as made:
        yield made


@asynccontextmanager
async def redis_get(url: str) -> AsyncIterator[Call]:
    async with client(url) as made:
        yield made.get


@asynccontextmanager
async def redis_set(url: str) -> AsyncIterator[Call]:
    async with client(url) as made:

        async def put(pair: tuple[bytes, bytes]) -> Any:
            return await made.set(*pair)

        yield put


@asynccontextmanager
async def exchange(url: str) -> AsyncIterator[Exchange]:
    """The bare exchange of our store on a connection of its own."""
    made: dict[str, Any] = dict(parse_url(url))
    kind = made.pop("connection_class", redis.asyncio.Connection)
    connection = kind(**made, protocol=3)
    await connection.connect()
    exchanging = Exchange(timeout_seconds=30.0)
    exchanging.adopt(connection)
    try:
        yield exchanging
    finally:
        exchanging.end("the bench is done")


@asynccontextmanager
async def mux_get(url: str) -> AsyncIterator[Call]:
    async with exchange(url) as exchanging:

        async def get(request: bytes) -> Any:
            return await exchanging.ask(request).future

        yield get


def get_request(key: bytes) -> bytes:
    return pack(b"GET", key)


@asynccontextmanager
async def store(
    url: str, *, near_cache: bool = False, check: bool = True
) -> AsyncIterator[RedisStore]:
    """Our store with its default settings, and with or without the near cache."""
    opened = RedisStore(url, near_cache=near_cache)
    try:
        if check:
            await opened.check()
        yield opened
    finally:
        await opened.aclose()


def verb(name: str, *, near_cache: bool = False) -> Any:
    """A way to open the store and be given one of its verbs."""

    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[Call]:
        async with store(url, near_cache=near_cache) as made:
            yield getattr(made, name)

    return opened


@asynccontextmanager
async def read_decoded(url: str) -> AsyncIterator[Call]:
    """Look up, and decode every message of the window."""
    async with store(url) as made:

        async def read(query: Query) -> tuple[list[Message], bytes | None]:
            context = await made.read(query)
            return context.messages, context.state

        yield read


@asynccontextmanager
async def redis_lrange(url: str) -> AsyncIterator[Call]:
    """What one would write oneself over redis-py, for messages that were stored as ours are."""
    async with client(url) as made:

        async def read(key: bytes) -> tuple[list[Message], bytes | None]:
            found: Any = await made.lrange(key, -(WINDOW + 3), -1)
            *entries, _, _, state = found
            return [entry for entry in decode_entries(entries) if isinstance(entry, Message)], state

        yield read
