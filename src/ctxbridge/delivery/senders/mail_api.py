"""What the mail APIs of providers have in common: the mail they are given, and their answers.

The headers are those that `SmtpSender` writes, from `rules.mail`, so that an answer finds its way
back whoever carried the mail.
"""

import msgspec
from msgspec import Struct

from ctxbridge.errors import ConfigurationError
from ctxbridge.model import HttpAnswer, Outgoing, Sent
from ctxbridge.rules.mail import Replies, ascii_domain, heading, replies_at, subject, writable

MAX_METADATA_CHARACTERS = 80  # Postmark's limit of one value, the lowest of them

_NOT_TAKEN = (401, 403, 429)
"""Surely not taken: nobody was let in, or too fast. A message waits until that is mended."""


class Letter(Struct, frozen=True):
    """A mail as an API is given it. `headers` are ASCII; `metadata` comes back with its events."""

    sender: str
    recipient: str
    subject: str
    text: str
    headers: dict[str, str]
    metadata: dict[str, str]
    reply_to: str = ""
    html: str = ""


class LetterWriter:
    """Makes letters for the provider `name`.

    `domain`, `reply_secret` and `reply_to` are as for `SmtpSender`. Raises `ConfigurationError` as
    that does.
    """

    def __init__(
        self, name: str, domain: str | None, reply_secret: str | bytes | None, reply_to: str
    ) -> None:
        if domain is not None and ascii_domain(domain) is None:
            raise ConfigurationError("domain must be the name of a domain, such as example.org")
        self._name = name
        self._domain = domain
        self._replies: Replies | None = replies_at(reply_secret, reply_to)

    def write(self, outgoing: Outgoing) -> Letter | Sent:
        """The letter, or (``failed``) ``.address`` and ``.empty`` behind the provider's name."""
        top = heading(outgoing, self._domain, self._replies)
        if top is None:
            return Sent("failed", code=f"{self._name}.address")
        text = writable(outgoing.text)
        if not text.strip():
            return Sent("failed", code=f"{self._name}.empty")
        ours = outgoing.endpoint.value
        metadata = {"delivery": outgoing.key}
        if len(ours) <= MAX_METADATA_CHARACTERS:
            metadata["endpoint"] = ours
        return Letter(
            sender=ours,
            recipient=outgoing.address.value,
            subject=subject(outgoing.message.subject),
            text=text,
            headers={name: value for name, value in top.headers.items() if value.isascii()},
            metadata=metadata,
            reply_to=top.reply_to,
            html=outgoing.marked("html"),
        )


class Told(Struct):
    """What is read of an answer, whichever provider's; each uses some of it."""

    id: str = ""
    message: str = ""
    MessageID: str = ""
    ErrorCode: int = -1
    errors: list[msgspec.Raw] = []


def told(answer: HttpAnswer) -> Told:
    """The answer's words; empty ones where it has none, or those of somebody on the way."""
    try:
        return msgspec.json.decode(answer.body or b"", type=Told)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Told()


def refused(answer: HttpAnswer, name: str, *, is_word: bool, code: str = "") -> Sent:
    """What an answer means that is no success. `is_word` says that the API itself has spoken.

    ``retry``: nobody was let in, or too fast. ``failed``: its word, in the 400s. ``unknown``:
    whatever else, as something between here and there may have spoken for it.
    """
    code = code or f"{name}.{answer.status}"
    if answer.status in _NOT_TAKEN:
        return Sent("retry", code=code)
    never = is_word and 400 <= answer.status < 500
    return Sent("failed" if never else "unknown", code=code)
