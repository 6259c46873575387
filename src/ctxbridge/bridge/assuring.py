"""How sure we are of an address: a proof that holds for a while, and a number with a new owner."""

from typing import TYPE_CHECKING, Any

from ctxbridge.errors import UnknownContact, UsageError
from ctxbridge.model import Address, Assurance, Contact, Link, LinkClaim
from ctxbridge.wire.checked import checked

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

STEP_UP_SECONDS = 600.0
LONGEST_STEP_UP_SECONDS = 86_400.0


async def step_up(
    bridge: "Bridge[Any]", address: Address, evidence: str, seconds: float, thread: str
) -> Contact:
    """Let the address count as verified for a while; see `Bridge.step_up`."""
    if not 0 < seconds <= LONGEST_STEP_UP_SECONDS:
        raise UsageError("a proof holds for some seconds, at most for a day")
    now = bridge.clock.now()
    until = now + round(seconds * 1000)
    proof = Link(
        address, Assurance.CLAIMED, evidence, "proof", now, proved_until=until, proved_on=thread
    )
    return await _tell(bridge, proof)


async def reassign(bridge: "Bridge[Any]", address: Address, evidence: str) -> Contact:
    """The address has a new owner from now on; see `Bridge.reassigned`."""
    now = bridge.clock.now()
    # What was written up to this very moment is older.
    link = Link(address, Assurance.CLAIMED, evidence, "provider", now, resumed=now + 1)
    return await _tell(bridge, link)


async def _tell(bridge: "Bridge[Any]", link: Link) -> Contact:
    """Tell the store of what is new of a link that it has."""
    if not link.evidence:
        raise UsageError("a proof needs evidence: what does it rest on?")
    link = checked(link)
    if (await bridge.context(link.address, window=1)).contact is None:
        raise UnknownContact("nobody is stored under this address")
    claim = LinkClaim(
        bridge.tenant, link.address, link, bridge.ids.new(), bridge.ids.new(), link.since
    )
    answer = await bridge.store.identify(claim)
    if answer.contact is None:
        raise UnknownContact("nobody is stored under this address")
    return answer.contact
