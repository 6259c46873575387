"""Which items and namespaces a search is after. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langgraph.store.base import MatchCondition

from ctxbridge.errors import UsageError

_ANY = "*"
_COMPARING: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": lambda held, wanted: bool(held == wanted),
    "$ne": lambda held, wanted: bool(held != wanted),
    "$gt": lambda held, wanted: bool(held > wanted),
    "$gte": lambda held, wanted: bool(held >= wanted),
    "$lt": lambda held, wanted: bool(held < wanted),
    "$lte": lambda held, wanted: bool(held <= wanted),
}


def matches(value: Mapping[str, Any], filter: Mapping[str, Any] | None) -> bool:
    """Whether the fields of a value are as the filter wants them.

    What cannot be compared (a text with a number, a field that is missing) does not match. Raises
    `UsageError` for an operator that does not exist.
    """
    return all(_holds(value.get(field), wanted) for field, wanted in (filter or {}).items())


def _holds(held: Any, wanted: Any) -> bool:
    if not (isinstance(wanted, Mapping) and any(str(key).startswith("$") for key in wanted)):
        return bool(held == wanted)
    unknown = wanted.keys() - _COMPARING.keys()
    if unknown:
        raise UsageError(f"a filter knows the operators {', '.join(_COMPARING)}")
    try:
        return all(_COMPARING[operator](held, than) for operator, than in wanted.items())
    except TypeError:
        return False


def matches_path(condition: MatchCondition, space: Sequence[str]) -> bool:
    """Whether a namespace begins or ends as the condition wants; ``*`` is any one label."""
    path = list(condition.path)
    if condition.match_type not in {"prefix", "suffix"}:
        raise UsageError("namespaces are matched by 'prefix' or 'suffix'")
    if len(space) < len(path):
        return False
    part = (
        space[: len(path)] if condition.match_type == "prefix" else space[len(space) - len(path) :]
    )
    return all(wanted in {_ANY, label} for wanted, label in zip(path, part, strict=True))


def named_by(conditions: Sequence[MatchCondition]) -> tuple[str, ...]:
    """The labels with which every namespace begins that the conditions can match."""
    longest: tuple[str, ...] = ()
    for condition in conditions:
        path = tuple(condition.path)
        if condition.match_type == "prefix":
            plain = path[: path.index(_ANY)] if _ANY in path else path
            longest = max(longest, plain, key=len)
    return longest
