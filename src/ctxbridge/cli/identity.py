"""``ctxbridge link``, ``export`` and ``erase``: whose an address is, and all that is theirs."""

import anyio

from ctxbridge.bridge.erasing import Certificate
from ctxbridge.cli.output import emit, plain, say, warn
from ctxbridge.cli.progress import counted, progress
from ctxbridge.cli.where import UNKNOWN, Where
from ctxbridge.errors import UnknownContact, UsageError
from ctxbridge.model import Contact


def link(contact: str, address: str, where: Where, *, evidence: str, as_json: bool) -> int:
    """Link `address` to the contact of the other; 2 where it has a history elsewhere."""
    linked = anyio.run(_link, contact, address, where, evidence)
    for one in linked.links:
        if as_json:
            emit({
                "kind": "link",
                "contact": linked.id.hex(),
                "address": str(one.address),
                "assurance": one.assurance.name.lower(),
                "source": one.source,
                "evidence": one.evidence,
                "since": one.since,
                "until": one.until,
            })  # fmt: skip
            continue
        ended = " (ended)" if one.until else ""
        told = f"{one.address}  {one.assurance.name.lower()}, {one.source}: {one.evidence}{ended}"
        say(plain(told))
    return 0


async def _link(contact: str, address: str, where: Where, evidence: str) -> Contact:
    async with where.bridge(read_only=False) as bridge:
        return await bridge.link(contact, address, evidence=evidence, source="operator")


def export(address: str, where: Where) -> int:
    """Print all that is stored of the contact, as JSON Lines; 1 if nobody is."""
    try:
        anyio.run(_export, address, where)
    except UnknownContact:
        warn(f"nobody is stored under this address for tenant {where.tenant!r}")
        return UNKNOWN
    return 0


def erase(address: str, where: Where, *, sure: bool) -> int:
    """Erase the contact and print the certificate; 1 if nobody is stored.

    Raises `UsageError` where nobody said that they are sure.
    """
    if not sure:
        raise UsageError("this cannot be undone: say --yes to erase")
    try:
        with progress("erasing"):
            certificate = anyio.run(_erase, address, where)
    except UnknownContact as error:
        warn(where.among(error))
        return UNKNOWN
    emit(certificate)
    return 0


async def _erase(address: str, where: Where) -> Certificate:
    async with where.bridge(read_only=False) as bridge:
        return await bridge.erase(address)


async def _export(address: str, where: Where) -> None:
    async with where.bridge() as bridge:
        with progress("exporting", prints=True) as shown:
            async for told in counted(bridge.export(address), shown):
                emit(told)
