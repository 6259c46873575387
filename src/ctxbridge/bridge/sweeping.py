"""What is done again and again beside the service, whatever happens meanwhile."""

import logging
from collections.abc import Awaitable, Callable

import anyio

logger = logging.getLogger("ctxbridge")

_LONGEST_PAUSE_SECONDS = 30.0


async def sweep(work: Callable[[], Awaitable[int]], seconds: float) -> None:
    """Do `work` every so often, until cancelled; less often while it fails."""
    pause = seconds
    while True:
        try:
            await work()
            pause = seconds
        except Exception as error:  # noqa: BLE001 - one failure must not end the sweeping
            pause = min(pause * 2, max(seconds, _LONGEST_PAUSE_SECONDS))
            logger.warning("a sweep failed: %s", type(error).__name__)
        await anyio.sleep(pause)
