"""``python -m ctxbridge.testing.storm``: let a storm blow over a store, and print the account."""

import argparse
import asyncio
import logging
import secrets
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import msgspec

from ctxbridge.errors import CtxBridgeError
from ctxbridge.testing.storm.driver import INTERRUPTED, Storm
from ctxbridge.testing.storm.plan import Account, Plan
from ctxbridge.testing.storm.telling import tell
from ctxbridge.testing.storm.variants import VARIANTS

PROGRAM = "python -m ctxbridge.testing.storm"
_BAD, _FAILED, _INTERRUPTED = 1, 2, 130
_NUMBERS = {
    "messages": "how many messages are written",
    "customers": "how many conversations there are",
    "writers": "how many write at the same time",
    "workers": "how many processes answer",
    "copies": "how often a webhook comes at once, at most",
    "kills": "how many workers are killed",
    "kill-seconds": "how long between two kills",
    "freezes": "how many workers are stopped past their lease",
    "seconds": "how long the storm may last",
    "settle-seconds": "how long what is left may take then",
    "think-seconds": "how long the agent thinks",
    "lease-seconds": "how long a worker is believed to live",
    "pace-seconds": "how long a writer rests",
    "mishaps": "the share of sends that go wrong at the provider",
    "seed": "another number, another storm",
}


class Parser(argparse.ArgumentParser):
    """Tells an error in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(_FAILED, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """0 if nothing was lost or duplicated, 1 if so, 2 where it could not be found out."""
    given = vars(_parser().parse_args(argv))
    as_json = given.pop("json")
    logging.disable(logging.CRITICAL)  # workers that share this process complain of the weather
    try:
        plan = Plan(**given, tenant=f"storm-{secrets.token_hex(4)}")
        account = asyncio.run(_blow(plan))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except (CtxBridgeError, OSError) as error:
        sys.stderr.write(f"{PROGRAM}: {error}\n")
        return _FAILED
    said = msgspec.json.encode(account).decode() if as_json else tell(account)
    sys.stdout.write(f"{said}\n")
    if INTERRUPTED in account.problems:
        return _INTERRUPTED
    return 0 if account.good else _BAD


async def _blow(plan: Plan) -> Account:
    """The storm, which an interrupt ends with the account so far."""
    storm = Storm(plan)
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, storm.stop)
    return await storm.blow()


def _parser() -> Parser:
    parser = Parser(
        prog=PROGRAM,
        description="A bot on several workers, under duplicates, kills and stops; and its account.",
        epilog="What it writes stays in the store, under a tenant of its own.",
    )
    parser.add_argument("--url", required=True, help="the address of a store")
    defaults = {field.name: field.default for field in msgspec.structs.fields(Plan)}
    for name, what in _NUMBERS.items():
        default = defaults[name.replace("-", "_")]
        parser.add_argument(
            f"--{name}", type=type(default), default=default, help=f"{what} ({default})"
        )
    parser.add_argument("--overlap", default="merge", choices=["merge", "queue", "supersede"])
    parser.add_argument("--at-most-once", action="store_true", help="the provider takes no key")
    parser.add_argument("--variant", default="real", choices=[*VARIANTS], help="a broken store")
    parser.add_argument("--json", action="store_true", help="the account as one JSON object")
    return parser


if __name__ == "__main__":
    sys.exit(main())
