"""Who waits in this process for a conversation, in the order in which they came."""

from collections.abc import Awaitable, Callable

import anyio


class Ticket:
    """One place in a line."""

    def __init__(self, contact: bytes) -> None:
        self.contact = contact
        self.called = anyio.Event()


class Lines:
    """A line for each contact. Only the first of it looks whether the lease is free.

    The store decides; this only spares those behind from asking, and wakes the next at once when a
    turn of this process ends. Of other processes' turns the store tells.
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

    async def wait(self, ticket: Ticket, look: Callable[[], Awaitable[None]]) -> None:
        """Wait to be called; the first of the line no longer than `look` takes."""
        if self._lines[ticket.contact][0] is not ticket:
            await ticket.called.wait()
        elif not ticket.called.is_set():
            await _either(ticket.called, look)
        ticket.called = anyio.Event()


async def _either(called: anyio.Event, look: Callable[[], Awaitable[None]]) -> None:
    """Wait until called, or until `look` has returned; what it raises is raised."""
    failed: list[Exception] = []

    async def looking() -> None:
        try:
            await look()
        except Exception as error:  # noqa: BLE001 - a task group would wrap it in a group
            failed.append(error)
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(looking)
        await called.wait()
        group.cancel_scope.cancel()
    if failed:
        raise failed[0]
