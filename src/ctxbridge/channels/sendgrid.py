"""SendGrid: mail by the Inbound Parse webhook, and what became of ours by the Event Webhook.

Sources: twilio.com/docs/sendgrid/for-developers/parsing-email/setting-up-the-inbound-parse-webhook
(fields, retries), /parsing-email/securing-your-parse-webhooks (signature), /tracking-events/event
and /tracking-events/getting-started-event-webhook-security-features (events, the same signature).
"""

import base64
import binascii
import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ctxbridge.channels._edge import (
    UNREADABLE,
    UNVERIFIABLE,
    is_forged,
    malformed,
    refused,
    total,
)
from ctxbridge.channels._secrets import secrets_of
from ctxbridge.channels._signed_time import (
    STALE,
    TOLERANCE_SECONDS,
    is_fresh,
    is_refused_for,
    seconds_of,
)
from ctxbridge.channels.mail import headers, mime, outcomes, trust
from ctxbridge.channels.mail.digest import digest
from ctxbridge.channels.mail.forms import Form, form_of
from ctxbridge.channels.mail.json_fields import items_in, object_in
from ctxbridge.channels.mail.letterbox import Envelope, Letterbox, nobody
from ctxbridge.errors import ConfigurationError, Malformed
from ctxbridge.model import (
    Attachment,
    Capabilities,
    HttpReply,
    Inbound,
    Message,
    Notice,
    Parsed,
    RawRequest,
    Receipt,
    Verification,
)
from ctxbridge.model.inbound import ReceiptStatus

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

MAX_EVENTS = 1000
MAX_VERDICTS = 4096

STATUSES: dict[str, ReceiptStatus] = {
    "processed": "queued",
    "deferred": "sent",
    "delivered": "delivered",
    "open": "read",
    "bounce": "failed",
    "dropped": "failed",
}
WISHES = {
    "spamreport": "opt_out.stop",
    "unsubscribe": "opt_out.stop",
    "group_unsubscribe": "opt_out.stop",
    "group_resubscribe": "opt_out.start",
}

_SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
_TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"

_VERDICT = re.compile(r"@([a-z0-9._-]+)\s*:\s*([a-z]+)")
# What SendGrid adds to the X-Message-Id of a mail, in its events.
_ADDED = re.compile(r"\.(?:filter|recvd).*")


