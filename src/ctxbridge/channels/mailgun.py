"""Mailgun: mail by routes, taken apart or raw, and what became of ours by webhook.

Sources: documentation.mailgun.com/docs/mailgun/user-manual/receive-forward-store/receive-http
(fields, retries: 406 ends them), /webhooks/securing-webhooks (signature),
/webhooks/webhook-payloads and /events/event-types (events).
"""

import hmac
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from ctxbridge.channels._edge import (
    UNREADABLE,
    UNVERIFIABLE,
    is_forged,
    malformed,
    refused,
    total,
)
from ctxbridge.channels._once import Once
from ctxbridge.channels._secrets import secrets_of
from ctxbridge.channels._signed_time import (
    STALE,
    TOLERANCE_SECONDS,
    is_fresh,
    is_refused_for,
    seconds_of,
)
from ctxbridge.channels.mail import headers, mime, outcomes, trust
from ctxbridge.channels.mail.addresses import mailboxes
from ctxbridge.channels.mail.digest import digest
from ctxbridge.channels.mail.forms import Field, Form, form_of
from ctxbridge.channels.mail.json_fields import headers_in, list_in, object_in
from ctxbridge.channels.mail.letterbox import Envelope, Letterbox, nobody
from ctxbridge.errors import Malformed
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

STATUSES: dict[str, ReceiptStatus] = {
    "accepted": "queued",
    "delivered": "delivered",
    "failed": "failed",
    "rejected": "failed",
    "opened": "read",
    "bounced": "failed",
    "dropped": "failed",
}
"""What events become. A failure that is not permanent is tried again, so it is ``sent``."""

REUSED = "the token was used for another request"

WISHES = {"unsubscribed": "opt_out.stop", "complained": "opt_out.stop"}

