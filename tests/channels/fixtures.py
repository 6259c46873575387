"""Where the payloads of other projects are, and small makers of requests."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode

import pytest

from ctxbridge.model import Inbound, Parsed, RawRequest

NOW = 1_780_000_000_000
"""The moment of all tests here, in Unix milliseconds."""

E = TypeVar("E")

TWILIO_URL = "https://hooks.example.org/twilio?foo=1"
TWILIO_TOKEN = "12345"
TWILIO_FORM = {
    "MessageSid": "SM" + "a" * 32,
    "SmsStatus": "received",
    "From": "+447700900513",
    "To": "+447700900000",
    "FromCountry": "GB",
    "ToCountry": "GB",
    "Body": "Where is my order?",
    "NumMedia": "0",
    "FromCity": "",
}


def fixture(path: str) -> Path:
    """A file or folder of the shared fixtures; the test is skipped, saying so, without them."""
    given = os.environ.get("CTXBRIDGE_FIXTURES")
    beside = Path(__file__).resolve().parents[3] / "shared" / "fixtures"
    found = (Path(given) if given else beside) / path
    if not found.exists():
        pytest.skip(f"the shared fixtures are not here ({path}); set CTXBRIDGE_FIXTURES")
    return found


def only(parsed: Parsed, kind: type[E]) -> E:
    """The one event of `parsed`, which must be of `kind`, without errors."""
    assert parsed.errors == ()
    (event,) = parsed.events
    assert type(event) is kind
    return event


def message_of(parsed: Parsed) -> Inbound:
    """The one message of `parsed`."""
    return only(parsed, Inbound)


def reason(parsed: Parsed) -> str:
    """Why nothing could be read."""
    assert parsed.events == ()
    (error,) = parsed.errors
    return f"{type(error).__name__}: {error}"


def with_body(body: bytes, **fields: object) -> RawRequest:
    """A request at `NOW` that is nothing but a body."""
    return RawRequest(body, received_at=NOW, **fields)


def twilio_post(
    form: dict[str, str] | Iterable[tuple[str, str]],
    signature: str | None = None,
    url: str = TWILIO_URL,
    *more: tuple[str, str],
) -> RawRequest:
    pairs = form.items() if isinstance(form, dict) else form
    headers = (("Content-Type", "application/x-www-form-urlencoded"), *more)
    if signature is not None:
        headers = (*headers, ("X-Twilio-Signature", signature))
    return RawRequest(urlencode([tuple(pair) for pair in pairs]).encode(), headers, "POST", url)
