"""What an installed distribution needs to run, as the metadata around it say."""

from collections.abc import Iterable, Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needs(requirements: Iterable[str]) -> tuple[dict[str, metadata.Distribution], set[str]]:
    """All that these requirements bring, by name, and the names of what is not installed here.

    `requirements` are as in metadata: ``name[extra]>=1; marker``. Markers are read for this
    interpreter. What is not installed cannot say what it needs in its turn.
    """
    found: dict[str, metadata.Distribution] = {}
    missing: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = list(_direct(requirements, ()))
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if (name, frozenset(wanted.extras)) in seen:
            continue
        seen.add((name, frozenset(wanted.extras)))
        try:
            found[name] = metadata.distribution(wanted.name)
        except metadata.PackageNotFoundError:
            missing.add(name)
        else:
            waiting.extend(_direct(found[name].requires or (), wanted.extras))
    return found, missing


def _direct(requires: Iterable[str], extras: Iterable[str]) -> Iterator[Requirement]:
    """Those that hold here, for no extra or for one of `extras`."""
    for wanted in map(Requirement, requires):
        asked = ({"extra": extra} for extra in ("", *extras))
        if wanted.marker is None or any(wanted.marker.evaluate(one) for one in asked):
            yield wanted
