"""Values to bytes and back. The first byte of every record is the number of its format.

A format's file is never edited after a release: a new one is added beside it, and reading upcasts.
"""

from collections.abc import Sequence

from ctxbridge.errors import CorruptRecord, UnknownFormat
from ctxbridge.model import Contact, Delivery, Entry, Head, Record
from ctxbridge.wire import format1, format2, moving1
from ctxbridge.wire.format1 import Forward, StateBytes
from ctxbridge.wire.moving1 import Merged, Moving

FORMAT = 1
STATE_FORMAT = 2

encode_entry = format1.encode_entry
encode_contact = format1.encode_contact
encode_delivery = format1.encode_delivery
packed_address = format1.packed_address
encode_head = format1.encode_head
encode_record = format1.encode_record
encode_forward = format1.encode_forward
encode_link_claim = format1.encode_link_claim
decode_link_claim = format1.decode_link_claim
encode_merge = moving1.encode_merge
decode_merge = moving1.decode_merge
encode_merged = moving1.encode_merged
encode_moving = moving1.encode_moving


def _refuse(data: bytes, what: str, newest: int = FORMAT) -> Exception:
    if not data:
        return CorruptRecord(f"a stored {what} is empty")
    if data[0] > newest:
        return UnknownFormat(
            f"a stored {what} has format {data[0]}, this release reads up to {newest}: upgrade"
        )
    return CorruptRecord(f"a stored {what} starts with a format number that was never given")


def decode_entry(data: bytes, /) -> Entry:
    """The entry in `data`; raises `CorruptRecord` or `UnknownFormat`."""
    if data[:1] == b"\x01":
        return format1.decode_entry(data)
    raise _refuse(data, "entry")


def decode_entries(records: Sequence[bytes | Entry], /) -> list[Entry]:
    """All of `records`, of which some may be decoded already; raises as `decode_entry` does."""
    for record in records:
        if type(record) is bytes and record[:1] != b"\x01":
            raise _refuse(record, "entry")
    return format1.decode_entries(records)


def decode_contact(data: bytes, /) -> Contact:
    """The contact in `data`; raises `CorruptRecord` or `UnknownFormat`."""
    if data[:1] == b"\x01":
        return format1.decode_contact(data)
    raise _refuse(data, "contact")


def decode_delivery(data: bytes, /) -> Delivery:
    """The delivery in `data`; raises `CorruptRecord` or `UnknownFormat`."""
    if data[:1] == b"\x01":
        return format1.decode_delivery(data)
    raise _refuse(data, "delivery")


def decode_head(data: bytes, /) -> Head:
    """The head in `data`; raises `CorruptRecord` or `UnknownFormat`."""
    if data[:1] == b"\x01":
        return format1.decode_head(data)
    raise _refuse(data, "head")


def decode_state(data: bytes, /) -> StateBytes:
    """The state envelope in `data`; raises `CorruptRecord` or `UnknownFormat`."""
    if data[:1] == b"\x01":
        return format1.decode_state(data)
    if data[:1] == b"\x02":
        return format2.decode_state(data)
    raise _refuse(data, "state", STATE_FORMAT)


def encode_state(state: StateBytes, /) -> bytes:
    """The state envelope: of format 2 where guards keep something, so that most stay readable."""
    return format2.encode_state(state) if state.guards else format1.encode_state(state)


def decode_record(data: bytes, /) -> Record:
    """The record in `data`; raises `CorruptRecord` or `UnknownFormat`."""
    if data[:1] == b"\x01":
        return format1.decode_record(data)
    raise _refuse(data, "record")


def decode_merged(data: bytes, /) -> Merged:
    """The note of a merge in `data`; raises `CorruptRecord` or `UnknownFormat`."""
    if data[:1] == b"\x01":
        return moving1.decode_merged(data)
    raise _refuse(data, "note of a merge")


def decode_moving(data: bytes, /) -> Moving:
    """The journal of a split in `data`; raises `CorruptRecord` or `UnknownFormat`."""
    if data[:1] == b"\x01":
        return moving1.decode_moving(data)
    raise _refuse(data, "journal of a split")


def decode_forward(data: bytes, /) -> Forward:
    """The forward in `data`; raises `CorruptRecord` or `UnknownFormat`."""
    if data[:1] == b"\x01":
        return format1.decode_forward(data)
    raise _refuse(data, "forward")


__all__ = [
    "FORMAT",
    "Forward",
    "Merged",
    "Moving",
    "StateBytes",
    "decode_contact",
    "decode_delivery",
    "decode_entries",
    "decode_entry",
    "decode_forward",
    "decode_head",
    "decode_link_claim",
    "decode_merge",
    "decode_merged",
    "decode_moving",
    "decode_record",
    "decode_state",
    "encode_contact",
    "encode_delivery",
    "encode_entry",
    "encode_forward",
    "encode_head",
    "encode_link_claim",
    "encode_merge",
    "encode_merged",
    "encode_moving",
    "encode_record",
    "encode_state",
    "packed_address",
]
