"""A bot on the OpenAI Agents SDK that has one conversation by SMS and e-mail."""

import asyncio

from agents import Agent, Runner, function_tool, set_tracing_disabled
from agents.testing import ScriptedModel, assistant_message, function_call

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text
from ctxbridge.integrations.openai_agents import guarded, turn

PHONE, MAIL = Address("sms", "+15550100001"), Address("email", "ann@example.org")


@function_tool
def order_status(order: str) -> str:
    """Where an order is."""
    return f"{order} arrives on Tuesday"


# The SDK's own test model, so no key is needed; yours is Agent(model="gpt-...").
call = function_call("order_status", {"order": "A-17"}, call_id="1")
says = [assistant_message("A-17 arrives on Tuesday."), assistant_message("You are welcome.")]
model = ScriptedModel([[call], *([one] for one in says)])
agent = guarded(Agent(name="support", model=model, tools=[order_status]))


async def _main() -> None:
    set_tracing_disabled(disabled=True)
    async with Bridge("memory://", tenant="acme") as bridge:
        await bridge.link(PHONE, MAIL, evidence="crm:4711")
        for who, text in ((PHONE, "Where is A-17?"), (MAIL, "Thanks!"), (MAIL, "Thanks!")):
            to, words = Endpoint(who.channel, "acme"), (Text(text),)
            inbound = Inbound(who.channel, to, who, text, words, Assurance.CHANNEL)
            async with turn(bridge, inbound) as run:
                if run.open:  # the last came twice, as webhooks do
                    run.reply(await Runner.run(agent, run.input, session=run.session))
            print(f"{who}: {text} -> {run.answer[0].text} ({run.turn.status})")


asyncio.run(_main())
