"""The contract of schemas: it holds for good models, and finds what is wrong with bad ones."""

import dataclasses
import itertools
from typing import Annotated, ClassVar

import msgspec
import pydantic
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st

from ctxbridge import errors
from ctxbridge.testing import SchemaContract, keep_examples


def up(data, version):
    if version == 1:
        return {"orders": [data["order"]] if data["order"] else [], "note": data["note"]}
    return {**data, "due": 0}


def down(data, version):
    if version == 3:
        return {name: value for name, value in data.items() if name != "due"}
    return {"order": data["orders"][0] if data["orders"] else "", "note": data["note"]}


class One(msgspec.Struct):
    order: str = ""
    note: dict[str, int] = {}


class Two(msgspec.Struct):
    schema_version = 2
    orders: list[str] = []
    note: dict[str, int] = {}
    paid: bool = False
    upgrade = staticmethod(up)
    downgrade = staticmethod(down)


class Three(msgspec.Struct):
    schema_version = 3
    orders: list[str] = []
    note: dict[str, int] = {}
    paid: bool = False
    due: Annotated[int, msgspec.Meta(ge=0)] = 0
    upgrade = staticmethod(up)
    downgrade = staticmethod(down)


class TestMsgspec(SchemaContract):
    models = (One, Two, Three)
    most = 50


class PydanticOne(pydantic.BaseModel):
    order: str = pydantic.Field("", max_length=8)
    note: dict[str, int] = {}


class PydanticTwo(pydantic.BaseModel, extra="forbid"):
    schema_version: ClassVar[int] = 2
    orders: list[Annotated[str, pydantic.Field(max_length=8)]] = []
    note: dict[str, int] = {}
    paid: bool = pydantic.Field(False, alias="isPaid")
    ratio: float = 0.5
    upgrade: ClassVar = staticmethod(up)
    downgrade: ClassVar = staticmethod(down)


class TestPydantic(SchemaContract):
    models = (PydanticOne, PydanticTwo)
    most = 50


@dataclasses.dataclass
class ClassTwo:
    schema_version: ClassVar[int] = 2
    orders: list[str] = dataclasses.field(default_factory=list)
    note: dict[str, int] = dataclasses.field(default_factory=dict)
    upgrade: ClassVar = staticmethod(up)
    downgrade: ClassVar = staticmethod(down)


class TestAcrossKinds(SchemaContract):
    """From pydantic to a dataclass, whose states are told by hand."""

    models = (PydanticOne, ClassTwo)
    most = 50
    # JSON holds numbers that MessagePack does not, and what came of longer orders is no older state.
    states: ClassVar = {
        PydanticOne: st.builds(PydanticOne, order=st.text(max_size=8)),
        ClassTwo: st.builds(ClassTwo, orders=st.lists(st.text(max_size=8)), note=st.just({"a": 1})),
    }


def broken(name, **changed):
    """A contract over `One` and a model of schema 2 that has something changed."""
    parts = {
        "schema_version": 2, "orders": list[str], "upgrade": staticmethod(up),
        "downgrade": staticmethod(down), **changed,
    }  # fmt: skip
    fields = [(key, kind, []) for key, kind in parts.items() if key == "orders"]
    space = {key: value for key, value in parts.items() if key != "orders" and value}
    fields += [("note", dict[str, int], {}), ("paid", bool, False)]
    model = msgspec.defstruct(name, fields, namespace=space)
    return type(name, (SchemaContract,), {"models": (One, model), "most": 40})


def raising(data, version):
    if data["orders"] == []:
        return down(data, version)
    raise LookupError


def in_place(data, version):
    data["order"] = (data.pop("orders") or [""])[0]
    return data


_counter = itertools.count()
UP_AND_DOWN = "test_an_older_state_comes_up_and_down_again"
DOWN_AND_UP = "test_a_newer_state_comes_down_and_up_again"
CHANGED = "test_what_an_older_release_changes_stays_changed"
STEPS = "test_steps_leave_what_they_are_given"

WRONG = {
    "no downgrade": ({"downgrade": None}, {UP_AND_DOWN, DOWN_AND_UP, CHANGED}),
    "a downgrade that raises": ({"downgrade": raising}, {UP_AND_DOWN, DOWN_AND_UP, CHANGED, STEPS}),
    "a downgrade that drops a field": (
        {"downgrade": lambda data, version: {"order": down(data, version)["order"]}},
        {UP_AND_DOWN, CHANGED},
    ),
    "a downgrade that gives another type": (
        {"downgrade": lambda data, version: {**down(data, version), "order": data["orders"]}},
        {UP_AND_DOWN, DOWN_AND_UP, CHANGED},
    ),
    "a downgrade that gives no dict": (
        {"downgrade": lambda data, version: list(down(data, version).items())},
        {UP_AND_DOWN, DOWN_AND_UP, CHANGED, STEPS},
    ),
    "a downgrade that changes what it is given": ({"downgrade": in_place}, {STEPS}),
    "a downgrade that gives another answer each time": (
        {"downgrade": lambda data, version: {**down(data, version), "note": {"n": next(_counter)}}},
        {UP_AND_DOWN, DOWN_AND_UP, CHANGED, STEPS},
    ),
    "an upgrade that is no inverse": (
        {"upgrade": lambda data, version: {**up(data, version), "orders": [data["order"][:1]]}},
        {UP_AND_DOWN, DOWN_AND_UP, CHANGED},
    ),
    "an upgrade that forgets": (
        {"upgrade": lambda data, version: {"orders": up(data, version)["orders"]}},
        {UP_AND_DOWN, DOWN_AND_UP, CHANGED},
    ),
    "an upgrade that gives a value of a wrong type": (
        {"upgrade": lambda data, version: {**up(data, version), "orders": data["order"]}},
        {UP_AND_DOWN, DOWN_AND_UP, CHANGED},
    ),
}


