"""What guards keep of a conversation: read with it, and saved with the turn that changed it."""

from collections.abc import Iterable, Mapping
from typing import Any

from ctxbridge.errors import CorruptRecord, UnknownFormat
from ctxbridge.model import Stage

_LATE: frozenset[Stage] = frozenset({"reply", "send"})
"""Stages that are judged again where the commit finds that the conversation has changed."""


class GuardStates:
    """The states of one conversation's guards, for one turn.

    What is kept while a reply is judged stands apart: replies may be judged again, and then from
    where they began.
    """

    def __init__(self, stored: Iterable[tuple[str, bytes]] = ()) -> None:
        self._stored: Mapping[str, bytes] = dict(stored)
        self._kept: dict[str, bytes] = {}
        self._of_replies: dict[str, bytes] = {}

    def of(self, guard: Any, stage: Stage) -> Any:
        """What the guard keeps now; a fresh state where that is nothing, or cannot be read.

        It is decoded each time: what a guard does to it in place changes nothing.
        """
        name = guard.name
        held = self._kept.get(name, self._stored.get(name))
        if stage in _LATE:
            held = self._of_replies.get(name, held)
        try:
            return guard.codec.decode(held)
        except (CorruptRecord, UnknownFormat):
            # Its type has changed. Guards that cannot be asked any more would block everybody.
            return guard.codec.fresh()

    def keep(self, guard: Any, stage: Stage, state: Any) -> None:
        """Keep this from now on."""
        kept = self._of_replies if stage in _LATE else self._kept
        kept[guard.name] = guard.codec.encode(state)

    def rewind(self) -> None:
        """Forget what was kept while replies were judged."""
        self._of_replies.clear()

    def changed(self) -> tuple[tuple[str, bytes], ...] | None:
        """All states as they are to be stored; `None` where none was changed.

        Those of guards that are not here stay: they may be another process's.
        """
        after = {**self._stored, **self._kept, **self._of_replies}
        return None if after == self._stored else tuple(sorted(after.items()))
