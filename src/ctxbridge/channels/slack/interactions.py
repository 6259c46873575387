"""Slash commands, pressed buttons, chosen options, filled forms: all come as HTML forms.

Sources: docs.slack.dev/interactivity/implementing-slash-commands, /reference/interaction-payloads,
/reference/block-kit/block-elements.
"""

from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct

from ctxbridge.channels._edge import malformed
from ctxbridge.channels._reading import percent_decoded
from ctxbridge.channels.slack.payloads import (
    CHANNEL,
    HORIZON_SECONDS,
    PROVIDER,
    UNDECODABLE,
    Where,
    id_or_none,
    is_id,
    milliseconds,
    thread_of,
)
from ctxbridge.channels.slack.text import plain
from ctxbridge.errors import Malformed
from ctxbridge.model import Choice, Inbound, Notice, Parsed, Part, Text
from ctxbridge.rules.text import clean

MAX_FIELDS = 64
MAX_ACTIONS = 64


class _Label(Struct):
    text: str = ""


class _Option(Struct):
    text: _Label | None = None
    value: str | None = None


class _Element(Struct):
    """A button that was pressed, or a field that was filled in."""

    type: str = ""
    action_id: str = ""
    action_ts: str = ""
    text: _Label | None = None
    value: str | None = None
    selected_option: _Option | None = None
    selected_options: list[_Option] | None = None
    selected_date: str | None = None
    selected_time: str | None = None
    selected_user: str | None = None
    selected_conversation: str | None = None
    selected_channel: str | None = None


class _Named(Struct):
    id: str = ""


class _Container(Struct):
    message_ts: str | None = None
    thread_ts: str | None = None
    channel_id: str | None = None


class _Message(Struct):
    ts: str | None = None
    thread_ts: str | None = None


class _Values(Struct):
    values: dict[str, dict[str, Raw]] | None = None


class _View(Struct):
    id: str = ""
    hash: str = ""
    state: _Values | None = None


class _Payload(Struct):
    type: str = ""
    user: _Named | None = None
    team: _Named | None = None
    enterprise: _Named | None = None
    is_enterprise_install: bool | str = False
    api_app_id: str | None = None
    channel: _Named | None = None
    container: _Container | None = None
    message: _Message | None = None
    actions: list[Raw] | None = None
    view: _View | None = None


_PAYLOAD = msgspec.json.Decoder(_Payload)
_ELEMENT = msgspec.json.Decoder(_Element)


def form_of(body: bytes) -> dict[str, str] | None:
    """The fields of a form; `None` if there are too many. Of a repeated one the first counts."""
    if body.count(b"&") >= MAX_FIELDS:
        return None
    pairs = [pair.partition(b"=") for pair in body.replace(b"+", b" ").split(b"&") if pair]
    return {_text(name): _text(value) for name, _, value in reversed(pairs)}


def _text(value: bytes) -> str:
    return clean(percent_decoded(value).decode("utf-8", "replace"))


def parsed(body: bytes, *, sure: bool) -> Parsed:
    """What a form comes to: an interaction, or a slash command."""
    form = form_of(body)
    if form is None:
        return malformed("the form is over its limits")
    if "payload" not in form:
        return _command(form, sure=sure)
    try:
        payload = _PAYLOAD.decode(form["payload"])
    except UNDECODABLE:
        return malformed("the payload is not JSON, or a field has a wrong type")
    where = _where(payload, sure=sure)
    user = payload.user.id if payload.user else ""
    if not is_id(user) or not is_id(where.scope):
        return malformed("the payload is of nobody")
    reading = {"block_actions": _pressed, "view_submission": _submitted}.get(payload.type)
    return reading(payload, where, user) if reading else _unsupported(payload.type, where, user)


def _where(payload: _Payload, *, sure: bool) -> Where:
    team = payload.team.id if payload.team else ""
    organisation = payload.enterprise.id if payload.enterprise else ""
    whole = payload.is_enterprise_install in {True, "true"}
    return Where(organisation if whole or not team else team, id_or_none(payload.api_app_id), sure)


