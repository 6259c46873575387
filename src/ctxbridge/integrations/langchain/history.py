"""The conversation of a turn as LangChain's chat history."""

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import AIMessage, BaseMessage
from msgspec.structs import replace

from ctxbridge.bridge.turn import Turn
from ctxbridge.errors import UsageError
from ctxbridge.integrations.langchain.messages import history_of, words_of
from ctxbridge.model import Context, Message
from ctxbridge.model.lines import estimate_tokens


class BridgeHistory(BaseChatMessageHistory):
    """What was said before the messages that `turn` answers; what the agent adds is its reply.

    For `RunnableWithMessageHistory` and chains of your own. The bridge has stored the customer's
    message already, so adding that does nothing; a text of the assistant is judged and stored when
    the turn is left. `budget` is in tokens, `count` tells how many a text has. Neither sync nor
    async verbs do any I/O.
    """

    def __init__(
        self,
        turn: Turn[Any],
        *,
        budget: int = 4_000,
        count: Callable[[str], int] = estimate_tokens,
    ) -> None:
        self._turn = turn
        self._budget = budget
        self._count = count

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """The conversation before this turn, oldest first."""
        before = _before(self._turn.context, self._turn.messages)
        return list(history_of(before, self._budget, self._count))

    async def aget_messages(self) -> list[BaseMessage]:
        """As `messages`."""
        return self.messages

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Reply with the texts of the assistant.

        Raises `UsageError` for what is no message, or if the turn is not open, and `TooLarge`.
        """
        if not all(isinstance(message, BaseMessage) for message in messages):
            raise UsageError("a history takes messages of langchain_core alone")
        for message in messages:
            if isinstance(message, AIMessage) and message.text:
                self._turn.reply(words_of(message))

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """As `add_messages`."""
        self.add_messages(messages)

    def clear(self) -> None:
        """Raises `UsageError`: who wants a customer's conversation gone says `Bridge.erase`."""
        raise UsageError("a conversation is not cleared by its agent: see Bridge.erase")

    async def aclear(self) -> None:
        """As `clear`."""
        self.clear()


def _before(context: Context, answered: Sequence[Message]) -> Context:
    """The context without the messages that the turn answers, which stand at its end."""
    window = context.window
    return replace(context, window=window[: max(0, len(window) - len(answered))])
