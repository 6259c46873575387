"""The control of a tenant, format 1, in use since 0.1: its epoch, a byte 1, a MessagePack array.

The epoch stands first (8 bytes, big-endian), since every store compares it and reads no more.
"""

import msgspec

from ctxbridge.errors import CorruptRecord, UnknownFormat
from ctxbridge.model.control import Control

_EPOCH_BYTES = 8
_MARK = b"\x01"
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Control)


def encode_control(control: Control, /) -> bytes:
    """The control as its record holds it."""
    return control.epoch.to_bytes(_EPOCH_BYTES, "big") + _MARK + _encoder.encode(control)


def decode_control(data: bytes, /) -> Control:
    """The control; raises `CorruptRecord` or `UnknownFormat`. Nothing is the control of nobody."""
    if not data:
        return Control()
    if len(data) <= _EPOCH_BYTES:
        raise CorruptRecord("a stored control is cut off")
    if data[_EPOCH_BYTES : _EPOCH_BYTES + 1] != _MARK:
        raise UnknownFormat("a stored control is of a newer release: upgrade")
    try:
        return _decoder.decode(data[_EPOCH_BYTES + 1 :])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise CorruptRecord("a stored control is damaged") from None
