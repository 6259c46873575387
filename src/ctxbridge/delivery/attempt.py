"""One attempt: ask the sender, and make of whatever it does a word that can be recorded.

What a sender raises, its silence and its nonsense all mean that nobody knows whether the message
left. Only a sender that says so can say that it did not.
"""

import logging
from math import isnan
from typing import Any

import anyio

from ctxbridge.model import Outgoing, Sent
from ctxbridge.ports import Sender
from ctxbridge.rules.text import clean

logger = logging.getLogger("ctxbridge.delivery")

LONGEST_RETRY_AFTER_SECONDS = 86_400.0
"""A provider that asks for more is asked again after a day."""

_STATUSES = frozenset({"sent", "failed", "retry", "unknown"})


async def attempt(sender: Sender, outgoing: Outgoing) -> Sent:
    """What became of the message. Raises only where the caller is cancelled."""
    said: Any = None
    try:
        with anyio.move_on_after(sender.timeout_seconds) as scope:
            said = await sender.send(outgoing)
    except Exception as error:  # noqa: BLE001 - whatever a sender raises, it may have sent
        # The sender's own words may hold the customer's: its type must do.
        logger.error("a sender raised %s; it may have sent", type(error).__name__)  # noqa: TRY400
        return Sent("unknown", code="sender.raised")
    if scope.cancelled_caught:
        return Sent("unknown", code="sender.timeout")
    return _understood(said)


def _understood(said: Any) -> Sent:
    """What the sender said, as it can be stored."""
    try:
        if not isinstance(said, Sent) or said.status not in _STATUSES:
            raise TypeError
        asked = 0.0 if isnan(said.retry_after) else max(said.retry_after, 0.0)
        patience = min(asked, LONGEST_RETRY_AFTER_SECONDS)
        return Sent(said.status, clean(said.provider_id), clean(said.code), patience)
    except (TypeError, ValueError, AttributeError):
        return Sent("unknown", code="sender.nonsense")
