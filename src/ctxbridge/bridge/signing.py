"""Secrets of the tenant, and keyed digests under them."""

import base64
import hashlib
import hmac
from collections.abc import Iterator, Sequence

from ctxbridge.errors import ConfigurationError

LEAST_BYTES = 32
"""A secret for HMAC-SHA256 is as long as its digest (RFC 7518, 3.2), or it can be guessed."""


class Secrets:
    """One secret or several while one is being replaced: the first one signs, each may check.

    Raises `ConfigurationError` for one of less than 32 bytes: an empty one is an unset variable of
    the environment. `what` names the setting in the message. Never shown by `repr`.
    """

    __slots__ = ("_several",)

    def __init__(self, given: str | bytes | Sequence[str | bytes], what: str) -> None:
        several = (given,) if isinstance(given, (str, bytes)) else tuple(given)
        self._several = tuple(map(_as_bytes, several))
        if any(len(secret) < LEAST_BYTES for secret in self._several):
            raise ConfigurationError(f"{what} is shorter than {LEAST_BYTES} bytes; make it random")

    def __repr__(self) -> str:
        return f"<Secrets {len(self._several)}>"

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._several)

    def __len__(self) -> int:
        return len(self._several)


def keyed_digest(secret: bytes, kind: str, *parts: str | bytes) -> bytes:
    """HMAC-SHA256, 32 bytes, of parts with their lengths; `kind` keeps one use from another."""
    several = [_as_bytes(part) for part in (kind, *parts)]
    framed = b"".join([len(part).to_bytes(4, "big") + part for part in several])
    return hmac.digest(secret, framed, hashlib.sha256)


def is_any(found: bytes, expected: Sequence[bytes]) -> bool:
    """Whether `found` is one of `expected`; the time tells neither where they differ nor which."""
    return sum([hmac.compare_digest(found, one) for one in expected]) > 0


def to_base64url(data: bytes) -> str:
    """Without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def of_base64url(text: str) -> bytes | None:
    """What `to_base64url` has made of some bytes; `None` for any other text."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    # The last character has bits to spare, and strangers are skipped: only one text is the right.
    return data if to_base64url(data) == text else None


def _as_bytes(part: str | bytes) -> bytes:
    return part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
