"""Every store keeps the contract, on both event loops."""

import pytest

from ctxbridge.stores import open_store
from ctxbridge.testing import StoreContract
from tests.stores.broken import FOUND_BY_THE_CONTRACT


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


@pytest.mark.parametrize(("broken", "promise"), FOUND_BY_THE_CONTRACT)
async def test_the_contract_finds_a_store_that_is_broken_on_purpose(broken, promise):
    """The negative control: each absence that is proven has a store in which it would be found."""
    async with broken() as store:
        with pytest.raises((AssertionError, ValueError, ExceptionGroup)):
            await getattr(StoreContract(), f"test_{promise}")(store)
