"""Who reads, and how sure we must be before they are shown something."""

from msgspec import Struct

from ctxbridge.model.address import Address, Assurance

DAY_MILLISECONDS = 86_400_000


class AccessPolicy(Struct, frozen=True, gc=False, cache_hash=True):
    """From which assurance on a reader is shown what; see the page "Who sees what".

    `same_address`: what this address wrote or got before. `across`: what was said by other
    addresses of the contact, and the state; both links must be as firm. `labelled`: messages with a
    label, or with one of `labels`, where that names another level for it.

    An address on one of `recycled` channels that was silent for `silence_days` may have become
    somebody else's (35 million telephone numbers do so each year in the US): what is older is shown
    to it from VERIFIED on alone. 0 turns that off.
    """

    same_address: Assurance = Assurance.CHANNEL
    across: Assurance = Assurance.CHANNEL
    labelled: Assurance = Assurance.VERIFIED
    labels: tuple[tuple[str, Assurance], ...] = ()
    silence_days: float = 90.0
    recycled: tuple[str, ...] = ("sms", "whatsapp", "rcs", "voice")

    def for_labels(self, labels: tuple[str, ...]) -> Assurance:
        """What a message with these labels needs: the most that one of them asks for."""
        if not labels:
            return Assurance.ANONYMOUS
        named = dict(self.labels)
        return max(named.get(label, self.labelled) for label in labels)

    def may_be_another(self, address: Address, silent: int) -> bool:
        """Whether the address may have another owner after `silent` milliseconds."""
        if not self.silence_days or address.channel not in self.recycled:
            return False
        return silent > self.silence_days * DAY_MILLISECONDS


DEFAULT_POLICY = AccessPolicy()
OPERATOR_POLICY = AccessPolicy(
    same_address=Assurance.ANONYMOUS, across=Assurance.ANONYMOUS, labelled=Assurance.ANONYMOUS
)
"""For who must see all that is stored, by whichever address of a contact, however weak its link."""


class Reader(Struct, frozen=True, gc=False):
    """Through whose eyes a conversation is read, in which thread, and when (Unix milliseconds)."""

    address: Address
    assurance: Assurance
    policy: AccessPolicy = DEFAULT_POLICY
    now: int = 0
    thread: str = ""
