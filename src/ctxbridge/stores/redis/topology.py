"""Which server has a shard: one alone, the primary that sentinels name, or a Cluster's nodes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from ctxbridge.errors import ConfigurationError, Unavailable
from ctxbridge.stores.redis.exchange import Exchange
from ctxbridge.stores.redis.keys import Keys
from ctxbridge.stores.redis.settings import Settings

Where = tuple[str, int] | None
"""Host and port; `None` for what the connection's own settings say (a lone server)."""
Dial = Callable[["Line", Where, bool], Awaitable[Exchange]]
"""Opens a line's connection: where to, and whether for writes that wait for replicas."""

_REFRESH_SECONDS = 0.2


class Line:
    """One connection to one server, opened when it is needed and again when it was lost."""

    def __init__(self, where: Callable[[], Awaitable[Where]], dial: Dial, waits: bool) -> None:
        self._where = where
        self._dial = dial
        self._waits = waits
        self._dialing: asyncio.Task[Exchange] | None = None
        self.exchange: Exchange | None = None
        self.where: Where = None

    async def reach(self) -> Exchange:
        """The live exchange; all who wait for a connection share one attempt to open it."""
        if self.exchange is not None and self.exchange.live:
            return self.exchange
        if self._dialing is None or self._dialing.done():
            self._dialing = asyncio.ensure_future(self._open())
            self._dialing.add_done_callback(heed)
        return await asyncio.shield(self._dialing)

    async def _open(self) -> Exchange:
        self.where = await self._where()
        exchange = await self._dial(self, self.where, self._waits)
        if exchange.live:
            self.exchange = exchange
        return exchange

    def ended(self, exchange: Exchange) -> None:
        """Forget an exchange that is no more."""
        if self.exchange is exchange:
            self.exchange = None

    async def aclose(self) -> None:
        """Close the connection, or stop opening it."""
        if self._dialing is not None and not self._dialing.done():
            self._dialing.cancel()
            await asyncio.wait([self._dialing])
        if self.exchange is not None:
            self.exchange.end("the store was closed")


def heed(task: "asyncio.Task[Any]") -> None:
    """Whoever waited has been told; nobody else needs to be."""
    if not task.cancelled():
        task.exception()


