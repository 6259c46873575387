"""What the schemas of a state must prove: states come up and down without loss, whatever they hold.

::

    class TestTicket(SchemaContract):
        models = (TicketV1, TicketV2)  # the oldest first
        examples = Path(__file__).parent / "tickets.json"  # see `keep_examples`

Run it with pytest. The states are made up by Hypothesis from the types of the fields.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from ctxbridge.errors import ConfigurationError, StateUnreadable, UsageError
from ctxbridge.wire import decode_state, encode_state
from ctxbridge.wire.aside import laid_aside, same
from ctxbridge.wire.steps import plain
from ctxbridge.wire.typed import Found, StateCodec

_ALL_CALM = (HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large)

Codec = StateCodec[Any]


class SchemaContract:
    """Subclass it, with the `models` of a state that may still be stored or run, the oldest first.

    Each pair of them is tried, the older with the newer, whatever lies between. `states` gives a
    strategy of Hypothesis for a model whose states its types do not tell, `most` is how many states
    are tried of each, and `examples` the file that `keep_examples` wrote.
    """

    models: ClassVar[Sequence[type[Any]]] = ()
    states: ClassVar[Mapping[type[Any], "st.SearchStrategy[Any]"]] = {}
    examples: ClassVar[Path | str | None] = None
    most: ClassVar[int] = 100

    def test_the_models_are_given_oldest_first(self) -> None:
        """Each has a `schema_version` of its own, which grows."""
        numbers = [StateCodec(model).schema for model in self.models]
        assert numbers, "name the models of the state: models = (TicketV1, TicketV2)"
        assert numbers == sorted(set(numbers)), "each model has a schema_version above the last"

    def test_what_is_written_is_read(self) -> None:
        """Nothing of a state is lost by storing it."""
        for model in self.models:
            codec = StateCodec(model)
            self._try(partial(_is_read, codec), codec)

    def test_an_older_state_comes_up_and_down_again(self) -> None:
        """`upgrade`, then `downgrade`, gives what there was."""
        for older, newer in self._pairs():
            self._try(partial(_comes_up_and_down, older, newer), older)

    def test_a_newer_state_comes_down_and_up_again(self) -> None:
        """An older release finds the same again, and the newer one all that it had left."""
        for older, newer in self._pairs():
            self._try(partial(_comes_down_and_up, older, newer), newer)

    def test_what_an_older_release_changes_stays_changed(self) -> None:
        """Whatever it makes of the state is what is found when the newer release runs again."""
        for older, newer in self._pairs():
            self._try(partial(_stays_changed, older, newer), newer, older)

    def test_steps_leave_what_they_are_given(self) -> None:
        """They give a dict of their own, and the same each time."""
        for older, newer in self._pairs():
            up, down = (getattr(newer.model, name, None) for name in ("upgrade", "downgrade"))
            versions = range(older.schema, newer.schema)
            if up is not None:
                self._try(partial(_steps_are_clean, older, up, versions), older)
            if down is not None:
                back = [version + 1 for version in reversed(versions)]
                self._try(partial(_steps_are_clean, newer, down, back), newer)

    def test_kept_examples_are_still_read(self) -> None:
        """What was stored once is read by every model, and loses nothing by its own."""
        if self.examples is None:
            pytest.skip("no file of `examples` is named: see ctxbridge.testing.keep_examples")
        kept = [decode_state(envelope) for envelope in _kept(Path(self.examples))]
        for model in self.models:
            codec = StateCodec(model, self.models)
            own = [stored for stored in kept if stored.schema == codec.schema]
            assert own, f"no example of schema {codec.schema} is kept: keep one of {model.__name__}"
            for stored in kept:
                codec.decode(encode_state(stored))
            for stored in own:
                before, after = (
                    plain(stored) or {},
                    _said(codec, codec.decode(encode_state(stored))),
                )
                lost = [name for name in before if not same(before[name], after.get(name))]
                assert lost == [], f"{model.__name__} was changed without a new schema_version"

    def _pairs(self) -> Iterator[tuple[Codec, Codec]]:
        """The newer model alone knows the way, as on a bridge where those between are gone."""
        for older, newer in combinations(self.models, 2):
            yield StateCodec(older, [newer]), StateCodec(newer)

    def _states_of(self, codec: Codec) -> "st.SearchStrategy[Any]":
        model = codec.model
        made = self.states[model] if model in self.states else st.from_type(model)
        return st.builds(codec.fresh) | _storable(codec, made)

    def _try(self, check: Callable[..., None], *codecs: Codec) -> None:
        """Call `check` with states of each of `codecs`."""

        def run(states: tuple[Any, ...]) -> None:
            check(*states)

        made = st.tuples(*[self._states_of(codec) for codec in codecs])
        calm = settings(max_examples=self.most, deadline=None, suppress_health_check=_ALL_CALM)
        calm(given(made)(run))()


def _is_read(codec: Codec, state: Any) -> None:
    back = codec.decode(codec.encode(state))
    assert same(_said(codec, back), _said(codec, state)), f"{state} is read as {back}"


def _comes_up_and_down(older: Codec, newer: Codec, state: Any) -> None:
    up = newer.decode(older.encode(state))
    down = older.decode(newer.encode(up))
    assert same(_said(older, down), _said(older, state)), (
        f"{state} became {up}, which became {down}"
    )


def _comes_down_and_up(older: Codec, newer: Codec, state: Any) -> None:
    found = older.read(newer.encode(state))
    up = newer.decode(older.encode(found.value))
    down = older.decode(newer.encode(up))
    assert same(_said(older, down), _said(older, found.value)), (
        f"{state} became {found.value}, which became {up}, which became {down}"
    )
    back = newer.decode(_written(older, found))
    assert same(_said(newer, back), _said(newer, state)), f"{state} became {back}"


def _stays_changed(older: Codec, newer: Codec, state: Any, other: Any) -> None:
    found = older.read(newer.encode(state))
    up = newer.decode(_written(older, found._replace(value=other)))
    down = older.decode(newer.encode(up))
    assert same(_said(older, down), _said(older, other)), (
        f"{other}, written over {found.value}, became {up}, which became {down}"
    )


def _steps_are_clean(codec: Codec, step: Any, versions: Sequence[int], state: Any) -> None:
    data: Any = plain(decode_state(codec.encode(state)))
    for version in versions:
        data = _stepped(step, data, version)


@st.composite
def _storable(draw: Any, codec: Codec, made: "st.SearchStrategy[Any]") -> Any:
    """States as they are read: what the model itself refuses is no state."""
    try:
        return codec.decode(codec.encode(draw(made)))
    except InvalidArgument:
        raise
    except (TypeError, ValueError, UsageError, StateUnreadable):
        reject()


def _said(codec: Codec, state: Any) -> Any:
    """What is stored of a state, as plain values."""
    stored = decode_state(codec.encode(state))
    said = plain(stored)
    return stored.payload if said is None else said


def _written(codec: Codec, found: Found[Any]) -> bytes:
    """The envelope that a turn stores."""
    stored = decode_state(codec.encode(found.value))
    return encode_state(stored._replace(guards=laid_aside((), found.aside)))


def _stepped(step: Callable[[Any, int], Any], data: Any, version: int) -> Any:
    given_once, given_again = deepcopy(data), deepcopy(data)
    first = step(given_once, version)
    assert same(given_once, data), f"{step.__qualname__} changed what it was given"
    assert type(first) is dict, f"{step.__qualname__} gave no dict"
    assert same(step(given_again, version), first), f"{step.__qualname__} gave two answers"
    return first


def keep_examples(path: Path | str, *states: Any) -> None:
    """Add `states`, each as its model stores it now, to the examples in the JSON file `path`.

    Do so once for each schema, and commit the file: what customers have stored is of such bytes.
    What is there already is never changed. Raises `ConfigurationError` for what is no such file.
    """
    file = Path(path)
    kept = _kept(file) if file.exists() else []
    kept += [StateCodec(type(state)).encode(state) for state in states]
    told = [{"schema": decode_state(one).schema, "envelope": one.hex()} for one in kept]
    file.write_text(json.dumps(told, indent=1) + "\n")


def _kept(file: Path) -> list[bytes]:
    try:
        told = msgspec.json.decode(file.read_bytes(), type=list[dict[str, Any]])
        return [bytes.fromhex(one["envelope"]) for one in told]
    except (OSError, ValueError, TypeError, KeyError):
        raise ConfigurationError(f"{file.name} is no file of keep_examples") from None
