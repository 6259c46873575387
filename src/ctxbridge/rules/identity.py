"""Identity of the simple kind: an address resolves to a contact, and links can join another."""

from msgspec.structs import replace

from ctxbridge.model import Address, Assurance, Contact, Event, Link, LinkClaim


def first_seen(id: bytes, address: Address, assurance: Assurance, now: int) -> Contact:
    """The contact that an address not known before stands for."""
    return Contact(id, (Link(address, assurance, "first seen", "channel", now),))


def confirm(contact: Contact, address: Address, assurance: Assurance) -> Contact:
    """Raise a link that only says "first seen" to the assurance that the address now has.

    What the channel vouches for today tells nothing about links that were made by other evidence.
    """
    link = contact.link_to(address)
    if link is None or link.source != "channel" or link.assurance >= assurance:
        return contact
    raised = replace(link, assurance=assurance)
    return replace(contact, links=tuple(raised if k is link else k for k in contact.links))


def add_link(contact: Contact, link: Link) -> Contact:
    """`contact` with `link`; the same contact where an equal or firmer link holds already."""
    held = contact.link_to(link.address)
    if held and held.assurance >= link.assurance:
        return contact
    others = tuple(k for k in contact.links if k is not held)
    return replace(contact, links=(*others, link))


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
