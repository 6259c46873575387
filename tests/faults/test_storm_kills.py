"""`kill -9` of workers and of the server while customers write: each message is answered once."""

import pytest

from ctxbridge.testing.servers import Server
from ctxbridge.testing.storm import Plan
from ctxbridge.testing.topologies import Cluster

from .weather import ALWAYS, QUICK, SCALE, account_of, kill_plan, server_kills, times

pytestmark = pytest.mark.slow
STAGES = {"open", "think", "commit", "send", "settle"}


@pytest.fixture(scope="module")
def durable(some_binary):
    """A server that has each write on the disk before it answers."""
    with Server(some_binary, *ALWAYS) as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def url(request, tmp_path):
    if request.param == "redis":
        return request.getfixturevalue("durable").url + f"?prefix={tmp_path.name}"
    return f"sqlite:///{tmp_path}/storm.db"


class TestWorkers:
    async def test_each_message_is_answered_once_though_workers_are_killed(self, url):
        account = await account_of(kill_plan(url, times(200)))
        assert account.good
        assert account.kills == times(200)
        assert account.answered == account.written
        # Each stage was hit by kills, or nothing was shown.
        assert {stage for stage in STAGES if account.killed_at[stage]} == STAGES

    async def test_where_a_provider_takes_no_key_nothing_is_sent_twice(self, url):
        account = await account_of(kill_plan(url, times(100), at_most_once=True))
        assert account.good
        assert account.answered == account.written
        assert account.repeated == 0
        assert account.unknown > 0

    async def test_one_who_sends_again_all_the_same_is_seen(self, url):
        """The negative control of the test above."""
        plan = kill_plan(
            url, 30, at_most_once=True, mishaps=0.2, variant="insistent", settle_seconds=2.0
        )
        account = await account_of(plan)
        assert account.repeated
        assert any("at most once" in problem for problem in account.problems)

    async def test_a_store_that_acknowledges_too_soon_is_seen(self, url):
        """The negative control: now and then a commit is dropped that was called committed."""
        plan = kill_plan(url, 10, messages=200, variant="hasty", settle_seconds=1.0)
        account = await account_of(plan)
        assert account.lost
        assert not account.good

    async def test_a_store_that_remembers_ids_in_another_step_is_seen(self, url):
        plan = kill_plan(url, 10, messages=200, variant="aside", settle_seconds=1.0)
        account = await account_of(plan)
        assert account.duplicated

    async def test_a_store_that_takes_stale_commits_is_seen(self, url):
        plan = Plan(url=url, messages=100, freezes=3, lease_seconds=0.2, settle_seconds=1.0,
                    think_seconds=0.05, variant="unfenced")  # fmt: skip
        account = await account_of(plan)
        assert account.duplicated

    async def test_and_one_that_takes_none_is_whole(self, url):
        plan = Plan(url=url, messages=100, freezes=5, lease_seconds=0.2, think_seconds=0.05)
        account = await account_of(plan)
        assert account.good
        assert account.freezes == 5

    async def test_on_a_cluster_each_message_is_answered_once_too(self, some_binary):
        with Cluster(some_binary, 3, 0, *ALWAYS) as cluster:
            account = await account_of(kill_plan(cluster.url, times(30)))
        assert account.good
        assert account.kills == times(30)
        assert account.answered == account.written


class TestServers:
    async def storm(self, server, kills, **more):
        plan = kill_plan(
            server.url,
            0,
            messages=1_000,
            think_seconds=0.005,
            store=QUICK,
            seconds=300 + kills,
            **more,
        )
        return await account_of(plan, server_kills(server, kills))

    async def test_each_message_is_answered_once_though_the_server_is_killed(self, some_binary):
        with Server(some_binary, *ALWAYS) as server:
            account = await self.storm(server, times(100))
        assert account.good
        assert account.answered == account.written
        assert "HistoryRolledBack" not in account.errors

    async def test_with_kills_of_both_too(self, some_binary):
        with Server(some_binary, *ALWAYS) as server:
            plan = kill_plan(server.url, times(50), store=QUICK, seconds=300 * max(1.0, SCALE))
            account = await account_of(plan, server_kills(server, times(25)))
        assert account.good

    async def test_a_server_without_a_log_loses_and_that_is_seen(self, some_binary):
        """The negative control: nothing is on the disk."""
        with Server(some_binary) as server:
            account = await self.storm(server, 2, settle_seconds=1.0)
        assert account.lost
        assert not account.good
