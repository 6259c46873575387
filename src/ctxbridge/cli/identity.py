"""``ctxbridge link``, ``export`` and ``erase``: whose an address is, and all that is theirs."""

import anyio

from ctxbridge import Bridge
from ctxbridge.bridge.erasing import Certificate
from ctxbridge.cli.output import emit, plain, say, warn
from ctxbridge.cli.show import UNKNOWN, existing
from ctxbridge.errors import UnknownContact


def link(contact: str, address: str, db: str, tenant: str, *, evidence: str) -> int:
    """Link `address` to the contact of the other; 2 where it has a history elsewhere."""
    anyio.run(_link, contact, address, existing(db, read_only=False), tenant, evidence)
    return 0


async def _link(contact: str, address: str, store: str, tenant: str, evidence: str) -> None:
    async with Bridge(store, tenant=tenant) as bridge:
        linked = await bridge.link(contact, address, evidence=evidence, source="operator")
    for one in linked.links:
        ended = " (ended)" if one.until else ""
        told = f"{one.address}  {one.assurance.name.lower()}, {one.source}: {one.evidence}{ended}"
        say(plain(told))


def export(address: str, db: str, tenant: str) -> int:
    """Print all that is stored of the contact, as JSON Lines; 1 if nobody is."""
    try:
        anyio.run(_export, address, existing(db), tenant)
    except UnknownContact:
        warn(f"nobody is stored under this address for tenant {tenant!r}")
        return UNKNOWN
    return 0


def erase(address: str, db: str, tenant: str, *, sure: bool) -> int:
    """Erase the contact and print the certificate; 1 if nobody is stored, or it is not sure."""
    if not sure:
        warn("this cannot be undone: say --yes to erase")
        return UNKNOWN
    try:
        emit(anyio.run(_erase, address, existing(db, read_only=False), tenant))
    except UnknownContact as error:
        warn(str(error))
        return UNKNOWN
    return 0


async def _erase(address: str, store: str, tenant: str) -> Certificate:
    async with Bridge(store, tenant=tenant) as bridge:
        return await bridge.erase(address)


async def _export(address: str, store: str, tenant: str) -> None:
    async with Bridge(store, tenant=tenant) as bridge:
        async for told in bridge.export(address):
            emit(told)
