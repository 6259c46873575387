"""Who may speak."""

import argparse

from ctxbridge.cli.commands.command import Command, by_of, fill_by, fill_json, fill_store, where_of

VERBS = ("show", "offer", "accept", "pass", "release")
_LONGEST = 30 * 86_400.0


def _fill(floor: argparse.ArgumentParser) -> None:
    floor.add_argument("verb", choices=VERBS, metavar="STEP", help=", ".join(VERBS))
    floor.add_argument("address", metavar="ADDRESS", help="sms:+1..., email:..., chat:...")
    fill_store(floor)
    fill_by(floor)
    told = "for whom: whom an offer is meant for; who gets it by `pass`, or `queue`"
    floor.add_argument("--to", default="", metavar="NAME", help=told)
    floor.add_argument("--reason", default="", metavar="TEXT", help="why it is offered")
    told = "what a colleague has to know first"
    floor.add_argument("--summary", default="", metavar="TEXT", help=told)
    told = "what the customer was told will happen; may be given several times"
    floor.add_argument("--promised", action="append", default=[], metavar="TEXT", help=told)
    told = "for how many seconds it is offered (default: an hour; 0: until somebody comes)"
    floor.add_argument("--within", type=_seconds, metavar="S", help=told)
    told = "what the customer is told if nobody comes ('' for nothing)"
    floor.add_argument("--otherwise", metavar="TEXT", help=told)
    told = "only if this is still the step that was done last, as `show` tells it"
    floor.add_argument("--epoch", type=_number, metavar="N", help=told)
    floor.add_argument("--note", default="", metavar="TEXT", help="what the agent is to know")
    told = "`release`: take it from whoever has it"
    floor.add_argument("--force", action="store_true", help=told)
    fill_json(floor, "one JSON object")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= _LONGEST:
        raise argparse.ArgumentTypeError("it is a number of seconds, up to 30 days")
    return seconds


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise argparse.ArgumentTypeError("it is a number, from 0 on")
    return int(text)


def _run(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.floor import Wanted, floor

    a = arguments
    if a.verb == "offer" and not a.reason:
        a.parser.error("an offer needs a --reason")
    if a.verb == "pass" and not a.to:
        a.parser.error("pass needs --to: a colleague, or queue")
    wanted = Wanted(
        a.verb, a.address, by_of(a), a.to, a.reason, a.summary, tuple(a.promised), a.within,
        a.otherwise, a.epoch, a.note, a.force,
    )  # fmt: skip
    return floor(wanted, where_of(a), as_json=a.json)


COMMANDS = (
    Command(
        "floor",
        "tell who may speak to a customer, agent or colleague, and move that",
        "The agent is silent from `offer` or `accept` on, until `release`; what it has prepared "
        "does not leave. A service that runs with the same store ends offers that nobody accepts. "
        "`show` opens the file for reading only. Exit codes: 0 it is done; 1 nobody is stored; "
        "2 an error; 3 somebody else has the floor, or the step is not the last any more.",
        "ctxbridge floor accept sms:+15550100142 --by bea --db support.db --tenant acme",
        _fill,
        _run,
    ),
)
