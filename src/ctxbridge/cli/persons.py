"""``ctxbridge merge``, ``split``, ``unlink`` and ``history``: who is one person, and who is two."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Literal

import anyio

from ctxbridge import Bridge
from ctxbridge.cli.output import emit, plain, say, warn
from ctxbridge.cli.show import UNKNOWN, existing
from ctxbridge.errors import UnknownContact
from ctxbridge.model import Contact, Event


def preview(into: str, address: str, db: str, tenant: str) -> int:
    """Print what a merge would come to, as one JSON object; 1 if somebody is not stored."""

    async def ask(bridge: Bridge[Any]) -> None:
        told = await bridge.preview_merge(into, address)
        emit({
            "into": _told(told.into),
            "contact": _told(told.contact),
            "merged": _told(told.merged),
            "entries": list(told.entries),
            "waiting": told.waiting,
            "states": told.states,
        })  # fmt: skip

    return _run(ask, db, tenant)


def merge(into: str, address: str, db: str, tenant: str, *, evidence: str) -> int:
    """Merge, and print the contact of both."""

    async def ask(bridge: Bridge[Any]) -> None:
        both = await bridge.merge(into, address, evidence=evidence, source="operator")
        emit(_told(both))

    return _run(ask, db, tenant, writes=True)


def split(address: str, part: str | None, db: str, tenant: str, *, evidence: str) -> int:
    """Undo a merge, and print both contacts, one a line."""

    async def ask(bridge: Bridge[Any]) -> None:
        for one in await bridge.split(address, part, evidence=evidence, source="operator"):
            emit(_told(one))

    return _run(ask, db, tenant, writes=True)


def unlink(
    address: str, db: str, tenant: str, *, evidence: str, history: Literal["stays", "goes"]
) -> int:
    """Unlink, and print whose the address is now."""

    async def ask(bridge: Bridge[Any]) -> None:
        new = await bridge.unlink(address, evidence=evidence, history=history, source="operator")
        emit(_told(new))

    return _run(ask, db, tenant, writes=True)


def history(address: str, db: str, tenant: str, *, as_json: bool) -> int:
    """Print the entries that tell whose addresses are, oldest first."""

    async def ask(bridge: Bridge[Any]) -> None:
        for place, event in await bridge.history(address):
            if as_json:
                emit({"seq": place, "kind": event.kind, "at": event.at, **dict(event.data)})
            else:
                say(plain(_line(place, event)))

    return _run(ask, db, tenant)


def _run(
    ask: Callable[[Bridge[Any]], Awaitable[None]], db: str, tenant: str, *, writes: bool = False
) -> int:
    async def run() -> None:
        async with Bridge(existing(db, read_only=not writes), tenant=tenant) as bridge:
            await ask(bridge)

    try:
        anyio.run(run)
    except UnknownContact as error:
        warn(str(error))
        return UNKNOWN
    return 0


def _told(contact: Contact) -> dict[str, Any]:
    return {
        "contact": contact.id.hex(),
        "addresses": [str(address) for address in contact.addresses],
        "merged": [id.hex() for id in contact.merged],
    }


def _line(place: int, event: Event) -> str:
    at = datetime.fromtimestamp(event.at / 1000, UTC).isoformat(" ", "seconds")
    return f"#{place}  {at}  {event.kind}  " + ", ".join([f"{k}: {v}" for k, v in event.data])
