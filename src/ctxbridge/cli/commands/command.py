"""What a command is, and what several of them are asked with."""

import argparse
from collections.abc import Callable
from typing import NamedTuple


class Command(NamedTuple):
    """One command: how it is called and told of, what it is asked with, and what it does."""

    name: str
    summary: str
    more: str
    example: str
    fill: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def fill_store(command: argparse.ArgumentParser) -> None:
    """Which store, and whose customers."""
    told = "the file, or the store's address"
    command.add_argument("--db", metavar="FILE", required=True, help=told)
    command.add_argument("--tenant", default="demo", help="whose customer it is (default: demo)")


def fill_address(command: argparse.ArgumentParser) -> None:
    """Which address, in which store."""
    command.add_argument("address", metavar="ADDRESS", help="sms:+1..., email:..., chat:...")
    fill_store(command)


def fill_told(command: argparse.ArgumentParser) -> None:
    """How much to tell, and how."""
    command.add_argument("--show-text", action="store_true", help="the words of the messages too")
    command.add_argument("--json", action="store_true", help="JSON objects, one a line")
