"""Asks one guard, and makes of whatever it does a verdict and a status.

A guard is foreign code: it may raise anything, hang, answer nonsense or block a thread. None of
that leaves this file but as a recorded status and the action that was asked for in that case.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial
from inspect import isawaitable
from time import perf_counter_ns
from typing import Any

import anyio
import anyio.to_thread
from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.errors import Malformed, StateUnreadable, TooLarge, UsageError
from ctxbridge.guards.guard import ALLOW, TextCheck, deadline_of
from ctxbridge.guards.states import GuardStates
from ctxbridge.model import Action, GuardResult, Stage, Verdict
from ctxbridge.model.decision import GuardStatus, Mode
from ctxbridge.ports import Guard
from ctxbridge.rules.verdicts import STRICTNESS
from ctxbridge.telemetry import Guarding, guard_failed
from ctxbridge.wire.checked import checked

_DEFERS: frozenset[Stage] = frozenset({"reply", "send"})
_TIMEOUT: GuardStatus = "timeout"
LONGEST_CODE = 64
_MICROSECOND = 1_000
LONGEST_TO = 64
LONGEST_SAY = 4096
LARGEST_STATE_BYTES = 4096


class Heard(Struct, frozen=True, gc=False):
    """What was heard of one guard."""

    verdict: Verdict
    result: GuardResult

    @property
    def enforced(self) -> Action:
        """What it can enforce: nothing, where it only observes."""
        return self.verdict.action if self.result.mode == "enforce" else "allow"

    @classmethod
    def allowing(cls, guard: Guard) -> "Heard":
        """A guard that had nothing to object, within a microsecond."""
        mode: Mode = getattr(guard, "mode", "enforce")
        return cls(ALLOW, GuardResult(guard.name, guard.version, "allow", mode=mode))

    @classmethod
    def skipped(cls, guard: Guard) -> "Heard":
        """A guard that was not asked, or not waited for."""
        result = GuardResult(guard.name, guard.version, "allow", status="skipped")
        return cls(ALLOW, result)


class Verdicts:
    """Verdicts by guard, version, stage, sender's assurance and text: each text is judged once.

    Holds digests, never a text; at most `most` of them, the oldest go first.
    """

    def __init__(self, most: int = 4_096) -> None:
        self._most = most
        self._known: OrderedDict[tuple[Any, ...], Verdict] = OrderedDict()

    def find(self, key: tuple[Any, ...]) -> Verdict | None:
        """What was said of the text, if it is known."""
        return self._known.get(key)

    def learn(self, key: tuple[Any, ...], verdict: Verdict) -> None:
        """Remember it."""
        self._known[key] = verdict
        if len(self._known) > self._most:
            self._known.popitem(last=False)


def ask_at_once(guard: Guard, check: TextCheck, allowing: Heard) -> "Heard | Awaitable[Heard]":
    """What a guard says that is asked in place; to be awaited where its answer is.

    The way of most guards, so it makes no coroutine and builds as little as it can: `allowing` is
    what is heard of one that allows within a microsecond.
    """
    started = perf_counter_ns()
    try:
        answer: Any = guard.check(check)
    except BaseException as error:  # noqa: BLE001 - foreign code
        return _heard(guard, *_failed_at_once(guard, check, error), started)
    if answer is ALLOW:
        if perf_counter_ns() - started < _MICROSECOND:
            return allowing
    elif isawaitable(answer):
        return _ask_awaiting(guard, check, answer, started)
    return _heard(guard, *_understood_at_once(guard, check, answer), started)


async def _ask_awaiting(
    guard: Guard, check: TextCheck, answer: Awaitable[Any], started: int
) -> Heard:
    return _heard(guard, *await _in_time(guard, check, answer), started)


async def ask(
    guard: Guard,
    check: TextCheck,
    digest: Callable[[str], bytes],
    known: Verdicts | None = None,
    states: GuardStates | None = None,
) -> Heard:
    """What any guard says of the text, and how it came to that."""
    started = perf_counter_ns()
    key = None
    if known is not None and getattr(guard, "once", False):
        key = (guard.name, guard.version, check.stage, check.assurance, digest(check.text))
        held = known.find(key)
        if held is not None:
            return _heard(guard, held, "cached", started)
    codec: Any = getattr(guard, "codec", None)
    if codec is not None:
        state = states.of(guard, check.stage) if states else codec.fresh()
        check = replace(check, state=state)
    verdict, status = await _verdict(guard, check)
    if verdict.state is not None and states is not None:
        states.keep(guard, check.stage, verdict.state)
    if key is not None and known is not None and status == "ok":
        known.learn(key, verdict)
    return _heard(guard, verdict, status, started)


def _heard(guard: Guard, verdict: Verdict, status: GuardStatus, started: int) -> Heard:
    mode: Mode = getattr(guard, "mode", "enforce")
    took = (perf_counter_ns() - started) // 1000
    return Heard(
        verdict,
        GuardResult(guard.name, guard.version, verdict.action, verdict.code, status, mode, took),
    )


async def _verdict(guard: Guard, check: TextCheck) -> tuple[Verdict, GuardStatus]:
    """The guard's verdict, or what stands for it when it fails, and how it ended."""
    answer: Any
    try:
        if getattr(guard, "thread", False):
            work = partial(guard.check, check)
            answer = anyio.to_thread.run_sync(work, abandon_on_cancel=True)
        else:
            answer = guard.check(check)
    except BaseException as error:  # noqa: BLE001 - foreign code
        return _failed_at_once(guard, check, error)
    if isawaitable(answer):
        return await _in_time(guard, check, answer)
    return _understood_at_once(guard, check, answer)


