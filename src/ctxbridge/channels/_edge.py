"""What every adapter does at its edge: it is total, it refuses, and it speaks in band."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import ParamSpec, TypeVar

from ctxbridge.errors import Malformed, SignatureInvalid
from ctxbridge.model import Message, Parsed, Verification

P = ParamSpec("P")
T = TypeVar("T")

UNFORESEEN = "the adapter did not foresee this input"
"""The reason given by `total`. The fuzz test fails on it: it marks a mistake in an adapter."""

UNREADABLE = Parsed(errors=(Malformed(UNFORESEEN),))
UNVERIFIABLE = Verification("failed", reason=UNFORESEEN)


def total(otherwise: T, /) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a method answer `otherwise` where it would raise.

    The last line of defence, for what nobody thought of: adapters read hostile bytes without it,
    and say themselves what is wrong with them.
    """

    def decorate(method: Callable[P, T]) -> Callable[P, T]:
        @wraps(method)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return method(*args, **kwargs)
            except Exception:  # noqa: BLE001 - any, or it would not be total
                return otherwise

        return guarded

    return decorate


def malformed(reason: str) -> Parsed:
    """Nothing could be read. `reason` is ours, and holds nothing of what was sent."""
    return Parsed(errors=(Malformed(reason),))


def refused(verification: Verification) -> Parsed | None:
    """What a request whose verification failed comes to: no event, and the reason."""
    if verification.status != "failed":
        return None
    return Parsed(errors=(SignatureInvalid(verification.reason or "the signature is not right"),))


def is_forged(outcome: Parsed) -> bool:
    """Whether the request was refused for its signature."""
    return any(isinstance(error, SignatureInvalid) for error in outcome.errors)


def spoken(answer: Sequence[Message]) -> list[Message]:
    """The messages that may leave in band: visible, with words, and not the contact's own."""
    return [m for m in answer if m.visible and m.text and m.author != "contact"]
