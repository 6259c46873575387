"""A team's typed state: how an instance becomes the stored envelope, and comes back.

pydantic models are written as JSON by pydantic itself; msgspec structs, dataclasses and everything
else that msgspec knows as MessagePack. pydantic is never imported here: who declares a model has
it.
"""

from typing import Any, Generic, TypeVar

import msgspec

from ctxbridge.errors import ConfigurationError, TooLarge
from ctxbridge.wire import StateBytes, decode_state, encode_state
from ctxbridge.wire.format1 import JSON, MSGPACK

T = TypeVar("T")

MAX_STATE_BYTES = 64 * 1024


class StateCodec(Generic[T]):
    """Reads and writes the state of one type, which must be constructible without arguments.

    The type may name its schema's version as the class attribute `schema_version` (default 1).
    """

    def __init__(self, model: type[T]) -> None:
        self.model = model
        self.schema: int = getattr(model, "schema_version", 1)
        self._pydantic = hasattr(model, "model_validate_json") and hasattr(model, "model_dump_json")
        self._codec = JSON if self._pydantic else MSGPACK
        try:
            self.encode(self.fresh())
            self._decoder: Any = None if self._pydantic else msgspec.msgpack.Decoder(model)
        except TypeError as error:
            raise ConfigurationError(
                f"state={model.__name__} must be a pydantic or msgspec model whose fields all have "
                f"defaults ({error})"
            ) from None

    def fresh(self) -> T:
        """A state that nothing has been written to."""
        return self.model()

    def encode(self, state: T) -> bytes:
        """The envelope of `state`; raises `TooLarge` beyond 64 KiB."""
        if self._pydantic:
            payload = state.model_dump_json().encode()  # type: ignore[attr-defined]
        else:
            payload = msgspec.msgpack.encode(state)
        if len(payload) > MAX_STATE_BYTES:
            raise TooLarge("the state", len(payload), MAX_STATE_BYTES)
        return encode_state(StateBytes(self.schema, self._codec, payload))

    def decode(self, envelope: bytes | None) -> T:
        """The state in `envelope`; a fresh one for `None`.

        Raises `ConfigurationError` if it does not fit the type any more, `CorruptRecord` or
        `UnknownFormat` if the envelope cannot be read.
        """
        if envelope is None:
            return self.fresh()
        stored = decode_state(envelope)
        try:
            if stored.codec != self._codec:
                raise ValueError("it was written by another kind of model")
            if self._pydantic:
                return self.model.model_validate_json(stored.payload)  # type: ignore[attr-defined, no-any-return]
            return self._decoder.decode(stored.payload)  # type: ignore[no-any-return]
        except (ValueError, RecursionError):
            # pydantic's and msgspec's own errors are ValueErrors, and repeat what was stored.
            raise ConfigurationError(
                f"the stored state (schema {stored.schema}) does not fit {self.model.__name__} "
                f"(schema {self.schema}): give new fields a default and keep old ones"
            ) from None
