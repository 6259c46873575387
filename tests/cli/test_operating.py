"""`ctxbridge tail`, `stats`, `check`, `doctor`, and `--seal`, as they are typed."""

import json
import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text
from ctxbridge.cli import doctor, main, tables
from ctxbridge.cli.progress import progress
from ctxbridge.model import Sent

OURS = Endpoint("sms", "+15550199999")
ANN = "sms:+15550100001"
HOSTILE = "\x1b[2J\x1b]0;title\x07\u202egnp\x9b31m\r\b [bold]x[/bold]"
STEERING = set("\x1b\x07\u202e\x9b\r\b")
KEYS = "import os\n\ndef key(tenant, key_id):\n    return '1', bytes(32)\n\nwrong = 3\n"
SEALED = pytest.mark.skipif(find_spec("cryptography") is None, reason="needs the extra crypto")
Run = Callable[..., "Done"]


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> Done:
        monkeypatch.setenv("COLUMNS", "110")
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        return Done(code, *capfd.readouterr())

    return run


class Fails:
    """A sender that sends nothing."""

    channel, repeatable, timeout_seconds, per_second = "sms", False, 5.0, 0.0

    async def send(self, outgoing: object) -> Sent:
        return Sent("failed", "SM1", "30003")

    async def aclose(self) -> None:
        pass


def id_of(text: str, sender: str) -> str:
    """An id without the words in it: ids are not sealed."""
    return str(zlib.crc32((text + sender).encode()))


def write(db: object, *said: str, sender: str = ANN, reply: str = "Soon.", **options: Any) -> None:
    """A turn for each text."""
    url = str(db) if "://" in str(db) else f"sqlite:///{db}"

    async def turns() -> None:
        async with Bridge(url, tenant="demo", **options) as bridge:
            for text in said:
                asks = Inbound(
                    "sms", OURS, Address.parse(sender), id_of(text, sender), (Text(text),),
                    Assurance.CHANNEL,
                )  # fmt: skip
                async with bridge.turn(asks) as turn:
                    if reply:
                        turn.reply(reply)

    anyio.run(turns)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    write(path, "First", "Second")
    return path


class Tail:
    """A tail in a process of its own; who waits for a line in vain is told."""

    def __init__(self, *arguments: object) -> None:
        words = [sys.executable, "-m", "ctxbridge", "tail", *map(str, arguments)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.process.stdout
        self.out = self.process.stdout.fileno()
        self.seen = b""

    def line(self) -> str:
        ends = time.monotonic() + 60
        while b"\n" not in self.seen:
            assert time.monotonic() < ends, f"no line came, but {self.seen!r}"
            if select.select([self.out], [], [], 0.1)[0]:
                self.seen += os.read(self.out, 65_536)
        line, _, self.seen = self.seen.partition(b"\n")
        return line.decode()

    def heard(self) -> bool:
        """Whether something came within half a second."""
        return bool(self.seen or select.select([self.out], [], [], 0.5)[0])

    def interrupt(self) -> Done:
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=60)
        return Done(self.process.returncode, (self.seen + out).decode(), err.decode())


@pytest.fixture
def tail() -> Iterator[Callable[..., Tail]]:
    started: list[Tail] = []

    def start(*arguments: object) -> Tail:
        started.append(Tail(*arguments))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


