"""Mailgun's API: one mail as a form.

Sources: documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages (fields, ``h:``
for headers, ``v:`` for what events give back), /docs/mailgun/quickstart-guide/responses (answers).
"""

import base64
import re
from urllib.parse import urlencode

from ctxbridge.delivery.senders.mail_api import LetterWriter, refused, told
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Capabilities, HttpAnswer, HttpRequest, Outgoing, Sent
from ctxbridge.rules.mail import ascii_domain

_ID = re.compile(r"<?([!-;=?-~]{1,250})>?")


class MailgunBuilder:
    """The requests of the sending domain `sending_domain`, with an `api_key` for it.

    In the EU, `base_url` is ``https://api.eu.mailgun.net``. Events give our key back as a user
    variable. `domain` (default: the endpoint's), `reply_secret` and `reply_to` are as for
    `SmtpSender`. Raises `ConfigurationError` as that does, and for an empty key or no domain.
    """

    name: str = "mailgun"
    channel: str = "email"
    repeatable: bool = False
    capabilities: Capabilities = Capabilities(
        form="html", subject=True, threads=True, receipts=("delivered", "read", "failed")
    )

    def __init__(
        self,
        api_key: str,
        sending_domain: str,
        *,
        base_url: str = "https://api.mailgun.net",
        domain: str | None = None,
        reply_secret: str | bytes | None = None,
        reply_to: str = "",
    ) -> None:
        where = ascii_domain(sending_domain)
        if not api_key or not where:
            raise ConfigurationError("api_key must not be empty, and sending_domain be a domain")
        self._authorization = "Basic " + base64.b64encode(f"api:{api_key}".encode()).decode()
        self._url = f"{base_url.rstrip('/')}/v3/{where}/messages"
        self._writer = LetterWriter(self.name, domain, reply_secret, reply_to)

    def build_send(self, outgoing: Outgoing, /) -> HttpRequest | Sent:
        """``failed``: ``mailgun.empty`` and ``mailgun.address``."""
        letter = self._writer.write(outgoing)
        if isinstance(letter, Sent):
            return letter
        form = {
            "from": letter.sender,
            "to": letter.recipient,
            "subject": letter.subject,
            "text": letter.text,
        }
        form |= {f"h:{name}": value for name, value in letter.headers.items()}
        form |= {f"v:{name}": value for name, value in letter.metadata.items()}
        if letter.html:
            form["html"] = letter.html
        if letter.reply_to:
            form["h:Reply-To"] = letter.reply_to
        headers = (
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Authorization", self._authorization),
        )
        return HttpRequest(self._url, urlencode(form).encode(), headers)

    def read_receipt(self, answer: HttpAnswer, /) -> Sent:
        """The Message-ID of the mail, without angle brackets, which its events name."""
        said = told(answer)
        found = _ID.fullmatch(said.id)
        if answer.status == 200 and found:
            return Sent("sent", provider_id=found[1])
        # A domain that is not found may be in a moment: "this one can be temporal".
        if answer.status == 404 and said.message:
            return Sent("retry", code="mailgun.404")
        return refused(answer, self.name, is_word=bool(said.message))
