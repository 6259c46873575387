"""Every span, attribute and metric, as docs/telemetry.md lists them."""

import re
from pathlib import Path

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from ctxbridge import errors, telemetry
from ctxbridge.guards import allow, defer, guard
from ctxbridge.model import Floor, Sent
from ctxbridge.telemetry import names
from tests.bridge.conftest import SENDERS, Clock, write

from .exchanges import HOUR, everything, judge, later, one_turn, open_bridge

PAGE = Path(__file__).parents[2] / "docs/telemetry.md"

SENT = {
    "ctxbridge.channel", "messaging.system", "messaging.operation.type", "messaging.operation.name",
    "messaging.destination.name", "messaging.message.id", "messaging.message.conversation_id",
    "gen_ai.conversation.id", "ctxbridge.send.status", "ctxbridge.send.attempt",
    "ctxbridge.sms.segments",
}  # fmt: skip
GUARDED = {
    "gen_ai.conversation.id",
    "ctxbridge.guard.name", "ctxbridge.guard.version", "ctxbridge.guard.stage",
    "ctxbridge.guard.mode", "ctxbridge.guard.status", "ctxbridge.guard.action",
    "ctxbridge.guard.enforced", "ctxbridge.guard.code", "ctxbridge.guard.failed",
}  # fmt: skip
SPANS = {
    "process sms": (
        SpanKind.CONSUMER,
        SENT - {"ctxbridge.send.status", "ctxbridge.send.attempt", "ctxbridge.sms.segments"}
        | {"ctxbridge.stage", "ctxbridge.turn.status", "ctxbridge.turn.seq",
           "ctxbridge.turn.disposition", "ctxbridge.turn.replies", "ctxbridge.assurance.level",
           "ctxbridge.decision.action", "ctxbridge.decision.enforced", "ctxbridge.decision.code"},
    ),
    "ctxbridge.load": (
        SpanKind.INTERNAL,
        {"ctxbridge.channel", "ctxbridge.tier", "ctxbridge.entries", "ctxbridge.revision",
         "gen_ai.conversation.id"},
    ),
    "ctxbridge.commit": (
        SpanKind.INTERNAL,
        {"ctxbridge.channel", "ctxbridge.conflicts", "ctxbridge.revision",
         "ctxbridge.turn.disposition", "gen_ai.conversation.id"},
    ),
    "run_guardrail judge": (SpanKind.INTERNAL, GUARDED),
    "run_guardrail raises": (SpanKind.INTERNAL, GUARDED | {"error.type"}),
    "run_guardrail hangs": (SpanKind.INTERNAL, GUARDED | {"error.type"}),
    "ctxbridge.permit": (
        SpanKind.INTERNAL,
        {"ctxbridge.permit.action", "ctxbridge.permit.code", "ctxbridge.epoch",
         "gen_ai.conversation.id"},
    ),
    "send sms": (SpanKind.PRODUCER, SENT),
}  # fmt: skip


async def test_these_are_the_spans_and_their_attributes(exporter):
    await everything()
    found = {}
    for span in exporter.get_finished_spans():
        kind, names_of = found.setdefault(span.name, (span.kind, set()))
        assert span.kind is kind
        names_of |= set(span.attributes)
    assert found == SPANS


async def test_the_steps_are_inside_their_turn_and_at_most_one_for_each(exporter):
    async with open_bridge() as bridge:
        await one_turn(bridge)
    spans = {span.name: span for span in exporter.get_finished_spans()}
    turn = spans.pop("process sms")
    assert len(exporter.get_finished_spans()) == 6
    assert set(spans) == {
        "ctxbridge.load", "ctxbridge.commit", "run_guardrail judge", "run_guardrail hangs", "send sms",
    }  # fmt: skip
    for span in spans.values():
        assert span.parent.span_id == turn.context.span_id, span.name
        assert turn.start_time <= span.start_time <= span.end_time <= turn.end_time, span.name


