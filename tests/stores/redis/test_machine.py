"""Random histories on real servers: what the naive model does, the store does."""

import os
from contextlib import asynccontextmanager

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from ctxbridge.model import RecordRead
from ctxbridge.stores.redis.near import NearCache
from ctxbridge.testing import store_machine
from tests.stores.test_machine import CALM

from .conftest import make

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("CTXBRIDGE_MACHINE_EXAMPLES", "40"))


def run(where, examples=EXAMPLES, **options):
    machine = store_machine(lambda: make(where, **options))
    run_state_machine_as_test(machine, settings=settings(CALM, max_examples=examples))


def test_valkey_follows_the_model(valkey):
    run(valkey.url)


def test_redis_70_follows_the_model(redis70):
    run(redis70.url, near_cache=False)


def test_sentinels_follow_the_model(sentinels):
    run(sentinels.url, durability="replicated", examples=EXAMPLES // 2)


def test_a_cluster_follows_the_model(cluster):
    run(cluster.url, examples=EXAMPLES // 2)


def test_least_rights_over_tls_follow_the_model(guarded_url):
    run(guarded_url, examples=EXAMPLES // 2)


def test_two_stores_on_one_server_follow_the_model_together(valkey):
    """What one of them writes, the near cache of the other must not hide."""
    run_state_machine_as_test(
        store_machine(lambda: both(valkey)), settings=settings(CALM, max_examples=EXAMPLES)
    )


@asynccontextmanager
async def both(server):
    async with make(server.url) as one, make(server.url, prefix=one.settings.prefix) as other:
        yield Alternating(one, other)


class Alternating:
    """Asks two stores in turn, each when the news of what the other did has had time to arrive.

    What is promised is no more than that: a cached look-up is behind others by the way of the news.
    """

    def __init__(self, *stores):
        self._stores = list(stores)

    def __getattr__(self, verb):
        self._stores.reverse()
        store = self._stores[0]

        async def ask(value):
            await store.records(RecordRead("another", "test", "nothing", 0))
            return await getattr(store, verb)(value)

        return ask


class Deaf(NearCache):
    """Broken on purpose: does not listen to what the server says of changes."""

    def heed(self, exchange, push):
        pass


def test_the_machine_finds_a_near_cache_that_does_not_listen(valkey, monkeypatch):
    monkeypatch.setattr("ctxbridge.stores.redis.store.NearCache", Deaf)
    with pytest.raises(Exception):  # noqa: B017 - any difference will do
        run_state_machine_as_test(
            store_machine(lambda: both(valkey)),
            settings=settings(CALM, max_examples=200, phases=[Phase.generate], derandomize=True),
        )
