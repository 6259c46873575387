"""Scoped bytes with a revision and a lifetime."""

from msgspec import Struct

CONTROL = ("control", "now")
"""Scope and name of the record that is a tenant's control (`rules.control`).

Its value begins with its epoch, 8 bytes, big-endian. `Store.open`, `Store.commit` and the claim of
a delivery compare that with the epoch that their caller knows, in their atomic step.
"""


class Record(Struct, frozen=True, gc=False):
    """One stored value. `expires_at` is Unix milliseconds, 0 for never; `revision` starts at 1."""

    value: bytes
    revision: int
    expires_at: int = 0
