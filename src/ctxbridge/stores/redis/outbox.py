"""The outbox: claiming a delivery for sending, and noting what became of it."""

from typing import Any, NamedTuple

from ctxbridge.errors import CorruptRecord, ReplyMismatch, Unavailable
from ctxbridge.model import Assurance, Delivery, Message, Reader, Settle, Take, Taken
from ctxbridge.rules import outbox
from ctxbridge.stores.redis.committing import Committing
from ctxbridge.stores.redis.deliveries import (
    ID_BYTES,
    Known,
    decode_delivery,
    decode_word,
    encode_delivery,
    encode_name,
    encode_word,
)
from ctxbridge.stores.redis.ground import Ground
from ctxbridge.stores.redis.keys import Place
from ctxbridge.stores.redis.looking import Looking, Way
from ctxbridge.stores.redis.reading import Reading
from ctxbridge.stores.redis.request import Request
from ctxbridge.stores.redis.scripts import SETTLE, TAKE
from ctxbridge.stores.redis.values import keys_of, packed_settle, packed_take
from ctxbridge.wire import decode_entry, decode_forward, packed_address
from ctxbridge.wire.keys import address_key, provider_key

_TRIES = 100
_STATUSES: dict[bytes, Any] = {b"taken": "taken", b"stale": "stale", b"lost": "gone"}


class _Folded(NamedTuple):
    """What is to be written of a delivery: it, what its provider's id names, both only if changed.

    `wait` is how many milliseconds it rests before it is tried again, if it is.
    """

    status: Any
    delivery: bytes = b""
    named: bytes = b""
    wait: int | None = None

    @property
    def changes(self) -> bool:
        return bool(self.delivery or self.named)


