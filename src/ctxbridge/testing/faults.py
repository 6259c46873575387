"""What a proxy shall do to the requests and answers that run through it.

A request, and an answer, is a chunk: what one read from the socket gives. So a pipeline may be one
request, a long request may be several, and the answer to a request is the first chunk that comes
back after it; count on that only where one request is under way per connection. What a driver says
when it connects is a request too: name yours with `containing`.
"""

from typing import Literal

How = Literal["reset", "blackhole", "late", "refuse", "cut"]


class Faults:
    """What shall go wrong, and what has happened so far. All of it may be changed at any time.

    Attributes:
        delay_seconds: for the way there and back together; event loops round up to milliseconds.
        late_seconds: how much later an answer comes that `lose` makes late.
        down: reset every new connection; those that are there stay.
        connections: how many were accepted.
        requests: how many chunks came from clients.
        lost: how many requests met a fault of `lose`, `refuse` or `cut_requests`.
        bytes_in: how much came from clients.
        bytes_out: how much came from the server.
    """

    def __init__(self) -> None:
        self.delay_seconds = 0.0
        self.late_seconds = 1.0
        self.down = False
        self.connections = self.requests = self.lost = self.bytes_in = self.bytes_out = 0
        self._planned: list[tuple[How, bytes]] = []
        self._swaps = 0

    def lose(
        self, times: int, how: Literal["reset", "blackhole", "late"], containing: bytes = b""
    ) -> None:
        """Lose the answers to the next `times` requests with `containing` in them.

        The server gets the request in any case. "reset": the client's connection is reset in place
        of the answer; the server's is closed in order, because a reset could take back a request
        that it has not read yet. "blackhole": the answer and all that follows vanishes, both ways,
        while the connection stays open. "late": the connection stalls, both ways, and goes on after
        `late_seconds` with the answer.
        """
        self._planned += [(how, containing)] * times

    def refuse(self, times: int, containing: bytes = b"") -> None:
        """Reset in place of forwarding the next `times` requests: surely not applied."""
        self._planned += [("refuse", containing)] * times

    def cut_requests(self, times: int, containing: bytes = b"") -> None:
        """Forward only the first half of the next `times` requests, then reset."""
        self._planned += [("cut", containing)] * times

    def swap_next(self) -> None:
        """Hold the next answer until another has come on its connection, and deliver that first.

        Two requests must be under way, sent apart; else the client waits for ever.
        """
        self._swaps += 1

    def heal(self) -> None:
        """Plan no further fault. What was done to a connection stays."""
        self._planned.clear()
        self._swaps = 0
        self.delay_seconds = 0.0
        self.down = False

    def strike(self, request: bytes) -> How | None:
        """What is to happen to `request`; the proxy's side of the plan."""
        for place, (how, containing) in enumerate(self._planned):
            if containing in request:
                del self._planned[place]
                self.lost += 1
                return how
        return None

    def take_swap(self) -> bool:
        """Whether this answer is to be held; the proxy's side of `swap_next`."""
        taken = self._swaps > 0
        self._swaps -= taken
        return taken
