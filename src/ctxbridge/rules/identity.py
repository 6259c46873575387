"""Identity of the simple kind: an address resolves to a contact, and links can join another."""

from msgspec.structs import replace

from ctxbridge.model import Address, Assurance, Claim, Contact, Event, Link, LinkClaim
from ctxbridge.model.access import DAY_MILLISECONDS
from ctxbridge.rules import erasure


def first_seen(id: bytes, address: Address, assurance: Assurance, now: int) -> Contact:
    """The contact that an address not known before stands for."""
    return Contact(id, (Link(address, assurance, "first seen", "channel", now, seen=now),))


def confirm(contact: Contact, claim: Claim) -> Contact:
    """The contact after the claim's address wrote again; the same one where that says nothing.

    A link that only says "first seen" is raised to the assurance that the address now has. What the
    channel vouches for today tells nothing about links that were made by other evidence. That it
    was written is noted once a day, and that it was silent for long before.
    """
    link = contact.link_to(claim.address)
    if link is None:
        return erasure.found_again(contact, claim) if contact.erased_at else contact
    told = _heard_of(link, claim) if claim.assurance >= Assurance.CHANNEL else link
    if told.source == "channel" and told.assurance < claim.assurance:
        told = replace(told, assurance=claim.assurance)
    return contact if told is link else _with(contact, link, told)


def _heard_of(link: Link, claim: Claim) -> Link:
    silent = claim.now - (link.seen or link.since)
    if claim.policy.may_be_another(link.address, silent):
        return replace(link, seen=claim.now, resumed=claim.now, proved_until=0)
    return replace(link, seen=claim.now) if silent > DAY_MILLISECONDS else link


def _with(contact: Contact, held: Link, link: Link) -> Contact:
    return replace(contact, links=tuple(link if k is held else k for k in contact.links))


def add_link(contact: Contact, link: Link) -> Contact:
    """`contact` with `link`; the same contact where an equal or firmer link holds already.

    A proof, or that the address has a new owner, is taken over by the link that holds.
    """
    held = contact.link_to(link.address)
    if held and link.resumed > held.resumed:
        anew = replace(held, resumed=link.resumed, proved_until=0)
        contact, held = _with(contact, held, anew), anew
    if held and link.proved_until > held.proved_until:
        proven = replace(
            held, proved_until=link.proved_until, proved_on=link.proved_on, resumed=0,
            seen=link.since,
        )  # fmt: skip
        contact, held = _with(contact, held, proven), proven
    if held and held.assurance >= link.assurance:
        return contact
    others = tuple(k for k in contact.links if k is not held)
    return replace(contact, links=(*others, link))


def linked(contact: Contact, claim: LinkClaim) -> Contact:
    """`contact` with what the claim says.

    Of a contact that was erased the address that names it is not known any more; it is now.
    """
    named = claim.contact
    if contact.erased_at and isinstance(named, Address) and contact.link_to(named) is None:
        contact = add_link(contact, replace(claim.link, address=named))
    return add_link(contact, claim.link)


def link_event(link: Link, now: int) -> Event:
    """The entry that tells the log of a link; the address itself stands in the contact alone."""
    data = (
        ("channel", link.address.channel),
        ("assurance", link.assurance.name.lower()),
        ("evidence", link.evidence),
        ("source", link.source),
    )
    return Event("link", now, data=data)


def founded(claim: LinkClaim) -> Contact:
    """The contact that a link founds when it names an address that nobody has written from yet."""
    assert isinstance(claim.contact, Address)
    first = replace(claim.link, address=claim.contact)
    return add_link(Contact(claim.fresh, (first,)), claim.link)
