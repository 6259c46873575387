"""The agent of the demo: a toy shop's, deterministic, and no model behind it.

What it shows is what an agent gets from the bridge: a typed state that follows the customer from
channel to channel, and a context that says what was asked where. In a service a model stands here.
"""

import re
from typing import Literal

from msgspec import Struct

from ctxbridge import guards
from ctxbridge.model import Assurance, Context, Message, Verdict

NAMES = {"sms": "SMS", "email": "e-mail", "chat": "chat"}


class Order(Struct, frozen=True):
    """What the shop's own database knows of an order."""

    item: str
    price: str
    expected: str


ORDERS = {
    "A-1042": Order("walnut desk lamp", "64.00 EUR", "Wednesday 4 November"),
    "A-1077": Order("linen curtain", "38.50 EUR", "Friday 6 November"),
}
_ORDER = re.compile(r"\b[A-Z]-\d{4}\b", re.IGNORECASE)
_CARD = re.compile(r"\[card …(\d{4})\]|\b(\d{4})\b")

STRANGER = (
    "I cannot tell whether this mail is really from you, so I look nothing up for it. "
    "Please write from your phone, or log in to our chat."
)
CAREFUL = "I cannot promise a day, as the bank decides. Three working days are usual."


class Ticket(Struct):
    """What the agent remembers of a conversation; saved with each turn, whatever the channel."""

    order: str = ""
    asked_by: str = ""
    refund: Literal["", "wanted", "paid"] = ""
    card: str = ""


@guards.guard("reply", name="no_promises")
def no_promises(check: guards.TextCheck) -> Verdict:
    """What this shop never says, however kindly an agent means it."""
    if "promise" in check.text.lower():
        return guards.block("promise", say=CAREFUL)
    return guards.allow()


def answer(context: Context, ticket: Ticket) -> str:
    """The answer to the last message of `context`; what is learnt from it is kept in `ticket`."""
    said = context.messages[-1]
    if context.reader < Assurance.CHANNEL:
        return STRANGER
    found = _ORDER.search(said.text)
    if found and found.group().upper() in ORDERS:
        ticket.order, ticket.asked_by = found.group().upper(), said.channel
        return _status(ticket)
    if ticket.order not in ORDERS:
        return "Which order is it about? The number looks like A-1042."
    return _continue(said, context, ticket)


def _continue(said: Message, context: Context, ticket: Ticket) -> str:
    words = said.text.lower()
    card = _CARD.search(said.text)
    if ticket.refund == "wanted" and card:
        ticket.refund, ticket.card = "paid", card.group(1) or card.group(2)
        return _paid(ticket, whole_number=bool(card.group(1)))
    if "promise" in words and ticket.refund:
        return "I promise that the money is there by Friday."
    if ticket.refund == "paid":
        return _on_its_way(context, ticket)
    if "money back" in words or "refund" in words:
        ticket.refund = "wanted"
        return _refund(said, ticket)
    return _status(ticket)


def _status(ticket: Ticket) -> str:
    order = ORDERS[ticket.order]
    return (
        f"Sorry for that! Your {order.item} (order {ticket.order}) is delayed at our depot. "
        f"It will reach you on {order.expected}."
    )


def _refund(said: Message, ticket: Ticket) -> str:
    elsewhere = ticket.asked_by != said.channel
    asked = (
        f", which you asked about by {NAMES.get(ticket.asked_by, ticket.asked_by)},"
        if elsewhere
        else ""
    )
    return (
        f"Of course. Order {ticket.order}{asked} is late, so you get your "
        f"{ORDERS[ticket.order].price} back. Which card did you pay with? The last four digits do."
    )


def _paid(ticket: Ticket, *, whole_number: bool) -> str:
    hint = " I kept those four digits only: please never send a whole number." * whole_number
    return f"Thank you. {ORDERS[ticket.order].price} go to the card ending in {ticket.card}.{hint}"


def _on_its_way(context: Context, ticket: Ticket) -> str:
    seen = ""
    if missed := _unanswered(context):
        where = NAMES.get(missed.channel, missed.channel)
        seen = f" (I saw your {where} too, but you opted out there.)"
    return (
        f"Your {ORDERS[ticket.order].price} for order {ticket.order} left us for the card ending "
        f"in {ticket.card}; three working days are usual.{seen}"
    )


def _unanswered(context: Context) -> Message | None:
    """The latest thing that the contact said before and that nobody answered."""
    answered = {m.turn for m in context.messages if m.author != "contact"}
    before = [m for m in context.messages[:-1] if m.author == "contact" and m.visible]
    return next((m for m in reversed(before) if m.turn not in answered), None)
