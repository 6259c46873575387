"""What a delivery may become: the one truth for every store.

The states are a lattice that is only climbed. A later attempt starts anew, but once the provider
has taken a message, no failure of an earlier attempt takes that back.
"""

from typing import Literal

from msgspec.structs import replace

from ctxbridge.model import Change, Delivery, DeliveryStatus, Head, Scan, Settle, Take
from ctxbridge.rules.control import newer

RANKS: dict[DeliveryStatus, int] = {
    "pending": 0, "claimed": 1, "unknown": 2, "sent": 3, "failed": 4, "delivered": 5, "read": 6,
    "withheld": 7,
}  # fmt: skip
"""What comes later wins. A carrier may still deliver what it had called failed, not the reverse."""

STATUSES = tuple(RANKS)
"""In the order of their numbers as stored: append, never reorder."""

OPEN: frozenset[DeliveryStatus] = frozenset({"pending", "claimed"})
DEAD: frozenset[DeliveryStatus] = frozenset({"failed", "unknown"})
_TAKEN_BY_PROVIDER: frozenset[DeliveryStatus] = frozenset({"sent", "delivered", "read"})
MAX_CODE_CHARACTERS = 64
MAX_ID_CHARACTERS = 255


def prepared(change: Change, before: int) -> tuple[Delivery, ...]:
    """The deliveries of a change as they go into the outbox of a log that ended at `before`.

    Their gate epoch is that under which they were judged, also where the change raises it.
    """
    life = int(change.remember_seconds * 1000)
    held = change.now + round(change.hold_seconds * 1000)
    return tuple([
        replace(
            delivery,
            place=before + delivery.place,
            status="claimed" if delivery.token else "pending",
            attempt=1 if delivery.token else 0,
            held_until=held if delivery.token else 0,
            due=max(delivery.due, change.now),
            gate_epoch=change.gate_epoch,
            created_at=change.now,
            until=max(delivery.due, change.now) + life,
        )
        for delivery in change.deliveries
    ])  # fmt: skip


def take(
    delivery: Delivery, head: Head, claim: Take, control: bytes = b""
) -> Delivery | Literal["stale", "gone"]:
    """The delivery as claimed; ``gone`` where it cannot be.

    ``stale`` under another gate epoch, or where the tenant's `control` is newer than the caller's.

    A claim that ran out is given to the next where a repetition has no second effect. Else what
    became of it is ``unknown``, and the delivery comes back as that.
    """
    if delivery.status == "claimed":
        if delivery.held_until > claim.now:
            # The same call again, whose answer was lost: the claim is its own.
            return delivery if delivery.token == claim.token else "gone"
        if not delivery.repeatable:
            return replace(delivery, status="unknown", code="worker.lost")
    elif delivery.status != "pending" or delivery.due > claim.now:
        return "gone"
    prepared_under = delivery.gate_epoch if claim.gate_epoch is None else claim.gate_epoch
    if prepared_under != head.gate_epoch or newer(control, claim.control):
        return "stale"
    return replace(
        delivery,
        status="claimed",
        attempt=delivery.attempt + 1,
        token=claim.token,
        held_until=claim.now + round(claim.hold_seconds * 1000),
        gate_epoch=head.gate_epoch,
    )


def settle(delivery: Delivery, said: Settle) -> Delivery:
    """The delivery after what was said of it; the same object where it knew better."""
    code, id = said.code[:MAX_CODE_CHARACTERS], said.provider_id[:MAX_ID_CHARACTERS]
    named = bool(id) and id != delivery.provider_id
    # Each attempt has an id of the provider's, and a delivery that was put back has none yet: what
    # is said of another is of an earlier attempt, since providers repeat themselves too.
    foreign = named and bool(delivery.provider_id or not said.delivery)
    earlier = said.attempt < delivery.attempt if said.attempt else foreign
    known = delivery
    if named and not (earlier and foreign):
        known = replace(delivery, provider_id=id)
    if said.status == "pending":
        return _put_back(known, said, code)
    if said.status == "claimed" or RANKS[said.status] <= RANKS[known.status]:
        return known
    if said.status == "withheld" and known.status not in OPEN:
        return known
    if earlier and said.status not in _TAKEN_BY_PROVIDER:
        return known
    return replace(known, status=said.status, code=code, token=b"", held_until=0)


def _put_back(delivery: Delivery, said: Settle, code: str) -> Delivery:
    """After an attempt that surely failed, or by hand where nobody tries any more."""
    by_hand = said.retry_seconds is None
    mine = delivery.status == "claimed" and said.attempt in {0, delivery.attempt}
    if not (delivery.status in DEAD if by_hand else mine):
        return delivery
    due = said.now + round((said.retry_seconds or 0.0) * 1000)
    return replace(
        delivery, status="pending", token=b"", held_until=0, due=due, provider_id="", code=code
    )


def look_again(delivery: Delivery) -> int:
    """When the outbox is to be looked at for this delivery; 0 for never."""
    if delivery.status == "pending":
        return delivery.due
    return delivery.held_until if delivery.status == "claimed" else 0


def listed_at(delivery: Delivery, scan: Scan) -> int:
    """Under which time the scan lists the delivery; 0 if it does not."""
    if delivery.until <= scan.now or scan.what == "waiting":
        return 0
    if scan.what == "dead":
        return delivery.created_at if delivery.status in DEAD else 0
    at = look_again(delivery)
    return at if scan.what == "pending" or at <= scan.now else 0


def keeps(said: Settle) -> bool:
    """Whether this is kept where no delivery is known: only a provider can be ahead of us."""
    return bool(said.provider_id) and not said.delivery and said.status not in OPEN


def better(known: Settle | None, said: Settle) -> Settle:
    """Of two words on a provider's id that no delivery has yet, the one to keep."""
    if known is None or RANKS[said.status] > RANKS[known.status]:
        return said
    return known
