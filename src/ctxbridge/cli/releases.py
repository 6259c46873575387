"""``ctxbridge rollback``, ``promote``, ``canary`` and ``drain``: which release answers whom."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec.structs import asdict

from ctxbridge import Bridge
from ctxbridge.bridge import Controls, Report
from ctxbridge.cli.acting import Asked, route_of, run
from ctxbridge.cli.control import tell, trials_of
from ctxbridge.cli.output import emit, say, warn
from ctxbridge.model import TrialPolicy
from ctxbridge.model.control import Control, Pending, Running

WAITING = 3


def rollback(
    asked: Asked,
    agent: str,
    to: str,
    versions: Sequence[str],
    running: Running,
    pending: Pending,
    within_seconds: float,
) -> int:
    """Roll back and print the report; 3 if some conversations still wait."""

    async def act(bridge: Bridge[Any]) -> int:
        route_of(await bridge.control.read(), agent, to, *versions)
        report = await bridge.control.rollback(
            agent, to, versions=versions, running=running, pending=pending,
            within_seconds=within_seconds, by=asked.by, why=asked.why, dry_run=asked.dry_run,
        )  # fmt: skip
        _report(report, as_json=asked.as_json)
        return WAITING if report.waiting else 0

    return run(asked, act)


def _report(report: Report, *, as_json: bool) -> None:
    if as_json:
        emit({"kind": "rollback", **asdict(report)})
        return
    say(str(report))
    if report.waiting:
        warn(
            "some were not answered in time: they stay stored, are answered by whoever sweeps, and "
            "`ctxbridge stats` counts them as waiting"
        )


def promote(asked: Asked, agent: str, version: str) -> int:
    """Let a version answer all new conversations, and print what is in force then."""
    return _rerouted(
        asked, agent, version,
        lambda c: c.promote(
            agent, version, by=asked.by, why=asked.why, dry_run=asked.dry_run
        ),
    )  # fmt: skip


def drain(asked: Asked, agent: str, version: str) -> int:
    """Let a version begin no conversation any more."""
    return _rerouted(
        asked, agent, version,
        lambda c: c.drain(agent, version, by=asked.by, why=asked.why, dry_run=asked.dry_run),
    )  # fmt: skip


def canary(
    asked: Asked,
    agent: str,
    version: str,
    percent: float,
    channels: Sequence[str],
    labels: Sequence[str],
    trial: TrialPolicy | None,
) -> int:
    """Let a version answer some of the new conversations."""
    return _rerouted(
        asked, agent, version,
        lambda c: c.canary(
            agent, version, percent, channels=channels, labels=labels, trial=trial,
            by=asked.by, why=asked.why, dry_run=asked.dry_run,
        ),
    )  # fmt: skip


def _rerouted(
    asked: Asked, agent: str, version: str, change: Callable[[Controls], Awaitable[Control]]
) -> int:
    async def act(bridge: Bridge[Any]) -> int:
        route_of(await bridge.control.read(), agent, version)
        after = await change(bridge.control)
        trials = await trials_of(bridge, after)
        tell(after, trials, as_json=asked.as_json, dry_run=asked.dry_run)
        return 0

    return run(asked, act)
