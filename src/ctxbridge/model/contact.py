"""The person outside: addresses, links, consent."""

from typing import Literal

from msgspec import Struct

from ctxbridge.model.address import Address, Assurance

Purpose = Literal["service", "marketing", "otp", "all"]


class Link(Struct, frozen=True, array_like=True, gc=False):
    """The claim that an address belongs to a contact. It can be taken back, so it is never a merge.

    `since` and `until` are Unix milliseconds; `until=0` means the link holds. `seen` is when the
    address wrote last, to the day. `resumed` is when it came back after a silence that was long
    enough for it to have become somebody else's, 0 if it never did. Until `proved_until` we are as
    sure of it as of a code that came back, in the thread `proved_on` or (empty) in any. `shared`
    says that others use the address too: it identifies nobody alone.
    """

    address: Address
    assurance: Assurance
    evidence: str
    source: str
    since: int
    until: int = 0
    seen: int = 0
    resumed: int = 0
    proved_until: int = 0
    proved_on: str = ""
    shared: bool = False


class Consent(Struct, frozen=True, array_like=True, gc=False):
    """The latest word on whether we may write to `channel` for `purpose`; `all` covers every one.

    `channel` may be ``all`` too. `evidence` is the provider id of the message that said so, or
    what the tenant rests it on, `at` its Unix milliseconds. `source` is who said it: ``contact``,
    ``tenant``, or ``contact:sms`` for a word by one channel that counts on all.

    `address` is the value of the one address that it is about; empty for all that the contact has
    on the channel. `by` is the value of the address that it was said from, where one was.
    """

    channel: str
    purpose: Purpose
    granted: bool
    at: int
    evidence: str
    source: str = "contact"
    address: str = ""
    by: str = ""


class Contact(Struct, frozen=True, array_like=True, gc=False):
    """A person outside, with an id of their own: home is placement, not identity.

    `erased_at` says that somebody was erased here, and when (Unix milliseconds): see
    `Store.erase`. `merged` are the ids of the contacts that were merged into this one, which lead
    here too. `left` are hashes of addresses that were parted from it, so that they are not taken
    for somebody's who was erased here.
    """

    id: bytes
    links: tuple[Link, ...] = ()
    consents: tuple[Consent, ...] = ()
    erased_at: int = 0
    merged: tuple[bytes, ...] = ()
    left: tuple[bytes, ...] = ()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses whose links hold."""
        return tuple(link.address for link in self.links if not link.until)

    def link_to(self, address: Address) -> Link | None:
        """The link that holds for `address`, if there is one."""
        return next((k for k in self.links if k.address == address and not k.until), None)
