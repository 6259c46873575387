"""Twenty writers on two channels: nothing is lost, doubled or out of order, on any store."""

import pytest

from ctxbridge.testing.proxy import Proxy
from ctxbridge.testing.servers import Server
from ctxbridge.testing.storm import Plan

from .weather import ALWAYS, QUICK, account_of, cuts, times

pytestmark = pytest.mark.slow
TURNS = times(4_000)


def plan_of(url, **more):
    """Each message has a turn of its own."""
    plan = {
        "messages": TURNS, "customers": 10, "writers": 20, "overlap": "queue", "seconds": 300 + TURNS / 20, "settle_seconds": 60.0,
        "think_seconds": 0.001,
    }  # fmt: skip
    return Plan(url=url, **(plan | more))


def assert_whole(account):
    assert account.good
    assert account.written >= TURNS
    assert account.answered == account.turns == account.sent == account.written


async def test_in_memory():
    assert_whole(await account_of(plan_of("memory://")))


async def test_in_one_file_by_several_processes(tmp_path):
    assert_whole(await account_of(plan_of(f"sqlite:///{tmp_path}/storm.db")))


async def test_on_a_server_over_a_bad_line(some_binary):
    with Server(some_binary, *ALWAYS) as server:
        async with Proxy(port=server.port) as proxy:
            proxy.delay_seconds, proxy.late_seconds = 0.002, 0.3
            plan = plan_of(f"redis://127.0.0.1:{proxy.port}", store=QUICK)
            account = await account_of(plan, cuts(proxy))
            print(f"{proxy.lost} requests or answers lost, {proxy.connections} connections")
    assert_whole(account)
    assert proxy.lost > 50


@pytest.mark.parametrize("variant", ["forgetful", "aside"])
@pytest.mark.parametrize("where", ["memory", "sqlite"])
async def test_without_the_ids_in_the_same_step_messages_are_doubled(tmp_path, where, variant):
    """The negative controls: a store that forgets ids, and one that remembers them in another step."""
    url = "memory://" if where == "memory" else f"sqlite:///{tmp_path}/storm.db"
    plan = plan_of(url, messages=200, variant=variant, settle_seconds=1.0)
    account = await account_of(plan)
    assert account.duplicated
    assert not account.good
