"""PydanticAI on a bridge: a capability that makes a run one turn, and a `ConversationStore`.

::

    held = InTurn(bridge, inbound)                    # takes the lease before the model is asked
    await agent.run(capabilities=[held])              # the message is the prompt; tools are guarded
    send(held.turn.answer)                            # of a duplicate too, and no model ran

The history is the conversation's, from every channel. The store is for histories that are yours:
`ctxbridge.integrations.pydantic_store`. Needs the extra ``pydantic-ai``.
"""

import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from ctxbridge.bridge import Bridge, Turn
from ctxbridge.errors import UsageError
from ctxbridge.integrations import plain
from ctxbridge.integrations._items import read, written
from ctxbridge.integrations._versions import require
from ctxbridge.model import Context, Inbound, Message, Opaque, Purpose
from ctxbridge.model.lines import Count, Line, Told, divided, estimate_tokens, summary_line, told_of
from ctxbridge.rules.text import clean

require("pydantic-ai-slim", "2.66", "3")

from pydantic_ai import Agent, AgentRunResult, RunContext  # noqa: E402
from pydantic_ai.capabilities import AbstractCapability, ReinjectSystemPrompt  # noqa: E402
from pydantic_ai.messages import (  # noqa: E402
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_core import to_json  # noqa: E402

KIND = "pydantic_ai"
SAID = f"{KIND}.said"
"""A response whose words are a reply of its turn, so that it follows what guards make of that."""


class Run:
    """One turn of the bridge for one run of an agent. Made by `turn`, `answering` and `InTurn`.

    `history` is what to give as `message_history`, without a prompt: it ends with what there is to
    answer. `budget` is of what was before, in tokens as `count` tells them.
    """

    def __init__(self, turn: Turn[Any], budget: int, count: Count = estimate_tokens) -> None:
        self.turn = turn
        self.history: list[ModelMessage] = _history(turn, budget, count) if turn.open else []
        self._given = list(self.history)
        self._replies: list[str] = []
        self._added: list[ModelMessage] = []

    @property
    def open(self) -> bool:
        """Whether the agent should run; see `Turn.open`."""
        return self.turn.open

    @property
    def answer(self) -> tuple[Message, ...]:
        """What you are to send, once the block was left; see `Turn.answer`."""
        return self.turn.answer

    def reply(self, result: AgentRunResult[Any] | str, *, purpose: Purpose = "service") -> None:
        """Say a run's output, if it is a text that is not empty, or a text of yours.

        The messages of a result are kept with the turn. Raises as `Turn.reply` does, and
        `UsageError` for an output of another type: call `keep`, and say in words what it means.
        """
        text = result
        if isinstance(result, AgentRunResult):
            self.keep(result)
            text = result.output
        if not isinstance(text, str):
            raise UsageError("the output is no text: keep the result, and reply with what to say")
        if text:
            self.turn.reply(text, purpose=purpose)
            self._replies.append(clean(text))

    def keep(self, result: AgentRunResult[Any]) -> None:
        """Keep the messages of a run with the turn, but for words that are not said."""
        added = [m for m in result.new_messages() if not any(m is one for one in self._given)]
        if not isinstance(result.output, str):
            added = _without_output(added)
        self._added += added

    def finish(self) -> None:
        """Hand over to the turn what is kept; `turn`, `answering` and `InTurn` do it."""
        parts = [part for message in self._added for part in _kept(message, self._replies)]
        if parts and self.turn.open:
            self.turn.keep(*parts)


class Guarded(AbstractCapability[Any]):
    """Puts an agent's tools behind the guards of a turn, at ``tool_call`` and ``tool_result``.

    What they refuse is told to the model in the tool's place. Tools that are named in `reads` have
    no effects: before them nothing is asked of the store. The agent's `system_prompt` is put before
    the history, which has none.
    """

    def __init__(self, turn: Turn[Any] | None = None, *, reads: Collection[str] = ()) -> None:
        self._turn = turn
        self._reads = reads
        self._prompting = ReinjectSystemPrompt[Any]()

    async def before_model_request(self, ctx: RunContext[Any], request_context: Any) -> Any:
        """Put the system prompt where it belongs."""
        return await self._prompting.before_model_request(ctx, request_context)

    @property
    def turn(self) -> Turn[Any]:
        """The turn of the run; raises `UsageError` before it has begun."""
        if self._turn is None:
            raise UsageError("the run has not begun, so it has no turn yet")
        return self._turn

    async def wrap_tool_execute(  # the framework names the arguments
        self,
        ctx: RunContext[Any],  # noqa: ARG002
        *,
        call: ToolCallPart,
        tool_def: Any,  # noqa: ARG002
        args: Any,
        handler: Any,
    ) -> Any:
        """Ask the guards before the tool and behind it."""
        name, arguments = call.tool_name, call.args_as_json_str()
        found: list[Any] = []

        async def answer(judged: str) -> str:
            found.append(await handler(_as_judged(args, arguments, judged)))
            return _in_words(found[0])

        effects = name not in self._reads
        called = await plain.guarded(self.turn, name, arguments, answer, effects=effects)
        if found and _in_words(found[0]) == called.content:
            return found[0]
        return called.content


class InTurn(Guarded):
    """Makes a run of an agent the turn of a message; one for each message.

    The lease is held, and the history read, before the model is asked: so no run is in vain. The
    prompt is the message, as guards have left it; give none. What the run says is judged and stored
    when it ends, and sent by the bridge's sender, or yours to send (`turn.answer`). A message that
    was answered before, or is not to be answered, asks no model: the output is then what was said
    to it, empty if nothing. An output that is no text needs `say`, to put it in words.

    Raises what entering and leaving a `Turn` raise, `UsageError` for a prompt or a history beside.
    """

    def __init__(
        self,
        bridge: Bridge[Any],
        inbound: Inbound,
        *,
        budget: int = 4_000,
        count: Count = estimate_tokens,
        reads: Collection[str] = (),
        say: Callable[[Any], str] | None = None,
    ) -> None:
        super().__init__(reads=reads)
        self._bridge, self._inbound, self._say = bridge, inbound, say
        self._budget, self._count = budget, count

    async def wrap_run(self, ctx: RunContext[Any], *, handler: Any) -> AgentRunResult[Any]:
        """Enter the turn, run where it is open, say what came of it, and leave the turn."""
        if ctx.prompt is not None or ctx.messages:
            raise UsageError("the message is the prompt, and the conversation the history")
        async with turn(self._bridge, self._inbound, budget=self._budget, count=self._count) as run:
            self._turn = run.turn
            if run.open:
                ctx.messages[:] = run.history
                result: AgentRunResult[Any] = await handler()
                run.keep(result)
                run.reply(self._say(result.output) if self._say else result.output)
                return result
        return AgentRunResult(output="\n".join(message.text for message in run.turn.said))


@asynccontextmanager
async def turn(
    bridge: Bridge[Any], inbound: Inbound, /, *, budget: int = 4_000, count: Count = estimate_tokens
) -> Any:
    """The turn of a message for one run: holds the lease before the model is asked.

    What `InTurn` does, where you call the agent yourself. Raises what entering and leaving a `Turn`
    raise.
    """
    async with bridge.turn(inbound) as entered:
        run = Run(entered, budget, count)
        yield run
        run.finish()


def answering(
    agent: Agent[Any, Any], *, budget: int = 4_000, reads: Collection[str] = (), **options: Any
) -> Callable[[Turn[Any]], Awaitable[None]]:
    """The agent as `Bridge.answer`, `Bridge.run` and webhooks take one; `options` are `run`'s."""

    async def answer(entered: Turn[Any]) -> None:
        run = Run(entered, budget)
        capabilities = [*options.get("capabilities", ()), Guarded(entered, reads=reads)]
        given = options | {"message_history": run.history, "capabilities": capabilities}
        run.reply(await agent.run(**given))
        run.finish()

    return answer


# --- tools ----------------------------------------------------------------------------------------


def _in_words(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value, fallback=str).decode()


def _as_judged(args: Any, raw: str, judged: str) -> Any:
    """The arguments with what the guards have changed in them."""
    if judged == raw:
        return args
    before, after = json.loads(raw), json.loads(judged)
    return args | {name: value for name, value in after.items() if before.get(name) != value}


# --- from the log to messages ---------------------------------------------------------------------


def _history(entered: Turn[Any], budget: int, count: Count) -> list[ModelMessage]:
    """The messages of the turns before, and at the end those that the turn answers."""
    context, turn = entered.context, bytes.fromhex(entered.id)
    summary, _, kept = divided(context, budget, count)
    told = told_of(context, kept)
    now = [_prompt(line) for one in told if one.message.turn == turn for line in one.lines]
    before = [one for one in told if one.message.turn != turn]
    messages: list[ModelMessage] = [_message(summary_line(*summary))] if summary else []
    messages += messages_of(context, before)
    return [*messages, ModelRequest(parts=now)]


def messages_of(context: Context, told: Sequence[Told]) -> list[ModelMessage]:
    """The messages of these entries of the log; those of quarantined turns are left out."""
    poisoned = {m.turn for m in context.messages if m.disposition == "quarantined"}
    messages: list[ModelMessage] = []
    shown: set[int] = set()
    for one in told:
        message = one.message
        if message.turn in poisoned or id(message) in shown:
            continue
        messages += [_message(line) for line in one.lines]
        for part in message.parts:
            if isinstance(part, Opaque) and part.kind == KIND:
                messages += _parsed(part.data)
            elif isinstance(part, Opaque) and part.kind == SAID:
                said = plain.said_in(context, message.turn)
                messages += _as_said(read(part), said, shown)
    return messages


def _message(line: Line) -> ModelMessage:
    match line.kind:
        case "tool_call":
            part = ToolCallPart(line.name, line.text, tool_call_id=line.call)
            return ModelResponse(parts=[part])
        case "tool_result":
            return ModelRequest(parts=[ToolReturnPart(line.name, line.text, line.call)])
    if line.role == "user":
        return ModelRequest(parts=[_prompt(line)])
    return ModelResponse(parts=[TextPart(line.shown)])


def _prompt(line: Line) -> UserPromptPart:
    return UserPromptPart(line.shown)


def _parsed(stored: bytes) -> list[ModelMessage]:
    """The message; none where it is damaged, or of a release that wrote another form."""
    try:
        return ModelMessagesTypeAdapter.validate_json(b"[" + stored + b"]")
    except ValueError:
        return []


def _as_said(stored: Any, said: list[Message], shown: set[int]) -> list[ModelMessage]:
    """The response with the words of its reply, as guards have left them; none if none left."""
    words = plain.words_said(stored, said, shown)
    if not words:
        return []
    found = _parsed(json.dumps(stored["message"]).encode())
    return [_with_words(message, words) for message in found]


# --- from messages to the log ---------------------------------------------------------------------


def _kept(message: ModelMessage, replies: Sequence[str]) -> list[Opaque]:
    """What is stored of a message of a run: of its words only those that were said."""
    if isinstance(message, ModelRequest):
        # The next run has instructions of its own.
        return [written(_dumped(replace(message, instructions=None)), KIND)]
    words = [part.content for part in message.parts if isinstance(part, TextPart)]
    if len(words) == 1 and (text := clean(words[0])) in replies:
        stored = {"reply": replies.index(text), "of": len(replies)}
        return [written(stored | {"message": _dumped(_with_words(message, ""))}, SAID)]
    rest = [part for part in message.parts if not isinstance(part, TextPart)]
    return [written(_dumped(replace(message, parts=rest)), KIND)] if _acts(rest) else []


def _acts(parts: Sequence[Any]) -> bool:
    return any(isinstance(part, ToolCallPart) for part in parts)


def _with_words(message: ModelMessage, text: str) -> ModelMessage:
    assert isinstance(message, ModelResponse)
    parts = [replace(p, content=text) if isinstance(p, TextPart) else p for p in message.parts]
    return replace(message, parts=parts)


def _dumped(message: ModelMessage) -> Any:
    return ModelMessagesTypeAdapter.dump_python([message], mode="json")[0]


def _without_output(messages: list[ModelMessage]) -> list[ModelMessage]:
    """The messages before the one that holds the output: it is another's business to say that."""
    places = [n for n, message in enumerate(messages) if isinstance(message, ModelResponse)]
    return messages[: places[-1]] if places else messages
