"""Reply tokens: the thread that a mail answers, signed into the address it is answered to.

``support+<token>@acme.example`` is another way to write ``support@acme.example`` (RFC 5233), and
what is answered there names its thread even where a mailer has dropped References. A token is good
for that alone. Mails are forwarded, so whoever holds one may be anybody: it raises no assurance and
names no contact.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence

from msgspec import Struct

from ctxbridge.errors import ConfigurationError

LEAST_BYTES = 32
"""A secret for HMAC-SHA256 is as long as its digest (RFC 7518, 3.2), or it can be guessed."""

MAX_LOCAL_OCTETS = 64  # RFC 5321, 4.5.3.1.1
_NAME_BYTES, _MAC_BYTES = 15, 10
_USE = b"ctxbridge reply token 1\x00"

# Base32 without padding, in small letters: some systems fold the case of a local part.
_TOKEN = re.compile(r"[A-Za-z2-7]{40}")
_NAME = re.compile(r"thread:[a-z2-7]{24}")


class Reached(Struct, frozen=True):
    """What an address of ours comes to: the `mailbox` without its token, and what that says.

    `thread` is the thread that a good token names; `forged` says that one is not good.
    """

    mailbox: str
    thread: str = ""
    forged: bool = False


def thread_name(thread: str) -> str:
    """The short name of a thread that fits into a token; that of a name is itself."""
    if _NAME.fullmatch(thread):
        return thread
    digest = hashlib.sha256(thread.encode("utf-8", "surrogatepass")).digest()
    return "thread:" + _written(digest[:_NAME_BYTES])


class ReplyTokens:
    """Makes and reads reply tokens under `secret`, or several of them while one is being replaced.

    The first one signs. Raises `ConfigurationError` for one of less than 32 bytes: an empty one is
    an unset variable of the environment. Never shown by `repr`.
    """

    __slots__ = ("_secrets",)

    def __init__(self, secret: str | bytes | Sequence[str | bytes]) -> None:
        several = (secret,) if isinstance(secret, (str, bytes)) else tuple(secret)
        self._secrets = [s if isinstance(s, bytes) else s.encode() for s in several]
        if not several or any(len(s) < LEAST_BYTES for s in self._secrets):
            msg = f"reply_secret is shorter than {LEAST_BYTES} bytes; make it random"
            raise ConfigurationError(msg)

    def __repr__(self) -> str:
        return f"<ReplyTokens {len(self._secrets)}>"

    def token(self, thread: str) -> str:
        """The token of a thread: 40 letters and digits."""
        name = thread_name(thread).partition(":")[2]
        return name + _mac(self._secrets[0], name)

    def address(self, mailbox: str, thread: str) -> str:
        """`mailbox` with the token of `thread`; empty where that is too long for a mailbox."""
        local, at, domain = mailbox.rpartition("@")
        tagged = f"{local}+{self.token(thread)}"
        return f"{tagged}{at}{domain}" if at and len(tagged.encode()) <= MAX_LOCAL_OCTETS else ""

    def thread(self, token: str) -> str:
        """The thread that the token names; empty if it is not one of ours."""
        if not _TOKEN.fullmatch(token):
            return ""
        token = token.lower()
        name, given = token[:24], token[24:]
        good = [hmac.compare_digest(_mac(secret, name), given) for secret in self._secrets]
        return f"thread:{name}" if any(good) else ""

    def reached(self, address: str) -> Reached:
        """What `address` comes to. A tag without the form of a token is part of the mailbox."""
        local, at, domain = address.rpartition("@")
        mailbox, plus, tag = local.rpartition("+")
        if not (at and plus and mailbox and _TOKEN.fullmatch(tag)):
            return Reached(address)
        thread = self.thread(tag)
        return Reached(f"{mailbox}@{domain}", thread, forged=not thread)


def _mac(secret: bytes, name: str) -> str:
    return _written(hmac.digest(secret, _USE + name.encode(), "sha256")[:_MAC_BYTES])


def _written(data: bytes) -> str:
    return base64.b32encode(data).decode().lower()
