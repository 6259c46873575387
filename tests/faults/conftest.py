"""What the fault tests share: asyncio, a quiet log, and a store of each kind."""

import logging

import pytest

from ctxbridge import open_store


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def quiet(caplog):
    """Faults are told in the log by the thousand."""
    caplog.set_level(logging.CRITICAL)


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def each_store(request, tmp_path):
    url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/faults.db"}.get(request.param)
    url = url or f"{request.getfixturevalue('server').url}?prefix={tmp_path.name}"
    async with open_store(url) as store:
        yield store
