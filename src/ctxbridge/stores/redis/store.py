"""The Redis store: one round trip for a look-up, one for an open, one for a commit."""

import asyncio
import os
import weakref
from collections.abc import Sequence
from typing import Any

from ctxbridge import telemetry
from ctxbridge.errors import ConfigurationError, HistoryRolledBack, StoreClosed
from ctxbridge.model import (
    Change,
    Claim,
    Committed,
    Context,
    Erase,
    Erased,
    Found,
    Identified,
    LinkClaim,
    Merge,
    Opened,
    Query,
    Record,
    RecordRead,
    RecordWrite,
    Refused,
    Scan,
    Settle,
    Split,
    StoreReport,
    Take,
    Taken,
)
from ctxbridge.stores.redis import faults, settings
from ctxbridge.stores.redis.committing import Committing
from ctxbridge.stores.redis.courier import Courier
from ctxbridge.stores.redis.dialing import dial
from ctxbridge.stores.redis.erasing import Erasing
from ctxbridge.stores.redis.exchange import Exchange
from ctxbridge.stores.redis.fitness import Facts, Fitness
from ctxbridge.stores.redis.ground import Ground
from ctxbridge.stores.redis.joining import Joining
from ctxbridge.stores.redis.keys import Keys
from ctxbridge.stores.redis.linking import Linking
from ctxbridge.stores.redis.listing import Listing
from ctxbridge.stores.redis.near import NearCache
from ctxbridge.stores.redis.opening import Opening
from ctxbridge.stores.redis.outbox import Outbox
from ctxbridge.stores.redis.recording import Recording
from ctxbridge.stores.redis.scanning import Scanning
from ctxbridge.stores.redis.standing import Standing
from ctxbridge.stores.redis.topology import Line, Topology, Where, heed, topology_of
from ctxbridge.stores.redis.waiting import Waiting
from ctxbridge.stores.scoped import Scoped

_PLACES = 65_536

_opened: "weakref.WeakSet[RedisStore]" = weakref.WeakSet()


