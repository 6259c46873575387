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
from ctxbridge.rules import backlog, consent, identity
from ctxbridge.rules.access import LABELLED
from ctxbridge.rules.control import newer

SUPERSEDED = 2
"""The flag of a head whose lease was taken from a turn that was still running."""


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

    `first` is 0 for a turn whose message another turn has answered. `fence` is that of the worker
    who finished it (0: it had no lease): only that worker's repetition is a replay. `until` is the
    end of its time, in Unix milliseconds.
    """

    first: int
    count: int
    revision: int
    fence: int
    until: int

    @property
    def merged(self) -> bool:
        """Whether the message was answered by the turn of another."""
        return not self.first

    @property
    def places(self) -> range:
        """Where in the log the turn's entries stand."""
        return range(self.first, self.first + self.count)


class Opening(Struct, frozen=True, gc=False):
    """What `open` has to write, and what it answers."""

    status: Literal["new", "duplicate", "merged", "busy", "noted", "mismatch", "rejected", "full"]
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
    answer: Answer | None,
    claim: Claim,
) -> Opening:
    """Fold a claim: dedupe, append, apply consent and raise the gate, lease if free."""
    if head is None or contact is None:
        head = Head(claim.conversation)
        contact = identity.first_seen(claim.contact, claim.address, claim.assurance, claim.now)
    # An id that was forgotten may have come anew: that is another message than the one that waits.
    if seen is not None and claim.resumes in {0, seen.seq}:
        return _open_again(head, contact, seen, answer, claim)
    if claim.resumes:
        head = _no_longer_waiting(head, claim.resumes)
        return Opening("duplicate", head, contact, claim.turn, claim.resumes)
    refused = _turned_away(head, claim)
    if refused is not None:
        return Opening(refused, head, contact, claim.turn, 0)
    contact = identity.confirm(contact, claim)
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
    if not claim.lease_seconds:
        return Opening("noted", head, contact, claim.turn, place, append, remember)
    head = replace(head, waiting=backlog.joined_by(head.waiting, place))
    if head.lease_end > claim.now and not _supersedes(head, claim):
        return Opening("busy", head, contact, claim.turn, place, append, remember)
    leased = _lease(head, claim, claim.turn)
    return Opening("new", leased, contact, claim.turn, place, append, remember)


def _turned_away(head: Head, claim: Claim) -> Literal["rejected", "full"] | None:
    """Whether the message is not to be stored now. One that changes consent always is."""
    if head.lease_end <= claim.now or claim.consents or not claim.lease_seconds:
        return None
    if claim.overlap == "reject":
        return "rejected"
    return "full" if backlog.count(head.waiting) >= claim.backlog else None


def _supersedes(head: Head, claim: Claim) -> bool:
    """Whether the message may take the lease of the running turn: of equals, and of them alone."""
    return claim.overlap == "supersede" and head.assurance == claim.assurance


def _open_again(
    head: Head, contact: Contact, seen: Seen, answer: Answer | None, claim: Claim
) -> Opening:
    if not seen.seq:  # whose it was is erased: it is a duplicate of nothing
        return Opening("duplicate", head, contact, seen.turn, 0)
    if not claim.resumes and seen.digest != claim.digest:
        return Opening("mismatch", head, contact, seen.turn, seen.seq)
    if answer is not None:
        return Opening(
            "merged" if answer.merged else "duplicate", _no_longer_waiting(head, seen.seq), contact,
            seen.turn, seen.seq, tells=claim.assurance >= seen.assurance,
        )  # fmt: skip
    if not claim.lease_seconds:
        return Opening("duplicate", head, contact, seen.turn, seen.seq)
    if head.lease_end > claim.now:
        return Opening("busy", head, contact, seen.turn, seen.seq)
    leased = _lease(head, claim, seen.turn)
    return Opening("new", leased, contact, seen.turn, seen.seq, resumed=True)


def _no_longer_waiting(head: Head, place: int) -> Head:
    waiting = backlog.without(head.waiting, [place]) if head.waiting else head.waiting
    return head if waiting == head.waiting else replace(head, waiting=waiting)


def _lease(head: Head, claim: Claim, turn: bytes) -> Head:
    running = head.lease_end > claim.now
    return replace(
        head,
        turn=turn,
        flags=head.flags | SUPERSEDED if running else head.flags & ~SUPERSEDED,
        fence=head.fence + 1,
        lease_end=claim.now + max(1, round(claim.lease_seconds * 1000)),
        assurance=int(claim.assurance),
    )


