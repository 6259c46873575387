"""How a guard is written: a function, its stages, and what it answers."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypedDict, Unpack, get_args

from msgspec import Struct

from ctxbridge.errors import ConfigurationError
from ctxbridge.model import (
    Action,
    Address,
    Assurance,
    Contact,
    Context,
    Message,
    Purpose,
    Stage,
    Verdict,
)
from ctxbridge.model.decision import Mode
from ctxbridge.wire.typed import StateCodec

CheckFunction = Callable[[Any], Verdict | Awaitable[Verdict]]

STAGES: frozenset[Stage] = frozenset(get_args(Stage))
FAILURES: frozenset[Action] = frozenset({"allow", "warn", "escalate", "block"})
"""What may be enforced where there is no verdict."""

DEADLINES = {"chat": 0.3, "sms": 2.0, "email": 30.0}
"""How long an async guard may take on a channel, unless it says otherwise: a mail can wait."""
DEADLINE_ELSEWHERE_SECONDS = 2.0


class TextCheck(Struct, frozen=True, gc=False):
    """What a guard is shown; see `ctxbridge.ports.Check`."""

    stage: Stage
    text: str
    channel: str
    assurance: Assurance
    now: int
    flags: tuple[str, ...] = ()
    contact: Contact | None = None
    context: Context | None = None
    purpose: Purpose = "service"
    address: Address | None = None
    """Who wrote it, or to whom it goes."""
    said_before: int = 0
    """How many messages of this turn the customer gets before this one."""
    message: Message | None = None
    """At `context` the message that a model would see: who wrote it, when, by which channel."""
    tool: str = ""
    """At `tool_call` and `tool_result` the tool's name; the text is its arguments or its answer."""
    state: Any = None
    """What this guard keeps of the conversation, of the type that it named; never to be changed in
    place: give another with `Verdict.with_state`."""


class GuardOptions(TypedDict, total=False):
    """The options of `guard`, which tells what they mean."""

    name: str
    version: str
    early: bool
    modifies: bool
    deadline_seconds: float | None
    on_error: Action
    on_timeout: Action
    mode: Mode
    once: bool
    thread: bool
    overlap: bool
    state: type[Any] | None


class FunctionGuard(Struct, frozen=True):
    """A guard made of a function; `guard` makes it."""

    name: str
    check: CheckFunction
    stages: frozenset[Stage]
    version: str = "1"
    early: bool = False
    modifies: bool = False
    deadline_seconds: float | None = None
    on_error: Action = "block"
    on_timeout: Action = "block"
    mode: Mode = "enforce"
    once: bool = False
    thread: bool = False
    judges: bool = False
    """Whether it is async: then it runs beside the others, and cannot modify."""
    overlap: bool = False
    codec: StateCodec[Any] | None = None
    """How its state is written, if it has one."""


def guard(
    *stages: Stage, **options: Unpack[GuardOptions]
) -> Callable[[CheckFunction], FunctionGuard]:
    """Make a guard of a sync or async function that takes a check and returns a `Verdict`.

    `stages` are among ``inbound``, ``context``, ``tool_call``, ``tool_result``, ``reply`` and
    ``send``. Options, each with its default:

    - `name` (that of the function) and `version="1"` stand in decisions and traces; change the
      version whenever it may judge otherwise.
    - `early=False`: judges the inbound message before anything is stored. It sees it without
      context, and again when a webhook is repeated. Sync only.
    - `modifies=False`: it may answer `modify`. Sync only, for others judge beside it.
    - `deadline_seconds`: how long an async function may take. Without, 0.3 s on chat, 2 s on SMS,
      30 s on mail.
    - `on_error="block"`, `on_timeout="block"`: what is enforced where it raises or answers
      nonsense, and where it is late: ``block``, ``escalate``, ``warn`` or ``allow``.
    - `mode="enforce"`: with ``observe`` its verdicts are recorded and change nothing, with ``off``
      it is not asked.
    - `once=False`: a text that it has judged is not judged again by the same version.
    - `thread=False`: a sync function that takes longer than a millisecond runs in a thread.
    - `overlap=False`: at ``inbound``, an async guard is asked while the agent thinks already.
      Nothing irreversible comes before its verdict: see `Turn.cleared`.
    - `state=None`: the type of what it keeps of a conversation, declared as a bridge's `state` is:
      `check.state` gives it, `Verdict.with_state` changes it, and it is saved with the turn. Where
      a message leaves later than its turn it is only read at ``send``.

    Raises `ConfigurationError` for what makes no sense together.
    """
    if not stages or not STAGES.issuperset(stages):
        raise ConfigurationError(f"a guard's stages are among {sorted(STAGES)}")
    rest: Any = {key: value for key, value in options.items() if key not in {"name", "state"}}
    state = options.get("state")
    if state is not None:
        rest["codec"] = StateCodec(state)

    def make(check: CheckFunction) -> FunctionGuard:
        judges = inspect.iscoroutinefunction(check) or inspect.iscoroutinefunction(
            getattr(check, "__call__", None)  # noqa: B004 - an object with an async __call__
        )
        named = str(options.get("name") or getattr(check, "__name__", "guard"))
        made = FunctionGuard(named, check, frozenset(stages), judges=judges, **rest)
        _require_sense(made)
        return made

    # What makes no sense whatever the function is told at once.
    _require_sense(FunctionGuard("", _nothing, frozenset(stages), **rest))
    return make


