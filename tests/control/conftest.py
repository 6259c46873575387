"""Bridges with two releases over each store, as two processes would have them."""

import logging
from collections.abc import Callable

import pytest

from ctxbridge import Bridge
from tests.bridge.conftest import another, bridge, clock  # noqa: F401 - fixtures
from tests.bridge.test_guards import Pigeon


class Agents:
    """An agent in two versions, which says which it is, and what it was asked.

    What a test puts into `before` happens while the agent thinks.
    """

    def __init__(self):
        self.before: dict[str, Callable] = {}
        self.asked: list[tuple[str, str]] = []

    def version(self, name):
        async def answer(turn):
            self.asked.append((name, turn.inbound.text))
            if name in self.before:
                await self.before[name](turn)
            return f"{name}: {turn.inbound.text}"

        return answer


@pytest.fixture
def agents():
    return Agents()


@pytest.fixture
def pigeon():
    return Pigeon()


@pytest.fixture
def deploy(bridge, clock, agents, pigeon):  # noqa: F811
    """Makes bridges over the same store on which v11 and v12 are deployed."""

    def make(*versions, **options):
        options = {"senders": [pigeon], "clock": clock, "wait_seconds": 0.01, **options}
        one = Bridge(bridge.store, tenant="acme", **options)
        for version in versions or ("v11", "v12"):
            one.deploy(f"support@{version}", agents.version(version))
        return one

    return make


@pytest.fixture
def quiet(caplog):
    """Turns are stopped by the thousand, and each is told in the log."""
    caplog.set_level(logging.CRITICAL)
