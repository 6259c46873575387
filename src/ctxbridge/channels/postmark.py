"""Postmark: mail by the inbound webhook, and what became of ours by the others.

Sources: postmarkapp.com/developer/webhooks/inbound-webhook (fields), /delivery-webhook,
/bounce-webhook, /spam-complaint-webhook, /open-tracking-webhook, /subscription-change-webhook, and
/developer/webhooks/webhooks-overview (basic authentication; 403 ends the repetition).
"""

import base64
import hmac
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ctxbridge.channels._edge import (
    UNREADABLE,
    UNVERIFIABLE,
    is_forged,
    malformed,
    refused,
    total,
)
from ctxbridge.channels._secrets import secrets_of
from ctxbridge.channels.mail import headers, mime, outcomes, trust
from ctxbridge.channels.mail.digest import digest
from ctxbridge.channels.mail.json_fields import NULL, bytes_in, headers_in, items_in, value_in
from ctxbridge.channels.mail.letterbox import Envelope, Letterbox, nobody
from ctxbridge.errors import ConfigurationError, Malformed
from ctxbridge.model import (
    Attachment,
    Capabilities,
    Endpoint,
    HttpReply,
    Message,
    Parsed,
    RawRequest,
    Verification,
)
from ctxbridge.model.inbound import ReceiptStatus

MAX_CREDENTIALS = 1024
MAX_TAGS = 20
MAX_SHORT_BYTES = 128 * 1024
STATUSES: dict[str, ReceiptStatus] = {"Delivery": "delivered", "Open": "read", "Bounce": "failed"}

PASSING_BOUNCES = frozenset({"Transient", "SoftBounce", "DnsError", "AutoResponder"})
"""Bounces after which Postmark goes on, or that are answers of machines (/api/bounce-api)."""

UNWANTED = frozenset({"SpamComplaint", "SpamNotification", "Unsubscribe", "ManuallyDeactivated"})
"""Bounces that say that the recipient wants no more."""


class _Request(Struct):
    """What is read of a request, not looked into yet: each may be long, or not as it should be.

    The bytes of attachments are passed over, not decoded.
    """

    RecordType: Raw = NULL
    MessageID: Raw = NULL
    OriginalRecipient: Raw = NULL
    MailboxHash: Raw = NULL
    FromFull: Raw = NULL
    From: Raw = NULL
    To: Raw = NULL
    ToFull: Raw = NULL
    Cc: Raw = NULL
    CcFull: Raw = NULL
    BccFull: Raw = NULL
    Subject: Raw = NULL
    Date: Raw = NULL
    ID: Raw = NULL
    Type: Raw = NULL
    Email: Raw = NULL
    Recipient: Raw = NULL
    Metadata: Raw = NULL
    DeliveredAt: Raw = NULL
    BouncedAt: Raw = NULL
    ReceivedAt: Raw = NULL
    ChangedAt: Raw = NULL
    SuppressSending: Raw = NULL
    SuppressionReason: Raw = NULL
    TextBody: Raw = NULL
    HtmlBody: Raw = NULL
    RawEmail: Raw = NULL
    Headers: Raw = NULL
    Attachments: Raw = NULL


_LONG = ("TextBody", "HtmlBody", "RawEmail", "Headers", "Attachments")
_SHORT = tuple([name for name in _Request.__struct_fields__ if name not in _LONG])

Given = dict[str, Any]
"""The short fields of a request, each whatever it is; `None` where it is absent or too long."""


class _File(Struct):
    Name: Raw = NULL
    ContentType: Raw = NULL
    ContentLength: Raw = NULL


