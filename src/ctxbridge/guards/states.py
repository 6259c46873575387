"""What guards keep of a conversation: read with it, and saved with the turn that changed it."""

from collections.abc import Iterable, Mapping
from typing import Any

from ctxbridge.errors import ConfigurationError, CorruptRecord, UnknownFormat
from ctxbridge.model import Stage
from ctxbridge.ports import Guard

_LATE: frozenset[Stage] = frozenset({"reply", "send"})
"""Stages that are judged again where the commit finds that the conversation has changed."""


class GuardStates:
    """The states of one conversation's guards, for one turn.

    What is kept while a reply is judged stands apart: replies may be judged again, and then from
    where they began.
    """

    def __init__(self, stored: Iterable[tuple[str, bytes]] = ()) -> None:
        self._stored: Mapping[str, bytes] = dict(stored)
        self._kept: dict[str, Any] = {}
        self._of_replies: dict[str, Any] = {}
        self._codecs: dict[str, Any] = {}

    def of(self, guard: Guard, stage: Stage) -> Any:
        """What the guard keeps now; a fresh state where that is nothing, or cannot be read."""
        codec = self._codec(guard)
        if stage in _LATE and guard.name in self._of_replies:
            return self._of_replies[guard.name]
        if guard.name not in self._kept:
            try:
                return codec.decode(self._stored.get(guard.name))
            except (ConfigurationError, CorruptRecord, UnknownFormat):
                # Its type has changed. Guards that cannot be asked any more would block everybody.
                return codec.fresh()
        return self._kept[guard.name]

    def keep(self, guard: Guard, stage: Stage, state: Any) -> None:
        """Keep this from now on."""
        self._codec(guard)
        (self._of_replies if stage in _LATE else self._kept)[guard.name] = state

    def _codec(self, guard: Any) -> Any:
        return self._codecs.setdefault(guard.name, guard.codec)

    def rewind(self) -> None:
        """Forget what was kept while replies were judged."""
        self._of_replies.clear()

    def changed(self) -> tuple[tuple[str, bytes], ...] | None:
        """All states as they are to be stored; `None` where none was changed.

        Those of guards that are not here stay: they may be another process's.
        """
        now = self._kept | self._of_replies
        if not now:
            return None
        encoded = {name: self._codecs[name].encode(state) for name, state in now.items()}
        after = {**self._stored, **encoded}
        return None if after == self._stored else tuple(sorted(after.items()))
