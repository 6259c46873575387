"""An agent of LangChain behind a bridge: text and mail are one conversation. Needs no key.

pip install "ctxbridge[langchain,langgraph]" && python examples/langgraph_bot.py
"""

import asyncio

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text
from ctxbridge.integrations.langchain import BridgeMiddleware, answering
from ctxbridge.integrations.langgraph import BridgeSaver

SHOP = {"sms": Endpoint("sms", "+15550199999"), "email": Endpoint("email", "help@shop.example")}
ANN = {"sms": Address("sms", "+15550100001"), "email": Address("email", "ann@example.org")}
ANSWERS = ("Your order A-17 left today.", "Yes: A-17 can still be sent elsewhere.")


def received(channel: str, id: str, text: str) -> Inbound:
    """What the adapter of a channel makes of a webhook."""
    return Inbound(channel, SHOP[channel], ANN[channel], id, (Text(text),), Assurance.CHANNEL)


async def main() -> None:
    """A question by text, one by mail, and the first one redelivered."""
    async with Bridge("memory://", tenant="shop") as bridge:
        model = GenericFakeChatModel(messages=iter(ANSWERS))
        saver = BridgeSaver(bridge, keep_last=1)
        bot = create_agent(model, [], middleware=[BridgeMiddleware()], checkpointer=saver)
        await bridge.link(ANN["sms"], ANN["email"], evidence="customer record 7")
        await bridge.answer(received("sms", "SM1", "Where is my order?"), answering(bot))
        await bridge.answer(received("email", "<2@x>", "Can it go to work?"), answering(bot))
        await bridge.answer(received("sms", "SM1", "Where is my order?"), answering(bot))
        for said in (await bridge.context(ANN["email"])).messages:
            print(f"{said.channel:5} {said.author:7} {said.text}")


if __name__ == "__main__":
    asyncio.run(main())
