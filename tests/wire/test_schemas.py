"""States across schemas: up, down, what is laid aside, and steps that fail."""

import dataclasses
import json
import math
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxbridge import errors, wire
from ctxbridge.wire.aside import NAME, Layer, joined, laid_aside, layers_of, same
from ctxbridge.wire.format1 import MSGPACK
from ctxbridge.wire.steps import Ladder
from ctxbridge.wire.typed import MAX_STATE_BYTES, StateCodec

GOLDEN = json.loads((Path(__file__).parent / "golden" / "format2.json").read_text())
SECRET = "ann@example.org"


def to_two(data, version):
    assert version == 1
    first, _, last = data.get("name", "").partition(" ")
    rest = {key: value for key, value in data.items() if key != "name"}
    return {**rest, "first": first, "last": last}


def to_one(data, version):
    assert version == 2
    rest = {key: value for key, value in data.items() if key not in {"first", "last", "paid"}}
    return {**rest, "name": f"{data['first']} {data['last']}".strip()}


class StructOne(msgspec.Struct):
    name: str = ""
    notes: list[str] = []


class StructTwo(msgspec.Struct):
    schema_version = 2
    first: str = ""
    last: str = ""
    notes: list[str] = []
    paid: bool = False
    upgrade = staticmethod(to_two)
    downgrade = staticmethod(to_one)


class PydanticOne(pydantic.BaseModel):
    name: str = ""
    notes: list[str] = []


class PydanticTwo(pydantic.BaseModel):
    schema_version: ClassVar[int] = 2
    first: str = pydantic.Field("", validation_alias="firstName", serialization_alias="f")
    last: str = ""
    notes: list[str] = []
    paid: bool = False
    upgrade: ClassVar = staticmethod(to_two)
    downgrade: ClassVar = staticmethod(to_one)


@dataclasses.dataclass
class ClassOne:
    name: str = ""
    notes: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class ClassTwo:
    schema_version: ClassVar[int] = 2
    first: str = ""
    last: str = ""
    notes: list[str] = dataclasses.field(default_factory=list)
    paid: bool = False
    upgrade: ClassVar = staticmethod(to_two)
    downgrade: ClassVar = staticmethod(to_one)


KINDS = {
    "msgspec": (StructOne, StructTwo),
    "pydantic": (PydanticOne, PydanticTwo),
    "dataclass": (ClassOne, ClassTwo),
    "to pydantic": (StructOne, PydanticTwo),
    "from pydantic": (PydanticOne, StructTwo),
}


@pytest.fixture(params=KINDS)
def models(request):
    return KINDS[request.param]


def stored_by(codec, found, change):
    """What a turn stores that reads a state, changes it in place and leaves."""
    change(found.value)
    state = wire.decode_state(codec.encode(found.value))
    return wire.encode_state(state._replace(guards=laid_aside((), found.aside)))


def set_to(**fields):
    return lambda value: [setattr(value, name, to) for name, to in fields.items()]


def two_of(model):
    value = model()
    set_to(first="Ann", last="Lee", notes=["a"], paid=True)(value)
    return value


