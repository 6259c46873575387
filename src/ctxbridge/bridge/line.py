"""Who waits in this process for a conversation, in the order in which they came."""

import anyio


class Ticket:
    """One place in a line."""

    def __init__(self, contact: bytes) -> None:
        self.contact = contact
        self.called = anyio.Event()


class Lines:
    """A line for each contact. Only the first of it looks whether the lease is free.

    The store decides; this only spares those behind from asking, and wakes the next at once when a
    turn of this process ends. Other processes are noticed by looking.
    """

    def __init__(self) -> None:
        self._lines: dict[bytes, list[Ticket]] = {}

    def join(self, contact: bytes) -> Ticket:
        """Stand at the end of the line."""
        ticket = Ticket(contact)
        self._lines.setdefault(contact, []).append(ticket)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Leave the line, wherever one stands in it; whoever is first then is called."""
        line = self._lines[ticket.contact]
        line.remove(ticket)
        if line:
            line[0].called.set()
        else:
            del self._lines[ticket.contact]

    def call(self, contact: bytes) -> None:
        """A turn has ended: let the first of the line look at once."""
        if line := self._lines.get(contact):
            line[0].called.set()

    async def wait(self, ticket: Ticket, seconds: float) -> None:
        """Wait to be called; the first of the line at most `seconds`."""
        if self._lines[ticket.contact][0] is ticket:
            with anyio.move_on_after(seconds):
                await ticket.called.wait()
        else:
            await ticket.called.wait()
        ticket.called = anyio.Event()
