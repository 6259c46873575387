"""What comes from outside is checked before it is stored: only what can be read back is written."""

from math import isfinite
from typing import Any, TypeVar

import msgspec

from ctxbridge.errors import Malformed
from ctxbridge.model import Inbound, Part

T = TypeVar("T")

MAX_MESSAGE_BYTES = 1024 * 1024
LONGEST_HORIZON_SECONDS = 366 * 86_400.0

_encoder = msgspec.msgpack.Encoder()
_parts = msgspec.msgpack.Decoder(tuple[Part, ...])
_decoders: dict[type[Any], "msgspec.msgpack.Decoder[Any]"] = {}


def checked(value: T) -> T:
    """`value` as it would be read back; raises `Malformed` if a field has a wrong type or text."""
    kind = type(value)
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    try:
        return decoder.decode(_encoder.encode(value))  # type: ignore[no-any-return]
    except UnicodeEncodeError:
        raise Malformed(f"a text of the {kind.__name__} holds a lone surrogate") from None
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        raise Malformed(f"a field of the {kind.__name__} has a wrong type or value") from None


def checked_parts(parts: tuple[Part, ...]) -> tuple[tuple[Part, ...], int]:
    """The parts as they would be read back, and their size in bytes.

    Raises `Malformed` for what is no part, or a part with a field of a wrong type or text.
    """
    try:
        data = _encoder.encode(parts)
        return _parts.decode(data), len(data)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        raise Malformed("what is kept is no part, or has a field of a wrong type") from None


def checked_inbound(inbound: Inbound) -> tuple[Inbound, bytes]:
    """The inbound as it would be read back, and the bytes that tell its content from another's.

    Raises `Malformed` as well for an empty id or address, and for more than a megabyte.
    """
    inbound = checked(inbound)
    if not (inbound.message_id and inbound.sender.value and inbound.channel):
        raise Malformed("a message needs a channel, a sender and an id: one of them is empty")
    if not (isfinite(inbound.horizon_seconds) and inbound.horizon_seconds >= 0):
        raise Malformed("the horizon of a message is no number of seconds")
    if inbound.horizon_seconds > LONGEST_HORIZON_SECONDS:
        raise Malformed("the horizon of a message is over a year")
    content = _encoder.encode((inbound.sender, inbound.subject, inbound.parts))
    if len(content) > MAX_MESSAGE_BYTES:
        raise Malformed(f"the message has {len(content)} bytes, the limit is {MAX_MESSAGE_BYTES}")
    return inbound, content