async def test_what_a_load_tells(exporter):
    async with open_bridge() as bridge:
        await one_turn(bridge)
        await one_turn(bridge)
    first, second = (s for s in exporter.get_finished_spans() if s.name == "ctxbridge.load")
    assert dict(first.attributes)["ctxbridge.entries"] == 1
    assert [s.attributes["ctxbridge.tier"] for s in (first, second)] == ["l2", "l2"]
    assert second.attributes["ctxbridge.entries"] == 3


@pytest.mark.parametrize("error", [errors.Unavailable("no"), None])
async def test_a_look_up_of_a_store_is_a_span_only_where_it_is_recorded_around(
    exporter, measured, tmp_path, error
):
    from opentelemetry import trace

    async with open_bridge(f"sqlite:///{tmp_path}/a.db") as bridge:
        await bridge.context(SENDERS["sms"])
        assert exporter.get_finished_spans() == ()
        with trace.get_tracer("test").start_as_current_span("around"):
            if error is not None:
                bridge.store._look = lambda _: (_ for _ in ()).throw(error)
                with pytest.raises(errors.Unavailable):
                    await bridge.context(SENDERS["sms"])
            else:
                await bridge.context(SENDERS["sms"])
    load, _ = exporter.get_finished_spans()
    (metric,) = [m for n, m in measured().items() if n == "ctxbridge.load.duration"]
    told = [dict(p.attributes) for p in metric.data.data_points]
    assert {"ctxbridge.tier": "miss"} in told
    if error is None:
        assert load.attributes["ctxbridge.tier"] == "miss"
    else:
        assert (load.attributes["error.type"], load.status.status_code) == (
            "Unavailable", StatusCode.ERROR,
        )  # fmt: skip
        assert load.events == ()
        assert {"error.type": "Unavailable"} in told


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cached_look_up_tells_nothing_but_a_number(server, exporter, measured):
    from opentelemetry import trace

    from ctxbridge import open_store

    store = open_store(server.url, prefix="telemetry:near", clock="caller", near_cache=True)
    async with open_bridge(store) as bridge:
        await one_turn(bridge)
        await bridge.context(SENDERS["sms"])
        exporter.clear()
        measured()
        with trace.get_tracer("test").start_as_current_span("around"):
            for _ in range(10):
                await bridge.context(SENDERS["sms"])
        names_of = [span.name for span in exporter.get_finished_spans()]
        counted = points(measured(), names.LOAD_COUNT)
        assert names_of == ["around"]
        assert counted == {("sms", "l1"): 10}
        assert names.LOAD_DURATION not in measured()
        with trace.get_tracer("test").start_as_current_span("around"):
            await bridge.context(SENDERS["sms"], fresh=True)
        assert [s.name for s in exporter.get_finished_spans()][1:] == ["ctxbridge.load", "around"]
    await store.aclose()


def points(measured, name):
    """Attribute values (by name) to number, of one metric; what stands still left out."""
    found = {}
    for point in measured[name].data.data_points if name in measured else ():
        number = getattr(point, "value", getattr(point, "count", None))
        if number:
            found[tuple(v for _, v in sorted(point.attributes.items()))] = number
    return found


METRICS = {
    "ctxbridge.load.count": {"ctxbridge.channel", "ctxbridge.tier"},
    "ctxbridge.load.duration": {"ctxbridge.tier"},
    "ctxbridge.commit.duration": {"ctxbridge.channel"},
    "ctxbridge.guard.decisions": GUARDED
    - {"ctxbridge.guard.version", "ctxbridge.guard.code", "ctxbridge.guard.failed", "gen_ai.conversation.id"},
    "ctxbridge.guard.duration": {
        "ctxbridge.guard.name", "ctxbridge.guard.stage", "ctxbridge.guard.status",
    },
    "ctxbridge.guard.failures": {"ctxbridge.guard.name", "ctxbridge.guard.action", "error.type"},
    "ctxbridge.permit.results": {
        "ctxbridge.channel", "ctxbridge.permit.action", "ctxbridge.permit.code",
    },
    "ctxbridge.turn.latency": {"ctxbridge.channel", "ctxbridge.turn.disposition"},
    "ctxbridge.stream.held": {"ctxbridge.channel"},
    "ctxbridge.commit.conflicts": {"ctxbridge.channel"},
    "ctxbridge.handoff.count": {"ctxbridge.owner", "gen_ai.agent.name", "gen_ai.agent.version"},
    "ctxbridge.agent.paused": {"gen_ai.agent.name", "gen_ai.agent.version"},
}  # fmt: skip