class TestUp:
    def test_an_older_state_goes_up(self, models):
        one, two = models
        value = one()
        set_to(name="Ann Lee", notes=["a"])(value)
        found = StateCodec(two).read(StateCodec(one).encode(value))
        expected = two_of(two)
        expected.paid = False
        assert found == (expected, ())

    def test_without_an_upgrade_new_fields_have_their_defaults(self):
        class Old(msgspec.Struct):
            order: str = ""

        class New(msgspec.Struct):
            schema_version = 2
            order: str = ""
            paid: bool = False

        assert StateCodec(New).decode(StateCodec(Old).encode(Old("A-1"))) == New("A-1")

    def test_steps_are_taken_one_by_one(self):
        class Four(msgspec.Struct):
            schema_version = 4
            way: list[int] = []

            @classmethod
            def upgrade(cls, data, version):
                return {"way": [*data["way"], version]}

            @classmethod
            def downgrade(cls, data, version):
                return {"way": [*data["way"], version]}

        class Two(msgspec.Struct):
            schema_version = 2
            way: list[int] = []

        assert StateCodec(Four).decode(StateCodec(Two).encode(Two([]))).way == [2, 3]
        assert StateCodec(Two, [Four]).decode(StateCodec(Four).encode(Four([]))).way == [4, 3]

    def test_a_step_sees_times_and_bytes_as_they_are(self):
        class New(msgspec.Struct):
            schema_version = 2
            at: datetime | None = None
            raw: bytes = b""

            @classmethod
            def upgrade(cls, data, version):
                return {"at": datetime(2026, 1, 1, tzinfo=UTC), "raw": data["raw"] + b"\xff"}

        class Old(msgspec.Struct):
            raw: bytes = b""

        found = StateCodec(New).decode(StateCodec(Old).encode(Old(b"\x00")))
        assert found == New(datetime(2026, 1, 1, tzinfo=UTC), b"\x00\xff")


class TestDown:
    def test_a_newer_state_comes_down(self, models):
        one, two = models
        envelope = StateCodec(two).encode(two_of(two))
        value = StateCodec(one, [two]).decode(envelope)
        assert (value.name, value.notes) == ("Ann Lee", ["a"])

    def test_each_step_down_is_its_own_schemas_or_the_next_newer_ones(self):
        def downs(model_version, name):
            def downgrade(data, version):
                return {"way": [*data["way"], f"{name}{version}"]}

            space = {"schema_version": model_version, "downgrade": staticmethod(downgrade)}
            return msgspec.defstruct(name, [("way", list[str], [])], namespace=space)

        two, four = downs(2, "B"), downs(4, "D")
        one = downs(1, "A")
        envelope = StateCodec(four).encode(four([]))
        assert StateCodec(one, [one, two, four]).decode(envelope).way == ["D4", "D3", "B2"]
        assert StateCodec(one, [four]).decode(envelope).way == ["D4", "D3", "D2"]
        assert StateCodec(two, [four]).decode(envelope).way == ["D4", "D3"]

    def test_another_model_of_the_same_schema_is_passed_over(self):
        class Stuck(StructTwo):
            downgrade = None

        assert Ladder(StructTwo, [Stuck]).lowered({"first": "A", "last": ""}, 2, 1) == {"name": "A"}

    def test_a_plain_dict_reads_what_a_model_brings_down(self):
        envelope = StateCodec(StructTwo).encode(two_of(StructTwo))
        assert StateCodec(dict, [StructTwo]).decode(envelope) == {"name": "Ann Lee", "notes": ["a"]}


