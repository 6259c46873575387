"""What a graph's values become in the store, and back. Nothing here is ever unpickled."""

from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from ctxbridge.errors import ConfigurationError, CorruptRecord, TooLarge, UsageError
from ctxbridge.integrations.langgraph.records import MOST_BYTES
from ctxbridge.integrations.langgraph.trail import Typed

_REFUSED = "pickle"


def serializer(given: SerializerProtocol | None) -> SerializerProtocol:
    """The serializer to use; raises `ConfigurationError` for one that may unpickle."""
    if given is None:
        return JsonPlusSerializer(pickle_fallback=False)
    inner = getattr(given, "serde", given)  # an encrypting one has another inside
    if getattr(inner, "pickle_fallback", False):
        raise ConfigurationError("a serializer with pickle_fallback runs code that was stored")
    return given


def typed(serde: SerializerProtocol, value: Any, what: str) -> Typed:
    """The value as it is stored; raises `UsageError` for one that cannot be, and `TooLarge`."""
    try:
        form, data = serde.dumps_typed(value)
    except Exception as error:  # noqa: BLE001 - whatever a serializer raises of a value
        kind = type(value).__name__
        raise UsageError(
            f"{what} holds a {kind} that cannot be stored ({type(error).__name__})"
        ) from None
    if form.startswith(_REFUSED):
        raise UsageError(f"{what} would be pickled, which is never done")
    if len(data) > MOST_BYTES:
        raise TooLarge(what, len(data), MOST_BYTES)
    return form, bytes(data)


def loaded(serde: SerializerProtocol, stored: Typed, what: str) -> Any:
    """The value; raises `CorruptRecord` where it cannot be made again."""
    form, data = stored
    if form.startswith(_REFUSED):
        raise CorruptRecord(f"{what} was pickled by another program, and is not read")
    try:
        return serde.loads_typed((form, data))
    except Exception as error:  # noqa: BLE001 - whatever a serializer raises of bytes
        raise CorruptRecord(f"{what} cannot be read ({type(error).__name__})") from None
