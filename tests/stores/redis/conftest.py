"""Real servers, one of each kind for all tests of a process; each test has a prefix of its own."""

from itertools import count

import pytest

from ctxbridge.stores.redis import RedisStore
from ctxbridge.testing.servers import Server, binaries
from ctxbridge.testing.topologies import Cluster, SentinelSet
from tests.conftest import binary

BINARIES = binaries()
LEAST_RIGHTS = (
    "on >secret resetkeys ~cb:* resetchannels -@all "
    "+eval +evalsha +lrange +lindex +llen +rpush +ltrim +lset +hget +hset +hmget +hgetall +hdel "
    "+hlen +zadd +zrem +zscore +zrangebyscore +zremrangebyscore +get +getrange +set +del +rename +pttl "
    "+pexpire +time +scan +wait +asking +hello +auth +info +config|get +role +client|tracking +cluster|slots "
    "+cluster|shards"
)
_numbers = count(1)


@pytest.fixture
def anyio_backend():
    return "asyncio"


def any_binary():
    return binary("valkey" if "valkey" in BINARIES else "redis")


def new_prefix():
    return f"cb:{next(_numbers)}"


def make(where, **options):
    """A store under a prefix of its own, on the test's clock, quick to give up."""
    options = {"prefix": new_prefix(), "clock": "caller", "deadline_seconds": 5.0} | options
    return RedisStore(where, **options)


@pytest.fixture(scope="session")
def valkey():
    with Server(binary("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def redis70():
    with Server(binary("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def sentinels(some_binary):
    with SentinelSet(some_binary) as servers:
        yield servers


@pytest.fixture(scope="session")
def cluster(some_binary):
    with Cluster(some_binary) as servers:
        yield servers


@pytest.fixture(scope="session")
def guarded():
    """TLS alone, and a user who may do what the page says and nothing else."""
    with Server(binary("redis"), tls=True) as server:
        server.command("ACL", "SETUSER", "bot", *LEAST_RIGHTS.split())
        yield server


@pytest.fixture(scope="session")
def guarded_url(guarded):
    return guarded.tls_url.replace("rediss://", "rediss://bot:secret@")


@pytest.fixture
async def far(server):
    async with make(server.url, near_cache=False) as store:
        yield store


@pytest.fixture
async def near(server):
    async with make(server.url) as store:
        yield store


@pytest.fixture(scope="module", params=sorted(BINARIES))
def own(request):
    """A server of each flavour, and somebody who reaches behind the store's back."""
    with Server(BINARIES[request.param]) as server, server.client() as client:
        server.hand = client.execute_command
        server.hands = client.pipeline
        yield server
