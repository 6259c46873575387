"""A webhook costs us no more than its provider's own SDK takes for it, and both read the same."""

import asyncio
from pathlib import Path
from random import Random

import pytest
from bench.harness import Plan, Unequal, mean

from bench import channels

pytestmark = pytest.mark.alone

CASES = channels.cases()
PLAN = Plan(quick=True, folder=Path(), random=Random(5))


@pytest.mark.parametrize("name", CASES)
def test_ours_takes_no_more_than_a_multiple_of_the_sdk(name, monkeypatch):
    monkeypatch.setattr(channels, "CALLS", 100)
    trial = asyncio.run(channels.measure(PLAN, name, CASES[name], rounds=5))
    assert trial.times(f"{name}, ours", f"{name}, SDK", mean).median <= 2.0


def test_one_that_reads_something_else_is_not_measured():
    request, ours, _ = CASES["Twilio SMS"]
    with pytest.raises(Unequal):
        asyncio.run(
            channels.measure(PLAN, "Twilio SMS", (request, ours, lambda _: ("x", "y")), rounds=1)
        )
