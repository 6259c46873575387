"""The frozen values that ask a store to do something, and its answers."""

from typing import Literal

from msgspec import Struct

from ctxbridge.model.access import DEFAULT_POLICY, AccessPolicy, Reader
from ctxbridge.model.address import Address, Assurance, Endpoint
from ctxbridge.model.contact import Consent
from ctxbridge.model.context import Context
from ctxbridge.model.delivery import Delivery
from ctxbridge.model.head import Floor
from ctxbridge.model.message import Entry, Message


class Query(Struct, frozen=True, gc=False, cache_hash=True):
    """Look up the context of an address, as a reader of this assurance may see it.

    `window` is the number of entries, 0 for the whole conversation. `fresh` asks the store itself,
    where a cache in this process might answer that is some milliseconds behind other processes.

    `held_by` is the fence of a turn that is running: the answer comes when that turn has ended or
    lost its lease, or after `patience_seconds`, whichever is first. `now` and `thread` are for a
    proof that holds for a while, in its thread.
    """

    tenant: str
    address: Address
    assurance: Assurance = Assurance.AUTHENTICATED
    window: int = 20
    fresh: bool = False
    held_by: int = 0
    patience_seconds: float = 0.0
    policy: AccessPolicy = DEFAULT_POLICY
    now: int = 0
    thread: str = ""

    @property
    def reader(self) -> Reader:
        """Through whose eyes to look."""
        return Reader(self.address, self.assurance, self.policy, self.now, self.thread)


class Claim(Struct, frozen=True, gc=False):
    """Open a turn for a message: dedupe, append, apply consent, take the lease, read the context.

    `message` is stored as `pending` under the id `turn`. `digest` is of the content as it came, so
    that the same id with another body is noticed. `contact` and `conversation` are the ids to give
    to somebody not seen before. `now` is Unix milliseconds; `lease_seconds` how long the turn may
    take, 0 for a message that is only to be stored (an edit).

    `resumes` is the place of a message that was stored before and waits: it is taken up whatever
    its digest, and nothing is ever stored anew; one that was answered waits no longer.

    `overlap` says what happens while another turn is running: ``queue`` stores the message and lets
    it wait, ``supersede`` takes the lease of a turn of the same assurance, ``reject`` stores
    nothing. At most `backlog` messages wait; the next is refused. Neither holds back a consent.

    `control` is the epoch of the tenant's control that the caller knows (see `CONTROL`).
    """

    tenant: str
    endpoint: Endpoint
    address: Address
    message: Message
    digest: bytes
    turn: bytes
    contact: bytes
    conversation: bytes
    now: int
    assurance: Assurance
    consents: tuple[Consent, ...] = ()
    lease_seconds: float = 60.0
    remember_seconds: float = 7 * 86_400.0
    window: int = 20
    overlap: Literal["queue", "supersede", "reject"] = "queue"
    backlog: int = 128
    resumes: int = 0
    policy: AccessPolicy = DEFAULT_POLICY
    control: int = 0

    @property
    def reader(self) -> Reader:
        """Through whose eyes the context is given."""
        return Reader(self.address, self.assurance, self.policy, self.now, self.message.thread)


class Opened(Struct, frozen=True, gc=False):
    """The answer to a `Claim`.

    ``new``: the lease is ours under `fence`. ``duplicate``: the turn was finished before, `answer`
    is what it replied. ``merged``: the turn of another message answered it. ``busy``: stored, but
    another turn holds the lease, under `fence`, until `lease_end`. ``noted``: stored, and no turn
    was asked for. ``mismatch``: the id is known with another body. ``rejected``: another turn is
    running. ``full``: too many wait already. Of the last three nothing was changed. `resumed` says
    that the message had been stored before by a worker that did not finish. `seq` is the message's
    place. `control` is the tenant's control where it is newer than the caller's, else empty.
    """

    status: Literal["new", "duplicate", "merged", "busy", "noted", "mismatch", "rejected", "full"]
    turn: bytes
    seq: int
    fence: int
    context: Context
    answer: tuple[Message, ...] = ()
    resumed: bool = False
    lease_end: int = 0
    control: bytes = b""


class Change(Struct, frozen=True, gc=False):
    """Commit what a turn produced, all or none; idempotent by `turn`.

    With `fence` set it is the end of a leased turn: checked against fence and gate epoch. With
    `fence=None` it stands alone (a note, a framework's item) and is checked against `revision`
    where one is given. `amend` replaces the message at the given seq; what a finished turn amends
    waits no longer, and a repetition of a message whose turn is among `joined` is told that this
    one answered it. `deliveries` go into the outbox; those with a token are claimed by the
    same step, for `hold_seconds`.

    `finished=False` only gives the lease back: the message stays pending, and is to be taken up
    again after `retry_seconds` at the latest. With `lease_seconds` it renews the lease instead.

    `floor` gives the floor to somebody and raises the gate epoch, behind what this change itself
    claims. `release` pins the conversation to one, by its key. What passes the gate is refused
    under a newer control than `control` (see `CONTROL`).
    """

    tenant: str
    contact: bytes
    turn: bytes
    now: int
    fence: int | None = None
    gate_epoch: int = 0
    revision: int | None = None
    amend: tuple[tuple[int, Message], ...] = ()
    append: tuple[Entry, ...] = ()
    state: bytes | None = None
    trace: bytes = b""
    finished: bool = True
    remember_seconds: float = 7 * 86_400.0
    joined: tuple[bytes, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    hold_seconds: float = 60.0
    lease_seconds: float = 0.0
    retry_seconds: float = 1.0
    floor: Floor | None = None
    release: bytes = b""
    control: int = 0


class Committed(Struct, frozen=True, gc=False):
    """Stored. `seq` is that of the last entry; `replayed` says that it had been stored before."""

    seq: int
    revision: int
    replayed: bool = False


class Refused(Struct, frozen=True, gc=False):
    """Not stored.

    ``fenced``: a later lease exists. ``superseded``: a later message has taken it. ``gated``: the
    gate epoch was raised meanwhile. ``controlled``: the tenant's control is newer, `control` is it.
    ``conflict``: the revision is another. ``unknown``: no such contact or place.
    """

    reason: Literal["fenced", "superseded", "gated", "controlled", "conflict", "unknown"]
    revision: int = 0
    gate_epoch: int = 0
    control: bytes = b""


class RecordRead(Struct, frozen=True, gc=False):
    """Read a record; one whose lifetime has ended at `now` is not there.

    With `patience_seconds` the answer comes once the record has another revision than `held` (0:
    there is none), or after so long.
    """

    tenant: str
    scope: str
    name: str
    now: int
    held: int = 0
    patience_seconds: float = 0.0


class RecordWrite(Struct, frozen=True, gc=False):
    """Write a record, or delete it (`value=None`).

    `revision` is the one expected: 0 for "must not exist", `None` for "whatever is there".
    """

    tenant: str
    scope: str
    name: str
    now: int
    value: bytes | None
    revision: int | None = None
    lifetime_seconds: float = 0.0


class StoreReport(Struct, frozen=True, gc=False):
    """What a store can give, read from the store itself when it was opened."""

    kind: str
    durable: bool
    writable: bool
    version: str
    notes: tuple[str, ...] = ()
