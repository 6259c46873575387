"""What a turn keeps of a conversation beside its log: the team's state, and the guards' own."""

from typing import Generic, TypeVar

from ctxbridge.guards.states import GuardStates
from ctxbridge.wire import StateBytes, decode_state, encode_state
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
        self.guards = GuardStates(decode_state(stored).guards if stored is not None else ())

    @property
    def value(self) -> StateT:
        """The team's state; what is changed in it is found by `changed`."""
        if self._value is None:
            self._value = self._codec.decode(self._stored)
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
        whole = decode_state(team) if team is not None else stored
        return encode_state(whole._replace(guards=stored.guards if guards is None else guards))

    @property
    def team_changed(self) -> bool:
        """Whether the team's state was changed."""
        return self._team() is not None

    def _team(self) -> bytes | None:
        if self._value is None:
            return None
        after = self._codec.encode(self._value)
        return None if after == self._before else after