class Postmark:
    """Inbound, delivery, bounce, spam complaint, open and subscription webhooks of Postmark.

    `credentials` are the ``name:password`` of the webhook's URL
    (``https://name:password@hooks.example.org/postmark``), or several while they are being
    replaced; without, requests count as ``unsigned``. Postmark signs nothing: keep TLS on.

    Nothing in the fields of a request says whether From is right. `trust_spam_tests` takes the word
    of the ``X-Spam-Tests`` header (``DKIM_VALID_AU``, ``SPF_PASS``), which Postmark's scanner
    writes. Where it has not scanned a mail, a sender may have written it, and nobody can tell, so
    it is off, and every sender is ``CLAIMED``.

    `mailbox`, `max_bytes`, `reply_secret` and `own_domains` are as for `Email`; without a mailbox
    the endpoint is OriginalRecipient. Raises `ConfigurationError` as that does, and for empty
    credentials or some without a colon.
    """

    name: str = "postmark"
    channel: str = "email"
    horizon_seconds: float = 24 * 3600.0
    capabilities: Capabilities = Capabilities(
        form="html", media=True, subject=True, threads=True,
        receipts=("delivered", "read", "failed"),
    )  # fmt: skip

    def __init__(
        self,
        credentials: str | Sequence[str] = (),
        *,
        mailbox: str | None = None,
        trust_spam_tests: bool = False,
        max_bytes: int = 10 * 1024 * 1024,
        reply_secret: str | bytes | Sequence[str | bytes] | None = None,
        own_domains: Sequence[str] = (),
    ) -> None:
        given = secrets_of(credentials, "credentials")
        if not all(b":" in one.strip(b":") for one in given):
            raise ConfigurationError("credentials must be name:password, neither of them empty")
        self._secrets = [b"Basic " + base64.b64encode(one) for one in given]
        self._trusts_spam_tests = trust_spam_tests
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
        """Compare the basic authentication (RFC 7617); it says nothing of the body."""
        if not self._secrets:
            return Verification("unsigned", scheme="basic")
        given = request.header("authorization")
        if given is None or not given.isascii() or len(given) > MAX_CREDENTIALS:
            return Verification("failed", "basic", "the credentials are missing or repeated")
        scheme, _, rest = given.partition(" ")
        if scheme.lower() != "basic":
            return Verification("failed", "basic", "the credentials are of another scheme")
        # All of them are compared, so that the time does not tell which was near.
        found = [
            hmac.compare_digest(one, b"Basic " + rest.strip().encode()) for one in self._secrets
        ]
        if not any(found):
            return Verification("failed", "basic", "the credentials are not right")
        return Verification("verified", "basic", binds_body=False, key=found.index(True))

    @total(UNREADABLE)
    def parse(self, request: RawRequest, verification: Verification, /) -> Parsed:
        """One mail, or one event about a mail of ours.

        Where the webhook includes the raw content, that is read. Postmark's own cutting
        (StrippedTextReply) is not used: what it takes for a quote would be lost.
        """
        if refusal := refused(verification):
            return refusal
        if len(request.body) > self._max_bytes:
            return malformed("the request is too large")
        try:
            parts = msgspec.json.decode(request.body, type=_Request)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return malformed("the request is no JSON of Postmark's")
        sure = verification.status == "verified"
        given = {name: value_in(getattr(parts, name), MAX_SHORT_BYTES) for name in _SHORT}
        if given["RecordType"]:
            return self._event(given, sure=sure)
        try:
            return self._mail(parts, given, request.received_at, sure=sure)
        except Malformed as error:
            return Parsed(errors=(error,))

    def reply(self, outcome: Parsed, _answer: Sequence[Message] = (), /) -> HttpReply:
        """200, also for what is malformed; 403 for wrong credentials, which ends its repetition."""
        return HttpReply(403, b"forbidden") if is_forged(outcome) else HttpReply(200)

    def _mail(self, parts: _Request, given: Given, received_at: int, *, sure: bool) -> Parsed:
        pairs = _headers(parts.Headers)
        raw, text, html = map(bytes_in, (parts.RawEmail, parts.TextBody, parts.HtmlBody))
        if raw:
            mail = mime.parse(raw, self._max_bytes)
            body = mime.read(mail)
        else:
            mail = mime.of_headers([*pairs, *_addressed(given, pairs)])
            body = mime.read_fields((text, "utf-8"), (html, "utf-8"), _files(parts.Attachments))
        written = mime.of_headers(pairs)
        vouches = partial(_vouches, written) if sure and self._trusts_spam_tests else nobody
        envelope = Envelope(
            digest(raw, text, html, repr(pairs).encode("utf-8", "replace")),
            received_at,
            recipients=tuple(filter(None, [outcomes.address(given["OriginalRecipient"])])),
            tags=_tags(given),
            vouches=vouches,
            id=outcomes.word(given["MessageID"], outcomes.MAX_ID),
        )
        return self._letterbox.open(mail, body, envelope)

    def _event(self, given: Given, *, sure: bool) -> Parsed:
        kind = outcomes.word(given["RecordType"])
        said = outcomes.word(given["Type"]) or kind
        id = outcomes.word(given["MessageID"], outcomes.MAX_ID)
        recipient = outcomes.address(given["Recipient"]) or outcomes.address(given["Email"])
        moments = (
            given["DeliveredAt"],
            given["BouncedAt"],
            given["ReceivedAt"],
            given["ChangedAt"],
        )
        at = next(filter(None, map(outcomes.unix_ms, moments)), 0)
        ours = outcomes.address(given["From"])
        known = Endpoint(self.channel, ours) if ours else self._letterbox.endpoint
        endpoint = outcomes.endpoint_in(given["Metadata"], known)
        event_id = f"{kind}:{outcomes.word(given['ID']) if given['ID'] else at}:{id}"
        flag = _wish(given, kind, said)
        if flag and recipient and id:
            wish = outcomes.wish(
                endpoint, recipient, event_id, flag,
                sure=sure, at=at, provider=self.name, horizon=self.horizon_seconds,
            )  # fmt: skip
            return Parsed(events=(wish,))
        key = outcomes.key_in(given["Metadata"])
        if kind not in STATUSES or not (id or key):
            return Parsed(events=(outcomes.passing(endpoint, kind, event_id, self.name),))
        status = "sent" if said in PASSING_BOUNCES else STATUSES[kind]
        receipt = outcomes.receipt(
            endpoint, recipient, id, status,
            said=said, code=outcomes.code(said) if kind == "Bounce" else "", at=at,
            provider=self.name, delivery=key,
        )  # fmt: skip
        return Parsed(events=(receipt,))