OF_RELEASES = {"gen_ai.agent.name", "gen_ai.agent.version"}


async def a_conflict():
    """A STOP comes while the agent thinks."""
    async with open_bridge() as bridge, bridge.turn(write("hello")) as turn:
        await bridge.consent(SENDERS["sms"], granted=False, evidence="call:1")
        turn.reply("hi")


async def test_these_are_the_metrics_their_units_and_attributes(measured):
    await everything()
    await a_conflict()
    telemetry.handed_off(Floor.HUMAN, agent="bot", version="2")
    telemetry.controlled("agent", "paused", "human", agent="bot", version="2")
    found = measured()
    told = {n: set().union(*(p.attributes for p in m.data.data_points)) for n, m in found.items()}
    for name in (names.GUARD_DECISIONS, names.PERMIT_RESULTS):
        told[name] -= OF_RELEASES  # counters tell of what other tests have deployed as well
    assert told == METRICS
    assert {name: metric.unit for name, metric in found.items()} == telemetry.METRICS


async def test_what_the_metrics_count(measured):
    await everything()
    await a_conflict()
    found = measured()
    assert points(found, names.COMMIT_CONFLICTS) == {("sms",): 1}
    assert points(found, names.GUARD_FAILURES) == {
        ("allow", "raises", "KeyError"): 1, ("allow", "hangs", "timeout"): 1,
    }  # fmt: skip
    decisions = points(found, names.GUARD_DECISIONS)
    assert decisions["warn", "warn", "enforce", "judge", "reply", "ok"] == 1
    assert decisions["block", "block", "enforce", "no_tools", "tool_call", "ok"] == 1
    assert decisions["defer", "defer", "enforce", "later", "reply", "ok"] == 1
    assert decisions["allow", "allow", "enforce", "hangs", "inbound", "timeout"] == 1
    latencies = points(found, names.TURN_LATENCY)
    assert latencies == {("sms", "accepted"): 4, ("sms", "quarantined"): 1}
    assert sum(points(found, names.STREAM_HELD).values()) > 1


async def test_what_is_judged_anew_is_not_counted(measured):
    async with open_bridge() as bridge:
        await one_turn(bridge)
        measured()
        assert [told async for told in bridge.rejudge([judge])]
    assert points(measured(), names.GUARD_DECISIONS) == {}


async def test_what_is_deferred_leaves_by_a_span_of_its_own_linked_to_its_turn(exporter):
    clock = Clock()
    async with open_bridge(clock=clock) as bridge:
        await one_turn(bridge, reply="later")
        turn = next(s for s in exporter.get_finished_spans() if s.name == "process sms")
        exporter.clear()
        clock.time += 2 * HOUR
        await bridge.dispatch()
    permit, sent = exporter.get_finished_spans()
    assert (permit.name, sent.name, sent.parent) == ("ctxbridge.permit", "send sms", None)
    assert permit.parent.span_id == sent.context.span_id
    assert permit.attributes["ctxbridge.permit.action"] == "allow"
    (link,) = sent.links
    assert link.attributes == {"ctxbridge.link": "scheduled"}
    assert link.context.span_id == turn.context.span_id
    assert sent.attributes["gen_ai.conversation.id"] == turn.attributes["gen_ai.conversation.id"]


