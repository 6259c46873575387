"""Format 1, in use since 0.1. Entries, contacts, deliveries: a byte 1 and a MessagePack array.

Structs are arrays, so they may grow by fields at the end. The head has a fixed layout, big-endian,
that a script inside a server can read: see `_HEAD`.
"""

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from ctxbridge.errors import CorruptRecord
from ctxbridge.model import (
    Address,
    Contact,
    Delivery,
    Entry,
    Floor,
    Head,
    LinkClaim,
    Record,
    Status,
)

_MARK = b"\x01"

# msgspec raises these three for bytes that are not what they should be.
_DAMAGE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_encoder = msgspec.msgpack.Encoder()
_decode_entry: Callable[[bytes], Entry] = msgspec.msgpack.Decoder(Entry).decode
_contact = msgspec.msgpack.Decoder(Contact)
_delivery = msgspec.msgpack.Decoder(Delivery)

# format, floor, status, assurance, flags · seq, revision, fence, lease end, gate epoch, consent ·
# conversation, turn, release, members, trace · length of the backlog, the backlog
_HEAD = struct.Struct(">BBBBB QQQQQQ 16s 16s 8s 16s 25s H")


_FLOORS, _STATUSES = tuple(Floor), tuple(Status)


def encode_entry(entry: Entry, /) -> bytes:
    """A message or an event, without its place."""
    return _MARK + _encoder.encode(entry)


def decode_entry(data: bytes) -> Entry:
    """The entry behind the format byte."""
    try:
        return _decode_entry(data[1:])
    except _DAMAGE:
        raise CorruptRecord("a stored entry is damaged") from None


def decode_entries(records: Sequence[bytes | Entry]) -> list[Entry]:
    """The entries of a window at once, as far as they are not decoded yet; all of format 1."""
    decode = _decode_entry
    try:
        return [decode(r[1:]) if type(r) is bytes else r for r in records]  # type: ignore[misc]
    except _DAMAGE:
        raise CorruptRecord("a stored entry is damaged") from None


def encode_contact(contact: Contact, /) -> bytes:
    """A contact with links and consents."""
    return _MARK + _encoder.encode(contact)


def packed_address(address: Address, /) -> bytes:
    """The address as it stands within a stored contact, where a script looks for it."""
    return _encoder.encode(address)


def decode_contact(data: bytes) -> Contact:
    """The contact behind the format byte."""
    try:
        return _contact.decode(data[1:])
    except _DAMAGE:
        raise CorruptRecord("a stored contact is damaged") from None


def encode_delivery(delivery: Delivery, /) -> bytes:
    """A message on its way out, and what became of it; the message itself is an entry."""
    return _MARK + _encoder.encode(delivery)


def decode_delivery(data: bytes) -> Delivery:
    """The delivery behind the format byte."""
    try:
        return _delivery.decode(data[1:])
    except _DAMAGE:
        raise CorruptRecord("a stored delivery is damaged") from None


def encode_head(head: Head, /) -> bytes:
    """The head in its fixed layout."""
    return (
        _HEAD.pack(
            1, head.floor, head.status, head.assurance, head.flags,
            head.seq, head.revision, head.fence, head.lease_end, head.gate_epoch, head.consent,
            head.conversation, head.turn, head.release, head.members, head.trace, len(head.waiting),
        )
        + head.waiting
    )  # fmt: skip


def decode_head(data: bytes) -> Head:
    """The head from its fixed layout."""
    try:
        (
            _, floor, status, assurance, flags,
            seq, revision, fence, lease_end, gate_epoch, consent,
            conversation, turn, release, members, trace, backlog,
        ) = _HEAD.unpack_from(data)  # fmt: skip
        if len(data) != _HEAD.size + backlog:
            raise CorruptRecord("a stored head is cut off or too long")
        return Head(
            conversation, seq, revision, fence, lease_end, gate_epoch, consent, turn, trace,
            _FLOORS[floor], _STATUSES[status], assurance, flags, release, members,
            data[_HEAD.size :],
        )  # fmt: skip
    except (struct.error, IndexError):
        raise CorruptRecord("a stored head is damaged") from None


class StateBytes(NamedTuple):
    """A team's state as stored: the version of its schema, how it is written, and the bytes.

    `guards` are the names of guards and the envelopes of what they keep; they need format 2.
    """

    schema: int
    codec: int
    payload: bytes
    guards: tuple[tuple[str, bytes], ...] = ()


MSGPACK, JSON = 1, 2
_STATE = struct.Struct(">BHB")


def encode_state(state: StateBytes, /) -> bytes:
    """A state envelope: format, schema version, codec (1 MessagePack, 2 JSON), payload."""
    return _STATE.pack(1, state.schema, state.codec) + state.payload


def decode_state(data: bytes) -> StateBytes:
    """The state envelope."""
    try:
        _, schema, codec = _STATE.unpack_from(data)
    except struct.error:
        raise CorruptRecord("a stored state is damaged") from None
    return StateBytes(schema, codec, data[_STATE.size :])


class Forward(NamedTuple):
    """What stands where an address has no conversation of its own: the hash of the list it is in.

    `journal` is the link that is being made, or (`merges`) the merge; empty once it is made.
    """

    target: bytes
    journal: bytes = b""
    merges: bool = False


_FORWARD = struct.Struct(">BB16s")
_LINKED, _LINKING, _MERGING = b"FPM"


def encode_forward(forward: Forward, /) -> bytes:
    """Format, F (made), P (a link is being made) or M (a merge), hash of the list, journal."""
    kind = _LINKED
    if forward.journal:
        kind = _MERGING if forward.merges else _LINKING
    return _FORWARD.pack(1, kind, forward.target) + forward.journal


def decode_forward(data: bytes) -> Forward:
    """The forward."""
    try:
        _, kind, target = _FORWARD.unpack_from(data)
    except struct.error:
        raise CorruptRecord("a stored forward is damaged") from None
    forward = Forward(target, data[_FORWARD.size :], kind == _MERGING)
    known = kind in {_LINKED, _LINKING, _MERGING}
    if not known or (kind == _LINKED) != (not forward.journal):
        raise CorruptRecord("a stored forward is damaged")
    return forward


_link_claim = msgspec.msgpack.Decoder(LinkClaim)


def encode_link_claim(claim: LinkClaim, /) -> bytes:
    """The journal of a forward: the link that is being made."""
    return _encoder.encode(claim)


def decode_link_claim(data: bytes, /) -> LinkClaim:
    """The journal of a forward."""
    try:
        return _link_claim.decode(data)
    except _DAMAGE:
        raise CorruptRecord("the journal of a stored forward is damaged") from None


_RECORD = struct.Struct(">BQQ")


def encode_record(record: Record, /) -> bytes:
    """A record: format, revision, expiry in Unix milliseconds, value."""
    return _RECORD.pack(1, record.revision, record.expires_at) + record.value


def decode_record(data: bytes) -> Record:
    """The record."""
    try:
        _, revision, expires_at = _RECORD.unpack_from(data)
    except struct.error:
        raise CorruptRecord("a stored record is damaged") from None
    return Record(data[_RECORD.size :], revision, expires_at)
