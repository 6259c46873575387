"""What the servers can give, and whether that is what was asked for."""

from typing import Any

from ctxbridge.errors import (
    ConfigurationError,
    StoreReadOnly,
    Unavailable,
)
from ctxbridge.model import StoreReport
from ctxbridge.stores.redis import faults
from ctxbridge.stores.redis.exchange import LOST, UNSENT, Exchange
from ctxbridge.stores.redis.resp import ServerError, pack
from ctxbridge.stores.redis.settings import Settings

_OLDEST = (6, 2)
_ASKED = ("appendonly", "appendfsync", "maxmemory-policy", "min-replicas-to-write", "maxmemory")
_CALLED = (
    b"lrange lindex llen rpush ltrim lset hget hset hmget hgetall hdel hlen "
    b"zadd zrem zscore zrangebyscore zremrangebyscore get set del rename pexpire pttl time"
).split()
"""What the scripts call, and what is asked for beside them."""
_PROBE = b"""
local missing = {}
for i = 2, redis.acl_check_cmd and #ARGV or 0 do
  if not redis.acl_check_cmd(ARGV[i], ARGV[1], ARGV[1]) then missing[#missing + 1] = ARGV[i] end
end
return missing
"""
"""Which commands this user may not call on a key. Before 7.0 a server cannot say."""

Facts = dict[str, str]


