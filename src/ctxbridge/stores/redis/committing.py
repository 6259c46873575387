"""Committing a turn: one script on one list."""

from typing import Any

from ctxbridge.errors import CorruptRecord
from ctxbridge.model import Change, Committed, Refused
from ctxbridge.stores.redis.deliveries import Known
from ctxbridge.stores.redis.exchange import Exchange
from ctxbridge.stores.redis.ground import Ground
from ctxbridge.stores.redis.keys import Place
from ctxbridge.stores.redis.looking import Looking, Way
from ctxbridge.stores.redis.request import Request
from ctxbridge.stores.redis.resp import pack
from ctxbridge.stores.redis.scripts import COMMIT
from ctxbridge.stores.redis.values import committed, delivery_values, keys_of, packed_change
from ctxbridge.wire import decode_forward, encode_entry

_CONTACT_BYTES = 16
_NOT_THERE = frozenset({b"none", b"other"})
"""Nobody is there, or another contact: in the place of one that was erased, or lost."""
_FENCED = frozenset({b"fenced", b"superseded"})


class Committing:
    """`Store.commit`, and how a contact's id leads to its list."""

    def __init__(self, ground: Ground, looking: Looking) -> None:
        self._ground = ground
        self._looking = looking
        self._keys = ground.keys

    async def commit(self, change: Change) -> Committed | Refused:
        """Commit a turn."""
        place, anew = await self.place_of(change.tenant, change.contact), False
        way = Way()
        while place is not None:
            known = place.seq
            reply: list[Any] = await self._ground.write(place, *self._request(place, change))
            status = self._ground.require_sound(reply)
            if status == b"moved":
                forward = decode_forward(reply[2])
                place = way.leads_to(await self._looking.step(place, forward))
                self._keys.learn_contact(change.tenant, change.contact, place)
                continue
            if status in _NOT_THERE and not anew:
                # Another process may have split what was merged when we learned where it is.
                self._keys.contacts.pop((change.tenant, change.contact), None)
                own, anew = await self.place_of(change.tenant, change.contact), True
                if own not in {None, place}:
                    place = own
                    continue
            return self._outcome(place, change, reply, known)
        return Refused("unknown")

    def _outcome(
        self, place: Place, change: Change, reply: list[Any], known: int
    ) -> Committed | Refused:
        status = reply[1]
        if status == b"rolledback":
            raise self._ground.rolled_back(place, reply[5])
        if status in _NOT_THERE:
            self._keys.contacts.pop((change.tenant, change.contact), None)
            there = reply[2] if status == b"other" else 0
            if there < place.seq:
                raise self._ground.rolled_back(place, there)
            return Refused("unknown")
        if status == b"ok":
            # It is stored; where it was put behind less than we knew of, that is told first, and
            # the same again finds it.
            self._ground.require_history(place, reply[2] - len(change.append), known)
            place.seq = max(place.seq, reply[2])
            if change.deliveries:
                self._remember(place, change, reply[5:])
        elif status == b"replayed":
            self._ground.require_history(place, reply[4], known)
        elif status in _FENCED and not change.finished:
            return self._given_back(change, reply)
        return committed(reply)

    def _remember(self, place: Place, change: Change, packed: list[bytes]) -> None:
        """Who claimed a delivery with its commit settles it next, and need not read it then."""
        for delivery, raw in zip(change.deliveries, packed, strict=True):
            if delivery.token:
                known = Known(delivery.id, raw)
                self._ground.outbox.learn((place.hash, delivery.id), known)

    @staticmethod
    def _given_back(change: Change, reply: list[Any]) -> Committed | Refused:
        """A lease that was given back by the same call before, whose answer was lost."""
        _, reason, revision, epoch, fence, seq, turn, _, lease = reply
        if (fence, turn, lease) == (change.fence, change.turn, 0):
            return Committed(seq, revision, replayed=True)
        return Refused(reason.decode(), revision, epoch)

    def _request(self, place: Place, change: Change) -> tuple[Request, Any]:
        nonce, ground = self._ground.nonce(), self._ground
        agenda = self._keys.agenda(change.tenant, place.shard)
        keys, number = place.script_keys, 2
        if change.fence is not None or change.deliveries:
            keys, number = keys + agenda.script_keys, 4
        if change.deliveries:
            keys, number = keys + keys_of(place.outbox), 5
        appended = [encode_entry(entry) for entry in change.append]
        amended = tuple([(seq, encode_entry(message)) for seq, message in change.amend])
        flat = [value for seq, entry in amended for value in (b"%d" % seq, entry)]
        fixed = packed_change(change, nonce, ground.time(change.now), place.hash)
        request = COMMIT.request(
            nonce, keys, number, fixed, change.state or b"", *flat, *change.joined,
            *delivery_values(change, agenda.tenant), *appended,
        )  # fmt: skip
        if ground.near is None:
            return request, None
        return request, self._writing_through(place, change.state, appended, amended)

    def _writing_through(
        self,
        place: Place,
        state: bytes | None,
        appended: list[bytes],
        amended: tuple[tuple[int, bytes], ...],
    ) -> Any:
        """What keeps the near cache's reading going, if it was of the very moment before."""
        near = self._ground.near
        assert near is not None

        def take(exchange: Exchange, reply: Any) -> None:
            held = near.held(place)
            if held is None:
                near.news.tell(place.key)
                return
            if not isinstance(reply, list) or held.exchange is not exchange:
                near.drop(place.key)
            elif reply[1] == b"ok":
                if held.is_whole and held.head.seq + len(appended) == reply[2]:
                    near.put(place, held.after(reply[4], state, appended, amended))
                else:
                    near.drop(place.key)

        return take

    async def place_of(self, tenant: str, contact: bytes) -> Place | None:
        """The list of a contact, by its id; `None` where nobody has it. Remembered afterwards."""
        place = self._keys.contacts.get((tenant, contact)) or await self.own_place_of(
            tenant, contact
        )  # fmt: skip
        return place and self._keys.contacts.learn((tenant, contact), place)

    async def own_place_of(self, tenant: str, contact: bytes) -> Place | None:
        """The list that a contact has of its own, by its id, whatever it was merged into."""
        if len(contact) != _CONTACT_BYTES:
            return None
        shard, key = self._keys.pointer(tenant, contact)
        hash = await self._ground.courier.read(shard, Request((pack(b"GET", key),)))
        if not hash:
            return None
        if len(hash) != _CONTACT_BYTES:
            raise CorruptRecord("where a contact is found is no place")
        return self._keys.at(hash)
