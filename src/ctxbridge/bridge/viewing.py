"""What a model is shown of a conversation: the context without what guards keep from it."""

from msgspec.structs import replace

from ctxbridge.bridge.judging import Inquiry
from ctxbridge.bridge.remarks import Remarks
from ctxbridge.guards.guard import TextCheck
from ctxbridge.guards.panel import Panel
from ctxbridge.guards.pipeline import Judged
from ctxbridge.guards.states import GuardStates
from ctxbridge.model import (
    Context,
    Decision,
    Entry,
    Inbound,
    Message,
    Opaque,
    Part,
    Quote,
    Text,
    ToolCall,
    ToolResult,
    Window,
)
from ctxbridge.rules import verdicts
from ctxbridge.rules.text import clean


async def look(
    panel: Panel, inquiry: Inquiry, remarks: Remarks, context: Context, turn: bytes, now: int
) -> Context:
    """The context without what guards keep from the agent; the log is told what they said."""
    view, decision, judgements = await view_of(panel, inquiry.inbound, context, inquiry.states, now)
    remarks.decided("context", decision)
    for judged in judgements:
        remarks.escalated(judged, turn, now)
    return view


async def view_of(
    panel: Panel, inbound: Inbound, context: Context, states: GuardStates, now: int
) -> tuple[Context, Decision, tuple[Judged, ...]]:
    """The context as the model may see it, what was decided, and what a person is to look at.

    Each message that a model would see is judged for whoever reads it now: for the channel and the
    assurance of `inbound`. What is blocked is not in the view; nothing that is stored changes. What
    it quotes, and what an agent did, is judged by itself, and is not in the view unless it may be
    as it is.
    """
    kept: list[tuple[int, Entry]] = []
    judgements: list[Judged] = []
    for place, entry in context.window.numbered():
        if not isinstance(entry, Message) or not entry.visible:
            kept.append((place, entry))
            continue
        check = TextCheck(
            "context", entry.text, inbound.channel, context.reader, now, entry.flags,
            context.contact, context, entry.purpose, entry.address, message=entry,
        )  # fmt: skip
        shown: Message | None = entry
        if beside := "\n".join(map(_beside, entry.parts)).strip():
            judged = await panel.judge(panel.context, replace(check, text=beside), states)
            judgements.append(judged)
            shown = _without_beside(entry) if judged.blocked or judged.modified else entry
        if not entry.silent:
            judged = await panel.judge(panel.context, check, states)
            judgements.append(judged)
            shown = _shown(shown, judged) if shown and not judged.blocked else None
        if shown is not None:
            kept.append((place, shown))
    hidden = len(context.window) - len(kept)
    window = Window([entry for _, entry in kept], [place for place, _ in kept])
    view = replace(context, window=window, withheld=context.withheld + hidden)
    return view, _decision(judgements), tuple(j for j in judgements if _is_new(j))


def _beside(part: Part) -> str:
    """What a model may read in the part besides the writer's words."""
    match part:
        case Quote(text=text) | ToolCall(arguments=text) | ToolResult(content=text):
            return text
        case Opaque(data=data):
            return data.decode("utf-8", "replace")
    return ""


def _without_beside(message: Message) -> Message | None:
    parts = tuple([part for part in message.parts if not _beside(part)])
    return replace(message, parts=parts) if parts else None


def _shown(message: Message, judged: Judged) -> Message:
    if not judged.modified:
        return message
    others = [part for part in message.parts if type(part) is not Text]
    return replace(message, parts=(Text(clean(judged.text)), *others))


def _is_new(judged: Judged) -> bool:
    """Whether a person is to look at it who was not asked before."""
    return bool(judged.to) and not any(r.status == "cached" for r in judged.decision.results)


def _decision(judgements: list[Judged]) -> Decision:
    """One decision about the whole view: of each guard its strictest word."""
    results = verdicts.summed(r for judged in judgements for r in judged.decision.results)
    return Decision(
        "context", verdicts.strictest(r.action for r in results), verdicts.enforced(results),
        verdicts.leading_code(results), results,
    )  # fmt: skip
