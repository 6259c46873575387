"""Which release answers whom, what stands still, and who said so."""

import argparse
import math
from typing import TYPE_CHECKING

from ctxbridge.cli.commands.command import (
    MOST,
    Command,
    by_of,
    count,
    fill_by,
    fill_json,
    fill_store,
    where_of,
    words,
)

if TYPE_CHECKING:
    from ctxbridge.cli.acting import Asked
    from ctxbridge.model.control import Scope

PURPOSES = ("service", "marketing", "otp")
SCOPE = ("agent", "version", "channel", "endpoint", "contact", "conversation", "purpose")


def _fill_act(command: argparse.ArgumentParser) -> None:
    """What all acts are asked with."""
    fill_store(command)
    told = "why; it is stored with the act"
    command.add_argument("--why", required=True, type=words, metavar="TEXT", help=told)
    fill_by(command)
    told = "tell what it would come to, and change nothing"
    command.add_argument("--dry-run", action="store_true", help=told)
    fill_json(command)


def _fill_rollback(rollback: argparse.ArgumentParser) -> None:
    rollback.add_argument("agent", metavar="AGENT", help="whose release is rolled back")
    told = "the version that answers all from now on"
    rollback.add_argument("--to", required=True, metavar="VERSION", help=told)
    told = "take back this one alone; several times for several (default: all but --to)"
    rollback.add_argument("--version", action="append", default=[], metavar="VERSION", help=told)
    told = "turns that run go to a person; what waits is answered by --to (default: both are)"
    rollback.add_argument("--handoff", action="store_true", help=told)
    told = "messages that have not left yet still leave (default: they are withheld, answered anew)"
    rollback.add_argument("--release-pending", action="store_true", help=told)
    told = "how many seconds to wait until what was stopped is answered (default: 10; 0: not)"
    rollback.add_argument("--within", type=_within, default=10.0, metavar="S", help=told)
    _fill_act(rollback)


def _within(text: str) -> float:
    return _number(text, MOST, f"it is a number of seconds, from 0 to {MOST}")


def _percent(text: str) -> float:
    return _number(text, 100, "it is a number from 0 to 100")


def _alpha(text: str) -> float:
    return _number(text, 1, "it is a chance, such as 0.05")


