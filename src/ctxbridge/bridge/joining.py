"""Which of the messages that wait become part of a turn that has just begun."""

from typing import TYPE_CHECKING, Any

import anyio
from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.bridge.judging import Inquiry
from ctxbridge.model import Assurance, Context, Inbound, Message, Opened, Query
from ctxbridge.model.revision import is_deletion, revised
from ctxbridge.rules.choices import with_choice

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

MOST_JOINED = 64
"""A burst that is longer becomes several turns."""


class Joined(Struct, frozen=True):
    """A message that a turn answers besides its own, where it stands, and the turn it came with."""

    place: int
    message: Message
    came_with: bytes


async def gather(
    bridge: "Bridge[Any]", inquiry: Inquiry, opened: Opened, now: int
) -> tuple[Context, tuple[Joined, ...]]:
    """The context to go on with, and the messages that this turn answers besides its own.

    Those are of the same assurance, seen by this reader, and stopped by no guard. Where the channel
    waits for quiet, it is waited for here.
    """
    context, waiting = await _waiting(bridge, opened, inquiry.inbound)
    joined: list[Joined] = []
    for place, message in waiting:
        message = replace(message, parts=with_choice(message.parts, context.messages))  # noqa: PLW2901
        judged = await inquiry.judge_joined(message, opened.turn, context, now)
        if judged is not None:
            joined.append(Joined(place, judged, message.turn))
    return context, tuple(joined)


async def _waiting(
    bridge: "Bridge[Any]", opened: Opened, inbound: Inbound
) -> tuple[Context, list[tuple[int, Message]]]:
    context, overlap = opened.context, bridge.settings.overlap_on(inbound.channel)
    if not overlap.joins or inbound.assurance < Assurance.CHANNEL:
        return context, []
    if overlap.quiet_seconds and not opened.resumed:
        context = await _when_quiet(bridge, context, inbound)
    others = [place for place in context.waiting if place != opened.seq]
    if not others:
        return context, []
    if others[0] < _first(context):
        context = await _look(bridge, context, inbound, context.seq - others[0] + 1)
    waiting = set(others)
    joined = [
        (place, entry)
        for place, entry in context.window.numbered()
        if place in waiting and isinstance(entry, Message) and _may_join(bridge, entry, inbound)
    ]
    return context, joined[:MOST_JOINED]


def _first(context: Context) -> int:
    return context.window.seqs[0] if len(context.window) else context.seq + 1


def _may_join(bridge: "Bridge[Any]", message: Message, inbound: Inbound) -> bool:
    blocked = message.decision is not None and message.decision.enforced == "block"
    return (
        message.disposition == "pending"
        and message.assurance == inbound.assurance
        and not blocked
        and bridge.settings.overlap_on(message.channel).joins
    )


async def _when_quiet(bridge: "Bridge[Any]", context: Context, inbound: Inbound) -> Context:
    """The context once nothing has come for the channel's quiet time, or patience has ended."""
    overlap = bridge.settings.overlap_on(inbound.channel)
    with anyio.move_on_after(overlap.patience_seconds):
        while True:
            await anyio.sleep(overlap.quiet_seconds)
            before, context = context, await _look(bridge, context, inbound, bridge.settings.window)
            if context.waiting == before.waiting:
                return context
    return context


async def _look(bridge: "Bridge[Any]", before: Context, inbound: Inbound, window: int) -> Context:
    """The context now, under the gate epoch and the state that the turn has begun with."""
    query = Query(
        bridge.tenant, inbound.sender, before.reader, window, fresh=True,
        policy=bridge.settings.access,
    )  # fmt: skip
    now = await bridge.store.read(query)
    if now.contact is None:
        return before
    return now


def as_edited(inbound: Inbound, message: Message, context: Context) -> Inbound | None:
    """The inbound with the last words that its sender gave it; `None` if it was deleted."""
    revisions = [m for m in context.messages if m.revises and (m.visible or is_deletion(m))]
    if not revisions:
        return inbound
    now = revised(message, revisions)
    if now is None:
        return None
    return inbound if now is message else replace(inbound, parts=now.parts)
