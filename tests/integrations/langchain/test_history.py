"""A turn as a chat history, alone and in a chain of the framework."""

import pytest

pytest.importorskip("langchain", reason="needs the extra: pip install ctxbridge[langchain]")

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory

from ctxbridge import errors
from ctxbridge.integrations.langchain import BridgeHistory
from tests.integrations.conftest import write

# The framework deprecates its chains with history; whoever still has one is served.
pytestmark = pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")


async def chain(bridge, text, **more):
    """One turn of a chain with history; gives what its model was shown and what is replied."""
    shown = []

    async def model(messages):
        shown.extend(m.text for m in messages)
        return AIMessage(f"re: {messages[-1].text}")

    async with bridge.turn(write(text, **more)) as turn:
        if turn.open:
            history = BridgeHistory(turn)
            runnable = RunnableWithMessageHistory(
                RunnableLambda(model), lambda: history, history_factory_config=[]
            )
            await runnable.ainvoke([HumanMessage(turn.inbound.text)])
    return shown, [m.text for m in turn.answer]


async def test_a_chain_sees_what_was_said_before_and_its_answer_is_the_reply(bridge):
    assert await chain(bridge, "one") == (["one"], ["re: one"])
    assert await chain(bridge, "two") == (["one", "re: one", "two"], ["re: two"])
    context = await bridge.context("sms:+15550100001")
    assert [m.text for m in context.messages] == ["one", "re: one", "two", "re: two"]


async def test_a_redelivered_message_is_neither_run_nor_stored_again(bridge):
    await chain(bridge, "one", id="A")
    assert await chain(bridge, "one", id="A") == ([], ["re: one"])
    assert len((await bridge.context("sms:+15550100001")).messages) == 2


async def test_sync_and_async_give_the_same_and_do_no_io(bridge):
    await chain(bridge, "one")
    async with bridge.turn(write("two")) as turn:
        history = BridgeHistory(turn)
        before = history.messages
        assert [m.text for m in before] == ["one", "re: one"]
        assert await history.aget_messages() == before
        history.add_user_message("two")
        history.add_ai_message("said")
        await history.aadd_messages([SystemMessage("a note"), AIMessage("and more"), AIMessage("")])
    assert [m.text for m in turn.answer] == ["said", "and more"]


async def test_bad_input_is_refused(bridge):
    async with bridge.turn(write("one")) as turn:
        history = BridgeHistory(turn)
        for odd in (["text"], [{"role": "user"}], [None]):
            with pytest.raises(errors.UsageError):
                history.add_messages(odd)
        with pytest.raises(errors.TooLarge):
            history.add_messages([AIMessage("x" * 10_000_000)])
        with pytest.raises(errors.UsageError, match=r"Bridge\.erase"):
            history.clear()
        with pytest.raises(errors.UsageError, match=r"Bridge\.erase"):
            await history.aclear()
    with pytest.raises(errors.UsageError, match="not open"):
        history.add_messages([AIMessage("late")])