def failing(contract):
    """The names of its tests that fail."""
    failed = set()
    for name in dir(SchemaContract):
        if name.startswith("test_") and "examples" not in name:
            try:
                getattr(contract(), name)()
            except (AssertionError, errors.StateUnreadable, LookupError, ExceptionGroup):
                failed.add(name)
    return failed


@pytest.fixture
def quick():
    """To find that something is wrong is enough: the smallest case of it is not looked for."""
    before = settings.get_current_profile_name()
    quickly = settings(phases=[Phase.generate], database=None, derandomize=True)
    settings.register_profile("quick", quickly)
    settings.load_profile("quick")
    yield
    settings.load_profile(before)


@pytest.mark.usefixtures("quick")
class TestControls:
    def test_the_model_that_they_are_changed_from_is_good(self):
        assert failing(broken("Good")) == set()

    @pytest.mark.parametrize("what", WRONG)
    def test_each_broken_model_is_found(self, what):
        changed, expected = WRONG[what]
        changed = {name: step and staticmethod(step) for name, step in changed.items()}
        assert failing(broken("Broken", **changed)) == expected

    def test_without_what_is_laid_aside_the_newer_would_lose(self, monkeypatch):
        monkeypatch.setattr("ctxbridge.testing.schemas.laid_aside", lambda guards, layers: guards)
        assert failing(broken("Good")) == {DOWN_AND_UP}

    def test_a_state_that_is_not_read_as_it_was_written_is_found(self):
        class Upper(pydantic.BaseModel):
            name: str = ""

            @pydantic.field_serializer("name")
            def _shout(self, name):
                return f"{name}!" if name else name

        contract = type("Contract", (SchemaContract,), {"models": (Upper,)})
        assert failing(contract) == {"test_what_is_written_is_read"}

    @pytest.mark.parametrize("order", [(), (Two, One), (One, One)])
    def test_models_out_of_order_are_found(self, order):
        contract = type("Contract", (SchemaContract,), {"models": order})
        with pytest.raises(AssertionError):
            contract().test_the_models_are_given_oldest_first()

    def test_a_type_that_nothing_is_known_of_is_told(self):
        class Opaque:
            def __init__(self, what: "Nowhere"):  # noqa: F821
                raise AssertionError

        class Odd(msgspec.Struct):
            name: str = ""

        contract = type("Contract", (SchemaContract,), {"models": (Odd,), "states": {Odd: st.from_type(Opaque)}})  # fmt: skip
        with pytest.raises(Exception, match="Opaque"):
            contract().test_what_is_written_is_read()


class TestExamples:
    def contract(self, path, *models):
        body = {"models": models, "examples": path}
        return type("Contract", (SchemaContract,), body)()

    def test_kept_examples_are_read_by_all(self, tmp_path):
        path = tmp_path / "kept.json"
        keep_examples(path, One("A"))
        first = path.read_text()
        keep_examples(path, Two(["A", "B"], paid=True), Three(due=3))
        assert path.read_text().startswith(first[: first.rindex("}")]), "what is kept stays"
        self.contract(path, One, Two, Three).test_kept_examples_are_still_read()

    def test_a_model_changed_without_a_number_is_found(self, tmp_path):
        class Renamed(msgspec.Struct):
            number: str = ""
            note: dict[str, int] = {}

        path = tmp_path / "kept.json"
        keep_examples(path, One("A"))
        with pytest.raises(AssertionError, match="without a new schema_version"):
            self.contract(path, Renamed).test_kept_examples_are_still_read()

    def test_a_new_field_with_a_default_may_come_without_one(self, tmp_path):
        class Grown(msgspec.Struct):
            order: str = ""
            note: dict[str, int] = {}
            vip: bool = False

        path = tmp_path / "kept.json"
        keep_examples(path, One("A"))
        self.contract(path, Grown).test_kept_examples_are_still_read()

    def test_one_that_nobody_reads_any_more_is_found(self, tmp_path):
        class Stuck(Two):
            @staticmethod
            def downgrade(data, version):
                raise ValueError

        path = tmp_path / "kept.json"
        keep_examples(path, One("A"), Stuck(["A"]))
        with pytest.raises(errors.StateUnreadable):
            self.contract(path, One, Stuck).test_kept_examples_are_still_read()

    def test_a_schema_without_an_example_is_told(self, tmp_path):
        path = tmp_path / "kept.json"
        keep_examples(path, One("A"))
        with pytest.raises(AssertionError, match="no example of schema 2"):
            self.contract(path, One, Two).test_kept_examples_are_still_read()

    @pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"envelope": "x"}]', "null"])
    def test_another_file_is_refused(self, tmp_path, text):
        path = tmp_path / "kept.json"
        path.write_text(text)
        with pytest.raises(errors.ConfigurationError, match="keep_examples"):
            keep_examples(path, One("A"))
        assert path.read_text() == text
