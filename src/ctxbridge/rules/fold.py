"""How a claim and a change are folded into a conversation: the one truth for every store.

A store looks up what these functions ask for, calls them inside its atomic step, and writes down
what they return. They check before they change, so a refusal has no effect.
"""

from collections.abc import Iterable
from math import ceil
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.model import (
    Change,
    Claim,
    Committed,
    Consent,
    Contact,
    Entry,
    Event,
    Head,
    Message,
    Record,
    RecordWrite,
    Refused,
)
from ctxbridge.rules import consent, identity
from ctxbridge.rules.access import LABELLED


class Seen(Struct, frozen=True, gc=False):
    """What is remembered of a message id: its turn, the digest of its content, its place.

    `assurance` is that of who wrote it first: whoever repeats it with less gets no answer. `until`
    is the end of its time, in Unix milliseconds.
    """

    turn: bytes
    digest: bytes
    seq: int
    assurance: int
    until: int


class Answer(Struct, frozen=True, gc=False):
    """What is remembered of a finished turn: the places of what it appended, and its outcome.

    `fence` is that of the worker who finished it (0: it had no lease): only that worker's
    repetition is a replay. `until` is the end of its time, in Unix milliseconds.
    """

    first: int
    count: int
    revision: int
    fence: int
    until: int

    @property
    def places(self) -> range:
        """Where in the log the turn's entries stand."""
        return range(self.first, self.first + self.count)


class Opening(Struct, frozen=True, gc=False):
    """What `open` has to write, and what it answers."""

    status: Literal["new", "duplicate", "busy", "mismatch"]
    head: Head
    contact: Contact
    turn: bytes
    seq: int
    append: tuple[Entry, ...] = ()
    remember: Seen | None = None
    resumed: bool = False
    tells: bool = False
    """Whether the stored answer may be told to whoever repeats the message."""


def open_turn(
    head: Head | None,
    contact: Contact | None,
    seen: Seen | None,
    answered: bool,
    claim: Claim,
) -> Opening:
    """Fold a claim: dedupe, append, apply consent and raise the gate, lease if free."""
    if head is None or contact is None:
        head = Head(claim.conversation)
        contact = identity.first_seen(claim.contact, claim.address, claim.assurance, claim.now)
    if seen is not None:
        return _open_again(head, contact, seen, answered, claim)
    contact = identity.confirm(contact, claim.address, claim.assurance)
    place = head.seq + 1
    append: tuple[Entry, ...] = (claim.message,)
    if claim.consents:
        append += tuple(consent_event(change, claim) for change in claim.consents)
        contact = replace(contact, consents=consent.fold(contact.consents, claim.consents))
        head = replace(
            head,
            consent=consent.revoked_bits(contact.consents),
            gate_epoch=head.gate_epoch + 1,
            revision=head.revision + 1,
        )
    head = replace(head, seq=head.seq + len(append), flags=_flags(head, append))
    until = claim.now + int(claim.remember_seconds * 1000)
    remember = Seen(claim.turn, claim.digest, place, int(claim.assurance), until)
    if head.lease_end > claim.now:
        return Opening("busy", head, contact, claim.turn, place, append, remember)
    leased = _lease(head, claim, claim.turn)
    return Opening("new", leased, contact, claim.turn, place, append, remember)


def _open_again(head: Head, contact: Contact, seen: Seen, answered: bool, claim: Claim) -> Opening:
    if seen.digest != claim.digest:
        return Opening("mismatch", head, contact, seen.turn, seen.seq)
    if answered:
        tells = claim.assurance >= seen.assurance
        return Opening("duplicate", head, contact, seen.turn, seen.seq, tells=tells)
    if head.lease_end > claim.now:
        return Opening("busy", head, contact, seen.turn, seen.seq)
    leased = _lease(head, claim, seen.turn)
    return Opening("new", leased, contact, seen.turn, seen.seq, resumed=True)


def _lease(head: Head, claim: Claim, turn: bytes) -> Head:
    return replace(
        head,
        turn=turn,
        fence=head.fence + 1,
        lease_end=claim.now + max(1, round(claim.lease_seconds * 1000)),
        assurance=int(claim.assurance),
    )


