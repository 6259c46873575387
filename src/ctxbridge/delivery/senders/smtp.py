"""E-mail by SMTP: one text from one mailbox to another, in the thread that it answers.

Sources: RFC 5321 (the exchange), RFC 5322 (the mail), RFC 2047 (the subject), RFC 2045 (the text),
RFC 3834 (answers of machines), RFC 6531 (addresses beyond ASCII).
"""

import base64
import re
import textwrap
import time
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

import anyio
from msgspec import Struct

from ctxbridge.delivery.senders.mail_body import body_of
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Capabilities, Outgoing, Sent
from ctxbridge.rules.mail import Replies, ascii_domain, heading, replies_at, subject, writable

if TYPE_CHECKING:
    import aiosmtplib

MAX_LINE_OCTETS = 998  # RFC 5322, 2.1.1
QUIT_SECONDS = 2.0

# Octets of UTF-8 in one encoded word: with its frame and "Subject: " a line of 76 (RFC 2047, 2).
_WORD_OCTETS = 39

_LONE_BREAK = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)

# What is refused with these is the login, whatever it is said to (RFC 4954, 6).
_ABOUT_LOGIN = {530, 534, 535, 538}


class Mail(Struct, frozen=True, gc=False):
    """A mail as it is given to the server: the envelope, the Message-ID header, and all bytes."""

    sender: str
    recipient: str
    id: str
    data: bytes

    @property
    def beyond_ascii(self) -> bool:
        """Whether an address needs SMTPUTF8; nothing else ever does."""
        return not (self.sender.isascii() and self.recipient.isascii())


class SmtpSender:
    """Sends through the server at `host`, with a connection for each mail. It runs on asyncio only.

    `start_tls`: true demands it, false does without, `None` takes it where it is offered. With a
    `username`, `None` demands it too, so that nobody on the way can ask for the password in the
    clear. `use_tls` is for a port that speaks TLS from the start (465). The server's certificate is
    always checked, also where TLS was only offered. `domain` stands in the Message-ID and the EHLO;
    without it, it is that of the endpoint's address. With a `reply_secret` (32 bytes or more, the
    one of the adapter that receives) Reply-To names the thread in a signed token, at `reply_to` or
    the endpoint's own mailbox. A server does not know a repetition, so `repeatable` is false. It
    needs aiosmtplib.

    Raises `ConfigurationError` for a missing package, and for settings that cannot be.
    """

    channel: str = "email"
    repeatable: bool = False
    capabilities: Capabilities = Capabilities(form="html", subject=True, threads=True)

    def __init__(
        self,
        host: str,
        port: int = 587,
        *,
        username: str | None = None,
        password: str | None = None,
        start_tls: bool | None = None,
        use_tls: bool = False,
        domain: str | None = None,
        reply_secret: str | bytes | None = None,
        reply_to: str = "",
        timeout_seconds: float = 30.0,
        per_second: float = 0.0,
    ) -> None:
        _need_aiosmtplib()
        if not host or not host.isprintable() or " " in host:
            raise ConfigurationError("host must be the name or address of a mail server")
        if use_tls and start_tls:
            raise ConfigurationError("use_tls and start_tls exclude each other")
        if password is not None and username is None:
            raise ConfigurationError("a password needs a username")
        if domain is not None and ascii_domain(domain) is None:
            raise ConfigurationError("domain must be the name of a domain, such as example.org")
        if username is not None and start_tls is None:
            start_tls = True
        self.timeout_seconds = timeout_seconds
        self.per_second = per_second
        self._where = (host, port)
        self._login = None if username is None else (username, password or "")
        self._use_tls = use_tls
        self._start_tls = False if use_tls else start_tls
        self._domain = domain
        self._replies = replies_at(reply_secret, reply_to)

    async def send(self, outgoing: Outgoing, /) -> Sent:
        """Hand the mail to the server; `provider_id` is its Message-ID, without angle brackets.

        ``failed``: ``smtp.empty``, ``smtp.address`` and ``smtp.header`` before anything was sent,
        ``smtp.smtputf8`` where the server cannot write an address, else the server's 5yz to MAIL,
        RCPT, DATA or the mail. ``retry``: its 4yz, a login or greeting that is refused, a
        connection that was lost before the mail was. ``unknown``: lost after that.
        """
        import aiosmtplib

        now = time.time_ns() // 1_000_000
        mail = written(outgoing, self._domain, now, self._replies)
        if isinstance(mail, Sent):
            return mail
        client = aiosmtplib.SMTP(
            hostname=self._where[0],
            port=self._where[1],
            local_hostname=mail.id.rpartition("@")[2].rstrip(">"),
            timeout=None,
            use_tls=self._use_tls,
            start_tls=False,
        )
        dialogue = _Dialogue(client, mail, self._start_tls, self._login)
        with anyio.move_on_after(self.timeout_seconds):
            return await dialogue.run()
        return dialogue.lost("smtp.timeout")

    async def aclose(self) -> None:
        """Nothing to do: no connection outlives its mail."""


