"""Opening a turn: one script, and behind it in the same write the look at what it left."""

from contextlib import suppress
from typing import Any

from ctxbridge.errors import (
    CtxBridgeError,
    ReplyMismatch,
    StoreError,
    Unavailable,
)
from ctxbridge.model import Change, Claim, Contact, Context, Message, Opened, Window
from ctxbridge.model.head import NO_ID
from ctxbridge.rules import identity
from ctxbridge.stores.redis.exchange import Short
from ctxbridge.stores.redis.ground import Ground
from ctxbridge.stores.redis.keys import Place
from ctxbridge.stores.redis.looking import Looking, Way
from ctxbridge.stores.redis.reading import Reading
from ctxbridge.stores.redis.request import TAIL, Request, is_list_of_bytes
from ctxbridge.stores.redis.resp import bulk
from ctxbridge.stores.redis.scripts import COMMIT, OPEN
from ctxbridge.stores.redis.values import consent_values, packed_change, packed_claim
from ctxbridge.wire import (
    decode_contact,
    decode_entries,
    decode_forward,
    encode_contact,
    encode_entry,
    packed_address,
)
from ctxbridge.wire.keys import address_key, message_key

_STATUSES: dict[bytes, Any] = {
    b"new": "new", b"resumed": "new", b"stored": "busy", b"busy": "busy",
    b"duplicate": "duplicate", b"merged": "merged", b"mismatch": "mismatch", b"noted": "noted",
    b"rejected": "rejected", b"full": "full",
}  # fmt: skip
_APPENDED = frozenset({b"new", b"stored", b"noted"})
_ANSWERED = frozenset({b"duplicate", b"merged"})
_LEASED = frozenset({b"new", b"resumed"})
_TRIES = 100


