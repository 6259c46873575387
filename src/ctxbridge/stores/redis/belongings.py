"""What belongs to a conversation besides its log, as it lies there: it goes along where that goes.

Its fields are told in ``lua/head.lua`` and in `deliveries`.
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

from msgspec.structs import replace

from ctxbridge.errors import CorruptRecord
from ctxbridge.model import Delivery
from ctxbridge.rules import fold, merging, outbox
from ctxbridge.stores.redis.deliveries import decode_delivery, encode_delivery
from ctxbridge.stores.redis.ground import Ground
from ctxbridge.stores.redis.keys import Place
from ctxbridge.stores.redis.nested import packed
from ctxbridge.stores.redis.reading import Reading, reading_of
from ctxbridge.stores.redis.scripts import GATHER, REWRITE
from ctxbridge.stores.redis.values import keys_of

Listed = tuple[tuple[int, bytes], ...]
NOWHERE: Mapping[int, int] = {}
_PLACE = slice(24, 29)
_ANSWER_BYTES, _SEEN_BYTES = 23, 36
_UNTIL_BYTES = 6


class Belongings(NamedTuple):
    """A whole conversation: the list, and the fields of the hashes beside it."""

    reading: Reading
    ids: dict[bytes, bytes]
    outbox: dict[bytes, bytes]
    notes: dict[bytes, bytes]


async def gather(ground: Ground, place: Place, *, aside: bool = False) -> Belongings | None:
    """All of the conversation at a place, or set aside from it; `None` where there is none."""
    nonce = ground.nonce()
    keys = place.aside if aside else place.all_of_it
    request = GATHER.request(nonce, keys_of(*keys), 4, nonce)
    reply = await ground.courier.write(place.shard, request)
    ground.require_sound(reply)
    _, _, elements, *held = reply
    if len(elements) < 2:
        return None
    return Belongings(reading_of(elements, None), *[_pairs(flat) for flat in held])


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


class Remembered(NamedTuple):
    """What is remembered of entries, by its fields, at other places."""

    ids: dict[bytes, bytes]
    outbox: dict[bytes, bytes]
    due: Listed
    dead: Listed
    until: int
    gone: tuple[bytes, ...]
    """The fields of ids and turns that are of nobody else."""


def remembered_at(
    held: Belongings, places: Mapping[int, int], list: bytes, silent: Mapping[int, int] = NOWHERE
) -> Remembered:
    """What is remembered of the entries at these places, as it is at those that they lead to.

    `list` is the name of the list under which deliveries are listed then. Of the entries that are
    `silent` no more is known than that their messages were here.
    """
    ids = dict(_ids_at(held.ids, {**silent, **places})) | dict(_turns_at(held.ids, places))
    deliveries = _deliveries_at(held.outbox, places)
    kept = {b"d" + one.id: encode_delivery(one) for one in deliveries}
    named = {
        name: raw
        for name, raw in held.outbox.items()
        if name[:1] == b"p" and (raw[:1] != b"d" or b"d" + raw[1:17] in kept)
    }
    if (kept or named) and b"s" in held.outbox:
        kept[b"s"] = held.outbox[b"s"]
    due = [(outbox.look_again(one), list + one.id) for one in deliveries]
    dead = [(one.until, list + one.id) for one in deliveries if one.status in outbox.DEAD]
    ends = [int.from_bytes(raw[-_UNTIL_BYTES:], "big") for raw in (*ids.values(), *named.values())]
    ends += [one.until for one in deliveries]
    gone = [name for name in ids if _is_of_nobody_else(name, held.ids[name], places)]
    return Remembered(
        ids, kept | named, tuple([one for one in due if one[0]]), tuple(dead),
        max(ends, default=0), tuple(gone),
    )  # fmt: skip


def _is_of_nobody_else(name: bytes, raw: bytes, places: Mapping[int, int]) -> bool:
    if name[:1] == b"m":
        return any(raw[_PLACE])
    return merging.is_moved(_answer(raw), places)


def _ids_at(ids: Mapping[bytes, bytes], places: Mapping[int, int]) -> Iterable[tuple[bytes, bytes]]:
    for name, raw in ids.items():
        if name[:1] == b"m" and len(name) == 17:
            if len(raw) != _SEEN_BYTES:
                raise CorruptRecord("what is remembered of a message id is damaged")
            place = int.from_bytes(raw[_PLACE], "big")
            if not places.get(place, place):
                yield name, bytes(30) + raw[30:]  # what is known is that it was here
            elif place in places:
                yield name, raw[:24] + places[place].to_bytes(5, "big") + raw[29:]


def _turns_at(
    ids: Mapping[bytes, bytes], places: Mapping[int, int]
) -> Iterable[tuple[bytes, bytes]]:
    for name, raw in ids.items():
        there = merging.answer_at(_answer(raw), places) if name[:1] == b"t" else None
        if there is not None:
            yield name, _packed(there)


def _answer(raw: bytes) -> fold.Answer:
    """What is remembered of a finished turn: ``>I5I2I5I5I6``."""
    if len(raw) != _ANSWER_BYTES:
        raise CorruptRecord("what is remembered of a turn is damaged")
    ends = (0, 5, 7, 12, 17, 23)
    numbers = [int.from_bytes(raw[a:b], "big") for a, b in pairwise(ends)]
    return fold.Answer(*numbers)


def _packed(answer: fold.Answer) -> bytes:
    sizes = zip(
        (answer.first, answer.count, answer.revision, answer.fence, answer.until), (5, 2, 5, 5, 6),
        strict=True,
    )  # fmt: skip
    return b"".join([number.to_bytes(size, "big") for number, size in sizes])


def _deliveries_at(fields: Mapping[bytes, bytes], places: Mapping[int, int]) -> list[Delivery]:
    found = [decode_delivery(n[1:], raw) for n, raw in fields.items() if n[:1] == b"d"]
    return [replace(one, place=places[one.place]) for one in found if one.place in places]


class Rewriting(NamedTuple):
    """What is put in the place of what was read; the script `rewrite.lua` tells of each."""

    expected: tuple[bytes, ...] = ()
    final: tuple[bytes, ...] = ()
    places: Listed = ()
    entries: tuple[bytes, ...] = ()
    ids: Mapping[bytes, bytes] = {}
    outbox: Mapping[bytes, bytes] = {}
    notes: Mapping[bytes, bytes] = {}
    ids_gone: tuple[bytes, ...] = ()
    outbox_gone: tuple[tuple[bytes, bytes], ...] = ()
    notes_gone: tuple[bytes, ...] = ()
    due: Listed = ()
    dead: Listed = ()
    off: tuple[bytes, ...] = ()
    pointer: bytes = b""
    until: int = 0


async def rewrite(ground: Ground, tenant: str, place: Place, now: int, told: Rewriting) -> bool:
    """Whether it was done: what was expected there was there."""
    nonce, agenda = ground.nonce(), ground.keys.agenda(tenant, place.shard)
    keys = keys_of(*place.all_of_it, agenda.due, agenda.dead, told.pointer or place.key)
    put = packed((
        told.expected, told.final, told.places, told.entries, _flat(told.ids), _flat(told.outbox),
        tuple(told.notes.items()), told.ids_gone, told.outbox_gone, told.notes_gone, told.due,
        told.dead, told.off, int(bool(told.pointer)),
    ))  # fmt: skip
    life = b"%d" % max(0, told.until - now)
    request = REWRITE.request(
        nonce, keys, 7, nonce, b"%d" % ground.time(now), place.hash, life, put
    )
    return ground.require_sound(await ground.write(place, request)) == b"ok"


def _flat(fields: Mapping[bytes, bytes]) -> list[bytes]:
    return [one for pair in fields.items() for one in pair]
