"""Sinch's Conversation API: SMS, WhatsApp, RCS, Messenger, Viber and others, by one webhook.

Sources: developers.sinch.com/docs/conversation/callbacks (what is sent, signature),
/docs/conversation/message-types (contents), and the callbacks' models in Sinch's own SDKs.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from itertools import islice

import msgspec
from msgspec import Raw, Struct

from ctxbridge.channels import _sinch, _sinch_content
from ctxbridge.channels._edge import UNREADABLE, UNVERIFIABLE, is_forged, malformed, refused, total
from ctxbridge.channels._reading import Reader, is_bounded, is_id, is_there, milliseconds_of_iso
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
from ctxbridge.model.inbound import NoticeKind, ReceiptStatus
from ctxbridge.rules import providers
from ctxbridge.rules.text import clean

MAX_PROPOSALS = 20
"""Of one merge of Sinch's contacts, so many of its addresses are proposed."""

STATUSES: dict[str, ReceiptStatus] = {
    "QUEUED_ON_CHANNEL": "sent",
    "DELIVERED": "delivered",
    "READ": "read",
    "FAILED": "failed",
    "SWITCHING_CHANNEL": "queued",
}
"""``SWITCHING_CHANNEL``: one channel failed and the next is tried; the outcome follows."""

_OPTS = {"opt_in_notification": "opt_out.start", "opt_out_notification": "opt_out.stop"}
_REACTIONS: dict[str, NoticeKind] = {
    "REACTION_ACTION_REACT": "reaction",
    "REACTION_ACTION_UNREACT": "reaction_removed",
}


class _Identity(Struct):
    channel: str = ""
    identity: str = ""
    app_id: str = ""


class _Message(Struct):
    id: str
    channel_identity: _Identity
    direction: str = "TO_APP"
    contact_message: Raw = Raw()
    sender_id: str = ""
    accept_time: str = ""
    injected: bool = False


class _Reaction(Struct):
    message_id: str = ""
    emoji: str = ""
    action: str = ""


class _ContactEvent(Struct):
    composing_event: Raw = Raw()
    reaction_event: _Reaction | None = None


class _Event(Struct):
    channel_identity: _Identity
    id: str = ""
    contact_event: _ContactEvent | None = None
    contact_message_event: _ContactEvent | None = None


class _Reason(Struct):
    code: str = ""


class _Report(Struct):
    message_id: str
    channel_identity: _Identity
    status: str = ""
    metadata: str = ""
    reason: _Reason | None = None


class _Opt(Struct):
    channel: str
    identity: str = ""
    status: str = ""
    request_id: str = ""


class _Contact(Struct):
    channel_identities: list[_Identity] = []


class _Merge(Struct):
    preserved_contact: _Contact
    deleted_contact: _Contact


class _Duplicate(Struct):
    channel: str = ""
    identity: str = ""
    app_id: str = ""
    contact_ids: list[str] = []


class _Duplicates(Struct):
    duplicated_identities: list[_Duplicate] = []


_WORD = msgspec.json.Decoder(str)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_MESSAGE = msgspec.json.Decoder(_Message)
_EVENT = msgspec.json.Decoder(_Event)
_REPORT = msgspec.json.Decoder(_Report)
_OPT = msgspec.json.Decoder(_Opt)
_MERGE = msgspec.json.Decoder(_Merge)
_DUPLICATES = msgspec.json.Decoder(_Duplicates)


class Sinch:
    """Webhooks of Sinch's Conversation API.

    `secret` is the webhook's, or several while one is being replaced; without one, requests count
    as ``unsigned`` and nobody's address is sure. A signature may be `max_age_seconds` old, or as
    far ahead. The endpoint is the app's id, on the channel that the message came by. Raises
    `ConfigurationError` for an empty secret.
    """

    name: str = "sinch"
    channel: str = "sms"
    horizon_seconds: float = 25 * 3600.0
    capabilities: Capabilities = providers.SINCH["sms"]

    def __init__(self, secret: str | Sequence[str] = (), *, max_age_seconds: float = 300.0) -> None:
        self._secrets = secrets_of(secret, "secret")
        self._max_age_seconds = max_age_seconds

    @total(UNVERIFIABLE)
    def verify(self, request: RawRequest, /) -> Verification:
        """Check x-sinch-webhook-signature. Needs `RawRequest.received_at`."""
        return _sinch.verified(request, self._secrets, self._max_age_seconds)

    @total(UNREADABLE)
    def parse(self, request: RawRequest, verification: Verification, /) -> Parsed:
        """One event; a merge of contacts is several. What is not read yet is ``unsupported``."""
        if refusal := refused(verification):
            return refusal
        if not is_bounded(request.body, _sinch.MAX_BODY_BYTES, _sinch.MAX_COMMAS):
            return malformed("the body is over its limits")
        reader = Reader()
        members = reader.read(_MEMBERS, request.body)
        if members is None:
            return malformed("the body is no event in JSON")
        post = _Post(reader, members, verification.status == "verified")
        for name, read in _KINDS:
            if name in members:
                return read(post, name, members[name])
        return post.unsupported(next((n for n in members if n not in _ENVELOPE), ""))

    def reply(self, outcome: Parsed, _answer: Sequence[Message] = (), /) -> HttpReply:
        """200 without a body, also for what is malformed; 401 for a wrong signature."""
        return HttpReply(401 if is_forged(outcome) else 200)


