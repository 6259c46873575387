"""What a judge does about a text that it objects to."""

from typing import Literal, get_args

from ctxbridge.errors import ConfigurationError
from ctxbridge.guards.guard import block, escalate, warn
from ctxbridge.model import Verdict

Objection = Literal["block", "escalate", "warn"]
"""What may be enforced: a judge stands beside others, so it cannot modify."""


def require(action: Objection) -> None:
    """Raise `ConfigurationError` unless `action` is one of `Objection`."""
    if action not in get_args(Objection):
        raise ConfigurationError(f"the action of a judge is one of {get_args(Objection)}")


def objection(action: Objection, code: str, *, say: str | None, to: str) -> Verdict:
    """The verdict that enforces `action`, with what it has a use for."""
    if action == "warn":
        return warn(code)
    if action == "escalate":
        return escalate(to, code, say=say)
    return block(code, say=say)