class Fitness:
    """Reads what a server says of itself; `facts` it cannot tell are left out."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def require(self, exchange: Exchange) -> tuple[Facts, list[str]]:
        """The facts of a server, and what is worth telling of them.

        Raises the error that names the remedy where it cannot be used, or not at the level that was
        asked for.
        """
        facts = await self._facts(exchange)
        self._require_usable(facts)
        await self._require_rights(exchange)
        notes = [] if "redis_version" in facts else ["unknown: its version, and whether a replica"]
        notes += [*self._eviction(facts), *self._level(facts)]
        if not exchange.tracks and self._settings.near_cache:
            notes.append("no near cache: the server or the client's protocol does not track keys")
        return facts, notes

    async def _facts(self, exchange: Exchange) -> Facts:
        info = await exchange.ask(pack(b"INFO")).future
        if info is LOST or info is UNSENT:
            raise Unavailable(f"the server hung up; {faults.NOTHING_CHANGED}")
        facts: Facts = {}
        if isinstance(info, ServerError):
            if info.code in {*faults.PASSING, "NOAUTH"}:
                raise faults.typed(info)
        else:
            facts |= _pairs(info)
        for name in _ASKED:
            answer = await exchange.ask(pack(b"CONFIG", b"GET", name.encode())).future
            facts |= _setting(name, answer)
        return facts

    async def _require_rights(self, exchange: Exchange) -> None:
        key = f"{self._settings.prefix}:{{00}}:b"
        called = [*_CALLED, *[b"wait"] * self._settings.waits]
        probe = pack(b"EVAL", _PROBE, b"0", key.encode(), *called)
        missing = await exchange.ask(probe).future
        if isinstance(missing, ServerError):
            raise faults.typed(missing)
        if isinstance(missing, list) and missing:
            named = " ".join(f"+{word.decode('ascii', 'replace')}" for word in missing)
            raise ConfigurationError(
                f"the server's user lacks rights: give it `{named}` on the keys "
                f"`~{self._settings.prefix}:*`; the whole recipe is in docs/redis.md"
            )

    def _require_usable(self, facts: Facts) -> None:
        version = _version(facts)
        if version and version < _OLDEST:
            raise ConfigurationError(
                f"the server is {facts['redis_version']}; 6.2 is the oldest that will do"
            )
        self._require_kind(facts.get("server_mode") or facts.get("redis_mode", ""))
        if facts.get("loading") == "1":
            raise Unavailable(f"the server is still loading its data; {faults.NOTHING_CHANGED}")
        if facts.get("role", "master") != "master":
            raise StoreReadOnly(
                "the server is a replica and takes no writes: name the primary, or use "
                f"redis+sentinel://; {faults.NOTHING_CHANGED}"
            )

    def _require_kind(self, mode: str) -> None:
        """Some of a Cluster's keys would be found on any of its nodes, so it is said at once."""
        if mode == "cluster" and self._settings.kind != "cluster":
            raise ConfigurationError("the server is part of a Cluster: use redis+cluster://")
        if mode == "sentinel":
            raise ConfigurationError("this is a sentinel: use redis+sentinel://HOST:PORT/NAME")

    def _eviction(self, facts: Facts) -> list[str]:
        policy = facts.get("maxmemory-policy") or facts.get("maxmemory_policy")
        if policy is None:
            return ["unknown: maxmemory-policy; see to it that it is noeviction"]
        if policy == "noeviction":
            return []
        line = "in redis.conf: `maxmemory-policy noeviction`"
        if facts.get("maxmemory", "0") in {"0", ""}:
            return [f"the server would evict keys if it had a limit of memory ({policy}); {line}"]
        evicts = f"the server evicts keys ({policy}), which tears conversations apart; {line}"
        if not self._settings.evicting:
            raise ConfigurationError(f"{evicts}, or take the loss with evicting=1")
        return [evicts]

    def _level(self, facts: Facts) -> list[str]:
        notes = []
        if self._settings.durability.endswith("local"):
            notes += self._local(facts)
        if self._settings.waits:
            notes += self._replicated(facts)
        return notes

    def _local(self, facts: Facts) -> list[str]:
        notes = []
        for name, wanted in (("appendonly", "yes"), ("appendfsync", "always")):
            found = facts.get(name) or _told_of(name, facts)
            if found is None:
                notes.append(f"unknown: {name}; see to it that it is {wanted}")
            elif found != wanted:
                raise ConfigurationError(
                    f"durability {self._settings.durability!r} needs every write on the disk "
                    f"before it is answered; in redis.conf: `{name} {wanted}` (it is {found!r})"
                )
        return notes

    def _replicated(self, facts: Facts) -> list[str]:
        wanted = self._settings.replicas
        there = facts.get("connected_slaves")
        if there is None:
            return ["unknown: how many replicas there are"]
        if int(there) < wanted:
            raise ConfigurationError(
                f"durability {self._settings.durability!r} needs {wanted} replica(s), {there} are "
                "connected; in the replica's redis.conf: `replicaof HOST PORT`"
            )
        if facts.get("min-replicas-to-write", "") == "0":
            line = f"in redis.conf: `min-replicas-to-write {wanted}`"
            return [f"a primary that was cut off keeps taking writes of others; {line}"]
        return []

    def report(self, facts: Facts, notes: list[str], servers: int) -> StoreReport:
        """The report of `Store.check`."""
        kind = {"alone": "redis", "sentinel": "redis+sentinel", "cluster": "redis+cluster"}
        name = facts.get("server_name") or "redis"
        version = facts.get("valkey_version") or facts.get("redis_version", "unknown")
        durable = self._settings.durability != "fast"
        if servers > 1:
            notes = [*notes, f"{servers} primaries"]
        notes = [f"durability {self._settings.durability}", *notes]
        return StoreReport(
            kind[self._settings.kind], durable, writable=True, version=f"{name} {version}",
            notes=tuple(dict.fromkeys(notes)),
        )  # fmt: skip


def _pairs(info: Any) -> Facts:
    text = info.decode("utf-8", "replace") if isinstance(info, bytes) else ""
    lines = [line.partition(":") for line in text.splitlines() if ":" in line]
    return {name: value for name, _, value in lines}


def _setting(name: str, answer: Any) -> Facts:
    if isinstance(answer, dict):
        answer = [part for pair in answer.items() for part in pair]
    if not isinstance(answer, list) or len(answer) < 2 or not isinstance(answer[1], bytes):
        return {}
    return {name: answer[1].decode("utf-8", "replace")}


def _told_of(name: str, facts: Facts) -> str | None:
    """What is known of a setting that may not be asked for."""
    told = {"0": "no", "1": "yes"}.get(facts.get("aof_enabled", ""))
    return told if name == "appendonly" else None


def _version(facts: Facts) -> tuple[int, ...]:
    parts = facts.get("redis_version", "").split(".")[:2]
    return tuple(int(part) for part in parts if part.isdigit())