class _Dialogue:
    """One mail on one connection, and how far it has come."""

    def __init__(
        self,
        client: "aiosmtplib.SMTP",
        mail: Mail,
        start_tls: bool | None,
        login: tuple[str, str] | None,
    ) -> None:
        self._client = client
        self._mail = mail
        self._start_tls = start_tls
        self._login = login
        self._step = "smtp.unreachable"  # what it is called if the connection ends here
        self._let_in = False  # from here on, a refusal is about the mail and not about us
        self._gone = False  # from here on, the server may have all of the mail

    async def run(self) -> Sent:
        """Do it, and say what became of it. Raises nothing but cancellation."""
        from aiosmtplib import SMTPException, SMTPResponseException

        try:
            outcome = await self._steps()
            await self._part()
            return outcome
        except SMTPResponseException as error:
            return self._refused(error.code)
        except (SMTPException, OSError, ValueError):
            # ValueError is what an answer that is no base64 or no ASCII ends in.
            return self.lost(self._step)
        finally:
            self._drop()

    def lost(self, code: str) -> Sent:
        """The outcome where no answer came."""
        return Sent("unknown" if self._gone else "retry", code=code)

    async def _steps(self) -> Sent:
        await self._enter()
        client, mail = self._client, self._mail
        options = [b"SMTPUTF8", b"BODY=8BITMIME"] if mail.beyond_ascii else []
        if options and not client.supports_extension("smtputf8"):
            return Sent("failed", code="smtp.smtputf8")
        for words in (
            [b"MAIL", b"FROM:<%b>" % mail.sender.encode(), *options],
            [b"RCPT", b"TO:<%b>" % mail.recipient.encode()],
        ):
            reply = await client.execute_command(*words)
            if not 200 <= reply.code < 300:
                return self._refused(reply.code)
        reply = await client.execute_command(b"DATA")
        if reply.code != 354:
            return self._refused(reply.code)
        return await self._content()

    async def _enter(self) -> None:
        """Connect, secure the line, log in."""
        client = self._client
        await client.connect()
        self._step = "smtp.tls"
        if self._start_tls is not False:
            await client.ehlo()
            if self._start_tls or client.supports_extension("starttls"):
                await client.starttls()
        self._step = "smtp.login"
        if self._login is not None:
            await client.login(*self._login)
        if client.is_ehlo_or_helo_needed:
            await client.ehlo()
        self._step = "smtp.lost"
        self._let_in = True

    async def _content(self) -> Sent:
        """Write the mail and its end at once: nobody can tell how much of it was read."""
        protocol = self._client.protocol
        if protocol is None or not protocol.is_connected:
            return self.lost("smtp.lost")
        self._gone = True
        protocol.write(_LEADING_DOT.sub(b"..", self._mail.data) + b".\r\n")
        reply = await protocol.read_response()
        if 200 <= reply.code < 300:
            return Sent("sent", provider_id=self._mail.id[1:-1])
        return self._refused(reply.code)

    def _refused(self, code: int) -> Sent:
        """What a reply means: 4yz not now, 5yz never (RFC 5321, 4.2.1), and others nothing."""
        if 400 <= code < 600:
            never = code >= 500 and self._let_in and code not in _ABOUT_LOGIN
            return Sent("failed" if never else "retry", code=f"smtp.{code}")
        return self.lost("smtp.reply")

    async def _part(self) -> None:
        """Say QUIT (RFC 5321, 4.1.1.10). What became of the mail is known, whatever comes now."""
        from aiosmtplib import SMTPException

        with (
            anyio.move_on_after(QUIT_SECONDS, shield=True),
            suppress(SMTPException, OSError, ValueError),
        ):
            if self._client.is_connected:
                await self._client.quit()

    def _drop(self) -> None:
        """Close what is still open. Not politely: TLS would wait for the other side to agree."""
        transport = self._client.transport
        if transport is not None:
            getattr(transport, "abort", transport.close)()
        self._client.close()


