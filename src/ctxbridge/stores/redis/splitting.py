"""Splits: what belongs to somebody else goes from a log into a list of its own.

Two slots perhaps, so in steps that anybody can finish:

1. It is taken out of the log, the address out of the contact, and all of it is noted beside them.
2. It is put where it belongs: what was merged in the place of the forward that was left there, an
   address that was unlinked at the next place of its own where nothing is yet.
3. The note is taken away.

Who looks for the address meets a contact that says it has left, does 2 and 3, and looks again.
"""

import asyncio
from contextlib import suppress

from msgspec.structs import replace

from ctxbridge.errors import CorruptRecord, OutcomeUnknown, Unavailable
from ctxbridge.model import Contact, Entry, Identified, Split
from ctxbridge.rules import merging
from ctxbridge.rules.merging import Kept, Parted, Side
from ctxbridge.stores.redis.belongings import (
    Belongings,
    Remembered,
    Rewriting,
    gather,
    remembered_at,
    rewrite,
)
from ctxbridge.stores.redis.ground import Ground
from ctxbridge.stores.redis.keys import Place
from ctxbridge.stores.redis.looking import Looking
from ctxbridge.stores.redis.merging import side_of
from ctxbridge.stores.redis.reading import Reading
from ctxbridge.wire import (
    Forward,
    Merged,
    Moving,
    decode_contact,
    decode_entries,
    decode_head,
    decode_merged,
    decode_moving,
    encode_contact,
    encode_entry,
    encode_forward,
    encode_head,
    encode_moving,
)
from ctxbridge.wire.keys import address_key

_TRIES = 100
_MOST_GENERATIONS = 1_000
UNDER_WAY = b">"
"""Before the id of a contact: a split that is under way."""
_NAME_BYTES = 17


