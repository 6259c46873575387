"""Format 1 of what is noted when conversations are joined and parted: a byte 1 and MessagePack."""

import msgspec
from msgspec import Struct

from ctxbridge.errors import CorruptRecord
from ctxbridge.model import Merge

_MARK = b"\x01"
_DAMAGE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_encoder = msgspec.msgpack.Encoder()

Pairs = tuple[tuple[bytes, bytes], ...]


class Merged(Struct, frozen=True, array_like=True, gc=False):
    """How two contacts were before a merge, each part as it is stored; it undoes the merge.

    `head`, `contact` and `state` are of the one that was merged, `into_contact` and `into_state` of
    the other, and `made` is the state that they got. `inner` are ids and notes of what had been
    merged into the one before.
    """

    head: bytes
    contact: bytes
    state: bytes | None
    into_contact: bytes
    into_state: bytes | None
    made: bytes | None
    inner: Pairs = ()


class Moving(Struct, frozen=True, array_like=True, gc=False):
    """What was parted from a conversation and must still be put into its own place.

    `target` is that place and `before` what stands there until then (empty: nothing). `elements`
    are the log with head, contact and state behind it; `ids` and `outbox` what is remembered beside
    it, until `until`, and `notes` what undoes merges. `due` and `dead` are what is listed, with its
    times. `now` is when it was parted. `pointer` is where somebody new is to be found.
    """

    target: bytes
    before: bytes
    elements: tuple[bytes, ...]
    ids: Pairs
    outbox: Pairs
    notes: Pairs
    due: tuple[tuple[int, bytes], ...]
    dead: tuple[tuple[int, bytes], ...]
    now: int
    until: int
    pointer: bytes = b""


_merged = msgspec.msgpack.Decoder(Merged)
_moving = msgspec.msgpack.Decoder(Moving)
_merge = msgspec.msgpack.Decoder(Merge)


def encode_merged(merged: Merged, /) -> bytes:
    """The note of a merge."""
    return _MARK + _encoder.encode(merged)


def decode_merged(data: bytes, /) -> Merged:
    """The note behind the format byte."""
    try:
        return _merged.decode(data[1:])
    except _DAMAGE:
        raise CorruptRecord("the note of a merge is damaged") from None


def encode_moving(moving: Moving, /) -> bytes:
    """The journal of a split that is under way."""
    return _MARK + _encoder.encode(moving)


def decode_moving(data: bytes, /) -> Moving:
    """The journal behind the format byte."""
    try:
        return _moving.decode(data[1:])
    except _DAMAGE:
        raise CorruptRecord("the journal of a split is damaged") from None


def encode_merge(merge: Merge, /) -> bytes:
    """The journal of a merge that is under way."""
    return _encoder.encode(merge)


def decode_merge(data: bytes, /) -> Merge:
    """The journal of a merge."""
    try:
        return _merge.decode(data)
    except _DAMAGE:
        raise CorruptRecord("the journal of a merge is damaged") from None