class Opening:
    """`Store.open`."""

    def __init__(self, ground: Ground, looking: Looking) -> None:
        self._ground = ground
        self._looking = looking
        self._keys = ground.keys

    async def open(self, claim: Claim) -> Opened:
        """Open a turn."""
        nonce = self._ground.nonce()
        place = self._keys.home_of(claim.tenant, claim.address)
        way, tries = Way(), 0
        while tries < _TRIES:
            before = await self._contact_before(place, claim) if claim.consents else None
            known = place.seq
            reply, elements = await self._ask(place, claim, nonce, before)
            status = self._ground.require_sound(reply)
            if status == b"moved":
                forward = decode_forward(reply[2])
                place = way.leads_to(await self._looking.step(place, forward))
                continue
            tries += 1
            if status == b"other":
                place = await self._looking.find_anew(claim.tenant, claim.address)
            elif status == b"gone":
                raise await self._looking.lost(claim.tenant, claim.address, place)
            elif status != b"again":
                self._keys.learn_home(claim.tenant, claim.address, place)
                try:
                    return await self._opened(place, claim, reply, elements, known)
                except BaseException:
                    # Who is told of it asks again: no lease may stand in the way then.
                    self._giving_back(place, claim)([reply, elements])
                    raise
        raise Unavailable("the contact changes faster than it can be read; nothing was changed")

    async def _contact_before(self, place: Place, claim: Claim) -> bytes:
        """The contact as it is: a change of consent is folded into it, and takes it as expected."""
        found = await self._looking.look(place, claim.window)
        return found.packed_contact if isinstance(found, Reading) else b""

    async def _ask(
        self, place: Place, claim: Claim, nonce: bytes, before: bytes | None
    ) -> tuple[list[Any], list[bytes]]:
        request = self._request(place, claim, nonce, before)
        fill = self._looking.filling_behind(place)
        reply, elements = await self._ground.write(place, request, fill)
        return reply, elements

    def _request(self, place: Place, claim: Claim, nonce: bytes, before: bytes | None) -> Request:
        keys, ground = self._keys, self._ground
        agenda = keys.agenda(claim.tenant, place.shard)
        contact, pointer = b"", place.key
        # Only where an address has a list of its own can somebody new be founded.
        founds = not place.seq and place is keys.of_address(claim.tenant, claim.address)
        if founds or before is not None:
            id = keys.born_at(claim.contact, place)
            fresh = identity.first_seen(id, claim.address, claim.assurance, claim.now)
            contact = encode_contact(fresh)
        if founds:
            _, pointer = keys.pointer(claim.tenant, id)
        changes: list[bytes] = []
        if before is not None:
            held = decode_contact(before) if before else fresh
            if before:
                held = identity.confirm(held, claim)
            changes = consent_values(claim, before, held)
        id_of_message = message_key(claim.tenant, claim.endpoint, claim.message.message_id)
        fixed = packed_claim(claim, nonce, ground.time(claim.now), id_of_message, place.hash)
        request = OPEN.request(
            nonce, place.script_keys + bulk(pointer) + agenda.script_keys, 5,
            fixed, encode_entry(claim.message), contact, packed_address(claim.address),
            address_key(claim.tenant, claim.address), *changes,
            then=place.look(claim.window).data,
        )  # fmt: skip
        request.abandoned = self._giving_back(place, claim)
        return request

    def _giving_back(self, place: Place, claim: Claim) -> Any:
        """What gives the lease back of a worker who does not get to use it.

        It leaves the moment the answer is there, before whoever waits for the cancellation goes on;
        so it is not awaited. Where it is lost the lease runs out by itself.
        """

        def abandoned(outcome: Any) -> None:
            outcome = outcome.reply if isinstance(outcome, Short) else outcome
            if not isinstance(outcome, list) or not all(map(is_list_of_bytes, outcome[1:])):
                return
            reply, elements = outcome
            if isinstance(reply, list) and reply[1] in _LEASED and len(elements) >= TAIL:
                self._give_back(place, claim, reply, elements[-2])

        return abandoned

    def _give_back(self, place: Place, claim: Claim, reply: list[Any], contact: bytes) -> None:
        exchange = self._ground.courier.writing_exchange_for(place.shard)
        try:
            id = decode_contact(contact).id
        except StoreError:
            return
        if exchange is None:
            return
        _, _, _, fence, _, turn, *_ = reply
        change = Change(claim.tenant, id, turn, claim.now, fence, finished=False)
        nonce = self._ground.nonce()
        fixed = packed_change(change, nonce, self._ground.time(claim.now), place.hash)
        keys = place.script_keys + self._keys.agenda(claim.tenant, place.shard).script_keys
        request = COMMIT.request(nonce, keys, 4, fixed, b"")
        if self._ground.near is not None:
            self._ground.near.drop(place.key)
        # Spelled out, since nobody would send it again to a server that lacks the script.
        data = request.spelled_out().data
        exchange.ask(data, barrier=self._ground.courier.barrier(place.shard))

    async def _opened(
        self, place: Place, claim: Claim, reply: list[Any], elements: list[bytes], known: int
    ) -> Opened:
        _, status, control, fence, seq, turn, lease_end, _, *answered = reply
        if claim.resumes and not elements:
            # Somebody found it here, and then it was gone: nothing waits, and nobody is known.
            context = Context(None, NO_ID, Window(), reader=claim.assurance)
            return Opened(_STATUSES[status], turn, seq, fence, context, control=control)
        reading = self._looking.understood(place, elements)
        if not isinstance(reading, Reading) or not reading.is_of(claim.tenant, claim.address):
            self._looking.distrust(place)
            raise ReplyMismatch("the store answered with another conversation than was asked for")
        appended = status in _APPENDED
        self._ground.require_history(place, seq - 1 if appended else reading.head.seq, known)
        # What is taken up again was told by the caller, not by the store.
        self._ground.require_history(place, reading.head.seq, 0 if claim.resumes else seq)
        contact = reading.contact
        if appended:
            contact = await self._confirmed(place, claim, reading)
        self._keys.learn_contact(claim.tenant, contact.id, place)
        answer: tuple[Message, ...] = ()
        if status in _ANSWERED and claim.assurance >= answered[0] and answered[2]:
            answer = await self._answer(place, reading, *answered[1:])
        context = reading.context(claim.reader, claim.window, turn, contact)
        return Opened(
            _STATUSES[status], turn, seq, fence, context, answer, status == b"resumed", lease_end,
            control,
        )  # fmt: skip

    async def _confirmed(self, place: Place, claim: Claim, reading: Reading) -> Contact:
        """The contact with its link raised to what the address has proven now; stored if it is."""
        contact = identity.confirm(reading.contact, claim)
        if contact is not reading.contact:
            # Whatever hinders it, the next message of this address raises the link again.
            with suppress(CtxBridgeError):
                await self._ground.swap_contact(
                    place, reading.packed_contact, encode_contact(contact)
                )
        return contact

    async def _answer(
        self, place: Place, reading: Reading, first: int, count: int
    ) -> tuple[Message, ...]:
        records = await self._looking.entries(place, reading, first, count)
        return tuple(e for e in decode_entries(records) if type(e) is Message)
