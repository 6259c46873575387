"""What a reader may see: history is withheld where we are not sure enough of who is reading.

`CLAIMED` sees its own message. What else needs which assurance is an `AccessPolicy`; the default:
what its own address said before needs `CHANNEL`. What was said by another address needs `CHANNEL`
and links of at least that on both sides. Labelled data needs `VERIFIED`. The state belongs to the
whole conversation, so it needs what another channel needs.
"""

from msgspec.structs import replace

from ctxbridge.model import (
    AccessPolicy,
    Address,
    Assurance,
    Contact,
    Context,
    Entry,
    Head,
    Link,
    Message,
    Reader,
    Window,
)
from ctxbridge.model.access import DEFAULT_POLICY
from ctxbridge.model.head import NO_ID
from ctxbridge.rules import backlog

LABELLED = 1
"""The flag of a head whose log holds labelled messages."""
SURE = Assurance.VERIFIED
"""What an address needs behind which another may sit: it was silent for long, or is shared."""


def trusts_link(
    contact: Contact, address: Address | None, level: Assurance = DEFAULT_POLICY.across
) -> bool:
    """Whether `address` is linked to the contact firmly enough to be followed across channels."""
    link = contact.link_to(address) if address else None
    return link is not None and link.assurance >= level


def _trusted(contact: Contact, address: Address | None, level: Assurance) -> bool:
    """Whether what the address said is the contact's: also of one that was theirs then."""
    return any(k.address == address and k.assurance >= level for k in contact.links)


def assured(contact: Contact, reader: Reader) -> Assurance:
    """How sure we are of the reader: a proof of a moment ago holds for its while, in its thread."""
    link = contact.link_to(reader.address)
    if link is None or reader.assurance < Assurance.CHANNEL:
        return reader.assurance
    if not reader.now or link.proved_until <= reader.now:
        return reader.assurance
    if link.proved_on and link.proved_on != reader.thread:
        return reader.assurance
    return max(reader.assurance, SURE)


def sees_all(head: Head, contact: Contact, reader: Reader) -> bool:
    """Whether nothing of the conversation has to be looked at before it is shown."""
    policy, assurance = reader.policy, reader.assurance
    needed = max(policy.same_address, policy.across)
    if head.flags & LABELLED:
        needed = max(needed, policy.labelled, *[level for _, level in policy.labels])
    if assurance < needed:
        return False
    known = False
    for link in contact.links:
        if link.assurance < policy.across:
            return False
        if link.address == reader.address and not link.until:
            known = not (link.resumed or link.shared) or assurance >= SURE
    return known


def needs(entry: Entry, contact: Contact, reader: Reader, own: Link | None) -> Assurance | None:
    """From which assurance on the reader may see the entry; `None` if from none."""
    policy, message = reader.policy, entry if type(entry) is Message else None
    level = policy.same_address
    if message is None or message.address != reader.address:
        level = policy.across
        others = message.address if message is not None else reader.address
        if not (trusts_link(contact, reader.address, level) and _trusted(contact, others, level)):
            return None
        if own is not None and own.shared:
            level = max(level, SURE)
    if message is not None and message.labels:
        level = max(level, policy.for_labels(message.labels))
    if own is not None and own.resumed and _told_at(entry) < own.resumed:
        level = max(level, SURE)
    return level


def _told_at(entry: Entry) -> int:
    return entry.accepted_at if isinstance(entry, Message) else entry.at


def view(
    head: Head,
    contact: Contact,
    state: bytes | None,
    window: Window,
    reader: Reader,
    turn: bytes = NO_ID,
) -> Context:
    """The context of the reader's address as they may see it, in the turn `turn`."""
    assurance = assured(contact, reader)
    if assurance is not reader.assurance:
        reader = replace(reader, assurance=assurance)
    context = Context(
        contact, head.conversation, window, state, head.seq, head.revision, head.gate_epoch,
        head.floor, head.status, head.release, head.trace, assurance,
        waiting=backlog.places(head.waiting) if head.waiting else (),
    )  # fmt: skip
    if sees_all(head, contact, reader):
        return context
    return _filtered(context, contact, reader, turn)


def _filtered(context: Context, contact: Contact, reader: Reader, turn: bytes) -> Context:
    own = contact.link_to(reader.address)
    kept: list[tuple[int, Entry]] = []
    withheld: list[Assurance | None] = []
    for place, entry in context.window.numbered():
        level = needs(entry, contact, reader, own)
        if (entry.turn == turn != NO_ID) or (level is not None and reader.assurance >= level):
            kept.append((place, entry))
        else:
            withheld.append(level)
    whole = _sees_whole(contact, reader)
    return replace(
        context,
        contact=contact if whole else replace(contact, links=(own,) if own else ()),
        state=context.state if whole else None,
        window=Window([e for _, e in kept], [s for s, _ in kept]),
        withheld=len(withheld),
        opens_at=max((level for level in withheld if level is not None), default=None),
    )


def _sees_whole(contact: Contact, reader: Reader) -> bool:
    """Whether the reader is shown what belongs to the conversation as a whole."""
    own, policy = contact.link_to(reader.address), reader.policy
    if own is None or reader.assurance < policy.across or own.assurance < policy.across:
        return False
    return not (own.resumed or own.shared) or reader.assurance >= SURE


def sees_state(context: Context, address: Address, policy: AccessPolicy = DEFAULT_POLICY) -> bool:
    """Whether the reader of `context` was shown the conversation's state, if there is one."""
    if context.contact is None:
        return True
    return _sees_whole(context.contact, Reader(address, context.reader, policy))
