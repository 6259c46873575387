"""Lines in the forms that model APIs take."""

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from ctxbridge.model.lines import Line


def chat(lines: Iterable[Line]) -> list[dict[str, str]]:
    """Role and content, one for each message: words, quotes and summary, without tools.

    This is what Chat Completions and most others take.
    """
    said = [line for line in lines if line.kind not in {"tool_call", "tool_result"}]
    return [
        {"role": line[0].role, "content": "\n\n".join(one.shown for one in line)}
        for line in (list(group) for _, group in groupby(said, key=lambda one: one.place))
    ]


def responses(lines: Iterable[Line]) -> list[dict[str, Any]]:
    """The `input` of OpenAI's Responses API; quotes are parts of their own, tools are items."""
    items: list[dict[str, Any]] = []
    for _, group in groupby(lines, key=lambda one: (one.place, one.kind in _TOOLS)):
        of_one = list(group)
        if of_one[0].kind in _TOOLS:
            items += [_tool_item(line) for line in of_one]
        elif len(of_one) == 1 or of_one[0].role != "user":
            text = "\n\n".join(one.shown for one in of_one)
            items.append({"role": of_one[0].role, "content": text})
        else:
            parts = [{"type": "input_text", "text": one.shown} for one in of_one]
            items.append({"role": "user", "content": parts})
    return items


_TOOLS = frozenset({"tool_call", "tool_result"})


def _tool_item(line: Line) -> dict[str, Any]:
    if line.kind == "tool_result":
        return {"type": "function_call_output", "call_id": line.call, "output": line.text}
    item = {"type": "function_call", "call_id": line.call, "name": line.name}
    return item | {"arguments": line.text}


def anthropic(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The `messages` of Anthropic's Messages API: blocks, in turns of user and assistant.

    They begin with the user, as they must; what our side said by itself is the assistant's.
    """
    told: list[dict[str, Any]] = []
    for role, group in groupby(
        lines, key=lambda one: "user" if one.role == "user" else "assistant"
    ):
        told.append({"role": role, "content": [_block(line) for line in group]})
    if told and told[0]["role"] == "assistant":
        begin = {"type": "text", "text": "[what was said before is not shown]"}
        told.insert(0, {"role": "user", "content": [begin]})
    return told


def _block(line: Line) -> dict[str, Any]:
    if line.kind == "tool_call":
        return {
            "type": "tool_use", "id": line.call, "name": line.name, "input": _object(line.text),
        }  # fmt: skip
    if line.kind == "tool_result":
        return {"type": "tool_result", "tool_use_id": line.call, "content": line.text}
    return {"type": "text", "text": line.shown}


def _object(arguments: str) -> dict[str, Any]:
    """The arguments; what a model wrote and is no JSON object stays readable."""
    try:
        value = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"arguments": arguments}
