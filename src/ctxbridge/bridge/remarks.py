"""What the log is told of a turn beside its messages."""

from msgspec.structs import replace

from ctxbridge.bridge.judging import escalation
from ctxbridge.bridge.replying import Work
from ctxbridge.errors import TooLarge
from ctxbridge.guards.pipeline import Judged
from ctxbridge.model import Decision, Event, Handoff, Part
from ctxbridge.wire.checked import MAX_MESSAGE_BYTES, checked_parts


class Remarks:
    """Notes, and decisions that are of no message: collected in a turn, and stored with it."""

    def __init__(self) -> None:
        self._notes: list[Event] = []
        self._decisions: list[tuple[str, Decision]] = []
        self._size = 0
        self.work = Work()
        """What the agent did besides its replies."""
        self.offer: Handoff | None = None
        """What the agent hands over to a colleague with its last words."""

    def note(self, event: Event) -> None:
        """An event as it is."""
        self._notes.append(event)

    def keep(self, parts: tuple[Part, ...]) -> None:
        """What the agent did. Raises `Malformed`, and `TooLarge` beyond a megabyte in all."""
        parts, size = checked_parts(parts)
        if self._size + size > MAX_MESSAGE_BYTES:
            raise TooLarge("what a turn keeps", self._size + size, MAX_MESSAGE_BYTES)
        self._size += size
        self.work = replace(self.work, parts=self.work.parts + parts)

    def labelled(self, judged: Judged) -> None:
        """What a tool was asked or answered is labelled: so is the work that it is part of."""
        if judged.labels:
            self.work = replace(self.work, labels=self.work.labels + judged.labels)

    def decided(self, about: str, decision: Decision) -> None:
        """What guards said, and of what: a stage, or a stage and a tool."""
        self._decisions.append((about, decision))

    def escalated(self, judged: Judged, turn: bytes, now: int) -> None:
        """A person is to look at it, if a guard said so."""
        if judged.to:
            self._notes.append(escalation(judged, turn, now))

    def events(self, turn: bytes, now: int) -> tuple[Event, ...]:
        """All of it, as entries of the log: the decisions are one."""
        decisions = (Event.of_decisions(now, turn, self._decisions),) if self._decisions else ()
        return (*self._notes, *decisions)
