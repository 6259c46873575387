"""Edits and deletions: what a log of messages says now.

Each is an entry of its own, so nothing is lost and any of them may come before its original. Shown
is what remains: the order in which they came makes no difference.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from ctxbridge.model.message import Message, Part

EDITED = "edited"


def current(messages: Iterable[Message]) -> list[Message]:
    """The messages as they stand: edited ones with their last words, deleted ones left out.

    A deletion always holds. Of several edits the latest by the provider's time counts, of equals
    the one that came last.
    """
    messages = list(messages)
    revisions = [m for m in messages if m.revises and m.visible]
    if not revisions:
        return [m for m in messages if not m.revises]
    shown = (revised(m, revisions) for m in messages if not m.revises)
    return [m for m in shown if m is not None]


def revised(message: Message, revisions: Iterable[Message]) -> Message | None:
    """The message after those of the `revisions` that are of it; `None` if it was deleted."""
    own = [r for r in revisions if _is_of(r, message)]
    if any(is_deletion(r) for r in own):
        return None
    parts: tuple[Part, ...] | None = None
    latest = -1
    for revision in own:
        if revision.occurred_at >= latest:
            parts, latest = revision.parts, revision.occurred_at
    if parts is None:
        return message
    return replace(message, parts=parts, flags=(*message.flags, EDITED))


def is_deletion(revision: Message) -> bool:
    """Whether it takes the message away."""
    return bool(revision.revises) and not revision.parts


def _is_of(revision: Message, message: Message) -> bool:
    """Only who wrote a message can change it, and no less sure of who they are than then."""
    return (
        revision.revises == message.message_id
        and revision.address == message.address
        and revision.endpoint == message.endpoint
        and revision.assurance >= message.assurance
    )