class TestLaidAside:
    def test_what_the_older_did_not_touch_is_as_the_newer_left_it(self, models):
        one, two = models
        old, new = StateCodec(one, [two]), StateCodec(two)
        envelope = stored_by(old, old.read(new.encode(two_of(two))), set_to(notes=["a", "b"]))
        assert wire.decode_state(envelope).schema == 1
        found = new.read(envelope)
        expected = two_of(two)
        expected.notes = ["a", "b"]
        assert found == (expected, ())

    def test_the_envelope_alone_would_lose_it(self):
        """The control: what a release of ctxbridge without all this would store."""
        old, new = StateCodec(StructOne, [StructTwo]), StateCodec(StructTwo)
        found = old.read(new.encode(two_of(StructTwo)))
        assert new.decode(old.encode(found.value)).paid is False

    def test_golden_bytes_are_written_and_read_as_ever(self):
        envelope = wire.decode_state(bytes.fromhex(GOLDEN["state_with_newer_laid_aside"]))
        layer = Layer(
            wire.StateBytes(2, MSGPACK, b"\x82\xa5order\xa1A\xa4paid\xc3"),
            wire.StateBytes(1, MSGPACK, b"\x81\xa5order\xa1A"),
        )
        assert layers_of(envelope) == (layer,)
        assert laid_aside((("judge", b"\x01"),), [layer]) == envelope.guards

    def test_what_the_older_changed_counts(self, models):
        one, two = models
        old, new = StateCodec(one, [two]), StateCodec(two)
        envelope = stored_by(old, old.read(new.encode(two_of(two))), set_to(name="Ann Moe"))
        value = new.decode(envelope)
        assert (value.first, value.last, value.paid) == ("Ann", "Moe", True)

    def test_it_is_not_restored_where_the_older_would_not_find_what_it_wrote(self):
        """Joined field by field it would be "Ann Lee Moe", which nobody wrote."""
        old, new = StateCodec(StructOne, [StructTwo]), StateCodec(StructTwo)
        odd = new.encode(StructTwo("Ann Lee", "", paid=True))
        envelope = stored_by(old, old.read(odd), set_to(name="Ann Moe"))
        assert new.decode(envelope) == StructTwo("Ann", "Moe", paid=False)

    @pytest.mark.parametrize("odd", ["leaves out", "raises"])
    def test_it_is_not_restored_where_the_whole_would_not_come_down(self, odd):
        class Two(msgspec.Struct):
            schema_version = 2
            name: str = ""
            paid: bool = False

            @classmethod
            def downgrade(cls, data, version):
                if data.get("paid") and data["name"] == "B":
                    return {} if odd == "leaves out" else {"name": data["gone"]}
                return {"name": data["name"]}

        old, new = StateCodec(StructOne, [Two]), StateCodec(Two)
        envelope = stored_by(old, old.read(new.encode(Two("A", paid=True))), set_to(name="B"))
        assert new.decode(envelope) == Two("B", paid=False)

    def test_it_is_not_restored_where_the_whole_does_not_fit(self):
        class Strict(pydantic.BaseModel):
            schema_version: ClassVar[int] = 2
            order: str = ""
            paid: str = ""

            @classmethod
            def downgrade(cls, data, version):
                return {"order": data["order"]}

            @pydantic.model_validator(mode="after")
            def _one_order(self):
                assert self.paid in {"", self.order}
                return self

        class Old(pydantic.BaseModel):
            order: str = ""

        old, new = StateCodec(Old, [Strict]), StateCodec(Strict)
        first = new.encode(Strict(order="A", paid="A"))
        assert new.decode(stored_by(old, old.read(first), set_to(order="A"))).paid == "A"
        assert new.decode(stored_by(old, old.read(first), set_to(order="B"))) == Strict(order="B")

    def test_it_outlasts_many_turns_of_the_older(self):
        old, new = StateCodec(StructOne, [StructTwo]), StateCodec(StructTwo)
        envelope = stored_by(old, old.read(new.encode(two_of(StructTwo))), set_to(notes=["b"]))
        # Also a worker that does not know of the newer release keeps it.
        old = StateCodec(StructOne)
        for note in "cd":
            envelope = stored_by(old, old.read(envelope), set_to(notes=[note]))
        assert new.decode(envelope) == StructTwo("Ann", "Lee", ["d"], paid=True)

    def test_it_goes_when_the_newer_writes_again(self):
        old, new = StateCodec(StructOne, [StructTwo]), StateCodec(StructTwo)
        envelope = stored_by(old, old.read(new.encode(two_of(StructTwo))), set_to(notes=["b"]))
        envelope = stored_by(new, new.read(envelope), set_to(paid=False))
        assert wire.decode_state(envelope).guards == ()

    def test_two_rollbacks_lay_two_aside(self):
        class Three(msgspec.Struct):
            schema_version = 3
            first: str = ""
            last: str = ""
            notes: list[str] = []
            paid: bool = False
            vip: bool = False

            @classmethod
            def upgrade(cls, data, version):
                return to_two(data, version) if version == 1 else data

            @classmethod
            def downgrade(cls, data, version):
                rest = {k: v for k, v in data.items() if k != "vip"}
                return to_one(rest, version) if version == 2 else rest

        one = StateCodec(StructOne, [StructTwo, Three])
        two, three = StateCodec(StructTwo, [Three]), StateCodec(Three)
        envelope = three.encode(Three("Ann", "Lee", [], vip=True))
        envelope = stored_by(two, two.read(envelope), set_to(paid=True))
        assert [layer.newer.guards for layer in one.read(envelope).aside] == [(), ()]
        envelope = stored_by(one, one.read(envelope), set_to(name="Ann Moe"))
        assert three.decode(envelope) == Three("Ann", "Moe", [], paid=True, vip=True)
        # Coming up half of the way leaves the rest aside.
        found = two.read(envelope)
        assert found.value == StructTwo("Ann", "Moe", [], paid=True)
        envelope = stored_by(two, found, set_to(last="Poe"))
        assert three.decode(envelope) == Three("Ann", "Poe", [], paid=True, vip=True)

    def test_what_is_stale_does_not_count(self):
        """A release of ctxbridge that does not know of it keeps it beside a newer state."""
        old, new = StateCodec(StructOne, [StructTwo]), StateCodec(StructTwo)
        envelope = stored_by(old, old.read(new.encode(two_of(StructTwo))), set_to(notes=["b"]))
        guards = wire.decode_state(envelope).guards
        later = wire.decode_state(new.encode(StructTwo("Bo")))._replace(guards=guards)
        assert new.read(wire.encode_state(later)) == (StructTwo("Bo"), ())
        assert layers_of(later) == ()

    def test_damage_is_told(self):
        state = wire.decode_state(StateCodec(StructOne).encode(StructOne()))
        for schema, payload, error in [
            (1, b"\xc1", errors.CorruptRecord), (1, b"\x91\x92\xc4\x00\xc4\x00", errors.CorruptRecord),
            (2, b"\x90", errors.UnknownFormat),
        ]:  # fmt: skip
            held = wire.encode_state(wire.StateBytes(schema, MSGPACK, payload))
            with pytest.raises(error):
                layers_of(state._replace(guards=((NAME, held),)))

    def test_other_guards_stay_where_they_are(self):
        assert laid_aside((("z", b"1"), (NAME, b"x"), ("a", b"2")), ()) == (
            ("a", b"2"),
            ("z", b"1"),
        )


