"""What a message of Sinch's Conversation API holds: words, files, choices, or what is only kept."""

import re

import msgspec
from msgspec import Raw, Struct

from ctxbridge.channels._reading import UNKNOWN_TYPE, Reader, is_id, is_web_address
from ctxbridge.errors import Malformed
from ctxbridge.model import Attachment, Choice, Opaque, Part, Text
from ctxbridge.rules.text import clean

_KEY = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"[a-z_]{1,64}")
_BESIDE = ("reply_to",)


class _Words(Struct):
    text: str = ""


class _Media(Struct):
    url: str
    caption: str = ""
    filename_override: str = ""


class _Chosen(Struct):
    postback_data: str
    message_id: str = ""


class _ReplyTo(Struct):
    message_id: str = ""


class _Content(Struct):
    text_message: _Words | None = None
    media_message: _Media | None = None
    media_card_message: _Media | None = None
    choice_response_message: _Chosen | None = None
    reply_to: _ReplyTo | None = None


class Content(Struct, frozen=True):
    """The parts of a message, and what was found with them."""

    parts: tuple[Part, ...]
    references: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    errors: tuple[Malformed, ...] = ()


_CONTENT = msgspec.json.Decoder(_Content)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


def read(reader: Reader, data: Raw) -> Content:
    """What the contact wrote. What is not read here is kept byte for byte, and flagged."""
    found = reader.read(_CONTENT, data) or _Content()
    referred = [found.choice_response_message, found.reply_to]
    ids = [one.message_id for one in referred if one is not None and is_id(one.message_id)]
    references = tuple(dict.fromkeys(ids))
    if found.text_message:
        return Content(_words(found.text_message.text), references)
    if chosen := found.choice_response_message:
        # Only what we gave comes back, not what was shown: that is with the message it answers.
        id = clean(chosen.postback_data)
        return Content((Text(id), Choice(id, id)), references)
    if media := found.media_message or found.media_card_message:
        return _media(media, references)
    return _kept(reader, data, references)


def delivery_of(metadata: str) -> str:
    """Our own id of the message, where it was sent along as metadata (`SinchBuilder`)."""
    return metadata if _KEY.fullmatch(metadata) else ""


def _words(text: str) -> tuple[Part, ...]:
    return (Text(clean(text)),) if text else ()


def _media(media: _Media, references: tuple[str, ...]) -> Content:
    words = _words(media.caption)
    if not is_web_address(media.url):
        return Content(words, references, errors=(Malformed("a file has no web address"),))
    name = clean(media.filename_override)[:255]
    return Content((*words, Attachment(UNKNOWN_TYPE, name, where=media.url)), references)


def _kept(reader: Reader, data: Raw, references: tuple[str, ...]) -> Content:
    members = reader.read(_MEMBERS, data) or {}
    name = next((n for n in members if n not in _BESIDE and _NAME.fullmatch(n)), "content")
    flags = () if name == "location_message" else ("unsupported",)
    return Content((Opaque(f"sinch.{name}", bytes(data)),), references, flags)