def _number(text: str, most: float, told: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= most:
        raise argparse.ArgumentTypeError(told)
    return number


def _fill_release(command: argparse.ArgumentParser) -> None:
    command.add_argument("agent", metavar="AGENT", help="the name of the agent")
    command.add_argument("version", metavar="VERSION", help="the version that this is about")


def _fill_versioned(command: argparse.ArgumentParser) -> None:
    _fill_release(command)
    _fill_act(command)


def _fill_canary(canary: argparse.ArgumentParser) -> None:
    _fill_release(canary)
    told = "of how many contacts in a hundred it begins the conversations; 0 ends it"
    canary.add_argument("percent", type=_percent, metavar="PERCENT", help=told)
    told = "only of those who write by this channel; several times for several"
    canary.add_argument("--channel", action="append", default=[], metavar="CHANNEL", help=told)
    told = "only where a guard put this label on the first message; several times for several"
    canary.add_argument("--label", action="append", default=[], metavar="LABEL", help=told)
    told = "compare it with the stable one, and roll it back once enough speaks against it"
    canary.add_argument("--trial", action="store_true", help=told)
    told = "with --trial: only propose to roll it back"
    canary.add_argument("--propose", action="store_true", help=told)
    told = "with --trial: the highest chance of a false alarm (default: 0.05)"
    canary.add_argument("--alpha", type=_alpha, metavar="A", help=told)
    _fill_act(canary)


def _fill_scope(command: argparse.ArgumentParser) -> None:
    told = "all of the tenant; without any other option of the scope this must be said"
    command.add_argument("--tenant-wide", action="store_true", help=told)
    command.add_argument("--agent", type=_word, metavar="AGENT", help="this agent")
    told = "with --agent: this version of it"
    command.add_argument("--version", type=_word, metavar="VERSION", help=told)
    told = "this channel, as in sms"
    command.add_argument("--channel", type=_word, metavar="CHANNEL", help=told)
    told = "this number, mailbox or app of ours, as in sms:+15550199999"
    command.add_argument("--endpoint", type=_endpoint, metavar="ENDPOINT", help=told)
    told = "this contact: an address, or the id in 32 hexadecimal digits"
    command.add_argument("--contact", type=_word, metavar="ADDRESS", help=told)
    told = "this conversation: its id in 32 hexadecimal digits"
    command.add_argument("--conversation", type=_id, metavar="ID", help=told)
    told = "messages for this purpose: " + ", ".join(PURPOSES)
    command.add_argument("--purpose", choices=PURPOSES, metavar="PURPOSE", help=told)
    _fill_act(command)


def _word(text: str) -> str:
    """Not empty: a shell's variable that is not set must not widen the scope."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return text


def _endpoint(text: str) -> str:
    channel, _, value = text.partition(":")
    if not channel or not value:
        raise argparse.ArgumentTypeError("it is written with its channel, as in sms:+15550199999")
    return text


def _id(text: str) -> str:
    from ctxbridge.cli.acting import id_in

    id = id_in(text)
    if not id:
        raise argparse.ArgumentTypeError("an id has 32 hexadecimal digits")
    return id


def _fill_control(control: argparse.ArgumentParser) -> None:
    fill_store(control)
    told = "the last N acts instead: who, when, why, the newest first"
    control.add_argument("--history", type=count, metavar="N", help=told)
    fill_json(control)


# --- running --------------------------------------------------------------------------------------


def _asked(arguments: argparse.Namespace) -> "Asked":
    from ctxbridge.cli.acting import Asked

    a = arguments
    return Asked(where_of(a), by_of(a), a.why, a.dry_run, a.json)


def _run_rollback(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.releases import rollback
    from ctxbridge.model.control import Pending, Running

    a = arguments
    running: Running = "handoff" if a.handoff else "retake"
    pending: Pending = "release" if a.release_pending else "withhold"
    return rollback(_asked(a), a.agent, a.to, a.version, running, pending, a.within)


def _run_promote(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.releases import promote

    return promote(_asked(arguments), arguments.agent, arguments.version)


def _run_canary(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.releases import canary
    from ctxbridge.model import TrialPolicy

    a = arguments
    if not a.trial and (a.propose or a.alpha is not None):
        a.parser.error("--propose and --alpha need --trial")
    alpha = TrialPolicy().alpha if a.alpha is None else a.alpha
    policy = TrialPolicy(alpha=alpha, acts=not a.propose) if a.trial else None
    return canary(_asked(a), a.agent, a.version, a.percent, a.channel, a.label, policy)


def _run_drain(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.releases import drain

    return drain(_asked(arguments), arguments.agent, arguments.version)


def _scope(arguments: argparse.Namespace) -> "Scope":
    from ctxbridge.model.control import Scope

    a = arguments
    scope = Scope(*[getattr(a, field) or "" for field in SCOPE])
    if a.tenant_wide and scope != Scope():
        a.parser.error("--tenant-wide is all there is: leave out the rest of the scope, or it")
    if not a.tenant_wide and scope == Scope():
        a.parser.error("say what: --agent, --channel, --contact, ..., or --tenant-wide for all")
    if a.version and not a.agent:
        a.parser.error("--version is one of an agent: say --agent too")
    return scope


def _run_pause(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.halts import halt

    return halt(_asked(arguments), _scope(arguments), "pause")


def _run_kill(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.halts import halt

    return halt(_asked(arguments), _scope(arguments), "kill")


def _run_resume(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.halts import resume

    return resume(_asked(arguments), _scope(arguments))


def _run_control(arguments: argparse.Namespace) -> int:
    from ctxbridge.cli.control import control, history

    a = arguments
    if a.history:
        return history(where_of(a), a.history, as_json=a.json)
    return control(where_of(a), as_json=a.json)


CODES = (
    "Exit codes: 0 done; 1 no such agent, version or contact is stored, and nothing was changed; "
    "2 an error"
)
COMMANDS = (
    Command(
        "control",
        "tell which release answers whom, what stands still, and how trials go",
        "The file is opened for reading only. Exit codes: 0 nothing stands still; 1 nothing was "
        "ever deployed or halted; 2 an error; 3 something stands still, or a trial proposes a "
        "rollback.",
        "ctxbridge control --db support.db --tenant acme",
        _fill_control,
        _run_control,
    ),
    Command(
        "rollback",
        "let another version answer all, at once, and take back what others have begun",
        "What ran can say nothing any more once this is in force. The report counts what was "
        f"stopped, and what became of it. {CODES}; 3 it is in force, and some conversations still "
        "waited for an answer when the time was over: they stay stored, and are answered by "
        "whoever sweeps.",
        "ctxbridge rollback support --to v11 --why 'v12 is rude' --db support.db --tenant acme",
        _fill_rollback,
        _run_rollback,
    ),
    Command(
        "promote",
        "let a version answer all new conversations",
        "Those that the stable version has begun it goes on with. A version that was rolled back "
        f"may be promoted again. {CODES}.",
        "ctxbridge promote support v12 --why 'a good week' --db support.db --tenant acme",
        _fill_versioned,
        _run_promote,
    ),
    Command(
        "canary",
        "let a version answer some of the new conversations",
        f"They must fit all that is given. The contacts are always the same ones. {CODES}.",
        "ctxbridge canary support v12 10 --trial --why 'the new prompt' --db support.db",
        _fill_canary,
        _run_canary,
    ),
    Command(
        "drain",
        "let a version begin no conversation any more",
        f"It goes on with those that it has. {CODES}.",
        "ctxbridge drain support v12 --why 'it is slow' --db support.db --tenant acme",
        _fill_versioned,
        _run_drain,
    ),
    Command(
        "pause",
        "let something stand still: what has not left waits for the end of it",
        "No turn opens, none is committed, nothing leaves; what customers write is stored and "
        f"waits. All of the scope must fit. {CODES}.",
        "ctxbridge pause --agent support --why 'looking at it' --db support.db --tenant acme",
        _fill_scope,
        _run_pause,
    ),
    Command(
        "kill",
        "as pause, and what has not left never will",
        f"What customers write is stored and waits. All of the scope must fit. {CODES}.",
        "ctxbridge kill --purpose marketing --why 'wrong prices' --db support.db --tenant acme",
        _fill_scope,
        _run_kill,
    ),
    Command(
        "resume",
        "end the pause or kill of exactly this scope",
        "What waits is answered now. Exit codes: 0 done; 1 nothing of this scope stands still, and "
        "it is told what does; 2 an error.",
        "ctxbridge resume --agent support --why 'mended' --db support.db --tenant acme",
        _fill_scope,
        _run_resume,
    ),
)
