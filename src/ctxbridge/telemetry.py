"""The names of spans and attributes, and the few functions that emit them.

The only room that imports OpenTelemetry, and only its API: without an SDK nothing is recorded and
almost nothing is paid. No text, address, name or exception message is ever put into a span.
"""

from collections.abc import Mapping

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from ctxbridge.model.head import NO_TRACE

CONVERSATION_ID = "gen_ai.conversation.id"
CHANNEL = "ctxbridge.channel"
TURN_STATUS = "ctxbridge.turn.status"
TURN_SEQ = "ctxbridge.turn.seq"
DISPOSITION = "ctxbridge.turn.disposition"
ASSURANCE = "ctxbridge.assurance.level"
DECISION_ACTION = "ctxbridge.decision.action"
DECISION_ENFORCED = "ctxbridge.decision.enforced"
DECISION_CODE = "ctxbridge.decision.code"
REPLIES = "ctxbridge.turn.replies"
LINK_KIND = "ctxbridge.link"
ERROR_TYPE = "error.type"
MESSAGING_OPERATION = "messaging.operation.type"

_tracer = trace.get_tracer("ctxbridge", "0.1.0")


def handle_of(span: Span) -> bytes:
    """What to store of a span so that a later turn can link to it: 25 bytes, or none.

    16 bytes of trace id, 8 of span id, 1 of flags. Trace state and baggage from outside are not
    kept.
    """
    spoken = span.get_span_context()
    if not spoken.is_valid:
        return b""
    return (
        spoken.trace_id.to_bytes(16, "big")
        + spoken.span_id.to_bytes(8, "big")
        + bytes([spoken.trace_flags])
    )


def link_to(handle: bytes, kind: str) -> tuple[Link, ...]:
    """The link to the span that `handle` names, with its reason; none for no handle."""
    if len(handle) != len(NO_TRACE) or handle == NO_TRACE:
        return ()
    spoken = SpanContext(
        int.from_bytes(handle[:16], "big"),
        int.from_bytes(handle[16:24], "big"),
        is_remote=True,
        trace_flags=TraceFlags(handle[24]),
    )
    return (Link(spoken, {LINK_KIND: kind}),) if spoken.is_valid else ()


def _conversation(id: bytes) -> dict[str, str]:
    """The attribute that names the conversation; none where it is not known."""
    return {CONVERSATION_ID: id.hex()} if id else {}


class TurnSpan:
    """The one span of a turn; while the turn's block runs, the current one if recorded."""

    __slots__ = ("_token", "span")

    def __init__(self, channel: str, conversation: bytes, previous: bytes, started: int) -> None:
        """Start the span `process {channel}`, in retrospect: `started` is in nanoseconds."""
        self.span = _tracer.start_span(
            f"process {channel}",
            kind=SpanKind.CONSUMER,
            links=link_to(previous, "previous_turn"),
            attributes={CHANNEL: channel} | _conversation(conversation),
            start_time=started,
        )
        self._token = None
        if self.span.is_recording():
            self._token = otel_context.attach(trace.set_span_in_context(self.span))

    @property
    def handle(self) -> bytes:
        """What to store of this span."""
        return handle_of(self.span)

    def describe(self, attributes: Mapping[str, str | int]) -> None:
        """Set attributes, if anybody records them."""
        if self.span.is_recording():
            self.span.set_attributes(dict(attributes))

    def end(self, error: type[BaseException] | None = None) -> None:
        """End the span; of an error only its type is told."""
        # A turn that is left in another task than it was entered in has nothing to take back there.
        if self._token is not None and trace.get_current_span() is self.span:
            otel_context.detach(self._token)
        if error is not None and self.span.is_recording():
            self.span.set_attribute(ERROR_TYPE, error.__name__)
            self.span.set_status(Status(StatusCode.ERROR))
        self.span.end()


__all__ = ["TurnSpan", "handle_of", "link_to"]