class TestTail:
    def test_it_follows_a_conversation_and_ends_on_ctrl_c_with_130(
        self, db: Path, tail: Callable[..., Tail]
    ) -> None:
        following = tail(ANN, "--db", db, "-n", "1", "--json")
        assert json.loads(following.line())["text"] == "Soon."

        write(db, "Third")
        began = time.monotonic()
        heard = [json.loads(following.line()) for _ in range(2)]

        assert time.monotonic() - began < 10
        assert [(m["author"], m["text"]) for m in heard] == [
            ("contact", "Third"), ("agent", "Soon."),
        ]  # fmt: skip
        assert [m["seq"] for m in heard] == [5, 6]
        assert following.interrupt() == (130, "", "")

    def test_without_an_address_the_whole_store_is_followed(
        self, db: Path, tail: Callable[..., Tail]
    ) -> None:
        following = tail("--db", db)
        for n in range(20):  # until it has begun
            write(db, f"Hello {n}", sender="sms:+15550100002")
            if following.heard():
                break

        assert "sms:+15550100002" in following.line()
        assert "UTC" in following.line()
        assert "Hello" in following.line()
        done = following.interrupt()
        assert done.code == 130
        assert "First" not in done.out

    def test_on_redis_too(self, server: Any, tail: Callable[..., Tail]) -> None:
        url = f"{server.url}?prefix=tail"
        write(url, "First")
        following = tail(ANN, "--db", url, "-n", "1", "--json")
        assert json.loads(following.line())["text"] == "Soon."
        write(url, "Second")
        assert json.loads(following.line())["text"] == "Second"
        assert following.interrupt().code == 130

    @pytest.mark.parametrize(
        ("last", "told"), [(0, []), (1, [4]), (3, [2, 3, 4]), (99, [1, 2, 3, 4])]
    )
    def test_it_begins_with_the_last(self, run: Run, db: Path, last: int, told: list[int]) -> None:
        done = run("tail", ANN, "--db", db, "-n", last, "--json", "--seconds", "0.1")
        assert (done.code, done.err) == (0, "")
        assert [one["seq"] for one in done.objects] == told

    def test_somebody_who_is_not_there_yet_is_waited_for(self, run: Run, db: Path) -> None:
        done = run("tail", "sms:+15550100009", "--db", db, "--seconds", "0.1")
        assert (done.code, done.out) == (0, "")
        assert "waiting" in done.err

    def test_hostile_words_do_not_reach_the_terminal(self, run: Run, db: Path) -> None:
        write(db, HOSTILE, reply="")
        for more in ((), ("--json",)):
            done = run("tail", ANN, "--db", db, "--seconds", "0.1", *more)
            assert not set(done.out) & STEERING
        assert "[bold]x[/bold]" in run("tail", ANN, "--db", db, "--seconds", "0.1").out

    def test_only_is_about_an_address(self, run: Run, db: Path) -> None:
        done = run("tail", "--db", db, "--only")
        assert (done.code, done.out) == (2, "")
        assert "--only needs an ADDRESS" in done.err
        assert len(run("tail", ANN, "--db", db, "--only", "--seconds", "0.1", "--json").objects)

    def test_what_joins_by_a_merge_and_is_older_is_not_told(
        self, tmp_path: Path, tail: Callable[..., Tail]
    ) -> None:
        db, other = tmp_path / "merge.db", "sms:+15550100003"
        write(db, "Other", sender=other)
        write(db, "First")
        following = tail(ANN, "--db", db, "-n", "1", "--json")
        assert json.loads(following.line())["text"] == "Soon."

        async def merge() -> None:
            async with Bridge(f"sqlite:///{db}", tenant="demo") as bridge:
                await bridge.merge(ANN, other, evidence="x", source="operator")

        anyio.run(merge)
        write(db, "After")
        heard = [json.loads(following.line()) for _ in range(3)]
        assert heard[0]["event"] == "merge"
        assert [one.get("text") for one in heard[1:]] == ["After", "Soon."]

    @pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "x"])
    def test_odd_seconds_are_wrong_usage(self, run: Run, db: Path, seconds: str) -> None:
        assert run("tail", ANN, "--db", db, f"--seconds={seconds}").code == 2


class TestStats:
    def test_all_is_counted(self, run: Run, db: Path) -> None:
        write(db, "Fails", sender="sms:+15550100002", senders=[Fails()])

        done = run("stats", "--db", db, "--json")

        (told,) = done.objects
        assert told.pop("seconds") >= 0
        assert (done.code, done.err) == (0, "")
        assert told == {
            "kind": "stats", "conversations": 2, "messages": 6, "events": 0, "waiting": 0,
            "pending": 0, "dead": 1, "failed": 1, "unknown": 0, "merged": 0, "unreadable": 0,
            "messages_by_channel": {"sms": 6},
        }  # fmt: skip
        text = run("stats", "--db", db).out
        assert re.search(r"conversations +2", text)
        assert "1 (1 failed, 0 unknown)" in text
        assert re.search(r"Counted in \d+\.\d\d s", text)

    def test_what_cannot_be_read_is_counted_and_is_3(self, run: Run, db: Path) -> None:
        write(db, "Well", sender="sms:+15550100002")
        with sqlite3.connect(db) as connection:
            connection.execute(
                "UPDATE entry SET body=x'00' WHERE home=(SELECT min(home) FROM entry)"
            )
        connection.close()
        done = run("stats", "--db", db, "--json")
        assert (done.code, done.objects[0]["unreadable"], done.objects[0]["messages"]) == (3, 1, 2)

    def test_an_empty_tenant(self, run: Run, db: Path) -> None:
        done = run("stats", "--db", db, "--tenant", "nobody", "--json")
        assert (done.code, done.objects[0]["conversations"]) == (0, 0)


