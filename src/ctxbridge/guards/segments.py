"""How many SMS a text is: GSM 03.38 where all its characters are in that table, else UCS-2."""

from collections.abc import Iterable
from typing import Literal

from ctxbridge.errors import ConfigurationError
from ctxbridge.guards.guard import FunctionGuard, TextCheck, allow, block, guard, warn
from ctxbridge.model import Verdict

# GSM 03.38, 6.2.1: the basic table, and what takes an escape before it.
BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")
_GSM = BASIC | EXTENSION
GSM_ALONE, GSM_JOINED = 160, 153
UCS_ALONE, UCS_JOINED = 70, 67


def segments(text: str) -> int:
    """How many SMS `text` is, at least one. Neither an escape nor a surrogate pair is split."""
    if _GSM.issuperset(text):
        return _packed([2 if c in EXTENSION else 1 for c in text], GSM_ALONE, GSM_JOINED)
    return _packed([2 if c > "\uffff" else 1 for c in text], UCS_ALONE, UCS_JOINED)


def _packed(units: Iterable[int], alone: int, joined: int) -> int:
    """How many messages are filled by characters of one or two `units`."""
    total, full, used = 0, 0, 0
    for size in units:
        total += size
        if used + size > joined:
            full, used = full + 1, 0
        used += size
    return 1 if total <= alone else full + 1


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
