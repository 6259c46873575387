"""`ctxbridge demo` and `ctxbridge show`, as they are typed."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import jwt
import pytest
from twilio.request_validator import RequestValidator

from ctxbridge.cli import main, play
from ctxbridge.model import Assurance, Inbound, RawRequest

GOLDEN = Path(__file__).parent / "golden"
PHONE = "sms:+15550100142"
Run = Callable[..., "Done"]


class Done(NamedTuple):
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def typed(*arguments: object, **env: str) -> Done:
    """The command as it is typed: a process of its own."""
    known = {"PATH", "HOME", "TMPDIR"}
    environ = {k: v for k, v in os.environ.items() if k in known} | {"PYTHONUTF8": "1"} | env
    command = [sys.executable, "-m", "ctxbridge", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", env=environ, timeout=60, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command without a process of its own, which is faster."""

    def run(*arguments: object, columns: int = 100) -> Done:
        monkeypatch.setenv("COLUMNS", str(columns))
        return Done(main([str(a) for a in arguments]), *capsys.readouterr())

    return run


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def without_times(text: str) -> str:
    """The output without what is measured, and without the lines that such a line is wrapped onto."""
    kept = text[: text.index("Look-up of the context:")]
    return kept + text[text.rindex("\n\n") + 1 :]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that the demo was played on once."""
    db = tmp_path_factory.mktemp("demo") / "demo.db"
    assert typed("demo", "--db", db, "--json").returncode == 0
    return db


class TestOnRedis:
    def test_the_same_conversation_comes_out_of_a_server(self, server: Any, run: Run) -> None:
        db = f"{server.url}?prefix=demo"
        first, second = run("demo", "--db", db, "--json"), run("demo", "--db", db, "--json")
        assert (first.returncode, second.returncode) == (0, 0)
        assert objects(second.stdout)[-1]["duplicates"] == 9
        on_file = objects(run("demo", "--json").stdout)
        assert [_told(o) for o in objects(first.stdout)] == [_told(o) for o in on_file]
        assert run("show", PHONE, "--db", db).returncode == 0
        assert "durably" not in run("demo", "--db", f"{server.url}?prefix=other").stdout

    def test_a_server_that_is_not_there_is_told_in_one_line(self, run: Run) -> None:
        done = run("show", PHONE, "--db", "redis://127.0.0.1:1")
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "cannot be reached" in done.stderr


def _told(record: dict[str, Any]) -> dict[str, Any]:
    """Without the ids, which are new each time."""
    return {k: v for k, v in record.items() if k not in {"turn", "conversation", "contact"}}


class TestJson:
    def test_the_second_run_finds_only_duplicates_and_adds_nothing(self, tmp_path: Path) -> None:
        first = typed("demo", "--db", tmp_path / "x.db", "--json")
        second = typed("demo", "--json", "--db", tmp_path / "x.db")

        assert (first.returncode, second.returncode) == (0, 0)
        assert (first.stderr, second.stderr) == ("", "")
        *messages, summary = objects(first.stdout)
        *again, repeated = objects(second.stdout)
        assert messages == again
        assert summary == {
            "kind": "summary",
            "channels": 3,
            "contacts": 1,
            "conversations": 1,
            "turns": 8,
            "messages": 16,
            "duplicates": 1,
            "blocked": 2,
        }
        assert repeated == summary | {"duplicates": 9}

    def test_each_message_has_exactly_the_promised_keys(self, run: Run, played: Path) -> None:
        *messages, _ = objects(run("demo", "--db", played, "--json").stdout)

        assert {
            "kind", "seq", "turn", "channel", "author", "text", "disposition", "contact",
            "conversation",
        } == set().union(*messages)  # fmt: skip
        assert {m["kind"] for m in messages} == {"message"}
        assert {type(m["seq"]) for m in messages} == {int}
        seqs = [m["seq"] for m in messages]
        assert seqs == sorted(set(seqs))
        assert len(messages) == 16
        for id in (m[key] for m in messages for key in ("turn", "contact", "conversation")):
            assert len(bytes.fromhex(id)) == 16

    def test_it_shows_what_it_promises(self, run: Run, played: Path) -> None:
        *messages, _ = objects(run("demo", "--db", played, "--json").stdout)
        text = " ".join(m["text"] for m in messages)
        by_turn: dict[str, list[dict[str, Any]]] = {}
        for message in messages:
            by_turn.setdefault(message["turn"], []).append(message)
        said = {turn[0]["text"]: turn for turn in by_turn.values()}

        assert "4111 1111" not in text
        assert said["I paid with [card …1111]. Please hurry!"][0]["disposition"] == "modified"
        assert [m["author"] for m in said["STOP"]] == ["contact", "system"]
        assert len(said["One more thing: when is the money on my card?"]) == 1
        assert "A-1042, which you asked about by SMS" in text
        assert "Dear Ann" not in text

    def test_the_card_number_is_nowhere_in_the_file(self, played: Path) -> None:
        for file in played.parent.iterdir():
            assert b"4111 1111" not in file.read_bytes()


class TestText:
    @pytest.mark.parametrize("columns", [100, 60])
    def test_the_timeline_is_as_it_was(self, run: Run, tmp_path: Path, columns: int) -> None:
        """Should it look otherwise on purpose: write what is printed into tests/cli/golden."""
        done = run("demo", columns=columns)

        assert (done.returncode, done.stderr) == (0, "")
        assert without_times(done.stdout) == (GOLDEN / f"demo-{columns}.txt").read_text("utf-8")

    @pytest.mark.parametrize("columns", [1, 40, 83, 84, 120, 500])
    def test_no_line_is_wider_than_the_terminal(self, run: Run, played: Path, columns: int) -> None:
        for command in (("demo", "--db", played), ("show", PHONE, "--db", played)):
            lines = run(*command, columns=columns).stdout.splitlines()
            wide = [line for line in lines if len(line) > max(40, columns)]
            assert [line for line in wide if str(played) not in line] == []

    def test_the_second_run_says_that_nothing_was_added(self, run: Run, played: Path) -> None:
        done = run("demo", "--db", played)

        assert "9 duplicates" in done.stdout
        assert "nothing was added" in done.stdout

    def test_there_are_no_colours_where_there_is_no_terminal(self, played: Path) -> None:
        assert "\x1b" not in typed("demo", "--db", played, TERM="xterm").stdout

    def test_a_terminal_without_utf8_gets_question_marks(self, played: Path) -> None:
        done = typed("show", PHONE, "--db", played, PYTHONUTF8="0", PYTHONIOENCODING="ascii")

        assert (done.returncode, done.stderr) == (0, "")
        assert "[card ?1111]" in done.stdout

    def test_the_temporary_file_is_removed(self, tmp_path: Path) -> None:
        assert typed("demo", "--json", TMPDIR=str(tmp_path)).returncode == 0
        assert list(tmp_path.iterdir()) == []


class TestShow:
    @pytest.mark.parametrize("address", [PHONE, "email:ann@example.org", "customer-4711"])
    def test_every_address_leads_to_the_one_conversation(
        self, run: Run, played: Path, address: str
    ) -> None:
        shown = run("show", address, "--db", played)

        assert (shown.returncode, shown.stderr) == (0, "")
        assert shown.stdout == run("show", PHONE, "--db", os.path.relpath(played)).stdout
        assert "masked: pii.card" in shown.stdout

    def test_json_is_that_of_the_demo(self, run: Run, played: Path) -> None:
        shown = objects(run("show", PHONE, "--db", played, "--json").stdout)

        assert shown == objects(run("demo", "--db", played, "--json").stdout)[:-1]

    @pytest.mark.parametrize("more", [(), ("--tenant", "another")])
    def test_an_unknown_address_is_told(
        self, run: Run, played: Path, more: tuple[str, ...]
    ) -> None:
        address = PHONE if more else "sms:+15550100100"
        shown = run("show", address, "--db", played, *more)

        assert (shown.returncode, shown.stdout) == (1, "")
        assert "nobody is stored under this address" in shown.stderr

    def test_reading_changes_nothing(self, run: Run, played: Path) -> None:
        before = played.read_bytes()

        run("show", PHONE, "--db", played)

        assert played.read_bytes() == before

    def test_names_of_files_may_hold_anything(self, run: Run, tmp_path: Path) -> None:
        db = tmp_path / "a?b #c%20d é.db"
        assert run("demo", "--db", db, "--json").returncode == 0

        assert run("show", PHONE, "--db", db).returncode == 0
        assert db.exists()


class TestBadFiles:
    def bad(self, folder: Path, what: str) -> Path:
        path = folder / "bad.db"
        if what == "folder":
            path.mkdir()
        elif what == "no database":
            path.write_bytes(b"no database at all, but long enough to have a header" * 100)
        elif what == "empty":
            path.touch()
        elif what in {"newer", "foreign"}:
            with sqlite3.connect(path) as connection:
                connection.execute("CREATE TABLE t (x)")
                if what == "newer":
                    connection.execute(f"PRAGMA application_id={0x63747862}")
                    connection.execute("PRAGMA user_version=99")
            connection.close()
        return path

    @pytest.mark.parametrize(
        "what", ["missing", "folder", "no database", "empty", "newer", "foreign"]
    )
    def test_show_tells_it_in_one_line(self, run: Run, tmp_path: Path, what: str) -> None:
        path = self.bad(tmp_path, what)
        before = path.read_bytes() if path.is_file() else None

        shown = run("show", PHONE, "--db", path)

        assert (shown.returncode, shown.stdout) == (2, "")
        assert shown.stderr.startswith("ctxbridge: ")
        assert shown.stderr.count("\n") == 1
        assert before == (path.read_bytes() if path.is_file() else None)

    @pytest.mark.parametrize("what", ["folder", "no database", "newer", "foreign"])
    def test_so_does_the_demo(self, run: Run, tmp_path: Path, what: str) -> None:
        played = run("demo", "--db", self.bad(tmp_path, what))

        assert (played.returncode, played.stdout) == (2, "")
        assert played.stderr.startswith("ctxbridge: ")
        assert played.stderr.count("\n") == 1

    def test_a_folder_that_is_not_there(self, run: Run, tmp_path: Path) -> None:
        played = run("demo", "--db", tmp_path / "none" / "x.db")

        assert (played.returncode, played.stderr.count("\n")) == (2, 1)


class TestScene:
    """The payloads are real: what providers' own libraries sign and check agrees with them."""

    scene = play.load()

    def test_twilio_itself_would_have_signed_so(self) -> None:
        validator = RequestValidator(self.scene.twilio["auth_token"])
        for step in (s for s in self.scene.steps if s.provider == "twilio"):
            body = play._read(step.file).decode()
            form = dict(parse_qsl(body, keep_blank_values=True))
            expected = validator.compute_signature(self.scene.twilio["url"], form)
            assert step.headers["X-Twilio-Signature"] == expected

    def test_the_tokens_of_the_chat_are_jwts(self) -> None:
        for step in (s for s in self.scene.steps if s.provider == "webchat"):
            claims = jwt.decode(
                json.loads(play._read(step.file))["token"],
                self.scene.webchat["secret"],
                ["HS256"],
                audience="shop",
                options={"verify_exp": False, "verify_iat": False},
            )
            assert claims["sub"] == "customer-4711"
            assert claims["exp"] > step.at.timestamp()

    def test_every_payload_is_verified_as_its_provider_would_have_it(self) -> None:
        found = []
        adapters = self.scene.adapters()
        for step in self.scene.steps:
            headers = tuple(step.headers.items())
            at = round(step.at.timestamp() * 1000)
            body, url = play._read(step.file), self.scene.twilio["url"]
            request = RawRequest(body, headers, url=url, received_at=at)
            adapter = adapters[step.provider]
            parsed = adapter.parse(request, adapter.verify(request))
            (event,) = parsed.events
            assert isinstance(event, Inbound)
            found.append(event.assurance)

        sure, login = Assurance.CHANNEL, Assurance.AUTHENTICATED
        assert found == [sure] * 4 + [Assurance.CLAIMED, sure, sure, login, login]

    def test_it_names_only_reserved_numbers_and_domains(self) -> None:
        text = b" ".join(play._read(s.file) for s in self.scene.steps).decode()
        domains = {w.rpartition("@")[2].rpartition(".")[2] for w in text.split() if "@" in w}
        assert {d.strip("<>,;:") for d in domains} <= {"org", "com", "net"}
        assert "example" in text


