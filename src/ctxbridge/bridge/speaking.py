"""What an agent does in its turn: says, shows, asks, notes."""

from collections.abc import AsyncIterable, Sequence
from typing import Any

from ctxbridge.bridge.floor import NOBODY_CAME
from ctxbridge.bridge.replying import Reply, checked_reply
from ctxbridge.bridge.streaming import Stream
from ctxbridge.bridge.tools import ToolGate
from ctxbridge.errors import StepUpRequired, UsageError
from ctxbridge.guards.pipeline import Judged
from ctxbridge.model import Assurance, Choice, Event, Part, Purpose
from ctxbridge.rules.choices import checked_choices
from ctxbridge.wire.checked import checked

_NOT_OPEN = "the turn is not open, so nothing can be replied: see turn.open"


class Speaking:
    """A part of `Turn`: what is done with one that was entered."""

    def require(self: Any, level: Assurance) -> None:
        """Go on only if we are as sure as `level` of who is writing; see `Bridge.step_up`.

        Raises `StepUpRequired` if not: catch it in the agent, and ask for a proof.
        """
        if self.context.reader < level:
            raise StepUpRequired(level, self.context.reader)

    def reply(
        self: Any, text: str, *, purpose: Purpose = "service", choices: Sequence[Choice | str] = ()
    ) -> None:
        """Say `text` to the customer; it is judged and stored when the block is left.

        May be called several times. `purpose` is what it is for: consent is asked for that, and
        quiet hours are kept for it. `choices` are up to 20 answers to offer, as buttons where the
        channel has them, else as numbered lines: each a `Choice`, or a text that is id and label.
        A message that names one of them has it as `Inbound.choice`.

        What is over the limit of its channel leaves as several messages. Raises `UsageError` when
        the turn is not open, the text is empty or a choice cannot be offered, `TooLarge` beyond
        65,536 characters.
        """
        self._require_open()
        reply = Reply(text, purpose=purpose, choices=checked_choices(choices))
        self._replies.append(checked_reply(reply))

    async def stream(self: Any, chunks: AsyncIterable[str]) -> str:
        """Say the text that comes in `chunks`, as one reply, and give it whole.

        A channel that shows texts while they are written gets what the guards have let through so
        far, but for its last words; others get the reply when the block is left. Stops where the
        turn is lost or its text blocked. Raises as `reply` does, and whatever `chunks` raises: then
        what was shown is withdrawn.
        """
        self._require_open()
        stream = Stream(self._bridge, self._inquiry, self._replying, self._context, self.superseded)
        text: str = await self._drafts.collect(stream, chunks, self._require().opened.turn)
        self._replies.append(checked_reply(Reply(text, stream.delivery)))
        return text

    async def cleared(self: Any) -> bool:
        """Wait for the judges that are asked while the agent thinks; whether it may go on.

        Leaving the block waits for them in any case, and so does a tool call with effects. Once
        they have stopped the message nothing of what the agent says or keeps is stored.
        """
        self._require_open()
        cleared: bool = await self._inquiry.cleared()
        return cleared

    async def tool_call(self: Any, name: str, arguments: str, *, effects: bool = True) -> Judged:
        """Ask the guards whether the agent may call a tool now: `Judged.blocked`, `Judged.text`.

        `arguments` is JSON; what guards made of it is `text`. With `effects` it waits for all that
        could still stop the turn, and refuses where another worker has the turn by now or a person
        the floor. Raises `UsageError` when the turn is not open, `TooLarge` beyond a megabyte, and
        `StoreError`.
        """
        tools: ToolGate = self._require_open()
        return await tools.before(self._require().opened.turn, name, arguments, effects=effects)

    async def tool_result(self: Any, name: str, content: str) -> Judged:
        """Ask the guards what of a tool's answer the model may see; see `tool_call`."""
        tools: ToolGate = self._require_open()
        return await tools.after(self._require().opened.turn, name, content)

    def keep(self: Any, *parts: Part) -> None:
        """Store what the agent did besides its replies: tool calls, results, a framework's items.

        They are one entry of the log, before the replies, that nobody is sent. Raises `UsageError`
        when the turn is not open, `Malformed`, `TooLarge` beyond a megabyte in all.
        """
        self._require_open()
        self._remarks.keep(parts)

    def note(self: Any, event: Event) -> None:
        """Store an event with the turn: what your own tools did and a later reader must know."""
        if self._left or self._status != "new":
            raise UsageError("the turn is not held: what is noted now would not be saved")
        self._remarks.note(checked(event))

    def hand_over(
        self: Any,
        reason: str,
        *,
        to: str = "",
        summary: str = "",
        promised: Sequence[str] = (),
        within_seconds: float | None = None,
        otherwise: str = NOBODY_CAME,
    ) -> None:
        """Offer the floor to a colleague when the block is left: in the step that stores the turn.

        What the agent says in this turn still leaves; after it only a colleague speaks, until they
        give the floor back or the offer ends. It all means what it does for `Handoffs.offer`.
        Nothing is offered where a colleague has taken the floor meanwhile. Raises `UsageError` when
        the turn is not open, and `TooLarge`.
        """
        self._require_open()
        self._remarks.offer = self._bridge.floor.wanted(
            reason, to, summary, promised, within_seconds, otherwise
        )

    def _require_open(self: Any) -> ToolGate:
        # A judge beside the agent may have stopped the message by now; the agent need not know.
        self._require()
        if self._tools is None or not self._was_open or self._left:
            raise UsageError(_NOT_OPEN)
        tools: ToolGate = self._tools
        return tools
