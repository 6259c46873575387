"""The page of the acceptance list: every number, and no test that is not there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs/channels/acceptance.md"
LATER = "not yet: "


def rows(page: str) -> list[tuple[int, str]]:
    """Each number with what stands in the last column."""
    found = re.findall(r"^\| ([0-9]+) \| .*? \| (.*) \|$", page, re.MULTILINE)
    return [(int(number), told) for number, told in found]


@cache
def functions_of(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


def named(told: str) -> list[tuple[str, str]]:
    return re.findall(r"`([\w/]+\.py)::(\w+)`", told)


def faults(page: str) -> list[str]:
    """What is wrong with a page, number by number."""
    wrong = []
    found = rows(page)
    if [number for number, _ in found] != list(range(1, 91)):
        wrong.append("the numbers are not 1 to 90, each once")
    for number, told in found:
        tests = named(told)
        if bool(tests) == told.startswith(LATER):
            wrong.append(f"{number}: neither a test nor a reason, or both")
        for file, name in tests:
            if not (TESTS / file).exists() or name not in functions_of(file):
                wrong.append(f"{number}: {file}::{name} is not there")
    return wrong


def test_every_number_has_a_test_that_is_there_or_a_reason():
    assert faults(PAGE.read_text()) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda page: page.replace("| 45 |", "| 44 |"), "the numbers are not"),
        (lambda page: page.replace("::test_22_der_garbage", "::test_22_no_such"), "22: "),
        (lambda page: page.replace("not yet: Vonage", "Vonage"), "19: "),
    ],
)
def test_a_page_that_is_not_true_is_seen(change, told):
    """The control."""
    assert any(fault.startswith(told) for fault in faults(change(PAGE.read_text())))


def test_every_test_with_a_number_in_its_name_stands_in_the_page_under_it():
    page = dict(rows(PAGE.read_text()))
    files = [*(TESTS / "channels").glob("test_*.py"), *(TESTS / "delivery").glob("test_*.py")]
    for file in files:
        where = f"{file.parent.name}/{file.name}"
        for name in functions_of(where):
            numbers = re.match(r"test_((?:[0-9]{1,2}_)+)", name)
            for number in map(int, re.findall(r"[0-9]+", numbers[1] if numbers else "")):
                assert f"`{where}::{name}`" in page[number], f"{number}: {where}::{name}"
