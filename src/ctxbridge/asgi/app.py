"""The app: routes requests, bounds them, and lives as long as its server or the app around it."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import anyio

from ctxbridge.asgi.health import Health
from ctxbridge.asgi.http import (
    FAILED,
    NOT_FOUND,
    TOO_LARGE,
    Answer,
    Body,
    Buffers,
    Receive,
    Scope,
    Send,
    again,
    announced,
    not_allowed,
    over_limits,
    raw_request,
    respond,
)
from ctxbridge.asgi.limits import Limits
from ctxbridge.asgi.receiving import Quarantine, Receiving
from ctxbridge.asgi.routes import HEALTH, Channels, Route, local_path, routes_of
from ctxbridge.bridge import Bridge
from ctxbridge.bridge.recovery import Agent
from ctxbridge.bridge.telling import raised, told
from ctxbridge.errors import ConfigurationError, UsageError
from ctxbridge.model import RawRequest

logger = logging.getLogger("ctxbridge")

_CLOSED = b"not accepting messages; try again later"
_BUSY = b"too many requests at once; try again later"


class Webhooks:
    """The ASGI app that `webhooks` makes."""

    def __init__(
        self,
        bridge: Bridge[Any],
        routes: Mapping[str, Route],
        agent: Agent | None,
        quarantine: Quarantine | None,
        origin: str,
        limits: Limits,
    ) -> None:
        self._bridge = bridge
        self._routes = routes
        self._agent = _some_at_once(agent, limits.agents) if agent is not None else None
        self._receiving = Receiving(bridge, self._agent, quarantine, limits)
        self._origin = origin
        self._limits = limits
        self._health = Health(bridge)
        self._buffers = Buffers(limits.buffered_bytes)
        self._requests = 0
        self._draining = False

    def __repr__(self) -> str:
        return f"<Webhooks {', '.join('/' + path for path in self._routes)}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the life of the server where this is the whole app."""
        match scope["type"]:
            case "http":
                answer = await self._answer(scope, receive)
                if answer is not None:
                    with suppress(OSError):  # the client has gone (ASGI HTTP 2.4)
                        await respond(send, scope, answer)
            case "lifespan":
                await self._live(receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1000})
            case _:
                raise UsageError("webhooks speak the ASGI protocols http and lifespan")

    # --- living ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def lifespan(self, _app: object = None) -> AsyncIterator[None]:
        """All that the webhooks need while they are served: ``FastAPI(lifespan=hooks.lifespan)``.

        Opens the bridge, unless that is open already, and runs `Bridge.run` with the agent. In the
        end nothing new is accepted, and turns may go on for the bridge's `drain_seconds`. Within a
        lifespan of your own: ``async with hooks.lifespan(): ...``.
        """
        async with AsyncExitStack() as stack:
            if not self._bridge.acceptances.is_open:
                await stack.enter_async_context(self._bridge)
            group = await stack.enter_async_context(anyio.create_task_group())
            group.start_soon(self._bridge.run, self._agent)
            self._draining = False
            try:
                yield
            finally:
                self._draining = True
                group.cancel_scope.cancel()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        phase = "startup"
        try:
            async with self.lifespan():
                await send({"type": "lifespan.startup.complete"})
                phase = "shutdown"
                await receive()
        except Exception as error:  # noqa: BLE001 - the server is told, and ends
            await send({"type": f"lifespan.{phase}.failed", "message": told(error)})
        else:
            await send({"type": "lifespan.shutdown.complete"})

    # --- serving --------------------------------------------------------------------------------

    async def _answer(self, scope: Scope, receive: Receive) -> Answer | None:
        try:
            return await self._routed(scope, receive)
        except Exception as error:  # noqa: BLE001 - adapters and guards are foreign code
            logger.error("a webhook failed: %s", raised(error))  # noqa: TRY400
            return FAILED

    async def _routed(self, scope: Scope, receive: Receive) -> Answer | None:
        path, method = local_path(scope), scope["method"]
        if path == HEALTH:
            if method not in {"GET", "HEAD"}:
                return not_allowed(["GET", "HEAD"])
            return await self._health.answer(self._draining)
        route = self._routes.get(path)
        if route is None:
            return NOT_FOUND
        refused = self._refusal(route, scope)
        return refused or await self._counted(route, scope, receive)

    def _refusal(self, route: Route, scope: Scope) -> Answer | None:
        """What can be said before anything of the body is read."""
        if scope["method"] not in route.methods:
            return not_allowed(route.methods)
        if refused := over_limits(scope, self._limits.header_bytes):
            return refused
        if announced(scope) > route.body_bytes:
            return TOO_LARGE
        if self._draining or not self._bridge.acceptances.is_open:
            self._say_why_closed()
            return again(_CLOSED)
        return again(_BUSY, 1) if self._requests >= self._limits.requests else None

    async def _counted(self, route: Route, scope: Scope, receive: Receive) -> Answer | None:
        self._requests += 1
        try:
            return await self._received(route, scope, receive)
        finally:
            self._requests -= 1

    async def _received(self, route: Route, scope: Scope, receive: Receive) -> Answer | None:
        with Body(receive, self._buffers, route.body_bytes) as body:
            read = await body.read(self._limits.body_seconds)
            if not isinstance(read, bytes):
                return read
            now = self._bridge.clock.now()
            request = raw_request(scope, read, self._origin, now)
            return await self._receiving.answer(route, request)

    def _say_why_closed(self) -> None:
        if not (self._draining or self._bridge.acceptances.is_closing):
            logger.error(
                "a webhook came while the bridge is not open: an app that these are mounted in "
                "needs `lifespan=hooks.lifespan`, or an `async with bridge` of its own"
            )


