"""Slack: events, slash commands and interactions, by webhook.

Sources: docs.slack.dev/authentication/verifying-requests-from-slack (signature),
/apis/events-api (handshake, retries, acknowledgement). `posting` is the way out.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence

import msgspec

from ctxbridge.channels._edge import UNREADABLE, UNVERIFIABLE, is_forged, malformed, refused, total
from ctxbridge.channels._secrets import secrets_of
from ctxbridge.channels.slack import events, interactions, payloads
from ctxbridge.channels.slack.posting import CAPABILITIES, SlackPosts
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

__all__ = ["Slack", "SlackPosts"]

MAX_BODY_BYTES = 1024 * 1024
LEEWAY_SECONDS = 300

_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")
_SECONDS = re.compile(r"[0-9]{1,11}")
_CHALLENGE = re.compile(r"[!-~]{1,512}")
_NO_RETRY = (("X-Slack-No-Retry", "1"),)

_ENVELOPE = msgspec.json.Decoder(payloads.Envelope)


class Slack:
    """Requests of Slack to an app: its event subscriptions, commands and interactivity.

    `signing_secret` is the app's Signing Secret, or several while it is being replaced; without
    one, requests count as ``unsigned`` and nobody's name is sure. A request is good for
    `leeway_seconds` from the time that it was signed. Raises `ConfigurationError` for an empty
    secret.
    """

    name: str = payloads.PROVIDER
    channel: str = payloads.CHANNEL
    horizon_seconds: float = payloads.HORIZON_SECONDS
    capabilities: Capabilities = CAPABILITIES

    def __init__(
        self, signing_secret: str | Sequence[str] = (), *, leeway_seconds: float = LEEWAY_SECONDS
    ) -> None:
        self._secrets = secrets_of(signing_secret, "signing_secret")
        self._leeway = leeway_seconds * 1000

    def handshake(self, request: RawRequest, /) -> HttpReply | None:
        """The challenge of ``url_verification``, which Slack signs too; 401 where it did not."""
        envelope = None if _is_form(request) else _envelope(request.body)
        if envelope is None or envelope.type != "url_verification":
            return None
        if self.verify(request).status == "failed":
            return HttpReply(401, b"unauthorized", headers=_NO_RETRY)
        challenge = envelope.challenge or ""
        if not _CHALLENGE.fullmatch(challenge):
            return HttpReply(400, b"no challenge")
        return HttpReply(200, challenge.encode())

    @total(UNVERIFIABLE)
    def verify(self, request: RawRequest, /) -> Verification:
        """Check X-Slack-Signature: HMAC-SHA256 of version, time and body. It covers the body.

        The time of the signature must be near `RawRequest.received_at`, before or after.
        """
        if not self._secrets:
            return Verification("unsigned", scheme="slack.v0")
        given = request.header("X-Slack-Signature") or ""
        stamp = request.header("X-Slack-Request-Timestamp") or ""
        if not _SIGNATURE.fullmatch(given) or not _SECONDS.fullmatch(stamp):
            return _failed("the signature or its time is missing, repeated or none")
        if request.received_at <= 0:
            return _failed("the time of the request is not known")
        if abs(int(stamp) * 1000 - request.received_at) > self._leeway:
            return _failed("the signature is too old, or of the future")
        signed = b"v0:" + stamp.encode() + b":" + request.body
        for key, secret in enumerate(self._secrets):
            made = "v0=" + hmac.new(secret, signed, hashlib.sha256).hexdigest()
            if hmac.compare_digest(made, given):
                return Verification("verified", "slack.v0", binds_body=True, key=key)
        return _failed("the signature does not match")

    @total(UNREADABLE)
    def parse(self, request: RawRequest, verification: Verification, /) -> Parsed:
        """What came: messages, edits, deletions, reactions, commands, pressed buttons.

        A message and the mention in it are one: they have the same id.
        """
        if refusal := refused(verification):
            return refusal
        if len(request.body) > MAX_BODY_BYTES:
            return malformed("the body is too large")
        reading = interactions.parsed if _is_form(request) else _parsed
        return reading(request.body, sure=verification.status == "verified")

    def reply(self, outcome: Parsed, answer: Sequence[Message] = (), /) -> HttpReply:
        """200 and nothing in it: Slack waits three seconds, so answers are posted (`SlackPosts`).

        401 for a wrong signature, with the word that a repetition cannot help.
        """
        del answer
        if is_forged(outcome):
            return HttpReply(401, b"unauthorized", headers=_NO_RETRY)
        return HttpReply(200)


def _failed(reason: str) -> Verification:
    return Verification("failed", "slack.v0", reason)


def _parsed(body: bytes, *, sure: bool) -> Parsed:
    envelope = _envelope(body)
    if envelope is None:
        return malformed("the body is not JSON, or a field has a wrong type")
    if envelope.type == "event_callback":
        return events.parsed(envelope, sure=sure)
    if envelope.type not in {"url_verification", "app_rate_limited"}:
        return malformed("the body is no event callback")
    ours = Endpoint(payloads.CHANNEL, "slack")
    told = Notice(
        payloads.CHANNEL, ours, "unsupported", value=envelope.type, provider=payloads.PROVIDER
    )
    return Parsed((told,))


def _is_form(request: RawRequest) -> bool:
    """Forms and JSON are told by their beginning: whoever keeps a payload keeps no headers."""
    return request.body[:64].lstrip()[:1] != b"{"


def _envelope(body: bytes) -> payloads.Envelope | None:
    if len(body) > MAX_BODY_BYTES:
        return None
    try:
        return _ENVELOPE.decode(body)
    except payloads.UNDECODABLE:
        return None
