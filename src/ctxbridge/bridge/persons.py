"""Who is one person, and who is two."""

from typing import Any, Literal

from ctxbridge.bridge.merging import Preview, States, merge, preview
from ctxbridge.bridge.parting import History, history, split, unlink
from ctxbridge.errors import UsageError
from ctxbridge.model import Address, Contact, Event

_ID_BYTES = 16


class Persons:
    """A part of `Bridge`: contacts are merged, split again, and lose addresses."""

    async def preview_merge(
        self: Any, into: Contact | Address | str, contact: Contact | Address | str, /
    ) -> Preview:
        """What `merge` would come to; nothing is changed.

        Raises `UnknownContact`, and `UsageError` for two addresses of one contact.
        """
        return await preview(self, _address_of(self, into), _address_of(self, contact))

    async def merge(
        self: Any,
        into: Contact | Address | str,
        contact: Contact | Address | str,
        /,
        *,
        evidence: str,
        states: States | None = None,
        source: str = "tenant",
    ) -> Contact:
        """Make one contact of two: what is of `contact` belongs to `into` from now on.

        All addresses, and both ids for ever, lead to one conversation: the log of `into`, and
        behind it that of the other. Message ids, deliveries and what waits come along, a refusal of
        either counts for both. `states` makes one state of two (of `into` first); it is needed
        where both have one, and may be called again. Turns that run are fenced and taken up again
        with all that is known then; what was to leave is judged anew.

        `evidence` (``"ticket:4711"``) is stored. It can be undone: see `split`. Two addresses of
        one contact are left as they are, so a repetition is safe.

        Raises `UnknownContact`, `UsageError`, `Busy` if both keep changing (a retry is safe), and
        `StoreError`.
        """
        return await merge(
            self, _address_of(self, into), _address_of(self, contact), evidence, source, states
        )

    async def split(
        self: Any,
        contact: Contact | Address | str,
        part: Contact | bytes | str | None = None,
        /,
        *,
        evidence: str,
        source: str = "tenant",
    ) -> tuple[Contact, Contact]:
        """Undo a merge: both contacts as they were, with what arrived since by their addresses.

        `part` is who was merged, by id (bytes, or 32 hexadecimal digits; see `Contact.merged`);
        without, whoever was merged last. The states are those of before, unless the joint one was
        changed since: then it stays with the contact, and the part has its own of before. What was
        linked since stays with the contact. Gives the contact and the part.

        Raises `UnknownContact`, `UsageError` for somebody who was not merged, `Busy`, `StoreError`.
        """
        return await split(self, _address_of(self, contact), _id_of(part), evidence, source)

    async def unlink(
        self: Any,
        address: Address | str,
        /,
        *,
        evidence: str,
        history: Literal["stays", "goes"],
        source: str = "tenant",
    ) -> Contact:
        """Say that `address` is not its contact's any more: it is somebody new, who is given back.

        `history` says whose is what it said, and was told: it ``stays`` (the person has given the
        address up), or it ``goes`` along (it never was theirs). What waits for an answer goes along
        in any case. Its words about consent go with it. Messages that come again are duplicates.

        Raises `UnknownContact`, `UsageError` for the only address of a contact, `Busy`,
        `StoreError`.
        """
        wanted: History = history
        return await unlink(self, self.canonical(address), evidence, wanted, source)

    async def history(self: Any, address: Address | str, /) -> tuple[tuple[int, Event], ...]:
        """The entries that tell whose addresses are, with their places, oldest first.

        Their kinds: ``link``, ``merge``, ``split`` (also of one address), ``proposal`` (a provider
        says that two are one; nothing was done), ``erased``. Raises `UnknownContact`.
        """
        return await history(self, self.canonical(address))


def _address_of(bridge: Any, whom: Contact | Address | str) -> Address:
    if not isinstance(whom, Contact):
        canonical: Address = bridge.canonical(whom)
        return canonical
    address = next(iter(whom.addresses), None)
    if address is None:
        raise UsageError("the contact has no address that it could be looked up by")
    return address


def _id_of(part: Contact | bytes | str | None) -> bytes | None:
    if part is None:
        return None
    id = part.id if isinstance(part, Contact) else part
    try:
        raw = bytes.fromhex(id) if isinstance(id, str) else id
    except ValueError:
        raw = b""
    if len(raw) != _ID_BYTES:
        raise UsageError("a contact's id is 16 bytes, or 32 hexadecimal digits")
    return raw
