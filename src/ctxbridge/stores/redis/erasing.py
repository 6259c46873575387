"""Erasing a contact: all that is theirs lies in one slot, so it goes in one step.

Other addresses lead there by forwards, which hold the hash of a list and nothing else.
"""

import struct

from msgspec.structs import replace

from ctxbridge.errors import CorruptRecord, Unavailable
from ctxbridge.model import Erase, Erased
from ctxbridge.rules import erasure
from ctxbridge.stores.redis.ground import Ground
from ctxbridge.stores.redis.keys import Place
from ctxbridge.stores.redis.looking import Looking
from ctxbridge.stores.redis.reading import Reading
from ctxbridge.stores.redis.scripts import ERASE
from ctxbridge.stores.redis.values import keys_of
from ctxbridge.wire import encode_contact, encode_entry

_TRIES = 100
REMAINS = (
    "the append-only file, until the server rewrites it (BGREWRITEAOF)",
    "snapshots and backups of the server that were made before",
    "replicas, until they have followed",
)


class Erasing:
    """`Store.erase`."""

    def __init__(self, ground: Ground, looking: Looking) -> None:
        self._ground = ground
        self._looking = looking
        self._keys = ground.keys

    async def erase(self, erase: Erase) -> Erased:
        """Erase the contact of an address."""
        for _ in range(_TRIES):
            place = await self._looking.find_anew(erase.tenant, erase.address)
            home, found = await self._looking.follow(place, 1)
            if found is None or not erasure.is_due(found.head, found.contact, erase):
                return Erased("unknown")
            await self._looking.finish_parting(erase.tenant, home)
            erased = await self._at(home, found, erase)
            if erased is not None:
                return erased
        raise Unavailable("the contact changes faster than it can be read; nothing was erased")

    async def _at(self, home: Place, found: Reading, erase: Erase) -> Erased | None:
        """`None` where the contact has changed since it was read."""
        keys, old = self._keys, found.contact.id
        fresh = keys.born_at(erase.fresh, home)
        scrubbed = erasure.scrub(found.head, found.contact, replace(erase, fresh=fresh))
        agenda = keys.agenda(erase.tenant, home.shard)
        (shard, before), (_, then) = (
            keys.pointer(erase.tenant, old),
            keys.pointer(erase.tenant, fresh),
        )
        if shard != home.shard:
            raise CorruptRecord("a contact lives elsewhere than its id says")
        nonce = self._ground.nonce()
        request = ERASE.request(
            nonce,
            keys_of(
                home.key, home.ids, home.outbox, agenda.due, agenda.dead, before, then, home.notes
            ), 8,
            nonce, found.packed_contact, encode_contact(scrubbed.contact),
            struct.pack(">Q", scrubbed.head.consent), encode_entry(erasure.PLACEHOLDER), home.hash,
            b"" if erase.seq is None else b"%d" % erase.seq,
        )  # fmt: skip
        reply = await self._ground.write(home, request)
        if self._ground.require_sound(reply) != b"ok":
            return None
        keys.contacts.pop((erase.tenant, old), None)
        keys.learn_contact(erase.tenant, fresh, home)
        return Erased("erased", old, reply[2], reply[3], REMAINS)
