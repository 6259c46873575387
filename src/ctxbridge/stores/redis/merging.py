"""Merges: the log of one contact goes behind that of another, in another slot perhaps.

Three steps that anybody can finish, as those of a link:

1. The one's list is set aside, and a forward with a journal is left in its place.
2. What was set aside is put behind the other's log, with all that is remembered of it.
3. What was set aside is deleted, and the forward is put without its journal.

Who meets the forward does 2 and 3 before going on. So readers see all before or all after, and a
crash between two steps is mended by the next who comes by. Where the other cannot take it any more
(somebody was erased), what was set aside is put back.
"""

from msgspec.structs import replace

from ctxbridge.errors import OutcomeUnknown, Unavailable
from ctxbridge.model import Contact, Identified, Merge
from ctxbridge.rules import merging
from ctxbridge.rules.merging import Side
from ctxbridge.stores.redis.belongings import (
    Belongings,
    Rewriting,
    gather,
    remembered_at,
    rewrite,
)
from ctxbridge.stores.redis.ground import Ground
from ctxbridge.stores.redis.keys import Place
from ctxbridge.stores.redis.looking import Looking
from ctxbridge.stores.redis.nested import packed
from ctxbridge.stores.redis.reading import Reading
from ctxbridge.stores.redis.scripts import ASIDE
from ctxbridge.stores.redis.values import keys_of
from ctxbridge.wire import (
    Forward,
    Merged,
    decode_merge,
    encode_contact,
    encode_entry,
    encode_forward,
    encode_head,
    encode_merge,
    encode_merged,
)
from ctxbridge.wire.keys import address_key

_TRIES = 100
_TAIL_ONLY = 1
_UNDER_WAY = "the merge is under way, and the next who looks goes on with it"


