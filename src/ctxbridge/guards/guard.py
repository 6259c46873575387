"""How a guard is written: a function, its stages, and what it answers."""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Action, Assurance, Contact, Context, Stage, Verdict

CheckFunction = Callable[[Any], Verdict | Awaitable[Verdict]]

STAGES_NOW: frozenset[Stage] = frozenset({"inbound", "reply"})


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


class FunctionGuard(Struct, frozen=True):
    """A guard made of a function; `guard` makes it."""

    name: str
    check: CheckFunction
    stages: frozenset[Stage]
    version: str = "1"
    early: bool = False
    modifies: bool = False
    deadline_seconds: float = 2.0
    on_error: Action = "block"


def guard(
    *stages: Stage,
    name: str = "",
    version: str = "1",
    early: bool = False,
    modifies: bool = False,
    deadline_seconds: float = 2.0,
    on_error: Action = "block",
) -> Callable[[CheckFunction], FunctionGuard]:
    """Make a guard of a sync or async function that takes a check and returns a `Verdict`.

    `stages` are ``"inbound"`` and ``"reply"``. An `early` guard judges the inbound message before
    anything is stored: it sees it without context, and again when a webhook is repeated. `modifies`
    allows it to answer `modify`. An async function has `deadline_seconds`. `on_error` (``"block"``
    or
    ``"allow"``) is what is enforced when it raises, is late, or returns anything but a `Verdict`.

    Raises `ConfigurationError` for a stage that does not exist.
    """
    if not stages or not STAGES_NOW.issuperset(stages):
        raise ConfigurationError(f"a guard's stages are among {sorted(STAGES_NOW)}")
    if early and "inbound" not in stages:
        raise ConfigurationError("an early guard stands at the stage 'inbound'")
    if on_error not in {"allow", "block"}:
        raise ConfigurationError("a guard's on_error is 'allow' or 'block'")

    def make(check: CheckFunction) -> FunctionGuard:
        called = name or getattr(check, "__name__", "guard")
        return FunctionGuard(
            called, check, frozenset(stages), version, early, modifies, deadline_seconds, on_error
        )

    return make


ALLOW = Verdict()
"""What a guard says that has nothing to object; always the same, so that it is known at once."""


def allow() -> Verdict:
    """Nothing to object."""
    return ALLOW


def modify(text: str, code: str, **more: Any) -> Verdict:
    """Let `text` through in place of what was judged."""
    return Verdict("modify", code, text=text, **more)


def block(code: str, *, say: str | None = None, **more: Any) -> Verdict:
    """Let nothing through; `say` is what the customer is told instead, `None` is silence."""
    return Verdict("block", code, say=say, **more)
