"""The tokens of the web chat: compact JWT with HS256 (RFC 7515, 7519), short-lived."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ctxbridge.errors import UsageError
from ctxbridge.model import Verification

MAX_TOKEN_BYTES = 4 * 1024
MAX_SUBJECT_CHARACTERS = 200
LEEWAY_SECONDS = 60

# A time beyond three thousand years is no time of ours. Seconds may have a fraction (RFC 7519, 2).
Seconds = Annotated[float, Meta(ge=0, le=10**11)]

UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are no JSON, no UTF-8, or nested too deep."""


class _Header(Struct):
    alg: str
    # "crit" names extensions that must be understood (RFC 7515, 4.1.11), and we understand none.
    crit: msgspec.Raw | None = None


class Claims(Struct, omit_defaults=True):
    """What a token says: whom it is of, until when (Unix seconds), for which app."""

    sub: str
    exp: Seconds
    aud: str | list[str] | None = None
    iat: Seconds = 0
    nbf: Seconds = 0
    login: bool = False


_HEADER = msgspec.json.Decoder(_Header)
_CLAIMS = msgspec.json.Decoder(Claims)
_HS256 = b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"  # {"alg":"HS256","typ":"JWT"}


def is_name(value: str, limit: int) -> bool:
    """Printable, so it is stored as it is: no two names can become one by cleaning."""
    return 0 < len(value) <= limit and value.isprintable()


def mint(
    secret: bytes, app: str, subject: str, now: int, lifetime_seconds: float, *, login: bool
) -> str:
    """A token for `subject`, good from `now` (Unix ms) for `lifetime_seconds`.

    Raises `UsageError` for a subject or a time that no token of ours could have.
    """
    if not is_name(subject, MAX_SUBJECT_CHARACTERS) or lifetime_seconds < 1 or now < 0:
        msg = "a token needs a printable subject of 1 to 200 characters and a lifetime of 1 s"
        raise UsageError(msg)
    start = now // 1000
    claims = Claims(subject, start + int(lifetime_seconds), app, start, login=login)
    signing = _HS256 + b"." + _to_base64url(msgspec.json.encode(claims))
    return (signing + b"." + _sign(secret, signing)).decode()


def check(token: bytes, secrets: Sequence[bytes], app: str, received_at: int) -> Verification:
    """Whether one of `secrets` has signed the token, for `app` and this moment (Unix ms)."""
    signing, _, signature = token.rpartition(b".")
    key = next(
        (
            place
            for place, secret in enumerate(secrets)
            # The text is compared, not the bytes it stands for: base64 has several for one.
            if hmac.compare_digest(_sign(secret, signing), signature)
        ),
        -1,
    )
    if key < 0 or not _is_hs256(signing):
        return failed("the token's signature does not match")
    claims = claims_of(token)
    if claims is None or not is_name(claims.sub, MAX_SUBJECT_CHARACTERS):
        return failed("the token's claims cannot be used")
    if reason := _unfit(claims, app, received_at):
        return failed(reason)
    return Verification("verified", "jwt.hs256", key=key)


def failed(reason: str) -> Verification:
    """A token that does not hold."""
    return Verification("failed", "jwt.hs256", reason)


def claims_of(token: bytes) -> Claims | None:
    """What the token says, whoever has signed it."""
    pieces = token.split(b".")
    payload = _of_base64url(pieces[1]) if len(pieces) == 3 else None
    try:
        return _CLAIMS.decode(payload or b"")
    except UNDECODABLE:
        return None


def _unfit(claims: Claims, app: str, received_at: int) -> str:
    """Why claims that are signed do not serve here and now; empty if they do."""
    if received_at <= 0:
        return "the time of the request is not known"
    if claims.exp * 1000 <= received_at:
        return "the token has expired"
    if max(claims.nbf, claims.iat) * 1000 > received_at + LEEWAY_SECONDS * 1000:
        return "the token is not valid yet"
    audience = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    if audience is not None and app not in audience:
        return "the token is for another app"
    return ""


def _to_base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _of_base64url(text: bytes) -> bytes | None:
    """Strict: no padding, nothing outside the alphabet (RFC 7515, section 2); else `None`."""
    if b"=" in text or b"+" in text or b"/" in text:
        return None
    try:
        padded = text.translate(bytes.maketrans(b"-_", b"+/")) + b"=" * (-len(text) % 4)
        return base64.b64decode(padded, validate=True)
    except binascii.Error:
        return None


def _sign(secret: bytes, signing: bytes) -> bytes:
    return _to_base64url(hmac.new(secret, signing, hashlib.sha256).digest())


def _is_hs256(signing: bytes) -> bool:
    """Whether the header says so: never "none", and no algorithm that we did not choose."""
    header = _of_base64url(signing.partition(b".")[0])
    try:
        found = _HEADER.decode(header or b"")
    except UNDECODABLE:
        return False
    return found.alg == "HS256" and found.crit is None
