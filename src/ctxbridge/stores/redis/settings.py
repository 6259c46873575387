"""What a store is told: by an address, or by the settings of a client that the team already has."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from msgspec import Struct

from ctxbridge.errors import ConfigurationError

Durability = Literal["fast", "local", "replicated", "replicated+local"]
Kind = Literal["alone", "sentinel", "cluster"]

_MOST_PREFIX_CHARACTERS = 64


class Settings(Struct, frozen=True, kw_only=True):
    """Where the servers are, and what is asked of them; see `RedisStore`.

    `nodes` are the sentinels or the first nodes of a Cluster, `service` the sentinels' name of the
    primary. `connection` is what redis-py's connections are made with, `connection_class` their
    class.
    """

    kind: Kind = "alone"
    nodes: tuple[tuple[str, int], ...] = ()
    service: str = ""
    connection: Mapping[str, Any]
    connection_class: Any
    sentinel: Mapping[str, Any]
    prefix: str = "cb"
    shards: int = 256
    durability: Durability = "fast"
    replicas: int = 1
    near_cache: bool = True
    near_entries: int = 4_096
    staleness_seconds: float = 1.0
    timeout_seconds: float = 2.0
    deadline_seconds: float = 10.0
    grace_seconds: float = 0.25
    clock: Literal["server", "caller"] = "server"
    evicting: bool = False

    def __repr__(self) -> str:
        """Without what it connects with: a password may be among that."""
        return f"<Settings {self.kind} prefix={self.prefix} durability={self.durability}>"

    @property
    def waits(self) -> bool:
        """Whether a write is acknowledged only when replicas have it."""
        return self.durability.startswith("replicated")

    @property
    def tracks(self) -> bool:
        """Whether the server is to tell of keys that change: only RESP3 can, on one connection."""
        return self.near_cache and int(self.connection.get("protocol") or 3) >= 3


_OPTIONS: dict[str, Any] = {
    "prefix": str, "shards": int, "durability": str, "replicas": int, "near_cache": bool,
    "near_entries": int, "staleness_seconds": float, "timeout_seconds": float,
    "deadline_seconds": float, "grace_seconds": float, "clock": str, "evicting": bool,
}  # fmt: skip
_YES, _NO = {"1", "yes", "true", "on"}, {"0", "no", "false", "off"}
_PORTS = {"sentinel": 26_379, "cluster": 6_379}


def of_url(url: str, options: Mapping[str, Any]) -> Settings:
    """The settings that an address names; `options` win over those behind its question mark."""
    parts = urlsplit(url)
    ours, theirs = _sort_out(parse_qsl(parts.query, keep_blank_values=True))
    ours |= options
    scheme, _, kind = parts.scheme.partition("+")
    if not kind:
        return _checked(ours, _read(urlunsplit(parts._replace(query=urlencode(theirs)))))
    nodes, login = _nodes(parts.netloc, _PORTS[kind])
    bare = f"{scheme}://{login}localhost"  # whoever connects is told to which node
    path = parts.path.strip("/")
    service, _, database = path.partition("/")
    if kind == "cluster":
        service, database = "", path
    if (kind == "sentinel") != bool(service):
        raise ConfigurationError(
            "the address must be redis+sentinel://host:port,host:port/NAME, where NAME is what the "
            "sentinels call the primary, or redis+cluster://host:port,host:port"
        )
    named, theirs = _of_sentinels(theirs)
    made = _read(f"{bare}/{database}?{urlencode(theirs)}")
    if scheme == "rediss" and named.setdefault("ssl", True):
        encrypted = {n: v for n, v in made["connection"].items() if n.startswith("ssl_")}
        named = encrypted | named
    made |= {"kind": kind, "nodes": nodes, "service": service, "sentinel": named}
    return _checked(ours, made)


def of_client(client: Any, options: Mapping[str, Any]) -> Settings:
    """The settings of a client of `redis.asyncio`, which is not used itself and stays as it is.

    Raises `ConfigurationError` for anything else.
    """
    pool = getattr(client, "connection_pool", None)
    manager = getattr(client, "nodes_manager", None)
    if manager is not None and not hasattr(client, "auto_close_connection_pool"):
        nodes = tuple((node.host, node.port) for node in manager.startup_nodes.values())
        made = _taken(manager.connection_kwargs, next(iter(manager.startup_nodes.values())))
        return _checked(dict(options), made | {"kind": "cluster", "nodes": nodes})
    if pool is None or not type(client).__module__.startswith("redis.asyncio"):
        raise ConfigurationError("a store is an address, a store, or a client of redis.asyncio")
    made = _taken(pool.connection_kwargs, pool)
    sentinels = getattr(pool, "sentinel_manager", None)
    if sentinels is None:
        return _checked(dict(options), made)
    kwargs = [s.connection_pool.connection_kwargs for s in sentinels.sentinels]
    nodes = tuple((k["host"], k["port"]) for k in kwargs)
    return _checked(
        dict(options),
        made
        | {"kind": "sentinel", "nodes": nodes, "service": pool.service_name}
        | {"sentinel": dict(sentinels.sentinel_kwargs)},
    )


def _sort_out(pairs: Sequence[tuple[str, str]]) -> tuple[dict[str, Any], dict[str, str]]:
    """Our options, read; and those that are for redis-py."""
    ours: dict[str, Any] = {}
    theirs: dict[str, str] = {}
    for name, value in pairs:
        kind = _OPTIONS.get(name)
        if kind is None:
            theirs[name] = value
            continue
        try:
            ours[name] = _flag(value) if kind is bool else kind(value.replace(" ", "+"))
        except ValueError:
            raise ConfigurationError(
                f"the option {name!r} of the store has a wrong value"
            ) from None
    return ours, theirs


def _flag(value: str) -> bool:
    if value.lower() in _YES | _NO:
        return value.lower() in _YES
    raise ValueError(value)


def _nodes(netloc: str, default: int) -> tuple[tuple[tuple[str, int], ...], str]:
    login, at, hosts = netloc.rpartition("@")
    try:
        nodes = []
        for host in hosts.split(","):
            one = urlsplit(f"//{host}")
            nodes.append((unquote(one.hostname or "localhost"), one.port or default))
    except ValueError:
        raise ConfigurationError("a port in the address of the store is no number") from None
    return tuple(nodes), login + at


def _of_sentinels(theirs: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """What is said of the sentinels (``sentinel_password``, ``sentinel_ssl``), and the rest."""
    start = "sentinel_"
    named: dict[str, Any] = {
        n.removeprefix(start): v for n, v in theirs.items() if n.startswith(start)
    }
    if "ssl" in named:
        named["ssl"] = str(named["ssl"]).lower() in _YES
    return named, {n: v for n, v in theirs.items() if not n.startswith(start)}


def _read(url: str) -> dict[str, Any]:
    """What redis-py reads in an address."""
    from redis.asyncio.connection import Connection, parse_url

    parts = urlsplit(url)
    database = unquote(parts.path).strip("/")
    if parts.scheme != "unix" and database and not database.isdecimal():  # redis-py takes 0 for it
        raise ConfigurationError(
            "what stands behind the host in the address of the store is no number of a database"
        )
    try:
        kwargs: dict[str, Any] = dict(parse_url(url))
    except ValueError as error:
        # Only this wording is known to name an option; others repeat pieces of a password.
        told = f": {error}" if str(error).startswith("Invalid value for") else ""
        raise ConfigurationError(f"the address of the store cannot be read{told}") from None
    made = kwargs.pop("connection_class", Connection)
    return {"connection": kwargs, "connection_class": made, "sentinel": {}}


_NOT_TAKEN = frozenset({
    "retry", "retry_on_error", "retry_on_timeout", "decode_responses", "encoding",
    "encoding_errors", "health_check_interval", "parser_class", "connection_pool",
    "maint_notifications_config", "maint_notifications_pool_handler", "event_dispatcher",
    "maintenance_state", "maintenance_notification_hash", "orig_host_address",
    "orig_socket_timeout", "orig_socket_connect_timeout", "redis_connect_func",
    "oss_cluster_maint_notifications_handler", "himport_registry", "max_connections",
    "legacy_responses", "response_callbacks",
})  # fmt: skip
"""What is about retries, decoding and the client's own pool: none of it is used here."""


