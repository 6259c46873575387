"""The storm as somebody calls it: by its program, which ends, tells, and leaves nobody behind."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from ctxbridge.errors import ConfigurationError
from ctxbridge.testing.servers import Server, free_port
from ctxbridge.testing.storm import Account, Plan, run, tell
from ctxbridge.testing.topologies import Cluster

WORDS = ("written", "answered", "duplicated", "lost", "sent", "repeated", "unknown")
COMMAND = [sys.executable, "-m", "ctxbridge.testing.storm"]


def storm(*arguments):
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


class Begun:
    """A storm that blows, with all its processes; it must leave none behind."""

    def __init__(self, *arguments):
        self._mark = f"CTXBRIDGE_TEST={uuid4()}"
        name, value = self._mark.split("=")
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], stdout=subprocess.PIPE, text=True,
            env=os.environ | {name: value},
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.communicate()
        self.wait_until(lambda: not self.processes())

    def processes(self):
        """Those that are there, the driver among them."""
        return [
            path.parent.name for path in Path("/proc").glob("[0-9]*/environ") if self._ours(path)
        ]

    def _ours(self, environment):
        with suppress(OSError):
            return self._mark.encode() in environment.read_bytes()
        return False

    def serves(self):
        """Whether the driver waits for workers at a socket."""
        with suppress(OSError):
            links = Path(f"/proc/{self.process.pid}/fd").iterdir()
            return sum(str(link.readlink()).startswith("socket:") for link in links) > 4
        return False

    def wait_until(self, happened):
        end = time.monotonic() + 60
        while not happened():
            assert time.monotonic() < end
            time.sleep(0.005)


@pytest.fixture(params=["memory", "sqlite", "redis", "cluster"])
def url(request, tmp_path, some_binary):
    if request.param == "redis":
        yield request.getfixturevalue("server").url
    elif request.param == "cluster":
        with Cluster(some_binary) as cluster:
            yield cluster.url
    else:
        yield "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/storm.db"


class TestProgram:
    @pytest.mark.slow
    def test_it_ends_well_and_tells_so_also_the_second_time_on_the_same_store(self, url):
        for _ in range(2):
            done = storm("--url", url, "--messages", "100", "--kills", "5", "--kill-seconds", "0.1")
            print(f"\n{done.stdout}")
            assert (done.returncode, done.stderr) == (0, "")
            lines = done.stdout.splitlines()
            assert {line.split()[0] for line in lines} >= set(WORDS)
            assert lines[-1].startswith("all is well: ")

    def test_a_broken_store_is_told_of_and_gives_another_code(self):
        done = storm("--url", "memory://", "--variant", "forgetful", "--settle-seconds", "0.5")
        assert done.returncode == 1
        assert done.stdout.splitlines()[-1].startswith("NOT WELL: ")

    def test_the_account_can_be_read_by_a_program(self):
        done = storm("--url", "memory://", "--messages", "50", "--json")
        account = json.loads(done.stdout)
        assert account["written"] == account["answered"] == 50
        assert account["problems"] == []

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            (["--url", "gopher://x"], "no store has an address of this form"),
            (["--url", "memory://", "--workers", "0"], "must be positive"),
            (["--url", "memory://", "--kills", "-1"], "nothing negative"),
            (["--url", "memory://", "--lease-seconds", "0"], "lease_seconds"),
            (["--url", "memory://", "--mishaps", "nan"], "mishaps"),
            (["--url", "memory://", "--messages", "many"], "invalid int value"),
            (["--url", "memory://", "--overlap", "never"], "invalid choice"),
            (["--messages", "7"], "--url"),
            (["--url", "redis://127.0.0.1:1"], ""),
            (["--url", "sqlite:////proc/no/such.db"], ""),
        ],
    )
    def test_what_makes_no_sense_is_told_in_one_line(self, arguments, word):
        done = storm(*arguments)
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        assert word in done.stderr

    @pytest.mark.slow
    def test_where_no_worker_ever_answers_it_ends_all_the_same(self, some_binary):
        """The server answers the driver, and is stopped as soon as the first worker comes."""
        words = ["--seconds", "1", "--settle-seconds", "0.5"]
        with Server(some_binary) as server:
            url = f"{server.url}?timeout_seconds=0.2&deadline_seconds=0.5"
            with Begun("--url", url, *words) as begun:
                begun.wait_until(
                    lambda: len(begun.processes()) >= len(("driver", "nursery", "worker"))
                )
                server.pause()
                started = time.monotonic()
                said, _ = begun.process.communicate(timeout=60)
                server.resume()
        assert time.monotonic() - started < 40
        assert begun.process.returncode == 1
        assert "problem: the time was over" in said
        assert said.splitlines()[-1].startswith("NOT WELL: ")

    @pytest.mark.parametrize("url", ["memory", "sqlite"], indirect=True)
    def test_an_interrupt_ends_it_with_the_account_so_far(self, url):
        words = ["--messages", "1000000", "--freezes", "1000"]
        for seconds in (0.5, 2.0, 8.0, 32.0):
            with Begun("--url", url, *words) as begun:
                begun.wait_until(begun.serves)
                time.sleep(seconds)
                begun.process.send_signal(signal.SIGINT)
                said, _ = begun.process.communicate(timeout=60)
            assert begun.process.returncode == 130
            assert "problem: it was interrupted" in said
            written = int(said.split()[1].replace(",", ""))
            if written:  # else no worker had begun: a slow machine takes its time for that
                break
        assert written

    def test_its_workers_end_with_it_though_it_is_killed(self, tmp_path):
        words = ["--messages", "1000000", "--freezes", "1000"]
        with Begun("--url", f"sqlite:///{tmp_path}/storm.db", *words) as begun:
            begun.wait_until(lambda: len(begun.processes()) >= 6)
            time.sleep(0.5)
            begun.process.kill()


class TestAccount:
    def test_what_is_lost_doubled_unsent_or_a_problem_is_not_well(self):
        assert Account().good
        for bad in ({"lost": 1}, {"duplicated": 1}, {"unsent": 1}, {"problems": ["x"]}):
            account = Account(**bad)
            assert not account.good
            assert tell(account).splitlines()[-1].startswith("NOT WELL")
        assert Account(repeated=3, unknown=2).good

    def test_a_plan_without_sense_is_refused(self):
        for wrong in ({"messages": 0}, {"seconds": 0.0}, {"copies": 101}, {"mishaps": 0.6}):
            with pytest.raises(ConfigurationError):
                Plan(url="memory://", **wrong)

    @pytest.mark.parametrize("overlap", ["merge", "queue", "supersede"])
    def test_it_can_be_run_from_python(self, overlap):
        account = run(Plan(url="memory://", messages=100, overlap=overlap, kills=3))
        assert account.good
        assert account.answered == account.written >= 100

    def test_a_store_that_cannot_be_used_is_an_error(self):
        with pytest.raises(Exception, match="reach"):
            run(Plan(url=f"redis://127.0.0.1:{free_port()}?deadline_seconds=0.3"))
