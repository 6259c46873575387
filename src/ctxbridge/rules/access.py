"""What a reader may see: history is withheld where we are not sure enough of who is reading.

`CLAIMED` sees its own message. What its own address said before needs `CHANNEL`. What was said by
another address needs `CHANNEL` and links of at least that on both sides. Labelled data needs
`VERIFIED`. The state belongs to the whole conversation, so it needs what another channel needs.
"""

from msgspec.structs import replace

from ctxbridge.model import Address, Assurance, Contact, Context, Entry, Head, Message, Window
from ctxbridge.model.head import NO_ID
from ctxbridge.rules import backlog

LABELLED = 1
"""The flag of a head whose log holds labelled messages."""


def trusts_link(contact: Contact, address: Address | None) -> bool:
    """Whether `address` is linked to the contact firmly enough to be followed across channels."""
    link = contact.link_to(address) if address else None
    return link is not None and link.assurance >= Assurance.CHANNEL


def sees_all(head: Head, contact: Contact, address: Address, assurance: Assurance) -> bool:
    """Whether nothing of the conversation has to be looked at before it is shown."""
    if assurance < (Assurance.VERIFIED if head.flags & LABELLED else Assurance.CHANNEL):
        return False
    known = False
    for link in contact.links:
        if link.until or link.assurance < Assurance.CHANNEL:
            return False
        known = known or link.address == address
    return known


def may_see(
    entry: Entry, contact: Contact, address: Address, assurance: Assurance, turn: bytes
) -> bool:
    """Whether this reader, in this turn, may see the entry."""
    if entry.turn == turn and turn != NO_ID:
        return True
    if assurance < Assurance.CHANNEL:
        return False
    if type(entry) is not Message:
        return trusts_link(contact, address)
    if entry.labels and assurance < Assurance.VERIFIED:
        return False
    if entry.address == address:
        return True
    return trusts_link(contact, address) and trusts_link(contact, entry.address)


def view(
    head: Head,
    contact: Contact,
    state: bytes | None,
    window: Window,
    address: Address,
    assurance: Assurance,
    turn: bytes = NO_ID,
) -> Context:
    """The context of `address` as a reader of `assurance` may see it, in the turn `turn`."""
    context = Context(
        contact, head.conversation, window, state, head.seq, head.revision, head.gate_epoch,
        head.floor, head.status, head.release, head.trace, assurance,
        waiting=backlog.places(head.waiting) if head.waiting else (),
    )  # fmt: skip
    if sees_all(head, contact, address, assurance):
        return context
    numbered = list(window.numbered())
    kept = [(s, e) for s, e in numbered if may_see(e, contact, address, assurance, turn)]
    whole = assurance >= Assurance.CHANNEL and trusts_link(contact, address)
    own = contact.link_to(address)
    return replace(
        context,
        contact=contact if whole else replace(contact, links=(own,) if own else ()),
        state=state if whole else None,
        window=Window([e for _, e in kept], [s for s, _ in kept]),
        withheld=len(numbered) - len(kept),
    )


def sees_state(context: Context, address: Address) -> bool:
    """Whether the reader of `context` was shown the conversation's state, if there is one."""
    if context.contact is None:
        return True
    return context.reader >= Assurance.CHANNEL and trusts_link(context.contact, address)
