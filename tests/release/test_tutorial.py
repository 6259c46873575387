"""The tutorial, followed to the letter in an empty folder, with the wheel in place of the index's."""

import os
import re
import shlex
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from ctxbridge.testing.servers import free_port

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/tutorial.md"
BLOCK = re.compile(r"(?:<!-- ([^\n]+) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)
OFFLINE = ("Temporary failure in name resolution", "NewConnectionError", "Network is unreachable")


class Reader:
    """Somebody who does what the page says. They have two terminals; the bot is in one of them."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder
        self.bot: subprocess.Popen[str] | None = None
        self.heard = 0  # how much of what the bot printed has been told of
        self.port = str(free_port())
        path = f"{Path(sys.base_prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}"
        outside = {"PYTHONPATH", "VIRTUAL_ENV"}
        self.environment = {k: v for k, v in os.environ.items() if k not in outside}
        self.environment |= {
            "PIP_FIND_LINKS": str(wheel.parent),
            "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),
            "PATH": path,
            "COLUMNS": "100",
        }

    def follow(self, page: str) -> None:
        for told, language, text in BLOCK.findall(page.replace("8000", self.port)):
            if told.startswith("file: "):
                (self.folder / told.removeprefix("file: ")).write_text(text)
            elif told == "keeps running":
                self.start(text.removeprefix("$ ").strip())
            elif told == "the bot prints":
                self.hear(text)
            elif language == "console":
                self.type(text)

    def type(self, block: str) -> None:
        for told in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = told.partition("\n")
            done = subprocess.run(
                command, shell=True, cwd=self.folder, env=self.environment,
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            if " install " in command and any(word in done.stderr for word in OFFLINE):
                pytest.skip("no package index can be reached from here")
            assert done.returncode == 0, f"{command}\n{done.stderr}"
            assert same(done.stdout) == same(shown), command

    def start(self, command: str) -> None:
        with (self.folder / "bot.txt").open("w") as out:
            self.bot = subprocess.Popen(
                shlex.split(command), cwd=self.folder, env=self.environment, stdout=out, stderr=out
            )
        for _ in range(600):
            with socket.socket() as line:
                if line.connect_ex(("127.0.0.1", int(self.port))) == 0:
                    return
            assert self.bot.poll() is None, (self.folder / "bot.txt").read_text()
            time.sleep(0.1)
        pytest.fail("the bot does not listen")

    def hear(self, block: str) -> None:
        for _ in range(600):
            if len(self.printed()) > self.heard:
                break
            time.sleep(0.1)
        assert "\n".join(self.printed()[self.heard :]) == block.strip()
        self.heard = len(self.printed())

    def printed(self) -> list[str]:
        lines = (self.folder / "bot.txt").read_text().splitlines()
        return [line for line in lines if not line.startswith("INFO:")]

    def close(self) -> None:
        if self.bot is not None:
            self.bot.terminate()
            self.bot.wait(30)


def same(text: str) -> list[str]:
    """The lines, but for times, the day, and ids that are long."""
    text = re.sub(r"^\d\d:\d\d ", "hh:mm ", text, flags=re.MULTILINE)
    text = re.sub(r"^\w+day \d+ \w+ \d{4}, UTC$", "the day", text, flags=re.MULTILINE)
    text = re.sub(r'(?<="client_msg_id":")[^"]*', "…", text)
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def is_installed(wheel: Path, folder: Path) -> bool:
    (packages,) = folder.glob(".venv/lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as packed:
        names = [name for name in packed.namelist() if name.startswith("ctxbridge/")]
        return all((packages / name).read_bytes() == packed.read(name) for name in names)


@pytest.fixture
def reader(tmp_path, wheel):
    reader = Reader(tmp_path, wheel)
    yield reader
    reader.close()


@pytest.mark.slow
def test_the_tutorial_is_followed_to_the_letter(reader, wheel):
    reader.follow(PAGE.read_text())
    assert is_installed(wheel, reader.folder)  # and no other of this name
    assert reader.heard == 4
    assert reader.printed()[reader.heard :] == []  # nothing left that the page does not tell of


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("```console\n$ echo yes\nno\n```\n", "echo yes"),
        ("```console\n$ false\n```\n", "false"),
    ],
)
def test_a_page_that_is_not_true_is_seen(tmp_path, page, told):
    """The control."""
    with pytest.raises(AssertionError, match=told):
        Reader(tmp_path, tmp_path / "no.whl").follow(page)
