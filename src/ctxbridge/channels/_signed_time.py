"""The time at which a request was signed: read, and compared with when it came in."""

import re

from ctxbridge.errors import SignatureInvalid
from ctxbridge.model import Parsed, RawRequest

TOLERANCE_SECONDS = 300.0
"""How old, or how far ahead, a signed time may be: what Standard Webhooks and Slack recommend."""

STALE = "the signature is right, and too old or from the future"
"""The reason given for it: the clock may be wrong, on either side, and a later try be good."""

_SECONDS = re.compile(r"[0-9]{1,12}")


def seconds_of(given: str | None) -> int | None:
    """Unix seconds, as decimal digits and nothing else; `None` for whatever is not."""
    return int(given) if given is not None and _SECONDS.fullmatch(given) else None


def is_fresh(signed_at: int, request: RawRequest, tolerance_seconds: float) -> bool:
    """Whether the request came in within `tolerance_seconds` of when it was signed."""
    return abs(request.received_at / 1000 - signed_at) <= tolerance_seconds


def is_refused_for(outcome: Parsed, reason: str) -> bool:
    """Whether the request was refused for exactly that, and not for its signature."""
    return any(isinstance(e, SignatureInvalid) and str(e) == reason for e in outcome.errors)
