"""What was read of a list: a conversation's end, or a forward."""

from typing import Any

from ctxbridge.errors import CorruptRecord, StoreError
from ctxbridge.model import Address, Contact, Context, Head, Reader, Window
from ctxbridge.model.head import NO_ID
from ctxbridge.rules import order
from ctxbridge.rules.access import view
from ctxbridge.stores.redis.request import TAIL
from ctxbridge.wire import decode_contact, decode_entries, decode_head
from ctxbridge.wire.keys import address_key


class Reading:
    """The last entries of a conversation and what stands behind them; decoded when asked for."""

    __slots__ = (
        "_contact",
        "_head",
        "_of",
        "_size",
        "_window",
        "exchange",
        "packed_contact",
        "packed_head",
        "records",
        "state",
    )

    def __init__(
        self, records: list[bytes], head: bytes, contact: bytes, state: bytes, exchange: Any
    ) -> None:
        self.records = records
        self.packed_head = head
        self.packed_contact = contact
        self.state = state
        self.exchange = exchange
        """Over which it was read: what tells of a change of it."""
        self._head: Head | None = None
        self._contact: Contact | None = None
        self._of: Address | None = None
        self._window: Window | None = None
        self._size = -1

    @property
    def head(self) -> Head:
        """The head."""
        if self._head is None:
            self._head = decode_head(self.packed_head)
        return self._head

    @property
    def contact(self) -> Contact:
        """The contact."""
        if self._contact is None:
            self._contact = decode_contact(self.packed_contact)
        return self._contact

    @property
    def is_whole(self) -> bool:
        """Whether its head can be read."""
        try:
            return self.head is not None
        except StoreError:
            return False

    def has(self, window: int) -> bool:
        """Whether it reaches back far enough for a window of this size (0: for all)."""
        return len(self.records) >= (window or self.head.seq) or len(self.records) == self.head.seq

    def is_of(self, tenant: str, address: Address) -> bool:
        """Whether it is of the contact that has this address."""
        if address is self._of:
            return True
        contact = self.contact
        if contact.link_to(address) is not None:
            self._of = address
            return True
        # Whose addresses were erased is not known any more: all that lead there are theirs, but for
        # those that were parted from it before.
        return bool(contact.erased_at) and address_key(tenant, address) not in contact.left

    def context(
        self,
        reader: Reader,
        window: int,
        turn: bytes = NO_ID,
        contact: Contact | None = None,
    ) -> Context:
        """The context as this reader may see it. Raises `CorruptRecord` if entries are missing."""
        return view(
            self.head, contact or self.contact, self.state or None, self._entries(window),
            reader, turn,
        )  # fmt: skip

    def _entries(self, size: int) -> Window:
        """The newest entries. A window is the same for all readers, so it is kept."""
        kept = self._window
        if kept is not None and size == self._size:
            return kept
        places = order.newest(self.head.seq, size)
        records, wanted = self.records, len(places)
        if len(records) > wanted:
            records = records[-wanted:] if wanted else []
        order.require_whole(places, len(records))
        self._window, self._size = Window(records, places, decode_entries), size
        return self._window

    def after(
        self,
        head: bytes,
        state: bytes | None,
        appended: list[bytes],
        amended: tuple[tuple[int, bytes], ...],
    ) -> "Reading":
        """What would be read after a change that was applied to just this."""
        records, last = self.records, self.head.seq
        first = last - len(records) + 1
        if amended:
            records = list(records)
            for place, entry in amended:
                if place >= first:
                    records[place - first] = entry
        if appended:
            records = (records + appended)[-max(len(records), _AT_LEAST) :]
        made = Reading(
            records, head, self.packed_contact, self.state if state is None else state,
            self.exchange,
        )  # fmt: skip
        made._contact = self._contact
        return made


_AT_LEAST = 64
"""A cached window that is whole may grow this far, so that a short conversation stays whole."""


def reading_of(elements: list[bytes], exchange: Any) -> Reading:
    """The reading that a list's elements give; raises `CorruptRecord` for too few of them."""
    if len(elements) < TAIL:
        raise CorruptRecord("a conversation is torn: its list has lost its end")
    head, contact, state = elements[-TAIL:]
    return Reading(elements[:-TAIL], head, contact, state, exchange)
