"""``ctxbridge pause``, ``kill`` and ``resume``: what stands still."""

from typing import Any

from msgspec.structs import replace

from ctxbridge import Bridge
from ctxbridge.cli.acting import Asked, id_in, missing, route_of, run
from ctxbridge.cli.control import options, tell
from ctxbridge.model.control import Control, Mode, Scope


def halt(asked: Asked, scope: Scope, mode: Mode) -> int:
    """Let what the scope names stand still, and print what does then."""

    async def act(bridge: Bridge[Any]) -> int:
        there = await _resolved(bridge, scope)
        if scope.agent:
            versions = [scope.version] if scope.version else []
            route_of(await bridge.control.read(), scope.agent, *versions)
        change = bridge.control.pause if mode == "pause" else bridge.control.kill
        after = await change(there, by=asked.by, why=asked.why, dry_run=asked.dry_run)
        tell(after, {}, as_json=asked.as_json, dry_run=asked.dry_run)
        return 0

    return run(asked, act)


def resume(asked: Asked, scope: Scope) -> int:
    """End the halt of exactly this scope; 1 where nothing of it stands still."""

    async def act(bridge: Bridge[Any]) -> int:
        there = await _resolved(bridge, scope)
        _require_halt(await bridge.control.read(), there)
        after = await bridge.control.resume(
            there, by=asked.by, why=asked.why, dry_run=asked.dry_run
        )
        tell(after, {}, as_json=asked.as_json, dry_run=asked.dry_run)
        return 0

    return run(asked, act)


def _require_halt(control: Control, scope: Scope) -> None:
    if all(one.scope != scope for one in control.halts):
        halted = "; ".join([options(one.scope) for one in control.halts]) or "nothing"
        missing(f"nothing of this scope stands still; what does: {halted}")


async def _resolved(bridge: Bridge[Any], scope: Scope) -> Scope:
    """The scope with the contact's id in the place of an address; else it is `missing`."""
    if not scope.contact:
        return scope
    id = id_in(scope.contact)
    if not id:
        contact = (await bridge.context(scope.contact, window=1, fresh=True)).contact
        if contact is None or not contact.addresses:
            missing(f"nobody is stored under this address for tenant {bridge.tenant!r}")
        id = contact.id.hex()
    return replace(scope, contact=id)
