"""SendGrid's API: one mail as JSON.

Sources: twilio.com/docs/sendgrid/api-reference/mail-send/mail-send (fields, the headers that it
keeps to itself), /mail-send/errors, /glossary/x-message-id.
"""

import re

import msgspec

from ctxbridge.delivery.senders.mail_api import LetterWriter, refused, told
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Capabilities, HttpAnswer, HttpRequest, Outgoing, Sent

_ID = re.compile(r"[!-~]{1,200}")


class SendGridBuilder:
    """The requests of the account whose `api_key` it is.

    Events give our key back as a custom argument. `domain`, `reply_secret` and `reply_to` are as
    for `SmtpSender`. Raises `ConfigurationError` as that does, and for an empty key.
    """

    name: str = "sendgrid"
    channel: str = "email"
    repeatable: bool = False
    capabilities: Capabilities = Capabilities(
        form="html", subject=True, threads=True, receipts=("sent", "delivered", "read", "failed")
    )

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = "https://api.sendgrid.com",
        domain: str | None = None,
        reply_secret: str | bytes | None = None,
        reply_to: str = "",
    ) -> None:
        if not (api_key and api_key.isascii() and api_key.isprintable()):
            raise ConfigurationError("api_key must be an API key of SendGrid")
        self._key = api_key
        self._url = base_url.rstrip("/") + "/v3/mail/send"
        self._writer = LetterWriter(self.name, domain, reply_secret, reply_to)

    def build_send(self, outgoing: Outgoing, /) -> HttpRequest | Sent:
        """``failed``: ``sendgrid.empty`` and ``sendgrid.address``.

        SendGrid demands a subject: one that is empty is a blank.
        """
        letter = self._writer.write(outgoing)
        if isinstance(letter, Sent):
            return letter
        asked: dict[str, object] = {
            "personalizations": [{"to": [{"email": letter.recipient}]}],
            "from": {"email": letter.sender},
            "subject": letter.subject or " ",
            "content": [
                {"type": kind, "value": words}
                for kind, words in (("text/plain", letter.text), ("text/html", letter.html))
                if words
            ],
            "headers": letter.headers,
            "custom_args": letter.metadata,
        }
        if letter.reply_to:
            asked["reply_to"] = {"email": letter.reply_to}
        headers = (
            ("Content-Type", "application/json"),
            ("Authorization", f"Bearer {self._key}"),
        )
        return HttpRequest(self._url, msgspec.json.encode(asked), headers)

    def read_receipt(self, answer: HttpAnswer, /) -> Sent:
        """202, and the id in X-Message-Id, with which those of its events begin."""
        if answer.status in (200, 202):
            id = answer.header("X-Message-Id")
            return Sent("sent", provider_id=id if _ID.fullmatch(id) else "")
        return refused(answer, self.name, is_word=bool(told(answer).errors))
