"""The backlog: which messages no turn has finished yet, oldest first, as the head carries them.

Each is the place of the message in the log, in 5 bytes, so that a script inside a server can read
and change it too.
"""

from collections.abc import Iterable

from ctxbridge.model import Head

_WIDTH = 5
TAKE_UP_MILLISECONDS = 1_000
"""A message that waits while no turn is running is taken up by whoever sweeps after this time:
who waits for its turn in earnest is much faster."""


def places(waiting: bytes) -> tuple[int, ...]:
    """Where the waiting messages stand."""
    return tuple(
        int.from_bytes(waiting[i : i + _WIDTH], "big") for i in range(0, len(waiting), _WIDTH)
    )


def count(waiting: bytes) -> int:
    """How many wait."""
    return len(waiting) // _WIDTH


def joined_by(waiting: bytes, place: int) -> bytes:
    """`waiting` with one more."""
    return waiting + place.to_bytes(_WIDTH, "big")


def without(waiting: bytes, done: Iterable[int]) -> bytes:
    """`waiting` without those at the places `done`."""
    gone = {place.to_bytes(_WIDTH, "big") for place in done}
    each = (waiting[i : i + _WIDTH] for i in range(0, len(waiting), _WIDTH))
    return b"".join([place for place in each if place not in gone])


def due(head: Head, now: int, retry_milliseconds: int = TAKE_UP_MILLISECONDS) -> int:
    """When somebody should look after the conversation, in Unix milliseconds; 0 for never.

    That is when the running turn's lease ends, or soon where something waits and no turn runs.
    """
    if head.lease_end:
        return head.lease_end
    return now + retry_milliseconds if head.waiting else 0
