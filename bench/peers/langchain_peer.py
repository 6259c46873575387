"""LangChain's plain history on Redis (langchain-community), by its async verbs.

They run its blocking client in a thread; it offers no others. All histories share one client here,
where its constructor would make one for each, which favours it.
"""

from collections.abc import Sequence
from typing import Any

import redis

from bench.peers.said import Said, load

PACKAGE = "langchain-community RedisChatMessageHistory"


def history(client: "redis.Redis", id: str, url: str) -> Any:
    """Raises `Skip` where the package is missing."""
    module = load("langchain_community.chat_message_histories.redis", PACKAGE)
    made = module.RedisChatMessageHistory(id, url=url)
    made.redis_client.close()
    made.redis_client = client
    return made


def message(said: Said) -> Any:
    messages = load("langchain_core.messages", PACKAGE)
    kind = messages.HumanMessage if said.author == "contact" else messages.AIMessage
    return kind(content=said.text)


def said(messages: Sequence[Any]) -> list[Said]:
    authors = {"human": "contact", "ai": "agent"}
    return [Said(authors[one.type], one.content) for one in messages]


class HistoryTalk:
    """One conversation in a history."""

    def __init__(self, history: Any) -> None:
        self._history = history

    async def read(self) -> list[Said]:
        return said(await self._history.aget_messages())

    async def add(self, said: Said) -> None:
        await self._history.aadd_messages([message(said)])
