"""How the verdicts of several guards become one decision."""

from collections.abc import Iterable

from msgspec.structs import replace

from ctxbridge.model import Action, GuardResult
from ctxbridge.model.decision import GuardStatus

STRICTNESS: tuple[Action, ...] = ("allow", "warn", "modify", "defer", "escalate", "block")


_WORST: tuple[GuardStatus, ...] = ("skipped", "cached", "ok", "timeout", "error")


def strictest(actions: Iterable[Action]) -> Action:
    """The rightmost of `STRICTNESS` among `actions`; ``allow`` where there is none."""
    return max(actions, key=STRICTNESS.index, default="allow")


def enforced(results: Iterable[GuardResult]) -> Action:
    """What is enforced: the strictest action of the guards that may enforce."""
    return strictest(r.action for r in results if r.mode == "enforce")


def leading_code(results: Iterable[GuardResult]) -> str:
    """The code of the strictest result, the first of equals: the reason in one word."""
    best = max(results, key=lambda r: STRICTNESS.index(r.action), default=None)
    return best.code if best else ""


def summed(results: Iterable[GuardResult]) -> tuple[GuardResult, ...]:
    """One result for each guard that was asked of several texts.

    It is its strictest, with its worst status and the time of all.
    """
    sums: dict[tuple[str, str], GuardResult] = {}
    for result in results:
        key = (result.guard, result.version)
        sums[key] = _both(sums[key], result) if key in sums else result
    return tuple(sums.values())


def _both(first: GuardResult, second: GuardResult) -> GuardResult:
    strict = max(first, second, key=lambda r: STRICTNESS.index(r.action))
    status = max(first.status, second.status, key=_WORST.index)
    took = first.microseconds + second.microseconds
    return replace(strict, status=status, microseconds=took)
