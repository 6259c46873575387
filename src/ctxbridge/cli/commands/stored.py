"""What is stored, and what was decided: read, and nothing is changed."""

import argparse

from ctxbridge.cli.commands.command import (
    Command,
    fill_address,
    fill_json,
    fill_store,
    fill_told,
    where_of,
)


def _fill_demo(demo: argparse.ArgumentParser) -> None:
    told = "keep it in this file, or store (redis://...); else in a temporary file"
    demo.add_argument("--db", metavar="FILE", help=told)
    fill_json(demo, "one JSON object per message, then a sum")


def _fill_show(show: argparse.ArgumentParser) -> None:
    fill_address(show)
    fill_json(show, "one JSON object per message")


def _fill_explain(explain: argparse.ArgumentParser) -> None:
    told = "the turn's id, or 8 of its digits or more; or an address, for all of its turns"
    explain.add_argument("turn", metavar="TURN", help=told)
    fill_store(explain)
    fill_told(explain)


def _fill_consents(consents: argparse.ArgumentParser) -> None:
    fill_address(consents)
    fill_told(consents)


def _fill_replay(replay: argparse.ArgumentParser) -> None:
    fill_store(replay)
    told = "where the guards are, as in shop.policy:guards (this folder first), or policy.toml"
    replay.add_argument("--guards", required=True, metavar="MODULE:LIST", help=told)
    told = "a date or a time (UTC unless it says otherwise), as in 2026-11-01"
    replay.add_argument("--since", type=_moment, default=0, metavar="TIME", help=told)
    replay.add_argument("--until", type=_moment, metavar="TIME", help="before this time")
    replay.add_argument("--address", metavar="ADDRESS", help="of this contact alone")
    replay.add_argument("--diff", action="store_true", help="each message that would change")
    fill_told(replay)


def _moment(text: str) -> int:
    from ctxbridge.cli.replay import moment_of

    try:
        return moment_of(text)
    except ValueError:
        raise argparse.ArgumentTypeError("it is a date or a time, as in 2026-11-01") from None


def _run_demo(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.demo import demo

    return demo(arguments.db, as_json=arguments.json)


def _run_show(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.show import show

    return show(arguments.address, where_of(arguments), as_json=arguments.json)


def _run_explain(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.explain import explain

    a = arguments
    return explain(a.turn, where_of(a), as_json=a.json, show_text=a.show_text)


def _run_consents(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.consents import consents

    a = arguments
    return consents(a.address, where_of(a), as_json=a.json, show_text=a.show_text)


def _run_replay(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.replay import Wanted, replay

    a = arguments
    if a.until is not None and a.since >= a.until:
        a.parser.error("--since is not before --until")
    wanted = Wanted(where_of(a), a.guards, a.since, a.until, a.address, a.diff, a.json, a.show_text)
    return replay(wanted)


COMMANDS = (
    Command(
        "demo",
        "play one customer over three channels and show the conversation",
        "Provider payloads go through the real adapters, guards and store; nothing leaves this "
        "machine. A second run on the same file finds only duplicates.",
        "ctxbridge demo --db demo.db",
        _fill_demo,
        _run_demo,
    ),
    Command(
        "show",
        "print a stored conversation",
        "The file is opened for reading only.",
        "ctxbridge show sms:+15550100142 --db demo.db",
        _fill_show,
        _run_show,
    ),
    Command(
        "explain",
        "tell what guards decided in a turn, and why",
        "Every message of the turn with each guard that was asked, was not, failed or was late. "
        "Without an address the whole store is looked through. The file is opened for reading "
        "only.",
        "ctxbridge explain 01a21f4e5325 --db demo.db",
        _fill_explain,
        _run_explain,
    ),
    Command(
        "replay",
        "judge stored messages again by other guards, and tell what would have changed",
        "Nothing is written and nothing is sent. Exit codes: 0 nothing would have changed; "
        "2 an error; 3 something would.",
        "ctxbridge replay --guards shop.policy:guards --since 2026-11-01 --diff --db support.db",
        _fill_replay,
        _run_replay,
    ),
    Command(
        "consents",
        "print every word about a contact's consent, with its evidence",
        "The file is opened for reading only.",
        "ctxbridge consents sms:+15550100142 --db demo.db --json",
        _fill_consents,
        _run_consents,
    ),
)
