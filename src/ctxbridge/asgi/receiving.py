"""One request of a provider: verified, read, stored, and only then acknowledged."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import anyio.to_thread

from ctxbridge.asgi.http import Answer, again, answer_of, not_allowed
from ctxbridge.asgi.limits import Limits
from ctxbridge.asgi.routes import Route
from ctxbridge.bridge import Accepted, Bridge
from ctxbridge.bridge.recovery import Agent
from ctxbridge.bridge.telling import raised, told
from ctxbridge.errors import BacklogFull, CtxBridgeError, IdempotencyMismatch, Malformed
from ctxbridge.model import (
    HttpReply,
    Inbound,
    Message,
    Notice,
    Parsed,
    RawRequest,
    Receipt,
    Verification,
)
from ctxbridge.ports import Channel, Greeted

logger = logging.getLogger("ctxbridge")

Quarantine = Callable[[str, RawRequest, Sequence[CtxBridgeError]], Awaitable[None]]
"""Is given a path, a request of which something can never be stored, and why; keeps it."""

Read = tuple[Verification, Parsed]

LARGE_BYTES = 64 * 1024
"""From this size on a body is read beside the event loop."""

_READERS = 2
_LATE = b"the answer is not there yet; try again later"
_NOT_STORED = b"not stored; try again later"


class Receiving:
    """What is done with a request, whatever its channel."""

    def __init__(
        self,
        bridge: Bridge[Any],
        agent: Agent | None,
        quarantine: Quarantine | None,
        limits: Limits,
    ) -> None:
        self._bridge = bridge
        self._agent = agent
        self._quarantine = quarantine
        self._limits = limits
        self._readers: anyio.CapacityLimiter | None = None
        self._is_warned = False

    async def answer(self, route: Route, request: RawRequest) -> Answer:
        """Take it in, and give what to answer. Raises what only a mistake of an adapter raises."""
        channel = route.channel
        read = await self._read(channel, request)
        if isinstance(read, HttpReply):
            return answer_of(read)
        if read is None:
            return not_allowed(["POST"])
        verification, parsed = read
        if verification.status == "failed":
            logger.warning("%s: a request was refused: %s", route.path, verification.reason)
            return answer_of(channel.reply(parsed))
        awaited = await self._in_time(route, request, parsed)
        if awaited is None:
            return again(_NOT_STORED)
        answer = await self._in_band(route, awaited)
        if answer is None:
            logger.warning("%s: an answer in band was not there in time", route.path)
            return again(_LATE, 1)
        return answer_of(channel.reply(parsed, answer))

    # --- reading --------------------------------------------------------------------------------

    async def _read(self, channel: Channel, request: RawRequest) -> HttpReply | Read | None:
        if len(request.body) < LARGE_BYTES:
            return _read(channel, request)
        # Few at a time: each of them takes from the event loop what it needs of the interpreter.
        self._readers = self._readers or anyio.CapacityLimiter(_READERS)
        return await anyio.to_thread.run_sync(_read, channel, request, limiter=self._readers)

    # --- storing --------------------------------------------------------------------------------

    async def _in_time(
        self, route: Route, request: RawRequest, parsed: Parsed
    ) -> list[Accepted] | None:
        """All is stored: the messages whose answers go in band. `None` if it must come again."""
        with anyio.move_on_after(self._limits.storing_seconds):
            return await self._store(route, request, parsed)
        logger.warning("%s: the store took too long", route.path)
        return None

    async def _store(
        self, route: Route, request: RawRequest, parsed: Parsed
    ) -> list[Accepted] | None:
        """Each event on its own: those that are stored are known when the request comes again."""
        awaited: list[Accepted] = []
        unusable: list[CtxBridgeError] = list(parsed.errors)
        is_whole = True
        for event in parsed.events:
            try:
                accepted = await self._take(route, event)
            except (Malformed, IdempotencyMismatch) as error:
                unusable.append(error)
            except Exception as error:  # noqa: BLE001 - the others are stored all the same
                logger.warning("%s: not stored: %s", route.path, told(error))
                is_whole = False
            else:
                awaited += [accepted] if accepted else []
        kept = await self._keep(route, request, unusable)
        return awaited if is_whole and kept else None

    async def _take(self, route: Route, event: Inbound | Receipt | Notice) -> Accepted | None:
        if not isinstance(event, Inbound):
            await self._bridge.receive(event)
            return None
        if len(self._bridge.acceptances) >= self._limits.turns:
            raise BacklogFull("too many turns of this process have not ended; nothing was stored")
        self._warn()
        # Where a sender takes the answer there is nothing to wait for.
        sends = self._bridge.outbox.sender_on(event.channel) is not None
        answers = bool(route.answer_seconds) and not sends
        accepted = await self._bridge.accept(event, self._agent, answers=answers)
        return accepted if answers else None

    async def _keep(
        self, route: Route, request: RawRequest, unusable: list[CtxBridgeError]
    ) -> bool:
        """Whether what no repetition can mend is kept, where it shall be."""
        if not unusable:
            return True
        for error in unusable:
            logger.warning("%s: %s: %s", route.path, type(error).__name__, error)
        if self._quarantine is None:
            return True
        try:
            await self._quarantine(route.path, request, tuple(unusable))
        except Exception as error:  # noqa: BLE001 - foreign code
            logger.error("%s: the quarantine raised %s", route.path, raised(error))  # noqa: TRY400
            return False
        return True

    def _warn(self) -> None:
        if self._agent is None or self._bridge.runs or self._is_warned:
            return
        self._is_warned = True
        logger.warning(
            "nobody runs bridge.run(agent) in this process: turns of workers that died wait for "
            "another process that does, or for ever. `hooks.lifespan` runs it"
        )

    # --- answering ------------------------------------------------------------------------------

    @staticmethod
    async def _in_band(route: Route, awaited: list[Accepted]) -> list[Message] | None:
        """What goes out with the response; `None` if it is not there in time."""
        answer: list[Message] = []
        ends = anyio.current_time() + route.answer_seconds
        for accepted in awaited:
            said = await accepted.answer(max(0.0, ends - anyio.current_time()))
            if said is None:
                return None
            answer += said
        return answer


def _read(channel: Channel, request: RawRequest) -> HttpReply | Read | None:
    """What a greeting is answered with; of anything else what it is, which must be a POST."""
    if isinstance(channel, Greeted) and (greeting := channel.handshake(request)) is not None:
        return greeting
    if request.method != "POST":
        return None
    verification = channel.verify(request)
    return verification, channel.parse(request, verification)