async def test_what_we_write_first_is_a_trace_of_its_conversation(exporter):
    async with open_bridge() as bridge:
        await one_turn(bridge)
        turn = next(s for s in exporter.get_finished_spans() if s.name == "process sms")
        exporter.clear()
        await bridge.send(SENDERS["sms"], "It has left.")
    (sent,) = (s for s in exporter.get_finished_spans() if s.name == "send sms")
    assert sent.parent is None
    assert sent.attributes["gen_ai.conversation.id"] == turn.attributes["gen_ai.conversation.id"]


async def test_a_refused_delivery_tells_why(exporter, measured):
    clock = Clock()
    async with open_bridge(clock=clock) as bridge:
        await one_turn(bridge, reply="later")
        await bridge.consent(SENDERS["sms"], granted=False, evidence="call:1")
        measured()
        clock.time += 2 * HOUR
        await bridge.dispatch()
    results = points(measured(), names.PERMIT_RESULTS)
    assert [(action, bool(code)) for _, action, code in results] == [("block", True)]
    permit = exporter.get_finished_spans()[-1]
    assert (permit.name, permit.attributes["ctxbridge.permit.action"]) == (
        "ctxbridge.permit",
        "block",
    )
    assert [link.attributes["ctxbridge.link"] for link in permit.links] == ["scheduled"]


async def test_a_delivery_that_waits_again_says_until_when(exporter):
    clock = Clock()

    @guard("send", name="night")
    def night(check):
        return defer(clock.time + HOUR, "night") if clock.time > begins else allow()

    begins = clock.time
    async with open_bridge(clock=clock, guards=[later, night]) as bridge:
        await one_turn(bridge, reply="later")
        exporter.clear()
        clock.time += 2 * HOUR
        await bridge.dispatch()
    permit, sent = exporter.get_finished_spans()
    assert permit.attributes["ctxbridge.permit.action"] == "defer"
    assert permit.attributes["ctxbridge.permit.retry_after_s"] == 3600
    assert sent.attributes["messaging.destination.name"] == "sms"
    assert "ctxbridge.send.status" not in sent.attributes


@pytest.mark.parametrize(
    ("says", "error"),
    [
        (Sent("failed", code="text of a customer"), "failed"),
        (ValueError("text of a customer"), "sender.raised"),
    ],
)
async def test_what_a_sender_says_is_never_told_in_its_words(exporter, says, error):
    from tests.delivery.conftest import Pigeon

    pigeon = Pigeon()
    pigeon.says = [says]
    async with open_bridge(senders=[pigeon]) as bridge:
        await one_turn(bridge)
    sent = next(s for s in exporter.get_finished_spans() if s.name == "send sms")
    assert (sent.attributes["error.type"], sent.status.status_code) == (error, StatusCode.ERROR)
    assert "text of a customer" not in sent.to_json()


async def test_objections_are_one_event_on_the_turn(exporter):
    async with open_bridge() as bridge:
        await one_turn(bridge, "my card is 4111 1111 1111 1111", "rude")
    turn = next(s for s in exporter.get_finished_spans() if s.name == "process sms")
    told = [dict(event.attributes) for event in turn.events if event.name == "ctxbridge.guards"]
    assert [(t["ctxbridge.stage"], t["ctxbridge.guard.name"]) for t in told] == [
        ("reply", ("judge",)), ("inbound", ("pii",)),
    ]  # fmt: skip


async def test_handoff_and_control_are_moments(exporter, measured):
    telemetry.handed_off(Floor.HUMAN, agent="bot", version="2")
    telemetry.controlled("agent", "killed", "human", agent="bot", version="2")
    for span, (name, attributes) in zip(exporter.get_finished_spans(), (
        ("ctxbridge.handoff", {"ctxbridge.owner": "human"}),
        ("ctxbridge.control", {"ctxbridge.control.scope": "agent", "ctxbridge.control.state": "killed",
                               "ctxbridge.control.actor_type": "human"}),
    ), strict=True):  # fmt: skip
        assert (span.name, dict(span.attributes)) == (name, attributes)
        assert span.end_time - span.start_time < 10_000_000
    found = measured()
    assert points(found, names.HANDOFF_COUNT) == {("human", "bot", "2"): 1}
    assert points(found, names.AGENT_PAUSED) == {("bot", "2"): 1}
    telemetry.handed_off(Floor.AGENT, agent="bot", version="2")
    telemetry.controlled("agent", "running", "human", agent="bot", version="2")
    found = measured()
    assert points(found, names.HANDOFF_COUNT) == {("agent", "bot", "2"): 1}
    assert points(found, names.AGENT_PAUSED) == {}


