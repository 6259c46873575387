"""What a command is, and what several of them are asked with."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ctxbridge.cli.where import Where

MOST = 1_000_000
"""The highest count that can be asked for."""
ALWAYS = "what is printed is JSON in any case"


class Command(NamedTuple):
    """One command: how it is called and told of, what it is asked with, and what it does."""

    name: str
    summary: str
    more: str
    example: str
    fill: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def fill_store(command: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Which store, and whose customers."""
    told = "the file, or the store's address"
    command.add_argument("--db", metavar="FILE", required=required, help=told)
    command.add_argument("--tenant", default="demo", help="whose customer it is (default: demo)")
    told = "where the keys of a sealed store come from, as in shop.keys:key (this folder first)"
    command.add_argument("--seal", default="", metavar="MODULE:FUNCTION", help=told)


def where_of(arguments: argparse.Namespace) -> "Where":
    """What `fill_store` asked for."""
    from ctxbridge.cli.where import Where

    return Where(arguments.db, arguments.tenant, arguments.seal)


def fill_json(command: argparse.ArgumentParser, told: str = "JSON objects, one a line") -> None:
    """Whether a program reads what is printed."""
    command.add_argument("--json", action="store_true", help=told)


def fill_by(command: argparse.ArgumentParser) -> None:
    """Who does it."""
    told = "who does it; it is stored too (default: your login name)"
    command.add_argument("--by", type=words, metavar="NAME", help=told)


def by_of(arguments: argparse.Namespace) -> str:
    """Whom `fill_by` was told, or who is logged in."""
    from ctxbridge.cli.acting import login

    return arguments.by or login()


def fill_address(command: argparse.ArgumentParser) -> None:
    """Which address, in which store."""
    command.add_argument("address", metavar="ADDRESS", help="sms:+1..., email:..., chat:...")
    fill_store(command)


def fill_told(command: argparse.ArgumentParser) -> None:
    """How much to tell, and how."""
    command.add_argument("--show-text", action="store_true", help="the words of the messages too")
    fill_json(command)


def words(text: str) -> str:
    """Something that was said; a usage error for blanks, which an unset variable leaves."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty, and must say something")
    return text


def count(text: str) -> int:
    """A number from 1 to `MOST`; a usage error for anything else."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0
    if not 0 < number <= MOST:
        raise argparse.ArgumentTypeError(f"it is a number from 1 to {MOST}")
    return number
