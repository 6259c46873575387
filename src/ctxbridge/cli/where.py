"""Which store a command is about, whose customers, and by which keys its words are read."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from ctxbridge import Bridge
from ctxbridge.cli.loading import named
from ctxbridge.errors import ConfigurationError, UnknownContact
from ctxbridge.ports import Store
from ctxbridge.stores import open_store

UNKNOWN = 1
"""The exit code where nobody, or nothing, is stored under what was asked for."""


class Where(Struct, frozen=True):
    """What ``--db``, ``--tenant`` and ``--seal`` say."""

    db: str
    tenant: str
    seal: str = ""

    def bridge(self, *, read_only: bool = True, **options: Any) -> Bridge[Any]:
        """A bridge over the store, which must be there already; not opened yet."""
        if self.seal:
            options["seal"] = named(self.seal, "--seal")
        # Nothing is answered from here, and what is damaged must be seen and mended from somewhere.
        options.setdefault("control_fails", "open")
        return Bridge(existing(self.db, read_only=read_only), tenant=self.tenant, **options)

    def among(self, error: UnknownContact) -> str:
        """The error, with whose customers it is told of: often others were meant."""
        return f"{error} (tenant {self.tenant!r})"

    def store(self, *, read_only: bool = True, **options: Any) -> Store:
        """The store alone, not opened yet; `options` are those of `open_store`."""
        seal = named(self.seal, "--seal") if self.seal else None
        return open_store(existing(self.db, read_only=read_only), seal=seal, **options)


def store_url(db: str, *, read_only: bool = False) -> str:
    """The address that `db` is, or that of the store in the file `db`."""
    if "://" in db:
        return db
    try:
        quoted = quote(db)
    except UnicodeEncodeError:
        raise ConfigurationError("the name of the store's file is not UTF-8") from None
    return f"sqlite:///{quoted}{'?mode=ro' * read_only}"


def existing(db: str, *, read_only: bool = True) -> str:
    """As `store_url`, for a file that must be there already."""
    if not db:
        raise ConfigurationError("--db is empty; it names the file of a store, or its address")
    if "://" not in db and not Path(db).exists():
        raise ConfigurationError("there is no such file; --db names the file of a store")
    if Path(db).is_dir():
        raise ConfigurationError("this is a folder; --db names the file of a store")
    return store_url(db, read_only=read_only)
