"""Waiting and measuring on a machine that has other things to do.

A process stands still for some hundred milliseconds now and then, whatever it does. So nothing is
taken for done because some time has gone by, and nothing is called slow because it was so once.
"""

from inspect import isawaitable

import anyio

LIMIT_SECONDS = 60.0
"""What has not happened by then does not happen: long enough that only a fault comes to it."""


async def until(holds, seconds=LIMIT_SECONDS):
    """Wait until `holds()`, which may be a coroutine function, for what tells nobody that it came."""
    with anyio.fail_after(seconds):
        while not await _answer(holds):  # noqa: ASYNC110 - it tells nobody
            await anyio.sleep(0.005)


async def best_of(measure, good, tries=6):
    """What the first measurement gives that is `good`, or the last of them.

    What is slow by its nature is so each time; what was only interrupted is not.
    """
    for _ in range(tries):
        found = await _answer(measure)
        if good(found):
            break
    return found


async def _answer(ask):
    found = ask()
    return await found if isawaitable(found) else found
