"""What was opened of a window that the inner store still holds: it need not be opened again.

Only as long as the inner store (its near cache) holds the window, so that nothing stays readable
in this process for longer than it would stay sealed.
"""

from typing import NamedTuple
from weakref import ref

from ctxbridge.model import Address, Contact, Context, Window


class _Opened(NamedTuple):
    """An opened window, and what it was opened for."""

    of: "ref[Window]"
    reader: tuple[str, Address]
    sealed: tuple[Contact | None, bytes | None]
    contact: Contact | None
    state: bytes | None
    window: Window


class Held:
    """Opened windows, by the sealed ones that they are of."""

    def __init__(self) -> None:
        self._windows: dict[int, _Opened] = {}

    def __repr__(self) -> str:
        return f"<Held windows={len(self._windows)}>"

    def get(self, context: Context, reader: tuple[str, Address]) -> _Opened | None:
        """What was opened of just this before, for the same reader."""
        found = self._windows.get(id(context.window))
        if found is None or found.reader != reader:
            return None
        contact, state = found.sealed
        return found if contact is context.contact and state is context.state else None

    def put(self, context: Context, reader: tuple[str, Address], opened: Context) -> None:
        """Hold what was `opened` until the inner store lets go of the window."""
        windows, number = self._windows, id(context.window)
        of = ref(context.window, lambda _: windows.pop(number, None))
        windows[number] = _Opened(
            of, reader, (context.contact, context.state), opened.contact, opened.state,
            opened.window,
        )  # fmt: skip
