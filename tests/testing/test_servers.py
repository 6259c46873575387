"""Real servers start, die, come back and leave nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import redis

from ctxbridge.testing import servers, topologies
from ctxbridge.testing.servers import Server, binaries, wait_for
from ctxbridge.testing.topologies import Cluster, SentinelSet

FOUND = binaries()
pytestmark = pytest.mark.skipif(not FOUND, reason="neither valkey-server nor redis-server is here")


@pytest.fixture(params=sorted(FOUND))
def binary(request):
    return FOUND[request.param]


@pytest.fixture(scope="module")
def any_binary():
    return next(iter(FOUND.values()))


@pytest.fixture
def other_binary():
    """So that with both here each plays a part in a set of servers."""
    return list(FOUND.values())[-1]


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def is_running(pid):
    """An orphan may stay for a while as a zombie, where nobody asks how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False if Path("/proc").exists() else is_there(pid)


class TestServer:
    def test_answers_at_a_port_and_a_socket_and_is_gone_afterwards(self, binary):
        with Server(binary) as server:
            pid = server.pid
            assert server.port != 6379
            for url in (server.url, server.unix_url):
                with redis.Redis.from_url(url) as client:
                    assert client.ping()
            assert server.command("SET", "key", "value") == b"OK"
            assert server.command("MGET", "key", "none") == [b"value", None]
            with server.client() as client:
                assert client.get("key") == b"value"
            assert is_there(pid)
            assert server.folder.is_dir()
        assert not is_there(pid)
        assert not server.folder.exists()
        assert not server.path.exists()
        assert server.pid == 0

    def test_killed_and_restarted_at_the_same_place(self, binary):
        with Server(binary, "--appendonly", "yes") as server:
            before = server.port, server.pid
            server.command("SET", "key", "value")
            server.kill()
            assert not server.running
            assert not is_there(before[1])
            with pytest.raises(redis.ConnectionError):
                server.command("PING")
            server.restart()
            assert server.port == before[0]
            assert server.pid != before[1]
            assert server.command("GET", "key") == b"value"

    def test_what_was_not_to_be_kept_is_lost(self, binary):
        with Server(binary) as server:
            server.command("SET", "key", "value")
            server.restart()
            assert server.command("GET", "key") is None

    def test_paused_is_silent_and_resumed_answers(self, any_binary):
        with Server(any_binary) as server, server.client(socket_timeout=0.1) as client:
            client.ping()
            server.pause()
            with pytest.raises(redis.TimeoutError):
                client.ping()
            assert server.running
            server.resume()
            assert server.command("PING") == b"PONG"
            server.pause()
        assert server.pid == 0, "a paused one can be ended"

    def test_waits_while_it_loads(self, any_binary, tmp_path):
        with Server(any_binary, "--appendonly", "yes", folder=tmp_path) as server:
            server.command("EVAL", "for i=1,40000 do redis.call('SET', i, i) end", 0)
        with Server(any_binary, "--appendonly", "yes", folder=tmp_path) as server:
            assert server.command("DBSIZE") == 40_000
        assert (tmp_path / "server.log").exists(), "a folder of one's own is kept"

    def test_one_that_does_not_start_says_why(self, binary):
        server = Server(binary, "--nonsense", "1")
        with pytest.raises(RuntimeError, match="nonsense"):
            server.__enter__()
        assert not server.folder.exists()

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
    def test_it_ends_with_a_program_that_is_killed(self, any_binary, number):
        program = (
            "import sys; from ctxbridge.testing.servers import Server\n"
            f"with Server({str(any_binary)!r}) as server:\n"
            "    print(server.pid, server.folder, flush=True); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as owner:
            pid, folder = owner.stdout.readline().split()
            assert is_there(int(pid))
            owner.send_signal(number)
        wait_for("it ends", lambda: not is_running(int(pid)))
        wait_for("its folder goes", lambda: not Path(folder.decode()).exists())

    def test_a_port_that_was_taken_meanwhile_is_let_be(self, any_binary, monkeypatch):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            ports = [taken.getsockname()[1], servers.free_port()]
            monkeypatch.setattr(servers, "free_port", lambda bus: ports.pop(0))
            with Server(any_binary) as server:
                assert server.port != taken.getsockname()[1]
                assert redis.Redis.from_url(server.url).ping()
            assert ports == []

    def test_a_restart_waits_for_its_own_port(self, any_binary, monkeypatch):
        monkeypatch.setattr(servers, "_ATTEMPTS", 2)
        with Server(any_binary) as server:
            server.stop()
            taken = socket.create_server(("127.0.0.1", server.port))
            with taken, pytest.raises(RuntimeError, match="in use"):
                server.start()
            server.start()
            assert redis.Redis.from_url(server.url).ping()

    @pytest.mark.skipif("redis" not in FOUND, reason="no redis-server with TLS is here")
    def test_tls(self):
        pytest.importorskip("trustme")
        with Server(FOUND["redis"], tls=True) as server:
            with redis.Redis.from_url(server.tls_url) as client:
                assert client.ping()
            strange = redis.Redis.from_url(server.tls_url.partition("?")[0])
            with strange, pytest.raises(redis.ConnectionError, match="certificate"):
                strange.ping()


class TestSentinels:
    def test_a_replica_takes_over_and_the_old_one_comes_back_as_a_replica(self, other_binary):
        with SentinelSet(other_binary) as set:
            assert set.url.startswith(f"redis+sentinel://127.0.0.1:{set.sentinels[0].port},127")
            assert set.url.endswith(f":{set.sentinels[2].port}/main")
            old = set.primary
            assert old is set.servers[0]
            with pytest.raises(TimeoutError):
                set.wait_for_new_primary(old, 0.1)
            with old.client() as client:
                client.set("key", "value")
                assert client.wait(2, 5000) == 2
            old.kill()
            new = set.wait_for_new_primary(old)
            assert new is not old
            assert new is set.primary
            assert new.command("GET", "key") == b"value"
            old.start()
            set.wait_until_whole()
            assert old.command("ROLE")[:3] == [b"slave", b"127.0.0.1", new.port]
            old.restart()
            assert old.command("ROLE")[0] == b"slave", "it remembers"


@pytest.fixture(scope="class")
def cluster(any_binary):
    with Cluster(any_binary, 3, 1) as cluster:
        yield cluster


class TestCluster:
    def test_every_slot_is_served(self, cluster):
        assert cluster.url.count("127.0.0.1:") == 6
        owners = {cluster.owner_of(slot).port for slot in (0, 8000, 16383)}
        assert len(owners) == 3
        nodes = [redis.cluster.ClusterNode("127.0.0.1", s.port) for s in cluster.servers]
        with redis.RedisCluster(startup_nodes=nodes[:1]) as client:
            assert all(client.set(f"key-{n}", n) for n in range(50))

    def test_a_slot_moves_with_its_keys(self, cluster):
        slot = cluster.slot_of("{moving}")
        source = cluster.owner_of(slot)
        target = cluster.owner_of((slot + 8192) % topologies.SLOTS)
        for n in range(25):
            source.command("SET", f"{{moving}}{n}", n)
        started = time.monotonic()
        cluster.move_slot(slot, target, pause=0.02)
        assert time.monotonic() - started > 0.08, "it rests between the steps"
        assert cluster.owner_of(slot) is target
        assert target.command("CLUSTER", "COUNTKEYSINSLOT", slot) == 25
        with pytest.raises(redis.exceptions.MovedError):
            source.command("GET", "{moving}1")

    def test_half_way_the_owner_says_ask(self, cluster):
        slot = cluster.slot_of("{half}")
        source = cluster.owner_of(slot)
        target = cluster.owner_of((slot + 8192) % topologies.SLOTS)
        for key in ("{half}a", "{half}b"):
            source.command("SET", key, key)
        cluster.begin_move(slot, target)
        cluster.migrate_key(slot, target, "{half}a")
        with pytest.raises(redis.exceptions.AskError):
            source.command("GET", "{half}a")
        assert source.command("GET", "{half}b") == b"{half}b"
        assert cluster.owner_of(slot) is source
        cluster.finish_move(slot, target)
        with pytest.raises(redis.exceptions.MovedError):
            source.command("GET", "{half}b")
        assert target.command("GET", "{half}a") == b"{half}a"
        assert target.command("GET", "{half}b") == b"{half}b"

    def test_a_replica_takes_over(self, cluster):
        first = cluster.owner_of(0)
        first.kill()
        wait_for("another has its slots", lambda: cluster.owner_of(0) is not first)
        first.start()
        cluster.wait_until_whole()
        assert cluster.owner_of(0) is not first


def test_shares_of_slots_have_no_holes():
    for masters in (1, 3, 7):
        shares = [topologies._share(place, masters) for place in range(masters)]
        assert shares[0][0] == 0
        assert shares[-1][1] == topologies.SLOTS - 1
        assert all(b[0] == a[1] + 1 for a, b in pairwise(shares))
