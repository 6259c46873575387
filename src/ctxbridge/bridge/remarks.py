"""What the log is told of a turn beside its messages."""

from ctxbridge.bridge.judging import escalation
from ctxbridge.guards.pipeline import Judged
from ctxbridge.model import Decision, Event


class Remarks:
    """Notes, and decisions that are of no message: collected in a turn, and stored with it."""

    def __init__(self) -> None:
        self._notes: list[Event] = []
        self._decisions: list[tuple[str, Decision]] = []

    def note(self, event: Event) -> None:
        """An event as it is."""
        self._notes.append(event)

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
