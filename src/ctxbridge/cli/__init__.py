"""The command line: ``ctxbridge demo | show | explain | replay | ...``, see `commands`.

What a command needs is imported when it runs, so ``--help`` and ``--version`` answer at once.
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ctxbridge.cli.parser import make_parser
from ctxbridge.errors import CtxBridgeError

FAILED = 2
INTERRUPTED = 130
CLOSED = 141  # what a shell reports of a program that SIGPIPE ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; the console script ``ctxbridge``.

    0 is success, 1 "nothing is stored under this address, key or name", 2 an error, told in one
    line on stderr; 3 is for scripts: ``dead`` found something, a store is not fit (``check``), some
    still wait (``rollback``). 130 is told of Ctrl-C, 141 of a closed pipe.
    """
    if sys.stdout is None:  # it was closed before we began, as by >&-
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            return main(argv)
    arguments = make_parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _silence()
        return CLOSED
    except (CtxBridgeError, OSError) as error:
        return _failed(str(error))
    except UnicodeEncodeError:  # a byte of an argument that is no text stands there as a surrogate
        return _failed("an argument is no text in UTF-8, so nothing was done")
    return code


def _failed(told: str) -> int:
    print(f"ctxbridge: {told}", file=sys.stderr)
    _silence()
    return FAILED


def _silence() -> None:
    """Let what stands in stdout's buffer go nowhere, or Python would complain of it at its end."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
