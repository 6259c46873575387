"""What the latest turn of each conversation took: from the spans that the running app makes.

A span processor in the same process, for the page; a service sends its spans to a collector.
"""

from collections import OrderedDict
from typing import Any

from msgspec import Struct
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

STEPS = {
    "ctxbridge.load": "look-up",
    "invoke_agent": "agent",
    "run_guardrail": "guard",
    "ctxbridge.permit": "gate",
    "ctxbridge.commit": "commit",
    "send": "send",
}
"""The first word of a span's name, and what the page calls it."""
_MOST_TURNS = 1_000


class Step(Struct, frozen=True):
    """One step of a turn; `start` is counted from the turn's own, both in microseconds."""

    name: str
    start: int
    took: int


class Timing(Struct, frozen=True):
    """A turn as its spans tell it. `took` is in microseconds; `turn` is its id in hexadecimal."""

    turn: str
    span: str
    took: int
    steps: tuple[Step, ...]


class Timings(SpanProcessor):
    """Keeps the spans of the latest turn of each conversation."""

    def __init__(self) -> None:
        self._turns: OrderedDict[str, Timing] = OrderedDict()
        self._inside: OrderedDict[int, list[ReadableSpan]] = OrderedDict()

    def of(self, conversation: str) -> Timing | None:
        """The latest turn of a conversation, by its id in hexadecimal."""
        return self._turns.get(conversation)

    def on_end(self, span: ReadableSpan) -> None:
        """A span has ended: a step, which waits for its turn, or a turn."""
        about: Any = span.attributes or {}
        if span.name.split(" ")[0] == "process":
            inside = self._inside.pop(span.context.span_id if span.context else 0, [])
            if about.get("ctxbridge.turn.status") == "new":
                self._keep(str(about.get("gen_ai.conversation.id")), span, inside)
        elif span.parent is not None and span.name.split(" ")[0] in STEPS:
            self._inside.setdefault(span.parent.span_id, []).append(span)
            _forget_oldest(self._inside)

    def _keep(self, conversation: str, turn: ReadableSpan, inside: list[ReadableSpan]) -> None:
        began = turn.start_time or 0
        steps = [
            Step(
                STEPS[one.name.split(" ")[0]], ((one.start_time or 0) - began) // 1_000, _took(one)
            )
            for one in sorted(inside, key=lambda one: one.start_time or 0)
        ]
        about: Any = turn.attributes or {}
        named = str(about.get("messaging.message.id", ""))
        self._turns[conversation] = Timing(named, turn.name, _took(turn), tuple(steps))
        self._turns.move_to_end(conversation)
        _forget_oldest(self._turns)


def _took(span: ReadableSpan) -> int:
    return ((span.end_time or 0) - (span.start_time or 0)) // 1_000


def _forget_oldest(kept: OrderedDict[Any, Any]) -> None:
    while len(kept) > _MOST_TURNS:
        kept.popitem(last=False)


def watch() -> Timings:
    """Look at all spans of this process from now on."""
    timings, provider = Timings(), TracerProvider()
    provider.add_span_processor(timings)
    trace.set_tracer_provider(provider)
    return timings
