"""Every error this library raises, as one tree.

::

    CtxBridgeError
    ├── UsageError                the caller asked for something that cannot be
    │   ├── ConfigurationError    a setting is missing or wrong; nothing was started
    │   ├── TooLarge              a value is over its limit
    │   ├── AddressTaken          the address already belongs to another contact
    │   └── UnknownContact        nobody is stored under this address or id
    ├── PayloadError              what a provider or a customer sent cannot be used
    │   ├── Malformed             it does not parse, or is over the adapter's limits
    │   └── SignatureInvalid      it is not from whom it says it is
    ├── ProofError                somebody is not shown to be who they say they are
    │   ├── Unvouched             the message that brought the proof may be anybody's
    │   ├── TooManyChallenges     codes are asked for too often
    │   └── TokenInvalid          the token is none of the tenant's for this
    │       └── TokenExpired      it was, and is too old
    ├── TurnError                 the turn did not run, or its result was not stored
    │   ├── Busy                  another turn of this conversation holds the lease
    │   │   └── BacklogFull       too many messages wait for their turn
    │   ├── Overdue               the agent took longer than a turn may take
    │   ├── StepUpRequired        we are not sure enough of who is writing
    │   ├── FloorTaken            somebody else may speak now
    │   ├── Fenced                the lease was lost to a later worker
    │   ├── Halted                it is paused, killed or rolled back; the message waits
    │   ├── Conflict              the state changed since it was read
    │   └── IdempotencyMismatch   a known message id came with another body
    └── StoreError                the store could not do it
        ├── Unavailable           surely not applied
        │   ├── StoreFull         no room left on the disk
        │   ├── StoreReadOnly     the file or its folder cannot be written
        │   └── StoreClosed       the store was closed, or never entered
        ├── OutcomeUnknown        it may or may not have been applied
        │   └── NotDurable        it was applied, but is not yet as safe as was asked for
        ├── HistoryRolledBack     what was acknowledged before is gone from the store
        ├── ReplyMismatch         the store answered something else than was asked
        ├── UnknownFormat         the file or record is no ctxbridge data, or of a newer release
        │   └── StateUnreadable   the team's model cannot read a stored state, up or down
        ├── KeyMissing            it is sealed with a key that the source of keys does not have
        └── CorruptRecord         stored bytes are damaged; what is intact stays readable

Each class says whose ``fault`` it is (``caller``, ``peer`` or ``store``) and whether doing the same
again with the same message id is safe and may help (``retry_safe``). No message of an error ever
holds the text of a customer, an address or a driver's own wording of a failed command.
"""

from typing import ClassVar, Literal

Fault = Literal["caller", "peer", "store"]


class CtxBridgeError(Exception):
    """The root: catch this to catch everything that this library raises."""

    fault: ClassVar[Fault] = "caller"
    retry_safe: ClassVar[bool] = False


class UsageError(CtxBridgeError):
    """The caller asked for something that cannot be; the same call will fail again."""


class ConfigurationError(UsageError):
    """A setting is missing or wrong; the message says which one and what it may be."""


class TooLarge(UsageError):
    """A value is over its limit. `what` names it; `size` and `limit` are in the limit's unit."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(f"{what} is {size}, the limit is {limit}")
        self.what = what
        self.size = size
        self.limit = limit


class AddressTaken(UsageError):
    """The address has a history under another contact: that is a merge, not a link."""


class UnknownContact(UsageError):
    """Nobody is stored under this address or id."""


class PayloadError(CtxBridgeError):
    """What a provider or a customer sent cannot be used; sending it again will not help."""

    fault = "peer"


class Malformed(PayloadError):
    """The payload does not parse, or is over the adapter's limits."""


class SignatureInvalid(PayloadError):
    """The payload is not from whom it says it is; answer with 401 or 403."""


class ProofError(CtxBridgeError):
    """Somebody is not shown to be who they say they are; nothing was linked."""

    fault = "peer"


class Unvouched(ProofError):
    """The message that brought the proof is not vouched for by its channel, so it proves nothing.

    Its `assurance` is below `CHANNEL`: a forged From could have brought it. Nothing was compared.
    """


class TooManyChallenges(ProofError):
    """Codes are asked for too often, by this address or for that one. No code was made.

    A retry is safe, and will not help before `retry_after` seconds are over.
    """

    retry_safe = True

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"too many codes were asked for; ask again in {retry_after:.0f} seconds")
        self.retry_after = retry_after


class TokenInvalid(ProofError):
    """The token is damaged, forged, used before, or for something else. It is not said which."""


class TokenExpired(TokenInvalid):
    """The token is the tenant's own and its time is over: the customer needs another one."""


class TurnError(CtxBridgeError):
    """The turn did not run, or its result was not stored."""


class Busy(TurnError):
    """Another turn holds the conversation. A retry is safe.

    The message is stored and waits, except where its channel rejects what overlaps.
    """

    retry_safe = True