class TestJoined:
    @pytest.mark.parametrize(
        ("now", "before", "newer", "whole"),
        [
            ({"a": 2}, {"a": 1}, {"a": 1, "b": 5}, {"a": 2, "b": 5}),
            ({}, {"a": 1}, {"a": 1, "b": 5}, {"b": 5}),
            ({"a": None}, {}, {"b": 5}, {"a": None, "b": 5}),
            ({"a": {"x": 2}}, {"a": {"x": 1}}, {"a": {"x": 1, "y": 5}}, {"a": {"x": 2, "y": 5}}),
            ({"a": [2]}, {"a": [1]}, {"a": [1, 5]}, {"a": [2]}),
            ({"a": True}, {"a": 1}, {"a": 7}, {"a": True}),
            ({"a": math.nan}, {"a": math.nan}, {"a": 7}, {"a": 7}),
        ],
    )
    def test_changes_are_taken_over_and_the_rest_left(self, now, before, newer, whole):
        assert same(joined(now, before, newer), whole)

    @given(*[st.dictionaries(st.sampled_from("abc"), st.integers(0, 2) | st.none())] * 2)
    def test_nothing_changed_is_the_newer_and_nothing_newer_is_what_is_now(self, one, other):
        assert joined(one, one, other) == other
        assert joined(one, other, other) == one


def breaks(kind):
    """Models of schema 2 whose steps do what they must not."""

    def step(data, version):
        if kind == "raises":
            raise RuntimeError(SECRET)
        if kind == "recurses":
            return step(data, version)
        return {
            "gives a list": [SECRET],
            "gives nothing": None,
            "does not fit": {"name": 7, "first": 7, "secret": SECRET},
            "cannot be written": {"name": object(), "first": object()},
            "is too large": {"name": "x" * MAX_STATE_BYTES, "first": "x" * MAX_STATE_BYTES},
        }[kind]

    class Two(msgspec.Struct):
        schema_version = 2
        first: str = ""
        upgrade = staticmethod(step)
        downgrade = staticmethod(step)

    return Two


