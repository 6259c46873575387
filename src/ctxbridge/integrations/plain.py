"""A bare model client on a bridge: tools behind the guards, and summaries.

::

    async with bridge.turn(inbound) as turn:
        if turn.open:
            context = await summarized(turn, summarize)
            answer = client.responses.create(model=..., input=context.as_responses())
            turn.reply(answer.output_text)

Nothing is needed besides the bridge.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from ctxbridge.bridge import Turn
from ctxbridge.model import Context, Message, ToolCall, ToolResult
from ctxbridge.model.lines import (
    Count,
    Line,
    Placed,
    divided,
    estimate_tokens,
    lines_about,
    summary_event,
    summary_line,
)

Summarize = Callable[[Sequence[Line]], Awaitable[str]]
Tool = Callable[[str], Awaitable[str]]
_NOT_YET = 0
"""The place of what is stored with the turn."""
REFUSED, KEPT_BACK = "[refused: {}]", "[kept back: {}]"
"""What a model is told in the place of a tool's answer, with the guards' code."""


class Called(NamedTuple):
    """A call as the guards left it, and what the model may see of the answer."""

    arguments: str
    content: str


async def summarized(
    turn: Turn[Any],
    summarize: Summarize,
    *,
    budget: int = 4_000,
    count: Count = estimate_tokens,
    window: int = 20,
) -> Context:
    """Let `summarize` put in words what does not fit into `budget`, or will soon leave the window.

    It is given the lines, the summary before first, and gives a text. That is stored with the turn,
    with the places that it covers (an event ``summary``), and stands in their stead in the lines of
    the context that is given back, and of those from the next turn on. `budget` is the model's,
    `window` the bridge's; a text has to fit into a quarter of the one, what one turn adds into a
    quarter of the other.

    Labelled messages are not summed up, and nothing where messages are withheld from the reader: a
    summary must not tell what its sources may not. Raises `UsageError` where the turn is not open,
    and what `summarize` raises.
    """
    context = turn.context
    summary, left, kept = divided(context, budget, count)
    if left:  # and leave room for the summary
        summary, left, kept = divided(context, budget * 3 // 4, count)
    left = left or _leaving(kept, context.seq, window)
    if context.withheld or any(message.labels for _, message in left):
        return context
    if not left:
        if summary and _leaves_soon(summary[0], context.seq, window):
            turn.note(summary[1])
        return context
    before = [summary_line(*summary)] if summary else []
    text = await summarize([*before, *lines_about(left, context.window)])
    if not text:
        return context
    places = [place for place, _ in left]
    if summary and (first := summary[1].about("first")).isdecimal():
        places.append(int(first))
    at = turn.messages[-1].accepted_at
    event = summary_event(at, bytes.fromhex(turn.id), text, min(places), max(places))
    turn.note(event)
    return replace(context, window=context.window.ending_with([(_NOT_YET, event)]))


def _leaves_soon(place: int, seq: int, window: int) -> bool:
    return seq - place >= window * 3 / 4


def _leaving(kept: Sequence[Placed], seq: int, window: int) -> list[Placed]:
    """The turns of the older half of the window, where the first of them will soon leave it."""
    if not kept or not _leaves_soon(kept[0][0], seq, window):
        return []
    stay = {message.turn for place, message in kept if seq - place < window / 2}
    stay.add(kept[-1][1].turn)
    return [(place, message) for place, message in kept if message.turn not in stay]


async def call_tool(
    turn: Turn[Any], id: str, name: str, arguments: str, tool: Tool, *, effects: bool = True
) -> str:
    """Call a tool between the guards, keep call and result with the turn, and give the result.

    `id` is the call's id from the model, `arguments` its JSON; `tool` takes them as the guards left
    them. What they refuse is told to the model in the result's place, with their code. Raises as
    `Turn.tool_call` does, and what `tool` raises.
    """
    called = await guarded(turn, name, arguments, tool, effects=effects)
    turn.keep(ToolCall(id, name, called.arguments), ToolResult(id, called.content))
    return called.content


async def guarded(
    turn: Turn[Any], name: str, arguments: str, tool: Tool, *, effects: bool = True
) -> Called:
    """As `call_tool`, and nothing is kept: for frameworks that keep their own items."""
    before = await turn.tool_call(name, arguments, effects=effects)
    if before.blocked:
        return Called("{}", REFUSED.format(before.decision.code))
    if before.modified and not _is_json(before.text):
        return Called("{}", REFUSED.format("arguments.no_json"))
    after = await turn.tool_result(name, await tool(before.text))
    content = KEPT_BACK.format(after.decision.code) if after.blocked else after.text
    return Called(before.text, content)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def words_said(stored: Any, said: Sequence[Message], shown: set[int]) -> str:
    """The words of the reply that `stored` names, as guards and the channel have left them.

    `said` is what the agent said in that turn, `reply` of `stored` which of its `of` replies is
    meant; a single one may have left in several pieces. What is given is added to `shown`.
    """
    of, reply = (stored.get("of"), stored.get("reply")) if isinstance(stored, dict) else (0, 0)
    own = list(said) if of == 1 else []
    if of == len(said) and isinstance(reply, int) and 0 <= reply < len(said):
        own = [said[reply]]
    shown.update(id(message) for message in own)
    return "\n".join(message.text for message in own if message.visible)


def said_in(context: Context, turn: bytes) -> list[Message]:
    """What the agent said in a turn, also what was withheld, in its order."""
    return [m for m in context.messages if m.turn == turn and m.author == "agent" and not m.silent]
