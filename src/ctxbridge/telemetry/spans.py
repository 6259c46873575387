"""The span of a turn, and those of its steps.

Without an SDK nothing is recorded and almost nothing is paid. No text, address, name or exception
message is ever put into a span, and nothing here raises, whatever a provider does.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextvars import Token
from types import TracebackType
from typing import Any, Self

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanKind, Status, StatusCode

from ctxbridge.model.control import Release
from ctxbridge.telemetry import names
from ctxbridge.telemetry.conversation import current_conversation, with_conversation
from ctxbridge.telemetry.links import LinkKind, handle_of, links_to
from ctxbridge.telemetry.releases import current_release, of_release, with_release
from ctxbridge.telemetry.wishes import wishes

Attributes = Mapping[str, Any]

_tracer = trace.get_tracer(names.SCOPE, names.VERSION, schema_url=names.SCHEMA_URL)
_global = vars(trace)


def is_set_up() -> bool:
    """Whether spans go anywhere. It is asked at every step, and their API takes 1 µs to say it.

    A version that keeps its provider elsewhere counts as set up: then all is asked of it.
    """
    return _global.get("_TRACER_PROVIDER", _global) is not None


def _started(
    name: str,
    kind: SpanKind,
    attributes: Attributes | None = None,
    links: Sequence[Link] = (),
    start: int | None = None,
    context: Context | None = None,
) -> Span:
    try:
        return _tracer.start_span(name, context, kind, attributes, links, start)
    except Exception:  # noqa: BLE001 - a foreign sampler or processor fails nobody's turn
        return INVALID_SPAN


def _ended(span: Span, error: str = "", end: int | None = None) -> None:
    try:
        if error and span.is_recording():
            span.set_attribute(names.ERROR_TYPE, error)
            span.set_status(Status(StatusCode.ERROR))
        span.end(end)
    except Exception:  # noqa: BLE001, S110 - as above
        pass


def _described(span: Span, attributes: Attributes) -> None:
    try:
        if span.is_recording():
            span.set_attributes(attributes)
    except Exception:  # noqa: BLE001, S110 - as above
        pass


class Attached:
    """A context with a span that is current until it is let go of."""

    __slots__ = ("_span", "_token")

    def __init__(self, context: Context, span: Span) -> None:
        self._span = span
        self._token: Token[Context] = otel_context.attach(context)

    def let_go(self) -> None:
        """Take it back. What is left in another task than it was entered in has nothing there."""
        if trace.get_current_span() is self._span:
            otel_context.detach(self._token)


class TurnSpan:
    """The one span of a turn; while the turn's block runs, the current one.

    So is the conversation, for spans of others (`ConversationSpanProcessor`), and also where this
    span was not sampled: what is made inside then follows its sampler's word.
    """

    __slots__ = ("_attached", "_conversation", "span")

    def __init__(
        self,
        channel: str,
        conversation: bytes,
        previous: bytes,
        started: int,
        link: LinkKind = "previous_turn",
        enforced: str = "",
        release: Release | None = None,
    ) -> None:
        """Start the span `process {channel}`, in retrospect: `started` is in Unix nanoseconds.

        `enforced` is what is already decided of the message; a sampler may want to know. `release`
        is the one that answers.
        """
        self._attached: Attached | None = None
        self.span: Span = INVALID_SPAN
        if is_set_up():
            attributes = messaging(channel, "process", conversation.hex()) | of_release(release)
            if enforced:
                attributes[names.DECISION_ENFORCED] = enforced
            self._begin(channel, conversation, started, links_to([(previous, link)]), attributes)
            self._attach(conversation, release)

    def _begin(
        self,
        channel: str,
        conversation: bytes,
        started: int,
        links: Sequence[Link],
        attributes: Attributes,
    ) -> None:
        self._conversation = conversation.hex()
        self.span = _started(
            f"{names.PROCESS} {channel}", SpanKind.CONSUMER, attributes, links, started
        )

    def _attach(self, conversation: bytes, release: Release | None) -> None:
        if conversation and self.span.get_span_context().is_valid:
            inside = with_release(release, trace.set_span_in_context(self.span))
            self._attached = Attached(with_conversation(self._conversation, inside), self.span)

    @property
    def handle(self) -> bytes:
        """What to store of this span."""
        return handle_of(self.span)

    @property
    def records(self) -> bool:
        """Whether what is described goes anywhere."""
        return self.span.is_recording()

    def describe(self, attributes: Attributes) -> None:
        """Set attributes, if anybody records them."""
        _described(self.span, attributes)

    def event(self, name: str, attributes: Attributes) -> None:
        """Note something that has happened in it, if anybody records it."""
        happened(self.span, name, attributes)

    def step(self, name: str, attributes: Attributes, start: int, end: int) -> None:
        """A step of the turn that is already behind it; times in Unix nanoseconds."""
        if self.span.is_recording():
            inside = trace.set_span_in_context(self.span)
            known = {names.CONVERSATION_ID: self._conversation, **attributes}
            known |= of_release(current_release())
            span = _started(name, SpanKind.INTERNAL, known, (), start, inside)
            _ended(span, end=max(start, end))

    def say(self, name: str, texts: Iterable[tuple[str, str]]) -> None:
        """What was said, by role, as it was stored: only where content was opted in to."""
        if not (wishes.content and self.span.is_recording()):
            return
        said = [{"role": role, "parts": [{"type": "text", "content": t}]} for role, t in texts]
        written = json.dumps(said, ensure_ascii=False)
        if wishes.content_spans:
            _described(self.span, {name: written})
        if wishes.content_events:
            happened(self.span, names.CONTENT_EVENT, {name: written})

    def end(self, error: type[BaseException] | None = None) -> None:
        """End the span; of an error only its type is told."""
        if self._attached is not None:
            self._attached.let_go()
        _ended(self.span, error.__name__ if error is not None else "")


class Step:
    """One step, used with ``with``; recorded only where what surrounds it is.

    See `inside` and `root`.
    """

    __slots__ = ("_attached", "_error", "span")

    def __init__(self) -> None:
        """One that is recorded nowhere."""
        self._attached: Attached | None = None
        self._error = ""
        self.span: Span | None = None

    @classmethod
    def inside(cls, name: str, kind: SpanKind = SpanKind.INTERNAL) -> "Step":
        """A step of what is around it."""
        if is_set_up() and trace.get_current_span().is_recording():
            return cls().begin(name, kind)
        return _NOWHERE

    @classmethod
    def inside_or_root(cls, name: str, kind: SpanKind) -> "Step":
        """A step of what is around it, or of nothing where nothing is."""
        around = trace.get_current_span() if is_set_up() else None
        if around is None or (around.get_span_context().is_valid and not around.is_recording()):
            return _NOWHERE
        return cls().begin(name, kind)

    @classmethod
    def root(
        cls, name: str, kind: SpanKind, conversation: str = "", links: Sequence[Link] = ()
    ) -> "Step":
        """A step of nothing: what is about `conversation` has none of it around."""
        return cls().begin(name, kind, conversation, links) if is_set_up() else _NOWHERE

    def begin(
        self, name: str, kind: SpanKind, conversation: str = "", links: Sequence[Link] = ()
    ) -> Self:
        """Start its span."""
        about = conversation or current_conversation()
        known = {names.CONVERSATION_ID: about} if about else {}
        span = _started(name, kind, known | of_release(current_release()), links)
        if span.get_span_context().is_valid:
            inside = trace.set_span_in_context(span)
            if conversation:
                inside = with_conversation(conversation, inside)
            self._attached = Attached(inside, span)
            self.span = span if span.is_recording() else None
        return self

    @property
    def records(self) -> bool:
        """Whether what is described goes anywhere."""
        return self.span is not None

    def describe(self, attributes: Attributes) -> None:
        """Set attributes, if anybody records them."""
        if self.span is None:
            return
        try:  # noqa: SIM105 - `suppress` costs more
            self.span.set_attributes(attributes)
        except Exception:  # noqa: BLE001, S110 - as above
            pass

    def fail(self, error: str) -> None:
        """The step has failed, by this type of error."""
        if self.span is not None:
            self._error = error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self is _NOWHERE:
            return
        if self._attached is not None:
            self._attached.let_go()
        if self.span is not None:
            _ended(self.span, kind.__name__ if kind is not None else self._error)


_NOWHERE = Step()


def happened(span: Span, name: str, attributes: Attributes) -> None:
    """Note an event on a span, if anybody records it."""
    try:
        if span.is_recording():
            span.add_event(name, attributes)
    except Exception:  # noqa: BLE001, S110 - as above
        pass


def mark(name: str, attributes: Attributes, links: Sequence[Link] = ()) -> None:
    """A span without length, of something that has just happened."""
    conversation = current_conversation()
    known = {names.CONVERSATION_ID: conversation} if conversation else {}
    known |= of_release(current_release())
    span = _started(name, SpanKind.INTERNAL, {**known, **attributes}, links)
    _ended(span, str(attributes.get(names.ERROR_TYPE, "")))


def messaging(channel: str, operation: str, conversation: str, id: str = "") -> dict[str, str]:
    """The attributes of messaging: what is done, by which channel, in which conversation."""
    said = {
        names.CHANNEL: channel,
        names.MESSAGING_SYSTEM: names.SCOPE,
        names.MESSAGING_OPERATION: operation,
        names.MESSAGING_OPERATION_NAME: operation,
        names.MESSAGING_DESTINATION: channel,
    }
    if conversation:
        said[names.MESSAGING_CONVERSATION] = said[names.CONVERSATION_ID] = conversation
    if id:
        said[names.MESSAGING_ID] = id
    return said
