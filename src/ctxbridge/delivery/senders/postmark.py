"""Postmark's API: one mail as JSON.

Sources: postmarkapp.com/developer/api/email-api (fields), /developer/api/overview (error codes),
/support/article/1008-x-pm-keepid (its own Message-ID, unless told otherwise).
"""

import re

import msgspec

from ctxbridge.delivery.senders.mail_api import LetterWriter, refused, told
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Capabilities, HttpAnswer, HttpRequest, Outgoing, Sent

# About us and not about the message: the token, maintenance, credits, the account, too fast.
_LATER = (10, 100, 405, 412, 413, 429)
_ID = re.compile(r"[!-~]{1,64}")


class PostmarkBuilder:
    """The requests of the server whose `server_token` it is, in its `message_stream`.

    Events give our key back as metadata. `domain`, `reply_secret` and `reply_to` are as for
    `SmtpSender`. Raises `ConfigurationError` as that does, and for an empty token.
    """

    name: str = "postmark"
    channel: str = "email"
    repeatable: bool = False
    capabilities: Capabilities = Capabilities(
        form="html", subject=True, threads=True, receipts=("delivered", "read", "failed")
    )

    def __init__(
        self,
        server_token: str,
        *,
        message_stream: str = "outbound",
        base_url: str = "https://api.postmarkapp.com",
        domain: str | None = None,
        reply_secret: str | bytes | None = None,
        reply_to: str = "",
    ) -> None:
        if not (server_token and server_token.isascii() and server_token.isprintable()):
            raise ConfigurationError("server_token must be the token of a Postmark server")
        self._token = server_token
        self._stream = message_stream
        self._url = base_url.rstrip("/") + "/email"
        self._writer = LetterWriter(self.name, domain, reply_secret, reply_to)

    def build_send(self, outgoing: Outgoing, /) -> HttpRequest | Sent:
        """``failed``: ``postmark.empty`` and ``postmark.address``."""
        letter = self._writer.write(outgoing)
        if isinstance(letter, Sent):
            return letter
        kept = letter.headers | {"X-PM-KeepID": "true"}
        asked: dict[str, object] = {
            "From": letter.sender,
            "To": letter.recipient,
            "Subject": letter.subject,
            "TextBody": letter.text,
            "MessageStream": self._stream,
            "Metadata": letter.metadata,
            "Headers": [{"Name": name, "Value": value} for name, value in kept.items()],
        }
        if letter.html:
            asked["HtmlBody"] = letter.html
        if letter.reply_to:
            asked["ReplyTo"] = letter.reply_to
        headers = (
            ("Content-Type", "application/json"),
            ("Accept", "application/json"),
            ("X-Postmark-Server-Token", self._token),
        )
        return HttpRequest(self._url, msgspec.json.encode(asked), headers)

    def read_receipt(self, answer: HttpAnswer, /) -> Sent:
        """Postmark's id of the mail, which its webhooks name; else its ErrorCode."""
        said = told(answer)
        if answer.status == 200 and said.ErrorCode == 0 and _ID.fullmatch(said.MessageID):
            return Sent("sent", provider_id=said.MessageID)
        word = 0 < said.ErrorCode < 10**6
        code = f"postmark.{said.ErrorCode}" if word else ""
        if word and said.ErrorCode in _LATER and 400 <= answer.status < 500:
            return Sent("retry", code=code)
        return refused(answer, self.name, is_word=word, code=code)
