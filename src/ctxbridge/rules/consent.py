"""Consent: the latest word per channel and purpose, and the bits that a store can compare."""

from collections.abc import Iterable
from typing import get_args

from msgspec.structs import replace

from ctxbridge.model import Address, Consent, Entry, Event, Purpose
from ctxbridge.model.decision import ConsentWord

# The order is stored (one bit each in the head): append, never reorder. There is room for 16; what
# is not named here is told apart by its consents, and shares the bits of "other".
CHANNELS = (
    "sms", "email", "chat", "whatsapp", "slack", "voice", "rcs", "messenger", "other", "all",
    "viber", "instagram",
)  # fmt: skip
PURPOSES: tuple[Purpose, ...] = ("service", "marketing", "otp", "all")
EVERYWHERE = "all"
TENANT = "tenant"


def bit(channel: str, purpose: str) -> int:
    """The bit of the head that is set while `purpose` on `channel` is revoked."""
    row = CHANNELS.index(channel) if channel in CHANNELS else CHANNELS.index("other")
    return 1 << (row * len(PURPOSES) + PURPOSES.index(purpose))


def fold(consents: tuple[Consent, ...], changes: Iterable[Consent]) -> tuple[Consent, ...]:
    """`consents` after `changes`: what still counts of all that was said.

    A refusal for a channel is for all of the contact's addresses there, whichever it came from, and
    stands until that address or the tenant takes it back. A grant from another address restores
    that other address alone. A word for ``all`` purposes takes the place of the narrower ones.
    """
    held = consents
    for change in changes:
        kept = tuple([c for c in held if not _is_replaced(c, change)])
        held = (*kept, _narrowed(kept, change))
    return held


def joined(ours: Iterable[Consent], theirs: Iterable[Consent]) -> tuple[Consent, ...]:
    """What counts of all that two contacts said who are one now, in the order of their words.

    A grant of the one, or of the tenant for the one, was about them alone: it takes nothing back of
    what the other refused.
    """
    words = sorted((*ours, *theirs), key=_said_at)
    held = fold((), words)
    kept = [word for word in words if not word.granted and not _is_covered(word, held)]
    return tuple(sorted((*held, *kept), key=_said_at))


def _said_at(word: Consent) -> int:
    return word.at


def _is_covered(refusal: Consent, held: Iterable[Consent]) -> bool:
    """Whether it is among the words that are held, or a refusal there has taken its place."""
    return any(
        word == refusal or (not word.granted and _is_replaced(refusal, word)) for word in held
    )


def _is_replaced(held: Consent, change: Consent) -> bool:
    """Whether nothing of `held` counts after `change`."""
    if held.channel != change.channel or change.purpose not in {held.purpose, "all"}:
        return False
    if change.granted and held.granted:
        about = change.address or change.by
        return not about or held.address in {"", about}
    if change.granted:
        return _takes_back(held, change)
    if held.granted:
        return change.address in {"", held.address}
    return (held.address, held.by, held.source) == (change.address, change.by, change.source)


def _takes_back(refusal: Consent, grant: Consent) -> bool:
    """Whether the one who grants may take the refusal back, and means it."""
    if grant.channel == EVERYWHERE and grant.source not in {refusal.source, TENANT}:
        return False  # START by SMS does not bring back what was refused by mail or on the phone
    if grant.address:
        return refusal.address == grant.address
    return not grant.by or (refusal.by == grant.by and refusal.address in {"", grant.by})


def _narrowed(held: Iterable[Consent], change: Consent) -> Consent:
    """The word, for its own address alone where another's refusal stands."""
    if not change.granted or not change.by or change.address:
        return change
    foreign = any(c.channel == change.channel and not c.granted for c in held)
    return replace(change, address=change.by) if foreign else change


def words_of(wish: ConsentWord, address: Address, at: int, evidence: str) -> tuple[Consent, ...]:
    """A contact's wish, as the words that it comes to."""
    own = Consent(wish.channel, wish.purpose, wish.granted, at, evidence, by=address.value)
    source = f"contact:{wish.channel}"
    others = [Consent(EVERYWHERE, p, wish.granted, at, evidence, source) for p in wish.everywhere]
    return (own, *others)


def revoked_bits(consents: Iterable[Consent]) -> int:
    """The bits of all that is revoked."""
    bits = 0
    for consent in consents:
        if not consent.granted:
            bits |= bit(consent.channel, consent.purpose)
    return bits


def may_send(
    consents: Iterable[Consent], channel: str, purpose: str = "service", address: str = ""
) -> bool:
    """Whether a message of `purpose` may leave by `channel`: nothing that covers it is revoked.

    `consents` are as `fold` gives them, in the order in which they were said. `address` is the
    value of the address that it goes to; without, only what is for all counts.
    """
    covering = [
        c
        for c in consents
        if c.channel in {channel, EVERYWHERE}
        and c.purpose in {purpose, "all"}
        and c.address in {"", address}
    ]
    return not any(
        not refusal.granted and not _is_restored(refusal, covering[place + 1 :])
        for place, refusal in enumerate(covering)
    )


def _is_restored(refusal: Consent, later: Iterable[Consent]) -> bool:
    """Whether the address has a word of its own after a refusal that was for all of them."""
    return not refusal.address and any(
        word.granted
        and word.address
        and word.channel == refusal.channel
        and word.purpose in {refusal.purpose, "all"}
        for word in later
    )


def ledger(entries: Iterable[Entry]) -> tuple[Consent, ...]:
    """Every word about consent that a log tells of, the oldest first, whatever came of it."""
    words = [e for e in entries if isinstance(e, Event) and e.kind == "consent"]
    return tuple([_word(event) for event in words])


def _word(event: Event) -> Consent:
    purpose: Purpose = next((p for p in get_args(Purpose) if p == event.about("purpose")), "all")
    granted = event.about("granted") == "yes"
    source = event.about("source") or "contact"
    evidence = event.about("evidence")
    channel, address = event.about("channel"), event.about("address")
    return Consent(channel, purpose, granted, event.at, evidence, source, address)
