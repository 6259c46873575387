"""Random histories: each store does what the naive model does, and a broken one is found out."""

import os
import shutil
import tempfile
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from ctxbridge.stores import open_store
from ctxbridge.testing import store_machine
from tests.stores.broken import FOUND_BY_THE_MACHINE

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("CTXBRIDGE_MACHINE_EXAMPLES", "60"))
CALM = settings(
    deadline=None, stateful_step_count=40, suppress_health_check=list(HealthCheck), database=None
)


@asynccontextmanager
async def sqlite():
    folder = tempfile.mkdtemp()
    try:
        async with open_store(f"sqlite:///{folder}/machine.db?synchronous=normal") as store:
            yield store
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_memory_follows_the_model(backend):
    machine = store_machine(lambda: open_store("memory://"), backend=backend)
    run_state_machine_as_test(machine, settings=settings(CALM, max_examples=EXAMPLES))


def test_sqlite_follows_the_model():
    run_state_machine_as_test(store_machine(sqlite), settings=settings(CALM, max_examples=EXAMPLES))


@pytest.mark.parametrize("broken", FOUND_BY_THE_MACHINE)
def test_the_machine_finds_a_store_that_is_broken_on_purpose(broken):
    """The negative control: a machine that cannot fail proves nothing.

    The hardest to find takes some 200 histories on the average, so that 4,000 do not miss it.
    """
    with pytest.raises(Exception):  # noqa: B017 - any difference will do
        run_state_machine_as_test(
            store_machine(broken),
            settings=settings(CALM, max_examples=4000, phases=[Phase.generate], derandomize=True),
        )
