"""What all acts on the control share: who asks, and that what they name is there."""

import getpass
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import anyio
from msgspec import Struct

from ctxbridge import Bridge
from ctxbridge.cli.output import warn
from ctxbridge.cli.where import UNKNOWN, Where
from ctxbridge.errors import CtxBridgeError
from ctxbridge.model.control import Control, Route

NOBODY = "unknown"
_ID_DIGITS = 32


class Asked(Struct, frozen=True):
    """Where, who, why; `dry_run` changes nothing."""

    where: Where
    by: str
    why: str
    dry_run: bool = False
    as_json: bool = False


class _Missing(CtxBridgeError):
    """What the command line names is not there, so nothing is done."""


Act = Callable[[Bridge[Any]], Awaitable[int]]


def login() -> str:
    """The name that somebody is logged in by; `NOBODY` in a container that has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return NOBODY


def id_in(text: str) -> str:
    """The id that `text` is, in small letters; empty for anything else."""
    digits = text.lower()
    is_id = len(digits) == _ID_DIGITS and not set(digits) - set("0123456789abcdef")
    return digits if is_id else ""


def run(asked: Asked, act: Act) -> int:
    """Act on a bridge over the store; `UNKNOWN` where what is named is missing."""

    async def within() -> int:
        async with asked.where.bridge(read_only=asked.dry_run) as bridge:
            return await act(bridge)

    try:
        return anyio.run(within)
    except _Missing as told:
        warn(str(told))
        return UNKNOWN


def missing(told: str) -> NoReturn:
    """End the act, with nothing changed: `run` tells it, and gives `UNKNOWN`."""
    raise _Missing(told)


def route_of(control: Control, agent: str, *versions: str) -> Route:
    """The route of an agent that knows all `versions`; else it is `missing`.

    A misspelt name must not pass for an act that was done.
    """
    route = control.route(agent)
    if route is None:
        known = ", ".join([one.agent for one in control.routes]) or "none"
        missing(f"no agent {agent!r} was deployed; known: {known}")
    for version in versions:
        if version not in route.known:
            known = ", ".join(route.known)
            missing(f"{agent}@{version} was never deployed; known versions: {known}")
    return route
