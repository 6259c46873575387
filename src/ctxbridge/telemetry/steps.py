"""What each step of an exchange tells: its span and its metrics, in one place.

They are used with ``with`` around the step. What of a step is worth telling is told by the values
that it had and that came of it; none of these is a text.
"""

from time import perf_counter, time_ns
from types import TracebackType
from typing import Any, Self

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from ctxbridge.model import Committed, Context, Decision, Refused, Sent, Stage
from ctxbridge.model.control import Release
from ctxbridge.model.head import NO_ID
from ctxbridge.telemetry import metrics, names
from ctxbridge.telemetry.conversation import current_conversation
from ctxbridge.telemetry.links import link_to
from ctxbridge.telemetry.releases import agent_and_version, of_release
from ctxbridge.telemetry.spans import Step, TurnSpan, happened, is_set_up, mark, messaging
from ctxbridge.telemetry.wishes import wishes

_TARGETS: dict[Stage, str] = {
    "inbound": "input", "context": "input", "tool_result": "input", "tool_call": "output",
    "reply": "output", "send": "output",
}  # fmt: skip
_VERDICTS = {"allow": "allow", "warn": "warn", "modify": "modify", "defer": "deny",
             "escalate": "escalate", "block": "deny"}  # fmt: skip
_ACTIONS = {"allow": "allow", "warn": "allow", "modify": "modify", "defer": "block",
            "escalate": "escalate", "block": "block"}  # fmt: skip

_OUR_CODES = frozenset({"sender.raised", "sender.timeout", "sender.nonsense"})


class Timed:
    """A step that is timed, and has a span where its surroundings are recorded."""

    __slots__ = ("_began", "_step")

    def __init__(self, name: str) -> None:
        self._step = Step.inside(name)
        self._began = perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._record(perf_counter() - self._began, kind)
        self._step.__exit__(kind, error, trace)

    def _record(self, seconds: float, error: type[BaseException] | None) -> None:
        raise NotImplementedError


# --- looking up -----------------------------------------------------------------------------------


def served(channel: str) -> None:
    """A look-up was answered from this process: one number, and nothing else."""
    metrics.loads.count(channel, "l1")


def tier_of(context: Context) -> str:
    """Where a look-up ended that went to the store."""
    return "miss" if context.contact is None else "l2"


def _of_load(channel: str, context: Context) -> dict[str, Any]:
    told: dict[str, Any] = {
        names.CHANNEL: channel,
        names.TIER: tier_of(context),
        names.ENTRIES: len(context.window),
        names.REVISION: context.revision,
    }
    if wishes.genai:
        told |= {
            names.GENAI_OPERATION: names.SEARCH_MEMORY,
            names.MEMORY_STORE: names.SCOPE,
            names.MEMORY_COUNT: len(context.window),
        }
    return told


def opened(span: TurnSpan, channel: str, context: Context, asked: int, answered: int) -> None:
    """The look-up that came with the storing of a message; times in Unix nanoseconds."""
    tier = tier_of(context)
    metrics.loads.count(channel, tier)
    metrics.record_load(max(answered - asked, 0) / 1e9, {names.TIER: tier})
    if span.records:
        span.step(_load_name(), _of_load(channel, context), asked, answered)


def _load_name() -> str:
    return names.SEARCH_MEMORY if wishes.genai else names.LOAD


class Loading(Timed):
    """A look-up that goes to the store."""

    __slots__ = ("_channel", "_tier")

    def __init__(self, channel: str) -> None:
        super().__init__(_load_name())
        self._channel, self._tier = channel, ""

    def found(self, context: Context) -> Context:
        """What it has come to."""
        self._tier = tier_of(context)
        metrics.loads.count(self._channel, self._tier)
        if self._step.records:
            told = _of_load(self._channel, context)
            if context.conversation != NO_ID and not current_conversation():
                told[names.CONVERSATION_ID] = context.conversation.hex()
            self._step.describe(told)
        return context

    def _record(self, seconds: float, error: type[BaseException] | None) -> None:
        told = {names.TIER: self._tier} if self._tier else metrics.failed(error)
        metrics.record_load(seconds, told)


# --- committing -----------------------------------------------------------------------------------


