"""Typed states, a team's or a guard's: how an instance becomes an envelope, and comes back.

pydantic models are written as JSON by pydantic itself; msgspec structs, dataclasses and everything
else that msgspec knows as MessagePack. pydantic is never imported here: who declares a model has
it.
"""

from typing import Any, Generic, TypeVar

import msgspec

from ctxbridge.errors import ConfigurationError, TooLarge, UnknownFormat, UsageError
from ctxbridge.wire import StateBytes, decode_state, encode_state
from ctxbridge.wire.format1 import JSON, MSGPACK
from ctxbridge.wire.format2 import NOTHING

T = TypeVar("T")

MAX_STATE_BYTES = 64 * 1024


class StateCodec(Generic[T]):
    """Reads and writes the state of one type, which must be constructible without arguments.

    The type may name its schema's version as the class attribute `schema_version` (default 1).
    """

    def __init__(self, model: type[T]) -> None:
        self.model = model
        self._name = getattr(model, "__name__", str(model))
        self.schema: Any = getattr(model, "schema_version", 1)
        self._pydantic = hasattr(model, "model_validate_json") and hasattr(model, "model_dump_json")
        self._codec = JSON if self._pydantic else MSGPACK
        self._decoder: Any = None if self._pydantic else msgspec.msgpack.Decoder(model)
        if type(self.schema) is not int or not 0 < self.schema < 1 << 16:
            raise ConfigurationError(
                f"{self._name}.schema_version must be a class attribute from 1 to 65535"
            )
        if self._pydantic and "Secret" in str(getattr(model, "model_fields", "")):
            raise ConfigurationError(
                f"{self._name} hides a secret: pydantic writes it as asterisks"
            )
        try:
            self.decode(self.encode(self.fresh()))
        except (TypeError, ValueError, UsageError) as error:
            raise ConfigurationError(
                f"state={self._name} must be a pydantic or msgspec model whose fields all have "
                f"defaults, and must be read as it is written ({type(error).__name__})"
            ) from None

    def fresh(self) -> T:
        """A state that nothing has been written to."""
        return self.model()

    def encode(self, state: T) -> bytes:
        """The envelope of `state`.

        Raises `TooLarge` beyond 64 KiB, and `UsageError` if a value in it cannot be written.
        """
        try:
            payload = self._payload(state)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise UsageError(
                f"the state holds a value that cannot be stored ({type(error).__name__})"
            ) from None
        if len(payload) > MAX_STATE_BYTES:
            raise TooLarge("the state", len(payload), MAX_STATE_BYTES)
        return encode_state(StateBytes(self.schema, self._codec, payload))

    def _payload(self, state: Any) -> bytes:
        if not self._pydantic:
            return msgspec.msgpack.encode(state)
        written: str = state.model_dump_json(round_trip=True, by_alias=False)
        return written.encode()

    def decode(self, envelope: bytes | None) -> T:
        """The state in `envelope`; a fresh one for `None`.

        Raises `ConfigurationError` if it does not fit the type any more, `CorruptRecord` or
        `UnknownFormat` if the envelope cannot be read.
        """
        if envelope is None:
            return self.fresh()
        stored = decode_state(envelope)
        if stored.codec == NOTHING:
            return self.fresh()
        if stored.schema > self.schema:
            raise UnknownFormat(
                f"the stored state has schema {stored.schema}, {self._name} is "
                f"{self.schema}: this release would drop what it does not know of"
            )
        try:
            if stored.codec != self._codec:
                raise ValueError("it was written by another kind of model")
            if self._pydantic:
                model: Any = self.model
                return model.model_validate_json(stored.payload, by_alias=False, by_name=True)  # type: ignore[no-any-return]
            return self._decoder.decode(stored.payload)  # type: ignore[no-any-return]
        except (ValueError, RecursionError):
            # pydantic's and msgspec's own errors are ValueErrors, and repeat what was stored.
            raise ConfigurationError(
                f"the stored state (schema {stored.schema}) does not fit {self._name} "
                f"(schema {self.schema}): give new fields a default and keep old ones"
            ) from None
