"""What a turn keeps of a conversation beside its log: the team's state, and the guards' own."""

from typing import Generic, TypeVar

from ctxbridge.guards.states import GuardStates
from ctxbridge.wire import StateBytes, decode_state, encode_state
from ctxbridge.wire.aside import Layer, laid_aside
from ctxbridge.wire.format2 import NOTHING
from ctxbridge.wire.typed import StateCodec

StateT = TypeVar("StateT")

_NONE = StateBytes(0, NOTHING, b"")


class Kept(Generic[StateT]):
    """The states of one conversation, as a turn found and changes them."""

    def __init__(self, codec: StateCodec[StateT], stored: bytes | None) -> None:
        self._codec = codec
        self._stored = stored
        self._value: StateT | None = None
        self._before = b""
        self._aside: tuple[Layer, ...] = ()
        self.guards = GuardStates(decode_state(stored).guards if stored is not None else ())

    @property
    def value(self) -> StateT:
        """The team's state; what is changed in it is found by `changed`.

        It is brought to the release's schema when it is first asked for. Reading alone writes
        nothing. Raises `StateUnreadable` where no way leads there.
        """
        if self._value is None:
            self._value, self._aside = self._codec.read(self._stored)
            self._before = self._codec.encode(self._value)
        return self._value

    @value.setter
    def value(self, value: StateT) -> None:
        _ = self.value
        self._value = value

    def changed(self, *, with_team: bool = True) -> bytes | None:
        """The envelope to store, `None` where nothing has changed.

        Without `with_team` what the agent did to the team's state is left out.
        """
        team = self._team() if with_team else None
        guards = self.guards.changed()
        if team is None and guards is None:
            return None
        stored = decode_state(self._stored) if self._stored is not None else _NONE
        kept = stored.guards if guards is None else guards
        if team is None:
            return encode_state(stored._replace(guards=kept))
        return encode_state(decode_state(team)._replace(guards=laid_aside(kept, self._aside)))

    @property
    def team_changed(self) -> bool:
        """Whether the team's state was changed."""
        return self._team() is not None

    def _team(self) -> bytes | None:
        if self._value is None:
            return None
        after = self._codec.encode(self._value)
        return None if after == self._before else after