class Server:
    """One server's lines: one for all, and where writes wait for replicas a second for those."""

    def __init__(self, where: Callable[[], Awaitable[Where]], dial: Dial, *, waits: bool) -> None:
        self.reads = Line(where, dial, waits=False)
        self.writes = Line(where, dial, waits=True) if waits else self.reads

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines, each once."""
        return (self.reads,) if self.writes is self.reads else (self.reads, self.writes)

    def drop(self, reason: str) -> None:
        """End the connections: this is not the right server any more."""
        for line in self.lines:
            if line.exchange is not None:
                line.exchange.end(reason)


class Topology(Protocol):
    """What the three have in common. `servers` has one for each shard."""

    servers: list[Server]

    async def start(self) -> None:
        """Find the servers; raises what `faults.unreachable` understands."""
        ...

    async def rethink(self) -> None:
        """Something is odd: look whether other servers are the right ones now."""
        ...

    def moved(self, shard: int, host: str, port: int, /) -> None:
        """A server said that a shard is another's now."""
        ...

    def server_at(self, host: str, port: int, /) -> Server:
        """The server at an address."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class Alone:
    """One server, wherever the settings say it is."""

    def __init__(self, settings: Settings, keys: Keys, dial: Dial) -> None:
        server = Server(self._find, dial, waits=settings.waits)
        self.servers = [server] * keys.shards

    async def _find(self) -> Where:
        return None

    async def start(self) -> None:
        """There is nothing to find."""

    async def rethink(self) -> None:
        """There is no other."""

    def moved(self, _: int, __: str, ___: int) -> None:
        """A lone server moves nothing: it is one of a Cluster."""
        raise ConfigurationError("the server is part of a Cluster: use redis+cluster://")

    def server_at(self, _: str, __: int) -> Server:
        """There is but one."""
        return self.servers[0]

    async def aclose(self) -> None:
        """Close its connections."""
        for line in self.servers[0].lines:
            await line.aclose()


def _hasty(timeout_seconds: float) -> dict[str, Any]:
    """Settings for those who are only asked where the servers are: one that is silent is passed by.

    redis-py's own would ask each of them eleven times, for five seconds each.
    """
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    patience = min(max(timeout_seconds, 0.5), 1.0)
    return {
        "socket_timeout": patience,
        "socket_connect_timeout": patience,
        "retry": Retry(NoBackoff(), 0),
    }


class Sentinels(Alone):
    """The primary that sentinels name. They are asked each time a connection is opened."""

    def __init__(self, settings: Settings, keys: Keys, dial: Dial) -> None:
        from redis.asyncio.sentinel import Sentinel

        super().__init__(settings, keys, dial)
        self._finding: asyncio.Task[Where] | None = None
        self._service = settings.service
        self._sentinels: Any = Sentinel(  # type: ignore[no-untyped-call]
            list(settings.nodes),
            sentinel_kwargs={**settings.sentinel, **_hasty(settings.timeout_seconds)},
        )

    async def _find(self) -> Where:
        """Where the primary is; all who ask at once share one answer.

        redis-py moves the sentinel that answered to the front of its list. Two at a time would
        write one over another, which is then never asked again, nor closed.
        """
        if self._finding is None or self._finding.done():
            self._finding = asyncio.ensure_future(self._ask())
            self._finding.add_done_callback(heed)
        return await asyncio.shield(self._finding)

    async def _ask(self) -> Where:
        host, port = await self._sentinels.discover_master(self._service)
        return str(host), int(port)

    async def rethink(self) -> None:
        """Ask the sentinels; where they name another, the old one is dropped at once."""
        try:
            where = await self._find()
        except Exception:  # noqa: BLE001 - without an answer everything stays as it is
            return
        server = self.servers[0]
        for line in server.lines:
            if line.exchange is not None and line.where != where:
                line.exchange.end("the sentinels name another primary")

    async def aclose(self) -> None:
        """Close the connections, also to the sentinels."""
        await super().aclose()
        if self._finding is not None and not self._finding.done():
            self._finding.cancel()
            await asyncio.wait([self._finding])
        await self._sentinels.aclose()


class Slots:
    """A Cluster: redis-py finds out which node has which slot."""

    def __init__(self, settings: Settings, keys: Keys, dial: Dial) -> None:
        self._settings = settings
        self._keys = keys
        self._dial = dial
        self._known: dict[tuple[str, int], Server] = {}
        self._rethinking: asyncio.Task[None] | None = None
        self._looked = -1e9
        self.servers: list[Server] = []

    async def start(self) -> None:
        """Ask the nodes for their slots."""
        owners = await self._owners()
        self.servers[:] = [self.server_at(*owner) for owner in owners]

    async def _owners(self) -> Sequence[tuple[str, int]]:
        from redis.asyncio.cluster import ClusterNode, RedisCluster

        known = [*self._settings.nodes, *self._known]
        nodes = [ClusterNode(host, port) for host, port in dict.fromkeys(known)]
        kwargs = {n: v for n, v in self._settings.connection.items() if n not in {"host", "port"}}
        if "ssl" in self._settings.connection_class.__name__.lower():
            kwargs["ssl"] = True
        if kwargs.pop("db", 0):
            raise ConfigurationError("a Cluster has no databases: let no number end its address")
        kwargs = _hasty(self._settings.timeout_seconds) | kwargs
        cluster = RedisCluster(startup_nodes=nodes, require_full_coverage=False, **kwargs)
        try:
            await cluster.initialize()
            return [self._owner(cluster, shard) for shard in range(self._keys.shards)]
        finally:
            await cluster.aclose()

    def _owner(self, cluster: Any, shard: int) -> tuple[str, int]:
        node = cluster.get_node_from_key(self._keys.named(shard, ""))
        if node is None:
            raise Unavailable("the Cluster has no server for some of its slots")
        return node.host, int(node.port)

    async def rethink(self) -> None:
        """Ask for the slots again, at most every fifth of a second, all who ask together."""
        if self._rethinking is None or self._rethinking.done():
            self._rethinking = asyncio.ensure_future(self._refresh())
        await asyncio.shield(self._rethinking)

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._looked < _REFRESH_SECONDS:
            return
        self._looked = loop.time()
        try:
            owners = await self._owners()
        except Exception:  # noqa: BLE001 - without an answer everything stays as it is
            return
        self.servers[:] = [self.server_at(*owner) for owner in owners]

    def moved(self, shard: int, host: str, port: int) -> None:
        """Believe the server that said so, for this shard."""
        self.servers[shard] = self.server_at(host, port)

    def server_at(self, host: str, port: int) -> Server:
        """The server at an address; it is known from then on."""
        server = self._known.get((host, port))
        if server is None:

            async def find() -> Where:
                return host, port

            server = Server(find, self._dial, waits=self._settings.waits)
            self._known[host, port] = server
        return server

    async def aclose(self) -> None:
        """Close the connections to all nodes."""
        if self._rethinking is not None and not self._rethinking.done():
            self._rethinking.cancel()
            await asyncio.wait([self._rethinking])
        for server in self._known.values():
            for line in server.lines:
                await line.aclose()


def topology_of(settings: Settings, keys: Keys, dial: Dial) -> Topology:
    """The topology that the settings name."""
    kinds: dict[str, Any] = {"alone": Alone, "sentinel": Sentinels, "cluster": Slots}
    made: Topology = kinds[settings.kind](settings, keys, dial)
    return made
