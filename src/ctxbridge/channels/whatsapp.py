"""WhatsApp's Cloud API: messages, statuses and what happens to identities, by webhook.

Sources: developers.facebook.com/docs/graph-api/webhooks/getting-started (greeting, signature),
/docs/whatsapp/cloud-api/webhooks (fields), and Meta's page on business-scoped user ids.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl

from msgspec import Raw

from ctxbridge.channels import _whatsapp_content as content
from ctxbridge.channels import _whatsapp_shapes as shapes
from ctxbridge.channels._edge import UNREADABLE, UNVERIFIABLE, is_forged, malformed, refused, total
from ctxbridge.channels._reading import (
    Allowance,
    Reader,
    is_bounded,
    is_id,
    is_there,
    milliseconds_of_seconds,
)
from ctxbridge.channels._secrets import secrets_of
from ctxbridge.errors import ConfigurationError, Malformed
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

MAX_BODY_BYTES = 3 * 1024 * 1024
"""Meta sends at most 3 MB at once."""

MAX_COMMAS = 100_000
MAX_EVENTS = 1_200
"""Meta tells of at most 1,000 things at once; what is beyond these makes only work."""

MAX_CHANGES = 2 * MAX_EVENTS
"""Of one request, so many entries and changes are read, which hold the events."""

MAX_GREETING_CHARACTERS = 2_048

STATUSES: dict[str, ReceiptStatus] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "played": "read",
    "failed": "failed",
}

_SCHEME = "meta.sha256"
_SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}")
_CHALLENGE = re.compile(r"[!-~]{1,256}")
_KEY = re.compile(r"[0-9a-f]{32}")

Event = Inbound | Receipt | Notice
_NOT_ASKED: HttpReply | None = None


class WhatsApp:
    """Webhooks of WhatsApp's Cloud API.

    `app_secret` is the app's, or several while one is being replaced; without one, requests count
    as ``unsigned`` and nobody's number is sure. `verify_token` is what you wrote into the app's
    dashboard: without it no greeting is answered. The endpoint is the phone number's id. Raises
    `ConfigurationError` for an empty secret or token.
    """

    name: str = "whatsapp"
    channel: str = "whatsapp"
    horizon_seconds: float = 8 * 24 * 3600.0
    capabilities: Capabilities = providers.WHATSAPP

    def __init__(
        self, app_secret: str | Sequence[str] = (), *, verify_token: str | None = None
    ) -> None:
        if verify_token is not None and not verify_token:
            raise ConfigurationError("verify_token is empty; give it, or leave the setting out")
        self._secrets = secrets_of(app_secret, "app_secret")
        self._verify_token = verify_token

    @total(_NOT_ASKED)
    def handshake(self, request: RawRequest, /) -> HttpReply | None:
        """The challenge, where a GET asks with our token; 403 where it asks with another."""
        if request.method.upper() != "GET" or len(request.url) > MAX_GREETING_CHARACTERS:
            return None
        query = request.url.partition("#")[0].partition("?")[2]
        asked = dict(parse_qsl(query, keep_blank_values=True))
        if asked.get("hub.mode") != "subscribe":
            return None
        given = asked.get("hub.verify_token", "").encode("utf-8", "surrogatepass")
        token = (self._verify_token or "").encode("utf-8", "surrogatepass")
        challenge = asked.get("hub.challenge", "")
        if not token or not hmac.compare_digest(given, token):
            return HttpReply(403, b"forbidden")
        if not _CHALLENGE.fullmatch(challenge):
            return HttpReply(400, b"no challenge")
        return HttpReply(200, challenge.encode())

    @total(UNVERIFIABLE)
    def verify(self, request: RawRequest, /) -> Verification:
        r"""Check X-Hub-Signature-256 over the bytes that came: JSON with its ``\u`` escapes.

        It has no time and no nonce, so a repetition is known by the ids of what it holds alone.
        """
        if not self._secrets:
            return Verification("unsigned", scheme=_SCHEME)
        given = request.header("X-Hub-Signature-256") or ""
        if not _SIGNATURE.fullmatch(given):
            return _failed("the signature is missing, repeated or no signature")
        if len(request.body) > MAX_BODY_BYTES:
            return _failed("the body is over its limits")
        for key, secret in enumerate(self._secrets):
            made = "sha256=" + hmac.new(secret, request.body, hashlib.sha256).hexdigest()
            if hmac.compare_digest(made, given):
                return Verification("verified", _SCHEME, binds_body=True, key=key)
        return _failed("the signature does not match")

    @total(UNREADABLE)
    def parse(self, request: RawRequest, verification: Verification, /) -> Parsed:
        """All events of all changes of all entries. What cannot be read is an error beside them."""
        if refusal := refused(verification):
            return refusal
        if not is_bounded(request.body, MAX_BODY_BYTES, MAX_COMMAS):
            return malformed("the body is over its limits")
        post = _Post(verification.status == "verified")
        body = post.reader.read(shapes.BODY, request.body)
        if body is None:
            return malformed("the body is no update in JSON")
        found = [item for raw in post.changes.of(body.entry) for item in _of_entry(post, raw)]
        if post.changes.exceeded or post.events.exceeded:
            found.append(Malformed("the update holds too much; the rest is left out"))
        events = tuple([item for item in found if not isinstance(item, Malformed)])
        errors = tuple([item for item in found if isinstance(item, Malformed)])
        return Parsed(events, errors) if found else malformed("the update holds nothing")

    def reply(self, outcome: Parsed, _answer: Sequence[Message] = (), /) -> HttpReply:
        """200 without a body, also for what is malformed; 401 for a wrong signature."""
        return HttpReply(401 if is_forged(outcome) else 200)


def _failed(reason: str) -> Verification:
    return Verification("failed", scheme=_SCHEME, reason=reason)


class _Post:
    """One request: whether it is sure, and how much of it is read."""

    def __init__(self, sure: bool) -> None:
        self.assurance = Assurance.CHANNEL if sure else Assurance.CLAIMED
        self.reader = Reader()
        self.changes, self.events = Allowance(MAX_CHANGES), Allowance(MAX_EVENTS)


def _of_entry(post: _Post, raw: Raw) -> Iterator[Event | Malformed]:
    entry = post.reader.read(shapes.ENTRY, raw)
    if entry is None:
        yield Malformed("an entry cannot be read")
        return
    for change in post.changes.of(entry.changes):
        yield from _of_change(post, entry.id, change)


def _of_change(post: _Post, account: str, raw: Raw) -> Iterator[Event | Malformed]:
    change = post.reader.read(shapes.CHANGE, raw)
    value = post.reader.read(shapes.VALUE, change.value) if change else None
    if change is None or value is None:
        yield Malformed("a change cannot be read")
        return
    line = _Line(post, account, value.metadata.phone_number_id)
    rotated = [value.user_id_update] if is_there(value.user_id_update) else []
    lists = (
        (value.messages, line.message),
        (value.message_echoes, line.echo),
        (value.statuses, line.status),
        (value.user_preferences, line.preference),
        (rotated, line.rotation),
    )
    for items, reader in lists:
        for item in post.events.of(items):
            yield from reader(item)
    if not any(items for items, _ in lists):
        yield line.notice("unsupported", value=change.field)


class _Line:
    """One of our phone numbers, and whether what is said to come by it is sure."""

    def __init__(self, post: _Post, account: str, number_id: str) -> None:
        self._account = _short(account)
        self._endpoint = Endpoint("whatsapp", _short(number_id))
        self._assurance, self._reader = post.assurance, post.reader

    def message(self, raw: Raw) -> Iterator[Event | Malformed]:
        found = self._reader.read(shapes.MESSAGE, raw)
        if found is None or not is_id(found.id):
            yield Malformed("a message has no id")
            return
        if found.type == "system":
            yield self._system(found)
            return
        phone, scoped = self._phone(found.sender), self._scoped(found.sender_id)
        sender = phone or scoped
        if sender is None:
            yield Malformed("a message is from nobody")
            return
        if found.type == "reaction":
            yield self._reaction(found, sender)
        else:
            yield from self._inbound(found, raw, sender)
        if phone and scoped:
            # The same id each time, so that it is written down once for these two.
            known = f"{phone.value}={scoped.value}"
            yield self.notice("same", phone, other=scoped, event_id=known)

    def echo(self, raw: Raw) -> Iterator[Event | Malformed]:
        """What somebody of ours wrote in the WhatsApp Business app, to the contact."""
        found = self._reader.read(shapes.MESSAGE, raw)
        contact = (self._phone(found.to) or self._scoped(found.to_user_id)) if found else None
        if found is None or contact is None or not is_id(found.id):
            yield Malformed("an echo has no id, or goes to nobody")
            return
        yield from self._inbound(found, raw, contact, "self")

    def status(self, raw: Raw) -> Iterator[Event | Malformed]:
        found = self._reader.read(shapes.STATUS, raw)
        recipient = self._recipient(found) if found else None
        if found is None or recipient is None or not is_id(found.id):
            yield Malformed("a status is of no message, or to nobody")
            return
        key = found.biz_opaque_callback_data
        yield Receipt(
            channel="whatsapp",
            endpoint=self._endpoint,
            message_id=found.id,
            status=STATUSES.get(found.status, "unknown"),
            recipient=recipient,
            provider_status=_short(found.status),
            error_code=str(found.errors[0].code)[:16] if found.errors else "",
            occurred_at=milliseconds_of_seconds(found.timestamp),
            provider=WhatsApp.name,
            delivery=key if _KEY.fullmatch(key) else "",
        )

    def preference(self, raw: Raw) -> Iterator[Event | Malformed]:
        """Marketing that somebody stopped or resumed in WhatsApp's own settings."""
        found = self._reader.read(shapes.PREFERENCE, raw)
        sender = (self._phone(found.wa_id) or self._scoped(found.user_id)) if found else None
        word = content.PREFERENCES.get((found.category, found.value)) if found else None
        if found is None or sender is None or word is None:
            yield Malformed("a preference is of nobody, or none")
            return
        at = milliseconds_of_seconds(found.timestamp)
        yield Inbound(
            channel="whatsapp",
            endpoint=self._endpoint,
            sender=sender,
            message_id=f"preference:{sender.value}:{found.value}:{at}",
            parts=(),
            assurance=self._assurance,
            id_source="digest",
            occurred_at=at,
            thread=f"{self._endpoint.value}/{sender.value}",
            flags=(word,),
            horizon_seconds=WhatsApp.horizon_seconds,
            provider=WhatsApp.name,
        )

    def rotation(self, raw: Raw) -> Iterator[Event | Malformed]:
        """Somebody's business-scoped id was replaced by another."""
        found = self._reader.read(shapes.UPDATES, raw)
        for update in found[:MAX_EVENTS] if isinstance(found, list) else [found]:
            old = self._scoped(update.user_id.previous) if update else None
            new = self._scoped(update.user_id.current) if update else None
            if update is None or old is None or new is None:
                yield Malformed("a change of an id names none")
                continue
            at = milliseconds_of_seconds(update.timestamp)
            yield self.notice("moved", old, other=new, occurred_at=at)

    def notice(
        self,
        kind: NoticeKind,
        sender: Address | None = None,
        *,
        event_id: str = "",
        about: str = "",
        value: str = "",
        other: Address | None = None,
        occurred_at: int = 0,
    ) -> Notice:
        return Notice(
            "whatsapp", self._endpoint, kind, sender, event_id, _short(about), _short(value), other,
            occurred_at, provider=WhatsApp.name,
        )  # fmt: skip

    def _inbound(
        self, found: shapes.Message, raw: Raw, contact: Address, *flags: str
    ) -> Iterator[Event | Malformed]:
        revised, read = "", content.read(self._reader, found.type, raw)
        edited = {"edit": found.edit, "revoke": found.revoke}.get(found.type, Raw())
        if is_there(edited):
            edit = self._reader.read(shapes.EDIT, edited)
            if edit is None or not is_id(edit.original_message_id):
                yield Malformed("an edit or a deletion names no message")
                return
            revised, read = edit.original_message_id, content.NOTHING
            if found.type == "edit":
                read = content.of_nested(self._reader, edit.message)
                if not read.parts:  # without parts it would be a deletion, which nobody asked for
                    yield Malformed("an edited message holds nothing that can be read")
                    return
        context = self._reader.read(shapes.CONTEXT, found.context) or shapes.Context()
        if context.forwarded or context.frequently_forwarded:
            flags = (*flags, "forwarded")
        yield Inbound(
            channel="whatsapp",
            endpoint=self._endpoint,
            sender=contact,
            message_id=found.id,
            parts=read.parts,
            assurance=self._assurance,
            occurred_at=milliseconds_of_seconds(found.timestamp),
            thread=f"{self._endpoint.value}/{_short(found.group_id) or contact.value}",
            references=(context.id,) if is_id(context.id) else (),
            flags=(*flags, *read.flags),
            horizon_seconds=WhatsApp.horizon_seconds,
            provider=WhatsApp.name,
            revises=revised,
        )
        yield from read.errors

    def _reaction(self, found: shapes.Message, sender: Address) -> Event | Malformed:
        """An emoji that is empty or absent takes the reaction back."""
        told = self._reader.read(shapes.REACTION, found.reaction)
        if told is None:
            return Malformed("a reaction is to no message")
        kind: NoticeKind = "reaction" if told.emoji else "reaction_removed"
        at = milliseconds_of_seconds(found.timestamp)
        return self.notice(
            kind, sender, event_id=found.id, about=told.message_id, value=told.emoji, occurred_at=at
        )

    def _system(self, found: shapes.Message) -> Event | Malformed:
        """A number or an id that changed. Whether the person behind it did is not said."""
        told = self._reader.read(shapes.SYSTEM, found.system) or shapes.System()
        at = milliseconds_of_seconds(found.timestamp)
        old = self._phone(found.sender) or self._scoped(told.previous_user_id or found.sender_id)
        new = self._phone(told.wa_id) or self._scoped(told.user_id)
        if told.type not in {"user_changed_number", "user_changed_user_id"}:
            value = told.type or "system"
            return self.notice("unsupported", old, event_id=found.id, value=value, occurred_at=at)
        if old is None or new is None:
            return Malformed("a change of a number names none")
        return self.notice("moved", old, event_id=found.id, other=new, occurred_at=at)

    def _recipient(self, found: shapes.Status) -> Address | None:
        if found.recipient_type == "group":
            participant = self._phone(found.recipient_participant_id)
            return participant or self._scoped(found.recipient_participant_user_id)
        return self._phone(found.recipient_id) or self._scoped(
            found.recipient_user_id or found.recipient_id
        )

    def _phone(self, value: str) -> Address | None:
        # What stands where a number is due is one, however short: there are no short codes here.
        number = providers.phone("+" + value.strip().removeprefix("+"))
        return Address("whatsapp", number) if number else None

    def _scoped(self, value: str) -> Address | None:
        """An id that means somebody only to this business account."""
        value = clean(value.strip())
        if not value or len(value) > MAX_ADDRESS_CHARACTERS:
            return None
        return Address("whatsapp", value, self._account)


def _short(text: str) -> str:
    return clean(text)[:256]