_TOKEN = re.compile(r"[!-~]{1,128}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_WEB = re.compile(r"https://[!-~]{1,2000}")
# What Mailgun puts above the mail when it takes it in. A sender's own stand below its Received.
_VERDICTS = ("x-mailgun-dkim-check-result", "x-mailgun-spf")
_FILE = re.compile(r"attachment-([0-9]{1,3})")


class Mailgun:
    """Routes (``forward``, ``store(notify=...)``) and event webhooks of Mailgun.

    `signing_key` is the account's HTTP webhook signing key, or several while one is being replaced;
    without one, requests count as ``unsigned`` and nobody's address is sure. The signature covers a
    time and a token and nothing else, so `tolerance_seconds` is how long a request that somebody
    has caught can be used again with another body: keep TLS on. Mailgun may repeat a request under
    its first time, so what it repeats later than that is refused.

    `mailbox`, `max_bytes`, `reply_secret` and `own_domains` are as for `Email`; without a mailbox
    the endpoint is the recipient that Mailgun names. Raises `ConfigurationError` as that does, and
    for an empty key.
    """

    name: str = "mailgun"
    channel: str = "email"
    horizon_seconds: float = 24 * 3600.0
    capabilities: Capabilities = Capabilities(
        form="html", media=True, subject=True, threads=True,
        receipts=("delivered", "read", "failed"),
    )  # fmt: skip

    def __init__(
        self,
        signing_key: str | Sequence[str] = (),
        *,
        mailbox: str | None = None,
        tolerance_seconds: float = TOLERANCE_SECONDS,
        max_bytes: int = 10 * 1024 * 1024,
        reply_secret: str | bytes | Sequence[str | bytes] | None = None,
        own_domains: Sequence[str] = (),
    ) -> None:
        self._secrets = secrets_of(signing_key, "signing_key")
        self._tolerance_seconds = tolerance_seconds
        self._max_bytes = max_bytes
        self._tokens = Once()
        self._letterbox = Letterbox(
            self.name,
            self.horizon_seconds,
            mailbox=mailbox,
            reply_secret=reply_secret,
            own_domains=own_domains,
        )

    @total(UNVERIFIABLE)
    def verify(self, request: RawRequest, /) -> Verification:
        """Check the HMAC-SHA256 of `timestamp` and `token`, how old it is, and that it is new.

        `binds_body` is false: Mailgun's scheme covers nothing else of a request. So a token that
        comes again with another content is refused, as far as this process remembers.
        """
        if not self._secrets:
            return Verification("unsigned", scheme=self.name)
        form = None if _is_json(request) else self._form(request)
        timestamp, token, given = _signed(request, form)
        signed_at = seconds_of(timestamp)
        if signed_at is None or not _TOKEN.fullmatch(token) or not _DIGEST.fullmatch(given):
            return _failed("the timestamp, token or signature is missing, repeated or none")
        signed = f"{timestamp}{token}".encode()
        for key, secret in enumerate(self._secrets):
            made = hmac.digest(secret, signed, "sha256").hex()
            if hmac.compare_digest(made, given):
                if not is_fresh(signed_at, request, self._tolerance_seconds):
                    return _failed(STALE)
                if not self._tokens.is_first_or_same(token, _content(request, form)):
                    return _failed(REUSED)
                return Verification("verified", self.name, binds_body=False, key=key)
        return _failed("the signature does not match")

    @total(UNREADABLE)
    def parse(self, request: RawRequest, verification: Verification, /) -> Parsed:
        """One mail, or one event about a mail of ours.

        Mailgun's own cutting (``stripped-text``) is not used: what it takes for a quote would be
        lost. Words come from ``body-mime`` where that was posted, else from ``body-plain``.
        """
        if refusal := refused(verification):
            return refusal
        sure = verification.status == "verified"
        if _is_json(request):
            given = object_in(request.body)
            event = given.get("event-data")
            if isinstance(event, dict):
                return self._event(event, sure=sure)
        form = self._form(request)
        if form is None:
            return malformed("the form is over its limits, or none")
        if "event" in form and "body-plain" not in form:
            return self._event(_legacy(form), sure=sure)
        try:
            return self._mail(form, request, sure=sure)
        except Malformed as error:
            return Parsed(errors=(error,))

    def reply(self, outcome: Parsed, _answer: Sequence[Message] = (), /) -> HttpReply:
        """200, also for what is malformed; 406 for a wrong signature, which ends its repetition.

        A request that is only too old gets 401 and comes again: the clock may have been wrong. So
        does one whose token was used for another.
        """
        if is_refused_for(outcome, STALE) or is_refused_for(outcome, REUSED):
            return HttpReply(401, b"unauthorized")
        return HttpReply(406, b"forbidden") if is_forged(outcome) else HttpReply(200)

    def _form(self, request: RawRequest) -> Form | None:
        if not _is_json(request):
            return form_of(request, self._max_bytes)
        given = object_in(request.body)
        kept = [(k, v) for k, v in given.items() if isinstance(v, str)]
        fields = [Field(k, v.encode("utf-8", "surrogatepass")) for k, v in kept]
        return Form(fields, whole=True) if fields else None

    def _mail(self, form: Form, request: RawRequest, *, sure: bool) -> Parsed:
        raw = form.raw("body-mime")
        if raw:
            mail = mime.parse(raw, self._max_bytes)
            body = mime.read(mail)
        else:
            mail = mime.of_headers(_headers(form))
            body = mime.read_fields(
                _plain(form, mail), (form.raw("body-html"), "utf-8"), _files(form)
            )
        pieces = (
            raw or form.raw("message-headers"), form.raw("body-plain"), form.raw("body-html"),
            form.raw("sender"), form.raw("subject"),
        )  # fmt: skip
        signed_at = seconds_of(form.only("timestamp")) or 0
        envelope = Envelope(
            digest(*pieces),
            request.received_at,
            recipients=tuple(filter(None, [form.text("recipient")])),
            vouches=partial(_vouches, mail, form.only("sender")) if sure else nobody,
            occurred_at=outcomes.unix_ms(signed_at),
        )
        return self._letterbox.open(mail, body, envelope)

    def _event(self, event: dict[str, Any], *, sure: bool) -> Parsed:
        name = outcomes.word(event.get("event"))
        message = event.get("message")
        named = message.get("headers") if isinstance(message, dict) else None
        named = named if isinstance(named, dict) else {}
        recipient = outcomes.address(event.get("recipient")) or _first(named.get("to"))
        id = headers.message_id(outcomes.word(named.get("message-id"), outcomes.MAX_ID))
        at = outcomes.unix_ms(event.get("timestamp"))
        ours = _first(named.get("from"))
        endpoint = Endpoint(self.channel, ours) if ours else self._letterbox.endpoint
        event_id = outcomes.word(event.get("id"), outcomes.MAX_ID) or id
        if name in WISHES and recipient and event_id:
            wish = outcomes.wish(
                endpoint, recipient, event_id, WISHES[name],
                sure=sure, at=at, provider=self.name, horizon=self.horizon_seconds,
            )  # fmt: skip
            return Parsed(events=(wish,))
        if name not in STATUSES or not (id or outcomes.key_in(event.get("user-variables"))):
            if not name:
                return malformed("the event has no name")
            return Parsed(events=(outcomes.passing(endpoint, name, event_id, self.name),))
        lasting = event.get("severity") != "temporary"
        receipt = outcomes.receipt(
            endpoint, recipient, id, STATUSES[name] if lasting else "sent",
            said=name if lasting else f"{name}.temporary", code=_code(event), at=at,
            provider=self.name, delivery=outcomes.key_in(event.get("user-variables")),
        )  # fmt: skip
        return Parsed(events=(receipt,))


_SIGNED = ("timestamp", "token", "signature")


def _signed(request: RawRequest, form: Form | None) -> tuple[str, str, str]:
    """Time, token and signature, in the form or in the JSON."""
    if form is not None:
        return form.only("timestamp"), form.only("token"), form.only("signature")
    given = object_in(request.body) if _is_json(request) else {}
    inside = given.get("signature")
    found = inside if isinstance(inside, dict) else given
    timestamp, token, signature = (_string(found.get(name)) for name in _SIGNED)
    return timestamp, token, signature


def _content(request: RawRequest, form: Form | None) -> bytes:
    """The digest of what is said, the same for each repetition: a form's boundary is another.

    Of files only the sizes are known.
    """
    fields = [f for f in form.fields if f.name not in _SIGNED] if form is not None else []
    told = sorted([(f"{f.name} {f.size}".encode("utf-8", "replace"), f.value) for f in fields])
    return digest(*[piece for pair in told for piece in pair] or [request.body]).encode()


def _failed(reason: str) -> Verification:
    return Verification("failed", scheme=Mailgun.name, reason=reason)


def _is_json(request: RawRequest) -> bool:
    kind = headers.parameters((request.header("content-type") or "")[:512])[0]
    return kind == "application/json" or (not kind and request.body.lstrip()[:1] == b"{")


def _string(given: object) -> str:
    return (
        str(given)
        if isinstance(given, int) and not isinstance(given, bool)
        else outcomes.cleaned(given)
    )


def _legacy(form: Form) -> dict[str, Any]:
    """An event as a form, in the words of today's."""
    named = {"message-id": form.text("Message-Id"), "from": "", "to": ""}
    for name, value in _headers(form):
        if name.lower() in named and not named[name.lower()]:
            named[name.lower()] = value
    return {
        "event": form.text("event"),
        "recipient": form.text("recipient"),
        "timestamp": seconds_of(form.text("timestamp")),
        "message": {"headers": named},
        "delivery-status": {"code": form.text("code")},
        "user-variables": {"delivery": form.text("delivery")},
        "id": form.text("token"),
    }


def _headers(form: Form) -> list[tuple[str, str]]:
    """``message-headers``, a list of pairs as JSON; without it, what other fields say of them."""
    pairs = [
        (pair[0], pair[1])
        for pair in headers_in(form.raw("message-headers"))
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair)
    ]
    if pairs:
        return pairs
    named = {"From": "from", "To": "recipient", "Subject": "subject", "Return-Path": "sender"}
    given = [(name, form.text(field)) for name, field in named.items()]
    return [(name, value) for name, value in given if value]