def written(
    outgoing: Outgoing, domain: str | None, now: int, replies: Replies | None = None
) -> Mail | Sent:
    """The mail that says `outgoing`, or why there can be none. `now` is in Unix milliseconds.

    Its headers are these and no others, whatever the subject holds: From, To, Subject, Date, those
    of `rules.mail.heading`, Reply-To where a thread is named in it, MIME-Version, Content-Type and
    Content-Transfer-Encoding.
    """
    top = heading(outgoing, domain, replies)
    if top is None:
        return Sent("failed", code="smtp.address")
    if not writable(outgoing.text).strip():
        return Sent("failed", code="smtp.empty")
    headers = {
        "From": outgoing.endpoint.value,
        "To": outgoing.address.value,
        "Subject": _subject(outgoing.message.subject),
        "Date": format_datetime(datetime.fromtimestamp(now / 1000, UTC)),
    }
    headers |= {name: value.replace(" ", "\r\n ") for name, value in top.headers.items()}
    if top.reply_to:
        headers["Reply-To"] = top.reply_to
    about_body, body = body_of(outgoing.text, outgoing.marked("html"), outgoing.key)
    headers |= {"MIME-Version": "1.0", **about_body}
    head = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    data = head.encode() + b"\r\n" + body
    if names(data) != list(headers):
        return Sent("failed", code="smtp.header")
    return Mail(headers["From"], headers["To"], top.message_id, data)


def names(data: bytes) -> list[str]:
    """The header names that a reader of these bytes finds; none if they are no mail.

    They are none with a line of over 998 octets, a NUL, or a CR or LF by itself (RFC 5322, 2.1.1
    and 2.3), of which some servers would make an end of line.
    """
    lines = data.split(b"\r\n")
    if _LONE_BREAK.search(data) or b"\x00" in data or max(map(len, lines)) > MAX_LINE_OCTETS:
        return []
    head = lines[: lines.index(b"")] if b"" in lines else lines
    return [
        line.partition(b":")[0].decode("utf-8", "replace")
        for line in head
        if not line.startswith((b" ", b"\t"))
    ]


def _subject(raw: str) -> str:
    """The subject on lines of its own (RFC 2047).

    What is not plain ASCII, or looks like an encoded word once those are decoded, is encoded.
    """
    text = subject(raw)
    if text.isascii() and "=?" not in text:
        return "\r\n ".join(textwrap.wrap(text, 66, break_long_words=False, break_on_hyphens=False))
    words, word = [], b""
    for character in text:
        octets = character.encode()
        if len(word) + len(octets) > _WORD_OCTETS:
            words.append(word)
            word = b""
        word += octets
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(w).decode()}?=" for w in [*words, word])


def _need_aiosmtplib() -> None:
    try:
        import aiosmtplib  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            'SmtpSender needs aiosmtplib: pip install "ctxbridge[smtp]"'
        ) from None
