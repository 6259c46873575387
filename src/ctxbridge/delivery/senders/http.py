"""One attempt over HTTPS: what any provider's API has in common, whatever is asked of it.

What is asked, and what the answer means, says a `Builder`. What is decided here is what no provider
is needed for: whether the request can have arrived (RFC 9110, 9.2.2: a POST is not repeated where
that is not known), what is surely not taken, and when to try again.
"""

import re
import time
from email.utils import parsedate_to_datetime
from math import inf
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import anyio
from msgspec.structs import replace

from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Capabilities, HttpAnswer, HttpRequest, Outgoing, Sent
from ctxbridge.ports import Builder

if TYPE_CHECKING:
    import httpx

MAX_ANSWER_BYTES = 64 * 1024
MAX_RETRY_AFTER_SECONDS = 86_400.0

NOT_TAKEN = (401, 403, 429)
"""Surely not taken: nobody was let in, or (RFC 6585, 4) there were too many. A message does not
fail for that, it waits until the credentials are mended or the minute is over."""

_SECONDS = re.compile(r"[0-9]{1,9}")


class Authorization(Protocol):
    """What gives the value of the Authorization header, where it changes with time."""

    async def header(self) -> str:
        """The value. What it raises means that nothing was sent."""
        ...

    def refused(self) -> None:
        """The provider did not take the value: the next one should be another."""
        ...

    async def aclose(self) -> None:
        """Let go of connections; a second call does nothing."""
        ...


class HttpSender:
    """A `Sender` that asks what `builder` says, once, in at most `timeout_seconds`.

    The channel, what it can show, and whether the provider takes our key are the builder's.
    `authorization` is for APIs whose tokens run out. It needs httpx, and runs on asyncio and trio.

    Raises `ConfigurationError` where httpx is not installed.
    """

    def __init__(
        self,
        builder: Builder,
        *,
        timeout_seconds: float = 15.0,
        per_second: float = 0.0,
        authorization: Authorization | None = None,
    ) -> None:
        need_httpx(type(self).__name__, "http")
        self.timeout_seconds = timeout_seconds
        self.per_second = per_second
        self._builder = builder
        self._authorization = authorization
        self._client: httpx.AsyncClient | None = None

    @property
    def channel(self) -> str:
        """The word in addresses."""
        return self._builder.channel

    @property
    def repeatable(self) -> bool:
        """Whether a repetition with the same key has no second effect."""
        return self._builder.repeatable

    @property
    def capabilities(self) -> Capabilities:
        """What the channel can show and do."""
        return self._builder.capabilities

    async def send(self, outgoing: Outgoing, /) -> Sent:
        """Ask the provider, once, to send the message.

        What the builder says of the answer counts, unless that is ``unknown`` and the status alone
        says that it was not taken (`NOT_TAKEN`). ``retry``: that, no connection, and no token.
        ``unknown``: whatever else, since the request may have arrived. Codes begin with the
        builder's name: ``.unreachable``, ``.unauthorized``, ``.lost``, ``.timeout``, or a status.
        """
        import httpx

        name = self._builder.name
        request = self._builder.build_send(outgoing)
        if isinstance(request, Sent):
            return request
        with anyio.move_on_after(self.timeout_seconds):
            authorized = await self._authorized(request)
            if authorized is None:
                return Sent("retry", code=f"{name}.unauthorized")
            try:
                return self._meaning(await self._ask(authorized))
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError):
                return Sent("retry", code=f"{name}.unreachable")
            except (httpx.HTTPError, OSError):
                return Sent("unknown", code=f"{name}.lost")
        return Sent("unknown", code=f"{name}.timeout")

    async def aclose(self) -> None:
        """Close the connections; a second call does nothing."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
        if self._authorization is not None:
            await self._authorization.aclose()

    async def _authorized(self, request: HttpRequest) -> HttpRequest | None:
        """The request with its token, or `None` where none is to be had in time."""
        if self._authorization is None:
            return request
        # A token that is waited for too long must not be taken for a request that may have left.
        with anyio.move_on_after(self.timeout_seconds / 2):
            try:
                header = await self._authorization.header()
            except Exception:  # noqa: BLE001 - whatever went wrong, nothing has left
                return None
            return replace(request, headers=(*request.headers, ("Authorization", header)))
        return None

    async def _ask(self, request: HttpRequest) -> HttpAnswer:
        opened = self._opened().stream(
            request.method, request.url, content=request.body, headers=list(request.headers)
        )
        async with opened as response:
            status = response.status_code
            # Where the status settles it, no body is worth waiting for.
            patience = self.timeout_seconds / 4 if status in NOT_TAKEN else inf
            body = await _body(response, patience)
            return HttpAnswer(status, tuple(response.headers.multi_items()), body)

    def _meaning(self, answer: HttpAnswer) -> Sent:
        if answer.status == 401 and self._authorization is not None:
            self._authorization.refused()
        sent = self._builder.read_receipt(answer)
        code = sent.code
        if not code and sent.status != "sent":
            code = f"{self._builder.name}.{answer.status}"
        if sent.status == "unknown" and answer.status in NOT_TAKEN:
            sent = Sent("retry")
        wait = sent.retry_after
        if sent.status == "retry" and not wait:
            wait = retry_after(answer.header("Retry-After"), time.time())
        return Sent(sent.status, sent.provider_id, code, wait)

    def _opened(self) -> "httpx.AsyncClient":
        if self._client is None:
            import httpx

            # Pool, TCP and TLS take their turns, and together they end before `timeout_seconds`
            # does: a connection that never came about is known as such, and tried again.
            quarter = self.timeout_seconds / 4
            self._client = httpx.AsyncClient(
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


def absolute(url: str, name: str) -> str:
    """`url`, if it is one; what is wrong with it is not repeated, as it may hold a password.

    Raises `ConfigurationError`, which names the setting by `name`.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        raise ConfigurationError(f"{name} must be an absolute address with https:// or http://")
    return url


def need_httpx(what: str, extra: str) -> None:
    """Raise `ConfigurationError` where httpx is not installed; `extra` is what to install."""
    try:
        import httpx  # noqa: F401
    except ImportError:
        raise ConfigurationError(f'{what} needs httpx: pip install "ctxbridge[{extra}]"') from None


async def _body(response: "httpx.Response", patience_seconds: float) -> bytes | None:
    """The answer's body; `None` if it breaks off, is late, or is too large to be one."""
    import httpx

    body, whole = bytearray(), False
    # To leave the loop by `break` would leave httpx's generators half read, which trio reports. A
    # cancelled read unwinds them.
    with anyio.move_on_after(patience_seconds) as enough:
        try:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    enough.cancel()
            whole = True
        except httpx.HTTPError:
            return None
    return bytes(body) if whole and len(body) <= MAX_ANSWER_BYTES else None
