"""Consent: the latest word per channel and purpose, and the bits that a store can compare."""

from collections.abc import Iterable
from typing import get_args

from ctxbridge.model import Consent, Entry, Event, Purpose

# The order is stored (one bit each in the head): append, never reorder.
CHANNELS = (
    "sms", "email", "chat", "whatsapp", "slack", "voice", "rcs", "messenger", "other", "all",
)  # fmt: skip
PURPOSES: tuple[Purpose, ...] = ("service", "marketing", "otp", "all")
EVERYWHERE = "all"
TENANT = "tenant"


def bit(channel: str, purpose: str) -> int:
    """The bit of the head that is set while `purpose` on `channel` is revoked."""
    row = CHANNELS.index(channel) if channel in CHANNELS else CHANNELS.index("other")
    return 1 << (row * len(PURPOSES) + PURPOSES.index(purpose))


def fold(consents: tuple[Consent, ...], changes: Iterable[Consent]) -> tuple[Consent, ...]:
    """`consents` after `changes`: one entry per channel and purpose, the latest word.

    A grant for ``all`` purposes takes back each narrower refusal on that channel, as START does.
    """
    latest = {(c.channel, c.purpose): c for c in consents}
    for change in changes:
        if not restores(latest.get((change.channel, change.purpose)), change):
            continue
        if change.purpose == "all":
            latest = {
                key: c
                for key, c in latest.items()
                if key[0] != change.channel or not restores(c, change)
            }
        latest[change.channel, change.purpose] = change
    return tuple(latest.values())


def restores(held: Consent | None, change: Consent) -> bool:
    """Whether `change` may take the place of `held`.

    A refusal for every channel is taken back by who said it, or by the tenant: START by SMS does
    not bring back what was refused by mail or on the phone.
    """
    if held is None or held.granted or not change.granted or change.channel != EVERYWHERE:
        return True
    return change.source in {held.source, TENANT}


def words_of(
    wish_channel: str,
    granted: bool,
    purpose: Purpose,
    everywhere: Iterable[Purpose],
    at: int,
    evidence: str,
) -> tuple[Consent, ...]:
    """A contact's wish, as the words that it comes to."""
    by = f"contact:{wish_channel}"
    own = Consent(wish_channel, purpose, granted, at, evidence)
    others = [Consent(EVERYWHERE, p, granted, at, evidence, by) for p in everywhere]
    return (own, *others)


def revoked_bits(consents: Iterable[Consent]) -> int:
    """The bits of all that is revoked."""
    bits = 0
    for consent in consents:
        if not consent.granted:
            bits |= bit(consent.channel, consent.purpose)
    return bits


def may_send(consents: Iterable[Consent], channel: str, purpose: str = "service") -> bool:
    """Whether a message of `purpose` may leave by `channel`: nothing that covers it is revoked."""
    return not any(
        not c.granted and c.channel in {channel, EVERYWHERE} and c.purpose in {purpose, "all"}
        for c in consents
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
    return Consent(event.about("channel"), purpose, granted, event.at, evidence, source)
