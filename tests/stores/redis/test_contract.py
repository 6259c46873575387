"""The contract on every kind of server, with the near cache and without."""

import pytest

from ctxbridge.stores.redis.resp import PythonReader
from ctxbridge.testing import StoreContract

from .conftest import LEAST_RIGHTS, make


class TestValkey(StoreContract):
    @pytest.fixture
    async def store(self, valkey):
        async with make(valkey.url) as store:
            yield store


class TestRedis70(StoreContract):
    @pytest.fixture
    async def store(self, redis70):
        async with make(redis70.url) as store:
            yield store


class TestUvloop(StoreContract):
    @pytest.fixture
    def anyio_backend(self):
        pytest.importorskip("uvloop")
        return "asyncio", {"use_uvloop": True}

    @pytest.fixture
    async def store(self, server):
        async with make(server.url) as store:
            yield store


class TestWithoutHiredis(StoreContract):
    @pytest.fixture
    async def store(self, server, monkeypatch):
        monkeypatch.setattr("ctxbridge.stores.redis.exchange.new_reader", PythonReader)
        async with make(server.url) as store:
            yield store


class TestResp2(StoreContract):
    """As with a client that was set to it: no near cache then."""

    @pytest.fixture
    async def store(self, server):
        async with make(f"{server.url}?protocol=2") as store:
            yield store


class TestWithoutNearCache(StoreContract):
    @pytest.fixture
    async def store(self, server):
        async with make(server.unix_url, near_cache=False) as store:
            yield store


class TestSentinels(StoreContract):
    @pytest.fixture
    async def store(self, sentinels):
        async with make(sentinels.url) as store:
            yield store


class TestReplicated(StoreContract):
    @pytest.fixture
    async def store(self, sentinels):
        async with make(sentinels.url, durability="replicated") as store:
            yield store


class TestCluster(StoreContract):
    @pytest.fixture
    async def store(self, cluster):
        async with make(cluster.url) as store:
            yield store


class TestTlsAndLeastRights(StoreContract):
    @pytest.fixture
    async def store(self, guarded_url):
        async with make(guarded_url) as store:
            yield store


class TestLeastRights(StoreContract):
    @pytest.fixture
    async def store(self, server):
        server.command("ACL", "SETUSER", "bot", *LEAST_RIGHTS.split())
        url = server.url.replace("redis://", "redis://bot:secret@")
        async with make(url) as store:
            yield store
