"""What comes in by channels, and what is to leave."""

import argparse
from typing import TYPE_CHECKING

from ctxbridge.cli.commands.command import ALWAYS, Command, count, fill_json, fill_store, where_of

if TYPE_CHECKING:
    from ctxbridge.cli.outbox import Asked


def _fill_outbox(outbox: argparse.ArgumentParser) -> None:
    fill_store(outbox)
    told = "how many at most (default: 100)"
    outbox.add_argument("--limit", type=count, metavar="N", help=told)
    told = "the whole address, and the text, of each message"
    outbox.add_argument("--show-text", action="store_true", help=told)
    fill_json(outbox, "one JSON object per message")


def _fill_dead(dead: argparse.ArgumentParser) -> None:
    _fill_outbox(dead)
    either = dead.add_mutually_exclusive_group()
    told = "put these back, to be sent in the next sweep; the first 6 digits or more are enough"
    either.add_argument(
        "--replay", action="extend", nargs="+", type=_key, default=[], metavar="KEY", help=told
    )
    told = "put all of them back; with --limit the oldest N"
    either.add_argument("--replay-all", action="store_true", help=told)


def _key(text: str) -> str:
    digits = text.lower()
    if not 6 <= len(digits) <= 32 or set(digits) - set("0123456789abcdef"):
        raise argparse.ArgumentTypeError("a key has 32 hexadecimal digits; write 6 of them or more")
    return digits


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
    fill_json(parse, ALWAYS)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError("a header is written 'Name: value'")
    return name.strip(), value.strip()


def _run_outbox(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.outbox import outbox

    return outbox(_asked(arguments))


def _run_dead(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.outbox import dead, replay

    if arguments.replay or arguments.replay_all:
        return replay(_asked(arguments), arguments.replay)
    return dead(_asked(arguments))


def _asked(arguments: argparse.Namespace) -> "Asked":
    from ctxbridge.cli.outbox import Asked

    return Asked(where_of(arguments), arguments.limit, arguments.json, arguments.show_text)


def _run_parse(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.parse import parse

    return parse(arguments.provider, arguments.files, arguments.header)


COMMANDS = (
    Command(
        "outbox",
        "list the messages that have not left yet",
        "The file is opened for reading only.",
        "ctxbridge outbox --db support.db --tenant acme",
        _fill_outbox,
        _run_outbox,
    ),
    Command(
        "dead",
        "list the messages that failed or are unknown",
        "Unknown are those that may or may not have left. --replay puts one back, to be sent in "
        "the next sweep of a service that runs; an unknown one may then arrive twice. Exit codes: "
        "0 nothing is dead, or it was put back; 1 a key names no dead message, or several; "
        "2 an error; 3 something is dead.",
        "ctxbridge dead --db support.db --tenant acme --replay 01a20ec81f9f",
        _fill_dead,
        _run_dead,
    ),
    Command(
        "parse",
        "print what an adapter makes of payload files, one JSON object per file",
        "No secret is configured, so no signature and no token is checked.",
        "ctxbridge parse email mail.eml",
        _fill_parse,
        _run_parse,
    ),
)
