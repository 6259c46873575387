"""``ctxbridge replay``: other guards over what was stored, and what they would have changed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from statistics import quantiles
from typing import Any

import anyio
from msgspec import Struct

from ctxbridge.bridge.rejudging import Rejudged
from ctxbridge.cli.loading import named
from ctxbridge.cli.output import emit, plain, say, warn
from ctxbridge.cli.progress import Progress, counted, progress
from ctxbridge.cli.tables import tell_table
from ctxbridge.cli.where import UNKNOWN, Where
from ctxbridge.errors import ConfigurationError, UnknownContact
from ctxbridge.guards import read_policy
from ctxbridge.model import GuardResult
from ctxbridge.model.lines import estimate_tokens
from ctxbridge.ports import Guard

CHANGED = 3
HEADLINE = ("guard", "asked", "objected", "failed", "µs p50", "µs p95", "seconds", "tokens about")
DIFFERENCE = ("turn", "#", "stage", "was", "now", "code")


class Wanted(Struct, frozen=True):
    """What the command line asks for; times in Unix milliseconds."""

    where: Where
    guards: str
    since: int = 0
    until: int | None = None
    address: str | None = None
    diff: bool = False
    as_json: bool = False
    show_text: bool = False


class Tally:
    """What was counted of each guard, and of the whole."""

    def __init__(self) -> None:
        self.judged = self.changed = self.lost = 0
        self.results: dict[str, list[GuardResult]] = {}
        self.tokens: Counter[str] = Counter()

    def take(self, one: Rejudged) -> None:
        """Count one message."""
        self.judged += one.kept
        self.lost += not one.kept
        self.changed += one.changed
        for result in one.results:
            self.results.setdefault(f"{result.guard} {result.version}", []).append(result)
            if result.status != "skipped":
                self.tokens[f"{result.guard} {result.version}"] += estimate_tokens(one.message.text)


def replay(wanted: Wanted) -> int:
    """Judge again and tell; 3 if something would have changed, 1 if the address is nobody's."""
    guards = load(wanted.guards)
    try:
        with progress("judging", prints=wanted.diff and wanted.as_json) as shown:
            tally, rows = anyio.run(_replay, wanted, guards, shown)
    except UnknownContact as error:
        warn(wanted.where.among(error))
        return UNKNOWN
    if wanted.as_json:
        emit(summary(tally))
    else:
        _tell(tally, rows)
    return CHANGED if tally.changed else 0


async def _replay(
    wanted: Wanted, guards: Sequence[Guard], shown: Progress
) -> tuple[Tally, list[tuple[str, ...]]]:
    tally, rows = Tally(), list[tuple[str, ...]]([DIFFERENCE])
    async with wanted.where.bridge(guards=[]) as bridge:
        if wanted.address and (await bridge.context(wanted.address, window=1)).contact is None:
            raise UnknownContact("nobody is stored under this address")
        judged = bridge.rejudge(
            guards, since=wanted.since, until=wanted.until, address=wanted.address
        )
        async for one in counted(judged, shown):
            tally.take(one)
            if not (wanted.diff and one.changed):
                continue
            if wanted.as_json:
                emit(record(one, show_text=wanted.show_text))
            else:
                rows.append(_row(one, show_text=wanted.show_text))
    return tally, rows


def load(name: str) -> list[Guard]:
    """The guards of ``module:list`` or of a policy file; `ConfigurationError` for what is none."""
    if name.endswith(".toml"):
        return [*read_policy(name)]
    found = named(name, "--guards")
    listed = list(found) if isinstance(found, (list, tuple)) else [found]
    for one in listed:
        if not (hasattr(one, "check") and hasattr(one, "stages")):
            raise ConfigurationError(f"{name} holds something that is no guard")
    return listed


def moment_of(text: str) -> int:
    """A date, or a time, in Unix milliseconds; of none is told in UTC. Raises `ValueError`."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def record(one: Rejudged, *, show_text: bool) -> dict[str, Any]:
    """A difference as an object."""
    told = {
        "kind": "difference",
        "turn": one.message.turn.hex(),
        "seq": one.seq,
        "stage": one.stage,
        "was": one.was,
        "now": one.now,
        "code": one.code,
    }
    return told | {"text": one.message.text} if show_text else told


def summary(tally: Tally) -> dict[str, Any]:
    """The tally as an object."""
    return {
        "kind": "replay",
        "judged": tally.judged,
        "changed": tally.changed,
        "words_not_kept": tally.lost,
        "guards": [
            {
                "guard": name,
                "asked": len(_asked(results)),
                "actions": Counter(r.action for r in _asked(results)),
                "failed": sum(r.status in {"error", "timeout"} for r in results),
                "microseconds": sum(r.microseconds for r in results),
                "tokens_about": tally.tokens[name],
            }
            for name, results in tally.results.items()
        ],
    }


def _asked(results: Sequence[GuardResult]) -> list[GuardResult]:
    return [r for r in results if r.status != "skipped"]


def _tell(tally: Tally, differences: Sequence[tuple[str, ...]]) -> None:
    if len(differences) > 1:
        tell_table(differences)
        say()
    if tally.results:
        tell_table([HEADLINE, *_counts(tally)])
        say()
    lost = f" The words of {tally.lost} were not kept." if tally.lost else ""
    say(f"{tally.judged} messages judged again, {tally.changed} would have become another.{lost}")


def _counts(tally: Tally) -> Iterator[tuple[str, ...]]:
    for name, results in tally.results.items():
        asked = _asked(results)
        half, most = _spread([r.microseconds for r in asked])
        objected = sum(r.action != "allow" for r in asked)
        failed = sum(r.status in {"error", "timeout"} for r in asked)
        seconds = sum(r.microseconds for r in asked) / 1e6
        yield (
            plain(name), str(len(asked)), str(objected), str(failed), f"{half:.0f}", f"{most:.0f}",
            f"{seconds:.3f}", str(tally.tokens[name]),
        )  # fmt: skip


def _spread(times: Sequence[int]) -> tuple[float, float]:
    """The median, and what all but 5 % keep below."""
    if len(times) < 2:
        return (times[0], times[0]) if times else (0, 0)
    parts = quantiles(times, n=20, method="inclusive")
    return parts[9], parts[18]


def _row(one: Rejudged, *, show_text: bool) -> tuple[str, ...]:
    code = plain(one.code)
    if show_text:
        code = f"{code}  {plain(one.message.text)}"
    return one.message.turn.hex(), str(one.seq), one.stage, one.was, one.now, code
