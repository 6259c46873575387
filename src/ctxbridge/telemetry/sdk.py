"""What needs OpenTelemetry's SDK: conversation ids on foreign spans, and sampling by conversation.

Import it where you set up your providers (extra `otel-sdk`); nothing else of ctxbridge imports it.
"""

from collections.abc import Sequence
from hashlib import blake2b

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span
from opentelemetry.util.types import Attributes

from ctxbridge.errors import ConfigurationError
from ctxbridge.telemetry import names
from ctxbridge.telemetry.conversation import current_conversation
from ctxbridge.telemetry.releases import current_release, of_release

try:
    from opentelemetry.sdk.trace import Span, SpanProcessor
    from opentelemetry.sdk.trace.sampling import (
        Decision,
        ParentBased,
        Sampler,
        SamplingResult,
        TraceIdRatioBased,
    )
except ImportError:
    raise ConfigurationError(
        'ctxbridge.telemetry.sdk needs OpenTelemetry\'s SDK: pip install "ctxbridge[otel-sdk]"'
    ) from None

_KEPT = frozenset({"block", "escalate"})


class ConversationSpanProcessor(SpanProcessor):
    """Puts `gen_ai.conversation.id` on every span that is made inside of a turn, whoever makes it.

    A span that names a conversation already keeps that. So it does with the release that answers
    (`gen_ai.agent.name`, `gen_ai.agent.version`).
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Called by the SDK, in the task that starts the span."""
        conversation = current_conversation(parent_context)
        if conversation and names.CONVERSATION_ID not in (span.attributes or {}):
            span.set_attribute(names.CONVERSATION_ID, conversation)
        release = current_release(parent_context)
        if release is not None and names.AGENT_NAME not in (span.attributes or {}):
            span.set_attributes(of_release(release))


class ConversationSampler(Sampler):
    """Keeps or drops whole conversations, so that none is told in part.

    - `ratio` of all conversations is kept, from 0 to 1: by a hash of the id, so every process
      decides alike.
    - A conversation in which a message was blocked or escalated before it was stored is kept from
      that turn on, as is one whose turn before was kept: the stored handle says so.
    - What is made inside of a turn follows the turn. What is made outside of any follows its
      parent, or is `otherwise` sampled (default: `ratio` of the traces).

    Raises `ConfigurationError` for a ratio that is none.
    """

    def __init__(self, ratio: float, otherwise: Sampler | None = None) -> None:
        if not 0 <= ratio <= 1:
            raise ConfigurationError("ratio is from 0 to 1")
        self._ratio = ratio
        self._bound = round(ratio * 2**64)
        self._otherwise = otherwise or ParentBased(TraceIdRatioBased(ratio))

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Called by the SDK for every span that is started."""
        around = get_current_span(parent_context).get_span_context()
        said = attributes or {}
        here = current_conversation(parent_context)
        conversation = said.get(names.CONVERSATION_ID, here)
        if around.is_valid and here and conversation == here:
            keep = around.trace_flags.sampled
        elif conversation:
            keep = self._keeps(str(conversation), said, links or ())
        else:
            return self._otherwise.should_sample(
                parent_context, trace_id, name, kind, attributes, links, trace_state
            )
        decision = Decision.RECORD_AND_SAMPLE if keep else Decision.DROP
        return SamplingResult(decision, attributes if keep else None, around.trace_state)

    def _keeps(self, conversation: str, said: Attributes, links: Sequence[Link]) -> bool:
        if said and said.get(names.DECISION_ENFORCED) in _KEPT:
            return True
        if any(_is_ours(link) and link.context.trace_flags.sampled for link in links):
            return True
        digest = blake2b(conversation.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self._bound

    def get_description(self) -> str:
        """As it stands in the SDK's own words."""
        return f"ConversationSampler{{{self._ratio}}}"


def _is_ours(link: Link) -> bool:
    return names.LINK_KIND in (link.attributes or {})
