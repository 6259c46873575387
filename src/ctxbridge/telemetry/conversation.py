"""Which conversation the running code is about, for spans that others make.

It is kept in OpenTelemetry's context (a context variable) and goes wherever that goes: into tasks,
not over the wire. It is an opaque id, never an address.
"""

from opentelemetry import context as otel_context
from opentelemetry.context import Context

_KEY = otel_context.create_key("ctxbridge.conversation")


def current_conversation(context: Context | None = None) -> str:
    """The conversation of the turn that runs here, 32 hexadecimal digits; empty outside of one."""
    known = otel_context.get_value(_KEY, context)
    return known if isinstance(known, str) else ""


def with_conversation(id: str, context: Context | None = None) -> Context:
    """The context in which the code is about this conversation."""
    return otel_context.set_value(_KEY, id, context)
