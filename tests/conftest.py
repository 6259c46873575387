"""What all tests share: both event loops, and the folder of foreign fixtures."""

import pytest

pytest.register_assert_rewrite(
    "ctxbridge.testing.contract.turns",
    "ctxbridge.testing.contract.reading",
    "ctxbridge.testing.contract.records",
    "ctxbridge.testing.machine",
)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every async test runs on both loops, unless its module says otherwise."""
    return request.param
