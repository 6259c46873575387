"""What is left of a conversation whose contact is erased: its places, and what must not be done.

The entries become placeholders, so that places and numbers go on and nobody who knew them takes the
store for rolled back. Of the contact only refusals stay, without evidence: whoever said STOP is not
written to because they were forgotten. The ids of messages stay as keyed hashes that lead nowhere:
a webhook that comes late is a duplicate of nothing, and stores nothing.
"""

from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.model import Assurance, Claim, Consent, Contact, Erase, Event, Head, Link
from ctxbridge.model.head import NO_ID, NO_TRACE, Floor, Status
from ctxbridge.rules.consent import revoked_bits

FLAG = 4
"""The flag of a head whose contact was erased: which addresses were theirs is known no more."""
PLACEHOLDER = Event("erased", 0)
ERASED = "erased"
"""The source of what stays of a contact, and of links to somebody who was erased before."""


class Scrubbed(Struct, frozen=True, gc=False):
    """What is to be written in the place of what was."""

    head: Head
    contact: Contact


def is_due(head: Head, contact: Contact, erase: Erase) -> bool:
    """Whether there is anybody to erase, and nobody has written since it was decided."""
    return bool(contact.links) and erase.seq in {None, head.seq}


def scrub(head: Head, contact: Contact, erase: Erase) -> Scrubbed:
    """The head and the contact afterwards, under a new id.

    Whoever holds the turn has lost it, and what was prepared before cannot leave.
    """
    kept = Contact(
        erase.fresh, consents=_refusals(contact), erased_at=erase.now, left=contact.left
    )  # fmt: skip
    return Scrubbed(
        replace(
            head, revision=head.revision + 1, fence=head.fence + 1, lease_end=0,
            gate_epoch=head.gate_epoch + 1, consent=revoked_bits(kept.consents), turn=NO_ID,
            trace=NO_TRACE, floor=Floor.AGENT, status=Status.ACTIVE, assurance=0, flags=FLAG,
            waiting=b"",
        ),
        kept,
    )  # fmt: skip


def _refusals(contact: Contact) -> tuple[Consent, ...]:
    """What must still not be done, for all addresses: which one it was is forgotten."""
    refused = dict.fromkeys((c.channel, c.purpose) for c in contact.consents if not c.granted)
    return tuple(Consent(channel, purpose, False, 0, "", ERASED) for channel, purpose in refused)


def found_again(contact: Contact, claim: Claim) -> Contact:
    """Who was erased, and writes again: somebody new, whose other addresses are not known any more.

    The first address to write counts as any that was not seen before. Another that once belonged to
    the same person is kept apart from it until it is linked anew.
    """
    first = not contact.links
    link = Link(
        claim.address, claim.assurance if first else min(claim.assurance, Assurance.CLAIMED),
        "first seen", "channel" if first else ERASED, claim.now, seen=claim.now,
    )  # fmt: skip
    return replace(contact, links=(*contact.links, link))
