"""A helpdesk that is told of handoffs, by a signed webhook."""

import logging
from typing import TYPE_CHECKING

import anyio
import msgspec

from ctxbridge.channels.standard_webhooks import keys_of, signature
from ctxbridge.delivery import retrying
from ctxbridge.delivery.senders.http import absolute, need_httpx
from ctxbridge.model import Package

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger("ctxbridge")


class Helpdesk:
    """Where packages are sent: ``POST url``, with a `Package` as JSON, signed by Standard Webhooks.

    `secret` is a ``whsec_...``, the same as the helpdesk has. Whenever the floor moves, and when
    something is said while people have it, the whole package is sent by the next sweep of
    `Bridge.run`: at least once, and again for about an hour until it is answered with 2xx. Its
    ``webhook-id`` names conversation and place in the log, so a repetition has the same, and a
    higher place is newer: what comes late can be told. It needs httpx (extra `http`).

    Raises `ConfigurationError` for a secret or an address that is none, and without httpx.
    """

    def __init__(self, url: str, secret: str, *, timeout_seconds: float = 15.0) -> None:
        need_httpx("Helpdesk", "http")
        retrying.require()
        self._url = absolute(url, "url")
        (self._key,) = keys_of(secret)
        self._timeout_seconds = timeout_seconds
        self._client: httpx.AsyncClient | None = None

    async def tell(self, package: Package, now: int) -> bool:
        """Whether the helpdesk has taken it; `now` is Unix milliseconds."""
        import httpx

        body = msgspec.json.encode(package)
        id, at = f"{package.handoff.conversation}.{package.seq}", str(now // 1000)
        headers = {
            "content-type": "application/json", "webhook-id": id, "webhook-timestamp": at,
            "webhook-signature": signature(self._key, id, at, body),
        }  # fmt: skip
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=self._timeout_seconds)
        try:
            with anyio.fail_after(self._timeout_seconds):
                answer = await self._client.post(self._url, content=body, headers=headers)
        except (httpx.HTTPError, OSError) as error:  # a TimeoutError is an OSError
            logger.warning("the helpdesk cannot be reached: %s", type(error).__name__)
            return False
        if not answer.is_success:
            logger.warning("the helpdesk answers %d", answer.status_code)
        return answer.is_success

    async def aclose(self) -> None:
        """Close the connections; a second call does nothing."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
