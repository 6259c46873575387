"""A web server on loopback that answers as it is told, or worse, and keeps what it was asked."""

import json
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

import anyio


def answer(status, body="", *headers):
    """The bytes of an answer."""
    content = body.encode()
    lines = [f"HTTP/1.1 {status} Reason", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + content


class Asked:
    """One request as the server saw it."""

    def __init__(self, head, body):
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.path, _ = first.split(" ")
        self.headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        self.body = body

    @property
    def form(self):
        return parse_qsl(self.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)

    @property
    def json(self):
        return json.loads(self.body)


async def read_request(stream):
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    asked = Asked(head, b"")
    while len(body) < int(asked.headers["content-length"]):
        body += await stream.receive()
    return Asked(head, body)


@asynccontextmanager
async def server(reply):
    """A server that gives `reply` (bytes, or what writes them) to each request it has read."""
    asked = []

    async def serve(stream):
        async with stream:
            try:
                while True:
                    asked.append(await read_request(stream))
                    if callable(reply):
                        await reply(stream)
                        return
                    await stream.send(reply)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, serve)
            yield f"http://127.0.0.1:{port}", asked
            tasks.cancel_scope.cancel()
