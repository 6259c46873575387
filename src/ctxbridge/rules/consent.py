"""Consent: the latest word per channel and purpose, and the bits that a store can compare."""

from collections.abc import Iterable

from ctxbridge.model import Consent

# The order is stored (one bit each in the head): append, never reorder.
CHANNELS = (
    "sms", "email", "chat", "whatsapp", "slack", "voice", "rcs", "messenger", "other", "all",
)  # fmt: skip
PURPOSES = ("service", "marketing", "otp", "all")


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
        if change.purpose == "all":
            latest = {key: c for key, c in latest.items() if key[0] != change.channel}
        latest[change.channel, change.purpose] = change
    return tuple(latest.values())


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
        not c.granted and c.channel in {channel, "all"} and c.purpose in {purpose, "all"}
        for c in consents
    )
