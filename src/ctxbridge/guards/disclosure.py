"""The disclosure that a machine is writing, once per contact and channel."""

from typing import Literal

from ctxbridge.errors import ConfigurationError
from ctxbridge.guards import past
from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, guard, modify
from ctxbridge.model import Verdict


def disclosure(
    text: str,
    *,
    unsure: Literal["allow", "disclose"] = "allow",
    between: str = "\n\n",
) -> FunctionGuard:
    """Begins the first message of the agent on a channel to a contact with `text`.

    First is what the context shows to be so. Where its window does not show the whole conversation,
    and no message of the agent on this channel either, nobody can tell: `unsure` says what then,
    nothing, or ``disclose`` once more than needed. A message that begins with `text` is left alone.
    """
    if not text.strip():
        raise ConfigurationError("a disclosure says something")

    @guard("reply", name="disclosure", modifies=True)
    def check(check: TextCheck) -> Verdict:
        if check.said_before or check.text.startswith(text) or _disclosed(check):
            return allow()
        if unsure == "allow" and not past.is_whole(check.context):
            return allow()
        return modify(text + between + check.text, "disclosure.added")

    return check


def _disclosed(check: TextCheck) -> bool:
    return any(m.author == "agent" and m.channel == check.channel for m in past.ours(check.context))
