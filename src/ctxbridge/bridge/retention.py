"""Keeping no longer than needed: conversations that have been silent for long are erased, whole."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ctxbridge.bridge.erasing import Certificate, erase
from ctxbridge.bridge.explaining import EVERYTHING
from ctxbridge.errors import UnknownContact, UsageError
from ctxbridge.model import Address, Context, Message, Scan

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

DAY_MILLISECONDS = 86_400_000


async def expire(bridge: "Bridge[Any]", silent_days: float) -> tuple[Certificate, ...]:
    """Erase what has been silent for so long; see `Bridge.expire`."""
    if silent_days <= 0:
        raise UsageError("what is kept is kept for some days")
    now = bridge.clock.now()
    before = now - round(silent_days * DAY_MILLISECONDS)
    scan = Scan(bridge.tenant, now, "conversations", EVERYTHING)
    due: list[tuple[Address, int]] = []
    for found in await bridge.store.scan(scan):
        if found.address is None:
            continue  # it was erased before, and nobody has written since
        context = await bridge.context(found.address, window=1, fresh=True)
        if not context.waiting and _last_told(context) < before:
            due.append((found.address, context.seq))
    certificates: list[Certificate] = []
    for number, (address, seq) in enumerate(due, 1):
        # Who has written meanwhile is spared.
        with suppress(UnknownContact):
            last = number == len(due)
            certificates.append(await erase(bridge, address, seq, settles=last))
    return tuple(certificates)


def _last_told(context: Context) -> int:
    """When the last entry came, in Unix milliseconds."""
    last = context.window[-1] if len(context.window) else None
    if last is None:
        return 0
    return last.accepted_at if isinstance(last, Message) else last.at