class SendGrid:
    """The Inbound Parse webhook (parsed, or raw) and the Event Webhook of SendGrid.

    `public_key` is the one of the webhook's security policy, as SendGrid shows it (base64) or as
    PEM, or several while one is being replaced; without one, requests count as ``unsigned`` and
    nobody's address is sure. The signature covers the body and a time, at most `tolerance_seconds`
    away. It needs cryptography.

    `mailbox`, `max_bytes`, `reply_secret` and `own_domains` are as for `Email`; without a mailbox
    the endpoint is the envelope's first recipient. Raises `ConfigurationError` as that does, for a
    missing package, and for a key that is empty or none.
    """

    name: str = "sendgrid"
    channel: str = "email"
    horizon_seconds: float = 4 * 24 * 3600.0
    capabilities: Capabilities = Capabilities(
        form="html", media=True, subject=True, threads=True,
        receipts=("sent", "delivered", "read", "failed"),
    )  # fmt: skip

    def __init__(
        self,
        public_key: str | Sequence[str] = (),
        *,
        mailbox: str | None = None,
        tolerance_seconds: float = TOLERANCE_SECONDS,
        max_bytes: int = 10 * 1024 * 1024,
        reply_secret: str | bytes | Sequence[str | bytes] | None = None,
        own_domains: Sequence[str] = (),
    ) -> None:
        self._keys = [_loaded(key) for key in secrets_of(public_key, "public_key")]
        self._tolerance_seconds = tolerance_seconds
        self._max_bytes = max_bytes
        self._letterbox = Letterbox(
            self.name,
            self.horizon_seconds,
            mailbox=mailbox,
            reply_secret=reply_secret,
            own_domains=own_domains,
        )

    @total(UNVERIFIABLE)
    def verify(self, request: RawRequest, /) -> Verification:
        """Check the ECDSA signature (P-256, SHA-256) of the time and the body as it came."""
        if not self._keys:
            return Verification("unsigned", scheme=self.name)
        timestamp = request.header(_TIMESTAMP)
        signed_at = seconds_of(timestamp)
        signature = _signature(request.header(_SIGNATURE))
        if timestamp is None or signed_at is None or signature is None:
            return _failed("the signature or its time is missing, repeated or none")
        if len(request.body) > self._max_bytes:
            return _failed("the body is over its limit")
        signed = timestamp.encode() + request.body
        for key, public in enumerate(self._keys):
            if _is_signed(public, signature, signed):
                if not is_fresh(signed_at, request, self._tolerance_seconds):
                    return _failed(STALE)
                return Verification("verified", self.name, binds_body=True, key=key)
        return _failed("the signature does not match")

    @total(UNREADABLE)
    def parse(self, request: RawRequest, verification: Verification, /) -> Parsed:
        """One mail, or a list of events about mails of ours; an event that is odd is an error.

        SendGrid gives no id and no time of its own.
        """
        if refusal := refused(verification):
            return refusal
        sure = verification.status == "verified"
        if len(request.body) > self._max_bytes:
            return malformed("the request is too large")
        if request.body[:64].lstrip()[:1] in (b"[", b"{"):
            return self._events(request.body, sure=sure)
        form = form_of(request, self._max_bytes)
        if form is None:
            return malformed("the form is over its limits, or none")
        try:
            return self._mail(form, request, sure=sure)
        except Malformed as error:
            return Parsed(errors=(error,))

    def reply(self, outcome: Parsed, _answer: Sequence[Message] = (), /) -> HttpReply:
        """200, also for what is malformed; 401 for a wrong signature, which drops the mail.

        A request that is only too old gets 503 and comes again: the clock may have been wrong.
        """
        if is_refused_for(outcome, STALE):
            return HttpReply(503, b"stale")
        return HttpReply(401, b"unauthorized") if is_forged(outcome) else HttpReply(200)

    def _mail(self, form: Form, request: RawRequest, *, sure: bool) -> Parsed:
        raw, text, html = form.raw("email"), form.raw("text"), form.raw("html")
        if raw:
            mail = mime.parse(raw, self._max_bytes)
            body = mime.read(mail)
        else:
            charsets = object_in(form.raw("charsets"))
            mail = mime.parse(_head(form, charsets), self._max_bytes)
            plain, shown = (outcomes.word(charsets.get(name)) for name in ("text", "html"))
            body = mime.read_fields((text, plain), (html, shown), _files(form))
        envelope = object_in(form.only("envelope").encode())
        to = envelope.get("to")
        vouches = nobody
        if sure:
            path = outcomes.cleaned(envelope.get("from"))
            vouches = partial(_vouches, mail, form.only("dkim"), form.only("SPF"), path)
        return self._letterbox.open(
            mail,
            body,
            Envelope(
                digest(raw or form.raw("headers"), text, html, form.raw("from")),
                request.received_at,
                recipients=tuple(filter(None, map(outcomes.address, _list(to)))),
                vouches=vouches,
            ),
        )

    def _events(self, body: bytes, *, sure: bool) -> Parsed:
        found = items_in(body)
        if not found:
            return malformed("the request is no list of events, or has too many")
        events: list[Inbound | Receipt | Notice] = []
        errors: list[Malformed] = []
        for raw in found[:MAX_EVENTS]:
            given = object_in(raw)
            name = outcomes.word(given.get("event"))
            if name:
                events.append(self._event(name, given, sure=sure))
            else:
                errors.append(Malformed("an event has no name"))
        if len(found) > MAX_EVENTS:
            errors.append(Malformed("there are too many events; the rest is left out"))
        return Parsed(tuple(events), tuple(errors))

    def _event(self, name: str, given: dict[str, Any], *, sure: bool) -> Inbound | Receipt | Notice:
        recipient = outcomes.address(given.get("email"))
        id = _ADDED.sub("", outcomes.word(given.get("sg_message_id"), outcomes.MAX_ID))
        event_id = outcomes.word(given.get("sg_event_id"), outcomes.MAX_ID) or id
        at = outcomes.unix_ms(given.get("timestamp"))
        endpoint = outcomes.endpoint_in(given, self._letterbox.endpoint)
        key = outcomes.key_in(given)
        if name in WISHES and recipient and event_id:
            return outcomes.wish(
                endpoint, recipient, event_id, WISHES[name],
                sure=sure, at=at, provider=self.name, horizon=self.horizon_seconds,
            )  # fmt: skip
        if name not in STATUSES or not (id or key):
            return outcomes.passing(endpoint, name, event_id, self.name)
        # A mail program that fetches images before anybody looks has got the mail, and that is all.
        status = "delivered" if given.get("sg_machine_open") is True else STATUSES[name]
        code = outcomes.code(given.get("status"), given.get("reason"), given.get("type"))
        return outcomes.receipt(
            endpoint, recipient, id, status,
            said=name, code=code if status == "failed" else "", at=at,
            provider=self.name, delivery=key,
        )  # fmt: skip


