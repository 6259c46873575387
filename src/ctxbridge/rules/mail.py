"""What a mail of ours says beside its words, whoever carries it: SMTP, or the API of a provider.

Sources: RFC 5322 (addresses, ids), RFC 2047 (what a subject may hide), RFC 3834 (answers of
machines), RFC 5321 (sizes). The adapters in `channels` know our mail by what is written here.
"""

import base64
import binascii
import re

from msgspec import Struct

from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Outgoing
from ctxbridge.rules.reply_tokens import ReplyTokens
from ctxbridge.rules.text import clean

MAX_ADDRESS_OCTETS = 254  # RFC 5321, 4.5.3.1.3: a path of 256 with its brackets
MAX_REFERENCES = 20
MAX_SUBJECT_CHARACTERS = 250
MAX_RAW_SUBJECT_CHARACTERS = 2_000

KEY_HEADER = "X-Ctxbridge-Delivery"
"""Holds `Outgoing.key`, for mails whose Message-ID a provider writes anew."""

LOOP_HEADER = "X-Loop"
"""Holds the mailbox that a mail is from: what comes back to it with that is our own."""

# Charsets of encoded words that are decoded; a word in another one is shown as it is written.
_CHARSETS = {"utf-8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252"}

_ENCODED_WORD = re.compile(
    r"=\?([!-)+->@-~]{1,40})(?:\*[!->@-~]{0,40})?\?([bBqQ])\?([!->@-~ ]*)\?="
)
_BETWEEN_WORDS = re.compile(r"(?<=\?=)[ \t\r\n]+(?==\?)")
_BREAKS = re.compile("[\x00-\x20\x7f-\x9f\u2028\u2029]+")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_MAILBOX = re.compile(r"[^\s<>()\[\],:;\\\"@]{1,64}@([^\s<>()\[\],:;\\\"@]+)")
_DOMAIN = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
_ID = re.compile(r"[!-;=?A-~]{1,250}@[!-;=?A-~]{1,250}")


class Heading(Struct, frozen=True):
    """The headers of one mail of ours, each on one line, and where it is to be answered.

    `message_id` and those in `headers` have their angle brackets; `reply_to` is empty where it is
    answered to where it came from.
    """

    message_id: str
    headers: dict[str, str]
    reply_to: str = ""


class Replies(Struct, frozen=True):
    """Where a mail of ours is to be answered: at `mailbox` (default: its own), with a token."""

    tokens: ReplyTokens
    mailbox: str = ""

    def address(self, ours: str, thread: str) -> str:
        """The address to answer to; empty where it would be too long for one."""
        address = self.tokens.address(self.mailbox or ours, thread)
        return address if is_mailbox(address) else ""


def replies_at(secret: str | bytes | None, mailbox: str = "") -> Replies | None:
    """The settings of a sender, as a value; `None` without a secret.

    Raises `ConfigurationError` for a secret that is too short and a mailbox that is none.
    """
    if mailbox and (secret is None or not is_mailbox(mailbox)):
        raise ConfigurationError("reply_to must be a mailbox, and needs a reply_secret")
    return None if secret is None else Replies(ReplyTokens(secret), mailbox)


def heading(outgoing: Outgoing, domain: str | None, replies: Replies | None) -> Heading | None:
    """What stands above `outgoing`; `None` where one of its two addresses cannot be written.

    In this order: Message-ID (the key at `domain`, by default that of the endpoint), In-Reply-To
    and References where there is something to refer to, Auto-Submitted and X-Auto-Response-Suppress
    unless a person wrote it, X-Loop, X-Ctxbridge-Delivery.
    """
    message = outgoing.message
    ours, theirs = outgoing.endpoint.value, outgoing.address.value
    host = ascii_domain(domain or ours.rpartition("@")[2])
    if host is None or not (is_mailbox(ours) and is_mailbox(theirs)):
        return None
    id = f"{outgoing.key}@{host}"
    headers = {"Message-ID": f"<{id}>"}
    if nearest := writable_ids(message.references):
        headers["In-Reply-To"] = nearest[0]
        headers["References"] = " ".join(reversed(nearest))
    if message.author != "human_agent":
        headers["Auto-Submitted"] = "auto-replied" if nearest else "auto-generated"
        headers["X-Auto-Response-Suppress"] = "All"
    headers[LOOP_HEADER] = ours
    headers[KEY_HEADER] = outgoing.key
    answered = replies.address(ours, message.thread or id) if replies else ""
    return Heading(headers["Message-ID"], headers, answered)


def subject(raw: str) -> str:
    """The subject on one line, at most 250 characters, unable to begin another header.

    Encoded words are decoded first, so that what they hide is seen; breaks and controls become
    blanks.
    """
    text = _BETWEEN_WORDS.sub("", raw[:MAX_RAW_SUBJECT_CHARACTERS])
    text = clean(_BREAKS.sub(" ", _ENCODED_WORD.sub(_decoded, text)).strip())
    if len(text) > MAX_SUBJECT_CHARACTERS:
        text = text[: MAX_SUBJECT_CHARACTERS - 1] + "…"
    return text


def writable(text: str) -> str:
    """The text as it can be written into a mail: ends of line as one, no control characters."""
    return clean(_CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def writable_ids(references: tuple[str, ...]) -> list[str]:
    """The ids that can be written, the nearest first, each once and in its brackets."""
    bare = [id.removeprefix("<").removesuffix(">") for id in references]
    return [f"<{id}>" for id in dict.fromkeys(bare) if _ID.fullmatch(id)][:MAX_REFERENCES]


def is_mailbox(value: str) -> bool:
    """Whether `value` is an address and nothing else; quoted local parts and literals are not."""
    match = _MAILBOX.fullmatch(value)
    if match is None or not value.isprintable() or len(value.encode()) > MAX_ADDRESS_OCTETS:
        return False
    return ascii_domain(match[1]) is not None


def ascii_domain(name: str) -> str | None:
    """The domain in ASCII (RFC 3490), `None` if it is none."""
    if len(name) > MAX_ADDRESS_OCTETS:
        return None
    try:
        in_ascii = name.encode("idna").decode("ascii")
    except UnicodeError:
        return None
    return in_ascii if _DOMAIN.fullmatch(in_ascii) else None


def _decoded(word: re.Match[str]) -> str:
    charset, encoding, text = word.groups()
    if charset.lower() not in _CHARSETS:
        return word[0]
    try:
        if encoding in "bB":
            return base64.b64decode(text).decode(charset, "replace")
        return binascii.a2b_qp(text, header=True).decode(charset, "replace")
    except ValueError:
        return word[0]
