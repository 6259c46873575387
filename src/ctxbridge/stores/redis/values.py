"""The values of the port as the scripts take them, and the scripts' answers as values of the port.

What a script gets in one piece is packed here as ``struct.unpack`` in it reads it.
"""

import struct
from collections.abc import Sequence
from typing import Any

from ctxbridge.errors import TooLarge, UsageError
from ctxbridge.model import Change, Claim, Committed, Contact, Message, Refused
from ctxbridge.model.head import NO_TRACE
from ctxbridge.rules import consent
from ctxbridge.rules.access import LABELLED
from ctxbridge.rules.fold import consent_event
from ctxbridge.stores.redis.resp import bulk
from ctxbridge.wire import encode_contact, encode_entry

_OPEN = struct.Struct(">8sQQQ16s8s16s16s16sBB")
_COMMIT = struct.Struct(">8sQQ16s16sBQQBQBBBI25s")
_RECORD = struct.Struct(">8sQQBQB")

MOST_APPENDED = 0xFFFF
"""An answer remembers in two bytes how many entries its turn has."""


def milliseconds(seconds: float) -> int:
    """A duration of the port as the scripts count it."""
    return max(1, round(seconds * 1000))


def _pack(layout: struct.Struct, *values: Any) -> bytes:
    try:
        return layout.pack(*values)
    except struct.error:
        raise UsageError("a number of the claim, change or write is out of its range") from None


def packed_claim(claim: Claim, nonce: bytes, now: int, id: bytes, home: bytes) -> bytes:
    """The fixed fields of an ``open``."""
    return _pack(
        _OPEN,
        nonce, now, milliseconds(claim.lease_seconds), int(claim.remember_seconds * 1000),
        claim.turn, claim.digest[:8], id, claim.conversation, home,
        LABELLED if claim.message.labels else 0, claim.assurance,
    )  # fmt: skip


def consent_values(claim: Claim, before: bytes, contact: Contact) -> list[bytes]:
    """What an ``open`` gets that changes consent: the contact before and then, bits and events."""
    consents = consent.fold(contact.consents, claim.consents)
    then = Contact(contact.id, contact.links, consents)
    bits = consent.revoked_bits(consents).to_bytes(8, "big")
    events = [encode_entry(consent_event(change, claim)) for change in claim.consents]
    return [before, encode_contact(then), bits, *events]


def packed_change(change: Change, nonce: bytes, now: int) -> bytes:
    """The fixed fields of a ``commit``."""
    fenced, revised = change.fence is not None, change.revision is not None
    if len(change.append) > MOST_APPENDED:
        raise TooLarge("the number of entries to append", len(change.append), MOST_APPENDED)
    entries = [*change.append, *(message for _, message in change.amend)]
    labelled = any(type(entry) is Message and entry.labels for entry in entries)
    return _pack(
        _COMMIT,
        nonce, now, int(change.remember_seconds * 1000), change.turn, change.contact,
        fenced, change.fence or 0, change.gate_epoch, revised, change.revision or 0,
        change.finished, change.state is not None, LABELLED if labelled else 0,
        len(change.amend), change.trace or NO_TRACE,
    )  # fmt: skip


def packed_write(
    nonce: bytes, now: int, life: float, revision: int | None, *, deletes: bool
) -> bytes:
    """The fixed fields of a ``record``."""
    return _pack(
        _RECORD,
        nonce,
        now,
        milliseconds(life) if life else 0,
        revision is not None,
        revision or 0,
        deletes,
    )


def committed(reply: Sequence[Any]) -> Committed | Refused:
    """The answer of a ``commit`` that was answered with more than that nobody is there."""
    _, status, first, second, *_ = reply
    if status == b"ok":
        return Committed(first, second)
    if status == b"replayed":
        return Committed(first, second, replayed=True)
    return Refused(status.decode(), first, second)


def keys_of(*keys: bytes) -> bytes:
    """Keys as a request takes them."""
    return b"".join([bulk(key) for key in keys])
