"""Web chat: our own frames of JSON, by HTTP or WebSocket, and the tokens that go with them.

A frame is ``{"type": "message", "client_msg_id": "...", "text": "...", "sent_at": 1700000000000}``.
Who writes is said by a compact JWT with HS256 (RFC 7515, 7519), short-lived and made by the
tenant's own page (`WebChat.token`). It comes as ``Authorization: Bearer ...``, or as ``"token"`` in
the frame from a WebSocket, which cannot set headers.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ctxbridge.channels._edge import (
    UNREADABLE,
    UNVERIFIABLE,
    is_forged,
    malformed,
    refused,
    spoken,
    total,
)
from ctxbridge.channels._secrets import secrets_of
from ctxbridge.errors import ConfigurationError, UsageError
from ctxbridge.model import (
    Address,
    Assurance,
    Capabilities,
    Endpoint,
    HttpReply,
    Inbound,
    Message,
    Parsed,
    RawRequest,
    Text,
    Verification,
)
from ctxbridge.rules.text import clean

MAX_TOKEN_BYTES = 4 * 1024
MAX_TEXT_CHARACTERS = 16_000
MAX_ID_CHARACTERS = 128
MAX_SUBJECT_CHARACTERS = 200
LEEWAY_SECONDS = 60

JSON = "application/json"

# A time beyond three thousand years is no time of ours. Seconds may have a fraction (RFC 7519, 2).
Seconds = Annotated[float, Meta(ge=0, le=10**11)]
Milliseconds = Annotated[int, Meta(ge=0, le=10**14)]

# What msgspec raises for bytes that are no JSON, no UTF-8, or nested too deep.
UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Frame(Struct):
    type: str
    client_msg_id: str = ""
    text: str = ""
    sent_at: Milliseconds = 0
    token: str = ""
    visitor: str = ""


class _Header(Struct):
    alg: str
    # "crit" names extensions that must be understood (RFC 7515, 4.1.11), and we understand none.
    crit: msgspec.Raw | None = None


class _Claims(Struct, omit_defaults=True):
    sub: str
    exp: Seconds
    aud: str | list[str] | None = None
    iat: Seconds = 0
    nbf: Seconds = 0
    login: bool = False


_FRAME = msgspec.json.Decoder(_Frame)
_HEADER = msgspec.json.Decoder(_Header)
_CLAIMS = msgspec.json.Decoder(_Claims)
_HS256 = b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"  # {"alg":"HS256","typ":"JWT"}


class WebChat:
    """The web chat of one `app`, which is the endpoint's name and the token's audience.

    `secret` signs tokens: at least 32 random bytes (RFC 7518, 3.2), or several while one is being
    replaced; the first one mints. Without a secret everybody is an anonymous visitor, told from
    others by what the browser calls itself: each needs a random id of its own. Frames over
    `max_bytes` are malformed. Raises `ConfigurationError` for an empty secret.
    """

    name: str = "webchat"
    channel: str = "chat"
    horizon_seconds: float = 7 * 24 * 3600.0
    capabilities: Capabilities = Capabilities(longest=16_000)

    def __init__(
        self,
        secret: str | Sequence[str] = (),
        *,
        app: str = "webchat",
        max_bytes: int = 64 * 1024,
    ) -> None:
        self._secrets = secrets_of(secret, "secret")
        self._app = app
        self._max_bytes = max_bytes

    def token(
        self, subject: str, *, now: int, lifetime_seconds: float = 900, login: bool = False
    ) -> str:
        """Make a token for `subject`, good from `now` (Unix ms) for `lifetime_seconds`.

        `login=True` says that the tenant's own login knows this person: what they write is
        ``AUTHENTICATED``, else ``CHANNEL``. Raises `ConfigurationError` without a secret, and
        `UsageError` for a subject or a time that no token of ours could have.
        """
        if not self._secrets:
            msg = "a secret is needed to make tokens"
            raise ConfigurationError(msg)
        if not _is_name(subject, MAX_SUBJECT_CHARACTERS) or lifetime_seconds < 1 or now < 0:
            msg = "a token needs a printable subject of 1 to 200 characters and a lifetime of 1 s"
            raise UsageError(msg)
        start = now // 1000
        claims = _Claims(subject, start + int(lifetime_seconds), self._app, start, login=login)
        signing = _HS256 + b"." + _to_base64url(msgspec.json.encode(claims))
        return (signing + b"." + _sign(self._secrets[0], signing)).decode()

    @total(UNVERIFIABLE)
    def verify(self, request: RawRequest, /) -> Verification:
        """Check the token. It vouches for the writer only, never for the frame (`binds_body`).

        A missing token is ``unsigned`` where no secret is configured, else ``failed``; a token that
        nobody can check is ``failed`` too. Needs `RawRequest.received_at`.
        """
        token = self._token(request)
        if token is None or (not token and self._secrets):
            return _failed("the token is missing, repeated or too long")
        if not self._secrets:
            return _failed("no secret is configured") if token else Verification("unsigned")
        signing, _, signature = token.rpartition(b".")
        key = next(
            (
                place
                for place, secret in enumerate(self._secrets)
                # The text is compared, not the bytes it stands for: base64 has several for one.
                if hmac.compare_digest(_sign(secret, signing), signature)
            ),
            -1,
        )
        if key < 0 or not _is_hs256(signing):
            return _failed("the token's signature does not match")
        claims = _claims(token)
        if claims is None or not _is_name(claims.sub, MAX_SUBJECT_CHARACTERS):
            return _failed("the token's claims cannot be used")
        if reason := self._unfit(claims, request.received_at):
            return _failed(reason)
        return Verification("verified", "jwt.hs256", key=key)

    @total(UNREADABLE)
    def parse(self, request: RawRequest, verification: Verification, /) -> Parsed:
        """One message. `message_id` is ``subject:client_msg_id``: ids are unique per visitor."""
        if refusal := refused(verification):
            return refusal
        frame = self._frame(request)
        if frame is None or frame.type != "message":
            return malformed("the frame is not JSON, too large, or not of type message")
        if not _is_name(frame.client_msg_id, MAX_ID_CHARACTERS):
            return malformed("client_msg_id must be 1 to 128 printable characters")
        if not frame.text.strip() or len(frame.text) > MAX_TEXT_CHARACTERS:
            return malformed(f"text must be 1 to {MAX_TEXT_CHARACTERS} characters")
        writer = self._writer(request, verification, frame)
        if writer is None:
            return malformed("a visitor or a token is needed: 1 to 200 printable characters")
        subject, assurance = writer
        message = Inbound(
            channel=self.channel,
            endpoint=Endpoint(self.channel, self._app),
            sender=Address(self.channel, subject),
            message_id=f"{_escaped(subject)}:{frame.client_msg_id}",
            parts=(Text(clean(frame.text)),),
            assurance=assurance,
            id_source="sender",
            occurred_at=frame.sent_at,
            thread=subject,
            horizon_seconds=self.horizon_seconds,
            provider=self.name,
        )
        return Parsed(events=(message,))

    def reply(self, outcome: Parsed, answer: Sequence[Message] = (), /) -> HttpReply:
        """The answer frame, as JSON: 200; 401 for a bad token, 400 for a frame that is none."""
        if is_forged(outcome):
            return HttpReply(401, b'{"type":"error","reason":"token"}', JSON)
        first = next((event for event in outcome.events if isinstance(event, Inbound)), None)
        if first is None:
            return HttpReply(400, b'{"type":"error","reason":"frame"}', JSON)
        frame = {
            "type": "answer",
            "client_msg_id": first.message_id.partition(":")[2],
            "messages": [{"author": m.author, "text": clean(m.text)} for m in spoken(answer)],
        }
        return HttpReply(200, msgspec.json.encode(frame), JSON)

    def _frame(self, request: RawRequest) -> _Frame | None:
        if len(request.body) > self._max_bytes:
            return None
        try:
            return _FRAME.decode(request.body)
        except UNDECODABLE:
            return None

    def _token(self, request: RawRequest) -> bytes | None:
        """The token, empty where there is none; `None` if there are several, or it is too long."""
        values = [value for key, value in request.headers if key.lower() == "authorization"]
        if len(values) > 1:
            return None
        scheme, _, token = values[0].strip().partition(" ") if values else ("", "", "")
        if scheme.lower() != "bearer":
            frame = self._frame(request)
            token = frame.token if frame else ""
        token = token.strip()
        return token.encode() if token.isascii() and len(token) <= MAX_TOKEN_BYTES else None

    def _unfit(self, claims: _Claims, received_at: int) -> str:
        """Why claims that are signed do not serve here and now; empty if they do."""
        if received_at <= 0:
            return "the time of the request is not known"
        if claims.exp * 1000 <= received_at:
            return "the token has expired"
        if max(claims.nbf, claims.iat) * 1000 > received_at + LEEWAY_SECONDS * 1000:
            return "the token is not valid yet"
        audience = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if audience is not None and self._app not in audience:
            return "the token is for another app"
        return ""

    def _writer(
        self, request: RawRequest, verification: Verification, frame: _Frame
    ) -> tuple[str, Assurance] | None:
        """Who writes and how sure that is, from the claims that `verify` has found good."""
        claims = _claims(self._token(request) or b"")
        subject = claims.sub if claims else ""
        assurance = Assurance.AUTHENTICATED if claims and claims.login else Assurance.CHANNEL
        if verification.status != "verified":
            # No common name for all: they would read each other's words. A token that nobody has
            # checked says no more than the browser does.
            subject, assurance = frame.visitor or subject, Assurance.ANONYMOUS
        return (subject, assurance) if _is_name(subject, MAX_SUBJECT_CHARACTERS) else None


def _failed(reason: str) -> Verification:
    return Verification("failed", "jwt.hs256", reason)


def _is_name(value: str, limit: int) -> bool:
    """Printable, so it is stored as it is: no two names can become one by cleaning."""
    return 0 < len(value) <= limit and value.isprintable()


def _escaped(subject: str) -> str:
    """`subject` without colons, so that ``a`` + ``b:c`` and ``a:b`` + ``c`` stay two ids."""
    return subject.replace("%", "%25").replace(":", "%3A")


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


def _claims(token: bytes) -> _Claims | None:
    pieces = token.split(b".")
    payload = _of_base64url(pieces[1]) if len(pieces) == 3 else None
    try:
        return _CLAIMS.decode(payload or b"")
    except UNDECODABLE:
        return None
