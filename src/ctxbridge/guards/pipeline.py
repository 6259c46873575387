"""Runs the guards of one stage over one text and makes one decision of their verdicts."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from inspect import isawaitable
from time import perf_counter_ns
from typing import Any

import anyio
from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.errors import Malformed
from ctxbridge.guards.guard import ALLOW, TextCheck
from ctxbridge.model import Decision, GuardResult, Verdict
from ctxbridge.model.decision import ConsentWord, GuardStatus
from ctxbridge.ports import Guard
from ctxbridge.rules import verdicts
from ctxbridge.wire.checked import checked

Digest = Callable[[str], bytes]


class Judged(Struct, frozen=True, gc=False):
    """What came of judging a text: the text that may go on (if any) and the decision to store."""

    text: str
    decision: Decision
    say: str | None = None
    labels: tuple[str, ...] = ()
    consent: ConsentWord | None = None

    @property
    def blocked(self) -> bool:
        """Whether nothing may go on."""
        return self.decision.enforced == "block"

    @property
    def modified(self) -> bool:
        """Whether something else goes on than was judged."""
        return self.decision.enforced == "modify"


async def judge(guards: Sequence[Guard], check: TextCheck, digest: Digest) -> Judged:
    """Ask the guards in order; a `modify` is what the next ones see, a `block` ends it.

    Guards that were not asked any more are recorded as skipped. Whatever a guard does, this
    returns.
    """
    original = check.text
    results: list[GuardResult] = []
    heard: list[Verdict] = []
    for position, guard in enumerate(guards):
        started = perf_counter_ns()
        verdict, status = await _ask(guard, check)
        took = (perf_counter_ns() - started) // 1000
        results.append(
            GuardResult(
                guard.name, guard.version, verdict.action, verdict.code, status, microseconds=took
            )
        )
        heard.append(verdict)
        if verdict.action == "modify" and verdict.text is not None:
            check = replace(check, text=verdict.text)
        elif verdict.action == "block":
            results.extend(_skipped(guards[position + 1 :]))
            break
    return _decide(check, original, results, heard, digest)


def _skipped(guards: Iterable[Guard]) -> Iterable[GuardResult]:
    return (GuardResult(g.name, g.version, "allow", status="skipped") for g in guards)


async def _ask(guard: Guard, check: TextCheck) -> tuple[Verdict, GuardStatus]:
    """The guard's verdict, or what stands for it when it fails, and how it ended."""
    try:
        answer: Any = guard.check(check)
        if isawaitable(answer):
            answer = await _before_deadline(answer, guard.deadline_seconds)
            if answer is None:
                return Verdict(guard.on_error, "guard.timeout"), "timeout"
    except Exception:  # noqa: BLE001 - a guard is foreign code; its text must not leak by its error
        return Verdict(guard.on_error, "guard.error"), "error"
    if not isinstance(answer, Verdict) or not _allowed(guard, check, answer):
        return Verdict(guard.on_error, "guard.wrong_answer"), "error"
    return answer, "ok"


async def _before_deadline(answer: Awaitable[Any], seconds: float) -> Any:
    """The answer; `None` if it is late, and `False` where the guard itself said `None`."""
    with anyio.move_on_after(seconds):
        given = await answer
        return False if given is None else given
    return None


def _allowed(guard: Guard, check: TextCheck, verdict: Verdict) -> bool:
    """Whether the verdict is one that this guard may give here, and well formed."""
    if verdict is ALLOW:
        return True
    try:
        checked(verdict)
    except Malformed:
        return False
    # A wish about consent is applied when the message is stored, so only early guards can read it.
    if verdict.consent is not None and not (guard.early and check.stage == "inbound"):
        return False
    if verdict.action == "modify":
        return guard.modifies and verdict.text is not None
    return verdict.action in {"allow", "block"}


def _decide(
    check: TextCheck,
    original: str,
    results: list[GuardResult],
    heard: list[Verdict],
    digest: Digest,
) -> Judged:
    enforced = verdicts.enforced(results)
    judged = digest(original)
    through = b"" if enforced == "block" else judged if enforced == "allow" else digest(check.text)
    decision = Decision(
        check.stage, verdicts.strictest(r.action for r in results), enforced,
        verdicts.leading_code(results), tuple(results), judged, through,
    )  # fmt: skip
    return Judged(
        "" if enforced == "block" else check.text,
        decision,
        next((v.say for v in heard if v.action == "block"), None),
        tuple(dict.fromkeys(label for v in heard for label in v.labels)),
        next((v.consent for v in heard if v.consent), None),
    )


def join(first: Decision, second: Decision) -> Decision:
    """One decision of two that judged the same message one after the other at the same stage."""
    results = first.results + second.results
    return Decision(
        first.stage, verdicts.strictest(r.action for r in results), verdicts.enforced(results),
        verdicts.leading_code(results), results, first.judged, second.enforced_digest,
    )  # fmt: skip


__all__ = ["Digest", "Judged", "join", "judge"]
