"""Consent that the tenant records: given on a form, taken back on the phone, imported."""

from typing import TYPE_CHECKING, Any

from ctxbridge.bridge.explaining import whole_context
from ctxbridge.errors import ConfigurationError, UsageError
from ctxbridge.model import Address, Assurance, Claim, Consent, Contact, Endpoint, Message, Purpose
from ctxbridge.rules.consent import CHANNELS, PURPOSES, TENANT, ledger
from ctxbridge.wire.checked import checked

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

RECORDED = "consent.recorded"
"""The flag of the entry that stands for the record: it has no words, and nobody is shown it."""


async def record_consent(
    bridge: "Bridge[Any]",
    address: Address,
    channel: str,
    purpose: Purpose,
    evidence: str,
    *,
    granted: bool,
    only: bool = False,
) -> Contact:
    """Store the word as an inbound wish is stored: in one step, whatever turn is running."""
    if channel not in CHANNELS or purpose not in PURPOSES:
        raise UsageError(f"consent is for one of {CHANNELS} and one of {PURPOSES}")
    if only and channel not in {address.channel, "all"}:
        raise UsageError("what is for one address alone is for its own channel")
    if not evidence:
        raise UsageError("consent needs evidence: what does the word rest on?")
    settings, now = bridge.settings, bridge.clock.now()
    where, about = (address.channel, address.value) if only else (channel, "")
    word = checked(Consent(where, purpose, granted, now, evidence, TENANT, about))
    turn = settings.ids.new()
    message = Message(
        turn, "system", address.channel, (), now, "withheld", checked(address),
        message_id=turn.hex(), flags=(RECORDED,), purpose=purpose,
    )  # fmt: skip
    claim = Claim(
        bridge.tenant, Endpoint(address.channel, RECORDED), address, message, turn, turn,
        settings.ids.new(), settings.ids.new(), now, Assurance.CLAIMED, (word,), 0.0,
    )  # fmt: skip
    opened = await bridge.store.open(claim)
    if opened.context.contact is None:  # pragma: no cover - a claim always has somebody's contact
        raise ConfigurationError("the store answers a claim without a contact")
    return opened.context.contact


async def consents_of(bridge: "Bridge[Any]", address: Address | str) -> tuple[Consent, ...]:
    """Every word that was ever said, the oldest first."""
    return ledger((await whole_context(bridge, address)).window)