def consent_event(change: Consent, claim: Claim) -> Event:
    """The entry that tells the log of a change of consent."""
    data = (
        ("channel", change.channel),
        ("purpose", change.purpose),
        ("granted", "yes" if change.granted else "no"),
        ("evidence", change.evidence),
    )
    return Event("consent", change.at, claim.turn, data)


def _flags(
    head: Head, entries: Iterable[Entry], amended: Iterable[tuple[int, Message]] = ()
) -> int:
    """The head's flags after these entries: labels stay known."""
    for entry in entries:
        if type(entry) is Message and entry.labels:
            return head.flags | LABELLED
    for _, message in amended:
        if message.labels:
            return head.flags | LABELLED
    return head.flags


class Settling(Struct, frozen=True, gc=False):
    """What `commit` has to write: the head, and where the turn is finished its answer."""

    head: Head
    answer: Answer | None


def settle_turn(
    head: Head | None, answer: Answer | None, change: Change
) -> Settling | Committed | Refused:
    """Fold a change: replay it, refuse it, or say what to write."""
    if head is None:
        return Refused("unknown")
    if answer is not None:
        return _replay(head, answer, change)
    fence = change.fence
    if fence is not None or change.revision is not None or change.amend:
        refused = _refusal(head, change)
        if refused is not None:
            return refused
    count = len(change.append)
    seq = head.seq + count
    revision = head.revision if change.state is None else head.revision + 1
    flags = head.flags
    if not flags & LABELLED:
        flags = _flags(head, change.append, change.amend)
    if fence is None:
        fence = 0
        head = replace(head, seq=seq, revision=revision, flags=flags)
    else:
        trace = change.trace or head.trace
        head = replace(head, seq=seq, revision=revision, flags=flags, lease_end=0, trace=trace)
    if not change.finished:
        return Settling(head, None)
    until = change.now + int(change.remember_seconds * 1000)
    return Settling(head, Answer(seq - count + 1, count, revision, fence, until))


def _replay(head: Head, answer: Answer, change: Change) -> Committed | Refused:
    if answer.fence != (change.fence or 0):
        return Refused("fenced", head.revision, head.gate_epoch)
    return Committed(answer.first + answer.count - 1, answer.revision, replayed=True)


def _refusal(head: Head, change: Change) -> Refused | None:
    reason: Literal["fenced", "gated", "conflict", "unknown"] | None = None
    if change.fence is not None and not holds_lease(head, change):
        reason = "fenced"
    elif change.fence is not None and change.finished and change.gate_epoch != head.gate_epoch:
        reason = "gated"
    elif change.fence is None and change.revision not in {None, head.revision}:
        reason = "conflict"
    elif not all(1 <= place <= head.seq for place, _ in change.amend):
        reason = "unknown"
    return Refused(reason, head.revision, head.gate_epoch) if reason else None


def holds_lease(head: Head, change: Change) -> bool:
    """Whether the change is of the worker who holds the lease: then its turn is not finished."""
    if not head.lease_end:
        return False
    return change.fence == head.fence and change.turn == head.turn


def link_head(head: Head) -> Head:
    """The head after a link: one more entry, one more revision."""
    return replace(head, seq=head.seq + 1, revision=head.revision + 1)


def fold_record(current: Record | None, write: RecordWrite) -> Record | Literal["conflict"] | None:
    """The record after `write` (`None`: there is none), or ``"conflict"``."""
    held = current if current and not expired(current, write.now) else None
    if write.revision is not None and write.revision != (held.revision if held else 0):
        return "conflict"
    if write.value is None:
        return None
    life = ceil(write.lifetime_seconds * 1000)
    # Counted on from one that has expired, so that who still holds its revision cannot win.
    revision = current.revision + 1 if current else 1
    return Record(write.value, revision, write.now + life if life else 0)


def expired(record: Record, now: int) -> bool:
    """Whether the record's lifetime has ended at `now`."""
    return bool(record.expires_at) and record.expires_at <= now
