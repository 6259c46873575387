"""How things are measured here: all variants in turn, again and again, in random order.

A machine is never quiet, so what counts is the ratio of two variants inside one round; a figure is
the median of these ratios over the rounds, with the smallest and the largest beside it.

A scenario module has ``async def run(plan) -> Outcome``; see `bench.__main__.SCENARIOS`.
"""

import asyncio
import gc
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from random import Random
from typing import Literal, TypeVar

T = TypeVar("T")

_BLOCK = 100
PERCENTILES = tuple(sorted({*range(1, 100), 0.1, 0.5, 99.5, 99.9}))


class Unequal(Exception):
    """Two variants of one scenario do not return the same, so their times mean nothing."""


class Skip(Exception):
    """A scenario cannot run here; its text says why, and what to install."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One variant's part of one round.

    `microseconds` is sorted: of each call, or where calls are too short to be timed alone the mean
    of each hundred. `cpu_seconds` is of this process, all its threads. `counters` is what a
    scenario counts beside the time, per call (commands on the wire, time in the server).
    """

    operations: int
    seconds: float
    cpu_seconds: float
    microseconds: Sequence[float]
    counters: Mapping[str, float] = field(default_factory=dict)


Metric = Callable[[Sample], float]


def per_second(sample: Sample) -> float:
    return sample.operations / sample.seconds


def mean(sample: Sample) -> float:
    return sample.seconds / sample.operations * 1e6