class Splitting:
    """`Store.identify` of a `Split`."""

    def __init__(self, ground: Ground, looking: Looking) -> None:
        self._ground = ground
        self._looking = looking
        self._keys = ground.keys

    async def split(self, split: Split, held: Place, part: Place | None) -> Identified:
        """Split; `held` is where the contact's id leads to, `part` where the part's does."""
        for _ in range(_TRIES):
            home, found = await self._looking.follow(held, 1)
            if found is None or found.contact.id != split.contact:
                return Identified("unknown")
            await self.finish(split.tenant, home)
            whole = await gather(self._ground, home)
            if whole is None or whole.reading.packed_head != found.packed_head:
                continue
            note = _note_of(whole, split)
            first = _kept(note).part if note else merging.unlinked(side_of(whole.reading), split)
            if first is None:
                return Identified("unknown")
            if found.head.seq != split.seq or len(split.moves) < first.head.seq:
                part_now = merging.as_now(found.contact, first.contact) if note else None
                return Identified("conflict", found.contact, part_now)
            outcome = await self._apply(split, home, part, whole, note, first)
            if outcome is not None:
                return outcome
        raise Unavailable("the contact changes faster than it can be read; nothing was changed")

    async def finish(self, tenant: str, home: Place) -> bool:
        """Finish the splits that are under way here; whether there were any."""
        whole = await gather(self._ground, home)
        notes = whole.notes if whole else {}
        under_way = [n for n in notes if n[:1] == UNDER_WAY and len(n) == _NAME_BYTES]
        for name in under_way:
            await self._settle(tenant, home, name, decode_moving(notes[name]))
        return bool(under_way)

    # --- the steps --------------------------------------------------------------------------------

    async def _apply(
        self,
        split: Split,
        home: Place,
        there: Place | None,
        whole: Belongings,
        note: Merged | None,
        first: Side,
    ) -> Identified | None:
        target, before = await self._target(split, there)
        if split.address is not None:
            id = self._keys.born_at(split.part, target)
            first = replace(first, contact=replace(first.contact, id=id))
        kept = _kept(note) if note else None
        silent = merging.silent(_log_of(whole) if split.address else {}, split)
        parted = merging.parted(side_of(whole.reading), kept, first, split, silent)
        parted = self._without_unlinked(split.tenant, parted, first.contact)
        await asyncio.sleep(0)  # a long log takes its time: others go on between the parts of it
        held = remembered_at(whole, parted.places, target.hash, silent)
        moving = self._moving(split, parted, held, note, first.head.seq, target, before)
        name = UNDER_WAY + parted.part.contact.id
        rest = self._without(split, parted)
        told = self._parting(split, whole, parted, rest, held, home)._replace(
            notes={name: encode_moving(moving)}, notes_gone=(split.part,)
        )
        await asyncio.sleep(0)
        if not await rewrite(self._ground, split.tenant, home, split.now, told):
            return None
        for address in parted.part.contact.addresses:
            self._keys.forget_home(split.tenant, address)
        self._keys.contacts.pop((split.tenant, parted.part.contact.id), None)
        # It is parted; where it cannot be put into its place now, the next who looks does that.
        with suppress(Unavailable, OutcomeUnknown):
            await self._settle(split.tenant, home, name, moving)
        return Identified("split", rest, parted.part.contact)

    async def _target(self, split: Split, there: Place | None) -> tuple[Place, bytes]:
        """Where the part goes, and what stands there until then: a forward, or nothing."""
        if split.address is None:
            found = await self._looking.look(there, 1) if there else None
            if there is None or not isinstance(found, Forward):
                raise CorruptRecord("the place of a contact that was merged holds no forward")
            return there, encode_forward(found)
        # Never where a list has been, or who knew that one would take this for an older one.
        for generation in range(_MOST_GENERATIONS):
            place = self._keys.own_place(split.tenant, split.address, generation)
            if await self._looking.look(place, 1) is None:
                return place, b""
        raise CorruptRecord("an address was parted more often than can be")

    def _parting(
        self,
        split: Split,
        whole: Belongings,
        parted: Parted,
        rest: Contact,
        held: Remembered,
        home: Place,
    ) -> Rewriting:
        """What is put in the place of the log that it is parted from."""
        reading, gone = whole.reading, encode_entry(merging.GONE)
        event = merging.split_event(split, parted.part.contact, len(split.moves))
        moved = tuple([(n, whole.outbox[n]) for n in held.outbox if n[:1] == b"d"])
        names = tuple([
            (name, whole.outbox[name]) for name, raw in held.outbox.items()
            if name[:1] == b"p" and raw[:1] == b"d"
        ])  # fmt: skip
        return Rewriting(
            expected=(reading.packed_head, reading.packed_contact, reading.state),
            final=(
                encode_head(parted.rest.head), encode_contact(rest), parted.rest.state or b"",
            ),
            places=tuple([(place, gone) for place in parted.places]),
            entries=(encode_entry(event),),
            ids_gone=held.gone,
            outbox_gone=moved + names,
            off=tuple([home.hash + name[1:] for name, _ in moved]),
        )  # fmt: skip

    @staticmethod
    def _without_unlinked(tenant: str, parted: Parted, before: Contact) -> Parted:
        """The part that says which of its addresses left it while it was another's.

        Their own places lead to it still, and would be taken for somebody else's there.
        """
        part = parted.part.contact
        gone = [address_key(tenant, one) for one in before.addresses if part.link_to(one) is None]
        contact = replace(part, left=tuple(dict.fromkeys((*part.left, *gone))))
        return replace(parted, part=replace(parted.part, contact=contact))

    def _without(self, split: Split, parted: Parted) -> Contact:
        """The contact that stays, which says what has left it."""
        gone = [address_key(split.tenant, one) for one in parted.part.contact.addresses]
        left = dict.fromkeys((*parted.rest.contact.left, *gone))
        return replace(parted.rest.contact, left=tuple(left))

    def _moving(
        self,
        split: Split,
        parted: Parted,
        held: Remembered,
        note: Merged | None,
        before: int,
        target: Place,
        forward: bytes,
    ) -> Moving:
        part = parted.part
        read = [encode_entry(entry) for _, entry in split.moves]
        event = merging.split_event(split, part.contact, len(read), of_part=True)
        log = (*read[:before], encode_entry(event), *read[before:])
        end = encode_head(part.head), encode_contact(part.contact), part.state or b""
        pointer = b""
        if split.address is not None:
            _, pointer = self._keys.pointer(split.tenant, part.contact.id)
        return Moving(
            target.hash, forward, (*log, *end), tuple(held.ids.items()),
            tuple(held.outbox.items()), note.inner if note else (), held.due, held.dead,
            split.now, held.until, pointer,
        )  # fmt: skip

    async def _settle(self, tenant: str, home: Place, name: bytes, moving: Moving) -> None:
        """Put what was parted into its place, and take the note of it away."""
        target, now = self._keys.at(moving.target), moving.now
        *log, head, contact, state = moving.elements
        await rewrite(self._ground, tenant, target, now, Rewriting(
            expected=(moving.before,) if moving.before else (),
            final=(head, contact, state), entries=tuple(log),
            ids=dict(moving.ids), outbox=dict(moving.outbox), notes=dict(moving.notes),
            due=moving.due, dead=moving.dead, pointer=moving.pointer, until=moving.until,
        ))  # fmt: skip
        found = await self._looking.look(target, 1)
        if not isinstance(found, Reading):
            raise Unavailable("what was parted cannot be put into its place now; the next does it")
        await rewrite(self._ground, tenant, home, now, Rewriting(notes_gone=(name,)))


def _log_of(whole: Belongings) -> dict[int, Entry]:
    return dict(enumerate(decode_entries(whole.reading.records), 1))


def _note_of(whole: Belongings, split: Split) -> Merged | None:
    raw = None if split.address else whole.notes.get(split.part)
    return decode_merged(raw) if raw else None


def _kept(note: Merged) -> Kept:
    part = Side(decode_head(note.head), decode_contact(note.contact), note.state or None)
    return Kept(part, decode_contact(note.into_contact), note.into_state or None, note.made)
