"""The OpenAI Agents SDK on a bridge: a `Session`, and turns around `Runner.run`.

::

    async with turn(bridge, inbound) as run:           # dedupe, lease, history: one round trip
        if run.open:                                   # not answered before, not stopped
            result = await Runner.run(agent, run.input, session=run.session)
            run.reply(result)                          # judged and stored on leaving: one more
    send(run.answer)

A run's items are written down once, when its turn ends; a run that fails leaves nothing behind but
the customer's message, which waits to be taken up again. Needs the extra ``openai-agents``.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from copy import deepcopy
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from ctxbridge.bridge import Bridge, Turn
from ctxbridge.errors import UsageError
from ctxbridge.integrations import plain
from ctxbridge.integrations._items import ItemLog, fitting, read, written
from ctxbridge.integrations._versions import require
from ctxbridge.model import Address, Context, Inbound, Message, Opaque, Part, Purpose, lines
from ctxbridge.model.forms import responses
from ctxbridge.model.lines import Count, Told, estimate_tokens
from ctxbridge.rules.text import clean

require("openai-agents", "0.24", "1")

from agents import Agent, FunctionTool, RunContextWrapper, Runner, RunResult, RunResultStreaming  # noqa: E402
from agents.items import TResponseInputItem  # noqa: E402
from agents.memory.session_settings import SessionSettings, coerce_session_settings  # noqa: E402

KIND = "openai_agents"
SAID, CLEARED = f"{KIND}.said", f"{KIND}.cleared"
"""An item whose words are a reply of its turn, so that it follows what guards make of that; and the
mark behind which a session begins anew."""
_BESIDE, _MORE = 8, 4
"""Entries that are read beside those wanted, and how many times more where they do not suffice."""

_running: ContextVar["Run | None"] = ContextVar("ctxbridge_openai_agents_run", default=None)


class Session:
    """A conversation as a session of the SDK (its protocol, with `wrapper`): the log of an address.

    Within a turn (`turn`, or a `Run` given as the run's context) it costs no round trip: it gives
    the turn's window, and keeps what is added with the turn. Outside, each call is one, two for
    `pop_item`; what is added is neither judged nor sent, and one at a time is not promised.

    It gives what the contact and others said too, on any channel. Quarantined and withheld messages
    are left out. Raises `Malformed` for what is no JSON object, `TooLarge` for more than a megabyte
    at once, and `StoreError`. What `clear_session` hides is erased by `Bridge.erase` alone.
    """

    def __init__(
        self,
        bridge: Bridge[Any],
        address: Address | str,
        *,
        session_id: str = "",
        session_settings: SessionSettings | dict[str, Any] | None = None,
    ) -> None:
        self._log = ItemLog(bridge, address)
        self.address = self._log.address
        self.session_id = session_id or str(self.address)
        self.session_settings: SessionSettings | None = coerce_session_settings(
            session_settings or SessionSettings()
        )

    async def get_items(
        self, limit: int | None = None, *, wrapper: RunContextWrapper[Any] | None = None
    ) -> list[TResponseInputItem]:
        """The latest `limit` items, oldest first; without a limit those of the settings, or all."""
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        if limit is not None and limit <= 0:
            return []
        if (run := _run_of(wrapper, self)) is not None:
            return deepcopy(run.items[-(limit or 0) :])
        window = 0 if limit is None else limit + _BESIDE
        while True:
            context = await self._log.read(window, fresh=False)
            items = items_of(context)
            if not window or len(items) >= (limit or 0) or _begins(context):
                return items[-(limit or 0) :]
            window *= _MORE

    async def add_items(
        self, items: list[TResponseInputItem], *, wrapper: RunContextWrapper[Any] | None = None
    ) -> None:
        """Add the items, all or none."""
        if (run := _run_of(wrapper, self)) is not None:
            run.add(items)
        elif items:
            await self._log.append([written(item, KIND) for item in items])

    async def pop_item(
        self, *, wrapper: RunContextWrapper[Any] | None = None
    ) -> TResponseInputItem | None:
        """Take away the newest item that was added, and give it; what people said stays."""
        if (run := _run_of(wrapper, self)) is not None:
            return run.added.pop() if run.added else None
        window = _BESIDE
        while True:
            context = await self._log.read(window)
            found = _newest(context)
            if found is None and (not window or _begins(context)):
                return None
            if found is None:
                window *= _MORE
                continue
            place, message = found
            part = message.parts[-1]
            if await self._log.amend(place, message, message.parts[:-1], _once(message)):
                item = read(part) if isinstance(part, Opaque) else None
                if item is not None:
                    return item  # type: ignore[no-any-return]

    async def clear_session(self, *, wrapper: RunContextWrapper[Any] | None = None) -> None:
        """Begin anew: from now on nothing older is given."""
        if (run := _run_of(wrapper, self)) is not None:
            run.clear()
        else:
            await self._log.append([Opaque(CLEARED, b"")])

    def close(self) -> None:
        """Do nothing: the bridge holds the connections."""


class Run:
    """One turn of the bridge for one run of an agent. Made by `turn` and `answering`.

    `turn` is the bridge's own, `session` what `Runner.run` is given, and `input` what there is to
    answer. `budget` is of the history, in tokens as `count` tells them.
    """

    def __init__(
        self, turn: Turn[Any], bridge: Bridge[Any], budget: int, count: Count = estimate_tokens
    ) -> None:
        self.turn = turn
        self.session = Session(bridge, turn.inbound.sender)
        self.added: list[Any] = []
        self._before: list[Any] = []
        self._replies: list[str] = []
        self._cleared = False
        self.input: list[TResponseInputItem] = []
        if turn.open:
            self._before, self.input = _history(turn, budget, count)

    @property
    def open(self) -> bool:
        """Whether the agent should run; see `Turn.open`."""
        return self.turn.open

    @property
    def answer(self) -> tuple[Message, ...]:
        """What you are to send, once the block was left; see `Turn.answer`."""
        return self.turn.answer

    @property
    def items(self) -> list[Any]:
        """The history that the run sees: what was before, and what it has added."""
        return self._before + self.added

    def add(self, items: Sequence[Any]) -> None:
        """Keep the items until the turn ends; raises as `Session` does."""
        fitting([written(item, KIND) for item in [*self.added, *items]])
        self.added += deepcopy(list(items))

    def clear(self) -> None:
        """Show nothing older, in this turn and after it."""
        self._before, self.added, self._cleared = [], [], True

    def reply(
        self, result: RunResult | RunResultStreaming | str, *, purpose: Purpose = "service"
    ) -> None:
        """Say a run's final output, if it is a text that is not empty, or a text of yours.

        Raises as `Turn.reply` does, and `UsageError` for a final output of another type: say in
        words what it means.
        """
        text = result if isinstance(result, str) else result.final_output
        if text is not None and not isinstance(text, str):
            raise UsageError("the final output is no text: call reply with what is to be said")
        if text:
            self.turn.reply(text, purpose=purpose)
            self._replies.append(clean(text))

    def finish(self) -> None:
        """Hand over to the turn what the run has added; `turn` and `answering` do it."""
        parts = [Opaque(CLEARED, b"")] if self._cleared else []
        parts += _kept(self.added, self.input, self._replies)
        if parts and self.turn.open:
            self.turn.keep(*parts)


@asynccontextmanager
async def turn(
    bridge: Bridge[Any], inbound: Inbound, /, *, budget: int = 4_000, count: Count = estimate_tokens
) -> AsyncIterator[Run]:
    """The turn of a message for one run: holds the lease before the model is asked.

    The items of the turns before are cut as `Context.lines` is. Raises what entering and leaving a
    `Turn` raise.
    """
    async with bridge.turn(inbound) as entered:
        run = Run(entered, bridge, budget, count)
        with _current(run):
            yield run
            run.finish()


def answering(
    bridge: Bridge[Any], agent: Agent[Any], *, budget: int = 4_000, **options: Any
) -> Callable[[Turn[Any]], Awaitable[None]]:
    """The agent as `Bridge.answer`, `Bridge.run` and webhooks take one; `options` are the runner's.

    The `Run` is the run's context, unless `options` has one.
    """

    async def answer(entered: Turn[Any]) -> None:
        run = Run(entered, bridge, budget)
        with _current(run):
            given = {"context": run} | options
            run.reply(await Runner.run(agent, run.input, session=run.session, **given))
            run.finish()

    return answer


def guarded(agent: Agent[Any], *, reads: Collection[str] = ()) -> Agent[Any]:
    """The agent with its function tools behind the guards, at ``tool_call`` and ``tool_result``.

    What they refuse is told to the model in the tool's place. Tools that are named in `reads` have
    no effects: before them nothing is asked of the store. A guarded tool runs in a turn alone, and
    raises `UsageError` elsewhere. Handoffs, agents as tools and hosted tools are not guarded: pass
    each agent through this.
    """
    tools = [_behind_guards(t, reads) if isinstance(t, FunctionTool) else t for t in agent.tools]
    return agent.clone(tools=tools)


def _behind_guards(tool: FunctionTool, reads: Collection[str]) -> FunctionTool:
    invoke = tool.on_invoke_tool

    async def call(context: Any, arguments: str) -> Any:
        run = _running.get()
        if run is None:
            raise UsageError(f"the guarded tool {tool.name} was called outside of a turn")

        found: list[Any] = []

        async def answer(judged: str) -> str:
            found.append(await invoke(context, judged))
            return str(found[0])

        effects = tool.name not in reads
        called = await plain.guarded(run.turn, tool.name, arguments, answer, effects=effects)
        return found[0] if found and str(found[0]) == called.content else called.content

    return replace(tool, on_invoke_tool=call)


@contextmanager
def _current(run: Run) -> Iterator[None]:
    token = _running.set(run)
    try:
        yield
    finally:
        _running.reset(token)


def _run_of(wrapper: RunContextWrapper[Any] | None, session: Session) -> Run | None:
    """The run that the session is asked in: the wrapper's, or the one whose session it is."""
    given = wrapper.context if wrapper is not None else None
    run = given if isinstance(given, Run) else _running.get()
    if run is None or run.session.address != session.address:
        return None
    return run if isinstance(given, Run) or run.session is session else None


# --- from the log to items ------------------------------------------------------------------------


def items_of(context: Context) -> list[Any]:
    """The items of all messages in the window, oldest first."""
    return _items(context, lines.told_of(context, lines.standing(context.window)))


def _history(entered: Turn[Any], budget: int, count: Count) -> tuple[list[Any], list[Any]]:
    """The items of the turns before, and those of the messages that the turn answers."""
    context, turn = entered.context, bytes.fromhex(entered.id)
    summary, _, kept = lines.divided(context, budget, count)
    told = lines.told_of(context, kept)
    before = _items(context, [one for one in told if one.message.turn != turn])
    now = _items(context, [one for one in told if one.message.turn == turn])
    return (responses([lines.summary_line(*summary)]) if summary else []) + before, now


def _items(context: Context, told: Sequence[Told]) -> list[Any]:
    poisoned = {m.turn for m in context.messages if m.disposition == "quarantined"}
    items: list[Any] = []
    shown: set[int] = set()
    for one in told:
        if one.message.turn in poisoned or id(one.message) in shown:
            continue
        if one.lines:
            items += responses(one.lines)
        for part in one.message.parts:
            if type(part) is not Opaque:
                continue
            if part.kind == KIND:
                items += [item] if isinstance(item := read(part), dict) else []
            elif part.kind == SAID:
                said = plain.said_in(context, one.message.turn)
                items += _as_said(read(part), said, shown)
            elif part.kind == CLEARED:
                items.clear()
    return items


def _as_said(stored: Any, said: list[Message], shown: set[int]) -> list[Any]:
    """The item with the words of its reply, as guards have left them; nothing if none left."""
    words = plain.words_said(stored, said, shown)
    if not words:
        return []
    item = stored["item"]
    if isinstance(item["content"], str):
        return [item | {"content": words}]
    return [item | {"content": [item["content"][0] | {"text": words}]}]


def _begins(context: Context) -> bool:
    return len(context.window) + context.withheld >= context.seq


# --- from items to the log ------------------------------------------------------------------------


def _kept(added: Sequence[Any], input: Sequence[Any], replies: Sequence[str]) -> list[Opaque]:
    """What is stored of a run: not its input, which is stored, nor words that were not said."""
    given = [*input, *({"role": "user", "content": _text(item)} for item in input)]
    kept: list[Opaque] = []
    for item in added:
        if item in given:
            continue
        if item.get("role") != "assistant":
            kept.append(written(item, KIND))
        elif (text := _text(item)) in replies:
            kept.append(_said(item, replies.index(text), len(replies)))
        else:
            _drop_reasoning(kept)
    _drop_reasoning(kept)
    return kept


def _said(item: Any, reply: int, of: int) -> Opaque:
    content = "" if isinstance(item["content"], str) else [item["content"][0] | {"text": ""}]
    return written({"reply": reply, "of": of, "item": item | {"content": content}}, SAID)


def _drop_reasoning(kept: list[Opaque]) -> None:
    """Reasoning cannot stand without the item that it led to."""
    while kept and kept[-1].kind == KIND and read(kept[-1]).get("type") == "reasoning":
        kept.pop()


def _text(item: Any) -> str:
    """The words of a message item; one of several parts has none that could be a reply."""
    content = item.get("content")
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict):
        content = content[0].get("text")
    return clean(content) if isinstance(content, str) else ""


def _newest(context: Context) -> tuple[int, Message] | None:
    """The newest message that holds an item which can be taken away, and its place."""
    for place, entry in reversed(list(context.window.numbered())):
        if not isinstance(entry, Message) or not entry.parts or not entry.visible:
            continue
        part: Part = entry.parts[-1]
        if isinstance(part, Opaque) and part.kind == CLEARED:
            return None
        if isinstance(part, Opaque) and part.kind == KIND:
            return place, entry
    return None


def _once(message: Message) -> bytes:
    """A key that is another for each item of each entry."""
    key = message.turn + len(message.parts).to_bytes(4, "big")
    return blake2b(key, digest_size=16, person=b"pop").digest()
