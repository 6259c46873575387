"""The frames that a page sends, and what each of them comes to.

All are JSON objects with a ``type``::

    {"type": "message", "client_msg_id": "m1", "text": "Hello", "sent_at": 1700000000000}
    {"type": "edit", "client_msg_id": "m2", "of": "m1", "text": "Hello!"}
    {"type": "delete", "client_msg_id": "m3", "of": "m1"}
    {"type": "reaction", "client_msg_id": "m4", "seq": 12, "value": "+1", "on": true}
    {"type": "typing", "on": true}
    {"type": "ack", "seq": 12}                    the page has it
    {"type": "read", "seq": 12}                   the person has seen it
    {"type": "resume", "token": "...", "last_seq": 12, "log": "..."}
    {"type": "ping"}

``client_msg_id`` is the page's own id, a UUID: the same one again is the same frame. ``of`` names
an earlier frame of the same person by it, ``seq`` a message by its place in the conversation's log.
"""

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ctxbridge.channels._edge import malformed
from ctxbridge.channels.webchat.tokens import UNDECODABLE, is_name
from ctxbridge.model import (
    Address,
    Assurance,
    Endpoint,
    Inbound,
    Notice,
    Parsed,
    Receipt,
    Text,
)
from ctxbridge.rules.text import clean

PROVIDER = "webchat"
CHANNEL = "chat"
HORIZON_SECONDS = 7 * 24 * 3600.0

MAX_TEXT_CHARACTERS = 16_000
MAX_ID_CHARACTERS = 128
MAX_VALUE_CHARACTERS = 32

Milliseconds = Annotated[int, Meta(ge=0, le=10**14)]
Seq = Annotated[int, Meta(ge=0, le=2**40)]


class Frame(Struct):
    """One frame, as it was sent; what its type does not use is ignored."""

    type: str
    client_msg_id: str = ""
    text: str = ""
    of: str = ""
    seq: Seq = 0
    value: str = ""
    on: bool = True
    sent_at: Milliseconds = 0
    token: str = ""
    visitor: str = ""
    last_seq: Seq = 0
    log: str = ""


class Writer(Struct, frozen=True):
    """Who writes, how sure that is, and until when (Unix milliseconds, 0 for ever)."""

    address: Address
    assurance: Assurance
    until: int = 0

    def named(self, client_msg_id: str) -> str:
        """The message id of what this writer's page calls `client_msg_id`.

        Colons of the subject are escaped: ``a`` + ``b:c`` and ``a:b`` + ``c`` stay two ids.
        """
        subject = self.address.value.replace("%", "%25").replace(":", "%3A")
        return f"{subject}:{client_msg_id}"


_FRAME = msgspec.json.Decoder(Frame)
_Reading = Callable[[Frame, Writer, Endpoint], Parsed]


def read(body: bytes, max_bytes: int) -> Frame | None:
    """The frame in `body`; `None` if it is none, or too large."""
    if len(body) > max_bytes:
        return None
    try:
        return _FRAME.decode(body)
    except UNDECODABLE:
        return None


def client_msg_id_of(message_id: str) -> str:
    """What the page calls the message."""
    return message_id.partition(":")[2]


def events_of(frame: Frame, writer: Writer, endpoint: Endpoint) -> Parsed:
    """What the frame says, as values; its reason where it says nothing."""
    reading = _READINGS.get(frame.type)
    if reading is None:
        return malformed("the frame is of no type that a page may send here")
    return reading(frame, writer, endpoint)


def _message(frame: Frame, writer: Writer, endpoint: Endpoint) -> Parsed:
    if not _is_id(frame.client_msg_id):
        return malformed("client_msg_id must be 1 to 128 printable characters")
    if not frame.text.strip() or len(frame.text) > MAX_TEXT_CHARACTERS:
        return malformed(f"text must be 1 to {MAX_TEXT_CHARACTERS} characters")
    return Parsed(events=(_written(frame, writer, endpoint, (Text(clean(frame.text)),)),))


def _edit(frame: Frame, writer: Writer, endpoint: Endpoint) -> Parsed:
    if not _is_id(frame.of):
        return malformed("of must be 1 to 128 printable characters")
    return _message(frame, writer, endpoint)


def _delete(frame: Frame, writer: Writer, endpoint: Endpoint) -> Parsed:
    if not (_is_id(frame.client_msg_id) and _is_id(frame.of)):
        return malformed("client_msg_id and of must be 1 to 128 printable characters")
    return Parsed(events=(_written(frame, writer, endpoint, ()),))


def _written(frame: Frame, writer: Writer, endpoint: Endpoint, parts: tuple[Text, ...]) -> Inbound:
    revises = writer.named(frame.of) if frame.type in {"edit", "delete"} else ""
    return Inbound(
        channel=CHANNEL,
        endpoint=endpoint,
        sender=writer.address,
        message_id=writer.named(frame.client_msg_id),
        parts=parts,
        assurance=writer.assurance,
        id_source="sender",
        occurred_at=frame.sent_at,
        thread=writer.address.value,
        horizon_seconds=HORIZON_SECONDS,
        provider=PROVIDER,
        revises=revises,
    )


def _reaction(frame: Frame, writer: Writer, endpoint: Endpoint) -> Parsed:
    if not _is_id(frame.client_msg_id) or not is_name(frame.value, MAX_VALUE_CHARACTERS):
        return malformed("client_msg_id and value must be there and printable")
    if bool(frame.seq) is bool(frame.of) or not (frame.seq or _is_id(frame.of)):
        return malformed("a reaction is about a seq, or of a message of one's own")
    notice = Notice(
        CHANNEL,
        endpoint,
        "reaction" if frame.on else "reaction_removed",
        writer.address,
        event_id=writer.named(frame.client_msg_id),
        about=str(frame.seq) if frame.seq else writer.named(frame.of),
        value=clean(frame.value),
        occurred_at=frame.sent_at,
        thread=writer.address.value,
        provider=PROVIDER,
    )
    return Parsed(events=(notice,))


def _typing(frame: Frame, writer: Writer, endpoint: Endpoint) -> Parsed:
    notice = Notice(
        CHANNEL, endpoint, "typing", writer.address, value="on" if frame.on else "off",
        occurred_at=frame.sent_at, thread=writer.address.value, provider=PROVIDER,
    )  # fmt: skip
    return Parsed(events=(notice,))


def _seen(frame: Frame, writer: Writer, endpoint: Endpoint) -> Parsed:
    if not frame.seq:
        return malformed("seq is missing")
    return Parsed(events=(receipt(frame.seq, writer, endpoint, read=frame.type == "read"),))


def receipt(
    seq: int, writer: Writer, endpoint: Endpoint, *, read: bool, delivery: str = ""
) -> Receipt:
    """That the page has the message of ours at `seq`, or that the person has read it.

    The place in the log is the id by which the page knows a message of ours.
    """
    return Receipt(
        CHANNEL, endpoint, str(seq), "read" if read else "delivered", writer.address,
        provider=PROVIDER, delivery=delivery,
    )  # fmt: skip


def _is_id(value: str) -> bool:
    return is_name(value, MAX_ID_CHARACTERS)


_READINGS: dict[str, _Reading] = {
    "message": _message,
    "edit": _edit,
    "delete": _delete,
    "reaction": _reaction,
    "typing": _typing,
    "ack": _seen,
    "read": _seen,
}
