"""What of a value is sealed, and how it travels through a store that knows nothing of it.

A message goes as one opaque part, an event's data as one pair, a text as a text, bytes as bytes.
What a store or a rule must look at stays readable, and is bound in, so that it cannot be changed.
"""

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from ctxbridge.model import (
    Address,
    Change,
    Claim,
    Consent,
    Contact,
    Entry,
    Event,
    Link,
    LinkClaim,
    Merge,
    Message,
    Opaque,
    Part,
    RecordRead,
    RecordWrite,
    Split,
)
from ctxbridge.stores.sealed.envelope import DataKey, Place
from ctxbridge.wire.keys import address_key, record_key, tenant_key

KIND = "ctxbridge.sealed"
"""The kind of the one part of a sealed message, and the name of the one pair of a sealed event."""

_TEXT = "ctxbridge.sealed:"
_BYTES = b"\xc1ctxbridge.sealed:"  # no MessagePack, UTF-8 or format of ours starts so
EVIDENCE = "evidence"
_TOLD_BY_STORES = frozenset({"consent", "link", "merge", "split"})

Hidden = tuple[tuple[Part, ...], str, str, tuple[str, ...], bytes]
"""Of a message: parts, subject, thread, references, packed decision."""

_encode = msgspec.msgpack.Encoder().encode


# --- owners and places ----------------------------------------------------------------------------


CONTACT = ord("C")


def of_address(tenant: str, address: Address) -> bytes:
    """The owner of what is stored before it is known whose the address is."""
    return b"A" + address_key(tenant, address)


def of_contact(contact: bytes) -> bytes:
    """The owner of all else of a conversation."""
    return b"C" + contact


def of_record(record: RecordRead | RecordWrite) -> bytes:
    """A record is its own owner."""
    return b"R" + record_key(record.tenant, record.scope, record.name)


def place_of_message(tenant: str, m: Message) -> Place:
    """All of a message that stays readable, so that none of it can be changed unseen."""
    address = (m.address.channel, m.address.value, m.address.scope) if m.address else None
    endpoint = (m.endpoint.channel, m.endpoint.value) if m.endpoint else None
    return (
        "message", tenant_key(tenant), m.turn, m.author, m.channel, m.accepted_at, m.disposition,
        address, endpoint, m.message_id, m.occurred_at, int(m.assurance), m.labels, m.flags,
        m.revises, m.purpose, *((m.written_as,) if m.written_as else ()),
    )  # fmt: skip


def place_of_event(tenant: str, event: Event) -> Place:
    """All of an event that stays readable."""
    return "event", tenant_key(tenant), event.kind, event.at, event.turn


def place_of_consent(tenant: str, word: Consent) -> Place:
    """What a consent and its event in the log both tell."""
    return (
        "consent", tenant_key(tenant), word.channel, word.purpose, word.granted, word.at,
        word.source,
    )  # fmt: skip


def place_of_evidence(kind: str, tenant: str, source: str) -> Place:
    """What a link and its event in the log both tell, and what a merge or a split tells."""
    return kind, tenant_key(tenant), source


def place_of(kind: str, tenant: str) -> Place:
    """The place of what its owner has but one of: a state, a record."""
    return kind, tenant_key(tenant)


# --- sealing --------------------------------------------------------------------------------------


def sealed_message(m: Message, tenant: str, key: DataKey, owner: bytes) -> Message:
    """The message with all that no store looks at in one opaque part."""
    plain = _encode((m.parts, m.subject, m.thread, m.references, m.packed_decision))
    part = Opaque(KIND, key.seal(owner, place_of_message(tenant, m), plain))
    return replace(m, parts=(part,), subject="", thread="", references=(), packed_decision=b"")


def sealed_entry(entry: Entry, tenant: str, key: DataKey, owner: bytes) -> Entry:
    """A message or an event."""
    if isinstance(entry, Message):
        return sealed_message(entry, tenant, key, owner)
    if not entry.data:
        return entry
    data = key.seal(owner, place_of_event(tenant, entry), _encode(entry.data))
    return replace(entry, data=((KIND, _as_text(data)),))


def sealed_text(plain: str, place: Place, key: DataKey, owner: bytes) -> str:
    """A text that stands where a store expects one."""
    return _as_text(key.seal(owner, place, plain.encode())) if plain else plain


