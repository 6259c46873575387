"""The gate before and behind the tools that an agent calls."""

from typing import TYPE_CHECKING, Any

from ctxbridge.bridge.beholding import behold, was_taken
from ctxbridge.bridge.holding import Hold
from ctxbridge.bridge.judging import Inquiry
from ctxbridge.bridge.remarks import Remarks
from ctxbridge.errors import TooLarge, UsageError
from ctxbridge.guards.guard import FunctionGuard, TextCheck, block
from ctxbridge.guards.pipeline import Judged, Lanes
from ctxbridge.model import Context, Floor, Query, Stage
from ctxbridge.rules.gate import FLOOR_TAKEN
from ctxbridge.rules.text import clean

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

MAX_TOOL_CHARACTERS = 1024 * 1024
MOST_JUDGED = 512
"""So many calls and answers of one turn are judged; an agent that wants more goes in circles."""


def _refusing(code: str) -> Lanes:
    return Lanes([FunctionGuard("turn", lambda _: block(code), frozenset({"tool_call"}))])


STOPPED, LOST = _refusing("inbound.stopped"), _refusing("turn.superseded")
TAKEN, CIRCLES = _refusing(FLOOR_TAKEN), _refusing("turn.too_many_tools")
"""Asked alone where nothing may be done any more, so that the log tells it as all else."""


class ToolGate:
    """Judges the tool calls of one turn, and what came of them."""

    def __init__(
        self, bridge: "Bridge[Any]", inquiry: Inquiry, hold: Hold, context: Context,
        remarks: Remarks,
    ) -> None:  # fmt: skip
        self._bridge = bridge
        self._inquiry, panel = inquiry, inquiry.panel
        self._hold = hold
        self._context = context
        self._remarks = remarks
        self._calls, self._results = panel.at("tool_call"), panel.at("tool_result")
        self._judged = 0

    async def before(self, turn: bytes, name: str, arguments: str, *, effects: bool) -> Judged:
        """Whether the tool may be called."""
        refusing = await self._refusing() if effects else None
        return await self._judge("tool_call", turn, name, arguments, refusing or self._calls)

    async def _refusing(self) -> Lanes | None:
        """What refuses a call that has effects, if anything does: asked of the store as it is."""
        if not await self._inquiry.cleared():
            return STOPPED
        if self._hold.lost.is_set():
            return LOST
        now = await self._look()
        if self._hold.lost.is_set():
            return LOST
        if now.contact is None or now.floor is not Floor.AGENT:
            return TAKEN
        before, sender = self._context, self._inquiry.inbound.sender
        moved = now.gate_epoch != before.gate_epoch
        return TAKEN if moved and await was_taken(self._bridge, sender, before) else None

    async def _look(self) -> Context:
        """The conversation as it is. Nothing that a tool does can be withheld later."""
        sender = self._inquiry.inbound.sender
        query = Query(self._bridge.tenant, sender, self._context.reader, 1)
        return await behold(self._bridge, query)

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
        self._judged += 1
        if self._judged > MOST_JUDGED:
            guards = CIRCLES
        inbound, now, context = self._inquiry.inbound, self._bridge.clock.now(), self._context
        check = TextCheck(
            stage, clean(text), inbound.channel, context.reader, now, inbound.flags,
            context.contact, context, address=inbound.sender, tool=clean(name),
        )  # fmt: skip
        judged = await self._inquiry.panel.judge(guards, check, self._inquiry.states)
        self._remarks.labelled(judged)
        if guards and self._judged <= MOST_JUDGED + 1:
            self._remarks.decided(f"{stage} {clean(name)}", judged.decision)
            self._remarks.escalated(judged, turn, now)
        return judged
