"""What builders of requests have in common: what may be sent, and how an answer is read."""

import base64
from typing import Literal, TypeVar

import msgspec

from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Choice, Outgoing, Sent
from ctxbridge.model.address import MAX_ADDRESS_CHARACTERS
from ctxbridge.ports import Builder
from ctxbridge.rules.choices import (
    LONGEST_ID_OF_A_BUTTON,
    as_buttons,
    lines,
    pointed_to_in,
    said_in,
)
from ctxbridge.rules.providers import phone
from ctxbridge.rules.text import clean

T = TypeVar("T")

JSON = ("Content-Type", "application/json")

# What msgspec raises for bytes that are no JSON, no UTF-8, or nested too deep.
_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

# Of the button that opens a list (developers.facebook.com, interactive messages).
OPENER_CHARACTERS = 20

Shown = Literal["none", "buttons", "list", "numbers"]


def decoded(body: bytes | None, kind: type[T]) -> T | None:
    """The JSON of an answer as `kind`; `None` if it is none, or another."""
    try:
        return msgspec.json.decode(body or b"", type=kind)
    except _UNDECODABLE:
        return None


def basic(name: str, secret: str) -> str:
    """The value of an Authorization header (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


def is_writable(value: str, *, but: str = "") -> bool:
    """Whether `value` can name one party; none of the characters of `but` is in it."""
    if not value.strip() or len(value) > MAX_ADDRESS_CHARACTERS or not value.isprintable():
        return False
    return not any(character in value for character in but)


def list_opener(words: str) -> str:
    """`words`, if they can stand on the button that opens a list; else `ConfigurationError`."""
    if not words.strip() or len(words) > OPENER_CHARACTERS or not words.isprintable():
        raise ConfigurationError(f"list_button must have 1 to {OPENER_CHARACTERS} characters")
    return words


def can_answer(channel: str, value: str) -> bool:
    """Whether a message can go to `value`: by SMS, names ("AcmeInc") only write."""
    return channel != "sms" or bool(phone(value)) or (value.isascii() and value.isdigit())


def refusal(builder: Builder, text: str) -> Sent | None:
    """Why `text` cannot be sent by `builder` at all: nothing in it, or too much of it."""
    if not text.strip():
        return Sent("failed", code=f"{builder.name}.empty")
    limits = builder.capabilities
    length = len(text.encode()) if limits.unit == "byte" else len(text)
    if limits.longest and length > limits.longest:
        return Sent("failed", code=f"{builder.name}.too_long")
    return None


def offered(outgoing: Outgoing) -> tuple[Choice, ...]:
    """The answers that the message offers, in their order."""
    return outgoing.choices.offered if outgoing.choices is not None else ()


def shown_as(builder: Builder, outgoing: Outgoing) -> Shown:
    """How the answers that a message offers are shown: as buttons where they fit, and so on.

    They stand under a text, and a long one takes no buttons. Two that look alike, or that would
    come back under the same id, do not fit: nobody could tell which was meant. What the words
    say already is not offered once more.
    """
    choices, limits = offered(outgoing), builder.capabilities
    if outgoing.choices is None or not choices:
        return "none"
    words, most = _marked(builder, outgoing), limits.above_choices
    if not words.strip() or not _within(len(words), most):
        return "numbers"
    if said_in(outgoing.text, outgoing.choices) or not as_buttons(outgoing.choices, limits):
        return "numbers"
    ids, labels = {c.id for c in choices}, {c.label for c in choices}
    fits = len(ids) == len(labels) == len(choices) and all(map(_is_sound, choices))
    longest = max(len(label) for label in labels)
    if fits and len(choices) <= limits.buttons and _within(longest, limits.button_characters):
        return "buttons"
    if fits and len(choices) <= limits.choices and _within(longest, limits.choice_characters):
        return "list"
    return "numbers"


def _within(length: int, most: int) -> bool:
    return not most or length <= most


def words_of(builder: Builder, outgoing: Outgoing) -> str:
    """The words, as the channel marks them up.

    Where answers are offered that are no buttons here, and the words do not say them yet, they
    stand below, in numbered lines.
    """
    words, choices = _marked(builder, outgoing), outgoing.choices
    if choices is None or shown_as(builder, outgoing) != "numbers":
        return words
    if said_in(outgoing.text, choices) or pointed_to_in(outgoing.text, choices):
        return words
    return clean(f"{words}\n\n{lines(choices)}".strip("\n"))


def _marked(builder: Builder, outgoing: Outgoing) -> str:
    return clean(outgoing.marked(builder.capabilities.form) or outgoing.text)


def _is_sound(choice: Choice) -> bool:
    return bool(choice.label.strip()) and 0 < len(choice.id) <= LONGEST_ID_OF_A_BUTTON