BROKEN = {
    "raises": "raised", "recurses": "raised", "gives a list": "no_dict", "gives nothing": "no_dict",
    "does not fit": "misfit", "cannot be written": "misfit", "is too large": "misfit",
}  # fmt: skip


class TestSteps:
    @pytest.mark.parametrize("kind", BROKEN)
    @pytest.mark.parametrize("way", ["up", "down"])
    def test_one_that_fails_is_told_without_its_words(self, kind, way):
        two = breaks(kind)
        reader, writer = (StateCodec(two), StateCodec(StructOne))
        if way == "down":
            reader, writer = StateCodec(StructOne, [two]), StateCodec(two)
        with pytest.raises(errors.StateUnreadable) as caught:
            reader.decode(writer.encode(writer.fresh()))
        error = caught.value
        assert error.why == BROKEN[kind]
        assert (error.stored, error.wanted) == ((1, 2) if way == "up" else (2, 1))
        assert (error.fault, error.retry_safe, error.__cause__, error.__context__) == (
            "caller", False, None, None,
        )  # fmt: skip
        assert SECRET not in "".join(traceback.format_exception(error))

    def test_without_a_downgrade_nothing_is_guessed(self):
        class Two(msgspec.Struct):
            schema_version = 2
            name: str = ""

        for newer in ([], [Two]):
            with pytest.raises(errors.StateUnreadable) as caught:
                StateCodec(StructOne, newer).decode(StateCodec(Two).encode(Two()))
            assert caught.value.why == "no_downgrade"

    def test_a_validator_that_raises_anything_is_a_misfit(self):
        class Touchy(pydantic.BaseModel):
            name: str = ""

            @pydantic.model_validator(mode="before")
            @classmethod
            def _look(cls, data):
                return {"name": {"": ""}[data.get("name", "")]}

        with pytest.raises(errors.StateUnreadable) as caught:
            StateCodec(Touchy).decode(StateCodec(PydanticOne).encode(PydanticOne(name=SECRET)))
        assert caught.value.__context__ is None

    def test_one_that_works_in_place_does_no_harm(self):
        class Two(msgspec.Struct):
            schema_version = 2
            name: str = ""
            tags: list[str] = []

            @classmethod
            def upgrade(cls, data, version):
                data.setdefault("tags", []).append("up")
                return data

            @classmethod
            def downgrade(cls, data, version):
                data.pop("tags").clear()
                return data

        old, new = StateCodec(StructOne, [Two]), StateCodec(Two)
        envelope = stored_by(old, old.read(new.encode(Two("A", ["x"]))), set_to(name="B"))
        assert new.decode(envelope) == Two("B", ["x"])

    def test_one_that_keeps_what_it_gave_does_no_harm(self):
        """Both the state and what it was before are upgraded, to be compared."""
        shared = {}

        class Two(msgspec.Struct):
            schema_version = 2
            name: str = ""
            paid: bool = False

            @classmethod
            def upgrade(cls, data, version):
                shared.update(data)
                return shared

            @classmethod
            def downgrade(cls, data, version):
                return {"name": data["name"]}

        old, new = StateCodec(StructOne, [Two]), StateCodec(Two)
        envelope = stored_by(old, old.read(new.encode(Two("A", paid=True))), set_to(name="B"))
        assert new.decode(envelope) == Two("B", paid=True)

    def test_what_is_no_function_is_refused_at_once(self):
        class Odd(msgspec.Struct):
            upgrade = "2"

        with pytest.raises(errors.ConfigurationError, match=r"Odd\.upgrade"):
            StateCodec(Odd)

    def test_what_has_no_named_fields_has_no_steps(self):
        class Row(msgspec.Struct, array_like=True):
            schema_version = 2
            name: str = ""
            downgrade = staticmethod(to_one)

        with pytest.raises(errors.StateUnreadable) as caught:
            StateCodec(StructOne, [Row]).decode(StateCodec(Row).encode(Row()))
        assert caught.value.why == "misfit"