class Merging:
    """`Store.identify` of a `Merge`."""

    def __init__(self, ground: Ground, looking: Looking) -> None:
        self._ground = ground
        self._looking = looking
        self._keys = ground.keys

    async def merge(self, merge: Merge, into: Place, part: Place) -> Identified:
        """Merge; `into` and `part` are where the ids of the two lead to."""
        for _ in range(_TRIES):
            home, ours = await self._looking.follow(into, _TAIL_ONLY)
            there, theirs = await self._looking.follow(part, _TAIL_ONLY)
            if not (_is_of(ours, merge.into) and _is_of(theirs, merge.contact)):
                return Identified("unknown")
            assert ours is not None
            assert theirs is not None
            if home is there:
                return Identified("unchanged", ours.contact)
            if not merging.is_current(side_of(ours), side_of(theirs), merge):
                return Identified("conflict", ours.contact)
            whose = replace(merge, into=ours.contact.id, contact=theirs.contact.id)
            forward = Forward(home.hash, encode_merge(whose), merges=True)
            if await self._set_aside(merge.tenant, there, theirs, encode_forward(forward)):
                await self._finish_own(there, forward)
                found = await self._looking.follow(home, _TAIL_ONLY)
                if _is_of(found[1], theirs.contact.id):
                    assert found[1] is not None
                    return Identified("merged", found[1].contact)
        raise Unavailable("one of the two changes faster than it can be read; nothing was changed")

    async def _finish_own(self, place: Place, forward: Forward) -> None:
        """Finish what was begun here: where that cannot be now, it is no more as it was."""
        try:
            await self.finish(place, forward)
        except Unavailable as error:
            raise OutcomeUnknown(f"{_UNDER_WAY}: {error}") from error

    async def finish(self, place: Place, forward: Forward) -> None:
        """Do what the journal says is left to do, or undo it."""
        merge = decode_merge(forward.journal)
        part = await gather(self._ground, place, aside=True)
        contact: Contact | None = None
        if part is None:
            return  # another was quicker
        pending, made = encode_forward(forward), encode_forward(Forward(forward.target))
        circle = await self._circle(place, forward)
        if not circle or place.hash != min(one.hash for one in circle):
            contact = await self._attach(merge, place, self._keys.at(forward.target), part)
        if contact is None:
            await self._put_back(merge.tenant, place, part, pending)
        else:
            await self._aside(merge.tenant, place, b"drop", pending, made)

    async def _circle(self, place: Place, forward: Forward) -> list[Place]:
        """Those that are being merged into each other, `place` among them: none, nearly always.

        Of them the first by name is put back, by whoever comes by, and the others go into it: none
        of them can be attached anywhere before.
        """
        members, found, seen = [place], forward, set[bytes]()
        while found.target not in seen:
            seen.add(found.target)
            there = self._keys.at(found.target)
            if there is place:
                return members
            at_there = await self._looking.look(there, _TAIL_ONLY)
            if not isinstance(at_there, Forward):
                return []
            found = at_there
            if found.merges:
                members.append(there)
        return []

    # --- the steps --------------------------------------------------------------------------------

    async def _set_aside(self, tenant: str, place: Place, part: Reading, forward: bytes) -> bool:
        expected = part.packed_head, part.packed_contact
        status = await self._aside(tenant, place, b"set", forward, *expected)
        if status == b"parting":
            await self._looking.finish_parting(tenant, place)
        return status == b"ok"

    async def _aside(self, tenant: str, place: Place, does: bytes, *values: bytes) -> bytes:
        nonce, agenda = self._ground.nonce(), self._keys.agenda(tenant, place.shard)
        keys = keys_of(*place.all_of_it, *place.aside, agenda.due, agenda.dead)
        request = ASIDE.request(nonce, keys, 10, nonce, does, place.hash, *values)
        return self._ground.require_sound(await self._ground.write(place, request))

    async def _put_back(self, tenant: str, place: Place, part: Belongings, forward: bytes) -> None:
        every = {n: n for n in range(1, part.reading.head.seq + 1)}
        held = remembered_at(part, every, place.hash)
        due = [*held.due, (1, place.hash)] if part.reading.head.waiting else [*held.due]
        lists = packed((due, held.dead))
        await self._aside(tenant, place, b"back", forward, lists)

    async def _attach(
        self, merge: Merge, own: Place, target: Place, part: Belongings
    ) -> Contact | None:
        """Put it behind the other's log; `None` where the other is not there any more."""
        theirs = side_of(part.reading)
        for _ in range(_TRIES):
            home, found = await self._looking.follow(target, _TAIL_ONLY)
            if home is own or not _is_of(found, merge.into):
                return None
            assert found is not None
            if merge.contact in found.contact.merged:
                return found.contact
            told, contact = self._attaching(merge, home, found, theirs, part)
            if await rewrite(self._ground, merge.tenant, home, merge.now, told):
                self._keys.learn_contact(merge.tenant, merge.contact, home)
                return contact
        raise Unavailable("the contact changes faster than it can be read; the next goes on")

    def _attaching(
        self, merge: Merge, home: Place, found: Reading, theirs: Side, part: Belongings
    ) -> tuple[Rewriting, Contact]:
        ours = side_of(found)
        if not merging.is_current(ours, theirs, replace_revision(merge, theirs)):
            merge = replace(merge, state=None)  # it was made of an older one
        both, by = merging.merged(ours, theirs, merge), ours.head.seq + 1
        contact = self._with_left(merge.tenant, both.contact, theirs.contact)
        held = remembered_at(part, {n: n + by for n in range(1, theirs.head.seq + 1)}, home.hash)
        note = Merged(
            part.reading.packed_head, part.reading.packed_contact, theirs.state,
            found.packed_contact, ours.state, both.state,
            tuple([(n, raw) for n, raw in part.notes.items() if len(n) == len(merge.contact)]),
        )  # fmt: skip
        event = encode_entry(merging.merge_event(theirs, merge))
        told = Rewriting(
            expected=(found.packed_head, found.packed_contact, found.state),
            final=(encode_head(both.head), encode_contact(contact), both.state or b""),
            entries=(event, *part.reading.records),
            ids=held.ids, outbox=held.outbox, due=held.due, dead=held.dead, until=held.until,
            notes={merge.contact: encode_merged(note)},
        )  # fmt: skip
        return told, contact

    @staticmethod
    def _with_left(tenant: str, both: Contact, part: Contact) -> Contact:
        """The addresses that left either before and are not of both now."""
        now = {address_key(tenant, address) for address in both.addresses}
        left = dict.fromkeys((*both.left, *part.left))
        return replace(both, left=tuple([hash for hash in left if hash not in now]))


def side_of(reading: Reading) -> Side:
    """What was read, but for the log."""
    return Side(reading.head, reading.contact, reading.state or None)


def replace_revision(merge: Merge, part: Side) -> Merge:
    """The merge, asked whether the other alone is as it was: the part was looked at before."""
    if merge.revisions is None:
        return merge
    return replace(merge, revisions=(merge.revisions[0], part.head.revision))


def _is_of(reading: Reading | None, contact: bytes) -> bool:
    if reading is None:
        return False
    return contact == reading.contact.id or contact in reading.contact.merged
