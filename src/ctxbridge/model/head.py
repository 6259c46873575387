"""The head of a conversation: the few numbers that a store compares atomically."""

from enum import IntEnum

from msgspec import Struct

NO_ID = bytes(16)
NO_TRACE = bytes(25)
NO_RELEASE = bytes(8)


class Floor(IntEnum):
    """Who may speak."""

    AGENT = 0
    HUMAN = 1
    QUEUE = 2


class Status(IntEnum):
    """Where a conversation is in its life."""

    ACTIVE = 0
    IDLE = 1
    CLOSED = 2


class Head(Struct, frozen=True, gc=False):
    """All that a store must compare or count; what means more is decided by `rules`.

    `seq` counts every entry, `revision` only changes of state, consent, floor and links. `fence` is
    the number that the latest lease came with, `lease_end` its end in Unix milliseconds (0: free).
    `gate_epoch` is raised by whatever must stop what was prepared before. `consent` has one bit per
    channel and purpose (`rules.consent`). `waiting` is where the messages stand that no turn has
    finished yet, oldest first, 5 bytes each (`rules.backlog`). `release` and `members` are
    reserved: the release that the conversation is pinned to, and a hash of its addresses.
    """

    conversation: bytes
    seq: int = 0
    revision: int = 0
    fence: int = 0
    lease_end: int = 0
    gate_epoch: int = 0
    consent: int = 0
    turn: bytes = NO_ID
    trace: bytes = NO_TRACE
    floor: Floor = Floor.AGENT
    status: Status = Status.ACTIVE
    assurance: int = 0
    flags: int = 0
    release: bytes = NO_RELEASE
    members: bytes = NO_ID
    waiting: bytes = b""