def test_version_and_help_answer_without_loading_the_library(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = "import sys, ctxbridge.cli as c\ntry: c.main(['--version'])\nexcept SystemExit: pass\n"
    code += "print([m for m in ('msgspec', 'anyio', 'asyncio', 'sqlite3', 'email') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "ctxbridge 0.1.0\n[]\n"

    for command in ("demo", "show", "parse"):
        with pytest.raises(SystemExit) as end:
            main([command, "--help"])
        assert end.value.code == 0
        assert f"example: ctxbridge {command}" in capsys.readouterr().out


class TestEnds:
    def test_a_closed_pipe_ends_it_quietly(self, played: Path) -> None:
        command = f"{sys.executable} -m ctxbridge show {PHONE} --db {played} | true"
        script = "set -o pipefail; for i in 1 2 3; do " + command + "; done"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)

        assert done.stderr == ""
        assert done.returncode in {0, 141}

    @pytest.mark.parametrize("command", ["show", "demo", "parse"])
    def test_stdout_that_is_full_is_told(self, played: Path, command: str) -> None:
        more = {
            "show": [PHONE, "--db", str(played)],
            "demo": ["--db", str(played)],
            "parse": ["email", str(played)],
        }[command]
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "ctxbridge", command, *more],
                stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip

        assert (done.returncode, done.stderr.count("\n")) == (2, 1)

    def test_an_interrupt_ends_it_quietly(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def interrupted() -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(play, "load", interrupted)

        assert main(["demo"]) == 130
        assert capsys.readouterr() == ("", "")
