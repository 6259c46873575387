"""What telemetry costs: each step without an SDK, an exchange beside the bare API and SDK.

A process takes a provider once, so what is configured is measured in a process of its own, beside
the bare SDK that does the same: the same spans with the same attributes, the same histograms.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.trace import Link, SpanKind

from bench.harness import (
    Goal,
    Outcome,
    Plan,
    Sample,
    Spread,
    Trial,
    Variant,
    compare,
    cpu,
    in_blocks,
)
from bench.memory import FLOOR, empty
from ctxbridge.model import Committed, Context, Decision, GuardResult, Sent, Window
from ctxbridge.telemetry import (
    Committing,
    Guarding,
    Loading,
    Sending,
    TurnSpan,
    answered,
    decided,
    served,
)
from ctxbridge.telemetry import names as n

_ID = bytes(range(16))
_CONVERSATION = _ID.hex()
_CONTEXT = Context(None, _ID, Window(), revision=7)
_COMMITTED = Committed(7, 3)
_SENT = Sent("sent", "P1")
_GUARD: Any = SimpleNamespace(name="judge", version="1", mode="enforce")
_DECISION = Decision("reply", "allow", "allow", "", (GuardResult("pii", "1", "allow"),) * 3)
_HANDLE = bytes([1]) * 24 + b"\1"
_TURN: dict[str, str | int] = {
    n.TURN_STATUS: "new", n.TURN_SEQ: 1, n.ASSURANCE: 2, n.REPLIES: 1, n.MESSAGING_ID: "0" * 32,
    n.STAGE: "inbound", n.DISPOSITION: "accepted", n.DECISION_ACTION: "allow",
    n.DECISION_ENFORCED: "allow", n.DECISION_CODE: "",
}  # fmt: skip


async def cached(_: object) -> None:
    served("sms")


async def load(_: object) -> None:
    with Loading("sms") as step:
        step.found(_CONTEXT)


async def commit(_: object) -> None:
    with Committing("sms", 0, "accepted") as step:
        step.came_to(_COMMITTED)


async def send(_: object) -> None:
    with Sending("sms") as step:
        if step.records:
            step.describe(_ID, 1, 1)
        step.came_to(_SENT)


async def guard(_: object) -> None:
    with Guarding(_GUARD, "reply") as step:
        step.said("allow", "", "ok")


async def decide(_: object) -> None:
    decided(_DECISION)


async def turn(_: object) -> None:
    span = TurnSpan("sms", _ID, _HANDLE, 1)
    span.describe(_TURN)
    span.end()


STEPS: dict[str, Callable[[object], Awaitable[None]]] = {
    "cached look-up": cached,
    "look-up": load,
    "commit": commit,
    "send": send,
    "guard that is waited for": guard,
    "three verdicts": decide,
    "turn": turn,
}


async def exchange(_: object) -> None:
    """A turn as the bridge has it: a look-up, a judge, a commit, a message that is sent."""
    span = TurnSpan("sms", _ID, _HANDLE, 1)
    await load(None)
    await guard(None)
    await commit(None)
    await send(None)
    span.describe(_TURN)
    span.end()
    answered("sms", "accepted", 1)


_tracer = trace.get_tracer("bare")
_meter = metrics.get_meter("bare")
_load, _commit = _meter.create_histogram("load", "s"), _meter.create_histogram("commit", "s")
_guard, _turn = _meter.create_histogram("guard", "s"), _meter.create_histogram("turn", "s")


def _linked() -> list[Link]:
    number = int.from_bytes
    spoken = trace.SpanContext(
        number(_HANDLE[:16], "big"), number(_HANDLE[16:24], "big"), is_remote=True,
        trace_flags=trace.TraceFlags(1),
    )  # fmt: skip
    return [Link(spoken, {n.LINK_KIND: "previous_turn"})]


def _of_messaging(operation: str) -> dict[str, Any]:
    return {
        n.CHANNEL: "sms", n.MESSAGING_SYSTEM: "ctxbridge", n.MESSAGING_OPERATION: operation,
        n.MESSAGING_OPERATION_NAME: operation, n.MESSAGING_DESTINATION: "sms",
        n.MESSAGING_CONVERSATION: _CONVERSATION, n.CONVERSATION_ID: _CONVERSATION,
    }  # fmt: skip


async def bare(_: object) -> None:
    """The same spans, attributes and histograms, as one writes them by hand."""
    start = _tracer.start_as_current_span
    told: dict[str, Any] = {**_of_messaging("process"), **_TURN}
    with start("process sms", None, SpanKind.CONSUMER, told, _linked(), 1):
        with start("load", None, SpanKind.INTERNAL, {
            n.CONVERSATION_ID: _CONVERSATION, n.CHANNEL: "sms", n.TIER: "miss", n.ENTRIES: 0,
            n.REVISION: 7,
        }):  # fmt: skip
            pass
        _load.record(0.001, {n.TIER: "miss"})
        with start("guard", None, SpanKind.INTERNAL, {
            n.CONVERSATION_ID: _CONVERSATION, n.GUARD_NAME: "judge", n.GUARD_VERSION: "1",
            n.GUARD_STAGE: "reply", n.GUARD_MODE: "enforce", n.GUARD_STATUS: "ok",
            n.GUARD_ACTION: "allow", n.GUARD_ENFORCED: "allow", n.GUARD_CODE: "",
            n.GUARD_FAILED: False,
        }):  # fmt: skip
            pass
        _guard.record(0.001, {n.GUARD_NAME: "judge", n.GUARD_STAGE: "reply", n.GUARD_STATUS: "ok"})
        with start("commit", None, SpanKind.INTERNAL, {
            n.CONVERSATION_ID: _CONVERSATION, n.CHANNEL: "sms", n.CONFLICTS: 0,
            n.DISPOSITION: "accepted", n.REVISION: 7,
        }):  # fmt: skip
            pass
        _commit.record(0.001, {n.CHANNEL: "sms"})
        with start("send sms", None, SpanKind.PRODUCER, {
            **_of_messaging("send"), n.MESSAGING_ID: _CONVERSATION, n.ATTEMPT: 1, n.SEGMENTS: 1,
            n.SEND_STATUS: "sent",
        }):  # fmt: skip
            pass
    _turn.record(0.001, {n.CHANNEL: "sms", n.DISPOSITION: "accepted"})


OURS, BARE = "an exchange, ours", "an exchange, bare"


async def _beside_bare(plan: Plan, calls: Sequence[int], scenario: str) -> Trial:
    async def ours() -> Sample:
        return await in_blocks(exchange, calls)

    async def theirs() -> Sample:
        return await in_blocks(bare, calls)

    variants = [
        Variant(BARE, theirs, "start_as_current_span, the same attributes"),
        Variant(OURS, ours, "five spans, four histograms"),
    ]
    return await compare(plan, scenario, variants, rounds=plan.size(21, 5))


async def run(plan: Plan) -> Outcome:
    calls = range(plan.size(2_000, 400))

    def taking(call: Callable[[object], Awaitable[None]]) -> Callable[[], Awaitable[Sample]]:
        return lambda: in_blocks(call, calls)

    steps = [Variant(FLOOR, taking(empty))]
    steps += [Variant(name, taking(step)) for name, step in STEPS.items()]
    trial = await compare(plan, "telemetry, no SDK", steps, rounds=plan.size(21, 5))
    outcome = Outcome()
    outcome.add([trial], FLOOR)
    for name in STEPS:
        outcome.goals.append(
            Goal(f"T1 {name}", f"telemetry not configured: {name}, over an empty async call",
                 "<=", 1.0, "µs", trial.over(name, FLOOR, cpu))
        )  # fmt: skip
    api = await _beside_bare(plan, calls, "telemetry, no SDK, an exchange")
    outcome.add([api], BARE)
    outcome.goals.append(_goal("T2", "not configured: an exchange, beside the bare API", api))
    configured = await asyncio.to_thread(_configured, plan.quick)
    outcome.add([configured], BARE)
    outcome.goals.append(_goal("T3", "configured: an exchange, beside the bare SDK", configured))
    return outcome


def _goal(id: str, what: str, trial: Trial) -> Goal:
    return Goal(id, f"telemetry {what}", "<=", 1.15, "times", _ratio(trial))


def _ratio(trial: Trial) -> Spread:
    return trial.times(OURS, BARE, cpu)  # nothing is waited for: what others take is not ours


def _configured(quick: bool) -> Trial:
    """The same in a process that has an SDK."""
    program = [sys.executable, "-m", "bench.telemetry", *(["--quick"] if quick else [])]
    done = subprocess.run(program, capture_output=True, check=True, text=True)
    told = json.loads(done.stdout)
    samples = {name: [Sample(*one) for one in several] for name, several in told.items()}

    async def never() -> Sample:
        raise NotImplementedError

    variants = [Variant(name, never) for name in (BARE, OURS)]
    return Trial("telemetry, SDK, an exchange", 1, variants, samples)


def _set_up() -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(SpanProcessor())
    trace.set_tracer_provider(tracing)
    metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False))


def main() -> None:
    _set_up()
    plan = Plan("--quick" in sys.argv, Path(), Random())
    calls = range(plan.size(2_000, 400))
    trial = asyncio.run(_beside_bare(plan, calls, "telemetry, SDK, an exchange"))
    print(json.dumps({
        name: [(s.operations, s.seconds, s.cpu_seconds, list(s.microseconds)) for s in samples]
        for name, samples in trial.samples.items()
    }))  # fmt: skip


if __name__ == "__main__":
    main()
