"""Steps from schema to schema: `upgrade` and `downgrade` of the team's models, which may fail.

Both are class methods and take `(data, version)`: what a state holds as plain values, and the
schema that it is of. `upgrade` gives it as of `version + 1`, `downgrade` as of `version - 1`.
Longer ways are made of these. A model knows the way to each older schema of which something may
still be stored.
"""

import json
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import msgspec

from ctxbridge.errors import ConfigurationError, StateUnreadable, Why
from ctxbridge.wire.format1 import JSON, StateBytes

Data = dict[str, Any]
"""A state as plain values: what JSON or MessagePack can say, by the names of its fields."""

Step = Callable[[Data, int], Any]


def name_of(model: Any) -> str:
    """What to call the model in an error."""
    return str(getattr(model, "__name__", model))


def schema_of(model: Any) -> int:
    """The number of its schema; raises `ConfigurationError` for what is none."""
    schema: Any = getattr(model, "schema_version", 1)
    if type(schema) is not int or not 0 < schema < 1 << 16:
        raise ConfigurationError(
            f"{name_of(model)}.schema_version must be a class attribute from 1 to 65535"
        )
    return schema


def plain(stored: StateBytes) -> Data | None:
    """What the payload says; `None` if it is no object with named fields."""
    read = json.loads if stored.codec == JSON else msgspec.msgpack.decode
    try:
        data = read(stored.payload)
    except (ValueError, RecursionError):
        return None
    return data if type(data) is dict else None


def written(data: Data, codec: int) -> bytes | None:
    """The payload that says `data`; `None` if it holds what cannot be written."""
    try:
        if codec == JSON:
            return json.dumps(data, default=msgspec.to_builtins).encode()
        return msgspec.msgpack.encode(data)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


class Ladder:
    """The way from any schema to that of `model`, as far as the models that are known lead.

    `newer` are models of other releases. Those of no newer schema are passed over.
    """

    def __init__(self, model: Any, newer: Iterable[Any] = ()) -> None:
        self.name, self.schema = name_of(model), schema_of(model)
        self.up: Step | None = _step(model, "upgrade")
        self._downs = {self.schema: _step(model, "downgrade")}
        for other in newer:
            if schema_of(other) > self.schema:
                self._downs[schema_of(other)] = _step(other, "downgrade")

    def refusal(self, stored: int, why: Why) -> StateUnreadable:
        """The error for a state of schema `stored`."""
        return StateUnreadable(self.name, stored, self.schema, why)

    def raised(self, data: Data, version: int, to: int) -> Data:
        """`data` of schema `version` as of the newer schema `to`; raises `StateUnreadable`.

        Without an `upgrade` it stays as it is: new fields have their defaults.
        """
        for at in range(version, to if self.up is not None else version):
            data = self._go(self.up, data, at)
        return data

    def lowered(self, data: Data, version: int, to: int) -> Data:
        """`data` of schema `version` as of the older schema `to`; raises `StateUnreadable`."""
        for at in range(version, to, -1):
            data = self._go(self._down_from(at), data, at)
        return data

    def _down_from(self, version: int) -> Step | None:
        """That of the schema itself, or else of the next newer model, which knows older ones."""
        known = [schema for schema, step in self._downs.items() if schema >= version and step]
        return self._downs[min(known)] if known else None

    def _go(self, step: Step | None, data: Data, version: int) -> Data:
        if step is None:
            raise self.refusal(version, "no_downgrade")
        why, given = _asked(step, data, version)
        # Raised out here, so that the step's own error is not in its context either.
        if why is not None:
            raise self.refusal(version, why)
        return given


def _step(model: Any, name: str) -> Step | None:
    step: Step | None = getattr(model, name, None)
    if step is not None and not callable(step):
        raise ConfigurationError(f"{name_of(model)}.{name} must be a class method")
    return step


def _asked(step: Step, data: Data, version: int) -> tuple[Why | None, Data]:
    try:
        # Copies: a step that works in place, or keeps what it gave, changes nothing used again.
        given = deepcopy(step(deepcopy(data), version))
    except Exception:  # noqa: BLE001 - it is the team's code; what it says may hold what was stored
        return "raised", {}
    return (None, given) if type(given) is dict else ("no_dict", {})
