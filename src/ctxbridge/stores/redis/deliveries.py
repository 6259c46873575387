"""What the outbox of a conversation holds: deliveries, and what a provider's ids name.

A delivery is, big-endian: format (1 byte, 1), place (5), status (1: its number in
`rules.outbox.STATUSES`), flags (1; bit 0: repeatable), attempt (2), due (6), held until (6), gate
epoch (8), token (8, zero: none), created at (6), length of the provider's id (2), the id, the code,
until (6). Its id is the name of its field. A script reads and changes it: see ``delivery.lua``.

A provider's id names a delivery (``d`` and its id), or what was said of it before any delivery was
told to have it (``k`` and a MessagePack array); behind either stands until when (6).
"""

import struct
from typing import NamedTuple

import msgspec
from msgspec import Struct

from ctxbridge.errors import CorruptRecord, UnknownFormat, UsageError
from ctxbridge.model import Delivery, DeliveryStatus, Settle
from ctxbridge.rules.outbox import MAX_CODE_CHARACTERS, MAX_ID_CHARACTERS, STATUSES

ID_BYTES = 16
TOKEN_BYTES = 8
NO_TOKEN = bytes(TOKEN_BYTES)
_FORMAT = 1
_LAYOUT = struct.Struct(">BBIBBHHIHIQ8sHI")
_UNTIL_BYTES = 6
_NUMBERS = {status: number for number, status in enumerate(STATUSES)}


class Known(NamedTuple):
    """What was read or written last of a delivery, and of the id that its provider gave it.

    `raw` is the delivery (empty: there is none), `named` what the provider's id names, of which
    `provider` is the hash.
    """

    id: bytes
    raw: bytes
    provider: bytes = b""
    named: bytes = b""


def token_bytes(token: bytes) -> bytes:
    """A token as it is stored; raises `UsageError` for one of another length."""
    if len(token) not in {0, TOKEN_BYTES}:
        raise UsageError("the token of a claim has 8 bytes")
    return token or NO_TOKEN


def named_and_code(delivery: Delivery) -> bytes:
    """The provider's id with its length before it, and the code."""
    named = _bytes(delivery.provider_id)
    return len(named).to_bytes(2, "big") + named + _bytes(delivery.code)


def encode_delivery(delivery: Delivery) -> bytes:
    """The delivery as it is stored; raises `UsageError` for numbers that are out of range."""
    d = delivery
    try:
        fixed = _LAYOUT.pack(
            _FORMAT, *_halves(d.place), _NUMBERS[d.status], d.repeatable, d.attempt,
            *_halves(d.due), *_halves(d.held_until), d.gate_epoch, token_bytes(d.token),
            *_halves(d.created_at),
        )  # fmt: skip
        return fixed + named_and_code(d) + d.until.to_bytes(_UNTIL_BYTES, "big")
    except (struct.error, OverflowError):
        raise UsageError("a number of a delivery is out of its range") from None


def _halves(number: int) -> tuple[int, int]:
    """A number of five or six bytes, as `struct` can have it."""
    return number >> 32, number & 0xFFFF_FFFF


def decode_delivery(id: bytes, raw: bytes) -> Delivery:
    """The delivery that is stored as `raw`; raises `CorruptRecord` or `UnknownFormat`."""
    if raw[:1] > bytes([_FORMAT]):
        raise UnknownFormat("a stored delivery is of a newer release: upgrade ctxbridge")
    try:
        return _decode(id, raw)
    except (struct.error, IndexError, UnicodeDecodeError):
        raise CorruptRecord("a stored delivery is damaged") from None


def _decode(id: bytes, raw: bytes) -> Delivery:
    (
        _, place, place_low, status, flags, attempt, due, due_low, held, held_low, epoch, token,
        created, created_low,
    ) = _LAYOUT.unpack_from(raw)  # fmt: skip
    start = _LAYOUT.size + 2
    code = start + int.from_bytes(raw[_LAYOUT.size : start], "big")
    if len(raw) < code + _UNTIL_BYTES:
        raise IndexError
    return Delivery(
        id, place << 32 | place_low, STATUSES[status], attempt, due << 32 | due_low,
        held << 32 | held_low, epoch, bool(flags & 1), b"" if token == NO_TOKEN else token,
        _text(raw[start:code]), _text(raw[code:-_UNTIL_BYTES]), created << 32 | created_low,
        int.from_bytes(raw[-_UNTIL_BYTES:], "big"),
    )  # fmt: skip


class _Word(Struct, array_like=True, gc=False):
    """What was said of a provider's id that no delivery has yet."""

    status: DeliveryStatus
    now: int
    attempt: int
    code: bytes
    provider_id: bytes
    retry_seconds: float | None


_words = msgspec.msgpack.Decoder(_Word)
_DELIVERY, _KEPT = b"d", b"k"


def encode_name(id: bytes) -> bytes:
    """What a provider's id names, once it is known: this delivery."""
    return _DELIVERY + id


def encode_word(said: Settle) -> bytes:
    """What a provider's id names until then: what was said of it."""
    word = _Word(
        said.status, said.now, said.attempt, _bytes(said.code[:MAX_CODE_CHARACTERS]),
        _bytes(said.provider_id[:MAX_ID_CHARACTERS]), said.retry_seconds,
    )  # fmt: skip
    return _KEPT + msgspec.msgpack.encode(word)


def decode_word(tenant: str, named: bytes) -> Settle | None:
    """What was said of a provider's id; `None` where it names a delivery, or nothing."""
    if named[:1] != _KEPT:
        return None
    try:
        word = _words.decode(named[1:-_UNTIL_BYTES])
        id, code = _text(word.provider_id), _text(word.code)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise CorruptRecord("a kept word on a delivery is damaged") from None
    return Settle(
        tenant, word.status, word.now, provider_id=id, attempt=word.attempt, code=code,
        retry_seconds=word.retry_seconds,
    )  # fmt: skip


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
