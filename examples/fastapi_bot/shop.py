"""The agent: a toy shop's, which answers about orders and pays late ones back.

`Shop` needs no model and no key, and always says the same; `Model` asks any model behind an API
in OpenAI's form. Both take an open turn and give the text of the reply, so yours fits in here too.
"""

import re
from typing import Any, Literal

import anyio
import httpx
from msgspec import Struct, to_builtins

from ctxbridge import Assurance, Bridge, Context, Endpoint, Event, Message, Turn, errors, guards
from ctxbridge.model import Verdict

NAMES = {"sms": "SMS", "email": "e-mail"}
STRANGER = (
    "I cannot tell whether this mail is really from you, so I look nothing up for it. "
    "Please write from your phone, or log in to our chat."
)
CAREFUL = "I cannot promise a day, as the bank decides. Three working days are usual."
ASKED = "If that mailbox is yours, a code is waiting there. What does it say?"
KEPT = " I kept those four digits only: please never send a whole number."
HANDED = "One moment, I ask a colleague. They will answer you here."
PROMPT = (
    "You answer the customers of a small shop, briefly and without Markdown. What you know of "
    "their orders: {orders}. Say so where you do not know something; never promise a day."
)


class Order(Struct, frozen=True):
    """What the shop's own database knows of an order."""

    item: str
    price: str
    expected: str


ORDERS = {
    "A-1042": Order("walnut desk lamp", "64.00 EUR", "Wednesday"),
    "A-1077": Order("linen curtain", "38.50 EUR", "Friday"),
}
_ORDER = re.compile(r"\b[A-Z]-\d{4}\b", re.IGNORECASE)
_CARD = re.compile(r"\[card …(\d{4})\]|\b(\d{4})\b")
_CODE = re.compile(r"\b\d{6}\b")
_CLAIM = re.compile(r"\bI am (\S+@[\w.-]+\w)", re.IGNORECASE)
_PERSON = re.compile(r"\b(a|some|any|real) (person|human|colleague)\b", re.IGNORECASE)


class Ticket(Struct):
    """What the agent remembers of a conversation; saved with each turn, whatever the channel."""

    order: str = ""
    asked_by: str = ""
    refund: Literal["", "wanted", "paid"] = ""
    card: str = ""
    claims: str = ""


@guards.guard("reply", name="no_promises")
def no_promises(check: guards.TextCheck) -> Verdict:
    """What this shop never says, whoever thought of it."""
    promised = "promise" in check.text.lower()
    return guards.block("promise", say=CAREFUL) if promised else guards.allow()


def known_of_both(first: Ticket, other: Ticket) -> Ticket:
    """The state of two who turn out to be one person."""
    return first if first.order else other


def said_at_once(turn: Turn[Ticket]) -> str:
    """What any agent says to a stranger, and to who asks for a person; to others nothing."""
    if turn.context.reader < Assurance.CHANNEL:
        return STRANGER
    if not any(_PERSON.search(message.text) for message in turn.messages):
        return ""
    turn.hand_over("asked for a person", promised=["an answer by a colleague"])
    return HANDED


class Shop:
    """Answers without a model. Codes for proofs are mailed from `mailbox`."""

    def __init__(self, bridge: Bridge[Ticket], mailbox: str, think_seconds: float = 0.0) -> None:
        self._bridge = bridge
        self._mailbox = Endpoint("email", mailbox)
        self.think_seconds = think_seconds

    async def __call__(self, turn: Turn[Ticket]) -> str:
        """The reply's text; what is learnt from the message is kept in the turn's state."""
        await anyio.sleep(self.think_seconds)
        if at_once := said_at_once(turn):
            return at_once
        said = turn.inbound.text
        if claim := _CLAIM.search(said):
            return await self._ask_for_proof(turn, claim.group(1))
        if turn.state.claims and _CODE.search(said):
            return await self._prove(turn, said)
        if _CODE.fullmatch(said.strip()):
            return "Thank you, now I know that it is you. " + answer(turn.context, turn.state)
        return _colleague(turn.context) + answer(turn.context, turn.state)

    async def _ask_for_proof(self, turn: Turn[Ticket], claimed: str) -> str:
        """Mail a code: it says the same whether anybody is known under that address or not."""
        address, writer = f"email:{claimed}", turn.inbound.sender
        try:
            await self._bridge.challenge(address, to=writer, endpoint=self._mailbox, subject="Code")
        except errors.TooManyChallenges:
            return "There were too many codes lately. Please try again later."
        except errors.CtxBridgeError:
            return "I cannot send a code there. Is the address right? Else write from it."
        turn.state.claims = address
        return ASKED

    async def _prove(self, turn: Turn[Ticket], said: str) -> str:
        writer, claimed = turn.inbound.sender, turn.state.claims
        try:
            proof = await self._bridge.prove(writer, said, assurance=turn.inbound.assurance)
        except errors.AddressTaken:
            # Proved, and both have a history: they are one person. This turn is taken up again
            # behind the merge, with all that is known then.
            await self._bridge.merge(
                claimed, writer, evidence="code to the mailbox", states=known_of_both
            )
            return ""
        if proof.status not in {"linked", "proven"}:
            return "That is not the code. Please look once more."
        turn.state.claims = ""
        return "Thank you, now I know that it is you. What can I do for you?"


