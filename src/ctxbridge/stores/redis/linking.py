"""Links: an address that leads to a contact whose list lies elsewhere, in another slot perhaps.

Two slots cannot be written in one step, so a link is made in three that anybody can finish:

1. The address gets a forward that says where to and what is being made (its journal).
2. The contact gets the link, and the log the entry that tells of it.
3. The forward is put without its journal.

Who meets a forward with a journal, on whatever way, does 2 and 3 before going on. So nobody sees
half a link, and a crash between two steps is mended by the next who comes by.
"""

from msgspec.structs import replace

from ctxbridge.errors import CorruptRecord, Unavailable, UnknownFormat
from ctxbridge.model import Address, Contact, Identified, LinkClaim
from ctxbridge.rules import identity
from ctxbridge.stores.redis.ground import Ground
from ctxbridge.stores.redis.keys import Place
from ctxbridge.stores.redis.looking import MOST_HOPS, Looking
from ctxbridge.stores.redis.merging import Merging
from ctxbridge.stores.redis.reading import Reading
from ctxbridge.stores.redis.scripts import FORWARD
from ctxbridge.stores.redis.splitting import Splitting
from ctxbridge.stores.redis.values import keys_of
from ctxbridge.wire import (
    Forward,
    decode_link_claim,
    encode_contact,
    encode_entry,
    encode_forward,
    encode_link_claim,
)
from ctxbridge.wire.keys import address_key

_TRIES = 100
_TAIL_ONLY = 1


class Linking(Looking):
    """`Store.identify`, and how all that is under way is finished."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self.merging = Merging(ground, self)
        self.splitting = Splitting(ground, self)

    async def identify(self, claim: LinkClaim, whose: Place | None) -> Identified:
        """Link an address. `whose` is where the contact's id leads to, if it named one by id."""
        tenant, address = claim.tenant, claim.link.address
        for _ in range(MOST_HOPS):
            home = whose or await self._home_of(claim)
            if home is None:
                return Identified("unknown")
            await self.find_anew(tenant, address)
            own = self._keys.of_address(tenant, address)
            found = await self.look(own, _TAIL_ONLY)
            if home is own:
                return await self._apply(home, claim)
            if isinstance(found, Reading):
                return Identified("taken", found.contact)
            if found is None:
                outcome = await self._lead(own, home, claim)
                if outcome is not None:
                    return outcome
            elif found.journal:
                await self.finish(own, found)
            else:
                return await self._join(found, home, claim)
        raise Unavailable("others link this address all the time; nothing was changed")

    async def _home_of(self, claim: LinkClaim) -> Place | None:
        """Where the contact lives whom the claim names by an address; new ones live there too."""
        if not isinstance(claim.contact, Address):
            return None
        return await self.find_anew(claim.tenant, claim.contact)

    async def _join(self, forward: Forward, home: Place, claim: LinkClaim) -> Identified:
        """The address leads somewhere already: to this contact or to another."""
        there, reading = await self.follow(self._keys.at(forward.target), _TAIL_ONLY)
        if there is not home:
            return Identified("taken", reading.contact if reading else None)
        return await self._apply(home, claim)

    async def _lead(self, own: Place, home: Place, claim: LinkClaim) -> Identified | None:
        """Make the link by its three steps; `None` where another was quicker at the address."""
        forward = Forward(home.hash, encode_link_claim(claim))
        if not await self._put(own, b"", encode_forward(forward)):
            return None
        outcome = await self._make(own, forward, claim)
        if outcome.contact is not None:
            self._keys.learn_home(claim.tenant, claim.link.address, home)
        return outcome

    async def finish(self, place: Place, forward: Forward) -> None:
        """Do what the journal of a forward says is left to do."""
        if forward.merges:
            await self.merging.finish(place, forward)
        else:
            await self._make(place, forward, decode_link_claim(forward.journal))

    async def finish_parting(self, tenant: str, home: Place) -> bool:
        """Finish what is being parted from who lives there."""
        return await self.splitting.finish(tenant, home)

    async def _make(self, own: Place, forward: Forward, claim: LinkClaim) -> Identified:
        """The second and the third step; where the contact cannot take it, the first is undone."""
        pending = encode_forward(forward)
        try:
            outcome = await self._apply(self._keys.at(forward.target), claim)
        except (CorruptRecord, UnknownFormat):
            await self._put(own, pending, b"")
            raise
        made = encode_forward(Forward(forward.target)) if outcome.contact is not None else b""
        await self._put(own, pending, made)
        return outcome

    async def cut(self, place: Place, forward: Forward) -> None:
        """Take away a forward that leads nowhere."""
        await self._put(place, encode_forward(Forward(forward.target)), b"")

    async def _put(self, place: Place, before: bytes, then: bytes) -> bool:
        """Whether `then` stands at `place` in the place of `before`, or stood there already."""
        nonce = self._ground.nonce()
        request = FORWARD.request(nonce, keys_of(place.key), 1, nonce, before, then)
        reply = await self._ground.write(place, request)
        return self._ground.require_sound(reply) == b"ok"

    async def _apply(self, home: Place, claim: LinkClaim) -> Identified:
        """Write the link into the contact at `home`, and found the contact where nobody is."""
        for number in range(_TRIES):
            found = await self.look(home, _TAIL_ONLY)
            if isinstance(found, Forward):
                home = await self.step(home, found)
                continue
            if found is None and not isinstance(claim.contact, Address):
                return Identified("unknown")
            outcome = await self._write(home, claim, found, again=number > 0)
            if outcome is not None:
                return outcome
        raise Unavailable("the contact changes faster than it can be read; nothing was changed")

    async def _write(
        self, home: Place, claim: LinkClaim, found: Reading | None, *, again: bool
    ) -> Identified | None:
        entry = encode_entry(identity.link_event(claim.link, claim.now))
        if found is None:
            fresh = self._keys.born_at(claim.fresh, home)
            contact = identity.founded(replace(claim, fresh=fresh))
            _, pointer = self._keys.pointer(claim.tenant, fresh)
            before = b""
            founds: tuple[bytes, ...] = (pointer, claim.conversation)
        else:
            contact = _come_back(claim, identity.linked(found.contact, claim))
            before, founds = found.packed_contact, ()
            if contact is found.contact:
                held = contact.link_to(claim.link.address)
                # Where an answer was lost, the link that is found may be this very one.
                mine = again and held == claim.link
                return Identified("linked" if mine else "unchanged", contact)
        reply = await self._ground.swap_contact(
            home, before, encode_contact(contact), entry, *founds
        )
        return self._written(home, contact, claim, reply)

    def _written(
        self, home: Place, contact: Contact, claim: LinkClaim, reply: list[bytes]
    ) -> Identified | None:
        if reply[1] != b"ok":
            return None
        self._keys.learn_contact(claim.tenant, contact.id, home)
        return Identified("linked", contact)


def _come_back(claim: LinkClaim, contact: Contact) -> Contact:
    """An address that had left the contact has not any more."""
    hash = address_key(claim.tenant, claim.link.address)
    if hash not in contact.left:
        return contact
    return replace(contact, left=tuple([one for one in contact.left if one != hash]))
