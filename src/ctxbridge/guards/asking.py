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

from ctxbridge.errors import ConfigurationError, Malformed, TooLarge, UsageError
from ctxbridge.guards.guard import ALLOW, TextCheck, deadline_of
from ctxbridge.guards.states import GuardStates
from ctxbridge.model import Action, GuardResult, Stage, Verdict
from ctxbridge.model.decision import GuardStatus, Mode
from ctxbridge.ports import Guard
from ctxbridge.rules.verdicts import STRICTNESS
from ctxbridge.wire.checked import checked

_LATE: Any = object()
_DEFERS: frozenset[Stage] = frozenset({"reply", "send"})
LONGEST_CODE = 64
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


async def ask(
    guard: Guard,
    check: TextCheck,
    digest: Callable[[str], bytes],
    known: Verdicts | None = None,
    states: GuardStates | None = None,
) -> Heard:
    """What the guard says of the text, and how it came to that."""
    started = perf_counter_ns()
    key = None
    if known is not None and getattr(guard, "once", False):
        key = (guard.name, guard.version, check.stage, check.assurance, digest(check.text))
        held = known.find(key)
        if held is not None:
            return _heard(guard, held, "cached", started)
    codec: Any = getattr(guard, "codec", None)
    if codec is not None:
        held = states.of(guard, check.stage) if states else codec.fresh()
        check = replace(check, state=held)
    verdict, status = await _verdict(guard, check)
    if verdict.state is not None and states is not None:
        # As it would be read back, so that it cannot be changed behind our back.
        states.keep(guard, check.stage, codec.decode(codec.encode(verdict.state)))
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
    try:
        answer: Any = guard.check
        if getattr(guard, "thread", False):
            answer = anyio.to_thread.run_sync(partial(answer, check), abandon_on_cancel=True)
        else:
            answer = answer(check)
        if isawaitable(answer):
            answer = await _before_deadline(answer, deadline_of(guard, check.channel))
        if answer is _LATE:
            on_timeout: Action = getattr(guard, "on_timeout", guard.on_error)
            return Verdict(on_timeout, "guard.timeout"), "timeout"
    except Exception:  # noqa: BLE001 - foreign code; its text must not leak by its error
        return Verdict(guard.on_error, "guard.error"), "error"
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit, _cancelled())):
            raise
        return Verdict(guard.on_error, "guard.error"), "error"
    if not isinstance(answer, Verdict) or not _allowed(guard, check, answer):
        return Verdict(guard.on_error, "guard.wrong_answer"), "error"
    return answer, "ok"


def _cancelled() -> type[BaseException]:
    return anyio.get_cancelled_exc_class()


async def _before_deadline(answer: Awaitable[Any], seconds: float) -> Any:
    """The answer, or `_LATE`."""
    with anyio.move_on_after(seconds):
        return await answer
    return _LATE


def _allowed(guard: Guard, check: TextCheck, verdict: Verdict) -> bool:
    """Whether the verdict is one that this guard may give here, and well formed."""
    if verdict is ALLOW:
        return True
    try:
        checked(replace(verdict, state=None))
        _require_storable(guard, verdict.state)
    except (Malformed, UsageError, TooLarge, ConfigurationError):
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
