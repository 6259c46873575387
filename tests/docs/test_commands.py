"""Every command that a page shows as typed is one that the program takes."""

import re
import shlex
from pathlib import Path

import pytest

from ctxbridge.cli.parser import make_parser
from ctxbridge.testing.storm.__main__ import _parser as make_storm_parser

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
PROGRAM = r"(?:\.venv/bin/)?((?:ctxbridge|python -m ctxbridge\.testing\.storm) "
TYPED = re.compile(rf"^\$ {PROGRAM}.*)$|`{PROGRAM}[^`\n]*--db [^`\n]+)`", re.MULTILINE)


def typed(text):
    """The commands in a page; one with something left out is none."""
    return [a or b for a, b in TYPED.findall(text) if "…" not in a + b]


def is_taken(command):
    words = shlex.split(re.split(r" >+ ", command)[0])
    parser, first = (make_parser(), 1) if words[0] == "ctxbridge" else (make_storm_parser(), 3)
    try:
        parser.parse_args(words[first:])
    except SystemExit as end:
        return not end.code
    return True


COMMANDS = sorted({(page.name, command) for page in PAGES for command in typed(page.read_text())})


def test_there_are_some():
    assert len(COMMANDS) > 30


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_it_is_taken(page, command):
    assert is_taken(command)


@pytest.mark.parametrize(
    "command",
    [
        "ctxbridge forget sms:+15550100142 --db support.db",
        "ctxbridge erase sms:+15550100142 --database support.db",
        "ctxbridge replay --since 2026-11-01 --db support.db",
        "python -m ctxbridge.testing.storm --kills 40",
    ],
)
def test_one_that_is_not_is_seen(command):
    """The control."""
    assert typed(f"$ {command}\n") == [command]
    assert not is_taken(command)
