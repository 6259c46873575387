"""A rollback while thousands of turns run on 20 workers in several processes, on real servers.

`CTXBRIDGE_STORM_SCALE` makes it larger, up to 2,000 turns. What is claimed and sent is noted outside
of the store. Where workers ask as if they knew any control, it must be seen that they claim too late.
"""

import pytest

from ctxbridge.testing.topologies import Cluster
from tests.faults.weather import times

from .crowd import Crowd

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quiet")]
TURNS = min(2_000, times(400))
LATER = TURNS // 20


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.parametrize(
    ("running", "pending"),
    [("retake", "withhold"), ("handoff", "release"), ("handoff", "withhold")],
)
async def test_nothing_leaves_afterwards_and_nobody_is_lost(server, tmp_path, running, pending):
    crowd = Crowd(server.url, tmp_path, TURNS, later=LATER)
    await crowd.blow(running=running, pending=pending)
    crowd.tell(f"{running}, {pending}")
    _require_good(crowd, running, pending)


async def test_on_a_cluster_too(some_binary, tmp_path):
    with Cluster(some_binary) as cluster:
        crowd = Crowd(cluster.url, tmp_path, TURNS, later=LATER)
        await crowd.blow()
    crowd.tell("on a Cluster")
    _require_good(crowd, "retake", "withhold")


def _require_good(crowd, running, pending):
    report = crowd.report
    assert not crowd.wrong[:5]
    assert len(report.stopped) > TURNS / 4
    assert bool(report.handed_over) == (running == "handoff")
    put_off = report.withheld if pending == "withhold" else report.released
    assert len(put_off) == LATER // 4 * 4
    assert len(report.asked_anew) == len(report.withheld)


async def test_workers_that_ask_as_if_they_knew_are_seen(server, tmp_path):
    """The negative control."""
    crowd = Crowd(server.url, tmp_path, 80, broken=True)
    await crowd.blow()
    crowd.tell("without the epoch")
    assert crowd.too_late
