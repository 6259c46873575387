"""One person over three channels: kept apart, joined by a code, forged, merged wrongly, forgotten.

python examples/identity.py    Nothing leaves this machine; it needs no key and no server.
"""

import asyncio
from typing import Any

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text, errors
from ctxbridge.model import Context

PHONE = Address("sms", "+15550100142")
MAIL = Address("email", "ann@example.org")
CHAT = Address("chat", "customer-7")
OTHER = Address("sms", "+15550100777")
OURS = {
    "sms": Endpoint("sms", "+15550199999"),
    "email": Endpoint("email", "help@shop.example"),
    "chat": Endpoint("chat", "shop"),
}
numbers = iter(range(1, 1_000))


async def says(
    bridge: Bridge[Any], who: Address, text: str, assurance: Assurance = Assurance.CHANNEL
) -> Context:
    """A message and its answer; gives what the agent was shown."""
    endpoint, number = OURS[who.channel], f"m{next(numbers)}"
    inbound = Inbound(who.channel, endpoint, who, number, (Text(text),), assurance)
    async with bridge.turn(inbound) as turn:
        turn.reply("Noted.")
    return turn.context


def tell(title: str, context: Context) -> None:
    """What the agent saw, in one line."""
    seen = [m.text for m in context.messages if m.author == "contact"]
    print(f"{title}: {seen}" + (f", {context.withheld} kept back" if context.withheld else ""))


async def main() -> None:
    """The whole story, as it would go over days."""
    words = "32 random bytes of your own, kept secret"
    async with Bridge("memory://", tenant="shop", code_secret=words) as bridge:
        await says(bridge, PHONE, "Where is order A-17?")
        tell("by mail, a stranger", await says(bridge, MAIL, "It is for my mother."))

        challenge = await bridge.challenge(MAIL, to=PHONE)  # it goes to the mailbox
        try:
            await bridge.prove(PHONE, challenge.code, assurance=Assurance.CHANNEL)
        except errors.AddressTaken:  # proved, and both have a history: so they are one
            await bridge.merge(PHONE, MAIL, evidence="code to the mailbox, back by sms")
        tell("by sms, after the code", await says(bridge, PHONE, "That was me."))

        await bridge.link(PHONE, CHAT, evidence="shop login 7")
        tell(
            "in the chat, logged in", await says(bridge, CHAT, "Here too.", Assurance.AUTHENTICATED)
        )
        forged = await says(bridge, MAIL, "Send it to Elm Street.", Assurance.CLAIMED)
        tell("a mail with a forged From", forged)

        await says(bridge, OTHER, "I am somebody else.")
        await bridge.merge(PHONE, OTHER, evidence="a clerk's mistake")
        tell("after a wrong merge", await says(bridge, OTHER, "Who is Ann?"))
        await bridge.split(PHONE, evidence="the clerk noticed")
        tell("split again", await says(bridge, OTHER, "Good."))

        for place, event in await bridge.history(PHONE):
            print(f"#{place} {event.kind}: {event.about('evidence')}")
        certificate = await bridge.erase(PHONE)
        print(f"erased: {certificate.entries} entries; still there: {certificate.remains[0]}")
        print(f"nobody is left: {(await bridge.context(MAIL)).contact.addresses == ()}")  # type: ignore[union-attr]


if __name__ == "__main__":
    asyncio.run(main())
