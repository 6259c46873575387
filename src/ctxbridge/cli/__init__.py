"""The command line: ``ctxbridge demo | show | explain | replay | ...``, see `COMMANDS`.

What a command needs is imported when it runs, so ``--help`` and ``--version`` answer at once.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ctxbridge import __version__
from ctxbridge.errors import CtxBridgeError

if TYPE_CHECKING:
    from ctxbridge.cli.outbox import Asked

FAILED = 2
INTERRUPTED = 130
CLOSED = 141  # what a shell reports of a program that SIGPIPE ended
MOST = 1_000_000


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


def _fill_demo(demo: argparse.ArgumentParser) -> None:
    told = "keep it in this file, or store (redis://...); else in a temporary file"
    demo.add_argument("--db", metavar="FILE", help=told)
    demo.add_argument("--json", action="store_true", help="one JSON object per message, then a sum")


def _fill_show(show: argparse.ArgumentParser) -> None:
    show.add_argument("address", metavar="ADDRESS", help="sms:+1..., email:..., chat:...")
    _fill_store(show)
    show.add_argument("--json", action="store_true", help="one JSON object per message")


def _fill_store(command: argparse.ArgumentParser) -> None:
    told = "the file, or the store's address"
    command.add_argument("--db", metavar="FILE", required=True, help=told)
    command.add_argument("--tenant", default="demo", help="whose customer it is (default: demo)")


def _fill_explain(explain: argparse.ArgumentParser) -> None:
    told = "the turn's id, or 8 of its digits or more; or an address, for all of its turns"
    explain.add_argument("turn", metavar="TURN", help=told)
    _fill_store(explain)
    _fill_told(explain)


def _fill_told(command: argparse.ArgumentParser) -> None:
    command.add_argument("--show-text", action="store_true", help="the words of the messages too")
    command.add_argument("--json", action="store_true", help="JSON objects, one a line")


def _fill_consents(consents: argparse.ArgumentParser) -> None:
    consents.add_argument("address", metavar="ADDRESS", help="sms:+1..., email:..., chat:...")
    _fill_store(consents)
    _fill_told(consents)


def _fill_link(link: argparse.ArgumentParser) -> None:
    link.add_argument("contact", metavar="CONTACT", help="its id, or one of its addresses")
    link.add_argument("address", metavar="ADDRESS", help="the address that belongs to it too")
    _fill_store(link)
    told = "what the claim rests on; it is stored"
    link.add_argument("--evidence", required=True, metavar="TEXT", help=told)


def _fill_export(export: argparse.ArgumentParser) -> None:
    export.add_argument("address", metavar="ADDRESS", help="sms:+1..., email:..., chat:...")
    _fill_store(export)


def _fill_erase(erase: argparse.ArgumentParser) -> None:
    _fill_export(erase)
    erase.add_argument("--yes", action="store_true", help="erase it: this cannot be undone")


def _fill_replay(replay: argparse.ArgumentParser) -> None:
    _fill_store(replay)
    told = "where the guards are, as in shop.policy:guards (this folder first), or policy.toml"
    replay.add_argument("--guards", required=True, metavar="MODULE:LIST", help=told)
    told = "a date or a time (UTC unless it says otherwise), as in 2026-11-01"
    replay.add_argument("--since", type=_moment, default=0, metavar="TIME", help=told)
    replay.add_argument("--until", type=_moment, metavar="TIME", help="before this time")
    replay.add_argument("--address", metavar="ADDRESS", help="of this contact alone")
    replay.add_argument("--diff", action="store_true", help="each message that would change")
    _fill_told(replay)


def _moment(text: str) -> int:
    from ctxbridge.cli.replay import moment_of

    try:
        return moment_of(text)
    except ValueError:
        raise argparse.ArgumentTypeError("it is a date or a time, as in 2026-11-01") from None


def _fill_outbox(outbox: argparse.ArgumentParser) -> None:
    _fill_store(outbox)
    told = "how many at most (default: 100)"
    outbox.add_argument("--limit", type=_count, metavar="N", help=told)
    told = "the whole address, and the text, of each message"
    outbox.add_argument("--show-text", action="store_true", help=told)
    outbox.add_argument("--json", action="store_true", help="one JSON object per message")


def _fill_dead(dead: argparse.ArgumentParser) -> None:
    _fill_outbox(dead)
    either = dead.add_mutually_exclusive_group()
    told = "put these back, to be sent in the next sweep; the first 6 digits or more are enough"
    either.add_argument(
        "--replay", action="extend", nargs="+", type=_key, default=[], metavar="KEY", help=told
    )
    told = "put all of them back; with --limit the oldest N"
    either.add_argument("--replay-all", action="store_true", help=told)


def _count(text: str) -> int:
    count = int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0
    if not 0 < count <= MOST:
        raise argparse.ArgumentTypeError(f"it is a number from 1 to {MOST}")
    return count


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


def _run_explain(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.explain import explain

    a = arguments
    return explain(a.turn, a.db, a.tenant, as_json=a.json, show_text=a.show_text)


def _run_consents(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.consents import consents

    a = arguments
    return consents(a.address, a.db, a.tenant, as_json=a.json, show_text=a.show_text)


def _run_link(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.identity import link

    a = arguments
    return link(a.contact, a.address, a.db, a.tenant, evidence=a.evidence)


def _run_export(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.identity import export

    return export(arguments.address, arguments.db, arguments.tenant)


def _run_erase(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.identity import erase

    return erase(arguments.address, arguments.db, arguments.tenant, sure=arguments.yes)


def _run_replay(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.replay import Wanted, replay

    a = arguments
    wanted = Wanted(
        a.db, a.tenant, a.guards, a.since, a.until, a.address, a.diff, a.json, a.show_text
    )
    return replay(wanted)


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

    return Asked(
        arguments.db, arguments.tenant, arguments.limit, arguments.json, arguments.show_text
    )


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
        "explain",
        "tell what guards decided in a turn, and why",
        "Every message of the turn with each guard that was asked, was not, failed or was late. "
        "Without an address the whole store is looked through. The file is opened for reading "
        "only.",
        "ctxbridge explain 01a21f4e5325 --db demo.db",
        _fill_explain,
        _run_explain,
    ),
    _Command(
        "replay",
        "judge stored messages again by other guards, and tell what would have changed",
        "Nothing is written and nothing is sent. Exit codes: 0 nothing would have changed; "
        "2 an error; 3 something would.",
        "ctxbridge replay --guards shop.policy:guards --since 2026-11-01 --diff --db support.db",
        _fill_replay,
        _run_replay,
    ),
    _Command(
        "consents",
        "print every word about a contact's consent, with its evidence",
        "The file is opened for reading only.",
        "ctxbridge consents sms:+15550100142 --db demo.db --json",
        _fill_consents,
        _run_consents,
    ),
    _Command(
        "link",
        "say that an address belongs to a contact",
        "Both lead to one conversation from now on. An address that has a history under another "
        "contact is not linked.",
        "ctxbridge link sms:+15550100142 email:ann@example.org --evidence crm:4711 --db support.db",
        _fill_link,
        _run_link,
    ),
    _Command(
        "export",
        "print all that is stored of a contact, as JSON Lines",
        "Texts and addresses are printed whole. The file is opened for reading only.",
        "ctxbridge export sms:+15550100142 --db support.db --tenant acme > ann.jsonl",
        _fill_export,
        _run_export,
    ),
    _Command(
        "erase",
        "erase a contact and all that is stored of them, and print the certificate",
        "Exit codes: 0 it is done; 1 nobody is stored, or --yes is missing; 2 an error.",
        "ctxbridge erase sms:+15550100142 --db support.db --tenant acme --yes",
        _fill_erase,
        _run_erase,
    ),
    _Command(
        "outbox",
        "list the messages that have not left yet",
        "The file is opened for reading only.",
        "ctxbridge outbox --db support.db --tenant acme",
        _fill_outbox,
        _run_outbox,
    ),
    _Command(
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
    _Command(
        "parse",
        "print what an adapter makes of payload files, one JSON object per file",
        "No secret is configured, so no signature and no token is checked.",
        "ctxbridge parse email mail.eml",
        _fill_parse,
        _run_parse,
    ),
)
