"""What a model is shown: the conversation as messages, tool calls in pairs. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage

from ctxbridge.model import Context

NO_RESULT = "[no result: the run ended before this tool had answered]"


def history_of(context: Context, budget: int, count: Callable[[str], int]) -> list[AnyMessage]:
    """The window of a context as messages, up to `budget` tokens; see `Context.as_chat`.

    Whatever was said to the customer is the assistant's, also what the system said: several models
    take no system message further down.
    """
    said = context.as_chat(budget, count)
    return [
        HumanMessage(one["content"]) if one["role"] == "user" else AIMessage(one["content"])
        for one in said
    ]


def healed(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages with each tool call followed by its one result, as models demand.

    A call without a result gets one that says so; results without a call are left out.
    """
    results: dict[str, ToolMessage] = {}
    for message in messages:
        if isinstance(message, ToolMessage):
            results.setdefault(message.tool_call_id, message)
    return list(_paired(messages, results))


def _paired(
    messages: Iterable[BaseMessage], results: dict[str, ToolMessage]
) -> Iterator[BaseMessage]:
    for message in messages:
        if isinstance(message, ToolMessage):
            continue
        yield message
        if isinstance(message, AIMessage):
            for call in (*message.tool_calls, *message.invalid_tool_calls):
                id, name = call["id"] or "", call["name"] or ""
                missing = ToolMessage(NO_RESULT, tool_call_id=id, name=name, status="error")
                yield results.pop(id, missing)


def final_text(messages: Sequence[BaseMessage]) -> str | None:
    """What the agent says at the end of a run; `None` if it says nothing."""
    last = messages[-1] if messages else None
    if not isinstance(last, AIMessage) or last.tool_calls:
        return None
    return words_of(last) or None


def words_of(message: BaseMessage) -> str:
    """The text of a message, and nothing else: the framework's own is a subclass of `str`."""
    return str(message.text)
