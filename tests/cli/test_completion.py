"""Completion in the shells themselves, as far as they are here, and the page of all commands."""

import argparse
import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from ctxbridge.cli import main
from ctxbridge.cli.commands import COMMANDS
from ctxbridge.cli.completion import script
from ctxbridge.cli.parser import make_parser, make_parsers

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
CASES = [
    ("ctxbridge sta", "stats"),
    ("ctxbridge check --dur", "--durability"),
    ("ctxbridge check --durability lo", "local"),
    ("ctxbridge parse po", "postmark"),
    ("ctxbridge completion f", "fish"),
    ("ctxbridge erase --y", "--yes"),
    ("ctxbridge stats --db some-file", "some-file-of-ours"),
]


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} here: apt-get install {name}")
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "some-file-of-ours").touch()
    for name in ("bash", "zsh", "fish"):
        (tmp_path / f"completion.{name}").write_text(script(name))
    return tmp_path


def asked(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def in_bash(typed: str, folder: Path) -> list[str]:
    words = " ".join(map(shlex.quote, typed.split(" ")))
    program = f"""source completion.bash; COMP_WORDS=({words})
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _ctxbridge; printf '%s\\n' "${{COMPREPLY[@]}}"
        """
    return asked([shell("bash"), "--norc", "-c", program], folder).split()


class TestBash:
    @pytest.mark.parametrize(("typed", "wanted"), CASES)
    def test_it_completes(self, folder: Path, typed: str, wanted: str) -> None:
        assert in_bash(typed, folder) == [wanted]

    def test_every_command_is_offered_and_every_option_of_it(self, folder: Path) -> None:
        offered = in_bash("ctxbridge ", folder)
        assert {command.name for command in COMMANDS} < set(offered)
        for name, parser in make_parsers().items():
            options = {s for action in parser.actions for s in action.option_strings}
            assert options == set(in_bash(f"ctxbridge {name} -".replace("  ", " "), folder))

    def test_a_script_that_lacks_a_command_is_noticed(self, folder: Path) -> None:
        broken = script("bash").replace(" stats", "")
        (folder / "completion.bash").write_text(broken)
        assert in_bash("ctxbridge sta", folder) == []

    def test_a_name_with_blanks_is_one_name(self, folder: Path) -> None:
        (folder / "two words.db").touch()
        program = """source completion.bash; COMP_WORDS=(ctxbridge stats --db two); COMP_CWORD=3
            _ctxbridge; printf '%s\\n' "${COMPREPLY[@]}"
            """
        assert asked([shell("bash"), "--norc", "-c", program], folder) == "two words.db\n"


class TestFish:
    @pytest.mark.parametrize(("typed", "wanted"), CASES)
    def test_it_completes(self, folder: Path, typed: str, wanted: str) -> None:
        program = f"source completion.fish; complete -C {shlex.quote(typed)}"
        found = asked([shell("fish"), "-c", program], folder)
        assert [line.split("\t")[0] for line in found.splitlines()] == [wanted]


class TestZsh:
    @pytest.mark.parametrize(("typed", "wanted"), CASES)
    def test_it_completes(self, folder: Path, typed: str, wanted: str) -> None:
        zsh = shell("zsh")
        rc = "autoload -Uz compinit; compinit -u -D\nsource completion.zsh\nPS1='READY> '\n"
        (folder / ".zshrc").write_text(rc)
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(folder)
            os.environ.update(ZDOTDIR=str(folder), TERM="dumb")
            os.execv(zsh, [zsh, "-i", "-d"])
        try:
            _until(terminal, "READY> ")
            os.write(terminal, typed.encode() + b"\t")
            assert _until(terminal, wanted)
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            os.close(terminal)


def _until(terminal: int, wanted: str) -> bool:
    seen, ends = "", time.monotonic() + 60
    while wanted not in seen and time.monotonic() < ends:
        if select.select([terminal], [], [], 0.1)[0]:
            seen += os.read(terminal, 65_536).decode()
    return wanted in seen


def test_no_word_of_a_script_is_obeyed_by_its_shell() -> None:
    """Helps have quotes, brackets and dollars in them: each stands quoted."""
    for name in ("bash", "zsh"):
        with_check = subprocess.run(
            [shell("bash") if name == "bash" else shell("zsh"), "-n"],
            input=script(name), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (with_check.returncode, with_check.stderr) == (0, "")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.name)
class TestThePage:
    def test_it_has_a_row_and_the_example(self, command, capsys) -> None:
        page = PAGE.read_text("utf-8")
        assert re.search(rf"(?m)^\| `{command.name}` \|.+`{re.escape(command.example)}` \|$", page)

    def test_the_example_is_one(self, command) -> None:
        words = shlex.split(command.example.partition(" > ")[0])
        assert make_parser().parse_args(words[1:]).run is command.run

    def test_every_option_is_in_it(self, command) -> None:
        page, parser = PAGE.read_text("utf-8"), make_parsers()[command.name]
        for action in parser.actions:
            for spelling in action.option_strings:
                assert f"`{spelling}" in page, spelling

    def test_help_tells_its_example_and_json_is_taken(self, command, capsys) -> None:
        with pytest.raises(SystemExit) as end:
            main([command.name, "--help"])
        assert end.value.code == 0
        told = " ".join(capsys.readouterr().out.split())
        assert f"example: ctxbridge {command.name}" in told
        assert ("--json" in told) is (command.name != "completion")

    def test_a_command_that_reads_a_store_takes_seal(self, command) -> None:
        parser = make_parsers()[command.name]
        options = {s for action in parser.actions for s in action.option_strings}
        assert ("--db" in options) is ("--seal" in options) or command.name == "demo"


def test_the_page_names_no_command_that_there_is_not() -> None:
    rows = re.findall(r"(?m)^\| `([a-z]+)` \|.+`ctxbridge", PAGE.read_text("utf-8"))
    assert sorted(rows) == sorted(command.name for command in COMMANDS)


def test_the_parser_knows_what_it_takes() -> None:
    parsers = make_parsers()
    assert all(isinstance(p, argparse.ArgumentParser) for p in parsers.values())
    assert "--durability" in {s for a in parsers["check"].actions for s in a.option_strings}
