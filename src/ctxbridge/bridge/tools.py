"""The gate before and behind the tools that an agent calls."""

from typing import Any

from msgspec.structs import replace

from ctxbridge.bridge.holding import Hold
from ctxbridge.bridge.judging import Inquiry
from ctxbridge.bridge.remarks import Remarks
from ctxbridge.errors import TooLarge, UsageError
from ctxbridge.guards.guard import FunctionGuard, TextCheck, block
from ctxbridge.guards.panel import Panel
from ctxbridge.guards.pipeline import Judged, Lanes
from ctxbridge.model import Context, Stage
from ctxbridge.ports import Clock
from ctxbridge.rules.text import clean

MAX_TOOL_CHARACTERS = 1024 * 1024


def _refusing(code: str) -> Lanes:
    return Lanes([FunctionGuard("turn", lambda _: block(code), frozenset({"tool_call"}))])


STOPPED, LOST = _refusing("inbound.stopped"), _refusing("turn.superseded")
"""Asked alone where nothing may be done any more, so that the log tells it as all else."""


class ToolGate:
    """Judges the tool calls of one turn, and what came of them."""

    def __init__(
        self, panel: Panel, clock: Clock, inquiry: Inquiry, hold: Hold, context: Context,
        remarks: Remarks,
    ) -> None:  # fmt: skip
        self._panel = panel
        self._clock = clock
        self._inquiry = inquiry
        self._hold = hold
        self._context = context
        self._remarks = remarks
        self._calls, self._results = panel.at("tool_call"), panel.at("tool_result")

    async def before(self, turn: bytes, name: str, arguments: str, *, effects: bool) -> Judged:
        """Whether the tool may be called."""
        guards = self._calls
        if effects and not await self._inquiry.cleared():
            guards = STOPPED
        elif effects and self._hold.lost.is_set():
            guards = LOST
        return await self._judge("tool_call", turn, name, arguments, guards)

    async def after(self, turn: bytes, name: str, content: str) -> Judged:
        """What of its answer may be seen."""
        return await self._judge("tool_result", turn, name, content, self._results)

    async def _judge(
        self, stage: Stage, turn: bytes, name: Any, text: Any, guards: Lanes
    ) -> Judged:
        if not isinstance(name, str) or not isinstance(text, str) or not name:
            raise UsageError("a tool has a name, and its arguments and its answer are texts")
        if len(text) > MAX_TOOL_CHARACTERS:
            raise TooLarge("the text of a tool", len(text), MAX_TOOL_CHARACTERS)
        inbound, now, context = self._inquiry.inbound, self._clock.now(), self._context
        check = TextCheck(
            stage, clean(text), inbound.channel, inbound.assurance, now, inbound.flags,
            context.contact, context, address=inbound.sender, tool=clean(name),
        )  # fmt: skip
        judged = await self._panel.judge(guards, check, self._inquiry.states)
        if guards:
            self._remarks.decided(f"{stage} {clean(name)}", judged.decision)
            self._remarks.escalated(judged, turn, now)
        if judged.until > now:
            # A tool is called now or not at all: nobody would call it later.
            return replace(judged, text="", decision=replace(judged.decision, enforced="block"))
        return judged