class TestCheck:
    @pytest.mark.parametrize(
        ("level", "code"), [(None, 0), ("fast", 0), ("local", 0), ("replicated", 3)]
    )
    def test_a_file(self, run: Run, db: Path, level: str | None, code: int) -> None:
        more = ["--durability", level] if level else []
        done = run("check", "--db", db, *more, "--json")
        assert (done.code, done.err) == (code, "")
        assert done.objects[0]["fit"] is (code == 0)
        assert ("not fit" in run("check", "--db", db, *more).out) is (code == 3)

    def test_a_file_of_an_older_version_stays_as_it_is(self, run: Run, db: Path) -> None:
        with sqlite3.connect(db) as connection:
            connection.execute("PRAGMA user_version=1")
        connection.close()
        before = db.read_bytes()
        for name in (db, f"sqlite:///{db}"):
            done = run("check", "--db", name)
            assert done.code == 3
            assert "must be brought to" in " ".join(done.out.split())
        assert db.read_bytes() == before

    def test_a_server_is_asked_for_the_level(self, run: Run, server: Any) -> None:
        url = f"{server.url}?prefix=check"
        fit = run("check", "--db", url, "--durability", "fast", "--json")
        assert (fit.code, fit.objects[0]["durable"]) == (0, False)
        unfit = run("check", "--db", url, "--durability", "replicated")
        assert unfit.code == 3
        assert "replicaof" in unfit.out

    def test_what_is_not_there_is_2(self, run: Run, tmp_path: Path) -> None:
        assert run("check", "--db", tmp_path / "none.db").code == 2
        assert run("check", "--db", "redis://127.0.0.1:1").code == 2


class TestDoctor:
    def test_no_secret_is_printed(
        self, run: Run, db: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in {
            "EMPTY_API_KEY": "", "BLANK_TOKEN": "  ", "SOME_SECRET": "changeme",
            "REAL_SECRET": "s3cr3t-v4lue", "PADDED_PASSWORD": "p4ddedvalue ",
            "ODD\x1b[2J_SECRET": "",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)

        done = run("doctor", "--db", db)

        assert done.code == 3
        assert "EMPTY_API_KEY is set and empty" in done.out
        assert "BLANK_TOKEN is set and empty" in done.out
        assert "SOME_SECRET looks like a placeholder" in done.out
        assert "PADDED_PASSWORD begins or ends with blanks" in done.out
        for value in ("s3cr3t-v4lue", "p4ddedvalue", "changeme", "REAL_SECRET"):
            assert value not in done.out + done.err
        assert not set(done.out) & STEERING

    def test_all_is_well(self) -> None:
        (found,) = doctor.secrets({"SMS_TOKEN": "a8f3k2", "PATH": ""})
        assert (found.state, found.told) == ("good", "1 in the environment look set")

    def test_the_clock_and_the_line_of_a_server(self, run: Run, server: Any) -> None:
        done = run("doctor", "--db", f"{server.url}?prefix=doctor", "--json")
        found = {one["about"]: one for one in done.objects}
        assert found["clock"]["state"] == "good"
        assert found["connection"]["state"] == "good"
        assert found["store"]
        assert found["package msgspec"]["state"] == "good"

    def test_a_clock_that_is_far_off_is_bad(
        self, run: Run, server: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from ctxbridge.stores.redis import RedisStore

        async def server_time(_: RedisStore) -> int:
            return time.time_ns() // 1_000_000 + 5_000

        monkeypatch.setattr(RedisStore, "server_time", server_time)
        done = run("doctor", "--db", f"{server.url}?prefix=doctor", "--json")
        (clock,) = [one for one in done.objects if one["about"] == "clock"]
        assert (done.code, clock["state"]) == (3, "bad")

    @pytest.mark.parametrize(
        ("db", "state"),
        [
            ("rediss://h:1", ["good"]), ("rediss://h:1?ssl_cert_reqs=none", ["bad"]),
            ("redis://h:1", ["note"]), ("redis://:pw@localhost", ["good"]), ("redis://[", ["note"]),
            ("unix:///x", []), ("x.db", []), ("redis+cluster://localhost:1,far:2", ["note"]),
        ],
    )  # fmt: skip
    def test_whether_the_line_is_encrypted(self, db: str, state: list[str]) -> None:
        assert [one.state for one in doctor._encryption(db)] == state

    def test_a_store_that_cannot_be_reached_is_a_finding(self, run: Run) -> None:
        done = run("doctor", "--db", "redis://:hidden@127.0.0.1:1", "--json")
        (store,) = [one for one in done.objects if one["about"] == "store"]
        assert (done.code, store["state"]) == (3, "bad")
        assert "hidden" not in done.out + done.err

    def test_without_a_store(self, run: Run) -> None:
        assert "name one with --db" in run("doctor").out


@SEALED
class TestSeal:
    @pytest.fixture
    def sealed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        (tmp_path / "keys_of_ours.py").write_text(KEYS)
        monkeypatch.syspath_prepend(str(tmp_path))
        path = tmp_path / "sealed.db"
        write(path, "Secret words", seal=lambda tenant, key_id: ("1", bytes(32)))
        return path

    @pytest.mark.parametrize("command", ["show", "export", "tail", "explain"])
    def test_the_words_are_read_with_the_keys_alone(
        self, run: Run, sealed: Path, command: str
    ) -> None:
        more = {"tail": ["--seconds", "0.1"], "explain": ["--show-text"]}.get(command, [])
        asked = [command, ANN, "--db", sealed, *more]
        opened = run(*asked, "--seal", "keys_of_ours:key")
        assert (opened.code, opened.err) == (0, "")
        assert "Secret words" in opened.out
        assert "Secret words" not in run(*asked).out

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("nothing", "MODULE:NAME"), ("no_such_module:key", "cannot be loaded"),
            ("keys_of_ours:none", "cannot be loaded"), ("keys_of_ours:wrong", ""),
        ],
    )  # fmt: skip
    def test_what_is_no_source_of_keys_is_told(
        self, run: Run, sealed: Path, name: str, told: str
    ) -> None:
        done = run("stats", "--db", sealed, "--seal", name)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        assert told in done.err

    def test_a_module_that_fails_tells_nothing_of_its_error(
        self, run: Run, sealed: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "bad_keys.py").write_text("raise RuntimeError('the key is hunter2')\n")
        done = run("stats", "--db", sealed, "--seal", "bad_keys:key")
        assert done.code == 2
        assert "RuntimeError" in done.err
        assert "hunter2" not in done.err


