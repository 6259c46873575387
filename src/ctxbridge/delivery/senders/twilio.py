"""Twilio's Messages resource: SMS, WhatsApp, RCS and Messenger, by HTTPS.

Sources: twilio.com/docs/messaging/api/message-resource (fields), /docs/usage/requests-to-twilio
(authentication), /docs/api/errors/20429 (what got a 429 was not processed), /docs/api/errors/20500
(what got a 5xx may have been, and a repetition would reach the customer twice; the page on 20503
says nothing else), /docs/api/errors/21658 (1,600 characters). No page names a key by which the
resource would know a repetition, so none is sent.
"""

import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

import anyio
import msgspec
from msgspec import Struct

from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Capabilities, Outgoing, Sent
from ctxbridge.model.address import MAX_ADDRESS_CHARACTERS
from ctxbridge.rules.text import clean

if TYPE_CHECKING:
    import httpx

MAX_TEXT_CHARACTERS = 1_600
MAX_ANSWER_BYTES = 64 * 1024
MAX_RETRY_AFTER_SECONDS = 86_400.0

PREFIXED = ("whatsapp", "rcs", "messenger")
"""The channels that stand before From and To; SMS is what has no prefix."""

# Surely not taken: 429 by Twilio's word, 401 and 403 since nobody was let in. A message does not
# fail for that, it waits until the credentials are mended.
_NOT_TAKEN = (401, 403, 429)

# The sender's queue is full (/docs/api/errors/21611): not taken either, and it empties.
_QUEUE_FULL = 21611

_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
_SID = re.compile(r"[!-~]{1,64}")
_SECONDS = re.compile(r"[0-9]{1,9}")
_UNKNOWN_ANSWER = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Answer(Struct):
    """A message that was made has a `sid`, an error a `code`."""

    sid: str | None = None
    code: int | None = None


