"""The send gate: whether a message of ours may leave, by the context of the moment of sending."""

from ctxbridge.model import Address, Context, Floor, Message, Purpose
from ctxbridge.rules.addresses import takes_no_answer
from ctxbridge.rules.consent import may_send

FLOOR_TAKEN = "floor.not_agent"
"""A person has the floor, or has had it since."""
CONFIRMS = "consent.confirms"
"""The flag of a message that confirms a wish about consent: it may leave though that was STOP."""


def refusal(context: Context, message: Message) -> str:
    """Why the message must not leave, as a short code; empty if it may."""
    if not message.visible or message.decision is None:
        return "decision.missing"
    return objection(
        context, message.address, message.channel, message.purpose,
        to_agent=message.author == "agent", confirms=CONFIRMS in message.flags,
    )  # fmt: skip


def objection(
    context: Context,
    address: Address | None,
    channel: str,
    purpose: Purpose = "service",
    *,
    to_agent: bool = True,
    confirms: bool = False,
) -> str:
    """What stands against writing to `address` now, as a short code; empty for nothing.

    `to_agent` says that an agent wrote it, which needs the floor.
    """
    contact = context.contact
    if contact is None or address is None or contact.link_to(address) is None:
        return "recipient.not_linked"
    if takes_no_answer(address):
        return "recipient.takes_no_answer"
    if to_agent and context.floor is not Floor.AGENT:
        return FLOOR_TAKEN
    if not confirms and not may_send(contact.consents, channel, purpose, address.value):
        return "consent.opted_out"
    return ""