def p50(sample: Sample) -> float:
    return sample.microseconds[len(sample.microseconds) // 2]


def p99(sample: Sample) -> float:
    return sample.microseconds[int(len(sample.microseconds) * 0.99)]


def cpu(sample: Sample) -> float:
    return sample.cpu_seconds / sample.operations * 1e6


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def over(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to do what the scenario is about. `take` prepares, untimed, and gives a sample."""

    name: str
    take: Callable[[], Awaitable[Sample]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """What is reported of a variant. `ratio` is how much faster than `reference` it was."""

    scenario: str
    variant: str
    callers: int
    operations_per_second: float
    p50_us: float
    p99_us: float
    cpu_us: float
    reference: str
    ratio: Spread
    counters: Mapping[str, float]
    note: str


@dataclass(frozen=True, slots=True)
class Goal:
    """A promise and what was measured. `ok` is `None` where the machine was too busy to judge.

    What was `counted` instead of timed is judged all the same.
    """

    id: str
    what: str
    sense: Literal["<=", ">="]
    target: float
    unit: str
    spread: Spread
    ok: bool | None = None
    counted: bool = False

    @property
    def met(self) -> bool:
        reached = self.spread.median
        return reached <= self.target if self.sense == "<=" else reached >= self.target


def counted(id: str, what: str, target: float, number: float) -> Goal:
    """A goal that no clock has a part in: at most so many of something."""
    return Goal(id, what, "<=", target, "", Spread.over([number]), counted=True)


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of the same concurrent turns in one system: counts, no times."""

    system: str
    turns: int
    lost: int
    duplicates: int
    stale: int
    refused: int
    note: str = ""


@dataclass(slots=True)
class Outcome:
    """What a scenario found. `curves` has the latencies of variants, as `curve` gives them."""

    rows: list[Row] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    curves: dict[str, Sequence[float]] = field(default_factory=dict)
    correctness: list[Fate] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, trials: Iterable["Trial"], reference: str) -> None:
        """Report the variants of `trials` beside `reference`."""
        for trial in trials:
            self.rows += trial.rows(reference)


@dataclass(frozen=True, slots=True)
class Setting:
    """What of the servers was asked for: a binary by name, or one that runs elsewhere."""

    server: str = ""
    url: str = ""
    unix: bool = False
    million: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure, where files may lie, and the one source of chance."""

    quick: bool
    folder: Path
    random: Random
    setting: Setting = Setting()

    def size(self, full: int, quick: int) -> int:
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Trial:
    """The samples of all rounds: `samples[name][round]`."""

    scenario: str
    callers: int
    variants: Sequence[Variant]
    samples: Mapping[str, Sequence[Sample]]

    def times(self, name: str, reference: str, metric: Metric) -> Spread:
        """The quotient of the two, round by round."""
        return Spread.over([metric(a) / metric(b) for a, b in self._pairs(name, reference)])

    def over(self, name: str, reference: str, metric: Metric) -> Spread:
        """The difference of the two, round by round."""
        return Spread.over([metric(a) - metric(b) for a, b in self._pairs(name, reference)])

    def _pairs(self, name: str, reference: str) -> list[tuple[Sample, Sample]]:
        return list(zip(self.samples[name], self.samples[reference], strict=True))

    def metric(self, name: str, metric: Metric) -> Spread:
        """The figure itself, where a goal is one in microseconds."""
        return Spread.over([metric(sample) for sample in self.samples[name]])

    def curve(self, name: str) -> Sequence[float]:
        """The latencies of all rounds at `PERCENTILES`."""
        taken = sorted(chain.from_iterable(s.microseconds for s in self.samples[name]))
        return [taken[min(int(len(taken) * p / 100), len(taken) - 1)] for p in PERCENTILES]

    def rows(self, reference: str) -> list[Row]:
        return [self._row(variant, reference) for variant in self.variants]

    def _row(self, variant: Variant, reference: str) -> Row:
        samples = self.samples[variant.name]
        return Row(
            self.scenario,
            variant.name,
            self.callers,
            statistics.median(map(per_second, samples)),
            statistics.median(map(p50, samples)),
            statistics.median(map(p99, samples)),
            statistics.median(map(cpu, samples)),
            reference,
            self.times(variant.name, reference, per_second),
            _counted(samples),
            variant.note,
        )


def _counted(samples: Sequence[Sample]) -> dict[str, float]:
    """Of what each sample counted, the median."""
    return {
        name: statistics.median(sample.counters[name] for sample in samples)
        for name in samples[-1].counters
    }


async def compare(
    plan: Plan, scenario: str, variants: Sequence[Variant], *, rounds: int, callers: int = 1
) -> Trial:
    """Measure the variants in `rounds` rounds, each in its own order, after one that warms up."""
    print(f"  {scenario}, {callers} at a time: {rounds} rounds", file=sys.stderr, flush=True)
    samples: dict[str, list[Sample]] = {variant.name: [] for variant in variants}
    gc.collect()
    gc.freeze()  # what was prepared is not looked through again and again
    for number in range(rounds + 1):
        for variant in plan.random.sample(variants, len(variants)):
            gc.collect()
            sample = await variant.take()
            if number:
                samples[variant.name].append(sample)
    gc.unfreeze()
    return Trial(scenario, callers, variants, samples)


def require_equal(scenario: str, answers: Mapping[str, object]) -> None:
    """Raise `Unequal` unless all variants answer alike."""
    (first, expected), *others = answers.items()
    for name, answer in others:
        if answer != expected:
            raise Unequal(f"{scenario}: {name!r} answers otherwise than {first!r}")


async def in_blocks(call: Callable[[T], Awaitable[object]], arguments: Sequence[T]) -> Sample:
    """Call once per argument, one after the other, with one look at the clock per hundred calls."""
    blocks = [arguments[at : at + _BLOCK] for at in range(0, len(arguments), _BLOCK)]
    taken: list[float] = []
    clock = time.perf_counter
    cpu_before, before = time.process_time(), clock()
    for block in blocks:
        started = clock()
        for argument in block:
            await call(argument)
        taken.append((clock() - started) / len(block) * 1e6)
    seconds = clock() - before
    return Sample(len(arguments), seconds, time.process_time() - cpu_before, sorted(taken))


async def by_callers(
    callers: int,
    call: Callable[[T], Awaitable[object]],
    arguments: Sequence[T],
    rest_every: int = 1,
) -> Sample:
    """`callers` tasks share the arguments; each lets the others run between two of its calls.

    Where a call is over in a microsecond, that would be most of what is measured: then it is done
    every `rest_every` calls.
    """
    taken: list[float] = []
    clock = time.perf_counter

    async def caller(mine: Sequence[T]) -> None:
        for number, argument in enumerate(mine):
            started = clock()
            await call(argument)
            taken.append((clock() - started) * 1e6)
            if callers > 1 and not number % rest_every:
                await asyncio.sleep(0)

    cpu_before, before = time.process_time(), clock()
    async with asyncio.TaskGroup() as group:
        for number in range(callers):
            group.create_task(caller(arguments[number::callers]))
    seconds = clock() - before
    return Sample(len(arguments), seconds, time.process_time() - cpu_before, sorted(taken))
