"""What Sinch's Conversation and SMS callbacks share: the signature.

Source: developers.sinch.com/docs/conversation/callbacks (validating callbacks): the base64 of
HMAC-SHA256 over body, nonce and timestamp, with dots between them.
"""

import base64
import hashlib
import hmac
import re

from ctxbridge.model import RawRequest, Verification

MAX_BODY_BYTES = 1024 * 1024
MAX_COMMAS = 20_000
SCHEME = "sinch.hmac"
HEADERS = "x-sinch-webhook-signature"

# A dot in the nonce would let somebody move the end of the body into it, under the same signature:
# no nonce of Sinch has one (they are ULIDs).
_NONCE = re.compile(r"[0-9A-Z]{1,64}")
_SECONDS = re.compile(r"[0-9]{1,12}")


def verified(
    request: RawRequest, secrets: tuple[bytes, ...], max_age_seconds: float
) -> Verification:
    """Whether one of `secrets` signed the request, at most so long ago or ahead.

    A nonce is not remembered. It is signed with the body, so whoever has no secret can repeat it
    only with the same event, which is known by its id; after `max_age_seconds` not even that.
    """
    if not secrets:
        return Verification("unsigned", scheme=SCHEME)
    given = request.header(HEADERS) or ""
    if not given.isascii() or not 0 < len(given) <= 128:
        return _failed("the signature is missing, repeated or no signature")
    if reason := _unreadable(request):
        return _failed(reason)
    nonce, timestamp = _beside(request, "nonce"), _beside(request, "timestamp")
    signed = b"%b.%b.%b" % (request.body, nonce.encode(), timestamp.encode())
    wanted = given.encode()
    for key, secret in enumerate(secrets):
        made = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest())
        if hmac.compare_digest(made, wanted):
            reason = _unfit(int(timestamp), request.received_at, max_age_seconds)
            good = Verification("verified", SCHEME, binds_body=True, key=key)
            return _failed(reason) if reason else good
    return _failed("the signature does not match")


def _beside(request: RawRequest, name: str) -> str:
    return request.header(f"{HEADERS}-{name}") or ""


def _unreadable(request: RawRequest) -> str:
    """Why what stands beside the signature cannot be checked at all; empty if it can."""
    if _beside(request, "algorithm").lower() not in {"", "hmacsha256"}:
        return "the signature's algorithm is not known"
    if not _NONCE.fullmatch(_beside(request, "nonce")):
        return "the nonce is missing, repeated or none"
    if not _SECONDS.fullmatch(_beside(request, "timestamp")):
        return "the timestamp is missing, repeated or none"
    return "the body is over its limits" if len(request.body) > MAX_BODY_BYTES else ""


def _unfit(timestamp: int, received_at: int, max_age_seconds: float) -> str:
    """Why a time that is signed does not serve now; empty if it does."""
    if received_at <= 0:
        return "the time of the request is not known"
    if abs(received_at / 1000 - timestamp) > max_age_seconds:
        return "the signature is too old, or of the future"
    return ""


def _failed(reason: str) -> Verification:
    return Verification("failed", scheme=SCHEME, reason=reason)
