"""What a kill is for and has not left is withheld for good, also what is due only much later.

The gate would look at it when it is due: by then the kill may be over.
"""

import logging
from typing import TYPE_CHECKING, Any

from ctxbridge.bridge.steering import KILLED, release_of
from ctxbridge.bridge.stopping import MOST_LOOKED_AT
from ctxbridge.errors import CtxBridgeError
from ctxbridge.model import Found, Message, Scan, Settle
from ctxbridge.model.control import Control, Scope
from ctxbridge.rules import control as rules
from ctxbridge.rules.control import Subject

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

logger = logging.getLogger("ctxbridge")


async def begin_kill(bridge: "Bridge[Any]", scope: Scope) -> None:
    """Withhold what of this scope waits to leave; the kill is in force."""
    try:
        await _withhold_all(bridge, scope)
    except CtxBridgeError as error:
        # It cannot leave in any case, and who ends the kill withholds it before.
        logger.error("what was killed waits to be withheld: %s", type(error).__name__)  # noqa: TRY400


async def end_kills(bridge: "Bridge[Any]", before: Control, after: Control) -> None:
    """Withhold what is left of each kill that an act is about to end. Raises `StoreError`."""
    killed = {halt.scope for halt in after.halts if halt.mode == "kill"}
    for halt in before.halts:
        if halt.mode == "kill" and halt.scope not in killed:
            await _withhold_all(bridge, halt.scope)


async def _withhold_all(bridge: "Bridge[Any]", scope: Scope) -> None:
    """Withhold what of this scope waits to leave, among the first `MOST_LOOKED_AT` that do.

    Nothing of it is claimed or prepared meanwhile, since every store refuses that.
    """
    scan = Scan(bridge.tenant, bridge.clock.now(), "pending", MOST_LOOKED_AT)
    for found in await bridge.store.scan(scan):
        message, waits = found.message, found.delivery
        if message is None or waits is None or waits.status != "pending":
            continue
        if rules.fits(scope, await _subject(bridge, found, message, scope)):
            await withhold(bridge, found, KILLED)


async def _subject(bridge: "Bridge[Any]", found: Found, message: Message, scope: Scope) -> Subject:
    """What is asked of it; its conversation is looked up only where the scope names one."""
    release, conversation = release_of(message), ""
    if scope.conversation and message.address is not None:
        context = await bridge.context(message.address, window=1, fresh=True)
        conversation = context.conversation.hex()
    agent, version = (release.agent, release.version) if release else ("", "")
    return Subject(
        agent, version, message.channel, str(message.endpoint or ""),
        tuple([id.hex() for id in (found.contact, *found.merged)]), conversation, message.purpose,
    )  # fmt: skip


async def withhold(bridge: "Bridge[Any]", found: Found, code: str) -> None:
    """Let a delivery that has not left never leave, for the reason `code`."""
    said = Settle(
        bridge.tenant, "withheld", bridge.clock.now(), found.contact, delivery=found.id, code=code
    )
    await bridge.store.deliver(said)
