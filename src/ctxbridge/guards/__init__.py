"""Guards: what is judged before it is stored, shown to a model, or sent.

::

    from ctxbridge import guards

    @guards.guard("reply", name="no_promises")
    def no_promises(check):
        if "guaranteed" in check.text:
            return guards.block("promise", say="Let me check that with a colleague.")
        return guards.allow()
"""

from ctxbridge.guards.automatic import automatic
from ctxbridge.guards.budget import contact_budget
from ctxbridge.guards.channel_window import channel_window
from ctxbridge.guards.disclosure import disclosure
from ctxbridge.guards.guard import (
    FunctionGuard,
    TextCheck,
    allow,
    block,
    defer,
    escalate,
    guard,
    modify,
    warn,
)
from ctxbridge.guards.links import link_allowlist
from ctxbridge.guards.loops import loop_breaker
from ctxbridge.guards.opt_out import opt_out
from ctxbridge.guards.pii import pii
from ctxbridge.guards.pipeline import Judged, judge
from ctxbridge.guards.policy import read_policy
from ctxbridge.guards.quiet_hours import quiet_hours
from ctxbridge.guards.recipient import recipient
from ctxbridge.guards.segments import sms_segments
from ctxbridge.guards.tokens import PiiTokens, pii_tokens

__all__ = [
    "FunctionGuard",
    "Judged",
    "PiiTokens",
    "TextCheck",
    "allow",
    "automatic",
    "block",
    "channel_window",
    "contact_budget",
    "defer",
    "disclosure",
    "escalate",
    "guard",
    "judge",
    "link_allowlist",
    "loop_breaker",
    "modify",
    "opt_out",
    "pii",
    "pii_tokens",
    "quiet_hours",
    "read_policy",
    "recipient",
    "sms_segments",
    "warn",
]
