"""What was found, as Markdown for people and JSON for programs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from bench.harness import PERCENTILES, Fate, Goal, Outcome, Row, Spread

_NOTES = """\
A figure is the median over the rounds of the ratio (or difference) inside one round, then the \
smallest and the largest. Ratios are what to trust; microseconds are of this machine in this hour. \
What was prepared is kept from the garbage collector, for all alike.
"""
_CORRECTNESS = """\
Twenty turns of one conversation at once, by two workers, every fifth webhook delivered twice; a \
turn reads the history, appends the message, thinks for 10 ms and appends an answer. Counted in \
what is stored at the end. *Lost*: acknowledged, and not there. *Stale*: an answer that stands \
behind another one which its turn had not seen. *Refused*: ended with an error, so the caller knows.
"""
_BUSY = "**The machine was too busy (load average above its cores), so no time is judged.**\n"


@dataclass(slots=True)
class Report:
    """All outcomes of one run, and where they come from."""

    machine: dict[str, object]
    load_before: float
    load_after: float
    cores: int
    goals: list[Goal] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    correctness: list[Fate] = field(default_factory=list)
    curves: dict[str, Sequence[float]] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        return max(self.load_before, self.load_after) > self.cores

    def add(self, outcome: Outcome) -> None:
        self.rows += outcome.rows
        self.goals += outcome.goals
        self.skipped = list(dict.fromkeys(self.skipped + outcome.skipped))
        self.notes += outcome.notes
        self.correctness += outcome.correctness
        self.curves |= outcome.curves

    def judge(self) -> None:
        self.goals = [
            replace(g, ok=g.met if g.counted or not self.busy else None) for g in self.goals
        ]

    def as_json(self) -> dict[str, object]:
        machine = self.machine | {"load_before": self.load_before, "load_after": self.load_after}
        return {
            "goals": [_goal(goal) for goal in self.goals],
            "machine": machine,
            "correctness": [asdict(fate) for fate in self.correctness],
            "rows": [asdict(row) for row in self.rows],
            "curves": {"percentiles": PERCENTILES, "microseconds": self.curves},
            "notes": self.notes,
            "skipped": self.skipped,
        }

    def as_markdown(self) -> str:
        parts = ["# Measured\n", _NOTES]
        if self.busy:
            parts.append(_BUSY)
        if self.goals:
            parts += ["## Goals\n", _goals(self.goals)]
        if self.correctness:
            parts += [
                "## Turns of one conversation at once\n",
                _CORRECTNESS,
                _fates(self.correctness),
            ]
        for scenario in dict.fromkeys((row.scenario, row.callers) for row in self.rows):
            rows = [row for row in self.rows if (row.scenario, row.callers) == scenario]
            parts += [_heading(rows[0]), _rows(rows)]
        parts += [f"{note}\n" for note in self.notes]
        parts += [f"Not run: {reason}\n" for reason in self.skipped]
        return "\n".join([*parts, "## Machine\n", self._machine()])

    def _machine(self) -> str:
        facts = dict(self.machine)
        facts["load average"] = f"{self.load_before} before, {self.load_after} after"
        for name, fact in facts.items():
            if isinstance(fact, Mapping):
                facts[name] = ", ".join(f"{what} {number}" for what, number in fact.items())
        return "".join(f"- {name}: {fact}\n" for name, fact in facts.items())


def _goal(goal: Goal) -> dict[str, object]:
    return {
        "id": goal.id,
        "what": goal.what,
        "target": _target(goal),
        "measured": goal.spread.median,
        "low": goal.spread.low,
        "high": goal.spread.high,
        "ok": goal.ok,
        "counted": goal.counted,
    }


def _target(goal: Goal) -> str:
    return f"{goal.sense} {goal.target:g} {goal.unit}".strip()


def _goals(goals: Sequence[Goal]) -> str:
    verdicts = {True: "yes", False: "**no**", None: "not judged"}
    return _table(
        ("id", "what", "target", "measured", "reached"),
        [(g.id, g.what, _target(g), _spread(g.spread), verdicts[g.ok]) for g in goals],
    )


def _fates(fates: Sequence[Fate]) -> str:
    return _table(
        ("system", "turns", "lost", "duplicates", "stale", "refused", ""),
        [
            (
                fate.system,
                *map(str, (fate.turns, fate.lost, fate.duplicates, fate.stale, fate.refused)),
                fate.note,
            )
            for fate in fates
        ],
    )


def _heading(row: Row) -> str:
    callers = "1 caller" if row.callers == 1 else f"{row.callers} callers"
    return f"## {row.scenario}, {callers}\n"


def _rows(rows: Sequence[Row]) -> str:
    counted = sorted({name for row in rows for name in row.counters})
    head = ("variant", "per second", f"x {rows[0].reference}", "p50 µs", "p99 µs", "CPU µs")
    return _table(
        (*head, *(f"{name} per call" for name in counted)),
        [
            (
                f"{row.variant} ({row.note})" if row.note else row.variant,
                f"{row.operations_per_second:,.0f}",
                _spread(row.ratio),
                f"{row.p50_us:.2f}",
                f"{row.p99_us:.2f}",
                f"{row.cpu_us:.2f}",
                *(_count(row, name) for name in counted),
            )
            for row in rows
        ],
    )


def _count(row: Row, name: str) -> str:
    return f"{row.counters[name]:,.2f}" if name in row.counters else ""


def _spread(spread: Spread) -> str:
    return f"{spread.median:.2f} ({spread.low:.2f} to {spread.high:.2f})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
