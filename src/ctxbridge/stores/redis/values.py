"""The values of the port as the scripts take them, and the scripts' answers as values of the port.

What a script gets in one piece is packed here as ``struct.unpack`` in it reads it.
"""

import struct
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from ctxbridge.errors import TooLarge, UsageError
from ctxbridge.model import (
    Change,
    Claim,
    Committed,
    Contact,
    Delivery,
    Message,
    Refused,
    Settle,
    Take,
)
from ctxbridge.model.head import NO_TRACE
from ctxbridge.rules import consent
from ctxbridge.rules.access import LABELLED
from ctxbridge.rules.fold import consent_event, leads_to_somebody
from ctxbridge.stores.redis.deliveries import ID_BYTES, named_and_code, token_bytes
from ctxbridge.stores.redis.resp import bulk
from ctxbridge.wire import encode_contact, encode_entry

_OPEN = struct.Struct(">8sQQQ16s8s16s16s16sBBBHQQ")
_COMMIT = struct.Struct(">8sQQ16s16sBQQBQBBBI25sQQQ16sHHBQB8s")
_DELIVERY = struct.Struct(">16sQQBB8s")
_TAKE = struct.Struct(">8sQQ16s16s16s8sBQQ")
_SETTLE = struct.Struct(">8sQQB16s16s16sBQ")
_FIND = struct.Struct(">8sQBB")
_RECORD = struct.Struct(">8sQQBQB")

MOST_APPENDED = 0xFFFF
"""An answer remembers in two bytes how many entries its turn has."""
_MOST_WAITING = 0xFFFF // 5
"""The head tells in two bytes how long its backlog is, which has five for each that waits."""
_LONGEST_WAIT_MILLISECONDS = 1 << 46
_SAME_FLOOR = 255
_OVERLAPS = {"queue": 0, "supersede": 1, "reject": 2}


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
        nonce, now, milliseconds(claim.lease_seconds) if claim.lease_seconds else 0,
        int(claim.remember_seconds * 1000), claim.turn, claim.digest[:8], id, claim.conversation,
        home, LABELLED if claim.message.labels else 0, claim.assurance, _OVERLAPS[claim.overlap],
        min(claim.backlog, _MOST_WAITING), claim.resumes, claim.control,
    )  # fmt: skip


def consent_values(claim: Claim, before: bytes, contact: Contact) -> list[bytes]:
    """What an ``open`` gets that changes consent: the contact before and then, bits and events."""
    consents = consent.fold(contact.consents, claim.consents)
    then = replace(contact, consents=consents)
    bits = consent.revoked_bits(consents).to_bytes(8, "big")
    events = [encode_entry(consent_event(change, claim)) for change in claim.consents]
    return [before, encode_contact(then), bits, *events]


def packed_change(change: Change, nonce: bytes, now: int, list: bytes = b"") -> bytes:
    """The fixed fields of a ``commit``; `list` is the hash by which turn and deliveries are listed.

    What stands alone and has no deliveries is not listed.
    """
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
        milliseconds(change.lease_seconds) if change.lease_seconds else 0,
        round(change.retry_seconds * 1000), round(change.hold_seconds * 1000), list,
        len(change.joined), len(change.deliveries), bool(change.deliveries) and _is_astray(change),
        change.control, _SAME_FLOOR if change.floor is None else change.floor, change.release,
    )  # fmt: skip


def _is_astray(change: Change) -> bool:
    """Whether one of the deliveries is of nothing that the change appends and could be sent."""
    return not all(leads_to_somebody(change, delivery.place) for delivery in change.deliveries)


def delivery_values(change: Change, tenant: bytes) -> list[bytes]:
    """What a ``commit`` gets that has deliveries: whose they are, and each of them."""
    if not change.deliveries:
        return []
    return [tenant, *[_packed_delivery(delivery, change) for delivery in change.deliveries]]


def _packed_delivery(delivery: Delivery, change: Change) -> bytes:
    if len(delivery.id) != ID_BYTES:
        raise UsageError("the id of a delivery has 16 bytes")
    wait = max(0, delivery.due - change.now)
    if wait > _LONGEST_WAIT_MILLISECONDS:
        raise UsageError("a delivery is due in too far a future")
    fixed = _pack(
        _DELIVERY,
        delivery.id, max(0, delivery.place), wait, delivery.repeatable, bool(delivery.token),
        token_bytes(delivery.token),
    )  # fmt: skip
    return fixed + named_and_code(delivery)


def packed_take(step: Take, nonce: bytes, now: int, list: bytes, tenant: bytes) -> bytes:
    """The fixed fields of a ``take`` from the outbox of the list of this hash."""
    return _pack(
        _TAKE,
        nonce, now, round(step.hold_seconds * 1000), step.delivery, list, tenant,
        token_bytes(step.token), step.gate_epoch is not None, step.gate_epoch or 0, step.control,
    )  # fmt: skip


def packed_settle(
    step: Settle,
    nonce: bytes,
    now: int,
    list: bytes,
    provider: bytes,
    id: bytes,
    *,
    asks: bool,
    wait: int | None,
) -> bytes:
    """The fixed fields of a ``settle``; `wait` is how long until it is tried again, if it is."""
    return _pack(
        _SETTLE,
        nonce, now, int(step.remember_seconds * 1000), asks, id, list, provider,
        wait is not None, wait or 0,
    )  # fmt: skip


def packed_find(nonce: bytes, now: int, *, bounded: bool, drops: bool) -> bytes:
    """The fixed fields of a ``find``."""
    return _pack(_FIND, nonce, now, bounded, drops)


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
    return Refused(status.decode(), first, second, reply[-2])


def keys_of(*keys: bytes) -> bytes:
    """Keys as a request takes them."""
    return b"".join([bulk(key) for key in keys])
