"""The handle of a span that is stored, and the links that are made of it."""

from collections.abc import Iterable
from typing import Literal

from opentelemetry.trace import Link, Span, SpanContext, TraceFlags

from ctxbridge.model.head import NO_TRACE
from ctxbridge.telemetry.names import LINK_KIND

LinkKind = Literal["previous_turn", "in_reply_to", "approval", "scheduled"]
"""``previous_turn``: the turn before, whatever its channel. ``in_reply_to``: the same, and this
message names one of it. ``scheduled``: a message leaves later than the turn that it is of.
``approval``: somebody has decided what that turn had asked."""

MOST_LINKS = 3


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
        + bytes([spoken.trace_flags & 0xFF])
    )


def link_to(handle: bytes, kind: LinkKind) -> tuple[Link, ...]:
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


def links_to(several: Iterable[tuple[bytes, LinkKind]]) -> tuple[Link, ...]:
    """The links to several, the first three that name a span; a span is named once."""
    found: dict[bytes, Link] = {}
    for handle, kind in several:
        for link in link_to(handle, kind):
            found.setdefault(handle, link)
    return tuple(found.values())[:MOST_LINKS]