class _Post:
    """One request: what is the same for all that is made of it."""

    def __init__(self, reader: Reader, members: dict[str, Raw], sure: bool) -> None:
        def word(name: str) -> str:
            return (reader.read(_WORD, members[name]) if name in members else None) or ""

        self.reader = reader
        self.app = _short(word("app_id"))
        times = map(milliseconds_of_iso, (word("event_time"), word("accepted_time")))
        self.occurred_at = next(filter(None, times), 0)
        self.assurance = Assurance.CHANNEL if sure else Assurance.CLAIMED

    def endpoint(self, channel: str) -> Endpoint:
        return Endpoint(channel, self.app)

    def address(self, given: _Identity | _Duplicate | _Opt) -> Address | None:
        """How we name whom Sinch names so; `None` where it names nobody."""
        value = clean(given.identity.strip())
        channel = providers.SINCH_CHANNELS.get(given.channel.upper(), given.channel.lower()[:32])
        if not value or not channel.isalnum() or len(value) > MAX_ADDRESS_CHARACTERS:
            return None
        number = providers.phone(value) if channel in providers.ON_PHONES else ""
        if number or channel == "sms":
            return Address(channel, number or value)
        # Ids that a page or an app gives: they mean nothing to another (and BSUIDs are such too).
        own = "" if isinstance(given, _Opt) else given.app_id
        return Address(channel, value, _short(own) or self.app)

    def notice(
        self,
        kind: NoticeKind,
        sender: Address | None = None,
        *,
        event_id: str = "",
        about: str = "",
        value: str = "",
        other: Address | None = None,
    ) -> Notice:
        channel = sender.channel if sender else "other"
        return Notice(
            channel, self.endpoint(channel), kind, sender, event_id, about, value, other,
            self.occurred_at, provider=Sinch.name,
        )  # fmt: skip

    def unsupported(self, name: str) -> Parsed:
        return Parsed(events=(self.notice("unsupported", value=_short(name)),))


def _message(post: _Post, _: str, data: Raw) -> Parsed:
    found = post.reader.read(_MESSAGE, data)
    sender = post.address(found.channel_identity) if found else None
    if found is None or sender is None or not is_id(found.id):
        return malformed("the message has no id, or nobody sent it")
    if not is_there(found.contact_message):
        return post.unsupported("message.to_contact")
    content = _sinch_content.read(post.reader, found.contact_message)
    # What the app wrote into the conversation itself is nobody's word to answer.
    own = found.injected or found.direction != "TO_APP"
    ours = providers.phone(found.sender_id) or _short(found.sender_id) or post.app
    message = Inbound(
        channel=sender.channel,
        endpoint=post.endpoint(sender.channel),
        sender=sender,
        message_id=found.id,
        parts=content.parts,
        assurance=post.assurance,
        occurred_at=post.occurred_at or milliseconds_of_iso(found.accept_time),
        thread=f"{ours}/{sender.value}",
        references=content.references,
        flags=(*(("self",) if own else ()), *content.flags),
        horizon_seconds=Sinch.horizon_seconds,
        provider=Sinch.name,
    )
    return Parsed(events=(message,), errors=content.errors)


def _event(post: _Post, _: str, data: Raw) -> Parsed:
    found = post.reader.read(_EVENT, data)
    sender = post.address(found.channel_identity) if found else None
    if found is None or sender is None:
        return malformed("the event is of nobody")
    id = found.id if is_id(found.id) else ""
    told = found.contact_message_event or found.contact_event or _ContactEvent()
    if is_there(told.composing_event):
        return Parsed(events=(post.notice("typing", sender, event_id=id),))
    kind = _REACTIONS.get(told.reaction_event.action) if told.reaction_event else None
    if told.reaction_event is None or kind is None:
        return Parsed(events=(post.notice("unsupported", sender, event_id=id, value="event"),))
    about, value = _short(told.reaction_event.message_id), _short(told.reaction_event.emoji)
    return Parsed(events=(post.notice(kind, sender, event_id=id, about=about, value=value),))


