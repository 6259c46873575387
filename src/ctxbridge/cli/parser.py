"""The parser of the command line: all commands, each with what it is asked."""

import argparse
from typing import Any, TypeVar

from ctxbridge import __version__
from ctxbridge.cli.commands import COMMANDS

ActionT = TypeVar("ActionT", bound=argparse.Action)

CODES = (
    "Exit codes: 0 success; 1 nobody, or nothing, is stored under what was asked for; 2 an error, "
    "told in one line on stderr; 3 something was found that scripts ask about (see each command); "
    "130 interrupted; 141 nobody read what was printed."
)


class Parser(argparse.ArgumentParser):
    """An argument parser that can be asked what it takes."""

    def __init__(self, **options: Any) -> None:
        self.actions: list[argparse.Action] = []
        super().__init__(**options)

    def _add_action(self, action: ActionT) -> ActionT:
        self.actions.append(action)
        return super()._add_action(action)


def make_parser() -> Parser:
    """The whole parser; what a command runs is its default `run`."""
    parser, _ = _made()
    return parser


def make_parsers() -> dict[str, Parser]:
    """The parser of each command, and under the empty name the whole one."""
    parser, commands = _made()
    return {"": parser, **commands}


def _made() -> tuple[Parser, dict[str, Parser]]:
    parser = Parser(
        prog="ctxbridge",
        description="One conversation with a customer across SMS, e-mail and chat.",
        epilog=f"ctxbridge COMMAND --help tells more of each. {CODES}",
    )
    parser.add_argument("--version", action="version", version=f"ctxbridge {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    made: dict[str, Parser] = {}
    for command in COMMANDS:
        one = commands.add_parser(
            command.name,
            help=command.summary,
            description=f"{command.summary[0].upper()}{command.summary[1:]}. {command.more}",
            epilog=f"example: {command.example}",
        )
        command.fill(one)
        one.set_defaults(run=command.run, parser=one)
        made[command.name] = one
    return parser, made
