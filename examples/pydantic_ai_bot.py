"""A bot on PydanticAI that has one conversation by SMS and e-mail."""

import asyncio

from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text
from ctxbridge.integrations.pydantic_ai import InTurn

PHONE, MAIL = Address("sms", "+15550100001"), Address("email", "ann@example.org")

# The framework's own test model, so no key is needed: it calls each tool once, and says this.
agent = Agent(TestModel(custom_output_text="It arrives on Tuesday."), instructions="Be brief.")


@agent.tool_plain
def order_status(order: str) -> str:
    """Where an order is."""
    return f"{order} arrives on Tuesday"


async def _main() -> None:
    async with Bridge("memory://", tenant="acme") as bridge:
        await bridge.link(PHONE, MAIL, evidence="crm:4711")
        for who, text in ((PHONE, "Where is A-17?"), (MAIL, "Really?"), (MAIL, "Really?")):
            to, words = Endpoint(who.channel, "acme"), (Text(text),)
            inbound = Inbound(who.channel, to, who, text, words, Assurance.CHANNEL)
            held = InTurn(bridge, inbound)
            await agent.run(capabilities=[held])  # asks no model for what came twice
            print(f"{who}: {text} -> {held.turn.answer[0].text} ({held.turn.status})")


asyncio.run(_main())
