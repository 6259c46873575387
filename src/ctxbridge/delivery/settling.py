"""A delivery that was claimed, and what became of it, in the words of the outbox. Pure."""

from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.delivery import retrying
from ctxbridge.model import Context, Delivery, Message, Sent, Settle


class Claimed(Struct, frozen=True):
    """A delivery that is ours to send until our claim has run out (`until`, monotonic).

    `control` is the epoch of the control that it was let through by.
    """

    delivery: Delivery
    message: Message
    context: Context
    control: int
    until: float


def as_claimed(delivery: Delivery, before: int) -> Delivery:
    """The delivery of a change as the store has it by now; the log ended at `before`."""
    return replace(delivery, place=before + delivery.place, status="claimed", attempt=1)


def worded(said: Settle, sent: Sent, delivery: Delivery) -> Settle:
    """What the sender said, in the words of the outbox."""
    again = sent.status == "retry" or (sent.status == "unknown" and delivery.repeatable)
    if sent.status != "retry" and not again:
        return replace(said, status=sent.status)
    if delivery.attempt >= retrying.MOST_ATTEMPTS:
        return replace(said, status="failed")
    seconds = retrying.seconds_after(delivery.attempt, sent.retry_after)
    return replace(said, status="pending", retry_seconds=seconds)


def id_of(key: str) -> bytes:
    """The delivery that a provider's receipt names by its key; empty for none."""
    try:
        id = bytes.fromhex(key)
    except ValueError:
        return b""
    return id if len(id) == 16 else b""
