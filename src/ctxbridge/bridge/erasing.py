"""Erasing a person, and the certificate of it (GDPR, Article 17)."""

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ctxbridge.bridge.explaining import whole_context
from ctxbridge.bridge.proving import forget
from ctxbridge.errors import UnknownContact
from ctxbridge.model import Address, Erase

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

ELSEWHERE = (
    "keyed hashes of addresses and message ids: whoever knows one can tell that it was here",
    "refusals to be written to, without the words or the address that they rest on",
    "codes under way that somebody else was asked for, for 20 minutes",
    "what the providers of the channels keep of what they carried",
    "traces and logs, and what was exported before",
    "records: those of your own, and LangGraph's threads (delete_thread) and memory (delete)",
)
"""What remains whatever the store is."""


class Certificate(Struct, frozen=True):
    """What was erased, and what is known to remain elsewhere.

    `contact` is the id that the contact had, in hexadecimal; `at` is in Unix milliseconds.
    `entries` is how many messages and events are gone, `deliveries` how many that were on their way
    or remembered. `remains` is in words for people; see to it yourself.
    """

    contact: str
    at: int
    entries: int
    deliveries: int
    remains: tuple[str, ...]


async def erase(
    bridge: "Bridge[Any]", address: Address, seq: int | None = None, *, settles: bool = True
) -> Certificate:
    """Erase whoever is stored under `address`; see `Bridge.erase`, and `Erase` for the rest."""
    now = bridge.clock.now()
    contact = (await whole_context(bridge, address)).contact
    for theirs in contact.addresses if contact else ():
        await forget(bridge, theirs)
    await bridge.floor.forget(contact.addresses if contact else ())
    erased = await bridge.store.erase(
        Erase(bridge.tenant, address, bridge.ids.new(), now, seq, settles)
    )
    if erased.status == "unknown":
        raise UnknownContact("nobody is stored under this address, or they were erased before")
    bridge.panel.forget()
    bridge.releases.forget()
    return Certificate(
        erased.contact.hex(), now, erased.entries, erased.deliveries, (*erased.remains, *ELSEWHERE)
    )