class Committing(Timed):
    """One write of a turn. `conflicts` is how many the gate has refused before it."""

    __slots__ = ("_channel", "_conflicts", "_disposition", "_release")

    def __init__(
        self,
        channel: str,
        conflicts: int = 0,
        disposition: str = "",
        release: Release | None = None,
    ) -> None:
        super().__init__(names.UPSERT_MEMORY if wishes.genai else names.COMMIT)
        self._channel, self._conflicts, self._disposition = channel, conflicts, disposition
        self._release = release

    def came_to(self, outcome: Committed | Refused) -> None:
        """What the store said."""
        if isinstance(outcome, Refused):
            self._step.fail(outcome.reason)
            if outcome.reason in {"gated", "controlled", "conflict"}:
                metrics.count_conflict(1, {names.CHANNEL: self._channel})
        if not self._step.records:
            return
        told: dict[str, Any] = {names.CHANNEL: self._channel, names.CONFLICTS: self._conflicts}
        if self._disposition:
            told[names.DISPOSITION] = self._disposition
        if isinstance(outcome, Committed):
            told[names.REVISION] = outcome.revision
        if wishes.genai:
            told |= {names.GENAI_OPERATION: names.UPSERT_MEMORY, names.MEMORY_STORE: names.SCOPE}
        self._step.describe(told)

    def _record(self, seconds: float, error: type[BaseException] | None) -> None:
        told = {names.CHANNEL: self._channel} | of_release(self._release)
        metrics.record_commit(seconds, told if error is None else told | metrics.failed(error))


# --- guards ---------------------------------------------------------------------------------------


def decided(decision: Decision, release: Release | None = None) -> None:
    """Count what each guard of one stage said; `release` is the one that they judge for."""
    agent, version = agent_and_version(release)
    for result in decision.results:
        mode, action = result.mode, result.action
        metrics.decisions.count(
            result.stage or decision.stage, result.guard, action,
            action if mode == "enforce" else "allow", mode, result.status, agent, version,
        )  # fmt: skip


def objections(decision: Decision) -> dict[str, Any]:
    """What guards said of one text, where not all of them allowed; else nothing."""
    told = [r for r in decision.results if r.action != "allow"]
    if not told:
        return {}
    return {
        names.STAGE: decision.stage,
        names.DECISION_ENFORCED: decision.enforced,
        names.GUARD_NAME: [r.guard for r in told],
        names.GUARD_ACTION: [r.action for r in told],
        names.GUARD_CODE: [r.code for r in told],
    }


def note_objections(decision: Decision) -> None:
    """Note on the span around it what guards said, where not all of them allowed."""
    if decision.action == "allow":
        return
    span = trace.get_current_span()
    if span.is_recording():
        happened(span, names.GUARDS_EVENT, objections(decision))


def _of_guard(
    guard: Any, stage: Stage, action: str, code: str, status: str, error: str
) -> dict[str, Any]:
    mode = getattr(guard, "mode", "enforce")
    enforced = action if mode == "enforce" else "allow"
    told: dict[str, Any] = {
        names.GUARD_NAME: guard.name, names.GUARD_VERSION: guard.version,
        names.GUARD_STAGE: stage, names.GUARD_MODE: mode, names.GUARD_STATUS: status,
        names.GUARD_ACTION: action, names.GUARD_ENFORCED: enforced, names.GUARD_CODE: code,
        names.GUARD_FAILED: bool(error),
    }  # fmt: skip
    if error:
        told[names.ERROR_TYPE] = error
    if wishes.genai:
        told |= {
            names.GENAI_OPERATION: names.RUN_GUARDRAIL, names.GUARDRAIL_COMPONENT: guard.name,
            names.GUARDRAIL_TARGET: _TARGETS[stage], names.GUARDRAIL_SUBTYPE: stage,
            names.GUARDRAIL_VERDICT: _VERDICTS.get(action, "allow"),
            names.GUARDRAIL_ACTION: _ACTIONS.get(enforced, "allow"),
        }  # fmt: skip
    return told


def _count_failure(guard: Any, action: str, error: str) -> None:
    metrics.count_failure(
        1, {names.GUARD_NAME: guard.name, names.ERROR_TYPE: error, names.GUARD_ACTION: action}
    )


def guard_failed(guard: Any, stage: Stage, action: str, code: str, error: str) -> None:
    """A guard that is asked in place raised, or answered nonsense: a span and a count of it.

    `error` is the type of what it raised, `action` what is done instead of its verdict.
    """
    _count_failure(guard, action, error)
    if trace.get_current_span().is_recording():
        told = _of_guard(guard, stage, action, code, "error", error)
        mark(f"{names.RUN_GUARDRAIL} {guard.name}", told)


