"""Whose an address is, how sure we are of it, and what its contact lets us do."""

import re
from typing import Any

from ctxbridge.bridge.assuring import STEP_UP_SECONDS, reassign, step_up
from ctxbridge.bridge.consenting import consents_of, record_consent
from ctxbridge.errors import AddressTaken, UnknownContact
from ctxbridge.model import (
    Address,
    Assurance,
    Consent,
    Contact,
    Identified,
    Link,
    LinkClaim,
    Purpose,
)
from ctxbridge.wire.checked import checked

_CONTACT_ID = re.compile(r"[0-9a-f]{32}")


class Identity:
    """A part of `Bridge`: contacts, their addresses and their consent."""

    async def consent(
        self: Any,
        address: Address | str,
        /,
        *,
        granted: bool,
        evidence: str,
        channel: str = "all",
        purpose: Purpose = "all",
        only: bool = False,
    ) -> Contact:
        """Record consent, or that it was taken back, as you know it from elsewhere.

        It counts for the contact of `address`, on `channel` or on ``all``, for `purpose` or for
        ``all``; with `only` for this address alone. `evidence` is what it rests on
        (``"form:4711"``); it is stored. A refusal is effective at once, also for what was prepared
        before. What the contact refused on all channels only you or that channel's own START can
        bring back.

        Raises `UsageError` for a channel or purpose that does not exist or empty evidence.
        """
        where = self.canonical(address)
        return await record_consent(
            self, where, channel, purpose, evidence, granted=granted, only=only
        )

    async def consents(self: Any, address: Address | str, /) -> tuple[Consent, ...]:
        """The ledger: each word about consent of a contact, oldest first, with its evidence.

        What holds now is `Contact.consents`.
        """
        return await consents_of(self, address)

    async def step_up(
        self: Any,
        address: Address | str,
        /,
        *,
        evidence: str,
        seconds: float = STEP_UP_SECONDS,
        thread: str = "",
    ) -> Contact:
        """Believe for a while that who writes from `address` is its contact: they have proven it.

        For `seconds`, in `thread` (of `Inbound.thread`) or in any, turns of that address count as
        `VERIFIED`, if its channel vouches for the address at all. `evidence` is what it rests on
        (``"code:…"``); it is stored. It ends the doubt after a long silence too.

        Raises `UnknownContact` for an address that nobody is stored under, `UsageError`.
        """
        where = self.canonical(address)
        return await step_up(self, where, evidence, seconds, thread)

    async def reassigned(self: Any, address: Address | str, /, *, evidence: str) -> Contact:
        """The provider says that `address` has a new owner: what is older is not shown to them.

        From `VERIFIED` on it is shown again, so a proof tells that it is still the same person.
        Raises `UnknownContact`, `UsageError`.
        """
        where = self.canonical(address)
        return await reassign(self, where, evidence)

    async def link(
        self: Any,
        contact: Contact | Address | bytes | str,
        address: Address | str,
        /,
        *,
        evidence: str,
        assurance: Assurance = Assurance.AUTHENTICATED,
        source: str = "tenant",
        shared: bool = False,
    ) -> Contact:
        """Say that `address` belongs to `contact`, from now on: both lead to one conversation.

        `contact` is a contact, its id (bytes, or 32 hexadecimal digits), or one of its addresses;
        an address that nobody has written from founds a new contact. `evidence` is what the claim
        rests on (``"crm:4711"``); it is stored. `assurance` is how far the link is to be trusted:
        across channels it shows history from `CHANNEL` upwards. `shared` says that others use the
        address too (a family's phone, an office's mailbox): who writes from it sees nothing of
        other channels before a proof.

        Raises `Malformed` for a field of a wrong type, `AddressTaken` if the address already has a
        history under another contact, and `UnknownContact` for an id that is not stored.
        """
        whose = contact.id if isinstance(contact, Contact) else contact
        if isinstance(whose, str) and _CONTACT_ID.fullmatch(whose):
            whose = bytes.fromhex(whose)
        elif not isinstance(whose, bytes):
            whose = self.canonical(whose)
        where = self.canonical(address)
        now = self.clock.now()
        link = checked(Link(where, assurance, evidence, source, now, shared=shared))
        claim = LinkClaim(self.tenant, whose, link, self.ids.new(), self.ids.new(), now)
        answer: Identified = await self.store.identify(claim)
        if answer.status == "taken":
            raise AddressTaken("the address already has a history under another contact")
        if answer.contact is None:
            raise UnknownContact("no contact is stored under this id")
        return answer.contact
