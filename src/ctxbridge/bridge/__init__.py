"""The one object that users hold, and the life of a turn."""

from ctxbridge.bridge.accepting import Accepted
from ctxbridge.bridge.bridge import Bridge
from ctxbridge.bridge.controlling import Controls
from ctxbridge.bridge.floor import Handoffs
from ctxbridge.bridge.helpdesk import Helpdesk
from ctxbridge.bridge.logins import TenantLogin
from ctxbridge.bridge.overlap import Overlap
from ctxbridge.bridge.proving import Challenge, Proof, code_in
from ctxbridge.bridge.rolling import Report
from ctxbridge.bridge.tokens import LinkTokens, Tokens, Vouched
from ctxbridge.bridge.turn import Turn

__all__ = [
    "Accepted",
    "Bridge",
    "Challenge",
    "Controls",
    "Handoffs",
    "Helpdesk",
    "LinkTokens",
    "Overlap",
    "Proof",
    "Report",
    "TenantLogin",
    "Tokens",
    "Turn",
    "Vouched",
    "code_in",
]
