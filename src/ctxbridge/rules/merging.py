"""Merge and split: two contacts become one, and what was one is parted again.

A merge appends the log of the one to that of the other, behind an entry that tells of it, and
notes what both were like before. So whose an entry was is told by the log itself; a split takes
back what came with the merge, and what arrived since by the addresses that came with it.

Whoever holds a turn of either has lost it: what waits is taken up again, with all that is known.
What was prepared to leave is judged anew, since the gate epoch is another.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.model import (
    Address,
    Assurance,
    Consent,
    Contact,
    Entry,
    Event,
    Head,
    Link,
    Merge,
    Message,
    Split,
)
from ctxbridge.model.head import Floor, Status
from ctxbridge.rules import backlog, consent
from ctxbridge.rules.access import LABELLED
from ctxbridge.rules.fold import SUPERSEDED, Answer

MERGED, SPLIT = "merge", "split"
"""The kinds of the entries that tell of it."""
GONE = Event("moved", 0)
"""What stands in the log where an entry was that went along with a split."""


class Side(Struct, frozen=True, gc=False):
    """One contact with what belongs to it, but for the log."""

    head: Head
    contact: Contact
    state: bytes | None


class Kept(Struct, frozen=True, gc=False):
    """What is noted of a merge, to undo it: both as they were, and the state that was made."""

    part: Side
    contact: Contact
    state: bytes | None
    made: bytes | None


# --- merge ----------------------------------------------------------------------------------------


def is_current(into: Side, part: Side, merge: Merge) -> bool:
    """Whether both are still as they were when the state was made."""
    return merge.revisions in {None, (into.head.revision, part.head.revision)}


def merged(into: Side, part: Side, merge: Merge) -> Side:
    """Both together. The part's entries stand behind the event, in their order."""
    ours, theirs = into.head, part.head
    consents = consent.joined(into.contact.consents, part.contact.consents)
    contact = replace(
        into.contact,
        links=into.contact.links + part.contact.links,
        consents=consents,
        merged=(*into.contact.merged, part.contact.id, *part.contact.merged),
    )
    head = replace(
        ours,
        seq=ours.seq + 1 + theirs.seq,
        revision=max(ours.revision, theirs.revision) + 1,
        fence=max(ours.fence, theirs.fence) + 1,
        lease_end=0,
        gate_epoch=max(ours.gate_epoch, theirs.gate_epoch) + 1,
        consent=consent.revoked_bits(consents),
        floor=max(ours.floor, theirs.floor, key=_holds),
        status=Status.ACTIVE,
        flags=_joined_flags(ours, theirs),
        waiting=ours.waiting + shifted(theirs.waiting, ours.seq + 1),
    )
    return Side(head, contact, into.state if merge.state is None else merge.state)


def _holds(floor: Floor) -> int:
    """A human who has the floor of either keeps it."""
    return (Floor.AGENT, Floor.QUEUE, Floor.HUMAN).index(floor)


def _joined_flags(ours: Head, theirs: Head) -> int:
    flags = ours.flags | (theirs.flags & LABELLED)
    return flags | SUPERSEDED if ours.lease_end or theirs.lease_end else flags


def _folded(ours: Iterable[Consent], theirs: Iterable[Consent]) -> tuple[Consent, ...]:
    """What counts of all that both said, in the order in which it was said."""
    return consent.fold((), sorted((*ours, *theirs), key=lambda word: word.at))


def shifted(waiting: bytes, by: int) -> bytes:
    """A backlog whose log stands so many places further behind."""
    return b"".join([backlog.joined_by(b"", place + by) for place in backlog.places(waiting)])


def merge_event(part: Side, merge: Merge) -> Event:
    """The entry that tells of the merge: as many entries of the other stand behind it."""
    data = (
        ("contact", part.contact.id.hex()),
        ("entries", str(part.head.seq)),
        ("state", "kept" if merge.state is None else "made"),
        ("evidence", merge.evidence),
        ("source", merge.source),
    )
    return Event(MERGED, merge.now, data=data)


def tells_of_state(entries: Iterable[Entry], part: bytes) -> bool:
    """Whether the latest merge of this contact is one whose state was made of both."""
    told = [e for e in entries if isinstance(e, Event) and e.kind == MERGED]
    mine = [e for e in told if e.about("contact") == part.hex()]
    return bool(mine) and mine[-1].about("state") == "made"


# --- split ----------------------------------------------------------------------------------------


