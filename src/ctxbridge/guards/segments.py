"""How many SMS a reply is: see `rules.sms`."""

from typing import Literal

from ctxbridge.errors import ConfigurationError
from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, block, guard, modify, warn
from ctxbridge.model import Verdict
from ctxbridge.rules.sms import UCS_JOINED, economical, segments


def sms_segments(
    most: int = 6, *, action: Literal["block", "warn"] = "block", plainer: bool = False
) -> FunctionGuard:
    """Blocks a reply that would leave as more than `most` SMS, or only warns of it.

    With `plainer` a reply gets typewriter's quotes, dashes and blanks where that makes it fewer SMS
    (`rules.sms.economical`); its decision then says ``segments.saved``.
    """
    if most < 1:
        raise ConfigurationError("a reply is at least one SMS")

    @guard("reply", name="sms_segments", modifies=plainer)
    def check(check: TextCheck) -> Verdict:
        if check.channel != "sms":
            return allow()
        told = economical(check.text) if plainer else None
        text = told.text if told else check.text
        if len(text) > UCS_JOINED // 2 * most and segments(text) > most:
            return block("segments.too_many") if action == "block" else warn("segments.too_many")
        return modify(text, "segments.saved") if told and told.saved else allow()

    return check