def sealed_claim(claim: Claim, key: DataKey, owner: bytes) -> Claim:
    """The claim; its digest stays, so that a repetition is known as one."""
    consents = claim.consents
    if consents:
        consents = tuple([_sealed_consent(word, claim, key, owner) for word in consents])
    message = sealed_message(claim.message, claim.tenant, key, owner)
    return replace(claim, message=message, consents=consents)


def _sealed_consent(word: Consent, claim: Claim, key: DataKey, owner: bytes) -> Consent:
    """The id of the message stands in the message anyway; what the tenant wrote is sealed."""
    if word.evidence == claim.message.message_id:
        return word
    place = place_of_consent(claim.tenant, word)
    return replace(word, evidence=sealed_text(word.evidence, place, key, owner))


def sealed_link(claim: LinkClaim, key: DataKey, owner: bytes) -> LinkClaim:
    """The claim of a link, its evidence sealed."""
    link, place = claim.link, place_of_evidence("link", claim.tenant, claim.link.source)
    evidence = sealed_text(link.evidence, place, key, owner)
    return replace(claim, link=replace(link, evidence=evidence))


def sealed_merge(merge: Merge, key: DataKey, owner: bytes) -> Merge:
    """The merge, its evidence and its state sealed."""
    state, place = merge.state, place_of_evidence("merge", merge.tenant, merge.source)
    if state is not None:
        state = _BYTES + key.seal(owner, place_of("state", merge.tenant), state)
    return replace(merge, evidence=sealed_text(merge.evidence, place, key, owner), state=state)


def sealed_split(split: Split, key: DataKey, owner: bytes, entries: DataKey, part: bytes) -> Split:
    """The split, its evidence sealed for the one, and all that goes along for the other."""
    place = place_of_evidence("split", split.tenant, split.source)
    moves = [(seq, sealed_entry(entry, split.tenant, entries, part)) for seq, entry in split.moves]
    evidence = sealed_text(split.evidence, place, key, owner)
    return replace(split, evidence=evidence, moves=tuple(moves))


def sealed_change(change: Change, key: DataKey, owner: bytes) -> Change:
    """The change with every entry and the state sealed."""
    tenant, state = change.tenant, change.state
    if state is not None:
        state = _BYTES + key.seal(owner, place_of("state", tenant), state)
    amend = tuple([(p, sealed_message(m, tenant, key, owner)) for p, m in change.amend])
    append = tuple([sealed_entry(entry, tenant, key, owner) for entry in change.append])
    return replace(change, amend=amend, append=append, state=state)


def sealed_record(write: RecordWrite, key: DataKey, owner: bytes) -> RecordWrite:
    """The write with its value sealed."""
    assert write.value is not None
    value = key.seal(owner, place_of("record", write.tenant), write.value)
    return replace(write, value=_BYTES + value)


# --- what is sealed of what was read --------------------------------------------------------------


def sealed_in(entry: Entry | None) -> bytes | None:
    """The sealed value of a message, or of an event that is sealed as a whole."""
    if type(entry) is Message:
        parts = entry.parts
        if len(parts) == 1 and type(part := parts[0]) is Opaque and part.kind == KIND:
            return part.data
    elif type(entry) is Event and len(entry.data) == 1 and entry.data[0][0] == KIND:
        return _as_bytes(entry.data[0][1])
    return None


def sealed_evidence_in(event: Event) -> bytes | None:
    """The sealed evidence of an event that the store itself made."""
    return in_text(event.about(EVIDENCE)) if event.kind in _TOLD_BY_STORES else None


def in_bytes(data: bytes | None) -> bytes | None:
    """The sealed value of a state or a record."""
    return data[len(_BYTES) :] if data is not None and data.startswith(_BYTES) else None


def in_text(text: str) -> bytes | None:
    """The sealed value of a text."""
    return _as_bytes(text) if text.startswith(_TEXT) else None


def words_in(contact: Contact) -> Iterator[tuple[Consent | Link, bytes]]:
    """What of a contact has sealed evidence."""
    words: list[Consent | Link] = [*contact.consents, *contact.links]
    for word in words:
        sealed = in_text(word.evidence)
        if sealed is not None:
            yield word, sealed


def _as_text(data: bytes) -> str:
    return _TEXT + urlsafe_b64encode(data).decode()


def _as_bytes(text: str) -> bytes:
    """The sealed value of a text; nothing for a text that holds none, and nothing never opens."""
    try:
        return b64decode(text.removeprefix(_TEXT), altchars=b"-_", validate=True)
    except ValueError:
        return b""