def in_a_terminal(command: list[str], path: str = "") -> str:
    """What a command writes where both stdout and stderr are a terminal."""
    found: list[bytes] = []
    env = os.environ | {"TERM": "xterm", "COLUMNS": "110"} | ({"PYTHONPATH": path} if path else {})
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=env)
    os.close(theirs)
    while True:
        try:
            piece = os.read(ours, 65_536)
        except OSError:
            break
        if not piece:
            break
        found.append(piece)
    assert process.wait() == 0
    os.close(ours)
    return b"".join(found).decode()


class TestTerminal:
    def test_progress_is_for_a_terminal_alone(self, run: Run, db: Path) -> None:
        assert run("stats", "--db", db).err == ""
        shown = in_a_terminal([sys.executable, "-m", "ctxbridge", "stats", "--db", str(db)])
        assert "conversations" in shown.partition("what")[0]

    def test_plain_progress_counts_and_goes_away(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
        monkeypatch.setattr("ctxbridge.cli.progress.find_spec", lambda _: None)
        monkeypatch.setattr("ctxbridge.cli.progress._PAUSE_SECONDS", 0)
        with progress("things") as shown:
            shown.step(2000)
        assert capsys.readouterr().err == "\r\x1b[Kthings ...\r\x1b[Kthings: 1 of 2,000\r\x1b[K"

    @pytest.mark.skipif(find_spec("rich") is None, reason="needs the extra cli: rich")
    def test_rich_tables_hold_the_same_words(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rows = [("who", "what"), ("Ann", "[red]x[/red] " + "long " * 60), ("注文", "\x1b[2J\x07")]
        tables.tell_table(rows)
        plain = capsys.readouterr().out
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
        monkeypatch.setenv("NO_COLOR", "1")
        tables.tell_table(rows)
        rich = capsys.readouterr().out
        words = re.sub(r"[─━\s]", "", rich)
        assert words == re.sub(r"\s", "", plain.replace("\x1b", "\ufffd").replace("\x07", "\ufffd"))
        assert "─" in rich
        assert not set(rich) & STEERING
