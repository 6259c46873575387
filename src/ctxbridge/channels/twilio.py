"""Twilio: SMS, MMS, WhatsApp, RCS and Messenger, by webhook.

Sources: twilio.com/docs/usage/security (signature), /docs/messaging/guides/webhook-request
(fields), /docs/messaging/guides/track-outbound-message-status (receipts), /docs/messaging/twiml
(answer).
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from ctxbridge.channels import _twilio_content as content
from ctxbridge.channels._edge import (
    UNREADABLE,
    UNVERIFIABLE,
    is_forged,
    malformed,
    refused,
    spoken,
    total,
)
from ctxbridge.channels._reading import percent_decoded
from ctxbridge.channels._secrets import secrets_of
from ctxbridge.model import (
    Address,
    Assurance,
    Capabilities,
    Endpoint,
    HttpReply,
    Inbound,
    Message,
    Notice,
    Parsed,
    RawRequest,
    Receipt,
    Verification,
)
from ctxbridge.model.address import MAX_ADDRESS_CHARACTERS
from ctxbridge.model.inbound import ReceiptStatus
from ctxbridge.rules import providers
from ctxbridge.rules.text import clean

MAX_BODY_BYTES = 256 * 1024
MAX_FIELDS = 400
MAX_URL_CHARACTERS = 64 * 1024

CHANNELS = ("whatsapp", "rcs", "messenger")
"""The prefixes of From and To that name another channel than SMS."""

DIGESTS = {"HMAC_SHA1": hashlib.sha1, "HMAC_SHA256": hashlib.sha256}
"""The algorithms that X-Twilio-Webhooks-Signature-Settings may name (twilio-python 9)."""

STATUSES: dict[str, ReceiptStatus] = {
    "queued": "queued",
    "accepted": "queued",
    "scheduled": "queued",
    "sending": "queued",
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "undelivered": "failed",
    "failed": "failed",
    "canceled": "failed",
}

# What SmsStatus says of a message that came in; every other word is about one that we sent.
_INCOMING = ("", "received", "receiving")
_SHORT_CODE = re.compile(r"[0-9]{3,8}")
_KEY = re.compile(rb"[0-9a-f]{32}")
_SID = re.compile(r"[!-~]{1,64}")
_AUTHORITY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^#]*)")
_HOST_PORT = re.compile(r"((?:[^@]*@)?(?:\[[^\]@]*\]|[^:@]*))(?::([0-9]*))?")
# XML 1.0 section 2.2 allows no other control characters, and no way to write them.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Fields = tuple[tuple[bytes, bytes], ...]


class Twilio:
    """Webhooks of Twilio's messaging.

    `auth_token` is the account's Auth Token, or several of them while it is being replaced; without
    one, requests count as ``unsigned`` and nobody's address is sure. `url` is the public address
    that is configured at Twilio. It is needed behind a proxy that ends TLS, and wins over the
    request's; an origin alone (``https://hooks.example.org``) leaves the path to the request. The
    query is always the request's, where it has one.

    Raises `ConfigurationError` for an empty token.
    """

    name: str = "twilio"
    channel: str = "sms"
    horizon_seconds: float = 24 * 3600.0
    capabilities: Capabilities = providers.TWILIO

    def __init__(self, auth_token: str | Sequence[str] = (), *, url: str | None = None) -> None:
        self._secrets = secrets_of(auth_token, "auth_token")
        self._url = url

    @total(UNVERIFIABLE)
    def verify(self, request: RawRequest, /) -> Verification:
        """Check X-Twilio-Signature: HMAC-SHA1 of the public URL and all form fields.

        The body is covered for a POST, not for a GET, whose fields are in the URL. `key` is the
        place of the token that matched.
        """
        if not self._secrets:
            return Verification("unsigned", scheme="twilio")
        given = request.header("X-Twilio-Signature")
        if given is None or not given.isascii() or not 0 < len(given) <= 128:
            return _failed("the signature is missing, repeated or no signature")
        digest = DIGESTS.get(_algorithm(request))
        if digest is None:
            return _failed("the signature's algorithm is not known")
        signed = _signed_fields(request)
        if signed is None:
            return _failed("the body is over its limits, or not the one that was signed")
        tail = b"".join([name + value for name, value in sorted(set(signed))])
        urls = [url.encode("utf-8", "surrogatepass") + tail for url in self._public(request)]
        wanted = given.encode("ascii")
        for key, secret in enumerate(self._secrets):
            for url in urls:
                made = base64.b64encode(hmac.new(secret, url, digest).digest())
                if hmac.compare_digest(made, wanted):
                    binds = request.method.upper() != "GET"
                    return Verification("verified", "twilio", binds_body=binds, key=key)
        return _failed("the signature does not match")

    @total(UNREADABLE)
    def parse(self, request: RawRequest, verification: Verification, /) -> Parsed:
        """One message or one receipt. A bad attachment is an error beside its message.

        Twilio gives no time for a message, so `occurred_at` is 0.
        """
        if refusal := refused(verification):
            return refusal
        pairs = None if _is_json(request) else _fields_of(request)
        if pairs is None:
            return malformed("the form is over its limits, or JSON")
        fields = {_text(name): _text(value) for name, value in reversed(pairs)}
        sid = next(filter(None, map(fields.get, ("MessageSid", "SmsSid", "SmsMessageSid"))), "")
        if not _SID.fullmatch(sid):
            return malformed("MessageSid is missing or not an id")
        ends = fields.get("From", "").strip(), fields.get("To", "").strip()
        if not all(0 < len(end) <= MAX_ADDRESS_CHARACTERS for end in ends):
            return malformed("From or To is missing or too long")
        status = (fields.get("MessageStatus") or fields.get("SmsStatus", "")).lower()
        if status not in _INCOMING:
            return Parsed(events=(_receipt(sid, status, fields, _delivery_of(request)),))
        return _message(sid, fields, sure=verification.status == "verified")

    def reply(self, outcome: Parsed, answer: Sequence[Message] = (), /) -> HttpReply:
        """TwiML: one ``<Message>`` per message of `answer` that may leave, else an empty response.

        403 for a wrong signature. What is malformed gets 200 too, since a repetition cannot help.
        To STOP, START and HELP Twilio has answered already, so nothing is added.
        """
        if is_forged(outcome):
            return HttpReply(403, b"forbidden")
        handled = any(
            flag.startswith("opt_out.")
            for event in outcome.events
            if isinstance(event, Inbound)
            for flag in event.flags
        )
        messages = "" if handled else "".join([_twiml(m.text) for m in spoken(answer)])
        document = f'<?xml version="1.0" encoding="UTF-8"?><Response>{messages}</Response>'
        return HttpReply(200, document.encode(), "text/xml")

    def _public(self, request: RawRequest) -> list[str]:
        """The URLs that may have been signed: as configured, without the port, with the default."""
        asked = _AUTHORITY.match(request.url[:MAX_URL_CHARACTERS])
        known = _AUTHORITY.match(self._url) if self._url else asked
        if known is None:
            return []
        scheme, authority, rest = known.groups()
        if asked is not None and known is not asked:
            rest = _merge(rest, asked.group(3))
        return [f"{scheme}://{variant}{rest}" for variant in _ports(scheme, authority)]


def _failed(reason: str) -> Verification:
    return Verification("failed", scheme="twilio", reason=reason)


def _algorithm(request: RawRequest) -> str:
    """The algorithm of a SharedKey's signature; without the header it is the Auth Token's SHA-1."""
    settings = request.header("X-Twilio-Webhooks-Signature-Settings") or ""
    for part in settings[:512].split(","):
        name, _, value = part.partition("=")
        if name.strip() == "algorithm" and value.strip():
            return value.strip().upper()
    return "HMAC_SHA1"


def _merge(configured: str, asked: str) -> str:
    """Path of the configured URL (of the request's where it has none), query of the request."""
    path, _, query = configured.partition("?")
    asked_path, _, asked_query = asked.partition("?")
    query = asked_query or query
    return (path or asked_path) + ("?" + query if query else "")


def _ports(scheme: str, authority: str) -> Iterator[str]:
    """`authority` as it is, without its port, and with the scheme's own: Twilio signs either."""
    yield authority
    split = _HOST_PORT.fullmatch(authority)
    if split is None:
        return
    host, port = split.groups()
    if port is None:
        yield f"{host}:{443 if scheme.lower() == 'https' else 80}"
    else:
        yield host


def _is_json(request: RawRequest) -> bool:
    kind = request.header("Content-Type") or ""
    return kind.partition(";")[0].strip().lower() == "application/json"


def _signed_fields(request: RawRequest) -> Fields | None:
    """The fields that the signature covers beside the URL; `None` if they are not as signed."""
    if request.method.upper() == "GET":
        return ()
    if not _is_json(request):
        return _form(request.body)
    pairs = _query(request) or ()
    hashes = [value for name, value in pairs if name == b"bodySHA256"]
    if len(request.body) > MAX_BODY_BYTES or len(hashes) != 1:
        return None
    made = hashlib.sha256(request.body).hexdigest().encode()
    return () if hmac.compare_digest(made, hashes[0].lower()) else None


def _fields_of(request: RawRequest) -> Fields | None:
    """The fields of the request: a GET has them in its URL. The same that were verified.

    A line end behind a form is that of an editor who saved it, never a part of the last value.
    """
    is_get = request.method.upper() == "GET"
    return _query(request) if is_get else _form(request.body.rstrip(b"\r\n"))


def _query(request: RawRequest) -> Fields | None:
    query = request.url[:MAX_URL_CHARACTERS].partition("#")[0].partition("?")[2]
    return _form(query.encode("utf-8", "surrogatepass"))


def _form(body: bytes) -> Fields | None:
    """The pairs of a urlencoded form, blank values kept; `None` if it is over its limits.

    Bytes, not text: the signature is over what was sent, whether or not it is UTF-8.
    """
    if len(body) > MAX_BODY_BYTES or body.count(b"&") >= MAX_FIELDS:
        return None
    pairs = [pair.partition(b"=") for pair in body.replace(b"+", b" ").split(b"&") if pair]
    return tuple((percent_decoded(name), percent_decoded(value)) for name, _, value in pairs)


def _text(value: bytes) -> str:
    return clean(value.decode("utf-8", "replace"))


def _address(value: str, country: str, account: str = "") -> Address:
    """How Twilio names somebody. A short code means something only within its country.

    So does an id that WhatsApp made for one business (a BSUID) within the `account`.
    """
    value = value.strip()
    prefix, colon, rest = value.partition(":")
    channel = prefix.lower() if colon and prefix.lower() in CHANNELS else "sms"
    name = value if channel == "sms" else rest
    if channel == "sms" and _SHORT_CODE.fullmatch(name):
        return Address("sms", name, country.strip()[:8].upper())
    number = providers.phone(name) if channel in providers.ON_PHONES else ""
    # What is no number is an alphanumeric sender id ("AcmeInc"), whose case is part of it: it is
    # not touched, since a guess would make two people one.
    return Address(channel, number or name, account if channel == "whatsapp" and not number else "")


def _message(sid: str, fields: dict[str, str], *, sure: bool) -> Parsed:
    account = fields.get("AccountSid", "")[:64]
    sender = _address(fields["From"], fields.get("FromCountry", ""), account)
    ours = _address(fields["To"], fields.get("ToCountry", ""))
    if not sender.value or not ours.value:
        return malformed("From or To has no value")
    media, errors = content.media(fields)
    replied = fields.get("OriginalRepliedMessageSid", "")
    message = Inbound(
        channel=sender.channel,
        endpoint=Endpoint(sender.channel, ours.value),
        sender=sender,
        message_id=sid,
        parts=content.words(fields) + content.location(fields) + media,
        assurance=Assurance.CHANNEL if sure else Assurance.CLAIMED,
        thread=f"{ours.value}/{sender.value}",
        subject=fields.get("Subject", ""),
        references=(replied,) if _SID.fullmatch(replied) else (),
        flags=content.flags(fields),
        horizon_seconds=Twilio.horizon_seconds,
        provider=Twilio.name,
    )
    return Parsed(events=(message, *_same(message, fields, account)), errors=errors)


def _same(message: Inbound, fields: dict[str, str], account: str) -> tuple[Notice, ...]:
    """WhatsApp's own id for the one who wrote, told beside the number: a proposal, told once."""
    other = _address(fields.get("ExternalUserId", ""), "", account)
    sender = message.sender
    if other.channel != "whatsapp" or sender.channel != "whatsapp" or not other.value:
        return ()
    if other == sender or not sender.value.startswith("+"):
        return ()
    known = f"{sender.value}={other.value}"
    return (
        Notice(
            "whatsapp", message.endpoint, "same", sender, known, other=other, provider=Twilio.name
        ),
    )


def _delivery_of(request: RawRequest) -> str:
    """Our own id of the message, where its status callback was given one (`TwilioSender`)."""
    given = dict(_query(request) or ()).get(b"delivery", b"")
    return given.decode() if _KEY.fullmatch(given) else ""


def _receipt(sid: str, status: str, fields: dict[str, str], delivery: str) -> Receipt:
    """From is ours here. RawDlrDoneDate is not read: it is a carrier's time without a zone."""
    ours = _address(fields["From"], fields.get("FromCountry", ""))
    account = fields.get("AccountSid", "")[:64]
    recipient = _address(fields["To"], fields.get("ToCountry", ""), account)
    return Receipt(
        channel=recipient.channel,
        endpoint=Endpoint(recipient.channel, ours.value),
        message_id=sid,
        status=STATUSES.get(status, "unknown"),
        recipient=recipient,
        provider_status=status[:64],
        error_code=fields.get("ErrorCode", "")[:64],
        provider=Twilio.name,
        delivery=delivery,
    )


def _twiml(text: str) -> str:
    return f"<Message>{escape(_NOT_XML.sub('', text))}</Message>"
