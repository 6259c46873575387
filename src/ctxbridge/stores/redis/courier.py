"""Carries a request until it is answered: over lost connections, moved slots and new primaries.

A request is repeated as it is, so what is carried must be idempotent: reads are, and scripts
recognise their own repetition by message id, turn or nonce.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import anyio

from ctxbridge.errors import (
    ConfigurationError,
    CtxBridgeError,
    NotDurable,
    OutcomeUnknown,
    ReplyMismatch,
    StoreClosed,
    Unavailable,
)
from ctxbridge.stores.redis import faults
from ctxbridge.stores.redis.exchange import LOST, UNSENT, Call, Exchange, Short
from ctxbridge.stores.redis.keys import Keys
from ctxbridge.stores.redis.request import Request, is_list_of_bytes
from ctxbridge.stores.redis.resp import MISSING, ServerError, pack
from ctxbridge.stores.redis.settings import Settings
from ctxbridge.stores.redis.topology import Line, Server, Topology

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.01, 0.25
_ASKING = pack(b"ASKING")
_PATIENT_AFTER = 3
"""So many lost connections or moves in a row are met at once; from then on with pauses."""
_AGAIN: Any = object()
"""There is no reply to keep: ask (again)."""

logger = logging.getLogger("ctxbridge.redis")


class Courier:
    """Knows where each shard is served, and how long to try."""

    def __init__(self, settings: Settings, keys: Keys, topology: Topology) -> None:
        self._deadline_seconds = settings.deadline_seconds
        self._grace_seconds = settings.grace_seconds
        self._waits = settings.waits
        self._keys = keys
        self._topology = topology
        self.mismatches = 0
        self.closed = False

    def exchange_for(self, shard: int) -> Exchange | None:
        """The live exchange that reads of a shard go over, if there is one."""
        return self._topology.servers[shard].reads.exchange

    def writing_exchange_for(self, shard: int) -> Exchange | None:
        """The live exchange that writes to a shard go over, if there is one."""
        return self._topology.servers[shard].writes.exchange

    async def read(self, shard: int, request: Request, take: Any = None) -> Any:
        """The reply to a request that changes nothing. A cancelled caller leaves at once."""
        exchange = self._topology.servers[shard].reads.exchange
        if exchange is None or exchange.crowded:
            return await _Journey(self, shard, request, take, writes=False).go(_AGAIN)
        reply = await exchange.ask(request.data, request.wanted, take).future
        if not (is_list_of_bytes(reply) if request.looks else _is_sound(request, reply)):
            return await _Journey(self, shard, request, take, writes=False).go(reply)
        return reply

    async def read_all(self, asked: Sequence[tuple[int, Request]]) -> list[Any]:
        """The replies to many requests like that: they leave at once, one write for each server."""
        servers, calls = self._topology.servers, list[Call | None]()
        for shard, request in asked:
            exchange = servers[shard].reads.exchange
            if exchange is None or exchange.crowded:
                calls.append(None)
            else:
                calls.append(exchange.ask(request.data, request.wanted))
        replies = [UNSENT if call is None else await call.future for call in calls]
        odd = [n for n, (_, request) in enumerate(asked) if not _is_sound(request, replies[n])]
        # Most need one: a server that lacks the script, a slot that has moved, a lost connection.
        journeys = [_Journey(self, *asked[n], None, writes=False).go(replies[n]) for n in odd]
        outcomes = await asyncio.gather(*journeys, return_exceptions=True)
        for number, outcome in zip(odd, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                raise outcome
            replies[number] = outcome
        return replies

    async def write(self, shard: int, request: Request, take: Any = None) -> Any:
        """The reply to a request that may change something, as safe as the store's level says.

        A cancelled caller leaves when it is settled, or after the grace.
        """
        exchange = self._topology.servers[shard].writes.exchange
        if exchange is None or exchange.crowded:
            return await _Journey(self, shard, request, take, writes=True).go(_AGAIN)
        call = exchange.ask(request.data, request.wanted, take, self.barrier(shard))
        try:
            reply = await call.future
        except asyncio.CancelledError:
            await self._settle(call, request)
            raise
        if not _is_sound(request, reply):
            return await _Journey(self, shard, request, take, writes=True).go(reply)
        return reply

    def barrier(self, shard: int, server: Server | None = None) -> bytes:
        """The key that is written before a WAIT; none where the level does not wait.

        It is one of the first shard that the server has: one key on each server, and never one of a
        slot that is on its way to it, which would then be there twice.
        """
        if not self._waits:
            return b""
        servers = self._topology.servers
        asked = server or servers[shard]
        return self._keys.barrier(servers.index(asked) if asked in servers else shard)

    async def ask_settled(
        self, exchange: Exchange, request: Request, take: Any, barrier: bytes
    ) -> Any:
        """Ask once; where the caller is cancelled, see the request settled first."""
        call = exchange.ask(request.data, request.wanted, take, barrier)
        try:
            return await call.future
        except asyncio.CancelledError:
            await self._settle(call, request)
            raise

    async def _settle(self, call: Call, request: Request) -> None:
        if call.outcome is not MISSING:
            # The answer had come, but who waited for it was cancelled before it could go on.
            if request.abandoned is not None:
                request.abandoned(call.outcome)
            return
        future = asyncio.get_running_loop().create_future()
        if request.abandoned is not None:
            abandoned = request.abandoned
            future.add_done_callback(lambda f: f.cancelled() or abandoned(f.result()))
        call.future = future
        with anyio.move_on_after(self._grace_seconds, shield=True):
            await asyncio.shield(future)

    def mismatch(self, exchange: Exchange | None) -> None:
        """Something else was answered than was asked: the connection cannot be trusted any more."""
        self.mismatches += 1
        logger.error("the store answered something else than was asked; the connection is dropped")
        if exchange is not None:
            exchange.end("it answered something else than was asked")

    @property
    def topology(self) -> Topology:
        """Where the shards are served."""
        return self._topology

    @property
    def deadline_seconds(self) -> float:
        """How long to try."""
        return self._deadline_seconds


def error_in(reply: Any, wanted: int) -> ServerError | None:
    """The first error among the replies, if there is one."""
    if wanted == 1:
        return reply if reply.__class__ is ServerError else None
    return next((part for part in reply if part.__class__ is ServerError), None)


def _is_sound(request: Request, reply: Any) -> bool:
    """Whether this is a reply to this request, and no error."""
    if reply is LOST or reply is UNSENT or reply.__class__ is Short:
        return False
    if request.wanted == 1:
        return reply.__class__ is not ServerError and request.is_answered_by(reply)
    return error_in(reply, request.wanted) is None and request.is_answered_by(reply)


class _Journey:
    """One request whose first try did not succeed, or could not even be made."""

    def __init__(
        self, courier: Courier, shard: int, request: Request, take: Any, *, writes: bool
    ) -> None:
        self._courier = courier
        self._topology = courier.topology
        self._shard = shard
        self._request = request
        self._take = take
        self._writes = writes
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + courier.deadline_seconds
        self._pause = _FIRST_PAUSE_SECONDS
        self._exchange: Exchange | None = None
        self._unsettled = self._short = False
        self._turns = 0
        self._last: CtxBridgeError | None = None

    async def go(self, reply: Any) -> Any:
        """The reply in the end; raises the error that tells what is known by the deadline."""
        self._exchange = self._line.exchange
        while True:
            if reply is not _AGAIN:
                reply = await self._judge(reply)
                if reply is not _AGAIN:
                    return reply
            if self._courier.closed:
                raise self._final(StoreClosed("the store was closed; this may not be applied"))
            if self._loop.time() >= self._end:
                raise self._final(Unavailable(f"no answer in time; {faults.NOTHING_CHANGED}"))
            reply = await self._try()

    @property
    def _line(self) -> Line:
        server = self._topology.servers[self._shard]
        return server.writes if self._writes else server.reads

    def _final(self, plain: CtxBridgeError) -> CtxBridgeError:
        if self._short:
            return NotDurable(
                "stored, but fewer replicas than asked for have it; repeat with the same message "
                "id to find out"
            )
        if self._unsettled:
            return OutcomeUnknown(
                "the store did not say whether this was applied; repeat with the same message id "
                "to find out"
            )
        return self._last or plain

    async def _try(self) -> Any:
        """One more try; `_AGAIN` where it could not even be sent."""
        left = self._end - self._loop.time()
        try:
            async with asyncio.timeout(max(left, 0.001)):
                exchange = await self._line.reach()
                await exchange.room()
        except (TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            return _AGAIN
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, nothing was sent
            self._last = faults.unreachable(error)
            if isinstance(self._last, ConfigurationError):
                raise self._last from None
            await self._rest()
            await self._topology.rethink()
            return _AGAIN
        return await self._send(exchange, self._request)

    async def _send(
        self, exchange: Exchange, request: Request, server: Server | None = None
    ) -> Any:
        self._exchange = exchange
        if self._writes:
            barrier = self._courier.barrier(self._shard, server)
            return await self._courier.ask_settled(exchange, request, self._take, barrier)
        return await exchange.ask(request.data, request.wanted, self._take).future

    async def _rest(self) -> None:
        left = self._end - self._loop.time()
        await asyncio.sleep(max(0.0, min(self._pause, left)))
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _hold_back(self) -> None:
        """What passes at once the first times may be a circle after some more."""
        self._turns += 1
        if self._turns > _PATIENT_AFTER:
            await self._rest()

    async def _judge(self, reply: Any, *, asked_there: bool = False) -> Any:
        """The reply if it is one to keep; else `_AGAIN`, and what could be mended is mended."""
        if reply is LOST or reply is UNSENT:
            self._unsettled = self._unsettled or (self._writes and reply is LOST)
            self._last = Unavailable(f"the connection was lost; {faults.NOTHING_CHANGED}")
            await self._hold_back()
            return _AGAIN
        if reply.__class__ is Short:
            if error_in(reply.reply, self._request.wanted) is None:
                self._short = self._unsettled = True
                await self._topology.rethink()
                await self._rest()
                return _AGAIN
            reply = reply.reply
        error = error_in(reply, self._request.wanted)
        if error is not None:
            return await self._mend(error, asked_there=asked_there)
        if not self._request.is_answered_by(reply):
            self._courier.mismatch(self._exchange)
            self._unsettled = self._unsettled or self._writes
            self._last = ReplyMismatch("the store keeps answering something else than was asked")
            return _AGAIN
        return reply

    async def _mend(self, error: ServerError, *, asked_there: bool) -> Any:
        code = faults.code_of(error)
        if code == "NOSCRIPT":
            self._request = self._request.spelled_out()
        elif code == "MOVED":
            self._topology.moved(self._shard, *_address(error, self._exchange))
            await self._hold_back()
        elif code == "ASK" and not asked_there:
            return await self._ask_there(error)
        elif code == "ASK":
            await self._rest()
        elif code in faults.PASSING:
            self._last = faults.typed(error)
            if code == "CLUSTERDOWN":
                await self._topology.rethink()
            await self._rest()
        elif code in faults.ELSEWHERE:
            await self._look_elsewhere(error)
        else:
            self._last = faults.typed(error)
            raise self._final(self._last)
        return _AGAIN

    async def _look_elsewhere(self, error: ServerError) -> None:
        self._last = faults.typed(error)
        if faults.code_of(error) == "READONLY":
            self._topology.servers[self._shard].drop("the server is a replica now")
        await self._topology.rethink()
        await self._rest()

    async def _ask_there(self, error: ServerError) -> Any:
        """The slot is on its way to another server, and this key is there already."""
        server = self._topology.server_at(*_address(error, self._exchange))
        line = server.writes if self._writes else server.reads
        parts = [part for own in self._request.parts for part in (_ASKING, own)]
        asking = Request(parts, self._request.nonce, looks=self._request.looks)
        asking.abandoned = _every_second(self._request.abandoned)
        try:
            exchange = await line.reach()
        except Exception as problem:  # noqa: BLE001 - whatever a driver raises, nothing was sent
            self._last = faults.unreachable(problem)
            await self._rest()
            return _AGAIN
        self._exchange = exchange
        take, self._take = self._take, None
        try:
            reply = await self._send(exchange, asking, server)
        finally:
            self._take = take
        return await self._judge_asked(reply)

    async def _judge_asked(self, reply: Any) -> Any:
        if reply.__class__ is Short:
            reply = Short(_own(reply.reply), reply.reached)
        elif isinstance(reply, list):
            reply = _own(reply)
        return await self._judge(reply, asked_there=True)


def _own(replies: list[Any]) -> Any:
    """The replies without those to ASKING, in the form that they would have had without."""
    own = replies[1::2]
    return own[0] if len(own) == 1 else own


def _every_second(abandoned: Any) -> Any:
    if abandoned is None:
        return None
    return lambda outcome: abandoned(_own(outcome) if isinstance(outcome, list) else outcome)


def _address(error: ServerError, exchange: Exchange | None) -> tuple[str, int]:
    """Where a redirect points to: ``slot host:port``, the host empty for the same as was asked."""
    _, _, where = error.rest.partition(" ")
    host, _, port = where.split(" ", 1)[0].rpartition(":")
    if not port.isdigit():
        raise Unavailable(f"the server redirected to nowhere; {faults.NOTHING_CHANGED}")
    return host or (exchange.host if exchange else ""), int(port)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
