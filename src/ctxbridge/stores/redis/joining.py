"""`Store.identify`: where those live whom a link, a merge or a split names."""

from ctxbridge.model import Identified, LinkClaim, Merge, Split
from ctxbridge.stores.redis.committing import Committing
from ctxbridge.stores.redis.linking import Linking


class Joining:
    """Finds the places by ids, and lets the three be done there.

    Not by what is remembered: that is of before another process merged, or split.
    """

    def __init__(self, linking: Linking, committing: Committing) -> None:
        self._linking = linking
        self._committing = committing

    async def link(self, claim: LinkClaim) -> Identified:
        """Link an address."""
        whose = None
        if isinstance(claim.contact, bytes):
            whose = await self._committing.own_place_of(claim.tenant, claim.contact)
        return await self._linking.identify(claim, whose)

    async def merge(self, claim: Merge) -> Identified:
        """Merge two contacts."""
        into = await self._committing.own_place_of(claim.tenant, claim.into)
        part = await self._committing.own_place_of(claim.tenant, claim.contact)
        if into is None or part is None:
            return Identified("unknown")
        return await self._linking.merging.merge(claim, into, part)

    async def split(self, claim: Split) -> Identified:
        """Split what is two."""
        held = await self._committing.own_place_of(claim.tenant, claim.contact)
        part = await self._committing.own_place_of(claim.tenant, claim.part)
        if held is None:
            return Identified("unknown")
        return await self._linking.splitting.split(claim, held, part)
