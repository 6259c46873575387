"""Slack's Events API: what each event comes to.

Sources: docs.slack.dev/apis/events-api (envelope), /reference/events/message and its subtypes,
/reference/events/app_mention, /reference/events/reaction_added. A message is known by team, channel
and ``ts``: `message` and `app_mention` of one message have different event ids and the same ``ts``.
"""

import re
from collections.abc import Callable

import msgspec

from ctxbridge.channels._edge import malformed
from ctxbridge.channels.slack.payloads import (
    CHANNEL,
    HORIZON_SECONDS,
    PROVIDER,
    UNDECODABLE,
    Authorization,
    Envelope,
    Event,
    File,
    Message,
    Where,
    id_or_none,
    is_id,
    milliseconds,
    thread_of,
)
from ctxbridge.channels.slack.text import MAX_CHARACTERS, mentioned, plain
from ctxbridge.errors import Malformed
from ctxbridge.model import (
    Attachment,
    Inbound,
    Notice,
    Parsed,
    Part,
    Text,
)
from ctxbridge.model.inbound import NoticeKind
from ctxbridge.rules.text import clean

MAX_FILES = 32

_FILE_URL = re.compile(r"https://[!-~]{1,2000}")
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,80}/[a-z0-9!#$&^_.+-]{1,80}")


def parsed(envelope: Envelope, *, sure: bool) -> Parsed:
    """What an ``event_callback`` comes to."""
    event = envelope.event
    if event is None or not event.type:
        return malformed("the callback has no event")
    where = _where(envelope, sure=sure)
    if not is_id(where.scope):
        return malformed("team_id is missing or no id")
    reading = _READINGS.get(event.type)
    return reading(envelope, event, where) if reading else _unsupported(envelope, event, where)


def _where(envelope: Envelope, *, sure: bool) -> Where:
    first = next(iter(envelope.authorizations or ()), Authorization())
    organisation = first.enterprise_id if first.is_enterprise_install else None
    scope = organisation or first.team_id or envelope.team_id or envelope.enterprise_id or ""
    return Where(scope, id_or_none(envelope.api_app_id), sure)


def _bots(envelope: Envelope) -> set[str]:
    """Under which user ids the app itself is known there."""
    return _own(envelope) or set(envelope.authed_users or ())


# --- messages -------------------------------------------------------------------------------------


def _message(envelope: Envelope, event: Event, where: Where) -> Parsed:
    channel = id_or_none(event.channel)
    if not channel:
        return malformed("the message is of no channel")
    if event.subtype == "message_changed":
        return _changed(envelope, event, where, channel)
    if event.subtype == "message_deleted":
        return _deleted(envelope, event, where, channel)
    if event.subtype not in _WRITTEN:
        return _unsupported(envelope, event, where)
    return _written(envelope, event, where, channel)


def _written(envelope: Envelope, event: Event, where: Where, channel: str) -> Parsed:
    if not milliseconds(event.ts):
        return malformed("ts is missing or no time")
    sender = _sender(event)
    if not sender:
        return malformed("the message is of nobody")
    parts, errors = _parts(event)
    if not parts:
        return malformed("the message has neither text nor files")
    if event.edited is not None and milliseconds(event.edited.ts):
        # A mention is told again where its message is edited, under the same ts.
        made = _revision(envelope, event, where, channel, event, event.ts, parts, event.edited.ts)
        return Parsed(made.events, (*made.errors, *errors))
    inbound = Inbound(
        CHANNEL,
        where.endpoint,
        where.user(sender),
        where.message(channel, event.ts),
        parts,
        where.assurance,
        occurred_at=milliseconds(event.ts),
        thread=thread_of(channel, event.ts, event.thread_ts),
        flags=_flags(envelope, event, mention=event.type == "app_mention"),
        horizon_seconds=HORIZON_SECONDS,
        provider=PROVIDER,
    )
    return Parsed((inbound,), errors)


def _changed(envelope: Envelope, event: Event, where: Where, channel: str) -> Parsed:
    """An edit. Slack also sends this where only a preview or the count of replies has changed."""
    now, before = event.message, event.previous_message
    if now is None or not milliseconds(now.ts):
        return malformed("what was changed is missing")
    if now.subtype == "tombstone":
        # A message that has replies is deleted so; its words are Slack's own then.
        return _revision(envelope, event, where, channel, before or now, now.ts, ())
    edited = now.edited.ts if now.edited else None
    if not edited and before is not None and before.text == now.text:
        return _unsupported(envelope, event, where)
    parts, errors = _parts(now)
    if not parts:
        # Without parts it would be a deletion, and that it is not.
        return _unsupported(envelope, event, where)
    made = _revision(envelope, event, where, channel, now, now.ts, parts, edited)
    return Parsed(made.events, (*made.errors, *errors))


def _deleted(envelope: Envelope, event: Event, where: Where, channel: str) -> Parsed:
    of, before = event.deleted_ts or "", event.previous_message
    if not milliseconds(of):
        return malformed("deleted_ts is missing or no time")
    if before is None:
        return _unsupported(envelope, event, where)
    return _revision(envelope, event, where, channel, before, of, ())


def _revision(
    envelope: Envelope,
    event: Event,
    where: Where,
    channel: str,
    message: Message,
    of: str,
    parts: tuple[Part, ...],
    edited: str | None = None,
) -> Parsed:
    sender, at = _sender(message), edited or event.event_ts or event.ts
    if not sender or not milliseconds(at):
        return malformed("who changed the message, or when, is missing")
    original = where.message(channel, of)
    inbound = Inbound(
        CHANNEL,
        where.endpoint,
        where.user(sender),
        f"{original}:{at}",
        parts,
        where.assurance,
        occurred_at=milliseconds(at),
        thread=thread_of(channel, of, message.thread_ts),
        flags=_flags(envelope, message, mention=False),
        horizon_seconds=HORIZON_SECONDS,
        provider=PROVIDER,
        revises=original,
    )
    return Parsed((inbound,))


def _sender(message: Message) -> str:
    return id_or_none(message.user) or id_or_none(message.bot_id)


def _flags(envelope: Envelope, message: Message, *, mention: bool) -> tuple[str, ...]:
    flags = []
    if message.bot_id or message.subtype == "bot_message":
        flags.append("auto" if _is_of_another(envelope, message) else "self")
    if mention or _bots(envelope) & mentioned(message.text or ""):
        flags.append("mention")
    if len(message.text or "") > MAX_CHARACTERS:
        flags.append("truncated")
    return tuple(flags)


def _own(envelope: Envelope) -> set[str]:
    return {one.user_id or "" for one in envelope.authorizations or () if one.is_bot} - {""}


def _is_of_another(envelope: Envelope, message: Message) -> bool:
    """Whether it is known to be another app's. A bot that is not known may be ourselves."""
    app = message.app_id or (message.bot_profile.app_id if message.bot_profile else None)
    if message.user in _own(envelope) or not app or not envelope.api_app_id:
        return False
    return app != envelope.api_app_id


def _parts(message: Message) -> tuple[tuple[Part, ...], tuple[Malformed, ...]]:
    words: tuple[Part, ...] = (Text(plain(message.text)),) if message.text else ()
    files, errors = list[Part](), list[Malformed]()
    for raw in (message.files or ())[:MAX_FILES]:
        try:
            file = msgspec.json.decode(raw, type=File)
        except UNDECODABLE:
            errors.append(Malformed("a file cannot be read"))
            continue
        files.append(_attachment(file))
    if len(message.files or ()) > MAX_FILES:
        errors.append(Malformed(f"there are over {MAX_FILES} files; the rest is left out"))
    return words + tuple(files), tuple(errors)


def _attachment(file: File) -> Attachment:
    """By reference: it is fetched with the app's own token. Of other workspaces little is told."""
    kind = (file.mimetype or "").lower()
    where = file.url_private_download or file.url_private or ""
    return Attachment(
        kind if _MEDIA_TYPE.fullmatch(kind) else "application/octet-stream",
        clean(file.name or "")[:255],
        file.size if file.size is not None and 0 <= file.size < 2**53 else -1,
        where if _FILE_URL.fullmatch(where) else "",
    )


# --- all else -------------------------------------------------------------------------------------


def _notice(
    envelope: Envelope, event: Event, where: Where, kind: NoticeKind, **fields: str
) -> Parsed:
    at, user = event.event_ts or event.ts, id_or_none(event.user)
    made = Notice(
        CHANNEL,
        where.endpoint,
        kind,
        where.user(user) if user else None,
        event_id=clean(envelope.event_id or "")[:128],
        occurred_at=milliseconds(at),
        provider=PROVIDER,
        about=fields.get("about", ""),
        value=clean(fields.get("value", ""))[:128],
        thread=id_or_none(event.item.channel if event.item else event.channel),
    )
    return Parsed((made,))


def _reaction(envelope: Envelope, event: Event, where: Where) -> Parsed:
    item = event.item
    if item is None or item.type != "message" or not event.reaction:
        return _unsupported(envelope, event, where)
    if not (is_id(item.channel) and milliseconds(item.ts)):
        return malformed("what the reaction is about is missing")
    kind: NoticeKind = "reaction" if event.type == "reaction_added" else "reaction_removed"
    about = where.message(item.channel, item.ts)
    return _notice(envelope, event, where, kind, about=about, value=event.reaction)


def _joined(envelope: Envelope, event: Event, where: Where) -> Parsed:
    return _notice(envelope, event, where, "joined")


def _left(envelope: Envelope, event: Event, where: Where) -> Parsed:
    return _notice(envelope, event, where, "left")


def _closed(envelope: Envelope, event: Event, where: Where) -> Parsed:
    return _notice(envelope, event, where, "closed")


def _unsupported(envelope: Envelope, event: Event, where: Where) -> Parsed:
    value = f"{event.type}.{event.subtype}" if event.subtype else event.type
    return _notice(envelope, event, where, "unsupported", value=value)


# "A message with a subtype that you do not know" is none that somebody wrote.
_WRITTEN = (None, "file_share", "thread_broadcast", "me_message", "bot_message")

_READINGS: dict[str, Callable[[Envelope, Event, Where], Parsed]] = {
    "message": _message,
    "app_mention": _message,
    "reaction_added": _reaction,
    "reaction_removed": _reaction,
    "member_joined_channel": _joined,
    "member_left_channel": _left,
    "channel_archive": _closed,
    "channel_deleted": _closed,
    "group_archive": _closed,
    "group_deleted": _closed,
}
