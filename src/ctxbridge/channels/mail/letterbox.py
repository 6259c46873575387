"""One way to make an `Inbound` of a mail, whoever handed it in: raw, or taken apart by a provider.

An adapter reads what its provider sends into headers and a body, says in an `Envelope` what the
provider knows besides, and drops both into its `Letterbox`.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from ctxbridge.channels._edge import malformed
from ctxbridge.channels.mail import headers, mime, quotes, reports, trust
from ctxbridge.channels.mail.addresses import mailboxes
from ctxbridge.channels.mail.headers import Mailbox
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import (
    Address,
    Assurance,
    Endpoint,
    Inbound,
    Parsed,
    Part,
    Quote,
    Text,
)
from ctxbridge.model.inbound import IdSource
from ctxbridge.rules.mail import LOOP_HEADER
from ctxbridge.rules.reply_tokens import Reached, ReplyTokens, thread_name

CHANNEL = "email"
UNKNOWN = "unknown"
MAX_SUBJECT_CHARACTERS = 1000

# Where a server notes for whom a mail was left (RFC 9228, and the usage of Postfix and Exim).
_LEFT_FOR = ("delivered-to", "x-original-to", "envelope-to")


def nobody(_domain: str) -> bool:
    """What vouches for no domain."""
    return False


class Envelope(Struct, frozen=True):
    """What is known of a mail besides the mail itself, none of it by the sender's word.

    `digest` is that of its content, the same for each repetition, and `id` the provider's own id,
    if it has one. `recipients` are those that the provider took it for, and `tags` reply tokens
    that it has already taken off them. `vouches` tells whether somebody whom we trust says that the
    mail is from a domain.
    """

    digest: str
    received_at: int = 0
    recipients: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    vouches: Callable[[str], bool] = nobody
    id: str = ""
    occurred_at: int = 0


class Letterbox:
    """Our side of the mail: the settings that all adapters of mail have in common.

    Raises `ConfigurationError` for a setting that is given but empty, and a secret too short.
    """

    def __init__(
        self,
        provider: str,
        horizon_seconds: float,
        *,
        mailbox: str | None = None,
        reply_secret: str | bytes | Sequence[str | bytes] | None = None,
        own_domains: Sequence[str] = (),
    ) -> None:
        self._provider = provider
        self._horizon_seconds = horizon_seconds
        self._mailbox = headers.canonical(mailbox) if mailbox is not None else ""
        if mailbox is not None and not self._mailbox:
            raise ConfigurationError("mailbox must be an address where it is given")
        if isinstance(own_domains, str) or not all(own_domains):
            raise ConfigurationError("own_domains are several names, none of them empty")
        self._tokens = None if reply_secret is None else ReplyTokens(reply_secret)
        self._own_domains = frozenset(map(headers.lower, own_domains))

    @property
    def endpoint(self) -> Endpoint:
        """The mailbox as it is configured, for what is no mail."""
        return Endpoint(CHANNEL, self._mailbox or UNKNOWN)

    def open(self, mail: mime.Part, body: mime.Body, envelope: Envelope) -> Parsed:
        """What the mail comes to: one message, receipts of a mail of ours, or malformed.

        Flags: ``auto``, ``self``, ``from.mismatch`` (another address in the name),
        ``from.ambiguous`` (several senders), ``hidden_text``, ``truncated``, ``token.forged``.
        """
        receipts = reports.receipts(mail, self._provider, envelope.received_at)
        if receipts:
            return Parsed(events=receipts)
        senders = _senders(mail)
        if not senders:
            return malformed("the mail has no From, Sender or Return-Path that is an address")
        return Parsed(events=(self._message(mail, body, envelope, senders),))

    def _message(
        self, mail: mime.Part, body: mime.Body, envelope: Envelope, senders: list[Mailbox]
    ) -> Inbound:
        sender = senders[0]
        endpoint, thread, forged = self._reached(mail, envelope)
        message_id, source = _identity(mail, envelope)
        in_reply_to, named = mail.first("in-reply-to"), mail.first("references")
        roots = headers.message_ids(named)[:1] + headers.message_ids(in_reply_to)[:1]
        root = next(iter(roots), message_id)
        ambiguous = len(senders) > 1 or sender.several or len(mail.values("from")) != 1
        flags = {
            "from.mismatch": _names_another(sender),
            "from.ambiguous": ambiguous,
            "auto": trust.is_automatic(mail, sender.address),
            "self": self._is_own(mail, endpoint, message_id),
            "hidden_text": body.hidden,
            "truncated": body.cut,
            "token.forged": forged,
        }
        domain = sender.address.rpartition("@")[2]
        sure = not ambiguous and envelope.vouches(domain)
        return Inbound(
            channel=CHANNEL,
            endpoint=Endpoint(CHANNEL, endpoint),
            sender=Address(CHANNEL, sender.address),
            message_id=message_id,
            parts=(*_parts(body.text, reply=bool(roots or thread)), *body.attachments),
            assurance=Assurance.CHANNEL if sure else Assurance.CLAIMED,
            id_source=source,
            occurred_at=headers.date(mail.first("date"), envelope.received_at)
            or envelope.occurred_at,
            thread=thread or (thread_name(root) if self._tokens else root),
            subject=headers.text(mail.first("subject"))[:MAX_SUBJECT_CHARACTERS],
            references=headers.references(in_reply_to, named, message_id),
            flags=tuple(flag for flag, holds in flags.items() if holds),
            horizon_seconds=self._horizon_seconds,
            provider=self._provider,
        )

    def _reached(self, mail: mime.Part, envelope: Envelope) -> tuple[str, str, bool]:
        """The mailbox that was written to, the thread that a token names, whether one is forged.

        A token counts wherever it stands: it names a thread, and neither a person nor a mailbox.
        """
        left_for = [headers.canonical(address) for address in envelope.recipients]
        left_for += _mailboxes(mail, "to", *_LEFT_FOR)
        reached = [self._read(address) for address in left_for if address]
        endpoint = self._mailbox or next((r.mailbox for r in reached), UNKNOWN)
        if self._tokens is None:
            return endpoint, "", False
        reached += [self._read(address) for address in _mailboxes(mail, "cc")]
        named = [r.thread for r in reached] + [self._tokens.thread(tag) for tag in envelope.tags]
        thread = next(filter(None, named), "")
        return endpoint, thread, not thread and any(r.forged for r in reached)

    def _read(self, address: str) -> Reached:
        return self._tokens.reached(address) if self._tokens else Reached(address)

    def _is_own(self, mail: mime.Part, endpoint: str, message_id: str) -> bool:
        """Whether the mail is one of ours that came back: by our loop header, or its Message-ID.

        The header counts if it holds the mailbox itself, or one of a domain of ours: everybody may
        run this, and another's mail is not our own.
        """
        looped = {headers.canonical(value) for value in mail.values(LOOP_HEADER)} - {""}
        domains = {address.rpartition("@")[2] for address in looped}
        domains.add(headers.lower(message_id.rpartition("@")[2]))
        return endpoint in looped or not self._own_domains.isdisjoint(domains)


def _senders(mail: mime.Part) -> list[Mailbox]:
    """From; where it names nobody, Sender or Return-Path, which nobody vouches for."""
    for name in ("from", "sender", "return-path"):
        found = [box for value in mail.values(name) for box in mailboxes(value)]
        if found:
            return found
    return []


def _mailboxes(mail: mime.Part, *names: str) -> list[str]:
    """The addresses in the topmost header of each name."""
    return [box.address for name in names for box in mailboxes(mail.first(name))]


def _identity(mail: mime.Part, envelope: Envelope) -> tuple[str, IdSource]:
    """The sender's Message-ID; of a mail without one (a third of them) another that stays."""
    if found := headers.message_id(mail.first("message-id")):
        return found, "sender"
    return (envelope.id, "provider") if envelope.id else (envelope.digest, "digest")


def _names_another(sender: Mailbox) -> bool:
    """Whether the shown name holds an address that is not the sender's: readers see that one."""
    named = [word.strip("<>()[]'\",;:") for word in sender.name.split() if "@" in word]
    return any(headers.canonical(word) != sender.address for word in named)


def _parts(text: str, *, reply: bool) -> list[Part]:
    """New and repeated words, as parts in the order of the mail. See `quotes`."""
    found = quotes.spans(text, reply=reply)
    return [Quote(span.text) if span.quoted else Text(span.text) for span in found]
