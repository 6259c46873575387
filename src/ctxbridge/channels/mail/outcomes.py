"""What a provider says of a mail of ours: receipts, and wishes of the one who got it."""

import re
from datetime import datetime
from typing import Any

from ctxbridge.channels.mail import headers
from ctxbridge.model import Address, Assurance, Endpoint, Inbound, Notice, Receipt
from ctxbridge.model.inbound import ReceiptStatus
from ctxbridge.rules.text import clean

MAX_WORD = 64
MAX_ID = 255

_KEY = re.compile(r"[0-9a-f]{32}")
# ``550``, ``5.1.1``, ``suppress-bounce``, ``HardBounce``, ``Bounced Address``.
_CODE = re.compile(r"[0-9]{3}|[0-9](?:\.[0-9]{1,3}){2}|[A-Za-z-]{1,32}(?: [A-Za-z]{1,32}){0,2}")


def key_in(metadata: object) -> str:
    """Our key in what the provider was given to give back, under ``delivery``."""
    given = metadata.get("delivery") if isinstance(metadata, dict) else None
    return given if isinstance(given, str) and _KEY.fullmatch(given) else ""


def endpoint_in(metadata: object, otherwise: Endpoint) -> Endpoint:
    """Our mailbox, under ``endpoint`` there, for events that do not name it."""
    ours = address(metadata.get("endpoint")) if isinstance(metadata, dict) else ""
    return Endpoint("email", ours) if ours else otherwise


def word(given: object, limit: int = MAX_WORD) -> str:
    """A short word of a provider's, whatever it sent in its place."""
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given) if abs(given) < 10**15 else ""
    return headers.text(given[: 4 * limit])[:limit] if isinstance(given, str) else ""


def code(*given: object) -> str:
    """The first of them that is a code or a fixed phrase; never what a server wrote of somebody."""
    return next((found for one in given if _CODE.fullmatch(found := word(one))), "")


def address(given: object) -> str:
    """An address of a provider's, canonical; empty if it is none."""
    return headers.canonical(given[: headers.MAX_ID_CHARACTERS]) if isinstance(given, str) else ""


def unix_ms(given: object) -> int:
    """Unix seconds, also with a fraction, or a moment of ISO 8601, as Unix milliseconds; else 0."""
    if isinstance(given, str):
        try:
            at = datetime.fromisoformat(given[:40])
            given = at.timestamp() if at.tzinfo is not None else 0
        except (ValueError, OverflowError):
            return 0
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return 0
    sane = headers.EARLIEST / 1000 <= given < 10**11
    return round(given * 1000) if sane else 0


def receipt(
    endpoint: Endpoint,
    recipient: str,
    id: str,
    status: ReceiptStatus,
    *,
    said: str,
    code: str = "",
    at: int = 0,
    provider: str,
    delivery: str = "",
) -> Receipt:
    """The receipt of a mail; `said` is the provider's own word for its status."""
    whom = Address("email", recipient) if recipient else None
    return Receipt("email", endpoint, id, status, whom, said, code, at, provider, delivery)


def wish(
    endpoint: Endpoint,
    sender: str,
    id: str,
    flag: str,
    *,
    sure: bool,
    at: int,
    provider: str,
    horizon: float,
) -> Inbound:
    """An opt-out or opt-in that the provider has taken: a message without words of its own."""
    return Inbound(
        channel="email",
        endpoint=endpoint,
        sender=Address("email", sender),
        message_id=id,
        parts=(),
        assurance=Assurance.CHANNEL if sure else Assurance.CLAIMED,
        occurred_at=at,
        flags=(flag,),
        horizon_seconds=horizon,
        provider=provider,
    )


def passing(endpoint: Endpoint, said: str, id: str, provider: str) -> Notice:
    """What nobody here has use for, such as a click."""
    return Notice("email", endpoint, "unsupported", event_id=id, value=said, provider=provider)


def cleaned(value: Any) -> str:
    """A text of a provider's, as it can be stored; empty if it is none."""
    return clean(value) if isinstance(value, str) else ""
