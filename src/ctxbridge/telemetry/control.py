"""What takes an agent its floor: handoffs, and pauses of whole agents.

A moment each, so their spans have no length: a wait for a person is two spans and a link, never one
that stays open for a day.
"""

from ctxbridge.model import Floor
from ctxbridge.model.control import Control
from ctxbridge.telemetry import metrics, names
from ctxbridge.telemetry.spans import mark


def handed_off(owner: Floor, *, agent: str = "", version: str = "") -> None:
    """The floor has gone to `owner`; from `agent`, or back to it.

    They are counted and not summed up to how many people hold: one process sees the floor taken and
    another sees it given back.
    """
    mark(names.HANDOFF, {names.OWNER: owner.name.lower()})
    metrics.handoffs.count(owner.name.lower(), agent, version)


def controlled(
    scope: str, state: str, actor_type: str, *, agent: str = "", version: str = ""
) -> None:
    """Somebody has paused, killed or resumed.

    `scope` is ``agent``, ``release``, ``conversation`` or ``tenant``, `state` is ``paused``,
    ``killed`` or ``running``, `actor_type` ``human`` or ``policy``: who did it, never by name.
    """
    told = {names.CONTROL_SCOPE: scope, names.CONTROL_STATE: state, names.CONTROL_ACTOR: actor_type}
    mark(names.CONTROL, told)
    if agent:
        metrics.pauses[agent, version] = int(state != "running")


def known(before: Control, now: Control) -> None:
    """This process has learned of a newer control, whoever acted: which agents stand still."""
    still, were = _standing_still(now), _standing_still(before)
    for agent in were | still:
        metrics.pauses[agent] = int(agent in still)


def _standing_still(control: Control) -> set[tuple[str, str]]:
    scopes = [halt.scope for halt in control.halts]
    return {(s.agent, s.version) for s in scopes if s.agent and s.kind in {"agent", "release"}}
