"""The operating curve of the automatic rollback: 300 trials of 2,000 conversations, more in `make soak`.

`CTXBRIDGE_TRIALS` is the number of trials of each world.
"""

import json
import math
import os
from dataclasses import asdict
from random import Random
from xml.etree import ElementTree as ET

import pytest
from bench.trial import World

from bench import trial
from ctxbridge.model import TrialPolicy

RUNS = int(os.environ.get("CTXBRIDGE_TRIALS", "300"))
ALPHA = TrialPolicy().alpha
RESULTS = json.loads(trial.RESULTS.read_text(encoding="utf-8"))
ALIKE = [World(0.1), World(0.2, percent=20), World(0.05, percent=5), World(0.1, alone=True),
         World(0.1, weather="storms"), World(0.1, percent=20, weather="drift")]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("world", ALIKE, ids=str)
def test_false_trips_are_within_the_bound(world):
    found = trial.cell(world, RUNS, trial.CONVERSATIONS)
    assert found.share <= ALPHA, found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "canary"),
    [
        (World(0.1, 2.0), 225),
        (World(0.1, 2.0, percent=20), 175),
        (World(0.2, 2.0), 110),
        (World(0.2, 2.0, percent=20), 75),
        (World(0.2, 2.0, alone=True), 110),
    ],
    ids=str,
)
def test_a_release_twice_as_bad_is_caught_within_some_200_of_its_conversations(world, canary):
    found = trial.cell(world, RUNS, trial.CONVERSATIONS)
    assert found.share > 0.9, found
    assert found.median_canary <= canary, found


@pytest.mark.slow
def test_the_simulation_notices_a_rule_without_a_bound(monkeypatch):
    """The broken variant: what falls by lot weighs nothing, so bad ends are evidence by themselves."""
    broken = lambda _canary, _stable, _bad, factors: (0.0,) * len(factors)  # noqa: E731
    monkeypatch.setattr("ctxbridge.rules.trial.by_lot", broken)
    assert trial.cell(World(0.1), 100, trial.CONVERSATIONS).share > 10 * ALPHA


def test_a_run_is_repeated_by_its_seed():
    world = World(0.2, 2.0)
    assert trial.run(world, 7, 600) == trial.run(world, 7, 600)
    assert len({trial.run(world, seed, 600) for seed in range(20)}) > 5


def test_what_is_simulated_is_what_was_asked_for():
    world = World(0.1, 2.0, percent=20)
    made = list(trial.outcomes(world, Random(1), 20_000))
    canary = [outcome for outcome in made if outcome.canary]
    assert len(canary) == pytest.approx(4_000, abs=5 * math.sqrt(3_200))
    assert sum(o.flags()[-1] for o in canary) / 4_000 == pytest.approx(0.2, abs=0.04)
    stable = [outcome for outcome in made if not outcome.canary]
    assert sum(o.flags()[-1] for o in stable) / 16_000 == pytest.approx(0.1, abs=0.02)
    assert sum(o.blocked for o in stable) / 1_600 == pytest.approx(0.35, abs=0.08)


def test_a_median_counts_those_that_were_never_caught():
    assert trial._median([30, 10, 20], 3) == 20
    assert trial._median([30, 10, 20], 5) == 30
    assert trial._median([30, 10, 20], 7) is None


def test_the_page_and_the_picture_show_the_latest_run():
    shown = trial.PAGE.read_text().split(trial.BEGIN)[1].split(trial.END)[0]
    assert shown == trial.tables(RESULTS)
    assert trial.PICTURE.read_text() == trial.picture(RESULTS)


def test_the_reasons_in_the_page_are_those_that_its_snippet_prints(capsys):
    blocks = trial.PAGE.read_text().split("```")[1::2]
    at = next(i for i, block in enumerate(blocks) if block.startswith("text\n"))
    exec(blocks[at - 1].removeprefix("python\n"), {})
    assert capsys.readouterr().out.split() == blocks[at].removeprefix("text\n").split()


def test_what_any_test_needs_is_less_than_what_ours_does():
    """Wald's bound is on the mean, so it is compared with a mean; ours is not far above it."""
    world = World(0.2, 2.0)
    runs = [trial.run(world, seed, trial.PATIENT).after for seed in range(200)]
    assert trial.least(world, ALPHA) < sum(runs) / 200 < 2 * trial.least(world, ALPHA)


def test_the_results_are_of_this_rule():
    """One cell of the file, run again: a rule that was changed needs new figures."""
    stored = next(c for c in RESULTS["curve"] if c["world"] == asdict(World(0.2, 3.0, percent=50)))
    again = trial.cell(
        World(0.2, 3.0, percent=50), RESULTS["runs"], trial.CONVERSATIONS, RESULTS["seed"]
    )
    assert asdict(again) == stored


def test_in_the_results_every_world_that_is_alike_is_within_the_bound():
    alike = [
        c for name in ("curve", "alone", "rough") for c in RESULTS[name] if c["world"]["ratio"] == 1
    ]
    assert len(alike) == 3 * 4 + 4 + 6
    assert max(c["tripped"] / c["runs"] for c in alike) <= RESULTS["alpha"]
    long = [c["tripped"] / c["runs"] for c in RESULTS["long"]]
    assert sum(long) / len(long) <= RESULTS["alpha"]
    assert sum(c["tripped"] for c in alike) > 0, "a bound that is never touched measures nothing"


def test_the_picture_is_well_formed_and_names_its_curves():
    svg = "{http://www.w3.org/2000/svg}"
    picture = ET.fromstring(trial.picture(RESULTS))
    said = {text.text for text in picture.iter(f"{svg}text")}
    assert {"10 % of stable's go bad", "the bound on false alarms, 5 %", "1.25"} <= said
    assert len(list(picture.iter(f"{svg}polyline"))) == len(trial.RATES) + 1


def test_a_short_run_writes_what_it_was_told_to(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(trial, "RATES", (0.2,))
    monkeypatch.setattr(trial, "PATIENT", 2_000)
    assert trial.main(["--runs", "2", "--json", str(tmp_path / "t.json")]) == 0
    found = json.loads((tmp_path / "t.json").read_text())
    assert found["runs"] == 2
    assert "| 50 % | 20 % |" in capsys.readouterr().out
