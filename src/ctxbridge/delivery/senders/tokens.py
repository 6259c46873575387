"""Tokens that run out: OAuth 2.0, the client credentials grant (RFC 6749, 4.4)."""

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio
from msgspec import Struct

from ctxbridge.delivery.senders.http import absolute, need_httpx
from ctxbridge.delivery.senders.wording import basic, decoded
from ctxbridge.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    import httpx

EARLY_SECONDS = 60.0
"""So long before its end a token is replaced, so that none runs out on the way."""

_WORD = re.compile(r"[!-~]+")


class _Token(Struct):
    access_token: str
    expires_in: float = 0.0


class ClientCredentials:
    """An `Authorization` that gets a token from `url` for `key_id` and `key_secret`, and keeps it.

    A token is asked for once, however many wait for it, and again when it is about to run out or
    was refused. It needs httpx, and runs on asyncio and trio.

    Raises `ConfigurationError` for empty credentials, an address that is not absolute, or where
    httpx is not installed.
    """

    def __init__(
        self,
        key_id: str,
        key_secret: str,
        url: str,
        *,
        timeout_seconds: float = 10.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        need_httpx("ClientCredentials", "http")
        if not key_id or not key_secret:
            raise ConfigurationError("key_id and key_secret must not be empty")
        self._login = basic(key_id, key_secret)
        self._url = absolute(url, "url")
        self._timeout_seconds = timeout_seconds
        self._monotonic = monotonic
        self._token, self._good_until = "", 0.0
        self._asking: anyio.Lock | None = None
        self._client: httpx.AsyncClient | None = None

    async def header(self) -> str:
        """``Bearer ...``. Raises `Unavailable` where no token is to be had."""
        # Made late: a lock belongs to the event loop that it was first used on.
        self._asking = self._asking or anyio.Lock()
        async with self._asking:
            if not self._token or self._monotonic() >= self._good_until:
                await self._renew()
            return f"Bearer {self._token}"

    def refused(self) -> None:
        """Forget the token: the next `header` asks for another."""
        self._token = ""

    async def aclose(self) -> None:
        """Close the connections; a second call does nothing."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _renew(self) -> None:
        import httpx

        self._client = self._client or httpx.AsyncClient(follow_redirects=False)
        form = {"grant_type": "client_credentials"}
        token: _Token | None = None
        with anyio.move_on_after(self._timeout_seconds):
            try:
                answer = await self._client.post(
                    self._url, data=form, headers={"Authorization": self._login}
                )
                token = decoded(answer.content, _Token) if answer.status_code == 200 else None
            except (httpx.HTTPError, OSError):
                pass
        if token is None or not _WORD.fullmatch(token.access_token):
            raise Unavailable("no token was given for this access key")
        self._token = token.access_token
        self._good_until = self._monotonic() + max(token.expires_in - EARLY_SECONDS, 0.0)