class BacklogFull(Busy):
    """Too many messages of this conversation wait; this one was not stored. A retry is safe."""


class Overdue(TurnError):
    """The agent took longer than a turn may take; only its message is stored, and waits."""

    retry_safe = True


class StepUpRequired(TurnError):
    """We are not sure enough of who is writing: ask them for a proof, then go on.

    `needed` and `held` are levels of `Assurance`.
    """

    fault = "peer"

    def __init__(self, needed: int, held: int) -> None:
        super().__init__("the writer must prove who they are first")
        self.needed = needed
        self.held = held


class FloorTaken(TurnError):
    """Somebody else has the floor: the step came late, or was not theirs to take.

    `floor` is who may speak now (``agent``, ``human`` or ``queue``), `holder` the colleague's name
    where it is one who is known. Nothing was stored.
    """

    def __init__(self, floor: str, holder: str = "") -> None:
        who = {"agent": "the agent", "queue": "the queue"}.get(floor, "a colleague")
        super().__init__(f"the floor is not yours: {who} has it")
        self.floor = floor
        self.holder = holder


class Fenced(TurnError):
    """The lease ran out and a later worker took the turn; nothing of this one was stored."""


class Halted(TurnError):
    """What would have been said must not be: its release was rolled back, or it is paused.

    Nothing of the turn was stored; its message waits, and a retry is safe. `code` says which:
    ``control.paused``, ``control.killed``, ``release.rolled_back`` or ``release.elsewhere`` (the
    release that answers is not deployed in this process).
    """

    retry_safe = True

    def __init__(self, code: str) -> None:
        super().__init__(f"nothing may be said now ({code}); the message is stored and waits")
        self.code = code


class Conflict(TurnError):
    """The state changed since it was read; read again, then decide."""


class IdempotencyMismatch(TurnError):
    """A message id that is already known came with another body; the stored one stays."""

    fault = "peer"


class StoreError(CtxBridgeError):
    """The store could not do it."""

    fault: ClassVar[Fault] = "store"


class Unavailable(StoreError):
    """Surely not applied; the same call with the same message id is safe."""

    retry_safe = True


class StoreFull(Unavailable):
    """There is no room left; what was stored stays readable."""


class StoreReadOnly(Unavailable):
    """The file or its folder cannot be written; what was stored stays readable."""


class StoreClosed(Unavailable):
    """The store was closed, or its `async with` was never entered."""

    fault = "caller"


class OutcomeUnknown(StoreError):
    """It may or may not have been applied: repeat with the same message id to find out."""

    retry_safe = True


class NotDurable(OutcomeUnknown):
    """Applied, but not yet on as many machines as was asked for: repeat with the same id."""


class HistoryRolledBack(StoreError):
    """What was acknowledged before is gone: a failover or a restart took the store back in time.

    It is told once for each conversation; the same call again goes on from what is there. Messages
    that were lost come again only if their provider repeats them.
    """

    retry_safe = True


class ReplyMismatch(StoreError):
    """The store answered something else than was asked; the connection was dropped each time."""

    retry_safe = True


class UnknownFormat(StoreError):
    """The file or record is no data of ctxbridge, or was written by a newer release."""


Why = Literal["no_downgrade", "raised", "no_dict", "misfit"]

_WHY: dict[str, str] = {
    "no_downgrade": "no model that is known has a `downgrade` for it",
    "raised": "an `upgrade` or `downgrade` raised an error",
    "no_dict": "an `upgrade` or `downgrade` gave something else than a dict",
    "misfit": "what there is does not fit the model, as it is or after its `upgrade`, `downgrade`",
}


class StateUnreadable(UnknownFormat):
    """The team's model cannot read a stored state. Nothing was changed: it stays as it was stored.

    `model` names the type that was to read it, `stored` and `wanted` are numbers of schemas, and
    `why` is ``no_downgrade``, ``raised``, ``no_dict`` or ``misfit``. The release that wrote it
    reads it still. The error of an `upgrade` or `downgrade` is not chained: it may hold what was
    stored. `ctxbridge.testing.SchemaContract` finds all of these before a customer does.
    """

    fault = "caller"

    def __init__(self, model: str, stored: int, wanted: int, why: Why) -> None:
        super().__init__(
            f"a stored state of schema {stored} cannot be read as {model} of schema {wanted}: "
            f"{_WHY[why]}"
        )
        self.model = model
        self.stored = stored
        self.wanted = wanted
        self.why = why


class CorruptRecord(StoreError):
    """Stored bytes are damaged. They are reported, never returned as good."""


class KeyMissing(StoreError):
    """The source of keys does not have the key that it takes; `key_id` names it.

    An empty `key_id` stands for the newest of a tenant: nothing can be stored without one.
    """

    fault = "caller"

    def __init__(self, key_id: str) -> None:
        what = f"has no key {key_id!r}" if key_id else "has no newest key for this tenant"
        super().__init__(f"the source of keys {what}")
        self.key_id = key_id
