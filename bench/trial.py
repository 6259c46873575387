"""``python -m bench.trial``: how often a release on trial trips, by how much worse it is.

Simulated conversations, by seed: who gets the canary is drawn by lot, and so is what goes wrong.
Writes bench/results/trial.json, the picture and the tables of docs/automatic-rollback.md. The test
(tests/bench/test_trial.py) runs the same simulation smaller.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from bench import plot
from bench.publish import ROOT, between
from ctxbridge.model import Outcome, TrialPolicy
from ctxbridge.rules import trial

RESULTS = Path(__file__).parent / "results" / "trial.json"
PICTURE = ROOT / "docs" / "pictures" / "operating-curve.svg"
PAGE = ROOT / "docs" / "automatic-rollback.md"
RUNS, CONVERSATIONS, PATIENT, GOAL = 300, 2_000, 20_000, 200
RATES = (0.01, 0.05, 0.1, 0.2)
RATIOS = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0)
PERCENTS = (5, 20, 50)
# How bad conversations end: each in one way, most often at a guard. Invented, as is any mix.
ENDS = (
    ("blocked", 0.35), ("unanswered", 0.25), ("failed", 0.2), ("taken_over", 0.15),
    ("opted_out", 0.05),
)  # fmt: skip
ONE_MORE = (0.01, "taken_over")
"""What goes wrong besides, in both alike, where the canary is worse in one way alone."""


@dataclass(frozen=True)
class World:
    """What is simulated.

    `rate`: share of the stable release's conversations that go bad; `ratio`: how many times that
    for the canary; `percent` of the contacts get it. `alone`: all that goes bad is a guard's block,
    and other ends come in both alike. `weather`: ``fair``; ``storms``: now and then, for 30
    conversations, nine of ten go bad whoever has them; ``drift``: the rate goes from 0 to double.
    """

    rate: float
    ratio: float = 1.0
    percent: float = 50.0
    alone: bool = False
    weather: str = "fair"


@dataclass(frozen=True)
class Run:
    """When it tripped, in conversations of both releases and of the canary; `None` if never."""

    after: int | None
    canary: int


def outcomes(world: World, random: Random, conversations: int) -> Iterator[Outcome]:
    """The conversations of a trial, one after the other."""
    storm = 0
    for at in range(conversations):
        if world.weather == "storms":
            storm = storm - 1 if storm else 30 * (random.random() < 0.005)
        rate = _rate(world, at / conversations, storm > 0)
        canary = random.random() < world.percent / 100
        rate = min(rate * world.ratio, 1.0) if canary else rate
        yield _ended(canary, random.random() < rate, world, random)


def _rate(world: World, passed: float, storm: bool) -> float:
    if storm:
        return 0.9
    return world.rate * 2 * passed if world.weather == "drift" else world.rate


def _made(canary: bool, *ends: str) -> Outcome:
    return Outcome(canary, **dict.fromkeys(ends, True))


_FINE = (_made(False), _made(True))
_BLOCKED = (_made(False, "blocked"), _made(True, "blocked"))
_ELSE = (_made(False, ONE_MORE[1]), _made(True, ONE_MORE[1]))
_MIXED = tuple([[_made(canary, end) for end, _ in ENDS] for canary in (False, True)])
_SHARES = [share for _, share in ENDS]


def _ended(canary: bool, bad: bool, world: World, random: Random) -> Outcome:
    if world.alone:
        more = _ELSE if random.random() < ONE_MORE[0] else _FINE
        return (_BLOCKED if bad else more)[canary]
    return random.choices(_MIXED[canary], _SHARES)[0] if bad else _FINE[canary]


def run(world: World, seed: int, conversations: int, policy: TrialPolicy | None = None) -> Run:
    """One trial from its beginning until it trips, or to its end; in batches of some workers."""
    random = Random(f"{world} {seed}")
    stream = outcomes(world, random, conversations)
    state = trial.begin("v12", "v11", policy)
    while not state.tripped and (batch := list(islice(stream, random.randrange(1, 64)))):
        state = trial.fold(state, batch)
    seen = state.canary_count + state.stable_count
    return Run(seen if state.tripped else None, state.canary_count)


@dataclass(frozen=True)
class Cell:
    """Many runs of one world. Medians are over all runs; `None` where half never tripped."""

    world: World
    runs: int
    conversations: int
    tripped: int
    median: int | None
    median_canary: int | None

    @property
    def share(self) -> float:
        return self.tripped / self.runs


def cell(
    world: World, runs: int, conversations: int, first: int = 0, policy: TrialPolicy | None = None
) -> Cell:
    """`runs` of a world, with seeds from `first` on."""
    found = [run(world, first + at, conversations, policy) for at in range(runs)]
    tripped = [one for one in found if one.after is not None]
    return Cell(
        world, runs, conversations, len(tripped),
        _median([one.after or 0 for one in tripped], runs),
        _median([one.canary for one in tripped], runs),
    )  # fmt: skip


def _median(caught: Sequence[int], runs: int) -> int | None:
    """Where those that were never caught are later than all others."""
    middle = (runs - 1) // 2
    return sorted(caught)[middle] if middle < len(caught) else None


def measure(runs: int, seed: int) -> dict[str, list[Cell]]:
    """The operating curve, and what surrounds it."""
    worlds = [World(r, q, p) for p in PERCENTS for r in RATES for q in RATIOS]
    alone = [World(r, q, 50, alone=True) for r in RATES for q in (1.0, 2.0, 3.0)]
    rough = [World(0.1, 1.0, p, weather=w) for w in ("storms", "drift") for p in PERCENTS]
    patient = [World(r, 2.0, p) for p in PERCENTS for r in RATES]
    long = [World(r, 1.0, 50) for r in RATES]
    return {
        "curve": [_told(world, runs, CONVERSATIONS, seed) for world in worlds],
        "alone": [_told(world, runs, CONVERSATIONS, seed) for world in alone],
        "rough": [_told(world, runs, CONVERSATIONS, seed) for world in rough],
        "patient": [_told(world, runs, PATIENT, seed) for world in patient],
        "long": [_told(world, runs, PATIENT, seed) for world in long],
    }


def _told(world: World, runs: int, conversations: int, seed: int) -> Cell:
    found = cell(world, runs, conversations, seed)
    print(f"{world} {found.share:.1%} after {found.median}", file=sys.stderr)
    return found


# What is shown. All of it comes from the file of results.

Rows = Sequence[Mapping[str, Any]]


def tables(results: Mapping[str, Any]) -> str:
    """What was measured, as the page shows it."""
    alpha, size = results["alpha"], f"{results['runs']} runs of {CONVERSATIONS:,} conversations"
    same = [c for c in results["curve"] + results["alone"] if c["world"]["ratio"] == 1]
    parts = [
        f"{size} for each cell. Share that tripped; in brackets the median of the canary's",
        "conversations until then, over all runs, `-` where fewer than half tripped.\n",
        _curve_table(results["curve"]),
        f"The column of 1 is the false alarms: {_sum(same)} with all ways of going wrong, and with",
        f"one alone, at a bound of {alpha:.0%}; the worst cell has {_worst(same):.1%}.",
        f"With storms that hit both, and with a rate that drifts: {_sum(results['rough'])}, the",
        f"worst {_worst(results['rough']):.1%}. Trials of {PATIENT:,} conversations, with a canary",
        f"of 50 %: {_sum(results['long'])}, the worst {_worst(results['long']):.1%}.\n",
        "Worse in one way alone (blocks by guards; 1 % is taken over in both), 50 % canary:",
        "",
        _alone_table(results["alone"]),
        f"Twice as bad, with patience for {PATIENT:,} conversations. Medians until caught, and",
        "what any test with this bound needs in the mean, of both releases together (Wald):\n",
        _patient_table(results["patient"], alpha),
        _reached(results["patient"]),
    ]
    return "\n".join(parts)


def _reached(cells: Rows) -> str:
    """What was asked for: caught within some 200 conversations at the median."""
    missed = [c for c in cells if not _within(c["median_canary"])]
    caught, both = len(cells) - len(missed), sum(_within(c["median"]) for c in cells)
    worlds = "; ".join(
        f"{_percent(c['world']['rate'])} bad, canary of {c['world']['percent']} %" for c in missed
    )
    return (
        f"Caught within {GOAL} conversations of the canary: {caught} of {len(cells)} worlds.\n"
        f"Not: {worlds}.\n"
        f"Within {GOAL} of both releases together: {both} of {len(cells)}.\n"
    )


def _within(median: int | None) -> bool:
    return median is not None and median <= GOAL


def least(world: World, alpha: float) -> float:
    """How many conversations any test with this bound needs in the mean, if it catches all.

    ``log(1/alpha)`` over what a conversation tells, in nats, against the two releases being alike
    (A. Wald, Sequential Tests of Statistical Hypotheses, 1945).
    """
    share, stable, canary = world.percent / 100, world.rate, world.rate * world.ratio
    alike = (1 - share) * stable + share * canary
    told = (1 - share) * _nats(stable, alike) + share * _nats(canary, alike)
    return -math.log(alpha) / told


def _nats(rate: float, other: float) -> float:
    return rate * math.log(rate / other) + (1 - rate) * math.log((1 - rate) / (1 - other))


def _sum(cells: Rows) -> str:
    runs, tripped = sum(c["runs"] for c in cells), sum(c["tripped"] for c in cells)
    return f"{tripped:,} of {runs:,} runs ({tripped / runs:.2%})"


def _worst(cells: Rows) -> float:
    worst: float = max(c["tripped"] / c["runs"] for c in cells)
    return worst


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _shown(cell: Mapping[str, Any]) -> str:
    median = cell["median_canary"]
    return f"{cell['tripped'] / cell['runs']:.1%} ({'-' if median is None else median})"


def _curve_table(cells: Rows) -> str:
    found = {_key(c): c for c in cells}
    head = ["canary", "stable's bad share", *(f"{ratio:g} x" for ratio in RATIOS)]
    return _table(head, [
        [f"{p} %", _percent(r), *(_shown(found[p, r, q]) for q in RATIOS)]
        for p in PERCENTS for r in RATES
    ])  # fmt: skip


def _alone_table(cells: Rows) -> str:
    found = {_key(c): c for c in cells}
    head = ["stable's bad share", *(f"{ratio:g} x" for ratio in (1.0, 2.0, 3.0))]
    return _table(head, [
        [_percent(r), *(_shown(found[50, r, q]) for q in (1.0, 2.0, 3.0))] for r in RATES
    ])  # fmt: skip


def _patient_table(cells: Rows, alpha: float) -> str:
    head = ["canary", "stable's bad share", "caught", "the canary's", "all", "any test, all"]
    return _table(head, [
        [
            f"{c['world']['percent']} %", _percent(c["world"]["rate"]),
            f"{c['tripped'] / c['runs']:.1%}",
            *("-" if c[m] is None else f"{c[m]:,}" for m in ("median_canary", "median")),
            f"{least(World(**c['world']), alpha):,.0f}",
        ]
        for c in cells
    ])  # fmt: skip


def _percent(rate: float) -> str:
    return f"{100 * rate:g} %"


def _key(cell: Mapping[str, Any]) -> tuple[float, float, float]:
    world = cell["world"]
    return world["percent"], world["rate"], world["ratio"]


BEGIN, END = "<!-- measured -->\n", "<!-- /measured -->"


def publish(results: Mapping[str, Any]) -> None:
    """The picture, and the tables of the page."""
    PICTURE.write_text(picture(results), encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(between(page, BEGIN, tables(results), END), encoding="utf-8")


# The picture.


def picture(results: Mapping[str, Any], percent: int = 50) -> str:
    """Which share of the trials trips, by how many times as bad the canary is."""
    title = f"Trials that trip within {CONVERSATIONS:,} conversations, {percent} % canary"
    curves = {
        f"{_percent(rate)} of stable's go bad": [
            (c["world"]["ratio"], 100 * c["tripped"] / c["runs"])
            for c in results["curve"]
            if (c["world"]["percent"], c["world"]["rate"]) == (percent, rate)
        ]
        for rate in RATES
    }
    alpha = 100 * results["alpha"]
    curves[f"the bound on false alarms, {alpha:g} %"] = [(RATIOS[0], alpha), (RATIOS[-1], alpha)]
    parts = [
        plot.OPENING.format(title=title), plot.STYLE,
        plot.text(plot.LEFT, 24, title, kind="title"),
        *_axes(),
        *(_polyline(at, points) for at, points in enumerate(curves.values())),
        *plot.legend(list(curves)),
    ]  # fmt: skip
    return "".join(parts) + "</svg>\n"


def _x(ratio: float) -> float:
    share = math.log(ratio / RATIOS[0]) / math.log(RATIOS[-1] / RATIOS[0])
    return round(plot.LEFT + share * (plot.WIDTH - plot.LEFT - plot.RIGHT), 1)


def _y(percent: float) -> float:
    return round(
        plot.HEIGHT - plot.BOTTOM - percent / 100 * (plot.HEIGHT - plot.TOP - plot.BOTTOM), 1
    )


def _axes() -> list[str]:
    floor, right = plot.HEIGHT - plot.BOTTOM, plot.WIDTH - plot.RIGHT
    parts = []
    for ratio in RATIOS:
        parts += [
            plot.line(_x(ratio), plot.TOP, _x(ratio), floor, "grid"),
            plot.text(_x(ratio), floor + 18, f"{ratio:g}", "middle"),
        ]
    for percent in (0, 25, 50, 75, 100):
        parts += [
            plot.line(plot.LEFT, _y(percent), right, _y(percent), "grid" if percent else "axis"),
            plot.text(plot.LEFT - 8, _y(percent) + 4, f"{percent} %", "end"),
        ]
    said = "how many times as many of the canary's conversations go bad (logarithmic)"
    parts.append(plot.text((plot.LEFT + right) / 2, floor + 38, said, "middle"))
    return parts


def _polyline(at: int, points: Sequence[tuple[float, float]]) -> str:
    places = " ".join(f"{_x(ratio)},{_y(percent)}" for ratio, percent in points)
    return f'<polyline class="curve" points="{places}" {plot.pen(at)}/>\n'


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.trial", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="trials of each world")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--json", type=Path, help="where the figures go; else they are published")
    options = parser.parse_args(arguments)
    found = measure(options.runs, options.seed)
    results = {
        "alpha": TrialPolicy().alpha, "runs": options.runs, "seed": options.seed,
        **{name: [asdict(one) for one in cells] for name, cells in found.items()},
    }  # fmt: skip
    print(tables(results))
    where: Path = options.json or RESULTS
    where.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if not options.json:
        publish(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
