"""Old and new releases run side by side: what a newer one appends does not disturb an older one."""

import json
from pathlib import Path

import msgspec
import pytest

from ctxbridge import errors, wire

GOLDEN = json.loads((Path(__file__).parent / "golden/format1.json").read_text())
ARRAYS = {
    "message": (wire.encode_entry, wire.decode_entry),
    "event": (wire.encode_entry, wire.decode_entry),
    "contact": (wire.encode_contact, wire.decode_contact),
    "delivery": (wire.encode_delivery, wire.decode_delivery),
}


@pytest.fixture(params=ARRAYS)
def record(request):
    """A value as this release writes it, the fields of its array, and what reads it."""
    encode, decode = ARRAYS[request.param]
    value = decode(bytes.fromhex(GOLDEN[request.param]))
    return value, msgspec.msgpack.decode(encode(value)[1:]), decode


def written(fields, format=1):
    return bytes([format]) + msgspec.msgpack.encode(fields)


def test_fields_at_the_end_are_passed_over(record):
    value, fields, decode = record
    assert decode(written([*fields, "of a later release", 7])) == decode(written(fields)) == value


def test_whatever_else_is_changed_is_told_and_never_read(record):
    """The control: growth is at the end, or it is another format."""
    _, fields, decode = record
    with pytest.raises(errors.CorruptRecord):
        decode(written(["of a later release", *fields]))
    with pytest.raises(errors.UnknownFormat):
        decode(written(fields, format=2))
