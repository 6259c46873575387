"""``ctxbridge check``: whether a store can give the level of durability that is wanted."""

from typing import Any, Literal

import anyio
from msgspec import Struct

from ctxbridge.cli.output import emit, plain, say, width, wrap
from ctxbridge.cli.where import Where
from ctxbridge.errors import ConfigurationError, StoreReadOnly
from ctxbridge.model import StoreReport
from ctxbridge.ports import Store

Level = Literal["fast", "local", "replicated", "replicated+local"]

UNFIT = 3


class Fitness(Struct, frozen=True):
    """What a store can give, or (`reason`) why it is not fit for `level`, if one was wanted."""

    level: str
    report: StoreReport | None
    reason: str = ""

    @property
    def fit(self) -> bool:
        """Whether a service can run on it at this level."""
        return not self.reason


def check(where: Where, level: Level | None, *, as_json: bool) -> int:
    """Open the store as a service does and tell; 3 if it is not fit."""
    found = anyio.run(examine, where, level)
    if as_json:
        emit(record(found))
    else:
        _tell(found)
    return 0 if found.fit else UNFIT


async def examine(where: Where, level: Level | None) -> Fitness:
    """What the store says when it is opened for that level.

    A file that is older than this release is not brought up to it. Raises what opening raises but
    for what says that the store is not fit.
    """
    options, reason = options_of(where.db, level)
    if reason:
        return Fitness(level or "", None, reason)
    try:
        if "://" not in where.db or where.db.startswith("sqlite:"):
            # Opening an older file for writing would bring it to a new version.
            await _opened(where.store(read_only=False, mode="ro"))
        report = await _opened(where.store(read_only=False, **options))
    except _Unfit as unfit:
        return Fitness(level or "", None, str(unfit))
    return Fitness(level or "", report, _lacks(report, level))


class _Unfit(Exception):
    """The store is there, and will not do."""


async def _opened(store: Store) -> StoreReport:
    try:
        return await store.check()
    except (ConfigurationError, StoreReadOnly) as error:
        raise _Unfit(str(error)) from None
    finally:
        await store.aclose()


def options_of(db: str, level: Level | None) -> tuple[dict[str, Any], str]:
    """The options that ask for the level, or why it is none for this store."""
    if level is None:
        return {}, ""
    if db.partition("://")[0].startswith(("redis", "unix")):
        return {"durability": level}, ""
    if level.startswith("replicated"):
        return {}, "a file is on one machine alone: for replicas take Redis or Valkey"
    return ({"synchronous": "full"} if level == "local" else {}), ""


def _lacks(report: StoreReport, level: Level | None) -> str:
    if not report.writable:
        return "it can be read but not written"
    if level not in {None, "fast"} and not report.durable:
        return f"it does not give durability {level!r}"
    return ""


def record(found: Fitness) -> dict[str, Any]:
    """The outcome as an object."""
    report = found.report
    return {
        "kind": "check",
        "fit": found.fit,
        "durability": found.level or None,
        "reason": found.reason,
        "store": report.kind if report else None,
        "version": report.version if report else None,
        "durable": report.durable if report else None,
        "writable": report.writable if report else None,
        "notes": list(report.notes) if report else [],
    }


def _tell(found: Fitness) -> None:
    level = f" for durability {found.level}" if found.level else ""
    lines = [f"fit{level}" if found.fit else f"not fit{level}: {found.reason}"]
    if found.report is not None:
        report = found.report
        durable = "survives the end of the machine" if report.durable else "may be lost with it"
        lines.append(f"{report.kind}, version {report.version}; what is acknowledged {durable}")
        lines += [f"- {note}" for note in report.notes]
    for line in lines:
        for piece in wrap(plain(line), width()):
            say(piece)
