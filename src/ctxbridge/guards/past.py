"""What the guards read in a context: who wrote last and when, what we said, how far it goes back.

A context holds a window of the conversation's last entries. What a guard concludes from it holds
only as far as the window goes back, so each says what it does where that is not far enough.
"""

from collections.abc import Iterator

from ctxbridge.guards.guard import TextCheck
from ctxbridge.model import Address, Context, Message


def newest_first(context: Context | None) -> Iterator[Message]:
    """The messages of the window, the last one first."""
    return reversed(context.messages) if context is not None else iter(())


def is_whole(context: Context | None) -> bool:
    """Whether the window shows all that was ever said, and nothing of it was withheld."""
    return context is not None and not context.withheld and len(context.window) >= int(context.seq)


def reaches_back(context: Context | None, moment: int) -> bool:
    """Whether the window shows everything since `moment` (Unix milliseconds)."""
    if context is None:
        return False
    if is_whole(context):
        return True
    oldest = next(iter(context.messages), None)
    return not context.withheld and oldest is not None and oldest.accepted_at <= moment


def last_inbound(check: TextCheck) -> Message | None:
    """The contact's last message on the channel of `check`; edits are not counted as writing."""
    return next(
        (
            m
            for m in newest_first(check.context)
            if m.author == "contact" and m.channel == check.channel and not m.revises
        ),
        None,
    )


def written_at(message: Message) -> int:
    """When it was written: the provider's time where it gave one, and never after it came."""
    return min(message.occurred_at or message.accepted_at, message.accepted_at)


def recipient(check: TextCheck) -> Address | None:
    """Where a message goes; where nobody says, to the address last written from on its channel."""
    if check.address is not None:
        return check.address
    last = last_inbound(check)
    return last.address if last is not None else None


def ours(context: Context | None) -> Iterator[Message]:
    """What the contact got from us, the last one first: our agent's, a person's, the system's."""
    return (
        m for m in newest_first(context) if m.author != "contact" and m.visible and not m.silent
    )