class TestOptIn:
    async def test_genai_names_come_only_where_they_were_asked_for(self, exporter):
        telemetry.configure(semconv="genai-2026")
        async with open_bridge() as bridge:
            await one_turn(bridge, "hello", "rude")
        spans = {s.name: s.attributes for s in exporter.get_finished_spans()}
        assert spans["search_memory"]["gen_ai.operation.name"] == "search_memory"
        assert spans["search_memory"]["gen_ai.memory.record.count"] == 1
        assert spans["upsert_memory"]["gen_ai.operation.name"] == "upsert_memory"
        assert {
            k: v
            for k, v in spans["run_guardrail judge"].items()
            if k.startswith(("gen_ai.op", "gen_ai.gu"))
        } == {
            "gen_ai.operation.name": "run_guardrail",
            "gen_ai.guardrail.component.name": "judge",
            "gen_ai.guardrail.target.type": "output",
            "gen_ai.guardrail.target.subtype": "reply",
            "gen_ai.guardrail.verdict.type": "warn",
            "gen_ai.guardrail.action.type": "allow",
        }

    @pytest.mark.parametrize(
        ("variable", "genai"),
        [("", False), ("http", False), ("http, gen_ai_latest_experimental", True)],
    )
    def test_or_by_the_variable(self, variable, genai):
        from ctxbridge.telemetry.wishes import Wishes

        assert Wishes({"OTEL_SEMCONV_STABILITY_OPT_IN": variable}).genai is genai

    @pytest.mark.parametrize(
        ("variable", "wanted"),
        [("", (False, False)), ("yes", (False, False)), ("SPAN_ONLY", (True, False)),
         ("event_only", (False, True)), ("SPAN_AND_EVENT", (True, True))],
    )  # fmt: skip
    def test_content_by_the_variable(self, variable, wanted):
        from ctxbridge.telemetry.wishes import Wishes

        read = Wishes({"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": variable})
        assert (read.content_spans, read.content_events) == wanted

    async def test_content_is_what_was_stored_and_not_what_was_written(self, exporter):
        telemetry.configure(content="SPAN_AND_EVENT")
        async with open_bridge() as bridge:
            await one_turn(bridge, "my card is 4111 1111 1111 1111", "fine")
        turn = next(s for s in exporter.get_finished_spans() if s.name == "process sms")
        assert "my card is" in turn.attributes["gen_ai.input.messages"]
        assert "4111" not in turn.to_json()
        assert "fine" in turn.attributes["gen_ai.output.messages"]
        assert {e.name for e in turn.events} >= {"gen_ai.client.inference.operation.details"}

    @pytest.mark.parametrize("wrong", [{"semconv": "otel"}, {"content": "ALL"}])
    def test_a_word_that_is_none_of_these_is_refused(self, wrong):
        with pytest.raises(errors.ConfigurationError):
            telemetry.configure(**wrong)


def test_the_page_lists_them_all():
    page = PAGE.read_text()
    every = set(METRICS) | set().union(*(told for _, told in SPANS.values()))
    assert {name for name in every if f"`{name}`" not in page} == set()
    listed = set(re.findall(r"`(ctxbridge\.[a-z_.]+)`", page))
    ours = {v for v in vars(names).values() if isinstance(v, str)} | set(names.METRICS)
    assert listed - ours - {"ctxbridge.telemetry.sdk", "ctxbridge.telemetry"} == set()


def test_the_version_is_the_librarys():
    import ctxbridge

    assert ctxbridge.__version__ == names.VERSION