def _failed(reason: str) -> Verification:
    return Verification("failed", scheme=SendGrid.name, reason=reason)


def _loaded(given: bytes) -> "EllipticCurvePublicKey":
    """A public key on P-256. What is wrong with it is not repeated."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise ConfigurationError(
            'a public_key needs cryptography: pip install "ctxbridge[crypto]"'
        ) from None
    try:
        if given.lstrip().startswith(b"-----"):
            key = serialization.load_pem_public_key(given)
        else:
            key = serialization.load_der_public_key(base64.b64decode(given, validate=True))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise ConfigurationError("public_key must be a public key on P-256, in base64 or as PEM")
    return key


def _signature(given: str | None) -> bytes | None:
    if given is None or not given.isascii() or not 0 < len(given) <= 200:
        return None
    try:
        return base64.b64decode(given, validate=True)
    except binascii.Error:
        return None


def _is_signed(key: "EllipticCurvePublicKey", signature: bytes, signed: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _list(given: object) -> list[Any]:
    return given[: headers.MAX_MAILBOXES] if isinstance(given, list) else []


def _head(form: Form, charsets: dict[str, Any]) -> bytes:
    """The headers as they came; without them, what the fields say of them.

    A field is written on one line, so that nothing in it becomes a header of its own.
    """
    given = form.raw("headers")
    if given.strip():
        return given.strip(b"\r\n") + b"\r\n\r\n"
    named = {"From": "from", "To": "to", "Cc": "cc", "Subject": "subject"}
    lines = [
        f"{name}: {headers.text(form.text(field, outcomes.word(charsets.get(field))))}\r\n"
        for name, field in named.items()
        if field in form
    ]
    return "".join([*lines, "\r\n"]).encode("utf-8", "replace")


def _files(form: Form) -> list[Attachment]:
    """The attachments; ``attachment-info`` names them better than the form does."""
    known = object_in(form.raw("attachment-info"))
    found = []
    for file in form.files():
        about = known.get(file.name)
        about = about if isinstance(about, dict) else {}
        kind = outcomes.cleaned(about.get("type")).lower() or file.media_type
        name = outcomes.cleaned(about.get("filename")) or file.filename
        found.append(mime.attachment(kind, name, file.size))
    return found


def _vouches(mail: mime.Part, dkim: str, spf: str, sender: str, domain: str) -> bool:
    """Whether SendGrid has found the mail to be from `domain`, by DKIM or by aligned SPF.

    Its verdicts are fields beside the mail, so no header of the mail can forge them.
    """
    if trust.signs(mail, domain) is None:
        return False
    if (domain, "pass") in _verdicts(headers.lower(dkim.strip())):
        return True
    return headers.lower(spf.strip()) == "pass" and trust.domain_of(sender) == domain


def _verdicts(dkim: str) -> list[tuple[str, str]]:
    """``{@example.org : pass}`` as pairs, one for each signature; none of what looks otherwise."""
    if not (dkim.startswith("{") and dkim.endswith("}") and len(dkim) <= MAX_VERDICTS):
        return []
    found = [_VERDICT.fullmatch(one.strip()) for one in dkim[1:-1].split(",")]
    return [(one[1], one[2]) for one in found if one] if all(found) else []