class Outbox:
    """`Store.deliver`."""

    def __init__(self, ground: Ground, looking: Looking, committing: Committing) -> None:
        self._ground = ground
        self._looking = looking
        self._place_of = committing.place_of
        self._keys = ground.keys
        self._write = ground.courier.write

    # --- claiming ---------------------------------------------------------------------------------

    async def take(self, step: Take) -> Taken:
        """Claim a delivery."""
        if len(step.where) != ID_BYTES or len(step.delivery) != ID_BYTES:
            return Taken("gone")
        nonce, place = self._ground.nonce(), self._keys.at(step.where)
        way = Way()
        while True:
            known = place.seq
            request, fill = self._claiming(place, step, nonce), self._looking.filling_behind(place)
            reply, elements = await self._write(place.shard, request, fill)
            status = self._ground.require_sound(reply)
            if status == b"moved":
                forward = decode_forward(reply[2])
                place = way.leads_to(await self._looking.step(place, forward))
                continue
            if status == b"none":
                return self._gone(place)
            self._ground.require_history(place, reply[3], known)
            return await self._taken(place, step, reply, elements)

    def _claiming(self, place: Place, step: Take, nonce: bytes) -> Request:
        agenda = self._keys.agenda(step.tenant, place.shard)
        fixed = packed_take(step, nonce, self._ground.time(step.now), place.hash, agenda.tenant)
        keys = keys_of(place.key, place.outbox, agenda.due, agenda.dead, agenda.control)
        return TAKE.request(nonce, keys, 5, fixed, then=place.look(step.window).data)

    def _gone(self, place: Place) -> Taken:
        """What is said of a conversation that is not there, and was not known to be."""
        if place.seq:
            raise self._ground.rolled_back(place)
        return Taken("gone")

    async def _taken(
        self, place: Place, step: Take, reply: list[Any], elements: list[bytes]
    ) -> Taken:
        _, status, raw, _, contact, control = reply
        delivery = decode_delivery(step.delivery, raw) if raw else None
        if delivery is None or status == b"gone":
            return Taken("gone", delivery)
        self._ground.outbox.learn((place.hash, delivery.id), Known(delivery.id, raw))
        reading = self._looking.understood(place, elements)
        if not isinstance(reading, Reading) or reading.contact.id != contact:
            self._looking.distrust(place)
            raise ReplyMismatch("the store answered with another conversation than was asked for")
        message = await self._message(place, reading, delivery)
        assert message.address is not None
        context = reading.context(Reader(message.address, Assurance.AUTHENTICATED), step.window)
        return Taken(_STATUSES[status], delivery, message, context, control)

    async def _message(self, place: Place, reading: Reading, delivery: Delivery) -> Message:
        """The message that is to leave: nearly always one of those that were read."""
        for packed in await self._looking.entries(place, reading, delivery.place, 1):
            message = decode_entry(packed)
            if type(message) is Message and message.address is not None:
                return message
        raise CorruptRecord("a conversation is torn: a delivery is of no message that could leave")

    # --- what became of it ------------------------------------------------------------------------

    async def settle(self, step: Settle) -> Taken:
        """Note what became of a delivery."""
        place = await self._whose(step)
        if place is None or len(step.delivery) not in {0, ID_BYTES}:
            return Taken("gone")
        if not step.delivery and not step.provider_id:
            return Taken("gone")
        nonce = self._ground.nonce()
        provider = b""
        if step.provider_id:
            provider = provider_key(step.tenant, step.endpoint, step.provider_id)
        known = self._remembered(place, step.delivery, provider)
        for _ in range(_TRIES):
            folded = _fold(step, known) if known else _Folded("asked")
            request = self._settling(place, step, nonce, provider, known, folded)
            reply: list[Any] = await self._write(place.shard, request, _nothing_changes)
            status = self._ground.require_sound(reply)
            if status == b"moved":
                place, known = await self._looking.step(place, decode_forward(reply[2])), None
                continue
            if status == b"other":
                assert step.recipient is not None
                place = await self._looking.find_anew(step.tenant, step.recipient)
                known = None
                continue
            if status == b"none":
                return self._gone(place)
            known = Known(reply[2], reply[3], provider, reply[4])
            if status == b"again":
                folded = _fold(step, known)
            if status == b"ok" or not folded.changes:
                return self._settled(place, known, folded)
        raise Unavailable("the delivery changes faster than it can be read; nothing was changed")

    async def _whose(self, step: Settle) -> Place | None:
        """Whose delivery it is."""
        if step.recipient is not None:
            return self._keys.home_of(step.tenant, step.recipient)
        return await self._place_of(step.tenant, step.contact)

    def _remembered(self, place: Place, id: bytes, provider: bytes) -> Known | None:
        """What we wrote last of it; what the provider's id names is taken to be nothing yet."""
        known = self._ground.outbox.get((place.hash, id)) if id else None
        if known is None or known.provider == provider:
            return known
        return Known(id, known.raw, provider)

    def _settling(
        self,
        place: Place,
        step: Settle,
        nonce: bytes,
        provider: bytes,
        known: Known | None,
        folded: _Folded,
    ) -> Request:
        agenda = self._keys.agenda(step.tenant, place.shard)
        fixed = packed_settle(
            step, nonce, self._ground.time(step.now), place.hash, provider,
            known.id if known else step.delivery, asks=known is None, wait=folded.wait,
        )  # fmt: skip
        keys = keys_of(place.key, place.outbox, agenda.due, agenda.dead)
        raw, named = (known.raw, known.named) if known else (b"", b"")
        whose: tuple[bytes, ...] = ()
        if step.recipient is not None:
            whose = packed_address(step.recipient), address_key(step.tenant, step.recipient)
        values = (fixed, raw, folded.delivery, named, folded.named, *whose)
        return SETTLE.request(nonce, keys, 4, *values)

    def _settled(self, place: Place, known: Known, folded: _Folded) -> Taken:
        if not known.raw:
            return Taken(folded.status)
        self._ground.outbox.learn((place.hash, known.id), known)
        return Taken(folded.status, decode_delivery(known.id, known.raw))


def _fold(step: Settle, known: Known) -> _Folded:
    """What is said, folded into what is known."""
    word = decode_word(step.tenant, known.named)
    if not known.raw:
        if not outbox.keeps(step):
            return _Folded("gone")
        kept = outbox.better(word, step)
        return _Folded("kept", named=b"" if kept is word else encode_word(kept))
    held = decode_delivery(known.id, known.raw)
    settled, named = outbox.settle(held, step), b""
    if step.provider_id:
        settled = outbox.settle(settled, word) if word else settled
        name = encode_name(known.id)
        named = b"" if known.named.startswith(name) else name
    packed = encode_delivery(settled) if settled != held else b""
    rests = settled.status == "pending" != held.status
    return _Folded("settled", packed, named, max(0, settled.due - step.now) if rests else None)


def _nothing_changes(*_: Any) -> None:
    """The list stays as it is, so the near cache does too."""
