"""Judges of what came in that are asked while the agent thinks already."""

import logging
from collections.abc import Awaitable, Callable

from ctxbridge.bridge.background import Background
from ctxbridge.guards.pipeline import Judged
from ctxbridge.model import Decision

logger = logging.getLogger("ctxbridge")

_FAILED = Judged("", Decision("inbound", "block", "block", "guard.error", ()))


class Beside:
    """One question to judges, asked in the background.

    `when_blocked` is called once they have stopped the message, if they do.
    """

    def __init__(self, ask: Callable[[], Awaitable[Judged]]) -> None:
        self._ask = ask
        self._judged = _FAILED
        self.when_blocked: Callable[[], object] = lambda: None
        self._work = Background(self._run)

    async def _run(self) -> None:
        try:
            self._judged = await self._ask()
        except Exception as error:  # noqa: BLE001 - nobody above could catch it
            # Its words may hold the customer's: its type must do.
            logger.error("judges beside an agent failed: %s", type(error).__name__)  # noqa: TRY400
        if self._judged.blocked:
            self.when_blocked()

    @property
    def blocked(self) -> bool:
        """Whether they have stopped the message already."""
        return not self._work.running and self._judged.blocked

    @property
    def thinks(self) -> bool:
        """Whether they have not said anything yet."""
        return self._work.running

    async def verdict(self) -> Judged:
        """What they say, as soon as they have said it."""
        await self._work.wait()
        return self._judged

    def end(self) -> None:
        """Nobody waits for it any more."""
        self._work.end()
