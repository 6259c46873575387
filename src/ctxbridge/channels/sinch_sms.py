"""Sinch's SMS API: messages and delivery reports, by callback.

Sources: developers.sinch.com/docs/sms/api-reference (inbound messages, delivery reports, retries
until 81,920 s), and Sinch's own SDKs (the fields of an MMS). The signature is that of the
Conversation API, where the account manager has switched it on.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from ctxbridge.channels import _sinch
from ctxbridge.channels._edge import UNREADABLE, UNVERIFIABLE, is_forged, malformed, refused, total
from ctxbridge.channels._reading import (
    Reader,
    is_bounded,
    is_id,
    is_web_address,
    media_type,
    milliseconds_of_iso,
)
from ctxbridge.channels._secrets import secrets_of
from ctxbridge.channels._sinch_content import delivery_of
from ctxbridge.errors import Malformed
from ctxbridge.model import (
    Address,
    Assurance,
    Attachment,
    Capabilities,
    Endpoint,
    HttpReply,
    Inbound,
    Message,
    Notice,
    Opaque,
    Parsed,
    Part,
    RawRequest,
    Receipt,
    Text,
    Verification,
)
from ctxbridge.model.address import MAX_ADDRESS_CHARACTERS
from ctxbridge.model.inbound import ReceiptStatus
from ctxbridge.rules import providers
from ctxbridge.rules.text import clean

MAX_MEDIA = 10
MAX_RECIPIENTS = 1_000
"""Of one report on a batch, so many recipients are told of: a batch has no more."""

STATUSES: dict[str, ReceiptStatus] = {
    "queued": "queued",
    "dispatched": "sent",
    "delivered": "delivered",
    "aborted": "failed",
    "cancelled": "failed",
    "rejected": "failed",
    "deleted": "failed",
    "failed": "failed",
    "expired": "failed",
}

_OF_ONE = ("recipient_delivery_report_sms", "recipient_delivery_report_mms")
_OF_BATCH = ("delivery_report_sms", "delivery_report_mms")
_MESSAGES = ("mo_text", "mo_binary", "mo_media")


class _Envelope(Struct):
    type: str = ""


class _Message(Struct, rename={"sender": "from"}):
    id: str
    sender: str
    to: str
    body: Raw = Raw()
    received_at: str = ""
    sent_at: str = ""
    udh: str = ""


class _Medium(Struct):
    url: str = ""
    content_type: str = ""


class _Mms(Struct):
    subject: str = ""
    message: str = ""
    media: list[_Medium] = []


class _OneReport(Struct):
    batch_id: str
    recipient: str
    status: str = ""
    code: int = 0
    at: str = ""
    applied_originator: str = ""
    client_reference: str = ""


class _Status(Struct):
    status: str = ""
    code: int = 0
    recipients: list[str] = []


class _BatchReport(Struct):
    batch_id: str
    statuses: list[_Status] = []
    client_reference: str = ""


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_MESSAGE = msgspec.json.Decoder(_Message)
_TEXT = msgspec.json.Decoder(str)
_MMS = msgspec.json.Decoder(_Mms)
_ONE = msgspec.json.Decoder(_OneReport)
_BATCH = msgspec.json.Decoder(_BatchReport)


class SinchSms:
    """Callbacks of one service plan of Sinch's SMS API.

    `secret` signs them, or several do while one is being replaced; without one, requests count as
    ``unsigned`` and nobody's number is sure. A signature may be `max_age_seconds` old, or as far
    ahead. `number` is ours, for delivery reports that do not name it. Raises `ConfigurationError`
    for an empty secret.
    """

    name: str = "sinch_sms"
    channel: str = "sms"
    horizon_seconds: float = 25 * 3600.0
    capabilities: Capabilities = providers.SINCH_SMS

    def __init__(
        self,
        secret: str | Sequence[str] = (),
        *,
        number: str = "",
        max_age_seconds: float = 300.0,
    ) -> None:
        self._secrets = secrets_of(secret, "secret")
        self._number = providers.phone(number) or number.strip()
        self._max_age_seconds = max_age_seconds

    @total(UNVERIFIABLE)
    def verify(self, request: RawRequest, /) -> Verification:
        """Check x-sinch-webhook-signature. Needs `RawRequest.received_at`."""
        return _sinch.verified(request, self._secrets, self._max_age_seconds)

    @total(UNREADABLE)
    def parse(self, request: RawRequest, verification: Verification, /) -> Parsed:
        """One message, or the receipts of one report. A bad attachment is an error beside it."""
        if refusal := refused(verification):
            return refusal
        if not is_bounded(request.body, _sinch.MAX_BODY_BYTES, _sinch.MAX_COMMAS):
            return malformed("the body is over its limits")
        reader = Reader()
        envelope = reader.read(_ENVELOPE, request.body)
        kind = envelope.type if envelope else ""
        if kind in _MESSAGES:
            return _message(reader, kind, request.body, sure=verification.status == "verified")
        if kind in _OF_ONE:
            return self._report(reader, request.body)
        if kind in _OF_BATCH:
            return self._batch(reader, request.body)
        return malformed("the body is no callback in JSON, or of a type that is not known")

    def reply(self, outcome: Parsed, _answer: Sequence[Message] = (), /) -> HttpReply:
        """200 without a body, also for what is malformed; 401 for a wrong signature."""
        return HttpReply(401 if is_forged(outcome) else 200)

    def _report(self, reader: Reader, body: bytes) -> Parsed:
        found = reader.read(_ONE, body)
        if found is None:
            return malformed("the report is of no batch, or to nobody")
        status = _Status(found.status, found.code, [found.recipient])
        ours = providers.phone(found.applied_originator) or clean(found.applied_originator.strip())
        receipts = self._receipts(
            found.batch_id, status, ours, milliseconds_of_iso(found.at), found.client_reference
        )
        return Parsed(receipts) if receipts else malformed("the report names nobody")

    def _batch(self, reader: Reader, body: bytes) -> Parsed:
        """A report on a batch names its recipients only where ``full`` ones were asked for."""
        found = reader.read(_BATCH, body)
        if found is None:
            return malformed("the report is of no batch")
        told: list[Receipt] = []
        for status in found.statuses[:MAX_RECIPIENTS]:
            if len(told) < MAX_RECIPIENTS:
                told += self._receipts(found.batch_id, status, "", 0, found.client_reference)
        if told:
            return Parsed(tuple(told[:MAX_RECIPIENTS]))
        endpoint = Endpoint("sms", self._number)
        notice = Notice("sms", endpoint, "unsupported", value="delivery_report", provider=self.name)
        return Parsed(events=(notice,))

    def _receipts(
        self, batch: str, status: _Status, ours: str, at: int, reference: str
    ) -> tuple[Receipt, ...]:
        named = [_address(number) for number in status.recipients[:MAX_RECIPIENTS]]
        if not is_id(batch):
            return ()
        word = status.status.lower()
        meaning = STATUSES.get(word, "unknown")
        return tuple(
            [
                Receipt(
                    channel="sms",
                    endpoint=Endpoint("sms", ours or self._number),
                    message_id=batch,
                    status=meaning,
                    recipient=recipient,
                    provider_status=clean(word)[:64],
                    error_code=str(status.code)[:16] if meaning == "failed" else "",
                    occurred_at=at,
                    provider=self.name,
                    delivery=delivery_of(reference),
                )
                for recipient in named
                if recipient
            ]
        )


def _address(value: str) -> Address | None:
    """A number in E.164 with its "+", or a short code or name as it came; `None` if it is none."""
    value = clean(value.strip())
    if not value or len(value) > MAX_ADDRESS_CHARACTERS:
        return None
    return Address("sms", providers.phone(value) or value)


def _message(reader: Reader, kind: str, body: bytes, *, sure: bool) -> Parsed:
    found = reader.read(_MESSAGE, body)
    ends = (_address(found.sender), _address(found.to)) if found else (None, None)
    sender, ours = ends
    if found is None or sender is None or ours is None or not is_id(found.id):
        return malformed("the message has no id, no sender or no receiver")
    subject, parts, errors = _content(reader, kind, found)
    message = Inbound(
        channel="sms",
        endpoint=Endpoint("sms", ours.value),
        sender=sender,
        message_id=found.id,
        parts=parts,
        assurance=Assurance.CHANNEL if sure else Assurance.CLAIMED,
        occurred_at=milliseconds_of_iso(found.sent_at) or milliseconds_of_iso(found.received_at),
        thread=f"{ours.value}/{sender.value}",
        subject=subject,
        flags=("unsupported",) if kind == "mo_binary" else (),
        horizon_seconds=SinchSms.horizon_seconds,
        provider=SinchSms.name,
    )
    return Parsed(events=(message,), errors=errors)


def _content(
    reader: Reader, kind: str, found: _Message
) -> tuple[str, tuple[Part, ...], tuple[Malformed, ...]]:
    """Subject, parts and errors. What is binary (base64) is kept, with its header in hex (UDH)."""
    words = reader.read(_TEXT, found.body)
    if kind == "mo_binary":
        kept = {"udh": found.udh, "body": words or ""}
        return "", (Opaque("sinch_sms.binary", msgspec.json.encode(kept)),), ()
    if kind == "mo_text":
        if words is None:
            return "", (), (Malformed("the body of a text is no text"),)
        return "", (Text(clean(words)),) if words else (), ()
    mms = reader.read(_MMS, found.body)
    if mms is None:
        return "", (), (Malformed("the body of an MMS has no parts"),)
    files = [_file(medium) for medium in mms.media[:MAX_MEDIA]]
    lost = len(mms.media) - sum(file is not None for file in files)
    errors = (Malformed("a file is missing, no web address, or one too many"),) if lost else ()
    words_of_mms: tuple[Part, ...] = (Text(clean(mms.message)),) if mms.message else ()
    return clean(mms.subject), words_of_mms + tuple([f for f in files if f]), errors


def _file(medium: _Medium) -> Attachment | None:
    if not is_web_address(medium.url):
        return None
    return Attachment(media_type(medium.content_type), where=medium.url)
