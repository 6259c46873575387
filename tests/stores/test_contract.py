"""Every store keeps the contract, on both event loops."""

import pytest

from ctxbridge.stores import open_store
from ctxbridge.testing import StoreContract


class TestMemory(StoreContract):
    @pytest.fixture
    async def store(self):
        async with open_store("memory://") as store:
            yield store


class TestSqlite(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path):
        async with open_store(f"sqlite:///{tmp_path}/contract.db") as store:
            yield store
