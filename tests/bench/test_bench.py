"""The bench runs, its variants answer alike, and nothing has become slower by a multiple."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GOALS = {"F1", "F2", "F3@1", "F3@64", "F4", "F5"}

pytestmark = [pytest.mark.slow, pytest.mark.alone]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "figures.json"
    command = [sys.executable, "-m", "bench", "--quick", "--json", str(path)]
    done = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    # Status 2 would say that two variants of a scenario answered differently.
    assert done.returncode == 0, done.stderr
    return json.loads(path.read_text(encoding="utf-8")), done.stdout, path


@pytest.fixture(scope="module")
def goals(run):
    return {goal["id"]: goal for goal in run[0]["goals"]}


def test_every_goal_has_a_number_and_a_verdict(run, goals):
    assert goals.keys() == GOALS
    machine = run[0]["machine"]
    busy = max(machine["load_before"], machine["load_after"]) > machine["cpu_count"]
    for goal in goals.values():
        assert all(math.isfinite(goal[key]) for key in ("measured", "low", "high"))
        assert goal["low"] <= goal["measured"] <= goal["high"]
        assert (goal["ok"] is None) == busy
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


# Generous, and of the best round, since machines are noisy: these catch a multiple, not a percent.
@pytest.mark.parametrize(("goal", "least"), [("F3@1", 1.5), ("F3@64", 1.5), ("F4", 2.0)])
def test_it_is_faster_than_its_peer(goals, goal, least):
    assert goals[goal]["high"] >= least
