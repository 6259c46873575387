"""Every name that telemetry uses: spans, attributes, metrics and their units.

Ours begin with ``ctxbridge.``. Those of OpenTelemetry are written down here and not imported: its
Python package marks the ones of GenAI as moved, and they are still in development
(https://github.com/open-telemetry/semantic-conventions-genai).
"""

SCOPE = "ctxbridge"
VERSION = "0.1.0"
SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

# --- spans ----------------------------------------------------------------------------------------

PROCESS, SEND = "process", "send"
"""Followed by the channel."""
LOAD, COMMIT, PERMIT = "ctxbridge.load", "ctxbridge.commit", "ctxbridge.permit"
RUN_GUARDRAIL = "run_guardrail"
"""Followed by the guard's name."""
HANDOFF, CONTROL = "ctxbridge.handoff", "ctxbridge.control"
GUARDS_EVENT = "ctxbridge.guards"
"""On the span of the turn: what guards said, where not all of them allowed."""

# --- attributes of ours ---------------------------------------------------------------------------

CHANNEL = "ctxbridge.channel"
STAGE = "ctxbridge.stage"
TURN_STATUS = "ctxbridge.turn.status"
TURN_SEQ = "ctxbridge.turn.seq"
DISPOSITION = "ctxbridge.turn.disposition"
REPLIES = "ctxbridge.turn.replies"
ASSURANCE = "ctxbridge.assurance.level"
DECISION_ACTION = "ctxbridge.decision.action"
DECISION_ENFORCED = "ctxbridge.decision.enforced"
DECISION_CODE = "ctxbridge.decision.code"
LINK_KIND = "ctxbridge.link"
TIER = "ctxbridge.tier"
ENTRIES = "ctxbridge.entries"
REVISION = "ctxbridge.revision"
CONFLICTS = "ctxbridge.conflicts"
GUARD_NAME = "ctxbridge.guard.name"
GUARD_VERSION = "ctxbridge.guard.version"
GUARD_STAGE = "ctxbridge.guard.stage"
GUARD_MODE = "ctxbridge.guard.mode"
GUARD_STATUS = "ctxbridge.guard.status"
GUARD_ACTION = "ctxbridge.guard.action"
GUARD_ENFORCED = "ctxbridge.guard.enforced"
GUARD_CODE = "ctxbridge.guard.code"
GUARD_FAILED = "ctxbridge.guard.failed"
PERMIT_ACTION = "ctxbridge.permit.action"
PERMIT_CODE = "ctxbridge.permit.code"
PERMIT_RETRY_AFTER = "ctxbridge.permit.retry_after_s"
EPOCH = "ctxbridge.epoch"
SEGMENTS = "ctxbridge.sms.segments"
SEND_STATUS = "ctxbridge.send.status"
ATTEMPT = "ctxbridge.send.attempt"
OWNER = "ctxbridge.owner"
CONTROL_SCOPE = "ctxbridge.control.scope"
CONTROL_STATE = "ctxbridge.control.state"
CONTROL_ACTOR = "ctxbridge.control.actor_type"

# --- attributes of OpenTelemetry ------------------------------------------------------------------

ERROR_TYPE = "error.type"
CONVERSATION_ID = "gen_ai.conversation.id"
AGENT_NAME, AGENT_VERSION = "gen_ai.agent.name", "gen_ai.agent.version"
MESSAGING_SYSTEM = "messaging.system"
MESSAGING_OPERATION = "messaging.operation.type"
MESSAGING_OPERATION_NAME = "messaging.operation.name"
MESSAGING_DESTINATION = "messaging.destination.name"
MESSAGING_ID = "messaging.message.id"
MESSAGING_CONVERSATION = "messaging.message.conversation_id"

# --- opt-in: GenAI, in development ----------------------------------------------------------------

SEARCH_MEMORY, UPSERT_MEMORY = "search_memory", "upsert_memory"
GENAI_OPERATION = "gen_ai.operation.name"
MEMORY_STORE = "gen_ai.memory.store.id"
MEMORY_COUNT = "gen_ai.memory.record.count"
GUARDRAIL_COMPONENT = "gen_ai.guardrail.component.name"
GUARDRAIL_TARGET = "gen_ai.guardrail.target.type"
GUARDRAIL_SUBTYPE = "gen_ai.guardrail.target.subtype"
GUARDRAIL_VERDICT = "gen_ai.guardrail.verdict.type"
GUARDRAIL_ACTION = "gen_ai.guardrail.action.type"
INPUT_MESSAGES, OUTPUT_MESSAGES = "gen_ai.input.messages", "gen_ai.output.messages"
CONTENT_EVENT = "gen_ai.client.inference.operation.details"

# --- metrics --------------------------------------------------------------------------------------

LOAD_COUNT = "ctxbridge.load.count"
LOAD_DURATION = "ctxbridge.load.duration"
COMMIT_DURATION = "ctxbridge.commit.duration"
COMMIT_CONFLICTS = "ctxbridge.commit.conflicts"
GUARD_DECISIONS = "ctxbridge.guard.decisions"
GUARD_DURATION = "ctxbridge.guard.duration"
GUARD_FAILURES = "ctxbridge.guard.failures"
PERMIT_RESULTS = "ctxbridge.permit.results"
TURN_LATENCY = "ctxbridge.turn.latency"
HANDOFF_COUNT = "ctxbridge.handoff.count"
AGENT_PAUSED = "ctxbridge.agent.paused"
STREAM_HELD = "ctxbridge.stream.held"

METRICS = {
    LOAD_COUNT: "{load}",
    LOAD_DURATION: "s",
    COMMIT_DURATION: "s",
    COMMIT_CONFLICTS: "{conflict}",
    GUARD_DECISIONS: "{decision}",
    GUARD_DURATION: "s",
    GUARD_FAILURES: "{failure}",
    PERMIT_RESULTS: "{permit}",
    TURN_LATENCY: "s",
    HANDOFF_COUNT: "{handoff}",
    AGENT_PAUSED: "{agent}",
    STREAM_HELD: "By",
}
"""Each metric with its unit (UCUM)."""
