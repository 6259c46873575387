"""Standard Webhooks: one verifier for all who sign by it (Svix, Resend, and many others).

Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md. What such a
request says is its sender's own affair, so who reads it is a function that is given: the `parse` of
another adapter, or one of yours.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from ctxbridge.channels._edge import (
    UNREADABLE,
    UNVERIFIABLE,
    is_forged,
    malformed,
    refused,
    total,
)
from ctxbridge.channels._secrets import secrets_of
from ctxbridge.channels._signed_time import STALE, TOLERANCE_SECONDS, is_fresh, seconds_of
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import (
    Capabilities,
    Endpoint,
    HttpReply,
    Message,
    Notice,
    Parsed,
    RawRequest,
    Verification,
)
from ctxbridge.rules.text import clean

MAX_BODY_BYTES = 10 * 1024 * 1024
MAX_SIGNATURES = 16
MAX_HEADER_CHARACTERS = 4096

PREFIXES = ("webhook", "svix")
"""What the three headers begin with: the standard's word, and Svix' own from before it."""

Read = Callable[[RawRequest, Verification], Parsed]
"""What makes values of a verified request; it is given what `Channel.parse` is given."""


class _Event(Struct):
    type: str = ""


_ID = re.compile(r"[!-~]{1,256}")


class StandardWebhooks:
    """Requests signed by Standard Webhooks, read by `read`.

    `secret` is the ``whsec_...`` of the endpoint, or several while one is being replaced; without
    one, requests count as ``unsigned``. The signature covers an id, a time at most
    `tolerance_seconds` away, and the body. `name`, `channel`, `horizon_seconds` and `capabilities`
    say of whom the requests are. Without `read`, every event is a `Notice` of the kind
    ``unsupported`` with its type.

    Only symmetric signatures (``v1``) are known. Raises `ConfigurationError` for a secret that is
    empty or no base64.
    """

    def __init__(
        self,
        secret: str | Sequence[str] = (),
        read: Read | None = None,
        *,
        name: str = "standard-webhooks",
        channel: str = "other",
        horizon_seconds: float = 3 * 24 * 3600.0,
        capabilities: Capabilities | None = None,
        tolerance_seconds: float = TOLERANCE_SECONDS,
        max_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self.name = name
        self.channel = channel
        self.horizon_seconds = horizon_seconds
        self.capabilities = capabilities or Capabilities()
        self._secrets = keys_of(secret)
        self._read = read or self._unread
        self._tolerance_seconds = tolerance_seconds
        self._max_bytes = max_bytes

    @total(UNVERIFIABLE)
    def verify(self, request: RawRequest, /) -> Verification:
        """Check the HMAC-SHA256 of id, time and body; any right one of several signatures will do.

        `key` is the place of the secret that matched.
        """
        if not self._secrets:
            return Verification("unsigned", scheme=_SCHEME)
        id, timestamp, signatures = _signed(request)
        signed_at = seconds_of(timestamp)
        if id is None or timestamp is None or signed_at is None or not signatures:
            return _failed("the id, time or signature is missing, repeated or none")
        if len(request.body) > self._max_bytes:
            return _failed("the body is over its limit")
        for key, secret in enumerate(self._secrets):
            made = _signature(secret, id, timestamp, request.body)
            if any(hmac.compare_digest(made, one) for one in signatures):
                if not is_fresh(signed_at, request, self._tolerance_seconds):
                    return _failed(STALE)
                return Verification("verified", _SCHEME, binds_body=True, key=key)
        return _failed("the signature does not match")

    @total(UNREADABLE)
    def parse(self, request: RawRequest, verification: Verification, /) -> Parsed:
        """What `read` makes of it; malformed where that raises, or gives something else."""
        if refusal := refused(verification):
            return refusal
        try:
            found: object = self._read(request, verification)
        except Exception:  # noqa: BLE001 - it is somebody else's, and no adapter raises
            return malformed("the function that reads this could not")
        return found if isinstance(found, Parsed) else malformed("nothing was read")

    def reply(self, outcome: Parsed, _answer: Sequence[Message] = (), /) -> HttpReply:
        """200, also for what is malformed; 401 for a wrong signature."""
        return HttpReply(401, b"unauthorized") if is_forged(outcome) else HttpReply(200)

    def _unread(self, request: RawRequest, _verification: Verification) -> Parsed:
        if len(request.body) > self._max_bytes:
            return malformed("the body is over its limit")
        try:
            kind = msgspec.json.decode(request.body, type=_Event).type
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            kind = ""
        if not kind:
            return malformed("the body is no JSON, or its event has no type")
        id, _, _ = _signed(request)
        endpoint = Endpoint(self.channel, self.name)
        told = Notice(
            self.channel, endpoint, "unsupported",
            event_id=id or "", value=clean(kind[:64]), provider=self.name,
        )  # fmt: skip
        return Parsed(events=(told,))


_SCHEME = "standard-webhooks"


def _failed(reason: str) -> Verification:
    return Verification("failed", scheme=_SCHEME, reason=reason)


def keys_of(secret: str | Sequence[str]) -> list[bytes]:
    """The keys of these secrets, as they are shown: ``whsec_`` and base64.

    Raises `ConfigurationError` for one that is empty or no base64.
    """
    return [_loaded(one) for one in secrets_of(secret, "secret")]


def signature(key: bytes, id: str, timestamp: str, body: bytes) -> str:
    """The value of the header ``webhook-signature``; `timestamp` is in Unix seconds."""
    return f"v1,{_signature(key, id, timestamp, body).decode()}"


def _signature(key: bytes, id: str, timestamp: str, body: bytes) -> bytes:
    signed = f"{id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(key, signed, "sha256"))


def _loaded(given: bytes) -> bytes:
    try:
        key = base64.b64decode(given.removeprefix(b"whsec_"), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise ConfigurationError("secret must be whsec_ and base64, as the provider shows it")
    return key


def _signed(request: RawRequest) -> tuple[str | None, str | None, list[bytes]]:
    """Id, time and signatures, all three under one prefix; `None` and none where they are not."""
    for prefix in PREFIXES:
        id, timestamp, given = (
            request.header(f"{prefix}-{name}") for name in ("id", "timestamp", "signature")
        )
        if id is None or given is None:
            continue
        if not _ID.fullmatch(id) or not given.isascii() or len(given) > MAX_HEADER_CHARACTERS:
            continue
        several = [one.partition(",") for one in given.split(" ")[:MAX_SIGNATURES]]
        found = [value.encode() for version, _, value in several if version == "v1" and value]
        return id, timestamp, found
    return None, None, []
