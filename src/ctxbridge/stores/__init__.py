"""Stores: where conversations live. Each passes `ctxbridge.testing.StoreContract`."""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ctxbridge.errors import ConfigurationError
from ctxbridge.ports import Store

KNOWN = "memory://, sqlite:///relative/path.db, sqlite:////absolute/path.db"


def open_store(url: str) -> Store:
    """The store that `url` names; nothing is touched until its `check` is awaited.

    Options follow a question mark: ``sqlite:///bot.db?synchronous=normal&mode=ro``. An unknown
    scheme or option raises `ConfigurationError`.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme == "memory" and not options:
        from ctxbridge.stores.memory import MemoryStore

        return MemoryStore()
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        from ctxbridge.stores.sqlite import SqliteStore

        return SqliteStore(unquote(parts.path[1:]), **_sqlite_options(options))
    # The address may hold a password, so it is not repeated.
    raise ConfigurationError(f"no store has an address of this form; known are: {KNOWN}")


def _sqlite_options(options: dict[str, str]) -> dict[str, Any]:
    allowed = {"mode": ("rw", "ro"), "synchronous": ("full", "normal")}
    for name, value in options.items():
        if value not in allowed.get(name, ()):
            raise ConfigurationError(
                f"sqlite takes ?mode=rw|ro and ?synchronous=full|normal, not {name!r}"
            )
    return options
