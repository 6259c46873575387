"""``ctxbridge show``: a conversation as it is stored."""

import sys
from pathlib import Path
from urllib.parse import quote

import anyio

from ctxbridge import Bridge
from ctxbridge.cli import timeline
from ctxbridge.cli.output import colourful, emit, say, width
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Context

UNKNOWN = 1


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
    if "://" not in db and not Path(db).exists():
        raise ConfigurationError("there is no such file; --db names the file of a store")
    if Path(db).is_dir():
        raise ConfigurationError("this is a folder; --db names the file of a store")
    return store_url(db, read_only=read_only)


def show(address: str, db: str, tenant: str, *, as_json: bool) -> int:
    """Print the conversation of `address`; 1 if there is none."""
    found = anyio.run(_read, address, existing(db), tenant)
    if not found:
        print(f"ctxbridge: nobody is stored under this address for tenant {tenant!r}",
              file=sys.stderr)  # fmt: skip
        return UNKNOWN
    for context in found:
        _print(context, as_json=as_json)
    return 0


async def _read(address: str, store: str, tenant: str) -> list[Context]:
    async with Bridge(store, tenant=tenant) as bridge:
        return await timeline.conversations(bridge, [address])


def _print(context: Context, *, as_json: bool) -> None:
    if as_json:
        for record in timeline.records(context):
            emit(record)
        return
    for line in timeline.render(timeline.rows(context), width(), colours=colourful()):
        say(line)
