"""Where workers come from: a process that has imported everything and forks one on demand.

A kill then costs milliseconds. It is a program of its own, so that nobody forks the process of the
caller, which may have threads. It reads the plan in one line, then the number of a worker in each;
it answers with process ids. When its input ends it ends all workers, also those that are stopped.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
from functools import partial
from pathlib import Path

import msgspec

from ctxbridge.testing.storm.ground import Ground
from ctxbridge.testing.storm.stages import Stages
from ctxbridge.testing.storm.variants import store_of
from ctxbridge.testing.storm.worker import work


def main() -> None:
    """Serve until the input ends; then end everybody."""
    logging.disable(logging.CRITICAL)
    ground = msgspec.json.decode(sys.stdin.buffer.readline(), type=Ground)
    stages = ground.stages
    store_of(ground.plan)  # whatever it imports
    gc.freeze()
    born: dict[int, int] = {}
    while line := sys.stdin.buffer.readline():
        number = int(line)
        if number in born:
            # Its predecessor was killed; until here nobody else could get its process id.
            os.waitpid(born[number], 0)
        born[number] = pid = os.fork()
        if not pid:
            _live(ground, stages, number)
        sys.stdout.buffer.write(b"%d\n" % pid)
        sys.stdout.buffer.flush()
    os.killpg(0, signal.SIGKILL)


def _live(ground: Ground, stages: Stages, number: int) -> None:
    try:
        asyncio.run(work(ground.plan, ground.socket, partial(stages.at, number)))
    except ConnectionError:
        pass  # the storm is over before this worker began
    except BaseException as error:  # noqa: BLE001 - a forked child must never return
        _tell_why(ground.ended, error)
    finally:
        os._exit(0)


def _tell_why(path: Path, error: BaseException) -> None:
    with path.open("a") as file:
        file.write(f"a worker ended by itself: {type(error).__name__}\n")


if __name__ == "__main__":
    main()
