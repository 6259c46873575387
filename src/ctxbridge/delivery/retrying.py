"""When an attempt that surely failed is made again: exponential, with full jitter, by tenacity.

The waiting itself is done by the outbox, which outlives the process; only the times come from here.
"""

from functools import cache
from types import SimpleNamespace
from typing import Any

from ctxbridge.errors import ConfigurationError

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 900.0
MOST_ATTEMPTS = 12
"""Over about an hour, with these times. What then has not left is dead, and can be replayed."""


@cache
def _waits() -> Any:
    try:
        from tenacity import wait_random_exponential
    except ImportError:
        raise ConfigurationError(
            'sending needs tenacity: pip install "ctxbridge[delivery]"'
        ) from None
    return wait_random_exponential(multiplier=FIRST_SECONDS, max=LONGEST_SECONDS)


def require() -> None:
    """Raise `ConfigurationError` where what this needs is not installed."""
    _waits()


def seconds_after(attempt: int, retry_after: float) -> float:
    """How long to wait after the attempt of this number; never less than the provider asked for."""
    state = SimpleNamespace(attempt_number=attempt)
    return max(float(_waits()(state)), retry_after)
