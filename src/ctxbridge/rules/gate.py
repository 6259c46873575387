"""The send gate: whether a message of ours may leave, by the context of the moment of sending."""

from ctxbridge.model import Context, Floor, Message
from ctxbridge.rules.consent import may_send

CONFIRMS = "consent.confirms"
"""The flag of a message that confirms a wish about consent: it may leave though that was STOP."""


def refusal(context: Context, message: Message) -> str:
    """Why the message must not leave, as a short code; empty if it may."""
    contact, address = context.contact, message.address
    if contact is None or address is None or contact.link_to(address) is None:
        return "recipient.not_linked"
    if not message.visible or message.decision is None:
        return "decision.missing"
    if message.author == "agent" and context.floor is not Floor.AGENT:
        return "floor.not_agent"
    confirms = CONFIRMS in message.flags
    if not confirms and not may_send(contact.consents, message.channel):
        return "consent.opted_out"
    return ""