def _plain(form: Form, mail: mime.Part) -> mime.Written:
    """The text. Of a mail of HTML alone Mailgun makes one, also of what nobody would see of it."""
    made_up = headers.parameters(mail.first("content-type"))[0] == "text/html"
    return (b"" if made_up else form.raw("body-plain"), "utf-8")


def _files(form: Form) -> list[Attachment]:
    """Files that came along, and those that ``store`` keeps for a while at Mailgun."""
    found = [
        mime.attachment(field.media_type or "application/octet-stream", field.filename, field.size)
        for field in form.files()
        if _FILE.fullmatch(field.name)
    ]
    for one in list_in(form.raw("attachments"))[: mime.MAX_ATTACHMENTS]:
        if isinstance(one, dict):
            size, where = one.get("size"), outcomes.cleaned(one.get("url"))
            found.append(
                mime.attachment(
                    outcomes.cleaned(one.get("content-type")).lower(),
                    outcomes.cleaned(one.get("name")),
                    size if isinstance(size, int) and 0 <= size < 10**12 else -1,
                    where if _WEB.fullmatch(where) else "",
                )
            )
    return found


def _vouches(mail: mime.Part, sender: str, domain: str) -> bool:
    """Whether Mailgun has found the mail to be from `domain`.

    By the one DKIM signature on it, or by SPF of the envelope's sender. Only the verdicts above the
    first Received count: the server that takes a mail in writes its own above what came with it.
    """
    above: list[tuple[str, str]] = []
    for name, value in mail.raw_items():
        if name.lower() == "received":
            break
        above.append((name.lower(), value.strip().lower()))
    if len(above) == len(mail.keys()):
        return False
    dkim, spf = ([value for name, value in above if name == verdict] for verdict in _VERDICTS)
    if trust.signs(mail, domain) is None:
        return False
    return (dkim == ["pass"] and trust.signs_alone(mail, domain)) or (
        spf == ["pass"] and trust.domain_of(sender) == domain
    )


def _first(given: object) -> str:
    """The first mailbox of a header's value, canonical; empty if there is none."""
    raw = given[: headers.MAX_ENCODED_WORD] if isinstance(given, str) else ""
    return next((box.address for box in mailboxes(raw)), "")


def _code(event: dict[str, Any]) -> str:
    status = event.get("delivery-status")
    code = status.get("code") if isinstance(status, dict) else None
    return outcomes.code(code, event.get("reason"))
