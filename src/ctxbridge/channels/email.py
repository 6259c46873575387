"""E-mail, as the raw bytes of RFC 5322: what an SMTP server, a mailbox or a raw webhook gives.

Standards: RFC 5322 (headers), 2045-2049 and 2231 (MIME), 3676 (signatures), 3834 (automatic mail),
8601 (Authentication-Results), 7489 (DMARC). Limits and reasons are beside the code, in `mail`.
"""

import hashlib
from collections.abc import Sequence

from ctxbridge.channels._edge import UNREADABLE, UNVERIFIABLE, is_forged, malformed, refused, total
from ctxbridge.channels.mail import headers, mime, quotes, trust
from ctxbridge.channels.mail.addresses import mailboxes
from ctxbridge.channels.mail.headers import Mailbox
from ctxbridge.errors import ConfigurationError, Malformed
from ctxbridge.model import (
    Address,
    Assurance,
    Capabilities,
    Endpoint,
    HttpReply,
    Inbound,
    Message,
    Parsed,
    Part,
    Quote,
    RawRequest,
    Text,
    Verification,
)
from ctxbridge.model.inbound import IdSource

MAX_SUBJECT_CHARACTERS = 1000
UNKNOWN = "unknown"


class Email:
    """Mail that came in for `mailbox` (default: whatever the mail's first `To` says).

    `authserv_id` is the name under which your own receiving server writes Authentication-Results;
    only what it says can lift a sender from ``CLAIMED`` to ``CHANNEL``. Mails over `max_bytes`
    (default 10 MiB) are malformed. Raises `ConfigurationError` for a setting that is given but
    empty.
    """

    name: str = "email"
    channel: str = "email"
    horizon_seconds: float = 4 * 24 * 3600.0
    capabilities: Capabilities = Capabilities(form="html", media=True, subject=True, threads=True)

    def __init__(
        self,
        mailbox: str | None = None,
        *,
        authserv_id: str | None = None,
        max_bytes: int = 10 * 1024 * 1024,
    ) -> None:
        self._mailbox = headers.canonical(mailbox) if mailbox is not None else None
        if self._mailbox == "" or authserv_id == "":
            msg = "mailbox must be an address, and authserv_id a name, where they are given"
            raise ConfigurationError(msg)
        self._authserv_id = authserv_id
        self._max_bytes = max_bytes

    @total(UNVERIFIABLE)
    def verify(self, _request: RawRequest, /) -> Verification:
        """Always ``unsigned``: a mail proves nothing by how it came in. See `parse` for DMARC."""
        return Verification("unsigned")

    @total(UNREADABLE)
    def parse(self, request: RawRequest, verification: Verification, /) -> Parsed:
        """One message: new words as `Text`, repeated ones as `Quote`, in the order of the mail.

        Flags: ``auto``, ``from.mismatch`` (another address in the name), ``from.ambiguous``
        (several senders), ``hidden_text``, ``truncated``. A mail over a limit, or of nobody, is
        malformed.
        """
        if refusal := refused(verification):
            return refusal
        try:
            mail = mime.parse(request.body, self._max_bytes)
        except Malformed as error:
            return Parsed(errors=(error,))
        senders = _senders(mail)
        if not senders:
            return malformed("the mail has no From, Sender or Return-Path that is an address")
        return Parsed(events=(self._message(mail, senders, request),))

    def reply(self, outcome: Parsed, _answer: Sequence[Message] = (), /) -> HttpReply:
        """200, also for what is malformed: sending it again cannot help. Answers go out as mail."""
        return HttpReply(403, b"forbidden") if is_forged(outcome) else HttpReply(200)

    def _message(self, mail: mime.Part, senders: list[Mailbox], request: RawRequest) -> Inbound:
        sender = senders[0]
        body = mime.read(mail)
        message_id, source = _identity(mail, request.body)
        in_reply_to, named = mail.first("in-reply-to"), mail.first("references")
        roots = headers.message_ids(named)[:1] + headers.message_ids(in_reply_to)[:1]
        ambiguous = len(senders) > 1 or sender.several or len(mail.values("from")) != 1
        flags = {
            "from.mismatch": _names_another(sender),
            "from.ambiguous": ambiguous,
            "auto": trust.is_automatic(mail, sender.address),
            "hidden_text": body.hidden,
            "truncated": body.cut,
        }
        return Inbound(
            channel=self.channel,
            endpoint=Endpoint(self.channel, self._mailbox or _recipient(mail)),
            sender=Address(self.channel, sender.address),
            message_id=message_id,
            parts=(*_parts(body.text, reply=bool(roots)), *body.attachments),
            assurance=self._assurance(mail, sender, ambiguous=ambiguous),
            id_source=source,
            occurred_at=headers.date(mail.first("date"), request.received_at),
            thread=next(iter(roots), message_id),
            subject=headers.text(mail.first("subject"))[:MAX_SUBJECT_CHARACTERS],
            references=headers.references(in_reply_to, named, message_id),
            flags=tuple(flag for flag, holds in flags.items() if holds),
            horizon_seconds=self.horizon_seconds,
            provider=self.name,
        )

    def _assurance(self, mail: mime.Part, sender: Mailbox, *, ambiguous: bool) -> Assurance:
        """``CHANNEL`` only if our own server vouches for exactly this one sender's domain."""
        if self._authserv_id is None or ambiguous:
            return Assurance.CLAIMED
        domain = sender.address.rpartition("@")[2]
        aligned = trust.is_aligned(mail, self._authserv_id, domain)
        return Assurance.CHANNEL if aligned else Assurance.CLAIMED


def _senders(mail: mime.Part) -> list[Mailbox]:
    """From; where it names nobody, Sender or Return-Path, which nobody vouches for."""
    for name in ("from", "sender", "return-path"):
        found = [box for value in mail.values(name) for box in mailboxes(value)]
        if found:
            return found
    return []


def _identity(mail: mime.Part, raw: bytes) -> tuple[str, IdSource]:
    """The sender's Message-ID; of a mail without one (a third of them) the digest of its bytes."""
    if found := headers.message_id(mail.first("message-id")):
        return found, "sender"
    return "sha256:" + hashlib.sha256(raw).hexdigest(), "digest"


def _recipient(mail: mime.Part) -> str:
    found = [box.address for value in mail.values("to")[:1] for box in mailboxes(value)]
    return next(iter(found), UNKNOWN)


def _names_another(sender: Mailbox) -> bool:
    """Whether the shown name holds an address that is not the sender's: readers see that one."""
    named = [word.strip("<>()[]'\",;:") for word in sender.name.split() if "@" in word]
    return any(headers.canonical(word) != sender.address for word in named)


def _parts(text: str, *, reply: bool) -> list[Part]:
    """New and repeated words, as parts in the order of the mail. See `quotes`."""
    found = quotes.spans(text, reply=reply)
    return [Quote(span.text) if span.quoted else Text(span.text) for span in found]
