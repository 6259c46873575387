"""Who is who: what a store is asked to join, to part and to erase."""

from typing import Literal

from msgspec import Struct

from ctxbridge.model.address import Address
from ctxbridge.model.contact import Contact, Link
from ctxbridge.model.head import NO_ID
from ctxbridge.model.message import Entry


class LinkClaim(Struct, frozen=True, gc=False):
    """Link an address to the contact that `contact` names (an id, or one of its addresses).

    `fresh` and `conversation` are the ids to use when neither side is known yet.
    """

    tenant: str
    contact: bytes | Address
    link: Link
    fresh: bytes
    conversation: bytes
    now: int


class Merge(Struct, frozen=True, gc=False):
    """Make one of two contacts: what is of `contact` belongs to `into` from now on. Both are ids.

    `state` is that of both together (`None`: that of `into` stays). With `revisions` it is merged
    only while `into` and `contact` still have these.
    """

    tenant: str
    into: bytes
    contact: bytes
    now: int
    evidence: str
    source: str
    state: bytes | None = None
    revisions: tuple[int, int] | None = None


class Split(Struct, frozen=True, gc=False):
    """Part from `contact` (an id) what belongs to somebody else.

    With `address` that is one address, whose contact gets the id `part` and a conversation of the
    id `conversation`. Without, it is all that came with the contact `part`, when that was merged.
    `moves` are the entries that go along, with their places, as they read; the log must still end
    at `seq`.
    """

    tenant: str
    contact: bytes
    part: bytes
    now: int
    evidence: str
    source: str
    seq: int
    moves: tuple[tuple[int, Entry], ...] = ()
    address: Address | None = None
    conversation: bytes = NO_ID


class Identified(Struct, frozen=True, gc=False):
    """The answer to a `LinkClaim`, a `Merge` or a `Split`.

    ``taken``: the address has a history under another contact. ``unknown``: no such contact, or
    nothing of it that could be parted. ``conflict``: somebody changed it meanwhile. ``unchanged``:
    so it was before. `part` is the contact that was parted; with ``conflict`` the one that a split
    would undo the merge of, so that one can ask with a `seq` of 0 what belongs to it.
    """

    status: Literal["linked", "merged", "split", "unchanged", "taken", "conflict", "unknown"]
    contact: Contact | None = None
    part: Contact | None = None


class Erase(Struct, frozen=True, gc=False):
    """Erase the contact of an address and their conversation. `fresh` is the new contact's id.

    With `seq` only if the log still ends there: nobody has written since it was read. `settles` is
    false for all but the last of many: what a store does once for all of them waits for that.
    """

    tenant: str
    address: Address
    fresh: bytes
    now: int
    seq: int | None = None
    settles: bool = True


class Erased(Struct, frozen=True, gc=False):
    """The answer to an `Erase`.

    ``erased``: `contact` was the one, `entries` how many entries of its log are gone, `deliveries`
    how many messages on their way or remembered. ``unknown``: nobody is stored under the address,
    they were erased before, or the log is longer than `seq`. `remains` names, in words for people,
    the copies that the store knows to be left elsewhere.
    """

    status: Literal["erased", "unknown"]
    contact: bytes = b""
    entries: int = 0
    deliveries: int = 0
    remains: tuple[str, ...] = ()
