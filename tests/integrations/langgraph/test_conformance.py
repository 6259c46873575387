"""The suite that langgraph-checkpoint-conformance ships, as it is: every capability, every test."""

import pytest

pytest.importorskip("langgraph", reason="needs the extra: pip install ctxbridge[langgraph]")

from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability

from ctxbridge import Bridge
from ctxbridge.integrations.langgraph import BridgeSaver

# Three of the suite's tests put a second checkpoint without a parent into a thread, and want both.
# To a saver that is what two first messages at once look like: by default it is refused.
SECOND_ROOTS = {
    "test_list_metadata_filter_multiple_keys",
    "test_list_metadata_custom_keys",
    "test_delete_for_runs_preserves_other_runs",
}


async def report(place, kind, **options):
    @checkpointer_test(name=f"BridgeSaver on {kind}")
    async def saver():
        async with place(kind) as store, Bridge(store, tenant="shop") as bridge:
            yield BridgeSaver(bridge, **options)

    return await validate(saver)


async def test_every_capability_and_every_test_of_the_released_suite_passes(place, kind):
    found = await report(place, kind, on_conflict="fork")
    assert {name for name, one in found.results.items() if one.detected} == {
        c.value for c in Capability
    }
    assert {name: one.failures for name, one in found.results.items() if one.failures} == {}
    assert found.passed_all()
    assert found.conformance_level() == "FULL"
    assert sum(one.tests_passed for one in found.results.values()) == 81


async def test_by_default_nothing_but_a_second_root_is_refused(place, kind):
    found = await report(place, kind)
    failures = [text for one in found.results.values() for text in one.failures]
    assert {text.split(":")[0] for text in failures} == SECOND_ROOTS
    assert all("another run has moved this thread on" in text for text in failures)


async def test_the_suite_finds_a_saver_that_is_broken_on_purpose(place):
    class Forgetful(BridgeSaver):
        async def aput_writes(self, config, writes, task_id, task_path=""):
            await super().aput_writes(config, writes[:1], task_id, task_path)

    @checkpointer_test(name="forgetful")
    async def saver():
        async with place("memory") as store, Bridge(store, tenant="shop") as bridge:
            yield Forgetful(bridge, on_conflict="fork")

    found = await validate(saver)
    assert found.results["put_writes"].tests_failed
