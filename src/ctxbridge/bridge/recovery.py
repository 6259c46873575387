"""Turns whose worker is gone: taken up again by whoever sweeps first."""

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import anyio

from ctxbridge.bridge.settings import UNKNOWN_HORIZON_SECONDS
from ctxbridge.bridge.telling import raised
from ctxbridge.bridge.turn import Turn
from ctxbridge.errors import Busy, CtxBridgeError
from ctxbridge.model import Event, Found, Inbound, Message, Scan

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

Agent = Callable[[Any], Awaitable[str | None]]
"""Takes an open `Turn`; gives the text of the reply, or `None`."""

GIVEN_UP_AFTER_MILLISECONDS = 86_400_000
GIVEN_UP = "turn.given_up"
_AT_ONCE = 8
_LOOKED_AT, _MOST_LOOKED_AT = 100, 100_000

logger = logging.getLogger("ctxbridge")


async def recover(bridge: "Bridge[Any]", agent: Agent) -> int:
    """Take up what is due, some conversations side by side; how many turns there were."""
    await bridge.steering.look_up()
    waiting = await _waiting(bridge)
    limiter = anyio.CapacityLimiter(_AT_ONCE)
    async with anyio.create_task_group() as group:
        for one in waiting:
            group.start_soon(_take_up, bridge, agent, one, limiter)
    return len(waiting)


async def _waiting(bridge: "Bridge[Any]") -> list[Found]:
    """What is due and may be answered now; it is looked beyond what a halt keeps waiting."""
    limit = _LOOKED_AT
    while True:
        found = await bridge.store.scan(Scan(bridge.tenant, bridge.clock.now(), limit=limit))
        waiting = [one for one in found if one.message is not None and not one.id]
        free = [one for one in waiting if not bridge.steering.holds(one)]
        if free or len(found) < limit or limit >= _MOST_LOOKED_AT:
            return free
        limit *= 10


async def _take_up(
    bridge: "Bridge[Any]", agent: Agent, found: Found, limiter: anyio.CapacityLimiter
) -> None:
    message = found.message
    assert message is not None
    async with limiter:
        try:
            inbound = inbound_of(message)
            turn: Turn[Any] = Turn(bridge, inbound, found.place)
            if _is_too_old(bridge, message):
                await _give_up(bridge, turn)
            else:
                await bridge.think(turn, agent)
        except Busy:
            return  # somebody else was faster
        except CtxBridgeError as error:
            logger.warning("a turn could not be taken up: %s", type(error).__name__)
        except Exception as error:  # noqa: BLE001 - an agent is foreign code
            logger.error("an agent raised %s; its turn waits to be taken up", raised(error))  # noqa: TRY400


def _is_too_old(bridge: "Bridge[Any]", message: Message) -> bool:
    """Whether nobody will answer it any more. What was halted meanwhile has its time anew."""
    since = max(message.accepted_at, bridge.steering.control.at)
    return bridge.clock.now() - since > GIVEN_UP_AFTER_MILLISECONDS


async def _give_up(bridge: "Bridge[Any]", turn: Turn[Any]) -> None:
    async with turn:
        ours = turn.status == "new"
        if ours:
            turn.note(Event(GIVEN_UP, bridge.clock.now()))
    if ours and not turn.waits:
        logger.error("a message was given up after a day without an answer")


def inbound_of(message: Message) -> Inbound:
    """The message as it came, as far as it was kept: what was masked stays masked."""
    assert message.endpoint is not None and message.address is not None  # noqa: PT018
    return Inbound(
        message.channel, message.endpoint, message.address, message.message_id, message.parts,
        message.assurance, occurred_at=message.occurred_at, thread=message.thread,
        subject=message.subject, references=message.references, flags=message.flags,
        horizon_seconds=UNKNOWN_HORIZON_SECONDS, written_as=message.written_as,
    )  # fmt: skip
