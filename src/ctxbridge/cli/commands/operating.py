"""What is going on, and whether the ground under it is sound."""

import argparse

from ctxbridge.cli.commands.command import MOST, Command, count, fill_json, fill_store, where_of

LEVELS = ("fast", "local", "replicated", "replicated+local")
SHELLS = ("bash", "zsh", "fish")


def _fill_tail(tail: argparse.ArgumentParser) -> None:
    told = "whose conversation (default: all that is new in the store)"
    tail.add_argument("address", nargs="?", default="", metavar="ADDRESS", help=told)
    fill_store(tail)
    told = "how many entries to begin with (default: 10; 0 for none)"
    tail.add_argument("-n", "--last", type=_last, default=10, metavar="N", help=told)
    told = "only what went by this very address, and not what the contact said elsewhere"
    tail.add_argument("--only", action="store_true", help=told)
    told = "end by itself after so many seconds, with exit code 0"
    tail.add_argument("--seconds", type=_seconds, metavar="S", help=told)
    fill_json(tail)


def _last(text: str) -> int:
    return 0 if text == "0" else count(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= MOST:
        raise argparse.ArgumentTypeError(f"it is a number of seconds, above 0, up to {MOST}")
    return seconds


def _fill_stats(stats: argparse.ArgumentParser) -> None:
    fill_store(stats)
    fill_json(stats, "one JSON object")


def _fill_check(check: argparse.ArgumentParser) -> None:
    fill_store(check)
    told = "what an acknowledged write is to survive (default: what the address says)"
    check.add_argument("--durability", choices=LEVELS, help=told)
    fill_json(check, "one JSON object")


def _fill_doctor(doctor: argparse.ArgumentParser) -> None:
    fill_store(doctor, required=False)
    fill_json(doctor, "one JSON object for each finding")


def _fill_completion(completion: argparse.ArgumentParser) -> None:
    completion.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


def _run_tail(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.tail import Tailed, tail

    a = arguments
    if a.only and not a.address:
        a.parser.error("--only needs an ADDRESS")
    return tail(Tailed(where_of(a), a.address, a.last, a.only, a.json, a.seconds))


def _run_stats(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.stats import stats

    return stats(where_of(arguments), as_json=arguments.json)


def _run_check(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.fit import check

    return check(where_of(arguments), arguments.durability, as_json=arguments.json)


def _run_doctor(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.doctor import doctor

    return doctor(where_of(arguments) if arguments.db else None, as_json=arguments.json)


def _run_completion(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.completion import completion

    return completion(arguments.shell)


COMMANDS = (
    Command(
        "tail",
        "print what is written to a conversation, or to the whole store, as it is written",
        "A message is shown as it comes in; what became of it `show` tells. SQLite tells when its "
        "file was written to, Redis when a conversation has changed; without an ADDRESS the store "
        "is read from end to end for each look. The file is opened for reading only. Exit codes: "
        "130 ended by Ctrl-C; 0 --seconds are over; 2 an error.",
        "ctxbridge tail sms:+15550100142 --db support.db --tenant acme",
        _fill_tail,
        _run_tail,
    ),
    Command(
        "stats",
        "count conversations and messages, and what waits, is pending, or is dead",
        "The store is read from end to end. The file is opened for reading only. Exit codes: 0 all "
        "could be read; 2 an error; 3 a conversation cannot be read.",
        "ctxbridge stats --db support.db --tenant acme --json",
        _fill_stats,
        _run_stats,
    ),
    Command(
        "check",
        "tell whether a store is fit for the durability that is wanted",
        "It is opened as a service opens it; a file of an older version stays as it is, and is not "
        "fit. Exit codes: 0 it is fit; 2 it cannot be reached, or is no store; 3 it is not fit, "
        "with what to change.",
        "ctxbridge check --db redis://localhost:6379 --durability local",
        _fill_check,
        _run_check,
    ),
    Command(
        "doctor",
        "look at Python, packages, secrets in the environment, and a store",
        "Of a Redis store also at its clock and at TLS. No value of a secret is printed. Exit "
        "codes: 0 nothing is to be mended; 2 an error; 3 something is.",
        "ctxbridge doctor --db redis://localhost:6379",
        _fill_doctor,
        _run_doctor,
    ),
    Command(
        "completion",
        "print a script that lets a shell complete these commands",
        "For bash and zsh it is sourced (`source <(ctxbridge completion bash)`); for fish it is "
        "written to ~/.config/fish/completions/ctxbridge.fish.",
        "ctxbridge completion bash",
        _fill_completion,
        _run_completion,
    ),
)
