"""How other guardrails are measured: each in a process of its own, since some share a name.

The process prints ``ready`` once it has shown that it lets a harmless text through and stops the
other, and then a sample for each number on stdin: so many calls, one after the other.
"""

import asyncio
import gc
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib.metadata import version

from bench.harness import Sample, Skip, in_blocks

HARMLESS = (
    "Your parcel left this morning and should be with you tomorrow before noon. Anything else?"
)
PROMISE = "Delivery tomorrow is guaranteed."
LONGEST = 1_600

Passes = Callable[[str], Awaitable[bool]]
"""Whether a text may go out, by what a library does with the three guards below."""


def too_long(text: str) -> bool:
    return len(text) > LONGEST


def promises(text: str) -> bool:
    return "guaranteed" in text


def links(text: str) -> bool:
    return "http" in text


GUARDS: tuple[Callable[[str], bool], ...] = (too_long, promises, links)
"""As cheap as a guard can be: what is measured is what a library does around them."""


def serve(make: Callable[[], Passes], package: str) -> None:
    """Be the process of a peer; `make` imports it and may raise `Skip`."""
    try:
        passes = make()
        number = version(package)
        with asyncio.Runner() as runner:
            runner.run(_serve(passes, f"{package} {number}"))
    except Skip as reason:
        print(f"not measured: {reason}", flush=True)


async def _serve(passes: Passes, name: str) -> None:
    if not await passes(HARMLESS) or await passes(PROMISE):
        raise Skip(f"{name} does not judge as the others do")
    gc.collect()
    gc.freeze()
    print(f"ready {name}", flush=True)
    # Nothing else runs on this loop, so it may wait for the next line.
    while line := sys.stdin.readline():
        gc.collect()
        await passes(HARMLESS)  # what another process has displaced is brought back
        sample: Sample = await in_blocks(passes, [HARMLESS] * int(line))
        print(json.dumps(asdict(sample)), flush=True)
