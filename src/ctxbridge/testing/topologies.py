"""Several servers that stand for one another: behind sentinels, or as a cluster."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import permutations
from pathlib import Path
from typing import Any

from ctxbridge.testing.servers import Running, Server, wait_for

SLOTS = 16_384
NAME = "main"


class _Servers(Running):
    """Servers that start and end together."""

    def all(self) -> list[Server]:
        raise NotImplementedError

    def close(self) -> None:
        """Kill all of them and remove their folders."""
        for server in self.all():
            server.close()

    def wait_until_whole(self, seconds: float = 20.0) -> None:
        """Wait until everybody is there, in sync, and known to all the others."""
        wait_for("all are there and agree", self._looks_whole, seconds)

    def whole(self) -> bool:
        raise NotImplementedError

    def _looks_whole(self) -> bool:
        from redis import RedisError

        with suppress(RedisError):  # one that changes its part hangs up on everybody
            return self.whole()
        return False

    def _launch(self) -> None:
        for server in self.all():
            server.launch()
        for server in self.all():
            server.wait()


class SentinelSet(_Servers):
    """A primary, its replicas, and sentinels that put a replica in its place when it is gone.

    Half a second without an answer is enough for that. `options` are those of the data servers.
    """

    def __init__(
        self, binary: Path | str, replicas: int = 2, sentinels: int = 3, *options: str
    ) -> None:
        # With a conf file a server remembers whose replica it was made when it is started again.
        shared = ("server.conf", "--repl-diskless-sync-delay", "0", *options)
        self.servers = [Server(binary, *shared) for _ in range(1 + replicas)]
        self.sentinels = [Server(binary, "sentinel.conf", "--sentinel") for _ in range(sentinels)]

    @property
    def url(self) -> str:
        return f"redis+sentinel://{_hosts(self.sentinels)}/{NAME}"

    def all(self) -> list[Server]:
        return self.servers + self.sentinels

    def start(self) -> None:
        """Start all, and wait until the sentinels know the replicas and one another."""
        self._launch()
        first, *replicas = self.servers
        for replica in replicas:
            replica.command("REPLICAOF", "127.0.0.1", first.port)
        wait_for("the replicas are in sync", lambda: all(map(_in_sync, replicas)))
        for sentinel in self.sentinels:
            self._watch(sentinel, first)
        self.wait_until_whole()

    def whole(self) -> bool:
        """Whether each sentinel sees one primary, all replicas in sync, and all other sentinels."""
        return all(map(self._knows, self.sentinels))

    def _watch(self, sentinel: Server, primary: Server) -> None:
        quorum = len(self.sentinels) // 2 + 1
        # Otherwise they introduce themselves every 2 s, see replicas every 10 s, and reconnect
        # every second only: later than they take a server for dead, so that they never settle.
        # Five pings must be longer than the second after which they ask a replica how it is.
        sentinel.command(
            "SENTINEL", "DEBUG", "publish-period", 200, "info-period", 1000, "ping-period", 250
        )
        sentinel.command("SENTINEL", "CONFIG", "SET", "resolve-hostnames", "no")
        sentinel.command("SENTINEL", "MONITOR", NAME, "127.0.0.1", primary.port, quorum)
        sentinel.command(
            "SENTINEL", "SET", NAME, "down-after-milliseconds", 500, "failover-timeout", 3000,
            "parallel-syncs", 1,
        )  # fmt: skip

    def _knows(self, sentinel: Server) -> bool:
        master = _pairs(sentinel.command("SENTINEL", "MASTER", NAME))
        replicas = [_pairs(r) for r in sentinel.command("SENTINEL", "REPLICAS", NAME)]
        well = [r for r in replicas if r["flags"] == "slave" and r["master-link-status"] == "ok"]
        others = [_pairs(s) for s in sentinel.command("SENTINEL", "SENTINELS", NAME)]
        # A "master_down" from the last failover may stand there for ever.
        met = [s for s in others if not {"s_down", "disconnected"} & set(s["flags"].split(","))]
        complete = len(well) == len(self.servers) - 1 and len(met) == len(self.sentinels) - 1
        return complete and master["flags"] == "master"

    @property
    def primary(self) -> Server:
        """The server that most of the living sentinels name."""
        named = Counter(self._named())
        if not named:
            raise RuntimeError("no sentinel names a primary")
        return _by_port(self.servers, named.most_common(1)[0][0])

    def _named(self) -> list[int]:
        ports = []
        for sentinel in self.sentinels:
            with suppress(Exception):
                answer = sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
                ports.append(int(answer[1]))
        return ports

    def wait_for_new_primary(self, old: Server, seconds: float = 30.0) -> Server:
        """The primary after `old`: all living sentinels name it, and it takes writes."""
        wait_for("another primary", lambda: self._agreed(old), seconds)
        return self.primary

    def _agreed(self, old: Server) -> bool:
        named = set(self._named())
        if len(named) != 1 or named == {old.port}:
            return False
        with suppress(Exception):
            return bool(self.primary.command("ROLE")[0] == b"master")
        return False


class Cluster(_Servers):
    """A cluster; the slots are spread evenly over the masters, which come first in `servers`."""

    def __init__(
        self, binary: Path | str, masters: int = 3, replicas_each: int = 0, *options: str
    ) -> None:
        # Redis 7.0 shows no replica that has received nothing yet, and a ping is something.
        shared = (
            "--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
            "--cluster-announce-ip", "127.0.0.1", "--repl-diskless-sync-delay", "0",
            "--repl-ping-replica-period", "1", *options,
        )  # fmt: skip
        self._masters = masters
        count = masters * (1 + replicas_each)
        self.servers = [Server(binary, *shared) for _ in range(count)]

    @property
    def url(self) -> str:
        return f"redis+cluster://{_hosts(self.servers)}"

    def all(self) -> list[Server]:
        return self.servers

    def start(self) -> None:
        """Start all, and wait until every node sees all slots served and agrees on by whom."""
        self._launch()
        masters, replicas = self.servers[: self._masters], self.servers[self._masters :]
        for place, server in enumerate(masters):
            first, last = _share(place, len(masters))
            server.command("CLUSTER", "ADDSLOTSRANGE", first, last)
            server.command("CLUSTER", "SET-CONFIG-EPOCH", place + 1)
        for one, other in permutations(self.servers, 2):
            one.command("CLUSTER", "MEET", "127.0.0.1", other.port)
        for place, replica in enumerate(replicas):
            self._follow(replica, masters[place % len(masters)])
        self.wait_until_whole()

    def _follow(self, replica: Server, master: Server) -> None:
        id = _id(master)
        wait_for("a replica knows its master", lambda: id in replica.command("CLUSTER", "NODES"))
        replica.command("CLUSTER", "REPLICATE", id)

    def whole(self) -> bool:
        """Whether all nodes are in sync and show the same slots, with every server in them."""
        views = {_view(server) for server in self.servers}
        ports = {port for view in views for _, _, owners in view for port in owners}
        return (
            len(views) == 1
            and ports == {server.port for server in self.servers}
            and all(b"cluster_state:ok" in s.command("CLUSTER", "INFO") for s in self.servers)
            and all(map(_in_sync, self.servers))
        )

    def slot_of(self, key: str | bytes) -> int:
        """The slot of `key`."""
        return int(self._living()[0].command("CLUSTER", "KEYSLOT", key))

    def owner_of(self, slot: int) -> Server:
        """The server that has `slot`, as the first living node sees it."""
        for first, last, owners in _view(self._living()[0]):
            if first <= slot <= last:
                return _by_port(self.servers, owners[0])
        raise LookupError(f"nobody has slot {slot}")

    def move_slot(self, slot: int, to: Server, pause: float = 0.0) -> None:
        """Move `slot` with its keys, resting for `pause` seconds between the steps."""
        self.begin_move(slot, to)
        time.sleep(pause)
        while self._move_some(slot, to):
            time.sleep(pause)
        self.finish_move(slot, to)

    def begin_move(self, slot: int, to: Server) -> None:
        """Open `slot` for the move: from now on its owner says ASK for keys it does not have."""
        owner = self.owner_of(slot)
        to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", _id(owner))
        owner.command("CLUSTER", "SETSLOT", slot, "MIGRATING", _id(to))

    def migrate_key(self, slot: int, to: Server, *keys: str | bytes) -> None:
        """Carry `keys` over; between `begin_move` and `finish_move`."""
        where = ("127.0.0.1", to.port, "", 0, 5000, "KEYS")
        self.owner_of(slot).command("MIGRATE", *where, *keys)

    def finish_move(self, slot: int, to: Server) -> None:
        """Carry over what is left, and tell everybody who has `slot` now."""
        while self._move_some(slot, to):
            pass
        owner, id = self.owner_of(slot), _id(to)
        # The new owner first: a slot must never be without one.
        for server in [to, owner, *self._living()]:
            if server in (to, owner) or b"master" in _flags(server):
                server.command("CLUSTER", "SETSLOT", slot, "NODE", id)
        wait_for("all know the new owner", lambda: self._all_see(slot, to))

    def _move_some(self, slot: int, to: Server, count: int = 10) -> int:
        keys = self.owner_of(slot).command("CLUSTER", "GETKEYSINSLOT", slot, count)
        if keys:
            self.migrate_key(slot, to, *keys)
        return len(keys)

    def _all_see(self, slot: int, owner: Server) -> bool:
        return all(
            owners[0] == owner.port
            for server in self._living()
            for first, last, owners in _view(server)
            if first <= slot <= last
        )

    def _living(self) -> list[Server]:
        return [server for server in self.servers if server.running]


def _hosts(servers: Iterable[Server]) -> str:
    return ",".join(f"127.0.0.1:{server.port}" for server in servers)


def _by_port(servers: Iterable[Server], port: int) -> Server:
    return next(server for server in servers if server.port == port)


def _in_sync(server: Server) -> bool:
    """Whether it is a primary, or has caught up with its own."""
    said = server.command("INFO", "replication")
    return b"role:master" in said or b"master_link_status:up" in said


def _pairs(flat: Sequence[bytes]) -> dict[str, str]:
    words = [word.decode() for word in flat]
    return dict(zip(words[::2], words[1::2], strict=True))


def _share(place: int, of: int) -> tuple[int, int]:
    """The first and the last slot of one master."""
    return SLOTS * place // of, SLOTS * (place + 1) // of - 1


def _id(server: Server) -> bytes:
    answer: bytes = server.command("CLUSTER", "MYID")
    return answer


def _flags(server: Server) -> bytes:
    """What the node says of itself in the table of nodes."""
    lines: list[bytes] = server.command("CLUSTER", "NODES").splitlines()
    return next(line.split()[2] for line in lines if b"myself" in line)


def _view(server: Server) -> tuple[tuple[int, int, tuple[int, ...]], ...]:
    """The ranges of slots as one node sees them: first, last, the ports of master and replicas."""
    rows: list[Any] = server.command("CLUSTER", "SLOTS")
    return tuple(sorted((row[0], row[1], _ports(row[2:])) for row in rows))


def _ports(nodes: list[Any]) -> tuple[int, ...]:
    master, *replicas = (int(node[1]) for node in nodes)
    return master, *sorted(replicas)
