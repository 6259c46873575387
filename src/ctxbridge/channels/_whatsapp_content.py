"""What a message of WhatsApp's Cloud API holds: words, files, choices, or what is only kept."""

import re

import msgspec
from msgspec import Raw, Struct

from ctxbridge.channels._reading import Reader, media_type
from ctxbridge.errors import Malformed
from ctxbridge.model import Attachment, Choice, Opaque, Part, Text
from ctxbridge.rules.text import clean

MEDIA = ("image", "video", "audio", "voice", "document", "sticker")
KEPT = ("location", "contacts", "order")
"""Kinds that no words say, which are understood all the same."""

PREFERENCES = {
    ("marketing_messages", "stop"): "opt_out.stop.marketing",
    ("marketing_messages", "resume"): "opt_out.start.marketing",
}

# An id leads to an address that is good for five minutes (docs, media): that is asked for when the
# file is fetched, with the access token.
_GRAPH = "https://graph.facebook.com/"
# It becomes part of an address that is asked with a token: no other path may come of it.
_MEDIA_ID = re.compile(r"[0-9A-Za-z_-]{1,128}")
_TYPE = re.compile(r"[a-z_]{1,32}")


class _Words(Struct):
    body: str = ""


class _Media(Struct):
    id: str = ""
    mime_type: str = ""
    caption: str = ""
    filename: str = ""


class _Button(Struct):
    text: str = ""
    payload: str = ""


class _Chosen(Struct):
    id: str = ""
    title: str = ""


class _Interactive(Struct):
    button_reply: _Chosen | None = None
    list_reply: _Chosen | None = None


class _Content(Struct):
    type: str = ""
    text: _Words | None = None
    button: _Button | None = None
    interactive: _Interactive | None = None


class Content(Struct, frozen=True):
    """The parts of a message, and what was found with them."""

    parts: tuple[Part, ...]
    flags: tuple[str, ...] = ()
    errors: tuple[Malformed, ...] = ()


NOTHING = Content(())
"""What a deleted message says."""

_CONTENT = msgspec.json.Decoder(_Content)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_MEDIA = msgspec.json.Decoder(_Media)


def read(reader: Reader, kind: str, data: Raw) -> Content:
    """What was written in a message of this type. What is not read is kept, and flagged."""
    found = reader.read(_CONTENT, data) or _Content()
    if kind == "text" and found.text:
        return Content(_words(found.text.body))
    if kind == "button" and found.button:
        return Content(_chosen(found.button.payload, found.button.text))
    if kind == "interactive" and found.interactive:
        chosen = found.interactive.button_reply or found.interactive.list_reply
        if chosen:
            return Content(_chosen(chosen.id, chosen.title))
    members = reader.read(_MEMBERS, data) or {}
    if kind in MEDIA and kind in members:
        return _media(reader.read(_MEDIA, members[kind]) or _Media())
    name = kind if _TYPE.fullmatch(kind) else "message"
    flags = () if kind in KEPT else ("unsupported",)
    return Content((Opaque(f"whatsapp.{name}", bytes(members.get(kind, data))),), flags)


def of_nested(reader: Reader, data: Raw) -> Content:
    """What an edited message says now."""
    found = reader.read(_CONTENT, data)
    return read(reader, found.type, data) if found else NOTHING


def _words(text: str) -> tuple[Part, ...]:
    return (Text(clean(text)),) if text else ()


def _chosen(id: str, label: str) -> tuple[Part, ...]:
    id, label = clean(id), clean(label)
    return (Text(label or id), Choice(id, label))


def _media(media: _Media) -> Content:
    words = _words(media.caption)
    if not _MEDIA_ID.fullmatch(media.id):
        return Content(words, errors=(Malformed("a file has no id"),))
    where = _GRAPH + media.id
    name = clean(media.filename)[:255]
    return Content((*words, Attachment(media_type(media.mime_type), name, where=where)))
