"""Opening what was read: each value for its owner and its place, or not at all."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from ctxbridge.errors import CorruptRecord, KeyMissing, StoreError
from ctxbridge.model import Address, Consent, Contact, Entry, Event, Link, Message, Window
from ctxbridge.stores.sealed import values
from ctxbridge.stores.sealed.envelope import DataKey, Place, header_of
from ctxbridge.stores.sealed.values import EVIDENCE, Hidden

T = TypeVar("T")
Keys = Mapping[bytes, DataKey | str | None]

_DAMAGE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_hidden = msgspec.msgpack.Decoder(Hidden)
_pairs = msgspec.msgpack.Decoder(tuple[tuple[str, str], ...])
_CHANGED = "a sealed value does not open: it was damaged or moved, or its tenant's key is another"
_UNSEALED = "a value is not sealed, in a store where all must be"


class Opener:
    """Opens values of one contact, as one reader got them.

    `contacts` are its id and those that were merged into it. `addresses` are those that the contact
    is known under here: what was stored before it was known whose it is, is bound to one of them.
    `only_sealed` refuses what is not sealed.
    """

    def __init__(
        self,
        tenant: str,
        contacts: Iterable[bytes],
        addresses: Iterable[Address],
        keys: Keys,
        *,
        only_sealed: bool,
    ) -> None:
        self._tenant = tenant
        self._contacts = tuple(map(values.of_contact, contacts))
        self._addresses = tuple(addresses)
        self._keys = keys
        self._only_sealed = only_sealed

    @property
    def has_all_keys(self) -> bool:
        """Whether none was missing: one that was may be there the next time."""
        return not any(isinstance(key, str) for key in self._keys.values())

    def entry(self, entry: Entry | None) -> Entry:
        """A message or an event; `None` is one that the store itself found damaged."""
        if entry is None:
            raise CorruptRecord("a stored entry is damaged")
        return self.message(entry) if isinstance(entry, Message) else self._event(entry)

    def message(self, message: Message) -> Message:
        """A message with its words."""
        data = values.sealed_in(message)
        if data is None:
            return self._unsealed(message)
        place = values.place_of_message(self._tenant, message)
        plain = self._plain(data, place, message.address)
        parts, subject, thread, references, decision = _decoded(_hidden, plain)
        return replace(
            message, parts=parts, subject=subject, thread=thread, references=references,
            packed_decision=decision,
        )  # fmt: skip

    def _event(self, event: Event) -> Event:
        data = values.sealed_in(event)
        if data is not None:
            plain = self._plain(data, values.place_of_event(self._tenant, event))
            return replace(event, data=_decoded(_pairs, plain))
        sealed = values.sealed_evidence_in(event)
        if sealed is None:
            return event
        # Of whose address a link tells is not in its entry: that may have been parted since.
        known = event.kind != "link"
        text = self._text(sealed, self._place_of_evidence(event), known=known)
        pairs = [(name, text if name == EVIDENCE else value) for name, value in event.data]
        return replace(event, data=tuple(pairs))

    def _place_of_evidence(self, event: Event) -> Place:
        source = event.about("source")
        if event.kind != "consent":
            return values.place_of_evidence(event.kind, self._tenant, source)
        word = Consent(
            event.about("channel"), event.about("purpose"),  # type: ignore[arg-type]
            event.about("granted") == "yes", event.at, "", source,
        )  # fmt: skip
        return values.place_of_consent(self._tenant, word)

    def contact(self, contact: Contact, *, whole: bool) -> Contact:
        """A contact with the evidence of its links and consents.

        Where not the `whole` contact is shown to the reader, evidence that is bound to an address
        that is kept back is kept back too: it is empty.
        """
        found = dict[int, Any]()
        for word, sealed in values.words_in(contact):
            if isinstance(word, Link):
                place = values.place_of_evidence("link", self._tenant, word.source)
            else:
                place = values.place_of_consent(self._tenant, word)
            text = self._text(sealed, place, known=whole)
            found[id(word)] = replace(word, evidence=text)
        if not found:
            return contact
        return replace(
            contact,
            links=tuple(found.get(id(link), link) for link in contact.links),
            consents=tuple(found.get(id(word), word) for word in contact.consents),
        )

    def state(self, state: bytes | None) -> bytes | None:
        """The envelope of a state."""
        sealed = values.in_bytes(state)
        if sealed is None:
            return state if state is None else self._unsealed(state)
        return self._plain(sealed, values.place_of("state", self._tenant))

    def record(self, value: bytes, owner: bytes) -> bytes:
        """The value of the record that is this owner."""
        sealed = values.in_bytes(value)
        if sealed is None:
            return self._unsealed(value)
        place = values.place_of("record", self._tenant)
        return _whole(self._key(sealed).unseal(sealed, owner, place))

    def window(self, window: Window, entries: Sequence[Entry | None]) -> Window:
        """The window of these entries, each opened when it is touched; what is open stays so."""
        places = [number.to_bytes(4, "big") for number in range(len(entries))]

        def opened(records: Sequence[Any]) -> list[Entry]:
            return [
                self.entry(entries[int.from_bytes(r, "big")]) if type(r) is bytes else r
                for r in records
            ]

        return Window(places, window.seqs, opened)

    def _unsealed(self, value: T) -> T:
        if self._only_sealed:
            raise CorruptRecord(_UNSEALED)
        return value

    def _text(self, data: bytes, place: Place, *, known: bool) -> str:
        """A text; where its owner may be unknown, an empty one for what does not open."""
        try:
            return self._plain(data, place).decode()
        except CorruptRecord:
            if known:
                raise
            return ""

    def _plain(self, sealed: bytes, place: Place, likely: Address | None = None) -> bytes:
        """The value, if it was sealed for the contact, or for one of its addresses.

        Raises `CorruptRecord` or `KeyMissing`.
        """
        key = self._key(sealed)
        known = self._contacts if sealed[1] == values.CONTACT else self._owners(likely)
        for owner in known:
            plain = key.unseal(sealed, owner, place)
            if plain is not None:
                return plain
        raise CorruptRecord(_CHANGED)

    def _key(self, sealed: bytes) -> DataKey:
        key = self._keys.get(header_of(sealed))
        if type(key) is DataKey:
            return key
        raise KeyMissing(key) if isinstance(key, str) else CorruptRecord(_CHANGED)

    def _owners(self, likely: Address | None) -> Iterator[bytes]:
        """The addresses for which it may have been sealed, the likely one first."""
        for address in sorted(self._addresses, key=lambda address: address != likely):
            yield values.of_address(self._tenant, address)


def _whole(plain: bytes | None) -> bytes:
    if plain is None:
        raise CorruptRecord(_CHANGED)
    return plain


def headers_in(
    contact: Contact | None, entries: Iterable[Entry | None], state: bytes | None = None
) -> list[bytes]:
    """The headers of all that is sealed here; what is damaged is found when it is opened."""
    found = [values.in_bytes(state)]
    if contact is not None:
        found += [sealed for _, sealed in values.words_in(contact)]
    for entry in entries:
        data = values.sealed_in(entry)
        if data is None and type(entry) is Event:
            data = values.sealed_evidence_in(entry)
        found.append(data)
    return [header_of(data) for data in found if data is not None]


def entries_of(window: Window) -> list[Entry | None]:
    """The entries of a window, `None` for each that the store finds damaged."""
    try:
        return list(window)
    except StoreError:
        return [_entry_at(window, place) for place in range(len(window))]


def _entry_at(window: Window, place: int) -> Entry | None:
    try:
        return window[place]
    except StoreError:
        return None


def _decoded(decoder: "msgspec.msgpack.Decoder[T]", plain: bytes) -> T:
    try:
        return decoder.decode(plain)
    except _DAMAGE:
        raise CorruptRecord("a sealed value opens to something else than it should") from None


def addresses_of(contact: Contact, reader: Address) -> list[Address]:
    """The addresses that a contact has or had, and the reader's."""
    return list(dict.fromkeys([*(link.address for link in contact.links), reader]))
