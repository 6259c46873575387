"""Other guards over what was stored: what they would have said, and what that would have changed.

Nothing is written and nothing is sent.
"""

from collections.abc import AsyncIterator, Sequence
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.bridge.explaining import conversations, whole_context
from ctxbridge.guards.guard import TextCheck
from ctxbridge.guards.panel import Panel
from ctxbridge.guards.states import GuardStates
from ctxbridge.model import Action, Address, Context, Decision, GuardResult, Message, Stage, Window
from ctxbridge.ports import Guard
from ctxbridge.rules import verdicts

if TYPE_CHECKING:
    from ctxbridge.bridge.bridge import Bridge

POLICY = frozenset({"gate"})
"""Results that are not of any list of guards, and hold with each."""


class Rejudged(Struct, frozen=True):
    """One stored message, and what other guards say of it.

    `was` and `now` are what is enforced, without the bridge's own policy; `took` is in
    microseconds. `kept` is whether its words were kept: what is withheld cannot be judged again.
    """

    context: Context
    seq: int
    message: Message
    stage: Stage
    was: Action
    now: Action
    code: str = ""
    results: tuple[GuardResult, ...] = ()
    took: int = 0
    kept: bool = True

    @property
    def changed(self) -> bool:
        """Whether something else would have become of it.

        A text that was modified is judged as it stands now: nothing to object is no change then.
        """
        if self.was == "modify" and self.now in {"allow", "warn"}:
            return False
        return self.kept and self.was != self.now


async def rejudge(
    bridge: "Bridge[Any]",
    guards: Sequence[Guard],
    *,
    since: int = 0,
    until: int | None = None,
    address: Address | str | None = None,
) -> AsyncIterator[Rejudged]:
    """Each message of the time again, conversation by conversation; see `Bridge.rejudge`."""
    panel = Panel(guards, bridge.tenant, tells=False)
    if address is not None:
        contexts = _one(await whole_context(bridge, address))
    else:
        contexts = conversations(bridge)
    async for context in contexts:
        if context.contact is not None:
            async for one in _conversation(panel, bridge.settings.window, context, since, until):
                yield one


async def _one(context: Context) -> AsyncIterator[Context]:
    yield context


async def _conversation(
    panel: Panel, size: int, context: Context, since: int, until: int | None
) -> AsyncIterator[Rejudged]:
    states = GuardStates()
    for place, (seq, entry) in enumerate(context.window.numbered()):
        if not isinstance(entry, Message) or entry.disposition == "pending":
            continue
        if entry.accepted_at < since or (until is not None and entry.accepted_at >= until):
            continue
        if entry.author in {"contact", "agent"}:
            window = context.window[max(0, place + 1 - size) : place + 1]
            yield await _message(panel, replace(context, window=window), seq, entry, states)


async def _message(
    panel: Panel, context: Context, seq: int, message: Message, states: GuardStates
) -> Rejudged:
    stage: Stage = "inbound" if message.author == "contact" else "reply"
    was = _enforced(message.decision)
    if not message.parts or message.silent:
        return Rejudged(context, seq, message, stage, was, was, kept=False)
    started = perf_counter_ns()
    results = await _asked(panel, _check(context, message, stage), states)
    took = (perf_counter_ns() - started) // 1000
    now, code = verdicts.enforced(results), verdicts.leading_code(results)
    return Rejudged(context, seq, message, stage, was, now, code, results, took)


def _check(context: Context, message: Message, stage: Stage) -> TextCheck:
    before = context
    said_before = 0
    if stage == "reply":
        # A guard saw what stood there before the turn said anything.
        earlier = [(s, e) for s, e in context.window.numbered() if not _is_reply(e, message.turn)]
        replies = [e for e in context.messages if _is_reply(e, message.turn)]
        said_before = sum(e.visible for e in replies) - message.visible
        before = replace(context, window=Window([e for _, e in earlier], [s for s, _ in earlier]))
    return TextCheck(
        stage, message.text, message.channel, message.assurance, message.accepted_at,
        message.flags, context.contact, before, message.purpose, message.address, said_before,
    )  # fmt: skip


def _is_reply(entry: Any, turn: bytes) -> bool:
    return isinstance(entry, Message) and entry.turn == turn and _says(entry)


def _says(message: Message) -> bool:
    return message.author != "contact" and not message.silent


async def _asked(panel: Panel, check: TextCheck, states: GuardStates) -> tuple[GuardResult, ...]:
    """What the guards say, in the lanes in which a turn would ask them."""
    if check.stage == "inbound":
        alone = replace(check, contact=None, context=None)
        lanes = [
            (panel.masking, alone), (panel.early, alone), (panel.late, check),
        ]  # fmt: skip
    else:
        lanes = [(panel.reply, check), (panel.send, replace(check, stage="send"))]
    results: tuple[GuardResult, ...] = ()
    for guards, asked in lanes:
        if guards and verdicts.enforced(results) not in {"block", "escalate"}:
            results += (await panel.judge(guards, asked, states)).decision.results
    return results


def _enforced(decision: Decision | None) -> Action:
    """What was enforced by guards, and not by the policy that holds in any case."""
    if decision is None:
        return "allow"
    return verdicts.enforced(r for r in decision.results if r.guard not in POLICY)
