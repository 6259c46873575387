"""A bare model client on a bridge: `Context.as_chat` and its kin, tools behind the guards, summaries.

::

    async with bridge.turn(inbound) as turn:
        if turn.open:
            await summarized(turn, summarize)
            answer = client.responses.create(model=..., input=turn.context.as_responses())
            turn.reply(answer.output_text)

Nothing is needed besides the bridge.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from ctxbridge.bridge import Turn
from ctxbridge.model import Context, Message, ToolCall, ToolResult
from ctxbridge.model.lines import (
    Count,
    Line,
    Placed,
    divided,
    estimate_tokens,
    last_covered,
    lines_about,
    summary_event,
    summary_line,
)

Summarize = Callable[[Sequence[Line]], Awaitable[str]]
Tool = Callable[[str], Awaitable[str]]
REFUSED, KEPT_BACK = "[refused: {}]", "[kept back: {}]"
"""What a model is told in the place of a tool's answer, with the guards' code."""


class Called(NamedTuple):
    """A call as the guards left it, and what the model may see of the answer."""

    arguments: str
    content: str


async def summarized(
    turn: Turn[Any], summarize: Summarize, *, budget: int = 4_000, count: Count = estimate_tokens
) -> bool:
    """Let `summarize` put in words what no longer fits into `budget`, or is about to leave the window.

    It is given the lines, the summary before first, and gives a text. That is stored with the turn,
    with the places that it covers (an event ``summary``), and stands from the next turn on in
    `Context.lines` in their stead. The budget is the one that the model is given. Whether there was
    something to sum up is the answer.

    Labelled messages are not summed up, and nothing where messages are withheld from the reader: a
    summary must not tell what its sources may not. What one turn adds has to fit into a quarter of
    the bridge's window. Raises `UsageError` where the turn is not open, and what `summarize` raises.
    """
    context = turn.context
    summary, left, kept = divided(context, budget, count)
    covered = last_covered(summary[1]) if summary else 0
    left = left or _leaving(context, kept, covered)
    if context.withheld or any(message.labels for _, message in left):
        return False
    if not left:
        if summary and _where(context, summary[0]) < 1 / 2:
            turn.note(summary[1])  # before it leaves the window itself
        return False
    before = [summary_line(*summary)] if summary else []
    text = await summarize([*before, *lines_about(left)])
    if text:
        first = int(summary[1].about("first") or 1) if summary else left[0][0]
        at, last = turn.messages[-1].accepted_at, max(place for place, _ in left)
        turn.note(summary_event(at, bytes.fromhex(turn.id), text, first, last))
    return bool(text)


def _leaving(context: Context, kept: Sequence[Placed], covered: int) -> list[Placed]:
    """The older half of what is shown, where the first of it is about to leave the window."""
    if len(context.window) + covered >= context.seq and len(context.window) * 2 > context.seq:
        return []
    newest = kept[-1][1].turn if kept else b""
    older = [(p, m) for p, m in kept if _where(context, p) < 1 / 2 and m.turn != newest]
    whole = {m.turn for _, m in older} - {m.turn for p, m in kept if _where(context, p) >= 1 / 2}
    older = [(p, m) for p, m in older if m.turn in whole]
    return older if older and _where(context, older[0][0]) < 1 / 4 else []


def _where(context: Context, place: int) -> float:
    """Where in the window a place stands: 0 is its beginning."""
    return list(context.window.seqs).index(place) / len(context.window)


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
    after = await turn.tool_result(name, await tool(before.text))
    content = KEPT_BACK.format(after.decision.code) if after.blocked else after.text
    return Called(before.text, content)


def said_in(context: Context, turn: bytes) -> list[Message]:
    """What the agent said in a turn, also what was withheld, in its order."""
    return [m for m in context.messages if m.turn == turn and m.author == "agent" and not m.silent]
