"""A conversation and the tenant's control as they are now, in the time of one round trip.

For what the store does not compare: what a tool does, or a draft shows, is not taken back later.
"""

from typing import TYPE_CHECKING, Any

import anyio

from ctxbridge.errors import CtxBridgeError
from ctxbridge.model import Address, Context, Query
from ctxbridge.rules.handoff import taken_since

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge


async def behold(bridge: "Bridge[Any]", query: Query) -> Context:
    """What the query finds. Turns that a newer control stops are told. Raises `StoreError`."""
    found, failed = list[Context](), list[CtxBridgeError]()

    async def look() -> None:
        try:
            found.append(await bridge.store.read(query))
        except CtxBridgeError as error:
            failed.append(error)

    async def learn() -> None:
        try:
            await bridge.steering.refresh()
        except CtxBridgeError as error:
            failed.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(look)
        group.start_soon(learn)
    if failed:
        raise failed[0]
    return found[0]


async def was_taken(bridge: "Bridge[Any]", sender: Address, before: Context) -> bool:
    """Whether a colleague has taken the floor since `before`, also if they gave it back."""
    window = bridge.settings.window
    now = await bridge.context(sender, window=window, fresh=True)
    if now.seq - before.seq > window:
        now = await bridge.context(sender, window=now.seq - before.seq, fresh=True)
    return taken_since(now, before.gate_epoch)
