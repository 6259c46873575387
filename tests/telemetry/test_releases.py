"""The release that answers stands on every span of its turn, and on the metrics that count it."""

from ctxbridge.model import Scope
from ctxbridge.telemetry import metrics, names
from tests.bridge.conftest import SENDERS, write
from tests.bridge.test_guards import Pigeon

from .exchanges import open_bridge
from .test_tables import points

WANTED = {"gen_ai.agent.name": "support", "gen_ai.agent.version": "v12"}


async def one_release():
    bridge = open_bridge_deploying()
    async with bridge:
        await bridge.answer(write("hello"), bridge.deployed)
        await bridge.send(SENDERS["sms"], "news")


def open_bridge_deploying():
    bridge = open_bridge(senders=[Pigeon()])

    async def agent(turn):
        return "hi"

    bridge.deploy("support@v12", agent)
    return bridge


async def test_every_span_of_a_turn_carries_it(exporter):
    await one_release()
    spans = exporter.get_finished_spans()
    inside = [
        s
        for s in spans
        if s.name in {"process sms", "ctxbridge.load", "ctxbridge.commit", "send sms"}
    ]
    about_turn = [s for s in inside if s.parent is not None or s.name == "process sms"]
    assert {s.name for s in about_turn} >= {
        "process sms",
        "ctxbridge.load",
        "ctxbridge.commit",
        "send sms",
    }
    for span in about_turn:
        assert {k: span.attributes.get(k) for k in WANTED} == WANTED, span.name


async def test_metrics_that_count_it_carry_it_and_others_say_nothing_of_it(exporter, measured):
    await one_release()
    found = measured()
    for name in (
        names.GUARD_DECISIONS,
        names.PERMIT_RESULTS,
        names.TURN_LATENCY,
        names.COMMIT_DURATION,
    ):
        told = [dict(point.attributes) for point in found[name].data.data_points]
        assert any(WANTED.items() <= attributes.items() for attributes in told), name
    async with open_bridge() as bridge, bridge.turn(write("plain")) as turn:
        turn.reply("hi")
    told = [dict(p.attributes) for p in measured()[names.TURN_LATENCY].data.data_points]
    assert any(not WANTED.keys() & attributes.keys() for attributes in told)


async def test_control_is_a_moment_with_its_scope(exporter):
    bridge = open_bridge_deploying()
    async with bridge:
        await bridge.control.pause(Scope(agent="support"), by="ann")
        await bridge.control.resume(Scope(agent="support"), by="ann")
    told = [
        (s.attributes["ctxbridge.control.scope"], s.attributes["ctxbridge.control.state"])
        for s in exporter.get_finished_spans() if s.name == "ctxbridge.control"
    ]  # fmt: skip
    assert told == [("release", "running"), ("agent", "paused"), ("agent", "running")]


async def test_a_process_tells_what_stands_still_though_another_has_said_so(measured):
    bridge = open_bridge_deploying()
    async with bridge, open_bridge(bridge.store) as operator:
        async with bridge.turn(write("hello")):
            pass
        await operator.control.pause(Scope(agent="support", version="v12"))
        metrics.pauses.clear()  # as it is in a process of its own
        await bridge.steering.refresh()
        assert points(measured(), names.AGENT_PAUSED) == {("support", "v12"): 1}
        await operator.control.resume(Scope(agent="support", version="v12"))
        metrics.pauses["support", "v12"] = 1
        await bridge.steering.refresh()
        assert points(measured(), names.AGENT_PAUSED) == {}
