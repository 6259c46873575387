"""Two channels at once on one conversation, over LangChain: what is lost, torn or thought in vain.

Each channel writes its next message when the one before was answered or refused. Counted at the end
from what the next run would be shown: messages that are gone though nobody was told (lost) or
was (refused), questions whose answer does not stand right behind (interleaved), and runs of the
model whose answer is nowhere (wasted).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import aiosqlite
from langchain.agents import create_agent
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from msgspec import Struct
from pydantic import Field

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text
from ctxbridge.errors import Conflict
from ctxbridge.integrations.langchain import BridgeMiddleware, answering
from ctxbridge.integrations.langchain.messages import history_of
from ctxbridge.integrations.langgraph import BridgeSaver

MESSAGES = 60
THINKING_SECONDS = 0.005
CHANNELS = ("sms", "email")
ADDRESSES = {"sms": "sms:+15550100001", "email": "email:ann@example.org"}
ENDPOINTS = {
    "sms": Endpoint("sms", "+15550199999"),
    "email": Endpoint("email", "help@acme.example"),
}
THREAD: Any = {"configurable": {"thread_id": "conversation"}}

Answer = Callable[[str, str], Awaitable[bool]]
"""Takes channel and text; false if it was refused."""


class Thinking(BaseChatModel):
    """Answers what was said last, after a moment."""

    runs: list[str] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "thinking"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Any:
        raise NotImplementedError

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: Any = None,  # noqa: ARG002 - the framework gives them
        run_manager: Any = None,  # noqa: ARG002
        **_: Any,
    ) -> ChatResult:
        asked = bare(str(messages[-1].text))
        self.runs.append(asked)
        await asyncio.sleep(THINKING_SECONDS)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(f"re: {asked}"))])


def bare(text: str) -> str:
    """Words without the channel and the time that a bridge puts before them."""
    return text.partition("] ")[2] if text.startswith("[by ") else text


class Found(Struct, frozen=True):
    """What is left of the messages."""

    lost: int
    refused: int
    interleaved: int
    wasted: int


async def both_channels(answer: Answer) -> set[str]:
    """Write all messages; those that were refused."""
    refused: set[str] = set()

    async def write(channel: str) -> None:
        for n in range(MESSAGES // len(CHANNELS)):
            text = f"{channel} {n}"
            if not await answer(channel, text):
                refused.add(text)

    async with asyncio.TaskGroup() as group:
        for channel in CHANNELS:
            group.create_task(write(channel))
    return refused


def judged(shown: Sequence[str], refused: set[str], runs: Sequence[str]) -> Found:
    """What became of the messages, from the texts that are shown, oldest first."""
    shown = [bare(text) for text in shown]
    sent = [f"{channel} {n}" for channel in CHANNELS for n in range(MESSAGES // len(CHANNELS))]
    there = set(shown)
    gone = [text for text in sent if text not in there or f"re: {text}" not in there]
    behind = dict(zip(shown, [*shown[1:], ""], strict=True))
    torn = [text for text in sent if text in there and behind[text] != f"re: {text}"]
    answered = sum(f"re: {text}" in there for text in set(runs))
    lost = len([text for text in gone if text not in refused])
    return Found(lost, len(refused), len(torn), len(runs) - answered)


async def on_saver(saver: Any) -> Found:
    """The framework's way: every message is a run on the thread, its history in the checkpoints."""
    model = Thinking(runs=[])
    bot: Any = create_agent(model, [], checkpointer=saver)

    async def answer(_: str, text: str) -> bool:
        try:
            await bot.ainvoke({"messages": [HumanMessage(text)]}, THREAD)
        except Conflict:
            return False
        return True

    refused = await both_channels(answer)
    state = await bot.aget_state(THREAD)
    return judged([str(m.text) for m in state.values["messages"]], refused, model.runs)


async def on_their_saver(folder: Path) -> Found:
    async with aiosqlite.connect(folder / "theirs.db") as connection:
        return await on_saver(AsyncSqliteSaver(connection))


async def on_our_saver(store: str) -> Found:
    """Without turns: what the checkpointer alone is worth."""
    async with Bridge(store, tenant="shop") as bridge:
        return await on_saver(BridgeSaver(bridge))


async def in_turns(store: str) -> Found:
    """Each message is a turn of the bridge."""
    model = Thinking(runs=[])
    async with Bridge(store, tenant="shop", overlap="queue", wait_seconds=120) as bridge:
        saver = BridgeSaver(bridge, keep_last=1)
        bot = create_agent(model, [], middleware=[BridgeMiddleware()], checkpointer=saver)
        respond = answering(bot)
        await bridge.link(ADDRESSES["sms"], ADDRESSES["email"], evidence="crm:7")

        async def answer(channel: str, text: str) -> bool:
            await bridge.answer(_inbound(channel, text), respond)
            return True

        refused = await both_channels(answer)
        context = await bridge.context(ADDRESSES["sms"], window=0)
    shown = history_of(context, 1_000_000, len)
    return judged([str(m.text) for m in shown], refused, model.runs)


def _inbound(channel: str, text: str) -> Inbound:
    sender = Address.parse(ADDRESSES[channel])
    return Inbound(channel, ENDPOINTS[channel], sender, text, (Text(text),), Assurance.CHANNEL)
