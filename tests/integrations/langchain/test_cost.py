"""What a turn costs, counted: in calls that wait for the store, and in bytes."""

from random import Random

import pytest

pytest.importorskip("langchain", reason="needs the extra: pip install ctxbridge[langchain]")
pytest.importorskip("langgraph.checkpoint.sqlite", reason="needs langgraph-checkpoint-sqlite")

from bench import checkpoints


async def test_a_turn_with_the_middleware_takes_two_steps_however_long_the_conversation():
    cost = await checkpoints.measured("turn and middleware", 60, Random(1))
    assert (cost.steps_short, cost.steps_long) == (2, 2)


async def test_with_a_checkpointer_it_takes_seven_and_the_file_does_not_grow_by_the_history():
    ours = await checkpoints.measured("turn and middleware, BridgeSaver, exit", 60, Random(1))
    assert (ours.steps_short, ours.steps_long) == (7, 7)
    theirs = await checkpoints.measured("AsyncSqliteSaver, durability exit", 60, Random(1))
    assert theirs.bytes > 5 * ours.bytes
    assert theirs.steps_long > ours.steps_long
