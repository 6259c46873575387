"""Web chat: our own frames of JSON, by HTTP or WebSocket, and the tokens that go with them.

A frame is ``{"type": "message", "client_msg_id": "...", "text": "...", "sent_at": 1700000000000}``;
`frames` has the others. Who writes is said by a compact JWT with HS256 (RFC 7515, 7519),
short-lived and made by the tenant's own page (`WebChat.token`). By HTTP each request brings it, as
``Authorization: Bearer ...`` or as ``"token"`` in the frame. A WebSocket is bound to it once, by
the frame ``resume``: see `Connection`, and `ctxbridge.chatting`, which serves it.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

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
from ctxbridge.channels.webchat import frames, tokens
from ctxbridge.channels.webchat.connection import Connection, Limits, Step
from ctxbridge.channels.webchat.frames import Frame, Writer
from ctxbridge.errors import ConfigurationError
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
    Verification,
)
from ctxbridge.rules.text import clean

__all__ = ["Connection", "Limits", "Step", "WebChat", "client"]

JSON = "application/json"


class WebChat:
    """The web chat of one `app`, which is the endpoint's name and the token's audience.

    `secret` signs tokens: at least 32 random bytes (RFC 7518, 3.2), or several while one is being
    replaced; the first one mints. Without a secret everybody is an anonymous visitor, told from
    others by what the browser calls itself: each needs a random id of its own. Frames over
    `max_bytes` are malformed. Raises `ConfigurationError` for an empty secret.
    """

    name: str = frames.PROVIDER
    channel: str = frames.CHANNEL
    horizon_seconds: float = frames.HORIZON_SECONDS
    capabilities: Capabilities = Capabilities(
        longest=frames.MAX_TEXT_CHARACTERS, edits=True, deletes=True, reactions=True, typing=True,
        receipts=("sent", "delivered", "read"),
    )  # fmt: skip

    def __init__(
        self,
        secret: str | Sequence[str] = (),
        *,
        app: str = "webchat",
        max_bytes: int = 64 * 1024,
    ) -> None:
        self._secrets = secrets_of(secret, "secret")
        self._app = app
        self.endpoint = Endpoint(self.channel, app)
        self.max_bytes = max_bytes

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
        return tokens.mint(self._secrets[0], self._app, subject, now, lifetime_seconds, login=login)

    @total(UNVERIFIABLE)
    def verify(self, request: RawRequest, /) -> Verification:
        """Check the token. It vouches for the writer only, never for the frame (`binds_body`).

        A missing token is ``unsigned`` where no secret is configured, else ``failed``; a token that
        nobody can check is ``failed`` too. Needs `RawRequest.received_at`.
        """
        token = self._token(request)
        if token is None or (not token and self._secrets):
            return tokens.failed("the token is missing, repeated or too long")
        if not self._secrets:
            nobody = tokens.failed("no secret is configured")
            return nobody if token else Verification("unsigned")
        return tokens.check(token, self._secrets, self._app, request.received_at)

    @total(UNREADABLE)
    def parse(self, request: RawRequest, verification: Verification, /) -> Parsed:
        """The one event of the frame: a message, an edit, a receipt, a notice."""
        if refusal := refused(verification):
            return refusal
        frame = frames.read(request.body, self.max_bytes)
        if frame is None:
            return malformed("the frame is not JSON, too large, or a field has a wrong type")
        writer = self._writer(request, verification, frame)
        if writer is None:
            return malformed("a visitor or a token is needed: 1 to 200 printable characters")
        return frames.events_of(frame, writer, self.endpoint)

    def reply(self, outcome: Parsed, answer: Sequence[Message] = (), /) -> HttpReply:
        """The answer frame, as JSON: 200; 401 for a bad token, 400 for a frame that is none."""
        if is_forged(outcome):
            return HttpReply(401, b'{"type":"error","reason":"token"}', JSON)
        if not outcome.events:
            return HttpReply(400, b'{"type":"error","reason":"frame"}', JSON)
        first = next((event for event in outcome.events if isinstance(event, Inbound)), None)
        if first is None:
            return HttpReply(200, b'{"type":"ack"}', JSON)
        frame = {
            "type": "answer",
            "client_msg_id": frames.client_msg_id_of(first.message_id),
            "messages": [{"author": m.author, "text": clean(m.text)} for m in spoken(answer)],
        }
        return HttpReply(200, msgspec.json.encode(frame), JSON)

    def admit(self, request: RawRequest, /) -> Writer | None:
        """Who the token in the request is of, or its visitor; `None` where it is not to be let in.

        Never raises.
        """
        verification = self.verify(request)
        frame = frames.read(request.body, self.max_bytes)
        if verification.status == "failed" or frame is None:
            return None
        return self._writer(request, verification, frame)

    def _token(self, request: RawRequest) -> bytes | None:
        """The token, empty where there is none; `None` if there are several, or it is too long."""
        values = [value for key, value in request.headers if key.lower() == "authorization"]
        if len(values) > 1:
            return None
        scheme, _, token = values[0].strip().partition(" ") if values else ("", "", "")
        if scheme.lower() != "bearer":
            frame = frames.read(request.body, self.max_bytes)
            token = frame.token if frame else ""
        token = token.strip()
        return token.encode() if token.isascii() and len(token) <= tokens.MAX_TOKEN_BYTES else None

    def _writer(
        self, request: RawRequest, verification: Verification, frame: Frame
    ) -> Writer | None:
        """Who writes and how sure that is, from the claims that `verify` has found good."""
        claims = tokens.claims_of(self._token(request) or b"")
        subject = claims.sub if claims else ""
        assurance = Assurance.AUTHENTICATED if claims and claims.login else Assurance.CHANNEL
        until = int(claims.exp * 1000) if claims else 0
        if verification.status != "verified":
            # No common name for all: they would read each other's words. A token that nobody has
            # checked says no more than the browser does.
            subject, assurance, until = frame.visitor or subject, Assurance.ANONYMOUS, 0
        if not tokens.is_name(subject, tokens.MAX_SUBJECT_CHARACTERS):
            return None
        return Writer(Address(self.channel, subject), assurance, until)


def client() -> bytes:
    """The JavaScript module that a page loads: UTF-8, no dependencies. See its own comments."""
    return Path(__file__).with_name("client.js").read_bytes()