def _nothing(_: TextCheck) -> Verdict:
    return ALLOW


def _require_sense(made: FunctionGuard) -> None:
    """Raise `ConfigurationError` for a guard that could not do what it is told to."""
    deadline = made.deadline_seconds
    wrong = {
        "an early guard stands at the stage 'inbound'": made.early and "inbound" not in made.stages,
        "on_error and on_timeout are block, escalate, warn or allow": not FAILURES.issuperset(
            (made.on_error, made.on_timeout)
        ),
        "a mode is enforce, observe or off": made.mode not in get_args(Mode),
        "a deadline is a positive number of seconds": deadline is not None and deadline <= 0,
        "an async guard cannot modify: it runs beside the others": made.judges and made.modifies,
        "an async guard cannot be early: nothing is stored before it has answered": (
            made.judges and made.early
        ),
        "an async function needs no thread": made.judges and made.thread,
        "only an async guard at 'inbound' can overlap the agent": (
            made.overlap
            and made.check is not _nothing
            and not (made.judges and "inbound" in made.stages)
        ),
        "an early guard has no state: nothing is read before it was asked": (
            made.early and made.codec is not None
        ),
        "names that begin with 'ctxbridge.' are kept for what stands beside the guards' states": (
            made.name.startswith("ctxbridge.") and made.codec is not None
        ),
        "a guard with a state is asked every time: it cannot judge once": (
            made.once and made.codec is not None
        ),
    }
    for what, is_so in wrong.items():
        if is_so:
            raise ConfigurationError(what)


def deadline_of(made: Any, channel: str) -> float:
    """How long the guard may take on this channel, in seconds."""
    given: float | None = made.deadline_seconds
    return DEADLINES.get(channel, DEADLINE_ELSEWHERE_SECONDS) if given is None else given


ALLOW = Verdict()
"""What a guard says that has nothing to object; always the same, so that it is known at once."""


def allow() -> Verdict:
    """Nothing to object."""
    return ALLOW


def warn(code: str, **more: Any) -> Verdict:
    """Let it through, and note that something is odd."""
    return Verdict("warn", code, **more)


def modify(text: str, code: str, **more: Any) -> Verdict:
    """Let `text` through in place of what was judged."""
    return Verdict("modify", code, text=text, **more)


def defer(until: int, code: str, **more: Any) -> Verdict:
    """Let it through later, at `until` (Unix milliseconds); at ``reply`` and ``send``."""
    return Verdict("defer", code, until=until, **more)


def escalate(to: str, code: str, *, say: str | None = None, **more: Any) -> Verdict:
    """Let nothing through, and let a person decide: `to` names a queue or a role."""
    return Verdict("escalate", code, say=say, to=to, **more)


def block(code: str, *, say: str | None = None, **more: Any) -> Verdict:
    """Let nothing through; `say` is what the customer is told instead, `None` is silence."""
    return Verdict("block", code, say=say, **more)
