"""Typed states, a team's or a guard's: how an instance becomes an envelope, and comes back.

pydantic models are written as JSON by pydantic itself; msgspec structs, dataclasses and everything
else that msgspec knows as MessagePack. pydantic is never imported here: who declares a model has
it.
"""

from collections.abc import Iterable
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from ctxbridge.errors import ConfigurationError, StateUnreadable, TooLarge, UsageError
from ctxbridge.wire import StateBytes, decode_state, encode_state
from ctxbridge.wire.aside import Layer, changed, joined, layers_of, same
from ctxbridge.wire.format1 import JSON, MSGPACK
from ctxbridge.wire.format2 import NOTHING
from ctxbridge.wire.steps import Data, Ladder, name_of, plain, written

T = TypeVar("T")

MAX_STATE_BYTES = 64 * 1024


class Found(NamedTuple, Generic[T]):
    """A state that was read, and what newer schemas know beside it: stored with it when it is."""

    value: T
    aside: tuple[Layer, ...] = ()


class StateCodec(Generic[T]):
    """Reads and writes the state of one type, which must be constructible without arguments.

    The type may name its schema's version as the class attribute `schema_version` (default 1), and
    have the class methods `upgrade` and `downgrade`, see `ctxbridge.wire.steps`. `newer` are the
    models of other releases, whose states come down to this one by their own `downgrade`; those
    that are not of a newer schema are passed over.

    Raises `ConfigurationError` for a type that cannot be stored without loss.
    """

    def __init__(self, model: type[T], newer: Iterable[type[Any]] = ()) -> None:
        self.model = model
        self._name = name_of(model)
        self._ladder = Ladder(model, newer)
        self.schema = self._ladder.schema
        self._pydantic = hasattr(model, "model_validate_json") and hasattr(model, "model_dump_json")
        self._codec = JSON if self._pydantic else MSGPACK
        self._decoder: Any = None if self._pydantic else msgspec.msgpack.Decoder(model)
        if self._pydantic and "Secret" in str(getattr(model, "model_fields", "")):
            raise ConfigurationError(
                f"{self._name} hides a secret: pydantic writes it as asterisks"
            )
        try:
            self.decode(self.encode(self.fresh()))
        except (TypeError, ValueError, UsageError, StateUnreadable) as error:
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
        return encode_state(self._stored(state))

    def _stored(self, state: T) -> StateBytes:
        try:
            payload = self._payload(state)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise UsageError(
                f"the state holds a value that cannot be stored ({type(error).__name__})"
            ) from None
        if len(payload) > MAX_STATE_BYTES:
            raise TooLarge("the state", len(payload), MAX_STATE_BYTES)
        return StateBytes(self.schema, self._codec, payload)

    def _payload(self, state: Any) -> bytes:
        if not self._pydantic:
            return msgspec.msgpack.encode(state)
        text: str = state.model_dump_json(round_trip=True, by_alias=False)
        return text.encode()

    def decode(self, envelope: bytes | None) -> T:
        """The state in `envelope`; a fresh one for `None`. Raises as `read` does."""
        return self.read(envelope).value

    def read(self, envelope: bytes | None) -> Found[T]:
        """The state in `envelope`, brought up or down to this type; a fresh one for `None`.

        Raises `StateUnreadable` if no way leads here or what comes of it does not fit the type,
        `CorruptRecord` or `UnknownFormat` if the envelope cannot be read. Nothing is written.
        """
        if envelope is None:
            return Found(self.fresh())
        stored = decode_state(envelope)
        if stored.codec == NOTHING:
            return Found(self.fresh())
        if stored.schema > self.schema:
            return self._come_down(stored)
        layers = layers_of(stored) if stored.guards else ()
        due = [layer for layer in layers if layer.newer.schema <= self.schema]
        if not due and (stored.schema == self.schema or self._ladder.up is None):
            return Found(self._as_it_is(stored), layers)
        return Found(self._come_up(stored, due), layers[len(due) :])

    def _as_it_is(self, stored: StateBytes) -> T:
        found = self._fitting(stored.payload) if stored.codec == self._codec else None
        return self._required(found, stored.schema)

    def _required(self, found: T | None, schema: int) -> T:
        if found is None:
            raise self._ladder.refusal(schema, "misfit")
        return found

    def _fitting(self, payload: bytes | None) -> T | None:
        """What the payload is as this type; `None` if it does not fit."""
        if payload is None:
            return None
        try:
            if self._pydantic:
                model: Any = self.model
                return model.model_validate_json(payload, by_alias=False, by_name=True)  # type: ignore[no-any-return]
            return self._decoder.decode(payload)  # type: ignore[no-any-return]
        except Exception:  # noqa: BLE001 - validators are the team's, and repeat what was stored
            return None

    def _come_down(self, stored: StateBytes) -> Found[T]:
        data = self._ladder.lowered(self._plain(stored), stored.schema, self.schema)
        value = self._required(self._fitting_data(data), stored.schema)
        layer = Layer(stored._replace(guards=()), self._stored(value))
        return Found(value, (layer, *layers_of(stored)))

    def _come_up(self, stored: StateBytes, due: list[Layer]) -> T:
        if due:
            found = self._fitting_data(self._raised(self._restored(stored, due)))
            if found is not None:
                return found
        data = self._ladder.raised(self._plain(stored), stored.schema, self.schema)
        return self._required(self._fitting_data(data), stored.schema)

    def _fitting_data(self, data: Data) -> T | None:
        found = self._fitting(written(data, self._codec))
        try:
            if found is not None:
                self._stored(found)
        except UsageError:
            # What comes of a step could be too large to be stored again.
            return None
        return found

    def _plain(self, stored: StateBytes) -> Data:
        data = plain(stored)
        if data is None:
            raise self._ladder.refusal(stored.schema, "misfit")
        return data

    def _raised(self, at: tuple[Data, int]) -> Data:
        return self._ladder.raised(*at, self.schema)

    def _restored(self, stored: StateBytes, due: list[Layer]) -> tuple[Data, int]:
        """What older releases made of it, joined with what each newer one had left before."""
        now, schema = self._plain(stored), stored.schema
        for newer, below in due:
            then = self._plain(below)
            raised = self._ladder.raised(now, schema, newer.schema)
            before = self._ladder.raised(then, below.schema, newer.schema)
            whole = joined(raised, before, self._plain(newer))
            agrees = self._agree(raised, whole, newer.schema, schema, changed(now, then))
            now, schema = whole if agrees else raised, newer.schema
        return now, schema

    def _agree(
        self, raised: Data, whole: Data, version: int, older: int, touched: set[str]
    ) -> bool:
        """Whether the older release would find in `whole` what it wrote: its word counts.

        A field that it did not touch may be in one of them alone: the newer schema has no such.
        """
        try:
            one, other = [self._ladder.lowered(data, version, older) for data in (raised, whole)]
        except StateUnreadable:
            return False
        names = touched | (one.keys() & other.keys())
        return all(same(one.get(name), other.get(name)) for name in names)