class TwilioSender:
    """Sends by the account `account_sid`, in at most `timeout_seconds` for each message.

    A conversation's endpoint is the From; one that is the SID of a messaging service (``MG...``)
    goes into MessagingServiceSid. `channel` is ``sms``, ``whatsapp``, ``rcs`` or ``messenger``.
    `status_callback` is the public address for receipts; each request adds ``delivery=<key>`` to
    its query, and a fragment with Twilio's connection overrides stays. A repetition cannot be told
    from a new message, so `repeatable` is false. It needs httpx, and runs on asyncio and trio.

    Raises `ConfigurationError` for a missing package, empty credentials, another channel, or an
    address that is not absolute.
    """

    repeatable: bool = False

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
        _need_httpx()
        if not account_sid or not auth_token:
            raise ConfigurationError("account_sid and auth_token must not be empty")
        if channel != "sms" and channel not in PREFIXED:
            raise ConfigurationError(f"channel must be sms, {', '.join(PREFIXED)}")
        self.channel = channel
        self.timeout_seconds = timeout_seconds
        self.per_second = per_second
        self._credentials = (account_sid, auth_token)
        self._callback = _absolute(status_callback, "status_callback") if status_callback else ""
        account = quote(account_sid, safe="")
        base = _absolute(base_url, "base_url").rstrip("/")
        self._url = f"{base}/2010-04-01/Accounts/{account}/Messages.json"
        self._prefix = "" if channel == "sms" else channel + ":"
        self.capabilities = Capabilities(
            form="whatsapp" if channel == "whatsapp" else "plain", longest=MAX_TEXT_CHARACTERS
        )
        self._client: httpx.AsyncClient | None = None

    async def send(self, outgoing: Outgoing, /) -> Sent:
        """Ask Twilio, once, to make the message.

        ``failed``: ``twilio.empty``, ``twilio.too_long`` and ``twilio.address`` before anything was
        sent, else the code that Twilio gave with a status of the 400s. ``retry``: no connection,
        429, credentials that are refused, a full queue. ``unknown``: whatever else, since the
        request may have arrived.
        """
        import httpx

        form = self._form(outgoing)
        if isinstance(form, Sent):
            return form
        with anyio.move_on_after(self.timeout_seconds):
            try:
                return await self._post(form)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError):
                return Sent("retry", code="twilio.unreachable")
            except (httpx.HTTPError, OSError):
                return Sent("unknown", code="twilio.lost")
        return Sent("unknown", code="twilio.timeout")

    async def aclose(self) -> None:
        """Close the connections; a second call does nothing."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _form(self, outgoing: Outgoing) -> dict[str, str] | Sent:
        """The fields to send, or why there are none."""
        text = clean(outgoing.marked(self.capabilities.form) or outgoing.text)
        ours, theirs = outgoing.endpoint.value, outgoing.address.value
        if not text.strip():
            return Sent("failed", code="twilio.empty")
        if len(text) > MAX_TEXT_CHARACTERS:
            return Sent("failed", code="twilio.too_long")
        if not (_writable(ours) and _writable(theirs)):
            return Sent("failed", code="twilio.address")
        form = {"To": self._prefix + theirs, "Body": text}
        if _SERVICE.fullmatch(ours):
            form["MessagingServiceSid"] = ours
        else:
            form["From"] = self._prefix + ours
        if self._callback:
            form["StatusCallback"] = _with_key(self._callback, outgoing.key)
        return form

    async def _post(self, form: dict[str, str]) -> Sent:
        async with self._opened().stream("POST", self._url, data=form) as response:
            status = response.status_code
            if status in _NOT_TAKEN:
                wait = retry_after(response.headers.get("retry-after", ""), time.time())
                return Sent("retry", code=f"twilio.{status}", retry_after=wait)
            if status >= 500:
                return Sent("unknown", code=f"twilio.{status}")
            return _answered(status, await _body(response))

    def _opened(self) -> "httpx.AsyncClient":
        if self._client is None:
            import httpx

            # Pool, TCP and TLS take their turns, and together they end before `timeout_seconds`
            # does: a connection that never came about is known as such, and tried again.
            quarter = self.timeout_seconds / 4
            self._client = httpx.AsyncClient(
                auth=self._credentials,
                # What is not compressed cannot grow.
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                timeout=httpx.Timeout(None, connect=quarter, pool=quarter),
                follow_redirects=False,
            )
        return self._client


def retry_after(value: str, now: float) -> float:
    """The seconds that a Retry-After header asks to wait, at most a day; 0 if it says nothing.

    It is a number of seconds or a date (RFC 9110, 10.2.3); `now` is in Unix seconds.
    """
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), MAX_RETRY_AFTER_SECONDS)
    try:
        until = parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0.0
    return min(max(until - now, 0.0), MAX_RETRY_AFTER_SECONDS)


def _answered(status: int, body: bytes | None) -> Sent:
    try:
        answer = msgspec.json.decode(body or b"{}", type=_Answer)
    except _UNKNOWN_ANSWER:
        answer = _Answer()
    if 200 <= status < 300 and answer.sid and _SID.fullmatch(answer.sid):
        return Sent("sent", provider_id=answer.sid)
    if 400 <= status < 500 and answer.code and 0 < answer.code < 10**6:
        code = f"twilio.{answer.code}"
        return Sent("retry" if answer.code == _QUEUE_FULL else "failed", code=code)
    # No word of the Messages resource: something between here and there may have spoken for it.
    return Sent("unknown", code=f"twilio.{status}")


async def _body(response: "httpx.Response") -> bytes | None:
    """The answer's body; `None` if it breaks off or is too large to be one."""
    import httpx

    body = bytearray()
    # To leave the loop by `break` would leave httpx's generators half read, which trio reports. A
    # cancelled read unwinds them.
    with anyio.CancelScope() as enough:
        try:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    enough.cancel()
        except httpx.HTTPError:
            return None
    return bytes(body) if len(body) <= MAX_ANSWER_BYTES else None


def _writable(value: str) -> bool:
    """Whether `value` names one party. A colon would put it on another channel than ours."""
    if not value.strip() or len(value) > MAX_ADDRESS_CHARACTERS:
        return False
    return value.isprintable() and ":" not in value


def _with_key(url: str, key: str) -> str:
    parts = urlsplit(url)
    tag = urlencode({"delivery": key})
    return parts._replace(query=f"{parts.query}&{tag}" if parts.query else tag).geturl()


def _absolute(url: str, name: str) -> str:
    """`url`, if it is one; what is wrong with it is not repeated, as it may hold a password."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        raise ConfigurationError(f"{name} must be an absolute address with https:// or http://")
    return url


def _need_httpx() -> None:
    try:
        import httpx  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            'TwilioSender needs httpx: pip install "ctxbridge[twilio]"'
        ) from None
