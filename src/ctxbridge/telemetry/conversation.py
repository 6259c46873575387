"""Which conversation the running code is about, for spans that others make.

It is kept in OpenTelemetry's context (a context variable) and goes wherever that goes: into tasks,
not over the wire. It is an opaque id, never an address.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import baggage
from opentelemetry import context as otel_context
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import CarrierT, Setter, default_setter

from ctxbridge.telemetry.names import CONVERSATION_ID

_KEY = otel_context.create_key("ctxbridge.conversation")


def current_conversation(context: Context | None = None) -> str:
    """The conversation of the turn that runs here, 32 hexadecimal digits; empty outside of one."""
    known = otel_context.get_value(_KEY, context)
    return known if isinstance(known, str) else ""


def with_conversation(id: str, context: Context | None = None) -> Context:
    """The context in which the code is about this conversation."""
    return otel_context.set_value(_KEY, id, context)


@contextmanager
def about(conversation: bytes) -> Iterator[None]:
    """What runs inside is about this conversation, and no turn of it."""
    token = otel_context.attach(with_conversation(conversation.hex()))
    try:
        yield
    finally:
        otel_context.detach(token)


class DiscreetBaggage(W3CBaggagePropagator):
    """The W3C's baggage without the conversation, which some agent libraries put into it.

    Set it in the place of `W3CBaggagePropagator` (`opentelemetry.propagate.set_global_textmap`):
    then no request of yours tells a stranger which conversation it is for.
    """

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        """Called by OpenTelemetry before a request leaves."""
        super().inject(carrier, baggage.remove_baggage(CONVERSATION_ID, context), setter)
