"""Twilio's Messages resource: SMS, WhatsApp, RCS and Messenger, by HTTPS.

Sources: twilio.com/docs/messaging/api/message-resource (fields), /docs/usage/requests-to-twilio
(authentication), /docs/api/errors/20429 (what got a 429 was not processed), /docs/api/errors/20500
(what got a 5xx may have been, and a repetition would reach the customer twice; the page on 20503
says nothing else), /docs/api/errors/21658 (1,600 characters). No page names a key by which the
resource would know a repetition, so none is sent.
"""

import re
from urllib.parse import quote, urlencode, urlsplit

from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.delivery.senders.http import NOT_TAKEN, HttpSender, absolute, need_httpx
from ctxbridge.delivery.senders.wording import (
    basic,
    can_answer,
    decoded,
    is_writable,
    refusal,
    words_of,
)
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Capabilities, HttpAnswer, HttpRequest, Outgoing, Sent
from ctxbridge.rules.providers import TWILIO

PREFIXED = ("whatsapp", "rcs", "messenger")
"""The channels that stand before From and To; SMS is what has no prefix."""

# The sender's queue is full (/docs/api/errors/21611): not taken either, and it empties.
_QUEUE_FULL = 21611

_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
_SID = re.compile(r"[!-~]{1,64}")
_FORM = "application/x-www-form-urlencoded"


class _Answer(Struct):
    """A message that was made has a `sid`, an error a `code`."""

    sid: str | None = None
    code: int | None = None


class TwilioBuilder:
    """The requests of one account; what it is given, see `TwilioSender`."""

    name: str = "twilio"
    repeatable: bool = False
    capabilities: Capabilities = TWILIO

    def __init__(
        self, account_sid: str, auth_token: str, *, status_callback: str | None = None,
        base_url: str = "https://api.twilio.com", channel: str = "sms",
    ) -> None:  # fmt: skip
        if not account_sid or not auth_token:
            raise ConfigurationError("account_sid and auth_token must not be empty")
        if channel != "sms" and channel not in PREFIXED:
            raise ConfigurationError(f"channel must be sms, {', '.join(PREFIXED)}")
        self.channel = channel
        if channel == "whatsapp":
            self.capabilities = replace(TWILIO, form="whatsapp")
        self._headers = (
            ("Authorization", basic(account_sid, auth_token)),
            ("Content-Type", _FORM),
        )
        self._callback = absolute(status_callback, "status_callback") if status_callback else ""
        account = quote(account_sid, safe="")
        base = absolute(base_url, "base_url").rstrip("/")
        self._url = f"{base}/2010-04-01/Accounts/{account}/Messages.json"
        self._prefix = "" if channel == "sms" else channel + ":"

    def build_send(self, outgoing: Outgoing, /) -> HttpRequest | Sent:
        """A form; ``failed``: ``twilio.empty``, ``twilio.too_long`` and ``twilio.address``."""
        text = words_of(self, outgoing)
        ours, theirs = outgoing.endpoint.value, outgoing.address.value
        if refused := refusal(self, text):
            return refused
        # A colon would put it on another channel than ours.
        writable = is_writable(ours, but=":") and is_writable(theirs, but=":")
        if not writable or not can_answer(self.channel, theirs):
            return Sent("failed", code="twilio.address")
        form = {"To": self._prefix + theirs, "Body": text}
        if _SERVICE.fullmatch(ours):
            form["MessagingServiceSid"] = ours
        else:
            form["From"] = self._prefix + ours
        if self._callback:
            form["StatusCallback"] = _with_key(self._callback, outgoing.key)
        return HttpRequest(self._url, urlencode(form).encode(), self._headers)

    def read_receipt(self, answer: HttpAnswer, /) -> Sent:
        """The message's SID, or the code that Twilio gave with a status of the 400s."""
        status, said = answer.status, decoded(answer.body, _Answer) or _Answer()
        if 200 <= status < 300 and said.sid and _SID.fullmatch(said.sid):
            return Sent("sent", provider_id=said.sid)
        told = 400 <= status < 500 and status not in NOT_TAKEN
        if told and said.code and 0 < said.code < 10**6:
            code = f"twilio.{said.code}"
            return Sent("retry" if said.code == _QUEUE_FULL else "failed", code=code)
        # No word of the Messages resource: something between here and there may have spoken for it.
        return Sent("unknown")


class TwilioSender(HttpSender):
    """Sends by the account `account_sid`, in at most `timeout_seconds` for each message.

    A conversation's endpoint is the From; one that is the SID of a messaging service (``MG...``)
    goes into MessagingServiceSid. `channel` is ``sms``, ``whatsapp``, ``rcs`` or ``messenger``.
    `status_callback` is the public address for receipts; each request adds ``delivery=<key>`` to
    its query, and a fragment with Twilio's connection overrides stays. A repetition cannot be told
    from a new message, so `repeatable` is false. It needs httpx, and runs on asyncio and trio.

    Of its answers, ``failed`` is the code that Twilio gave with a status of the 400s, and
    ``retry`` also a full queue; the rest is as in `HttpSender`.

    Raises `ConfigurationError` for a missing package, empty credentials, another channel, or an
    address that is not absolute.
    """

    def __init__(
        self,
        account_sid: str,
        auth_token: str,
        *,
        status_callback: str | None = None,
        base_url: str = "https://api.twilio.com",
        channel: str = "sms",
        timeout_seconds: float = 15.0,
        per_second: float = 0.0,
    ) -> None:
        need_httpx("TwilioSender", "twilio")
        builder = TwilioBuilder(
            account_sid, auth_token, status_callback=status_callback, base_url=base_url,
            channel=channel,
        )  # fmt: skip
        super().__init__(builder, timeout_seconds=timeout_seconds, per_second=per_second)


def _with_key(url: str, key: str) -> str:
    parts = urlsplit(url)
    tag = urlencode({"delivery": key})
    return parts._replace(query=f"{parts.query}&{tag}" if parts.query else tag).geturl()
