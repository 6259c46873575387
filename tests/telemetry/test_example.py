"""The dashboard, the collector's configuration and the service of examples/telemetry."""

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ctxbridge import telemetry
from ctxbridge.telemetry import names

EXAMPLE = Path(__file__).parents[2] / "examples/telemetry"
DASHBOARD = json.loads((EXAMPLE / "dashboard.json").read_text())
OBSERVED = {names.LOAD_COUNT, names.GUARD_DECISIONS, names.PERMIT_RESULTS, names.HANDOFF_COUNT}
COUNTED = {names.COMMIT_CONFLICTS, names.GUARD_FAILURES}
GAUGES = {names.AGENT_PAUSED}


def in_prometheus(metric):
    """The series of a metric of ours, by the rules of OpenTelemetry for Prometheus."""
    plain = metric.replace(".", "_")
    if metric in OBSERVED | COUNTED:
        return {f"{plain}_total"}
    if metric in GAUGES:
        return {plain}
    unit = {"s": "seconds", "By": "bytes"}[telemetry.METRICS[metric]]
    return {f"{plain}_{unit}_{end}" for end in ("bucket", "count", "sum")}


def queries():
    return [t["expr"] for p in DASHBOARD["panels"] for t in p["targets"] if "expr" in t]


def unknown(expressions):
    """What is named in them and is none of our metrics or attributes."""
    series = set().union(*map(in_prometheus, telemetry.METRICS))
    labels = {v.replace(".", "_") for v in vars(names).values() if isinstance(v, str)}
    named = {w for e in expressions for w in re.findall(r"(?:ctxbridge|gen_ai|error)_\w+", e)}
    return named - series - labels


def test_every_name_in_the_dashboard_is_one_of_ours():
    assert unknown(queries()) == set()
    assert unknown(["rate(ctxbridge_load_counts_total[5m])"]) == {"ctxbridge_load_counts_total"}


def test_every_metric_is_in_the_dashboard():
    shown = " ".join(queries())
    for metric in telemetry.METRICS:
        assert any(re.search(rf"{s}\b", shown) for s in in_prometheus(metric)), metric


def test_the_panels_have_places_of_their_own():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids) == len(telemetry.METRICS) + 2
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}  # fmt: skip
        assert not taken & cells, panel["title"]
        taken |= cells


def test_the_question_for_traces_uses_our_attributes():
    (query,) = (t["query"] for p in DASHBOARD["panels"] for t in p["targets"] if "query" in t)
    ours = {v for v in vars(names).values() if isinstance(v, str)}
    assert set(re.findall(r"span\.([a-z_.]+)", query)) <= ours


def test_the_collectors_pipelines_are_made_of_what_is_declared():
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    told = yaml.safe_load((EXAMPLE / "collector.yaml").read_text())
    for pipeline in told["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(told[kind])
        assert pipeline["processors"][0] == "memory_limiter"
        assert pipeline["processors"][-1] == "batch"
    deleted = {a["key"] for a in told["processors"]["attributes/no_content"]["actions"]}
    assert {names.INPUT_MESSAGES, names.OUTPUT_MESSAGES} <= deleted


def test_the_service_tells_of_a_turn():
    program = (
        "import sys, asyncio\n"
        f"sys.path.insert(0, {str(EXAMPLE)!r})\n"
        "from opentelemetry.sdk.metrics.export import InMemoryMetricReader\n"
        "from opentelemetry.sdk.trace.export import SimpleSpanProcessor\n"
        "from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter\n"
        "import service\n"
        "from tests.telemetry.exchanges import one_turn, open_bridge\n"
        "spans, reader = InMemorySpanExporter(), InMemoryMetricReader()\n"
        "service.setup(SimpleSpanProcessor(spans), reader, 1.0)\n"
        "async def main():\n"
        "    async with open_bridge() as bridge:\n"
        "        await one_turn(bridge)\n"
        "asyncio.run(main())\n"
        "print(sorted(span.name for span in spans.get_finished_spans())[-1])\n"
        "print('ctxbridge.turn.latency' in reader.get_metrics_data().to_json())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n") == ["send sms", "True", ""]


def drawn(path):
    """The words of the picture without its times and ids, and how many links it has."""
    root = ET.parse(path).getroot()
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    links = [e for e in root.iter("{http://www.w3.org/2000/svg}path") if e.get("class") == "link"]
    plain = [re.sub(r"\d+\.\d+ ms|(trace |…)[0-9a-f]{8}", r"\1", word) for word in words]
    return plain, len(links)


def test_the_picture_in_the_docs_is_what_the_script_draws(tmp_path):
    path = tmp_path / "telemetry.svg"
    subprocess.run([sys.executable, str(EXAMPLE / "picture.py"), str(path)], check=True)
    words, links = drawn(path)
    assert (words, links) == drawn(EXAMPLE.parents[1] / "docs/telemetry.svg")
    assert links == 3
    assert [w for w in words if w.startswith("process")] == [
        "process sms", "process email", "process chat",
    ]  # fmt: skip
    assert (words.count("previous_turn"), words.count("scheduled")) == (2, 1)