def came_with(entries: Mapping[int, Entry], part: bytes) -> range:
    """The places of what came with a contact that was merged and not split since; none if none.

    What came with a merge tells of merges and splits of its own, which are not this contact's.
    """
    found, name, inner = range(0), part.hex(), range(0)
    for place, entry in entries.items():
        if place in inner or not isinstance(entry, Event) or entry.kind not in {MERGED, SPLIT}:
            continue
        if entry.kind == MERGED:
            inner = range(place + 1, place + 1 + int(entry.about("entries")))
        if entry.about("contact") == name:
            found = inner if entry.kind == MERGED else range(0)
    return found


def said_by(entries: Mapping[int, Entry], addresses: Iterable[Address]) -> tuple[int, ...]:
    """The places of what was said by these addresses or to them, and of events of their turns."""
    theirs = frozenset(addresses)
    turns: dict[bytes, bool] = {}
    for entry in entries.values():
        if isinstance(entry, Message) and entry.address is not None:
            turns[entry.turn] = turns.get(entry.turn, True) and entry.address in theirs
    return tuple(
        [
            place
            for place, entry in entries.items()
            if (entry.address in theirs if isinstance(entry, Message) else turns.get(entry.turn))
        ]
    )


class Parted(Struct, frozen=True, gc=False):
    """Both sides after a split, and where in the part's log the entries stand that went along.

    The part's log begins with what came with the merge; the event and what arrived since follow.
    """

    rest: Side
    part: Side
    places: dict[int, int]


def parted(
    held: Side, kept: Kept | None, part: Side, split: Split, silent: Iterable[int] = ()
) -> Parted:
    """What a split makes of `held`. `kept` is of the merge that is undone, `part` the other then.

    Of an address, there is no merge, and the part is a new contact with nothing but its link; what
    it said at the `silent` places stays, and is not answered any more.
    """
    if kept is not None:
        part = replace(part, contact=as_now(held.contact, part.contact))
    before = part.head.seq
    places = {
        place: number if number <= before else number + 1
        for number, (place, _) in enumerate(split.moves, 1)
    }
    ours, theirs = _words_apart(held.contact, kept, part.contact, split)
    waiting = backlog.without(held.head.waiting, [*places, *silent])
    moved = sorted(places[p] for p in backlog.places(held.head.waiting) if p in places)
    return Parted(
        Side(
            _after_split(held.head, held.head.seq + 1, ours, waiting),
            _without(held.contact, part.contact, ours, split),
            _state_after(held, kept),
        ),
        Side(
            _after_split(
                _going_on(part.head, held.head), len(places) + 1, theirs,
                b"".join([backlog.joined_by(b"", place) for place in moved]),
            ),
            replace(part.contact, consents=theirs),
            part.state,
        ),
        places,
    )  # fmt: skip


def as_now(held: Contact, part: Contact) -> Contact:
    """Who was merged, with the links as they are now, but for those that were ended since."""
    links = [link if link.until else _link_now(held, link) for link in part.links]
    return replace(part, links=tuple([link for link in links if link]))


def _link_now(held: Contact, link: Link) -> Link | None:
    """The link as the contact has it now, where it has ended since as that."""
    ended = (k for k in held.links if k.address == link.address and k.since == link.since)
    return held.link_to(link.address) or next(ended, None)


def unlinked(held: Side, split: Split) -> Side | None:
    """Who a parted address is then: somebody new, as sure as its channel can be."""
    link = held.contact.link_to(split.address) if split.address else None
    if link is None or len(held.contact.addresses) < 2:
        return None
    own = Link(
        link.address, min(link.assurance, Assurance.CHANNEL), "unlinked", "channel", split.now,
        seen=link.seen,
    )  # fmt: skip
    return Side(Head(split.conversation), Contact(split.part, (own,)), None)


def _going_on(head: Head, held: Head) -> Head:
    """Numbers go on from the higher ones, so that nobody who knew either takes it for older."""
    return replace(
        head,
        revision=max(head.revision, held.revision),
        fence=max(head.fence, held.fence),
        gate_epoch=max(head.gate_epoch, held.gate_epoch),
        flags=(head.flags | held.flags) & LABELLED,
        lease_end=0,
    )


def _after_split(head: Head, seq: int, words: tuple[Consent, ...], waiting: bytes) -> Head:
    flags = head.flags | SUPERSEDED if head.lease_end else head.flags
    return replace(
        head, seq=seq, revision=head.revision + 1, fence=head.fence + 1, lease_end=0,
        gate_epoch=head.gate_epoch + 1, consent=consent.revoked_bits(words), flags=flags,
        waiting=waiting,
    )  # fmt: skip


