"""``ctxbridge floor``: who may speak to a customer, and moving that by hand."""

from typing import Any

import anyio
from msgspec import Struct

from ctxbridge import Bridge
from ctxbridge.bridge.floor import NOBODY_CAME
from ctxbridge.cli.output import emit, moment, plain, say, warn
from ctxbridge.cli.where import UNKNOWN, Where
from ctxbridge.errors import FloorTaken, UnknownContact
from ctxbridge.model import Handoff

TAKEN = 3
"""The exit code where somebody else has the floor."""


class Wanted(Struct, frozen=True):
    """The step that was asked for, and all that can be said of it."""

    verb: str
    address: str
    by: str
    to: str = ""
    reason: str = ""
    summary: str = ""
    promised: tuple[str, ...] = ()
    within: float | None = None
    otherwise: str | None = None
    epoch: int | None = None
    note: str = ""
    force: bool = False


def floor(wanted: Wanted, where: Where, *, as_json: bool) -> int:
    """Do the step and print how the floor stands; 1 for somebody unknown, 3 if it is not theirs."""

    async def run() -> Handoff:
        async with where.bridge(read_only=wanted.verb == "show") as bridge:
            return await _done(bridge, wanted)

    try:
        handoff = anyio.run(run)
    except UnknownContact as error:
        warn(where.among(error))
        return UNKNOWN
    except FloorTaken as error:
        holder = f" ({plain(error.holder)})" if error.holder else ""
        warn(f"{error}{holder}")
        return TAKEN
    if as_json:
        emit(handoff)
    else:
        say(plain(_line(handoff)))
    return 0


async def _done(bridge: Bridge[Any], wanted: Wanted) -> Handoff:
    steps, w = bridge.floor, wanted
    otherwise = NOBODY_CAME if w.otherwise is None else w.otherwise
    match w.verb:
        case "offer":
            return await steps.offer(
                w.address, reason=w.reason, to=w.to, summary=w.summary, promised=w.promised,
                within_seconds=w.within, otherwise=otherwise, by=w.by,
            )  # fmt: skip
        case "accept":
            return await steps.accept(w.address, by=w.by, epoch=w.epoch)
        case "pass":
            return await steps.pass_on(
                w.address, by=w.by, to=w.to, epoch=w.epoch, within_seconds=w.within,
                otherwise=otherwise,
            )  # fmt: skip
        case "release":
            return await steps.release(
                w.address, by=w.by, note=w.note, epoch=w.epoch, force=w.force
            )
    return await steps.show(w.address)


def _line(held: Handoff) -> str:
    who = f"{held.floor} ({held.holder})" if held.holder else held.floor
    told = {
        "epoch": str(held.epoch),
        "since": moment(held.at) if held.at else "",
        "step": held.step,
        "by": held.by,
        "to": held.to,
        "reason": held.reason,
        "ends": moment(held.expires_at) if held.floor == "queue" and held.expires_at else "",
        "note": held.note,
    }
    return f"{who}  " + ", ".join([f"{name}: {text}" for name, text in told.items() if text])
