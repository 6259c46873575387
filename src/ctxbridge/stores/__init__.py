"""Stores: where conversations live. Each passes `ctxbridge.testing.StoreContract`."""

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from ctxbridge.errors import ConfigurationError
from ctxbridge.ports import Store

if TYPE_CHECKING:
    from ctxbridge.stores.sealed import KeySource

KNOWN = (
    "memory://, sqlite:///relative/path.db, sqlite:////absolute/path.db, redis://host:port/0, "
    "rediss://host:port/0, unix:///path, redis+sentinel://host:port,host:port/name, "
    "redis+cluster://host:port,host:port"
)
_REDIS = frozenset({
    "redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster",
    "rediss+cluster",
})  # fmt: skip


def open_store(where: Any, /, *, seal: "KeySource | None" = None, **options: Any) -> Store:
    """The store that `where` names; nothing is touched until its `check` is awaited.

    `where` is an address, or a client of `redis.asyncio` whose settings are to be used. Options are
    named, or follow a question mark: ``sqlite:///bot.db?synchronous=normal&mode=ro``. An unknown
    scheme or option raises `ConfigurationError`.

    With `seal` what customers say is encrypted before it is stored: see `seal_around`.
    """
    if seal is not None:
        return seal_around(open_store(where, **options), seal)
    try:
        parts = urlsplit(where) if isinstance(where, str) else None
    except ValueError:
        raise ConfigurationError("the address of the store is no address") from None
    if parts is None or parts.scheme in _REDIS:
        from ctxbridge.stores.redis import RedisStore

        return RedisStore(where, **options)
    if options:
        query = urlencode(options)
        return open_store(f"{where}{'&' if '?' in where else '?'}{query}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme == "memory" and not options:
        from ctxbridge.stores.memory import MemoryStore

        return MemoryStore()
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        from ctxbridge.stores.sqlite import SqliteStore

        return SqliteStore(unquote(parts.path[1:]), **_sqlite_options(options))
    # The address may hold a password, so it is not repeated.
    raise ConfigurationError(f"no store has an address of this form; known are: {KNOWN}")


def seal_around(store: Store, key: "KeySource") -> Store:
    """The store with encryption around it; `key` gives the keys of a tenant.

    Raises `ConfigurationError` without the package of the extra `crypto`.
    """
    from ctxbridge.stores.sealed import SealedStore

    return SealedStore(store, key)


def _sqlite_options(options: dict[str, str]) -> dict[str, Any]:
    allowed = {"mode": ("rw", "ro"), "synchronous": ("full", "normal")}
    for name, value in options.items():
        if value not in allowed.get(name, ()):
            raise ConfigurationError(
                f"sqlite takes ?mode=rw|ro and ?synchronous=full|normal, not {name!r}"
            )
    return options
