"""What an older release does not know of a state is laid aside when it writes, never dropped.

It stands in the place of a guard's state, under a name that no guard may have: so every release of
ctxbridge, also one of before, reads the envelope and keeps what is in it.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from ctxbridge.errors import CorruptRecord, UnknownFormat
from ctxbridge.wire import decode_state
from ctxbridge.wire.format1 import MSGPACK, StateBytes, encode_state
from ctxbridge.wire.steps import Data

NAME = "ctxbridge.aside"
"""The name among the guards' states; their names never begin so."""

Pairs = tuple[tuple[str, bytes], ...]

_layers = msgspec.msgpack.Decoder(tuple[tuple[bytes, bytes], ...])


class Layer(NamedTuple):
    """A state as a newer release left it, and what an older one made of it before any change."""

    newer: StateBytes
    below: StateBytes


def layers_of(stored: StateBytes) -> tuple[Layer, ...]:
    """What is laid aside in the envelope and counts, the oldest schema first.

    What is of no newer schema than the state itself does not: a newer release has written since.
    Raises `CorruptRecord` or `UnknownFormat`.
    """
    held = dict(stored.guards).get(NAME)
    layers = _unpacked(held) if held is not None else ()
    return tuple(layer for layer in layers if layer.newer.schema > stored.schema)


def _unpacked(held: bytes) -> tuple[Layer, ...]:
    envelope = decode_state(held)
    if envelope.schema != 1:
        raise UnknownFormat("what is laid aside of a state is of a newer release: upgrade")
    try:
        pairs = _layers.decode(envelope.payload)
    except (msgspec.DecodeError, RecursionError):
        raise CorruptRecord("what is laid aside of a state is damaged") from None
    return tuple(Layer(decode_state(newer), decode_state(below)) for newer, below in pairs)


def laid_aside(guards: Pairs, layers: Iterable[Layer]) -> Pairs:
    """The guards' states with `layers` in place of what was laid aside among them before."""
    rest = [pair for pair in guards if pair[0] != NAME]
    packed = [tuple(map(encode_state, layer)) for layer in layers]
    if packed:
        payload = msgspec.msgpack.encode(packed)
        rest.append((NAME, encode_state(StateBytes(1, MSGPACK, payload))))
    return tuple(sorted(rest))


def joined(now: Data, before: Data, newer: Data) -> Data:
    """`newer`, with all that changed from `before` to `now`: a merge of three, field by field.

    Objects within are merged likewise; everything else, lists among it, is one value.
    """
    made = dict(newer)
    for name in changed(now, before):
        sides = [side.get(name) for side in (now, before, newer)]
        if all(type(side) is dict for side in sides):
            made[name] = joined(*sides)  # type: ignore[arg-type]
        elif name in now:
            made[name] = now[name]
        else:
            made.pop(name, None)
    return made


def changed(now: Data, before: Data) -> set[str]:
    """The names of fields that came, went or have another value."""
    return {
        name
        for name in now.keys() | before.keys()
        if (name in now) != (name in before) or not same(now.get(name), before.get(name))
    }


def same(one: object, other: object) -> bool:
    """Whether both are stored alike: `1`, `1.0` and `True` are not, two NaN are."""
    try:
        return _in_order.encode(one) == _in_order.encode(other)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return one == other


_in_order = msgspec.msgpack.Encoder(order="deterministic")
