"""Format 2, of states alone: a team's state, and behind it what guards keep of the conversation.

Written only where a guard keeps something; a state without that stays in format 1.
"""

import struct

import msgspec

from ctxbridge.errors import CorruptRecord
from ctxbridge.wire.format1 import StateBytes

NOTHING = 0
"""The codec of a state that no team has written yet: its payload is empty."""

_FIXED = struct.Struct(">BHBI")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...])


def encode_state(state: StateBytes, /) -> bytes:
    """Format, schema version, codec, length of the payload, payload; then the guards' states.

    Those are pairs of name and envelope, in MessagePack.
    """
    fixed = _FIXED.pack(2, state.schema, state.codec, len(state.payload))
    return fixed + state.payload + _encoder.encode(state.guards)


def decode_state(data: bytes) -> StateBytes:
    """The state envelope."""
    try:
        _, schema, codec, size = _FIXED.unpack_from(data)
        end = _FIXED.size + size
        guards = _decoder.decode(data[end:])
    except (struct.error, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise CorruptRecord("a stored state is damaged") from None
    return StateBytes(schema, codec, data[_FIXED.size : end], guards)