async def _in_time(
    guard: Guard, check: TextCheck, answer: Awaitable[Any]
) -> tuple[Verdict, GuardStatus]:
    """What an answer comes to that has to be awaited, before the guard's deadline."""
    with Guarding(guard, check.stage) as step:
        why = "timeout"
        on_timeout: Action = getattr(guard, "on_timeout", guard.on_error)
        verdict, status = Verdict(on_timeout, "guard.timeout"), _TIMEOUT
        try:
            with anyio.move_on_after(deadline_of(guard, check.channel)):
                verdict, status = _understood(guard, check, await answer)
                why = "" if status == "ok" else verdict.code
        except BaseException as error:  # noqa: BLE001 - foreign code
            verdict, status = _failed(guard, error)
            why = type(error).__name__
        step.said(verdict.action, verdict.code, status, why)
    return verdict, status


def _failed_at_once(
    guard: Guard, check: TextCheck, error: BaseException
) -> tuple[Verdict, GuardStatus]:
    verdict, status = _failed(guard, error)
    guard_failed(guard, check.stage, verdict.action, verdict.code, type(error).__name__)
    return verdict, status


def _understood_at_once(guard: Guard, check: TextCheck, answer: Any) -> tuple[Verdict, GuardStatus]:
    verdict, status = _understood(guard, check, answer)
    if status == "error":
        guard_failed(guard, check.stage, verdict.action, verdict.code, verdict.code)
    return verdict, status


def _failed(guard: Guard, error: BaseException) -> tuple[Verdict, GuardStatus]:
    """What stands for the verdict of a guard that raised; its own words could be the customer's."""
    if not isinstance(error, Exception) and isinstance(
        error, (KeyboardInterrupt, SystemExit, GeneratorExit, anyio.get_cancelled_exc_class())
    ):
        raise error
    return Verdict(guard.on_error, "guard.error"), "error"


def _understood(guard: Guard, check: TextCheck, answer: Any) -> tuple[Verdict, GuardStatus]:
    """The answer, if it is one that this guard may give here."""
    if answer is ALLOW:
        return ALLOW, "ok"
    if not isinstance(answer, Verdict) or not _allowed(guard, check, answer):
        return Verdict(guard.on_error, "guard.wrong_answer"), "error"
    return answer, "ok"


def _allowed(guard: Guard, check: TextCheck, verdict: Verdict) -> bool:
    """Whether the verdict is one that this guard may give here, and well formed."""
    try:
        checked(replace(verdict, state=None))
        _require_storable(guard, verdict.state)
    except (Malformed, UsageError, TooLarge, StateUnreadable):
        return False
    if verdict.action not in STRICTNESS or len(verdict.code) > LONGEST_CODE:
        return False
    # A wish about consent is applied when the message is stored, so only early guards can read it.
    if verdict.consent is not None and not (guard.early and check.stage == "inbound"):
        return False
    if any(not 0 <= f.start <= f.end <= len(check.text) for f in verdict.findings):
        return False
    return _makes_sense(guard, check, verdict)


def _require_storable(guard: Guard, state: Any) -> None:
    """Raise `UsageError` or `TooLarge` for a state that could not be saved or read again."""
    if state is None:
        return
    codec = getattr(guard, "codec", None)
    if codec is None:
        raise UsageError("a guard that names no type of state keeps none")
    encoded = codec.encode(state)
    if len(encoded) > LARGEST_STATE_BYTES:
        raise TooLarge("a guard's state", len(encoded), LARGEST_STATE_BYTES)
    codec.decode(encoded)


def _makes_sense(guard: Guard, check: TextCheck, verdict: Verdict) -> bool:
    match verdict.action:
        case "modify":
            return guard.modifies and verdict.text is not None
        case "defer":
            return check.stage in _DEFERS and verdict.until > 0
        case "escalate":
            return len(verdict.to) <= LONGEST_TO and len(verdict.say or "") <= LONGEST_SAY
        case _:
            return len(verdict.say or "") <= LONGEST_SAY
