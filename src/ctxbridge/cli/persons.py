"""``ctxbridge merge``, ``split``, ``unlink`` and ``history``: who is one person, and who is two."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import anyio

from ctxbridge import Bridge
from ctxbridge.cli.output import emit, moment, plain, say, warn
from ctxbridge.cli.where import UNKNOWN, Where
from ctxbridge.errors import UnknownContact
from ctxbridge.model import Contact, Event


def preview(into: str, address: str, where: Where) -> int:
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

    return _run(ask, where)


def merge(into: str, address: str, where: Where, *, evidence: str) -> int:
    """Merge, and print the contact of both."""

    async def ask(bridge: Bridge[Any]) -> None:
        both = await bridge.merge(into, address, evidence=evidence, source="operator")
        emit(_told(both))

    return _run(ask, where, writes=True)


def split(address: str, part: str | None, where: Where, *, evidence: str) -> int:
    """Undo a merge, and print both contacts, one a line."""

    async def ask(bridge: Bridge[Any]) -> None:
        for one in await bridge.split(address, part, evidence=evidence, source="operator"):
            emit(_told(one))

    return _run(ask, where, writes=True)


def unlink(address: str, where: Where, *, evidence: str, history: Literal["stays", "goes"]) -> int:
    """Unlink, and print whose the address is now."""

    async def ask(bridge: Bridge[Any]) -> None:
        new = await bridge.unlink(address, evidence=evidence, history=history, source="operator")
        emit(_told(new))

    return _run(ask, where, writes=True)


def history(address: str, where: Where, *, as_json: bool) -> int:
    """Print the entries that tell whose addresses are, oldest first."""

    async def ask(bridge: Bridge[Any]) -> None:
        for place, event in await bridge.history(address):
            if as_json:
                emit({"seq": place, "kind": event.kind, "at": event.at, **dict(event.data)})
            else:
                say(plain(_line(place, event)))

    return _run(ask, where)


def _run(
    ask: Callable[[Bridge[Any]], Awaitable[None]], where: Where, *, writes: bool = False
) -> int:
    async def run() -> None:
        async with where.bridge(read_only=not writes) as bridge:
            await ask(bridge)

    try:
        anyio.run(run)
    except UnknownContact as error:
        warn(where.among(error))
        return UNKNOWN
    return 0


def _told(contact: Contact) -> dict[str, Any]:
    return {
        "contact": contact.id.hex(),
        "addresses": [str(address) for address in contact.addresses],
        "merged": [id.hex() for id in contact.merged],
    }


def _line(place: int, event: Event) -> str:
    told = f"#{place}  {moment(event.at)}  {event.kind}  "
    return told + ", ".join([f"{k}: {v}" for k, v in event.data])
