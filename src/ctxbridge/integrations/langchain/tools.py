"""The guards before and behind the tools of an agent of LangChain."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from langchain.agents.middleware import ToolCallRequest
from langchain_core.messages import ToolMessage
from langgraph.types import Command

from ctxbridge.bridge.turn import Turn
from ctxbridge.errors import TooLarge
from ctxbridge.integrations.langchain.messages import words_of

Answer = ToolMessage | Command[Any]
Tool = Callable[[ToolCallRequest], Awaitable[Answer]]

_REFUSED = "[this call was not allowed]"
_NO_JSON = "[this call was not made: its arguments are no JSON object]"
_TOO_LARGE = "[this is too large to be judged, and was left out]"
_WITHHELD = "[the result was withheld]"


async def guarded(
    turn: Turn[Any], request: ToolCallRequest, tool: Tool, *, effects: bool
) -> Answer:
    """Call the tool as far as the guards at ``tool_call`` let it, and judge what it answers.

    What is refused, too large or no JSON becomes an answer that says so; the agent goes on.
    """
    call = request.tool_call
    try:
        arguments = json.dumps(call["args"])
        judged = await turn.tool_call(call["name"], arguments, effects=effects)
    except (TypeError, ValueError):
        return _instead(request, _NO_JSON)
    except TooLarge:
        return _instead(request, _TOO_LARGE)
    if judged.blocked:
        return _instead(request, judged.say or _REFUSED)
    if judged.text != arguments:
        changed = _arguments(judged.text)
        if changed is None:
            return _instead(request, _NO_JSON)
        request = request.override(tool_call={**call, "args": changed})
    return await _shown(turn, call["name"], await tool(request))


def _arguments(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _instead(request: ToolCallRequest, text: str) -> ToolMessage:
    call = request.tool_call
    return ToolMessage(text, tool_call_id=call["id"] or "", name=call["name"], status="error")


async def _shown(turn: Turn[Any], name: str, answer: Answer) -> Answer:
    """What of the tool's answer may be seen."""
    if isinstance(answer, ToolMessage):
        return await _judged(turn, name, answer)
    update = answer.update
    if not isinstance(update, dict) or not isinstance(update.get("messages"), list):
        return answer
    messages = [
        await _judged(turn, name, one) if isinstance(one, ToolMessage) else one
        for one in update["messages"]
    ]
    return replace(answer, update={**update, "messages": messages})


async def _judged(turn: Turn[Any], name: str, answer: ToolMessage) -> ToolMessage:
    text = words_of(answer)
    try:
        judged = await turn.tool_result(name, text)
    except TooLarge:
        return answer.model_copy(update={"content": _TOO_LARGE, "artifact": None})
    if judged.blocked:
        return answer.model_copy(
            update={"content": judged.say or _WITHHELD, "artifact": None, "status": "error"}
        )
    if judged.text != text:
        return answer.model_copy(update={"content": judged.text, "artifact": None})
    return answer
