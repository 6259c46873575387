"""Random histories: each store does what the naive model does, and a broken one is found out."""

import os
import shutil
import tempfile
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from msgspec.structs import replace

from ctxbridge.stores import open_store
from ctxbridge.stores.memory import MemoryStore
from ctxbridge.testing import store_machine

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


class WithoutFence(MemoryStore):
    """Broken on purpose: takes a commit from whoever comes."""

    async def commit(self, change, /):
        if change.fence is not None and (
            home := self._contacts.get((change.tenant, change.contact))
        ):
            change = replace(change, fence=home.head.fence, turn=home.head.turn)
        return await super().commit(change)


class WithoutDedupe(MemoryStore):
    """Broken on purpose: forgets which ids it has seen."""

    async def open(self, claim, /):
        self._seen.clear()
        return await super().open(claim)


class WithoutGate(MemoryStore):
    """Broken on purpose: never closes the gate on what was prepared before."""

    async def commit(self, change, /):
        home = self._contacts.get((change.tenant, change.contact))
        return await super().commit(replace(change, gate_epoch=home.head.gate_epoch if home else 0))


@pytest.mark.parametrize("broken", [WithoutFence, WithoutDedupe, WithoutGate])
def test_the_machine_finds_a_store_that_is_broken_on_purpose(broken):
    """The negative control: a machine that cannot fail proves nothing."""
    with pytest.raises(Exception):  # noqa: B017 - any difference will do
        run_state_machine_as_test(
            store_machine(broken),
            settings=settings(CALM, max_examples=1000, phases=[Phase.generate], derandomize=True),
        )
