"""E-mail, as the raw bytes of RFC 5322: what an SMTP server, a mailbox or a raw webhook gives.

Standards: RFC 5322 (headers), 2045-2049 and 2231 (MIME), 3676 (signatures), 3834 (automatic mail),
8601 (Authentication-Results), 7489 (DMARC). Limits and reasons are beside the code, in `mail`.
"""

from collections.abc import Sequence
from functools import partial

from ctxbridge.channels._edge import UNREADABLE, UNVERIFIABLE, is_forged, refused, total
from ctxbridge.channels.mail import mime, trust
from ctxbridge.channels.mail.digest import digest
from ctxbridge.channels.mail.letterbox import Envelope, Letterbox, nobody
from ctxbridge.errors import ConfigurationError, Malformed
from ctxbridge.model import (
    Capabilities,
    HttpReply,
    Message,
    Parsed,
    RawRequest,
    Verification,
)


class Email:
    """Mail that came in for `mailbox` (default: whatever the mail's first `To` says).

    `authserv_id` is the name under which your own receiving server writes Authentication-Results;
    only what it says can lift a sender from ``CLAIMED`` to ``CHANNEL``. Mails over `max_bytes`
    (default 10 MiB) are malformed.

    `reply_secret` is that of the sender which writes the thread into Reply-To, or several while one
    is being replaced; without it, no address is looked at for a token. Mails whose Message-ID or
    loop header is of one of `own_domains` are our own.

    Raises `ConfigurationError` for a setting that is given but empty, and a secret too short.
    """

    name: str = "email"
    channel: str = "email"
    horizon_seconds: float = 4 * 24 * 3600.0
    capabilities: Capabilities = Capabilities(form="html", media=True, subject=True, threads=True)

    def __init__(
        self,
        mailbox: str | None = None,
        *,
        authserv_id: str | None = None,
        max_bytes: int = 10 * 1024 * 1024,
        reply_secret: str | bytes | Sequence[str | bytes] | None = None,
        own_domains: Sequence[str] = (),
    ) -> None:
        if authserv_id == "":
            raise ConfigurationError("authserv_id must be a name where it is given")
        self._letterbox = Letterbox(
            self.name,
            self.horizon_seconds,
            mailbox=mailbox,
            reply_secret=reply_secret,
            own_domains=own_domains,
        )
        self._authserv_id = authserv_id
        self._max_bytes = max_bytes

    @total(UNVERIFIABLE)
    def verify(self, _request: RawRequest, /) -> Verification:
        """Always ``unsigned``: a mail proves nothing by how it came in. See `parse` for DMARC."""
        return Verification("unsigned")

    @total(UNREADABLE)
    def parse(self, request: RawRequest, verification: Verification, /) -> Parsed:
        """One message: new words as `Text`, repeated ones as `Quote`, in the order of the mail.

        A report on a mail of ours is a receipt instead. A mail over a limit, or of nobody, is
        malformed. See `Letterbox.open` for the flags.
        """
        if refusal := refused(verification):
            return refusal
        try:
            mail = mime.parse(request.body, self._max_bytes)
        except Malformed as error:
            return Parsed(errors=(error,))
        authserv_id = self._authserv_id
        vouches = partial(trust.is_aligned, mail, authserv_id) if authserv_id else nobody
        envelope = Envelope(digest(request.body), request.received_at, vouches=vouches)
        return self._letterbox.open(mail, mime.read(mail), envelope)

    def reply(self, outcome: Parsed, _answer: Sequence[Message] = (), /) -> HttpReply:
        """200, also for what is malformed: sending it again cannot help. Answers go out as mail."""
        return HttpReply(403, b"forbidden") if is_forged(outcome) else HttpReply(200)