def _command(form: dict[str, str], *, sure: bool) -> Parsed:
    """A slash command has no id but its ``trigger_id``, and no time."""
    whole = form.get("is_enterprise_install") == "true"
    scope = form.get("enterprise_id" if whole else "team_id", "")
    where = Where(scope, id_or_none(form.get("api_app_id")), sure)
    user, channel = form.get("user_id", ""), form.get("channel_id", "")
    trigger, command = form.get("trigger_id", "")[:128], form.get("command", "")
    if not (is_id(user) and is_id(channel) and is_id(scope)):
        return malformed("the form is neither a payload nor a command")
    if not (command and trigger and trigger.isprintable()):
        return malformed("command or trigger_id is missing")
    words = f"{command} {plain(form.get('text', ''))}".strip()
    made = _inbound(where, user, f"{scope}:command:{trigger}", (Text(words),), channel, 0)
    return Parsed((made,))


def _pressed(payload: _Payload, where: Where, user: str) -> Parsed:
    """A message for each button or choice; one that cannot be read does not lose the others."""
    container, message = payload.container or _Container(), payload.message or _Message()
    channel = (payload.channel.id if payload.channel else "") or container.channel_id or ""
    ts = container.message_ts or message.ts or ""
    if not is_id(channel) or not milliseconds(ts):
        return _unsupported(payload.type, where, user)
    about = where.message(channel, ts)
    thread = thread_of(channel, ts, container.thread_ts or message.thread_ts)
    events, errors = list[Inbound | Notice](), list[Malformed]()
    for raw in (payload.actions or ())[:MAX_ACTIONS]:
        element = _element(raw)
        if element is None or not milliseconds(element.action_ts):
            errors.append(Malformed("an action cannot be read"))
            continue
        id = f"{about}:{element.action_ts}:{clean(element.action_id)[:255]}"
        at = milliseconds(element.action_ts)
        parts = tuple(_answered(element))
        if parts:
            events.append(_inbound(where, user, id, parts, thread, at, about))
        else:
            events += _unsupported(f"{payload.type}.{element.type}", where, user).events  # type: ignore[arg-type]
    if not events and not errors:
        return malformed("there is no action")
    return Parsed(tuple(events), tuple(errors))


def _submitted(payload: _Payload, where: Where, user: str) -> Parsed:
    """A form that was filled in: all its answers are one message, in no thread."""
    view = payload.view or _View()
    state = view.state.values if view.state else None
    found = [_element(raw) for block in (state or {}).values() for raw in block.values()]
    parts = [part for element in found[:MAX_ACTIONS] if element for part in _answered(element)]
    if not parts or not (is_id(view.id) and view.hash and view.hash.isprintable()):
        return _unsupported(payload.type, where, user)
    id = f"{where.scope}:view:{view.id}:{clean(view.hash)[:64]}"
    return Parsed((_inbound(where, user, id, tuple(parts), "", 0),))


def _element(raw: Raw) -> _Element | None:
    try:
        return _ELEMENT.decode(raw)
    except UNDECODABLE:
        return None


def _answered(element: _Element) -> Iterator[Part]:
    """What was chosen, as words and as what we had called it; nothing for an empty field."""
    if element.type == "button":
        yield from _choice(element.text, element.value or element.action_id)
        return
    chosen = [element.selected_option] if element.selected_option else element.selected_options
    for option in (chosen or ())[:MAX_ACTIONS]:
        yield from _choice(option.text, option.value)
    written = (
        element.selected_date, element.selected_time, element.selected_user,
        element.selected_conversation, element.selected_channel, element.value,
    )  # fmt: skip
    yield from [Text(clean(text)) for text in written if text]


def _choice(label: _Label | None, id: str | None) -> Iterator[Part]:
    shown = plain(label.text if label else "") or clean(id or "")
    if shown:
        yield Text(shown)
        yield Choice(clean(id or "") or shown, shown)


def _inbound(
    where: Where,
    user: str,
    id: str,
    parts: tuple[Part, ...],
    thread: str,
    at: int,
    about: str = "",
) -> Inbound:
    return Inbound(
        CHANNEL,
        where.endpoint,
        where.user(user),
        id,
        parts,
        where.assurance,
        occurred_at=at,
        thread=thread,
        references=(about,) if about else (),
        horizon_seconds=HORIZON_SECONDS,
        provider=PROVIDER,
    )


def _unsupported(kind: str, where: Where, user: str) -> Parsed:
    value = clean(kind)[:128] or "payload"
    notice = Notice(
        CHANNEL, where.endpoint, "unsupported", where.user(user), value=value, provider=PROVIDER
    )
    return Parsed((notice,))