def _report(post: _Post, name: str, data: Raw) -> Parsed:
    """A delivery report; a message that was submitted is one too, which says that it is queued."""
    found = post.reader.read(_REPORT, data)
    recipient = post.address(found.channel_identity) if found else None
    if found is None or recipient is None or not is_id(found.message_id):
        return malformed("the report is of no message, or to nobody")
    status = "SUBMITTED" if name == "message_submit_notification" else found.status.upper()
    code = found.reason.code if found.reason and status == "FAILED" else ""
    receipt = Receipt(
        channel=recipient.channel,
        endpoint=post.endpoint(recipient.channel),
        message_id=found.message_id,
        status="queued" if status == "SUBMITTED" else STATUSES.get(status, "unknown"),
        recipient=recipient,
        provider_status=_short(status),
        error_code=_short(code),
        occurred_at=post.occurred_at,
        provider=Sinch.name,
        delivery=_sinch_content.delivery_of(found.metadata),
    )
    return Parsed(events=(receipt,))


def _opt(post: _Post, name: str, data: Raw) -> Parsed:
    """A wish that Sinch has taken down; it comes as a message without words, so consent follows."""
    found = post.reader.read(_OPT, data)
    if found is not None and found.status.upper().endswith("_FAILED"):
        return post.unsupported(f"{name}.failed")
    sender = post.address(found) if found else None
    if found is None or sender is None:
        return malformed("a wish about consent names no identity, so it cannot be kept")
    named = is_id(found.request_id)
    id = found.request_id if named else blake2b(bytes(data), digest_size=16).hexdigest()
    message = Inbound(
        channel=sender.channel,
        endpoint=post.endpoint(sender.channel),
        sender=sender,
        message_id=f"{name}:{id}",
        parts=(),
        assurance=post.assurance,
        id_source="provider" if named else "digest",
        occurred_at=post.occurred_at,
        thread=f"{post.app}/{sender.value}",
        flags=(_OPTS[name],),
        horizon_seconds=Sinch.horizon_seconds,
        provider=Sinch.name,
    )
    return Parsed(events=(message,))


def _merge(post: _Post, _: str, data: Raw) -> Parsed:
    """Sinch says that two contacts of its own are one person: a proposal for each address."""
    found = post.reader.read(_MERGE, data)
    if found is None:
        return malformed("the merge names no contacts")
    gone = _addresses(post, found.deleted_contact.channel_identities)
    kept = _addresses(post, found.preserved_contact.channel_identities)
    if not gone or not kept:
        return malformed("the merge names nobody by an address")
    notices = tuple([post.notice("same", one, other=kept[0]) for one in gone if one != kept[0]])
    return Parsed(events=notices) if notices else post.unsupported("contact_merge_notification")


def _duplicates(post: _Post, name: str, data: Raw) -> Parsed:
    """An address that several of Sinch's contacts have; for us it is one, and nothing is joined."""
    found = post.reader.read(_DUPLICATES, data)
    if found is None:
        return malformed("the duplicates are none")
    few = found.duplicated_identities[:MAX_PROPOSALS]
    named = [(post.address(one), " ".join(one.contact_ids[:MAX_PROPOSALS])) for one in few]
    notices = tuple([post.notice("same", one, value=_short(ids)) for one, ids in named if one])
    return Parsed(events=notices) if notices else post.unsupported(name)


def _addresses(post: _Post, identities: Iterable[_Identity]) -> list[Address]:
    few = islice(identities, MAX_PROPOSALS)
    return list(dict.fromkeys([address for one in few if (address := post.address(one))]))


def _short(text: str) -> str:
    return clean(text)[:256]


_KINDS: tuple[tuple[str, Callable[[_Post, str, Raw], Parsed]], ...] = (
    ("message", _message),
    ("message_redaction", _message),
    ("event", _event),
    ("message_delivery_report", _report),
    ("message_submit_notification", _report),
    ("opt_in_notification", _opt),
    ("opt_out_notification", _opt),
    ("contact_merge_notification", _merge),
    ("duplicated_contact_identities_notification", _duplicates),
)
_ENVELOPE = frozenset(
    {
        "app_id", "project_id", "accepted_time", "event_time", "message_metadata", "correlation_id",
        "trigger",
    }
)  # fmt: skip
