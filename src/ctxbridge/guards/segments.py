"""How many SMS a reply is: see `rules.sms`."""

from typing import Literal

from ctxbridge.errors import ConfigurationError
from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, block, guard, warn
from ctxbridge.model import Verdict
from ctxbridge.rules.sms import UCS_JOINED, segments


def sms_segments(most: int = 6, *, action: Literal["block", "warn"] = "block") -> FunctionGuard:
    """Blocks a reply that would leave as more than `most` SMS, or only warns of it."""
    if most < 1:
        raise ConfigurationError("a reply is at least one SMS")

    @guard("reply", name="sms_segments")
    def check(check: TextCheck) -> Verdict:
        if check.channel != "sms" or len(check.text) <= UCS_JOINED // 2 * most:
            return allow()
        if segments(check.text) <= most:
            return allow()
        return block("segments.too_many") if action == "block" else warn("segments.too_many")

    return check