class Guarding:
    """A guard that is waited for: it asks somebody, or runs in a thread."""

    __slots__ = ("_began", "_guard", "_stage", "_step")

    def __init__(self, guard: Any, stage: Stage) -> None:
        kind = SpanKind.CLIENT if getattr(guard, "remote", False) else SpanKind.INTERNAL
        self._step = Step.inside(f"{names.RUN_GUARDRAIL} {guard.name}", kind)
        self._guard, self._stage = guard, stage
        self._began = perf_counter()

    def said(self, action: str, code: str, status: str, error: str = "") -> None:
        """What it said, or what is done instead, since it failed by `error`."""
        guard, stage = self._guard, self._stage
        if error:
            _count_failure(guard, action, error)
            self._step.fail(error)
        metrics.record_guard(
            perf_counter() - self._began,
            {names.GUARD_NAME: guard.name, names.GUARD_STAGE: stage, names.GUARD_STATUS: status},
        )
        if self._step.records:
            self._step.describe(_of_guard(guard, stage, action, code, status, error))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: Any) -> None:  # noqa: PYI036
        self._step.__exit__(*raised)


# --- sending --------------------------------------------------------------------------------------


def permitted(
    channel: str,
    refused: str,
    until: int = 0,
    context: Context | None = None,
    now: int = 0,
    release: Release | None = None,
) -> None:
    """What the send gate said; a span of it where it was asked of a message alone (`context`).

    `until` and `now` are Unix milliseconds.
    """
    action = "block" if refused else "defer" if until else "allow"
    metrics.permits.count(channel, action, refused, *agent_and_version(release))
    if context is None or not is_set_up():
        return
    around = trace.get_current_span()
    inside = around.get_span_context().is_valid
    if inside and not around.is_recording():
        return
    told = {
        names.PERMIT_ACTION: action,
        names.PERMIT_CODE: refused,
        names.EPOCH: context.gate_epoch,
        **of_release(release),
    }
    if context.conversation != NO_ID:
        told[names.CONVERSATION_ID] = context.conversation.hex()
    if until:
        told[names.PERMIT_RETRY_AFTER] = max(until - now, 0) / 1000
    mark(names.PERMIT, told, () if inside else link_to(context.trace, "scheduled"))


class Sending:
    """One attempt of a message that leaves. `segments` is asked only where it is recorded."""

    __slots__ = ("_channel", "_step", "_told")

    def __init__(self, channel: str, step: Step | None = None) -> None:
        self._channel = channel
        self._told: dict[str, Any] = {}
        self._step = step or Step.inside_or_root(f"{names.SEND} {channel}", SpanKind.PRODUCER)

    @classmethod
    def later(cls, channel: str, context: Context, release: Release | None = None) -> "Sending":
        """What leaves later than its turn, which it is linked to, of `release`."""
        known = context.conversation.hex() if context.conversation != NO_ID else ""
        links = link_to(context.trace, "scheduled")
        name = f"{names.SEND} {channel}"
        step = Step.root(name, SpanKind.PRODUCER, known, links)
        step.describe(of_release(release))
        return cls(channel, step)

    @property
    def records(self) -> bool:
        """Whether what is described goes anywhere."""
        return self._step.records

    def describe(self, delivery: bytes, attempt: int, segments: int = 0) -> None:
        """Which delivery it is, its how-manieth attempt, and the parts of an SMS (0: is none)."""
        self._told = {
            **messaging(self._channel, "send", current_conversation(), delivery.hex()),
            names.ATTEMPT: attempt,
        }
        if segments:
            self._told[names.SEGMENTS] = segments

    def came_to(self, sent: Sent) -> None:
        """What the sender said. Its code may hold anything, unless it is ours."""
        if not self._step.records:
            return
        self._told[names.SEND_STATUS] = sent.status
        if sent.status != "sent":
            self._step.fail(sent.code if sent.code in _OUR_CODES else sent.status)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: Any) -> None:  # noqa: PYI036
        if self._step.records:
            told = self._told or messaging(self._channel, "send", current_conversation())
            self._step.describe(told)
        self._step.__exit__(*raised)


# --- the whole turn -------------------------------------------------------------------------------


def answered(channel: str, disposition: str, started: int, release: Release | None = None) -> None:
    """A turn has ended, and what it sends itself has been sent; `started` in Unix nanoseconds."""
    seconds = max(time_ns() - started, 0) / 1e9
    told = {names.CHANNEL: channel, names.DISPOSITION: disposition} | of_release(release)
    metrics.record_turn(seconds, told)


def held_back(channel: str, count: int) -> None:
    """So many bytes of a draft were written and not shown yet."""
    metrics.record_held(count, {names.CHANNEL: channel})
