"""One page that is connected, and the bridge behind it."""

import logging
from contextlib import ExitStack
from functools import partial
from typing import Any, Protocol

import anyio
from msgspec import Struct

from ctxbridge.bridge import Bridge
from ctxbridge.bridge.background import Background
from ctxbridge.bridge.recovery import Agent
from ctxbridge.channels.webchat import WebChat
from ctxbridge.channels.webchat.connection import TOO_FAST, Connection, Limits, Step, error
from ctxbridge.channels.webchat.frames import client_msg_id_of
from ctxbridge.chatting.missed import Look, log_of
from ctxbridge.chatting.taken import Taken
from ctxbridge.delivery.senders.webchat import WebChatSender
from ctxbridge.errors import CtxBridgeError
from ctxbridge.model import Address, Inbound, Notice, Receipt

logger = logging.getLogger("ctxbridge.chatting")

WRITE_SECONDS = 10.0
"""A page that takes a frame no sooner is gone, whatever its socket says."""

LOOK_AGAIN_SECONDS = 1.0
MOST_FRAMES = 256
TRY_LATER = 1013


class Terms(Struct, frozen=True):
    """What all connections of an app have in common."""

    bridge: Bridge[Any]
    channel: WebChat
    agent: Agent
    sender: WebChatSender
    limits: Limits


class Wire(Protocol):
    """A WebSocket that is open."""

    async def receive(self) -> bytes | str | None:
        """The next frame; `None` once the page has gone."""
        ...

    async def send(self, text: str) -> None:
        """Write a frame."""
        ...

    async def close(self, code: int) -> None:
        """Close it."""
        ...


class Talk:
    """Drives a `Connection` over a WebSocket, until either side has enough of it."""

    def __init__(self, terms: Terms, wire: Wire, headers: tuple[tuple[str, str], ...]) -> None:
        self._terms = terms
        self._wire = wire
        now = terms.bridge.clock.now()
        self._connection = Connection(terms.channel, now, headers, terms.limits)
        self._stack = ExitStack()
        self._scope = anyio.CancelScope()
        self._looked_at = -1
        self._unsure = anyio.Event()
        self._in_flight = 0
        self._held: list[str] | None = []
        self._put, self._queued = anyio.create_memory_object_stream[str | int](MOST_FRAMES)

    async def run(self) -> None:
        """Return when the connection has ended."""
        with self._scope, self._put, self._queued, self._stack:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write)
                tasks.start_soon(self._beat)
                tasks.start_soon(self._look_again)
                await self._read()
                self._scope.cancel()

    # --- the wire -------------------------------------------------------------------------------

    async def _read(self) -> None:
        while (data := await self._wire.receive()) is not None:
            step = self._connection.receive(data, self._terms.bridge.clock.now())
            await self._do(step)
            if step.close:
                # The writer closes, behind what is still to be written.
                await anyio.sleep_forever()

    async def _write(self) -> None:
        try:
            async for item in self._queued:
                with anyio.fail_after(WRITE_SECONDS):
                    if isinstance(item, int):
                        await self._wire.close(item)
                        break
                    await self._wire.send(item)
        except Exception as failed:  # noqa: BLE001 - whatever a server raises, the page is gone
            logger.debug("a page is gone: %s", type(failed).__name__)
        self._scope.cancel()

    async def _beat(self) -> None:
        limits = self._terms.limits
        pause = min(limits.heartbeat_seconds, limits.resume_seconds, 20.0) / 4
        step = Step()
        while not step.close:
            await anyio.sleep(pause)
            step = self._connection.beat(self._terms.bridge.clock.now())
        await self._do(step)

    def _post(self, item: str | int) -> bool:
        """Queue a frame, or a code to close with; whether the page may still get it.

        Nobody waits for a page: one that is so far behind is to connect anew.
        """
        try:
            self._put.send_nowait(item)
        except (anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._scope.cancel()
            return False
        return True

    async def _live(self, text: str) -> None:
        """Write what the sender brings, behind what the page had missed."""
        if self._held is not None and len(self._held) < MOST_FRAMES:
            self._held.append(text)
        elif self._held is not None or not self._show(text):
            self._scope.cancel()
            raise anyio.ClosedResourceError

    def _show(self, text: str) -> bool:
        frame = self._connection.outgoing(text)
        return frame is None or self._post(frame)

    # --- what the page wants --------------------------------------------------------------------

    async def _do(self, step: Step) -> None:
        for frame in step.frames:
            self._post(frame)
        for event in step.events:
            if isinstance(event, Inbound):
                self._take(event)
            else:
                await self._receive(event)
        if step.looks:
            await self._look(greets=step.greets)
        if step.close:
            self._post(step.close)

    async def _look(self, *, greets: bool) -> None:
        """Show the page what it has missed."""
        writer = self._connection.writer
        assert writer is not None
        if self._looked_at < 0 and not self._join(writer.address):
            return
        look = Look(self._terms.bridge, self._terms.channel.endpoint, writer)
        try:
            context = await look.read(self._terms.limits.history)
            if context.seq == self._looked_at and not greets:
                return
            missed = await look.frames(self._connection)
        except CtxBridgeError as failed:
            logger.warning("a page cannot be shown what it missed: %s", type(failed).__name__)
            if greets:
                self._post(error("store", again=True))
                self._post(TRY_LATER)
            return
        if greets:
            log = log_of(context, writer.address)
            self._connection.knows(look.ours(), log)
            self._post(self._connection.ready(log, context.seq))
        self._looked_at = 0 if look.unsure else context.seq
        if look.unsure:
            self._unsure.set()
        held, self._held = self._held, None
        for text in (*missed, *(held or ())):
            self._show(text)

    async def _look_again(self) -> None:
        """Soon after a look that fell into the moment in which something was leaving."""
        while True:
            await self._unsure.wait()
            await anyio.sleep(LOOK_AGAIN_SECONDS)
            self._unsure = anyio.Event()
            await self._look(greets=False)

    def _join(self, address: Address) -> bool:
        """Be reached by the sender from now on, before the log is read: nothing falls between."""
        sender = self._terms.sender
        if sender.connections(address) >= self._terms.limits.tabs:
            self._post(error("tabs", again=True))
            self._post(TOO_FAST)
            return False
        self._stack.enter_context(sender.connected(address, self._live))
        return True

    async def _receive(self, event: Receipt | Notice) -> None:
        try:
            await self._terms.bridge.receive(event)
        except CtxBridgeError as failed:
            logger.warning("what a page told is not stored: %s", type(failed).__name__)

    def _take(self, inbound: Inbound) -> None:
        if self._in_flight >= self._terms.limits.in_flight:
            self._post(error("busy", client_msg_id_of(inbound.message_id), again=True))
            return
        self._in_flight += 1
        Background(partial(self._carry, inbound))

    async def _carry(self, inbound: Inbound) -> None:
        try:
            await Taken(self._terms, inbound, self._post).run()
        finally:
            self._in_flight -= 1
