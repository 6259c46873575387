"""The plumbing around the guards has not become slower by a multiple, and its peers are asked fairly."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from bench.harness import Outcome, Plan, Skip, mean
from bench.peers.guarding import HARMLESS

from bench import guards

pytestmark = pytest.mark.alone

ROOT = Path(__file__).parents[2]
GENEROUS = 3.0
"""How far above its aim a ratio may be: these machines are noisy, and a multiple is what is looked for."""
GATES = {name: GENEROUS * aim for name, (_, aim) in guards.AIMS.items()}


def measured(rounds):
    plan = Plan(quick=False, folder=Path(), random=Random(5))
    return asyncio.run(guards.measure(plan, [], rounds=rounds))


def ratios(trial):
    return {name: trial.times(name, floor, mean).median for name, (floor, _) in guards.AIMS.items()}


@pytest.fixture(scope="module")
def trial():
    return measured(rounds=25)


@pytest.mark.parametrize("name", GATES)
def test_no_more_than_a_multiple_of_the_floor(trial, name):
    assert ratios(trial)[name] <= GATES[name]


def test_plumbing_that_is_a_multiple_slower_would_be_seen(monkeypatch):
    judge = guards.judge

    async def eightfold(*arguments):
        for _ in range(7):
            await judge(*arguments)
        return await judge(*arguments)

    monkeypatch.setattr(guards, "judge", eightfold)
    found = ratios(measured(rounds=3))
    assert [name for name in GATES if found[name] <= GATES[name]] == []


def test_a_verdict_that_is_known_costs_less_than_asking(trial):
    assert trial.times(guards.CACHED, guards.JUDGE, mean).median < 1


def test_the_table_names_everything_as_times_of_the_floor(trial):
    printed = guards.table(trial)
    assert f"| {guards.FLOOR} | " in printed
    assert all(f"| {name} | " in printed for name in guards.AIMS)
    assert len(guards.goals(trial)) == len(guards.AIMS)


class TestPeers:
    def test_one_that_is_not_installed_is_named_with_the_reason(self, tmp_path, monkeypatch):
        monkeypatch.setattr(guards, "VENVS", tmp_path)
        outcome = Outcome()
        assert guards._started(guards.ExitStack(), outcome) == []
        assert len(outcome.skipped) == len(guards.PEERS)
        assert all("make bench-guards" in reason for reason in outcome.skipped)

    def test_one_that_cannot_be_imported_says_so(self, tmp_path, monkeypatch):
        monkeypatch.setattr(guards, "VENVS", tmp_path)
        (tmp_path / "nemo" / "bin").mkdir(parents=True)
        (tmp_path / "nemo" / "bin" / "python").symlink_to(sys.executable)
        with pytest.raises(Skip, match="nemoguardrails because it is not installed"):
            guards.Peer("nemo_peer", "nemo").__enter__()

    def test_samples_come_from_its_process(self):
        done = served("not any(guard(text) for guard in GUARDS)", "3\n250\n")
        ready, *samples = done.splitlines()
        assert ready.startswith("ready pytest ")
        assert [json.loads(sample)["operations"] for sample in samples] == [3, 250]

    @pytest.mark.parametrize("lazy", ["True", "False", f"text != {HARMLESS!r}"])
    def test_one_that_judges_otherwise_is_not_measured(self, lazy):
        assert served(lazy, "3\n").startswith("not measured: pytest ")


def served(passes, lines):
    """What a peer prints that lets texts through by the expression `passes`."""
    code = f"""
from bench.peers.guarding import GUARDS, serve
def make():
    async def passes(text):
        return {passes}
    return passes
serve(make, "pytest")
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, input=lines, check=True, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    return done.stdout