def consent_event(change: Consent, claim: Claim) -> Event:
    """The entry that tells the log of a change of consent."""
    data: tuple[tuple[str, str], ...] = (
        ("channel", change.channel),
        ("purpose", change.purpose),
        ("granted", "yes" if change.granted else "no"),
        ("evidence", change.evidence),
        ("source", change.source),
    )
    if change.address:
        data = (*data, ("address", change.address))
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

    @property
    def merged_answer(self) -> Answer:
        """The answer of the turns that were joined: where to look, and nothing to tell."""
        assert self.answer is not None
        return replace(self.answer, first=0, count=0)


def settle_turn(
    head: Head | None, answer: Answer | None, change: Change, control: bytes = b""
) -> Settling | Committed | Refused:
    """Fold a change: replay it, refuse it, or say what to write.

    `control` is the tenant's, as it is stored.
    """
    if head is None:
        return Refused("unknown")
    if answer is not None:
        return _replay(head, answer, change)
    fence = change.fence
    if fence is not None or change.revision is not None or change.amend or change.deliveries:
        refused = _refusal(head, change, control)
        if refused is not None:
            return refused
    head = _changed(head, change)
    if not change.finished:
        return Settling(head, None)
    count = len(change.append)
    until = change.now + int(change.remember_seconds * 1000)
    return Settling(head, Answer(head.seq - count + 1, count, head.revision, fence or 0, until))


def _changed(head: Head, change: Change) -> Head:
    """The head behind the change."""
    if change.floor is not None or change.release:
        head = _steered(head, change)
    seq = head.seq + len(change.append)
    revision = head.revision if change.state is None else head.revision + 1
    flags = head.flags
    if not flags & LABELLED:
        flags = _flags(head, change.append, change.amend)
    if change.fence is None:
        return replace(head, seq=seq, revision=revision, flags=flags)
    lease_end, waiting = 0, head.waiting
    if change.finished:
        waiting = backlog.without(waiting, [place for place, _ in change.amend])
    elif change.lease_seconds:
        lease_end = change.now + max(1, round(change.lease_seconds * 1000))
    return replace(
        head, seq=seq, revision=revision, flags=flags, lease_end=lease_end,
        trace=change.trace or head.trace, waiting=waiting,
    )  # fmt: skip


def _replay(head: Head, answer: Answer, change: Change) -> Committed | Refused:
    if answer.fence != (change.fence or 0):
        reason: Literal["superseded", "fenced"] = "superseded" if answer.merged else "fenced"
        return Refused(reason, head.revision, head.gate_epoch)
    return Committed(answer.first + answer.count - 1, answer.revision, replayed=True)


def _steered(head: Head, change: Change) -> Head:
    """The head once the floor has gone to somebody, or the conversation to a release."""
    head = replace(head, release=change.release or head.release)
    if change.floor is None:
        return head
    return replace(
        head, floor=change.floor, gate_epoch=head.gate_epoch + 1, revision=head.revision + 1
    )


def _refusal(head: Head, change: Change, control: bytes) -> Refused | None:
    reason: Literal["fenced", "superseded", "gated", "controlled", "conflict", "unknown"] | None = (
        None
    )
    newest = newer(control, change.control) if passes_gate(change) else b""
    if change.fence is not None and not holds_lease(head, change):
        reason = "superseded" if head.flags & SUPERSEDED else "fenced"
    elif passes_gate(change) and change.gate_epoch != head.gate_epoch:
        reason = "gated"
    elif newest:
        reason = "controlled"
    elif change.fence is None and change.revision not in {None, head.revision}:
        reason = "conflict"
    elif not _all_places_are_there(head, change):
        reason = "unknown"
    return Refused(reason, head.revision, head.gate_epoch, newest) if reason else None


def _all_places_are_there(head: Head, change: Change) -> bool:
    return all(1 <= place <= head.seq for place, _ in change.amend) and all(
        leads_to_somebody(change, delivery.place) for delivery in change.deliveries
    )


def leads_to_somebody(change: Change, place: int) -> bool:
    """Whether what stands at this place of what is appended can be sent to anybody."""
    if not 1 <= place <= len(change.append):
        return False
    entry = change.append[place - 1]
    return type(entry) is Message and entry.address is not None


def passes_gate(change: Change) -> bool:
    """Whether what is to be stored was prepared under a gate epoch that must still hold."""
    return bool(change.deliveries) or (change.fence is not None and change.finished)


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


def revision_of(record: Record | None) -> int:
    """The revision of a record; 0 where there is none."""
    return record.revision if record is not None else 0


def expired(record: Record, now: int) -> bool:
    """Whether the record's lifetime has ended at `now`."""
    return bool(record.expires_at) and record.expires_at <= now
