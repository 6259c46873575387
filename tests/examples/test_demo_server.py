"""`make demo` as it is typed: the scene through the running server, and what that lets others do."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from tests.examples.test_demo import DEMO, ENVIRONMENT, Demo, without_a_word
from websockets.sync.client import connect

GOLDEN = Path(__file__).parent / "golden" / "demo.txt"


def without_times(text):
    """The scene is played at the moment of the run: its minute and day are not to be compared."""
    text = re.sub(r"^\d\d:\d\d ", "hh:mm ", text, flags=re.MULTILINE)
    return re.sub(r"^\w+ \d\d \w+ \d{4}, UTC$", "(today), UTC", text, flags=re.MULTILINE)


class TestOnce:
    @pytest.mark.parametrize("arguments", [["--once", "--no-browser"], []], ids=["asked", "no tty"])
    def test_it_prints_the_timeline_and_ends(self, arguments):
        done = subprocess.run(
            [sys.executable, DEMO, *arguments],
            env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert without_times(done.stdout) == GOLDEN.read_text()

    def test_a_port_that_is_taken_is_said_so(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            done = subprocess.run(
                [sys.executable, DEMO, "--once", "--port", port],
                env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
        assert done.returncode == 1
        assert f"port {port}: Address already in use" in done.stderr
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize(
        ("option", "value", "told"),
        [
            ("--port", "65536", "argument --port: it is a number from 0 to 65535"),
            ("--store", "demo.db", "no store has an address of this form"),
        ],
    )
    def test_what_cannot_be_is_said_so(self, option, value, told):
        done = subprocess.run(
            [sys.executable, DEMO, "--once", option, value],
            env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode != 0
        assert told in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_store_that_cannot_be_opened_is_said_so(self):
        done = subprocess.run(
            [sys.executable, DEMO, "--once", "--store", "sqlite:////there/is/no/demo.db"],
            env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 3
        assert "/there/is/no/demo.db: the file cannot be opened" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with without_a_word(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_one_who_presses_ctrl_c_twice_is_shown_no_traceback(tmp_path, seconds):
    impatient = Demo(tmp_path / "errors.txt")
    impatient.process.send_signal(signal.SIGINT)
    time.sleep(seconds)
    impatient.end()
    assert impatient.log.read_text() == ""


class TestKill:
    def test_the_worker_that_is_killed_writes_nothing_on_our_terminal(self, demo):
        told = httpx.post(f"{demo.url}/sim/do/kill", headers={"X-Simulator": "1"}, timeout=60)
        assert "1 stored, 1 answer" in told.json()["told"]
        os.set_blocking(demo.terminal, False)
        with suppress(BlockingIOError):
            assert os.read(demo.terminal, 65_536).strip().endswith(b"ends it)")

    def test_memory_is_nothing_that_another_worker_could_take_up(self, tmp_path):
        alone = Demo(tmp_path / "errors.txt", "--store", "memory://")
        try:
            url = f"{alone.url}/sim/do/kill"
            told = httpx.post(url, headers={"X-Simulator": "1"}, timeout=60).json()["told"]
        finally:
            alone.end()
        assert told.startswith("This store is in one process alone")


def state(demo):
    return httpx.get(f"{demo.url}/sim/state").json()


def somebody(demo):
    return state(demo)["people"][0]["id"]


class TestServer:
    """What the page's server lets others do: nothing."""

    def test_another_site_cannot_press_the_buttons(self, demo):
        for headers in ({}, {"Origin": "http://evil.example", "Content-Type": "text/plain"}):
            assert httpx.post(f"{demo.url}/sim/do/stop", headers=headers).status_code == 403
            body = json.dumps({"device": "phone", "via": "twilio", "text": "x"})
            said = httpx.post(f"{demo.url}/sim/say", content=body, headers=headers)
            assert said.status_code in {403, 422}
            body = json.dumps({"whose": somebody(demo)})
            floor = httpx.post(f"{demo.url}/sim/floor/take", content=body, headers=headers)
            assert floor.status_code in {403, 422}
        assert state(demo)["chosen"]["floor"] == {"floor": "agent"}

    def test_another_name_that_leads_here_is_not_answered(self, demo):
        for path in ("/", "/sim/state", "/sim/token"):
            told = httpx.get(demo.url + path, headers={"Host": "evil.example"})
            assert told.status_code == 400

    @pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
    def test_the_chat_is_open_by_each_name_that_is_answered(self, demo, name):
        url = demo.url.replace("127.0.0.1", name)
        frame = {"type": "resume", "token": httpx.get(f"{url}/sim/token").text, "last_seq": 0}
        with connect(f"{url.replace('http', 'ws')}/chat/", origin=url) as line:
            line.send(json.dumps(frame))
            assert json.loads(line.recv(timeout=20))["type"] != "error"
        assert f"ws://{name}:" in httpx.get(url).headers["content-security-policy"]

    @pytest.mark.parametrize(
        "body",
        [
            {}, {"device": "fax", "via": "twilio", "text": "x"},
            {"device": "phone", "via": "pigeon", "text": "x"},
            {"device": "phone", "via": "twilio", "text": "x", "number": "+1"},
            {"device": "phone", "via": "twilio", "text": "x" * 2001},
            {"device": "phone", "via": "twilio", "text": ""}, [], "x", {"device": 1},
            {"device": "phone", "via": "twilio", "text": "\ud83d"},  # half an emoji
        ],
    )  # fmt: skip
    def test_what_no_device_says_is_refused(self, demo, body):
        headers = {"X-Simulator": "1", "Content-Type": "application/json"}
        told = httpx.post(f"{demo.url}/sim/say", content=json.dumps(body), headers=headers)
        assert told.status_code == 422

    def test_a_button_that_is_not_there_is_not_pressed(self, demo):
        for name in ("none", "__init__", "_stored"):
            told = httpx.post(f"{demo.url}/sim/do/{name}", headers={"X-Simulator": "1"})
            assert told.status_code == 404

    @pytest.mark.parametrize(
        ("name", "body", "status"),
        [
            ("none", {}, 404), ("do", {}, 404), ("take", {"whose": "0" * 32}, 404),
            ("take", {"whose": ""}, 404), ("take", {"whose": 1}, 422),
            ("say", {"text": "x" * 2001}, 422), ("take", [], 422),
        ],
    )  # fmt: skip
    def test_a_step_that_is_none_is_not_done(self, demo, name, body, status):
        if isinstance(body, dict):
            body = {"whose": somebody(demo), **body}
        told = httpx.post(f"{demo.url}/sim/floor/{name}", json=body, headers={"X-Simulator": "1"})
        assert told.status_code == status
        assert state(demo)["chosen"]["floor"] == {"floor": "agent"}

    @pytest.mark.parametrize("name", ["say", "back"])
    def test_who_has_no_floor_neither_speaks_nor_gives_it_back(self, demo, name):
        body = {"whose": somebody(demo), "text": "Bea was never here"}
        told = httpx.post(f"{demo.url}/sim/floor/{name}", json=body, headers={"X-Simulator": "1"})
        assert told.json() == {"told": "That came late: agent has the conversation."}
        assert "Bea was never here" not in httpx.get(f"{demo.url}/sim/state").text

    def test_the_page_is_small(self, demo):
        paths = ("/", "/page.css", "/page.js", "/chat/client.js")
        assert sum(len(httpx.get(demo.url + path).content) for path in paths) < 150 * 1024
