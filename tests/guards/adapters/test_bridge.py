"""Adapters at work: in a bridge's turn, and our guards in the hook of a framework."""

import asyncio
from importlib.util import find_spec

import pytest

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text, guards
from ctxbridge.guards.adapters.moderation import moderation
from ctxbridge.guards.adapters.presidio import presidio


def inbound(text):
    return Inbound("sms", Endpoint("sms", "+15550199999"), Address("sms", "+15550100001"), "SM1",
                   (Text(text),), Assurance.CHANNEL)  # fmt: skip


async def test_a_reply_that_a_judge_objects_to_is_withheld(server):
    server.reply = {
        "results": [{"flagged": True, "categories": {"hate": True}, "category_scores": {}}]
    }
    judge = moderation(server.url(), say="Let me ask a colleague.", deadline_seconds=10)
    async with Bridge("memory://", tenant="acme", guards=[judge]) as bridge:
        async with bridge.turn(inbound("hello")) as turn:
            turn.reply("something bad")
        assert [m.text for m in turn.answer] == ["Let me ask a colleague."]
    await judge.aclose()
    assert [body["input"] for *_, body in server.asked] == ["something bad"]


@pytest.mark.skipif(find_spec("presidio_analyzer") is None, reason="needs presidio-analyzer")
async def test_what_presidio_masks_is_never_stored():
    async with Bridge("memory://", tenant="acme", guards=[presidio(deadline_seconds=10)]) as bridge:
        async with bridge.turn(inbound("I am jane@acme.com")) as turn:
            assert turn.inbound.parts == (Text("I am [email]"),)
            assert [m.text for m in turn.messages] == ["I am [email]"]
            turn.reply("Noted: jane@acme.com")
        assert [m.text for m in turn.answer] == ["Noted: [email]"]


@pytest.mark.skipif(find_spec("agents") is None, reason="needs openai-agents")
def test_our_guards_are_a_guardrail_of_openai_agents():
    from agents import Agent, GuardrailFunctionOutput, InputGuardrail, RunContextWrapper

    @guards.guard("inbound", name="no_secrets")
    def no_secrets(check):
        return guards.block("secret") if "secret" in check.text else guards.allow()

    async def ours(context, agent, text):
        check = guards.TextCheck("inbound", text, "chat", Assurance.ANONYMOUS, 0)
        judged = await guards.judge([no_secrets], check, lambda text: text.encode()[:16])
        return GuardrailFunctionOutput(judged.decision, judged.blocked)

    async def run(text):
        result = await InputGuardrail(ours).run(Agent("bot"), text, RunContextWrapper(None))
        return result.output.tripwire_triggered, result.output.output_info.code

    assert asyncio.run(run("a secret")) == (True, "secret")
    assert asyncio.run(run("hello")) == (False, "")
