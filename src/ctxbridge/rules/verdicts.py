"""How the verdicts of several guards become one decision."""

from collections.abc import Iterable

from ctxbridge.model import Action, GuardResult

STRICTNESS: tuple[Action, ...] = ("allow", "warn", "modify", "defer", "escalate", "block")


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
