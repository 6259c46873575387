"""The arithmetic of the bench, without its stores."""

from pathlib import Path
from random import Random

import pytest

from bench import harness, report


def sample(seconds, operations=100):
    return harness.Sample(operations, seconds, seconds / 2, [1.0, 2.0, 3.0], {"commands": 1.0})


async def trial(order):
    def variant(name, times):
        left = iter(times)

        async def take():
            order.append(name)
            return sample(next(left))

        return harness.Variant(name, take)

    plan = harness.Plan(quick=True, folder=Path(), random=Random(3))
    variants = [variant("ours", [9, 1, 2, 4]), variant("peer", [9, 2, 6, 4])]
    return await harness.compare(plan, "look-up", variants, rounds=3, callers=1)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
class TestCompare:
    async def test_ratios_are_taken_inside_a_round_and_the_warm_up_is_left_out(self):
        found = await trial([])
        assert found.times("ours", "peer", harness.per_second) == harness.Spread(2.0, 1.0, 3.0)
        assert found.over("peer", "ours", harness.mean) == harness.Spread(1e4, 0.0, 4e4)

    async def test_every_round_takes_every_variant_once(self):
        order = []
        await trial(order)
        pairs = [set(order[at : at + 2]) for at in range(0, 8, 2)]
        assert pairs == [{"ours", "peer"}] * 4

    async def test_a_row_has_the_median_and_what_was_counted(self):
        [row, _] = (await trial([])).rows("peer")
        assert (row.variant, row.operations_per_second, row.p50_us) == ("ours", 50.0, 2.0)
        assert row.counters == {"commands": 1.0}

    async def test_callers_share_the_arguments_and_each_is_called_once(self):
        called = []

        async def call(argument):
            called.append(argument)

        taken = await harness.by_callers(3, call, range(10))
        assert sorted(called) == list(range(10))
        assert taken.operations == len(taken.microseconds) == 10

    async def test_blocks_call_once_per_argument(self):
        called = []

        async def call(argument):
            called.append(argument)

        taken = await harness.in_blocks(call, range(250))
        assert called == list(range(250))
        assert (taken.operations, len(taken.microseconds)) == (250, 3)

    async def test_a_curve_runs_over_the_calls_of_all_rounds(self):
        curve = (await trial([])).curve("ours")
        assert len(curve) == len(harness.PERCENTILES)
        assert (curve[0], curve[len(curve) // 2], curve[-1]) == (1.0, 2.0, 3.0)


def test_variants_that_answer_otherwise_are_named():
    with pytest.raises(harness.Unequal, match=r"look-up: 'peer' answers otherwise than 'ours'"):
        harness.require_equal("look-up", {"ours": 1, "same": 1, "peer": 2})


@pytest.mark.parametrize(
    ("sense", "measured", "load", "ok"),
    [
        (">=", 3.0, 1.0, True),
        (">=", 2.9, 1.0, False),
        ("<=", 0.5, 1.0, True),
        ("<=", 0.6, 1.0, False),
        (">=", 9.0, 2.5, None),
    ],
)
def test_a_goal_is_judged_unless_the_machine_is_busy(sense, measured, load, ok):
    target = 3.0 if sense == ">=" else 0.5
    made = report.Report({}, 0.5, load, cores=2)
    made.goals = [
        harness.Goal("F", "what", sense, target, "x", harness.Spread(measured, measured, measured))
    ]
    made.judge()
    assert made.as_json()["goals"][0]["ok"] is ok
    assert ("too busy" in made.as_markdown()) == (ok is None)


def test_what_was_counted_is_judged_on_a_busy_machine_too():
    made = report.Report({}, 0.5, 9.0, cores=2)
    made.goals = [harness.counted("G", "commands", 1, 1), harness.counted("H", "errors", 0, 3)]
    made.judge()
    assert [goal.ok for goal in made.goals] == [True, False]


def test_what_a_scenario_counts_gets_a_column():
    one = harness.Spread(1.0, 1.0, 1.0)
    row = harness.Row("look-up", "ours", 1, 10.0, 1.0, 2.0, 3.0, "peer", one, {"commands": 2.0}, "")
    made = report.Report({"packages": {"ctxbridge": "1"}}, 0.0, 0.0, 2, rows=[row])
    printed = made.as_markdown()
    assert "commands per call |" in printed
    assert "| ours | 10 | 1.00 (1.00 to 1.00) | 1.00 | 2.00 | 3.00 | 2.00 |" in printed
