"""A state machine that drives a store at random and compares it with the simplest possible model.

The model here shares no code with `rules`: it is a second, naive telling of the same promises, so a
mistake in either shows as a difference.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from ctxbridge.ports import Store
from ctxbridge.testing.machine.joining import JoiningRules
from ctxbridge.testing.machine.outbox import OutboxRules


class StoreMachine(JoiningRules, OutboxRules):
    """Use `store_machine` to make one for a store."""


def store_machine(
    make: Callable[[], AbstractAsyncContextManager[Store]], *, backend: str = "asyncio"
) -> type[StoreMachine]:
    """A state machine for the store that `make` gives, each time an empty one.

    Run it with ``hypothesis.stateful.run_state_machine_as_test``, or subclass its `TestCase`.
    """
    members = {"make": staticmethod(make), "backend": backend}
    return type("StoreMachineUnderTest", (StoreMachine,), members)


__all__ = ["StoreMachine", "store_machine"]
