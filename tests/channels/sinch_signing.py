"""Requests as Sinch signs them; the counterpart is the function of Sinch's own SDK."""

from sinch.domains.authentication.sinch_events.v1.authentication_validation import (
    calculate_sinch_event_signature,
    compute_signed_data,
)
from tests.channels.fixtures import NOW

from ctxbridge.model import RawRequest

SECRET = "foo_secret1234"
NONCE = "01FJA8B4A7BM43YGWSG9GBV067"
SECONDS = str(NOW // 1000)
PREFIX = "x-sinch-webhook-signature"


def headers(
    signature: str | None,
    nonce: str = NONCE,
    timestamp: str = SECONDS,
    algorithm: str = "HmacSHA256",
) -> tuple[tuple[str, str], ...]:
    given = [(f"{PREFIX}-algorithm", algorithm), (f"{PREFIX}-nonce", nonce)]
    given.append((f"{PREFIX}-timestamp", timestamp))
    return tuple(given if signature is None else [*given, (PREFIX, signature)])


def signature_of(body: bytes, secret: str = SECRET, nonce: str = NONCE, at: str = SECONDS) -> str:
    return calculate_sinch_event_signature(compute_signed_data(body.decode(), nonce, at), secret)


def signed(
    body: bytes, secret: str = SECRET, nonce: str = NONCE, at: str = SECONDS, received_at: int = NOW
) -> RawRequest:
    signature = signature_of(body, secret, nonce, at)
    return RawRequest(body, headers(signature, nonce, at), received_at=received_at)
