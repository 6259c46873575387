"""How fast one endpoint sends: evenly, by the sender's `per_second`, within this process."""

from time import monotonic

import anyio

from ctxbridge.model import Endpoint


class Pace:
    """Gives each message of an endpoint its place in time."""

    def __init__(self) -> None:
        self._next: dict[Endpoint, float] = {}

    def seconds_until(self, endpoint: Endpoint, per_second: float) -> float:
        """How long a message must wait that takes the endpoint's next place; the place is taken."""
        if per_second <= 0:
            return 0.0
        now = monotonic()
        mine = max(self._next.get(endpoint, 0.0), now)
        self._next[endpoint] = mine + 1.0 / per_second
        return mine - now

    async def wait(self, endpoint: Endpoint, per_second: float) -> None:
        """Wait for the endpoint's next place."""
        seconds = self.seconds_until(endpoint, per_second)
        if seconds > 0:
            await anyio.sleep(seconds)