def webhooks(
    bridge: Bridge[Any],
    channels: Channels,
    agent: Agent | None = None,
    *,
    in_band: Mapping[str, float] | None = None,
    quarantine: Quarantine | None = None,
    origin: str = "",
    limits: Limits | None = None,
) -> Webhooks:
    """Take the webhooks of `channels`, store each message, acknowledge it, let `agent` answer it.

    A request goes to the channel whose `name` is its path (``POST /twilio``), or whose path a
    mapping gives (``{"sms/uk": Twilio(...)}``). It is verified, read and stored, and acknowledged
    in the provider's own way; the agent thinks behind that, and what it says leaves by the bridge's
    senders. What could not be stored gets 503, so that the provider sends it again; what was is a
    duplicate then. ``GET /health`` tells whether messages can be stored (see `Report`).

    It is an ASGI app by itself, or mounted in another one: that needs its `Webhooks.lifespan`.

    - `agent` takes the open turn and gives the reply's text, as for `Bridge.answer`. Without,
      messages are stored for other processes, which run ``bridge.run(agent)``.
    - `in_band` gives for a path how many seconds its request waits for the answer, which goes out
      in the response (TwiML, web chat). It is for channels that the bridge has no sender for. An
      answer that is later gets 503: it goes out when the provider asks again.
    - `quarantine` is an async function ``(path, request, errors)`` that keeps a request of which
      something can never be stored: it is malformed, or a message id came with another body. What
      it raises makes the provider send the request again. Without, the log tells of it.
    - `origin` is what stands before the path in the address that providers call
      (``https://hooks.example.org``), behind a proxy. Without, it is what the request says; headers
      such as X-Forwarded-Host are never believed.
    - `limits` are `Limits`.

    Raises `ConfigurationError`.
    """
    if origin and not origin.startswith(("https://", "http://")):
        raise ConfigurationError("origin is the beginning of an address: https://hooks.example.org")
    limits = limits or Limits()
    routes = routes_of(channels, in_band or {}, limits)
    if in_band and agent is None:
        raise ConfigurationError("in_band waits for an agent, and there is none here")
    for route in routes.values():
        _say_what_is_open(bridge, route, answers=agent is not None)
    return Webhooks(bridge, routes, agent, quarantine, origin.rstrip("/"), limits)


def _say_what_is_open(bridge: Bridge[Any], route: Route, *, answers: bool) -> None:
    """Tell the log what a route does without, which may be meant and may be forgotten."""
    channel = route.channel
    if channel.verify(RawRequest(b"")).status == "unsigned":
        logger.warning("%s: nothing verifies its requests: anybody can write there", route.path)
    if answers and not route.answer_seconds and bridge.outbox.sender_on(channel.channel) is None:
        logger.warning(
            "%s: the bridge has no sender for %s: answers are stored, and do not leave",
            route.path, channel.channel,
        )  # fmt: skip


def _some_at_once(agent: Agent, most: int) -> Agent:
    """The agent, of which only so many think at a time; the time of a turn counts from before."""
    limiter: list[anyio.CapacityLimiter] = []  # made in the event loop that it is for

    async def think(turn: Any) -> str | None:
        if not limiter:
            limiter.append(anyio.CapacityLimiter(most))
        async with limiter[0]:
            return await agent(turn) if turn.open else None

    return think