def _wish(given: Given, kind: str, said: str) -> str:
    """What the recipient wants; a suppression after a bounce is none of their wishes."""
    if kind == "SpamComplaint" or (kind == "Bounce" and said in UNWANTED):
        return "opt_out.stop"
    if kind != "SubscriptionChange" or given["SuppressionReason"] == "HardBounce":
        return ""
    return "opt_out.stop" if given["SuppressSending"] is True else "opt_out.start"


def _headers(given: Raw) -> list[tuple[str, str]]:
    """The headers of the mail, in their order. From, To and others are fields of their own."""
    found = headers_in(given)
    pairs = [(one.get("Name"), one.get("Value")) for one in found if isinstance(one, dict)]
    return [(n, v) for n, v in pairs if isinstance(n, str) and isinstance(v, str) and n]


def _addressed(given: Given, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers that Postmark takes out of the list, where they are not there after all."""
    there = {name.lower() for name, _ in pairs}
    made = {
        "From": _mailboxes([given["FromFull"]]) or given["From"],
        "To": _mailboxes(given["ToFull"]) or given["To"],
        "Cc": _mailboxes(given["CcFull"]) or given["Cc"],
        "Subject": given["Subject"],
        "Date": given["Date"],
    }
    return [
        (name, value)
        for name, value in made.items()
        if isinstance(value, str) and value and name.lower() not in there
    ]


def _mailboxes(given: object) -> str:
    """A list of mailboxes as a header. A name is quoted, so that nothing in it is an address."""
    found = given[: headers.MAX_MAILBOXES] if isinstance(given, list) else []
    boxes = []
    for one in found:
        address = outcomes.address(one.get("Email")) if isinstance(one, dict) else ""
        if address:
            name = outcomes.cleaned(one.get("Name"))[:1000]
            quoted = name.replace("\\", "\\\\").replace('"', '\\"')
            boxes.append(f'"{quoted}" <{address}>' if name else f"<{address}>")
    return ", ".join(boxes)


def _tags(given: Given) -> tuple[str, ...]:
    """What stood behind the plus of the addresses that Postmark took the mail for."""
    several = [given["ToFull"], given["CcFull"], given["BccFull"]]
    boxes = [one for boxes in several if isinstance(boxes, list) for one in boxes[:MAX_TAGS]]
    hashes = [one.get("MailboxHash") for one in boxes if isinstance(one, dict)]
    return tuple([tag for tag in (given["MailboxHash"], *hashes) if isinstance(tag, str) and tag])


def _files(given: Raw) -> list[Attachment]:
    """The attachments, each by itself: one that is odd does not lose the others."""
    found: list[Attachment] = []
    for one in items_in(given)[: mime.MAX_ATTACHMENTS]:
        try:
            file = msgspec.json.decode(one, type=_File)
        except msgspec.MsgspecError:
            continue
        name, kind, size = (
            value_in(field, MAX_SHORT_BYTES)
            for field in (file.Name, file.ContentType, file.ContentLength)
        )
        kind = headers.parameters(outcomes.cleaned(kind)[:512])[0]
        known = isinstance(size, int) and 0 <= size < 10**12
        found.append(mime.attachment(kind, outcomes.cleaned(name), size if known else -1))
    return found


def _vouches(mail: mime.Part, domain: str) -> bool:
    """Whether the one X-Spam-Tests says so: by the one DKIM signature, or by aligned SPF.

    It must stand above the second Received, where Postmark writes, and be the only one.
    """
    above: list[str] = []
    for name, _ in mail.raw_items():
        above.append(name.lower())
        if above.count("received") == 2:
            break
    tests = mail.values("x-spam-tests")
    if (
        len(tests) != 1
        or "x-spam-tests" not in above
        or above[0] not in ("return-path", "received")
    ):
        return False
    words = {word.strip().upper() for word in tests[0][: mime.MAX_CONTENT_CHARACTERS].split(",")}
    if trust.signs(mail, domain) is None:
        return False
    aligned = trust.domain_of(mail.first("return-path")) == domain and above[0] == "return-path"
    signed = "DKIM_VALID_AU" in words and trust.signs_alone(mail, domain)
    return signed or ("SPF_PASS" in words and aligned)