def _state_after(held: Side, kept: Kept | None) -> bytes | None:
    """The state as it was before the merge, unless somebody has changed it since."""
    return kept.state if kept is not None and held.state == kept.made else held.state


def _without(held: Contact, part: Contact, words: tuple[Consent, ...], split: Split) -> Contact:
    """The contact without the part. That an address of its own was once its is not forgotten."""
    away = {part.id, *part.merged}
    ended = held.link_to(split.address) if split.address else None
    links = [link for link in held.links if link is not ended and link not in part.links]
    if ended is not None:
        links.append(replace(ended, until=split.now))
    return replace(
        held,
        links=tuple(links),
        consents=words,
        merged=tuple([id for id in held.merged if id not in away]),
    )


def _words_apart(
    held: Contact, kept: Kept | None, part: Contact, split: Split
) -> tuple[tuple[Consent, ...], tuple[Consent, ...]]:
    """Whose words about consent are whose: as before the merge, and what was said since.

    A word is of the address that it was said from or is about; one that was unlinked has taken its
    own along. What the tenant was told since, and what counts for everything, tells of no address:
    a refusal is for both then. Its evidence is where the entry is that tells of it.
    """
    own = {(address.channel, address.value) for address in part.addresses}
    held_now = {(address.channel, address.value) for address in held.addresses}
    ours, theirs = _words_before(held, kept) if kept else (), part.consents
    ours, theirs = _told_by(held_now, ours), _told_by(held_now, theirs)
    since = [word for word in held.consents if word not in ours and word not in theirs]
    their_own = [word for word in since if (word.channel, word.by or word.address) in own]
    gone = {e.at for _, e in split.moves if isinstance(e, Event) and e.kind == "consent"}
    refused = [
        word if word.at in gone else replace(word, evidence="")
        for word in since
        if not (word.granted or word.by or word.address)
    ]
    our_own = [
        replace(word, evidence="") if word.at in gone and not word.by else word
        for word in since
        if word not in their_own
    ]
    return _folded(ours, our_own), _folded(theirs, [*their_own, *refused])


def _words_before(held: Contact, kept: Kept) -> tuple[Consent, ...]:
    """The words of the contact before the merge, but for those that have left it since.

    Where somebody was parted from it who was a part of it then, they have taken their own along.
    """
    before = kept.contact
    if set(before.merged) <= set(held.merged):
        return before.consents
    return tuple([word for word in before.consents if word in held.consents])


def silent(entries: Mapping[int, Entry], split: Split) -> dict[int, int]:
    """Where a parted address said what stays: there, a repetition is a duplicate of nothing."""
    moved = {place for place, _ in split.moves}
    return {
        place: 0
        for place, entry in entries.items()
        if split.address is not None
        and isinstance(entry, Message)
        and entry.address == split.address
        and place not in moved
    }


def _told_by(addresses: set[tuple[str, str]], words: Iterable[Consent]) -> tuple[Consent, ...]:
    """The words that tell of no address, or of one of these."""
    named = ((word, word.by or word.address) for word in words)
    return tuple([w for w, whose in named if not whose or (w.channel, whose) in addresses])


def answer_at(answer: Answer, places: Mapping[int, int]) -> Answer | None:
    """What is remembered of a finished turn whose entries went along; `None` if none of them did.

    Where only some did, there is nothing whole to tell: the turn is known as finished.
    """
    there = [places[place] for place in answer.places if place in places]
    if answer.merged or not answer.count:
        return answer  # whose it was cannot be told, so both know it
    if there and there != list(range(there[0], there[0] + answer.count)):
        return replace(answer, first=0, count=0)
    return replace(answer, first=there[0]) if there else None


def is_moved(answer: Answer, places: Mapping[int, int]) -> bool:
    """Whether anything that the turn appended has gone."""
    return any(place in places for place in answer.places)


def split_event(split: Split, part: Contact, count: int, *, of_part: bool = False) -> Event:
    """The entry that tells of the split. The address stands in the contact alone.

    On the side `of_part` it names the other, and has no evidence: that is the other's.
    """
    other = split.contact if of_part else part.id
    data = {
        "contact": other.hex(),
        "entries": str(count),
        "channel": split.address.channel if split.address else "",
        "evidence": "" if of_part else split.evidence,
        "source": split.source,
    }
    return Event(SPLIT, split.now, data=tuple([(k, v) for k, v in data.items() if v]))
