"""One worker: a bot of ten lines, its webhooks, and its sender."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack, suppress
from typing import Any

from ctxbridge.bridge import Bridge
from ctxbridge.errors import CtxBridgeError, OutcomeUnknown, Unavailable
from ctxbridge.model import (
    Address,
    Assurance,
    Change,
    Claim,
    Committed,
    Inbound,
    Opened,
    Outgoing,
    Refused,
    Sent,
    Settle,
    Take,
    Taken,
    Text,
)
from ctxbridge.ports import Store
from ctxbridge.testing.storm.around import Around
from ctxbridge.testing.storm.line import Line
from ctxbridge.testing.storm.plan import US, Plan
from ctxbridge.testing.storm.variants import store_of

At = Callable[[str], AbstractContextManager[None]]
"""Notes that one more turn is at this stage, for the time of a block."""

_SWEEP_SECONDS = 0.2
_WAIT_SECONDS = 5.0


class Watched(Around):
    """Notes how far its turns are."""

    def __init__(self, store: Store, at: At) -> None:
        super().__init__(store)
        self._at = at

    async def open(self, claim: Claim, /) -> Opened:
        with self._at("open"):
            return await self._store.open(claim)

    async def commit(self, change: Change, /) -> Committed | Refused:
        with self._at("commit"):
            return await self._store.commit(change)

    async def deliver(self, step: Take | Settle, /) -> Taken:
        with self._at("settle" if isinstance(step, Settle) else "send"):
            return await self._store.deliver(step)


class Provider:
    """The sender: hands the message to the driver, who plays the provider."""

    timeout_seconds = 1.0
    per_second = 0.0

    def __init__(self, channel: str, line: Line, at: At, *, repeatable: bool) -> None:
        self.channel, self.repeatable = channel, repeatable
        self._line, self._at = line, at

    async def send(self, outgoing: Outgoing, /) -> Sent:
        """Taken once for each key."""
        with self._at("send"):
            said = await self._line.ask(["send", outgoing.key, outgoing.text])
        return Sent(said[0], provider_id=said[1])

    async def aclose(self) -> None:
        """The line is the worker's."""


class Bot:
    """Repeats what it was told, and counts it in the state."""

    def __init__(self, plan: Plan, at: At) -> None:
        self._longest = 2 * plan.think_seconds
        self._chance = random.Random()
        self._at = at

    async def __call__(self, turn: Any) -> str:
        with self._at("think"):
            await asyncio.sleep(self._chance.uniform(0, self._longest))
        texts = [message.text for message in turn.messages]
        turn.state["answered"] = turn.state.get("answered", 0) + len(texts)
        return " ".join(texts)


async def work(plan: Plan, socket: str, at: At, store: Store | None = None) -> None:
    """Serve until killed, or until the driver has gone. Raises `OSError` where there is none."""
    reader, writer = await asyncio.open_unix_connection(socket)
    bot = Bot(plan, at)

    async def on_webhook(what: Any) -> str:
        return await _receive(bridge, bot, *what)

    line = Line(reader, writer, on_webhook)
    senders = [Provider(c, line, at, repeatable=not plan.at_most_once) for c in US]
    where = Watched(store or store_of(plan), at)
    bridge = Bridge(
        where, tenant=plan.tenant, senders=senders, overlap=plan.overlap,
        lease_seconds=plan.lease_seconds, wait_seconds=_WAIT_SECONDS,
    )  # fmt: skip
    # What a killed worker has claimed is not left to wait for longer than a lease.
    bridge.outbox.margin_seconds = plan.lease_seconds
    try:
        async with AsyncExitStack() as stack:
            await _enter(stack, bridge)
            sweeping = asyncio.ensure_future(bridge.run(bot, sweep_seconds=_SWEEP_SECONDS))
            try:
                await line.run()
            finally:
                sweeping.cancel()
                with suppress(asyncio.CancelledError):
                    await sweeping
    finally:
        if store is None:
            await where.aclose()


async def _enter(stack: AsyncExitStack, bridge: Bridge[Any]) -> None:
    """As whoever starts the processes of a service again until the store can be used."""
    while True:
        try:
            await stack.enter_async_context(bridge)
        except (Unavailable, OutcomeUnknown):
            await asyncio.sleep(_SWEEP_SECONDS)
        else:
            return


async def _receive(bridge: Bridge[Any], bot: Bot, channel: str, sender: str, id: str) -> str:
    """One webhook: what became of it, or why it is to come again."""
    inbound = Inbound(
        channel, US[channel], Address(channel, sender), id, (Text(id),), Assurance.CHANNEL
    )
    try:
        return (await bridge.answer(inbound, bot)).status
    except (CtxBridgeError, ConnectionResetError) as error:
        return f"again: {type(error).__name__}"
