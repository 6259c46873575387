"""The command line: ``ctxbridge demo | show | parse``.

What a command needs is imported when it runs, so ``--help`` and ``--version`` answer at once.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ctxbridge import __version__
from ctxbridge.errors import CtxBridgeError

FAILED = 2
INTERRUPTED = 130
CLOSED = 141  # what a shell reports of a program that SIGPIPE ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; the console script ``ctxbridge``.

    0 is success, 1 "nothing is stored under this address", 2 an error, told in one line on stderr.
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


def _fill_demo(demo: argparse.ArgumentParser) -> None:
    told = "keep it in this file, or store (redis://...); else in a temporary file"
    demo.add_argument("--db", metavar="FILE", help=told)
    demo.add_argument("--json", action="store_true", help="one JSON object per message, then a sum")


def _fill_show(show: argparse.ArgumentParser) -> None:
    show.add_argument("address", metavar="ADDRESS", help="sms:+1..., email:..., chat:...")
    show.add_argument(
        "--db", metavar="FILE", required=True, help="the file, or the store's address"
    )
    show.add_argument("--tenant", default="demo", help="whose customer it is (default: demo)")
    show.add_argument("--json", action="store_true", help="one JSON object per message")


def _fill_parse(parse: argparse.ArgumentParser) -> None:
    from ctxbridge.channels import ADAPTERS

    names = sorted(ADAPTERS)
    parse.add_argument("provider", choices=names, metavar="PROVIDER", help=", ".join(names))
    parse.add_argument("files", nargs="+", metavar="FILE", help="the body of a request, or a mail")
    parse.add_argument(
        "--header",
        action="append",
        default=[],
        type=_header,
        metavar="'K: V'",
        help="a header of the request; may be given several times",
    )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError("a header is written 'Name: value'")
    return name.strip(), value.strip()


def _run_demo(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.demo import demo

    return demo(arguments.db, as_json=arguments.json)


def _run_show(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.show import show

    return show(arguments.address, arguments.db, arguments.tenant, as_json=arguments.json)


def _run_parse(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.parse import parse

    return parse(arguments.provider, arguments.files, arguments.header)


class _Command(NamedTuple):
    name: str
    summary: str
    more: str
    example: str
    fill: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


COMMANDS = (
    _Command(
        "demo",
        "play one customer over three channels and show the conversation",
        "Provider payloads go through the real adapters, guards and store; nothing leaves this "
        "machine. A second run on the same file finds only duplicates.",
        "ctxbridge demo --db demo.db",
        _fill_demo,
        _run_demo,
    ),
    _Command(
        "show",
        "print a stored conversation",
        "The file is opened for reading only.",
        "ctxbridge show sms:+15550100142 --db demo.db",
        _fill_show,
        _run_show,
    ),
    _Command(
        "parse",
        "print what an adapter makes of payload files, one JSON object per file",
        "No secret is configured, so no signature and no token is checked.",
        "ctxbridge parse email mail.eml",
        _fill_parse,
        _run_parse,
    ),
)
