"""Runs the guards of one stage over one text and makes one decision of their verdicts.

Three lanes: the policy that the bridge adds comes first, then sync guards in their order, where a
`modify` is what the next ones see; then async judges side by side, on the text as it is by then.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import anyio
from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.guards.asking import Heard, Verdicts, ask, ask_at_once
from ctxbridge.guards.guard import ALLOW, TextCheck
from ctxbridge.guards.states import GuardStates
from ctxbridge.model import Decision, GuardResult
from ctxbridge.model.decision import ConsentWord
from ctxbridge.ports import Guard
from ctxbridge.rules import verdicts
from ctxbridge.rules.text import clean

Digest = Callable[[str], bytes]
STOPS = frozenset({"block", "escalate"})
"""After one of these no further guard can change what happens to the text."""


class Judged(Struct, frozen=True, gc=False):
    """What came of judging a text: the text that may go on (if any) and the decision to store."""

    text: str
    decision: Decision
    say: str | None = None
    labels: tuple[str, ...] = ()
    consent: ConsentWord | None = None
    until: int = 0
    to: str = ""

    @property
    def blocked(self) -> bool:
        """Whether nothing may go on: blocked, or escalated to a person."""
        return self.decision.enforced in STOPS

    @property
    def modified(self) -> bool:
        """Whether something else goes on than was judged."""
        return not self.blocked and self.decision.judged != self.decision.enforced_digest


class Lanes(tuple[Guard, ...]):  # noqa: SLOT001 - a tuple cannot have slots
    """Guards that are asked together, sorted once: those in line, and the judges behind them.

    With each in line stands what is heard of it if it allows at once; `None` for one that cannot be
    asked at once, since it keeps something, runs in a thread or has texts remembered.
    """

    inline: tuple[tuple[Guard, Heard | None], ...]
    judges: tuple[Guard, ...]

    def __new__(cls, guards: Iterable[Guard] = ()) -> Self:
        """Sort them; those that are off are in neither."""
        lanes = super().__new__(cls, guards)
        on = [guard for guard in lanes if getattr(guard, "mode", "enforce") != "off"]
        inline = [guard for guard in on if not getattr(guard, "judges", False)]
        lanes.inline = tuple([(g, Heard.allowing(g) if _is_plain(g) else None) for g in inline])
        lanes.judges = tuple([guard for guard in on if getattr(guard, "judges", False)])
        return lanes


def _is_plain(guard: Any) -> bool:
    special = (getattr(guard, name, None) for name in ("once", "codec", "thread"))
    return not any(special)


async def judge(
    guards: Iterable[Guard],
    check: TextCheck,
    digest: Digest,
    known: Verdicts | None = None,
    states: GuardStates | None = None,
) -> Judged:
    """Ask the guards; guards that were not asked any more are recorded as skipped.

    `known` are verdicts that need not be asked for again, `states` what guards keep; without them
    each is asked, with a fresh state. Whatever a guard does, this returns.
    """
    lanes = guards if type(guards) is Lanes else Lanes(guards)
    original, heard, stopped = check.text, list[Heard](), False
    for guard, allowing in lanes.inline:
        if stopped:
            heard.append(Heard.skipped(guard))
            continue
        one: Any
        if allowing is None:
            one = await ask(guard, check, digest, known, states)
        else:
            one = ask_at_once(guard, check, allowing)
            if one is not allowing and type(one) is not Heard:
                one = await one
        heard.append(one)
        if one is allowing:
            continue
        stopped = one.enforced in STOPS
        if one.enforced == "modify" and one.verdict.text is not None:
            check = replace(check, text=clean(one.verdict.text))
    if lanes.judges:
        heard += (
            [Heard.skipped(guard) for guard in lanes.judges]
            if stopped
            else await _side_by_side(lanes.judges, check, digest, known, states)
        )
    return _decide(check, original, heard, digest)


async def _side_by_side(
    judges: Sequence[Guard],
    check: TextCheck,
    digest: Digest,
    known: Verdicts | None,
    states: GuardStates | None,
) -> list[Heard]:
    """All judges at once; the first that stops the text ends the others, who count as skipped."""
    if len(judges) == 1:
        return [await ask(judges[0], check, digest, known, states)]
    answers = [Heard.skipped(guard) for guard in judges]

    async def one(place: int, guard: Guard) -> None:
        answers[place] = await ask(guard, check, digest, known, states)
        if answers[place].enforced in STOPS:
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for place, guard in enumerate(judges):
            group.start_soon(one, place, guard)
    return answers


def _decide(check: TextCheck, original: str, heard: Sequence[Heard], digest: Digest) -> Judged:
    results = tuple([one.result for one in heard])
    for one in heard:
        if one.verdict is not ALLOW:
            break
    else:
        same = digest(original)
        return Judged(original, Decision(check.stage, "allow", "allow", "", results, same, same))
    enforced = verdicts.enforced(results)
    judged = digest(original)
    stops = enforced in STOPS
    through = b"" if stops else judged if check.text == original else digest(check.text)
    decision = Decision(
        check.stage, verdicts.strictest(r.action for r in results), enforced,
        verdicts.leading_code(results), results, judged, through,
    )  # fmt: skip
    deciding = [one.verdict for one in heard if one.enforced == enforced]
    return Judged(
        "" if stops else check.text,
        decision,
        next((v.say for v in deciding), None) if stops else None,
        tuple(dict.fromkeys(label for one in heard for label in one.verdict.labels)),
        next((one.verdict.consent for one in heard if one.verdict.consent), None),
        max((v.until for v in deciding), default=0) if enforced == "defer" else 0,
        next((v.to for v in deciding), "") if enforced == "escalate" else "",
    )


def join(first: Decision, second: Decision) -> Decision:
    """One decision of two that judged the same message one after the other."""
    later = second.results
    if second.stage != first.stage:
        later = tuple([replace(result, stage=second.stage) for result in later])
    results: tuple[GuardResult, ...] = first.results + later
    return Decision(
        first.stage, verdicts.strictest(r.action for r in results), verdicts.enforced(results),
        verdicts.leading_code(results), results, first.judged, second.enforced_digest,
    )  # fmt: skip


__all__ = ["Digest", "Judged", "join", "judge"]