def _taken(kwargs: Mapping[str, Any], holder: Any) -> dict[str, Any]:
    from redis.asyncio.connection import Connection, SSLConnection

    made = getattr(holder, "connection_class", Connection)
    if issubclass(made, SSLConnection):
        made = SSLConnection
    elif issubclass(made, Connection):
        made = Connection
    taken = options_of(made) - _NOT_TAKEN
    held = {name: value for name, value in kwargs.items() if name in taken}
    return {"connection": held, "connection_class": made, "sentinel": {}}


def options_of(connection_class: Any) -> set[str]:
    """What a class of redis-py's connections can be told."""
    names: set[str] = set()
    for kind in inspect.getmro(connection_class):
        names |= set(inspect.signature(kind.__init__).parameters)  # type: ignore[misc]
    return names - {"self", "args", "kwargs"}


def _checked(ours: Mapping[str, Any], made: Mapping[str, Any]) -> Settings:
    unknown = set(ours) - set(_OPTIONS)
    if unknown:
        raise ConfigurationError(f"a redis store has no option {min(unknown)!r}")
    foreign = set(made["connection"]) - options_of(made["connection_class"])
    if foreign:
        raise ConfigurationError(
            f"neither a redis store nor redis-py has an option {min(foreign)!r}"
        )
    for name, value in ours.items():
        if not isinstance(value, (float, int) if _OPTIONS[name] is float else _OPTIONS[name]):
            raise ConfigurationError(f"the option {name!r} of the store has a wrong type")
    settings = Settings(**(dict(made) | dict(ours)))
    if settings.durability not in get_args(Durability):
        raise ConfigurationError(f"durability is one of {', '.join(get_args(Durability))}")
    if settings.clock not in {"server", "caller"}:
        raise ConfigurationError("clock is 'server', or 'caller' for tests that own the time")
    if not (1 <= settings.shards <= 256 and 1 <= settings.replicas <= 16):
        raise ConfigurationError("shards are 1 to 256, replicas to wait for 1 to 16")
    if not _plain(settings.prefix):
        raise ConfigurationError("the prefix of keys is 1 to 64 letters, digits, '-', '_', ':'")
    seconds = (
        settings.staleness_seconds, settings.timeout_seconds, settings.deadline_seconds,
    )  # fmt: skip
    if not all(0 < value <= 3_600 for value in seconds) or not 0 <= settings.grace_seconds <= 60:
        raise ConfigurationError("timeout_seconds and the like are above 0 and at most an hour")
    return settings


def _plain(prefix: str) -> bool:
    known = all((c.isascii() and c.isalnum()) or c in "-_:" for c in prefix)
    return known and 0 < len(prefix) <= _MOST_PREFIX_CHARACTERS
