"""``ctxbridge control``: which release answers whom, what stands still, and who did what."""

from collections.abc import Iterator
from typing import Any

import anyio
from msgspec.structs import asdict

from ctxbridge import Bridge
from ctxbridge.cli.output import emit, moment, plain, say, warn, width, wrap
from ctxbridge.cli.tables import tell_table
from ctxbridge.cli.where import UNKNOWN, Where
from ctxbridge.model import Conclusion
from ctxbridge.model.control import Control, Release, Route, Scope

FOUND = 3
ROUTES = ("agent", "stable", "canary", "draining", "rolled back")
HALTS = ("stands still", "how", "since (UTC)", "by", "why")
ACTS = ("time (UTC)", "act", "by", "why")
Trials = dict[Release, Conclusion]


def control(where: Where, *, as_json: bool) -> int:
    """Tell what is in force; 1 if nothing ever was, 3 if something stands still or is proposed."""
    found, trials = anyio.run(_read, where)
    if not found.epoch:
        warn(f"nothing was ever deployed or halted for tenant {where.tenant!r}")
        return UNKNOWN
    tell(found, trials, as_json=as_json)
    return FOUND if found.halts or _proposed(found, trials) else 0


def history(where: Where, limit: int, *, as_json: bool) -> int:
    """Tell the last acts, the newest first; 1 if there are none."""
    acts = anyio.run(_acts, where, limit)
    if not acts:
        warn(f"nothing was ever deployed or halted for tenant {where.tenant!r}")
        return UNKNOWN
    if as_json:
        for one in acts:
            emit({"kind": "act", **act(one)})
        return 0
    tell_table([ACTS, *[(moment(c.at), plain(c.act), plain(c.by), plain(c.why)) for c in acts]])
    return 0


async def _read(where: Where) -> tuple[Control, Trials]:
    async with where.bridge() as bridge:
        found = await bridge.control.read()
        return found, await trials_of(bridge, found)


async def _acts(where: Where, limit: int) -> tuple[Control, ...]:
    async with where.bridge() as bridge:
        return await bridge.control.history(limit)


async def trials_of(bridge: Bridge[Any], found: Control) -> Trials:
    """How the trials of canaries go, and those that have ended because enough spoke against one."""
    trials: Trials = {}
    for route in found.routes:
        ended = (*route.draining, *[one.version for one in route.withdrawn])
        for version in (*_canaries(route), *ended):
            said = await bridge.control.trial(route.agent, version)
            if said is not None and (version not in ended or said.trips):
                trials[Release(route.agent, version)] = said
    return trials


def _canaries(route: Route) -> tuple[str, ...]:
    return (route.canary.version,) if route.canary else ()


def _proposed(found: Control, trials: Trials) -> bool:
    """Whether a person is to decide about a canary."""
    canaries = [Release(r.agent, version) for r in found.routes for version in _canaries(r)]
    return any(one in trials and trials[one].does == "propose" for one in canaries)


def act(found: Control) -> dict[str, Any]:
    """The last act as an object; `at` is in Unix milliseconds."""
    return {field: getattr(found, field) for field in ("epoch", "act", "by", "why", "at")}


def tell(found: Control, trials: Trials, *, as_json: bool, dry_run: bool = False) -> None:
    """What is in force, or would be."""
    if as_json:
        for record in _records(found, trials, dry_run=dry_run):
            emit(record)
        return
    say(plain(_head(found, dry_run=dry_run)))
    if found.routes:
        say()
        tell_table([ROUTES, *map(_route, found.routes)])
    say()
    if found.halts:
        tell_table([HALTS, *_halts(found)])
    else:
        say("Nothing stands still.")
    for release, said in trials.items():
        say()
        for line in wrap(plain(f"trial of {release}: {said.words}"), width()):
            say(line)


def _head(found: Control, *, dry_run: bool) -> str:
    when = "would be" if dry_run else f"{moment(found.at)} UTC"
    who, why = f", by {found.by}" * bool(found.by), f": {found.why}" * bool(found.why)
    return f"last act, {when}: {found.act}{who}{why}"


def _records(found: Control, trials: Trials, *, dry_run: bool) -> Iterator[dict[str, Any]]:
    yield {"kind": "control", "dry_run": dry_run, **act(found)}
    for route in found.routes:
        canary = asdict(route.canary) if route.canary else None
        withdrawn = [asdict(one) for one in route.withdrawn]
        yield {"kind": "route", **asdict(route), "canary": canary, "withdrawn": withdrawn}
    for halt in found.halts:
        yield {"kind": "halt", **asdict(halt), "scope": asdict(halt.scope)}
    for release, said in trials.items():
        yield {
            "kind": "trial",
            "release": str(release),
            **asdict(said),
            "weighs": dict(said.weighs),
        }


def _route(route: Route) -> tuple[str, ...]:
    withdrawn = ", ".join([f"{w.version} ({w.running}, {w.pending})" for w in route.withdrawn])
    told = (route.agent, route.stable, _canary(route), ", ".join(route.draining), withdrawn)
    return tuple([plain(word) or "-" for word in told])


def _canary(route: Route) -> str:
    canary = route.canary
    if canary is None:
        return ""
    only = "".join([f", {word}" for word in (*canary.channels, *canary.labels)])
    return f"{canary.version} {canary.percent:g} %{only}{', on trial' * canary.on_trial}"


def _halts(found: Control) -> Iterator[tuple[str, ...]]:
    for halt in found.halts:
        told = (options(halt.scope), halt.mode, moment(halt.at), halt.by, halt.why)
        yield tuple([plain(word) or "-" for word in told])


def options(scope: Scope) -> str:
    """The scope as it is typed to end its halt."""
    named = [f"--{field} {value}" for field, value in asdict(scope).items() if value]
    return " ".join(named) or "--tenant-wide"