class RedisStore(Scoped):
    """Redis or Valkey, 6.2 or later: alone, with Sentinel, or as a Cluster. Runs on asyncio.

    `where` is an address (``redis://``, ``rediss://``, ``unix://``,
    ``redis+sentinel://host:port,host:port/NAME``, ``redis+cluster://host:port,host:port``; TLS for
    the last two is ``rediss+sentinel://`` and ``rediss+cluster://``) or a client of
    `redis.asyncio`, whose settings are taken over and which is not used itself. Options may stand
    behind the address's question mark, or here; what is not named below goes to redis-py.

    `durability` is what an acknowledged write survives: ``fast`` (nothing is promised), ``local``
    (the server's end and a power cut), ``replicated`` (the loss of the primary; `replicas` is how
    many must have it), ``replicated+local`` (both). `near_cache` keeps up to `near_entries`
    conversations in this process, and serves none that the server was not heard of for
    `staleness_seconds`. `timeout_seconds` is the patience with one connection, `deadline_seconds`
    with one call, over all its tries; `grace_seconds` how long a cancelled write is waited for.

    `prefix` stands before all keys and `shards` is how many parts a Cluster can spread; neither can
    be changed later. `evicting` takes a server that lets go of keys when it is full. `clock` is
    whose time leases run on: ``caller`` is for tests.
    """

    def __init__(self, where: Any, **options: Any) -> None:
        of = settings.of_url if isinstance(where, str) else settings.of_client
        self.settings = of(where, options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening: asyncio.Task[StoreReport] | None = None
        self._topology: Topology | None = None
        self._ground: Ground | None = None
        self._why = "the redis store is not open: use `async with`"

    def __repr__(self) -> str:
        state = "open" if self._ground else "closed"
        return f"<RedisStore {self.settings.kind} {self.settings.durability} {state}>"

    # --- its life ---------------------------------------------------------------------------------

    async def check(self) -> StoreReport:
        """Connect, and say what the servers can give.

        Raises `ConfigurationError` (with the line of redis.conf) if they cannot give the level that
        was asked for, or refuse this user; `Unavailable`, `StoreReadOnly` or `UnknownFormat`.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigurationError("a redis store runs on asyncio, not on trio") from None
        if self._ground is not None and self._loop is not loop:
            raise StoreClosed("the store was opened in another event loop: open one here")
        self._loop = loop
        if self._opening is None or self._opening.done():
            self._opening = loop.create_task(self._check())
            self._opening.add_done_callback(heed)
        return await asyncio.shield(self._opening)

    async def _check(self) -> StoreReport:
        opens = self._ground is None
        if opens:
            self._set_up()
        try:
            return await self._examine()
        except BaseException as error:
            if opens:
                await self.aclose()
            if isinstance(error, Exception):
                raise faults.unreachable(error) from None
            raise

    def _set_up(self) -> None:
        asked = self.settings
        keys = Keys(asked.prefix, asked.shards, _PLACES)
        self._topology = topology_of(asked, keys, self._dial)
        courier = Courier(asked, keys, self._topology)
        near = NearCache(asked.near_entries, asked.staleness_seconds) if asked.tracks else None
        ground = Ground(asked, keys, courier, near)
        self._linking = Linking(ground)
        self._openings = Opening(ground, self._linking)
        self._commits = Committing(ground, self._linking)
        self._joining = Joining(self._linking, self._commits)
        self._outbox = Outbox(ground, self._linking, self._commits)
        self._scanning = Scanning(ground)
        self._listing = Listing(ground)
        self._erasing = Erasing(ground, self._linking)
        self._waiting = Waiting(ground, self._linking)
        self._recording = Recording(ground)
        self._standing = Standing(ground)
        self._ground = ground
        _opened.add(self)

    async def _examine(self) -> StoreReport:
        assert self._topology is not None
        await self._topology.start()
        fitness, facts, notes = Fitness(self.settings), Facts(), list[str]()
        servers = list(dict.fromkeys(self._topology.servers))
        for server in servers:
            for line in server.lines:
                await line.reach()
            facts, told = await fitness.require(await server.reads.reach())
            notes += told
        await self._standing.require()
        return fitness.report(facts, notes, len(servers))

    async def _dial(self, line: Line, where: Where, waits: bool) -> Exchange:
        def ended(exchange: Exchange) -> None:
            line.ended(exchange)
            if self._ground is not None and self._ground.near is not None:
                self._ground.near.forget(exchange)

        exchange = await dial(self.settings, where, waits=waits, on_push=self._heed, on_end=ended)
        try:
            unchanged = await self._standing.is_unchanged(exchange)
        except BaseException:
            exchange.end("it could not be told which store this is")
            raise
        if not unchanged and self._ground is not None:
            self._ground.start_anew()
        return exchange

    def _heed(self, exchange: Exchange, push: Any) -> None:
        if self._ground is not None and self._ground.near is not None:
            self._ground.near.heed(exchange, push)

    async def aclose(self) -> None:
        """End the connections; a second call does nothing."""
        ground, topology, self._ground, self._topology = self._ground, self._topology, None, None
        self._why = "the redis store was closed"
        if ground is not None:
            ground.courier.closed = True
            ground.forget()  # and with it those who wait for news
        if topology is not None:
            await topology.aclose()

    def _require_ground(self) -> None:
        """Raise unless the store is open, in this loop, and still has its history."""
        if self._ground is None:
            raise StoreClosed(self._why)
        if asyncio.get_running_loop() is not self._loop:
            raise StoreClosed("the store was opened in another event loop: open one here")
        if self._ground.lost:
            self._ground.lost = False
            raise HistoryRolledBack(
                "the server came back without what it had acknowledged: its whole history is gone; "
                "the same call again goes on from what is there"
            )

    # --- the verbs --------------------------------------------------------------------------------

    async def read(self, query: Query, /) -> Context:
        """The context of an address; see `Store.read`. One command, or none.

        Who waits for a turn's end is told of it by the server, where that tells of changes.
        """
        if self._ground is not None and not self._ground.lost:
            held = self._linking.at_hand(query)
            if held is not None:
                telemetry.served(query.address.channel)
                return held
        self._require_ground()
        if query.held_by:
            return await self._waiting.read(query)
        with telemetry.Loading(query.address.channel) as loading:
            return loading.found(await self._linking.read(query))

    async def open(self, claim: Claim, /) -> Opened:
        """Open a turn; see `Store.open`. One script and one look, in one write."""
        self._require_ground()
        return await self._openings.open(claim)

    async def commit(self, change: Change, /) -> Committed | Refused:
        """Commit a turn; see `Store.commit`. One script."""
        self._require_ground()
        return await self._commits.commit(change)

    async def identify(self, claim: LinkClaim | Merge | Split, /) -> Identified:
        """Link, merge or split; see `Store.identify`."""
        self._require_ground()
        match claim:
            case Merge():
                return await self._joining.merge(claim)
            case Split():
                return await self._joining.split(claim)
        return await self._joining.link(claim)

    async def deliver(self, step: Take | Settle, /) -> Taken:
        """Claim a delivery or settle it; see `Store.deliver`. One script, or two."""
        self._require_ground()
        if isinstance(step, Take):
            return await self._outbox.take(step)
        return await self._outbox.settle(step)

    async def scan(self, scan: Scan, /) -> Sequence[Found]:
        """What is due, pending or dead; see `Store.scan`. One command for each shard, at once."""
        self._require_ground()
        if scan.what == "conversations":
            return await self._listing.scan(scan)
        return await self._scanning.scan(scan)

    async def server_time(self) -> int:
        """What the clock of the server says, in Unix milliseconds; of a Cluster, of one primary."""
        self._require_ground()
        return await self._scanning.server_time()

    async def erase(self, erase: Erase, /) -> Erased:
        """Erase a contact; see `Store.erase`. A look, and one script."""
        self._require_ground()
        return await self._erasing.erase(erase)

    async def records(self, operation: RecordRead | RecordWrite, /) -> Record | None:
        """Read or write a record; see `Store.records`."""
        self._require_ground()
        if isinstance(operation, RecordRead):
            return await self._recording.read(operation)
        return await self._recording.write(operation)


def _close_in_child() -> None:
    """A process that was forked must not write to its parent's connections."""
    for store in _opened:
        store._ground = store._topology = None  # noqa: SLF001
        store._why = "the store was opened before this process was forked: open it here"  # noqa: SLF001


os.register_at_fork(after_in_child=_close_in_child)
