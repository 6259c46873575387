"""Spans and metrics: their names, and the few functions that emit them.

The only room that imports OpenTelemetry, and only its API: without an SDK nothing is recorded and
almost nothing is paid. No text, address, name or exception message is ever told, unless content was
opted in to (`configure`). What needs the SDK is in `ctxbridge.telemetry.sdk`, imported late.
"""

from ctxbridge.telemetry.control import controlled, handed_off
from ctxbridge.telemetry.conversation import DiscreetBaggage, about, current_conversation
from ctxbridge.telemetry.links import LinkKind, handle_of, link_to, links_to
from ctxbridge.telemetry.names import METRICS
from ctxbridge.telemetry.spans import TurnSpan, is_set_up
from ctxbridge.telemetry.steps import (
    Committing,
    Guarding,
    Loading,
    Sending,
    answered,
    decided,
    guard_failed,
    held_back,
    note_objections,
    objections,
    opened,
    permitted,
    served,
)
from ctxbridge.telemetry.wishes import configure

__all__ = [
    "METRICS",
    "Committing",
    "DiscreetBaggage",
    "Guarding",
    "LinkKind",
    "Loading",
    "Sending",
    "TurnSpan",
    "about",
    "answered",
    "configure",
    "controlled",
    "current_conversation",
    "decided",
    "guard_failed",
    "handed_off",
    "handle_of",
    "held_back",
    "is_set_up",
    "link_to",
    "links_to",
    "note_objections",
    "objections",
    "opened",
    "permitted",
    "served",
]
