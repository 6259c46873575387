"""The command line: ``ctxbridge demo | show | explain | replay | ...``, see `commands`.

What a command needs is imported when it runs, so ``--help`` and ``--version`` answer at once.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence

from ctxbridge import __version__
from ctxbridge.cli.commands import COMMANDS
from ctxbridge.errors import CtxBridgeError

FAILED = 2
INTERRUPTED = 130
CLOSED = 141  # what a shell reports of a program that SIGPIPE ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; the console script ``ctxbridge``.

    0 is success, 1 "nothing is stored under this address, or key", 2 an error, told in one line on
    stderr; 3 is for scripts: ``dead`` found something.
    """
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _silence()
        return CLOSED
    except (CtxBridgeError, OSError) as error:
        print(f"ctxbridge: {error}", file=sys.stderr)
        _silence()
        return FAILED
    return code


def _silence() -> None:
    """Let what stands in stdout's buffer go nowhere, or Python would complain of it at its end."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ctxbridge",
        description="One conversation with a customer across SMS, e-mail and chat.",
        epilog="ctxbridge COMMAND --help tells more of each.",
    )
    parser.add_argument("--version", action="version", version=f"ctxbridge {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        one = commands.add_parser(
            command.name,
            help=command.summary,
            description=f"{command.summary[0].upper()}{command.summary[1:]}. {command.more}",
            epilog=f"example: {command.example}",
        )
        command.fill(one)
        one.set_defaults(run=command.run)
    return parser