def answer(context: Context, ticket: Ticket) -> str:
    """The answer to the last message of `context`."""
    said = context.messages[-1]
    found = _ORDER.search(said.text)
    if found and found.group().upper() in ORDERS:
        ticket.order, ticket.asked_by = found.group().upper(), said.channel
        ticket.refund = ticket.card = ""
        return _status(ticket)
    if ticket.order not in ORDERS:
        return "Which order is it about? The number looks like A-1042."
    return _continue(said, context, ticket)


def _colleague(context: Context) -> str:
    """A word about the colleague who had the conversation until now."""
    for entry in reversed(context.window):
        if isinstance(entry, Event) and entry.kind == "handoff.released":
            return f"I have read what you wrote with {entry.about('last_holder')}. "
        if isinstance(entry, Message) and entry.author == "agent":
            break
    return ""


def _continue(said: Message, context: Context, ticket: Ticket) -> str:
    words, card = said.text.lower(), _CARD.search(said.text)
    price = ORDERS[ticket.order].price
    if ticket.refund == "wanted" and card:
        ticket.refund, ticket.card = "paid", card[1] or card[2]
        return f"Thank you. {price} go to the card ending in {ticket.card}.{KEPT * bool(card[1])}"
    if "promise" in words and ticket.refund:
        return "I promise that the money is there by Friday."
    if ticket.refund == "paid":
        return (
            f"Your {price} for order {ticket.order} left us for the card ending in {ticket.card}; "
            f"three working days are usual.{_missed(context)}"
        )
    if "money back" in words or "refund" in words:
        ticket.refund = "wanted"
        where = NAMES.get(ticket.asked_by, ticket.asked_by)
        asked = f", which you asked about by {where}," if ticket.asked_by != said.channel else ""
        return (
            f"Of course. Order {ticket.order}{asked} is late, so you get your {price} back. "
            "Which card did you pay with? The last four digits do."
        )
    return _status(ticket)


def _status(ticket: Ticket) -> str:
    order = ORDERS[ticket.order]
    return (
        f"Sorry for that! Your {order.item} (order {ticket.order}) is delayed at our depot. "
        f"It will reach you on {order.expected}."
    )


def _missed(context: Context) -> str:
    """A word about what the contact said where we may not answer."""
    consents = context.contact.consents if context.contact else ()
    refused = {one.channel for one in consents if not one.granted}
    answered = {m.turn for m in context.messages if m.author != "contact"}
    before = [m for m in context.messages[:-1] if m.author == "contact" and m.visible]
    missed = next((m for m in reversed(before) if m.turn not in answered), None)
    if missed is None or missed.channel not in refused:
        return ""
    where = NAMES.get(missed.channel, missed.channel)
    return f" (I saw your {where} too, but you opted out there.)"


class Model:
    """Asks the model `name` at `base_url` (``https://api.openai.com/v1``) for the reply."""

    def __init__(self, base_url: str, key: str, name: str) -> None:
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._name = name

    async def __call__(self, turn: Turn[Ticket]) -> str:
        """The model's words. What it may not see is not in the context; what it says is judged."""
        if at_once := said_at_once(turn):
            return at_once
        said = turn.context.as_chat(budget=4_000)
        named = {n.upper() for one in said for n in _ORDER.findall(one["content"])}
        known = {n: to_builtins(ORDERS[n]) for n in named & ORDERS.keys()}
        prompt = {"role": "system", "content": PROMPT.format(orders=known or "none yet")}
        body: dict[str, Any] = {"model": self._name, "messages": [prompt, *said]}
        async with httpx.AsyncClient(timeout=60, headers=self._headers) as http:
            response = await http.post(self._url, json=body)
        response.raise_for_status()
        return str(response.json()["choices"][0]["message"]["content"] or "")
