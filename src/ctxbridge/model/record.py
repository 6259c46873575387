"""Scoped bytes with a revision and a lifetime."""

from msgspec import Struct


class Record(Struct, frozen=True, gc=False):
    """One stored value. `expires_at` is Unix milliseconds, 0 for never; `revision` starts at 1."""

    value: bytes
    revision: int
    expires_at: int = 0
