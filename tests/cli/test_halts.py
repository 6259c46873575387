"""`ctxbridge pause`, `kill`, `resume` and `control`, and what none of them does."""

import getpass
import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from tests.cli.service import (
    ANN,
    BOB,
    OURS,
    WHY,
    Ahead,
    Run,
    Service,
    serve,
    write,
)  # fmt: skip

from ctxbridge.cli import acting
from ctxbridge.model import RecordRead, RecordWrite
from ctxbridge.model.record import CONTROL
from ctxbridge.stores import open_store

HOSTILE = "\x1b[2J\x1b]0;title\x07\u202egnp\x9b31m\r\b"
STEERING = set("\x1b\x07\u202e\x9b\r\b")


class TestHalts:
    @pytest.mark.parametrize(
        "scope",
        [
            ("--tenant-wide",), ("--agent", "support"), ("--agent", "support", "--version", "v11"),
            ("--channel", "sms"), ("--endpoint", str(OURS)), ("--contact", ANN),
        ],
    )  # fmt: skip
    def test_what_stands_still_is_not_answered_until_it_is_resumed(
        self, run: Run, db: object, scope: tuple[str, ...]
    ) -> None:
        done = run("pause", *scope, *WHY, "--by", "ann", "--db", db)
        assert (done.code, done.err) == (0, "")
        (turn,) = write(db, "anybody?")
        assert (turn.status, turn.said) == ("waiting", ())

        found = run("control", "--db", db, "--json")
        (halt,) = found.of("halt")
        assert (found.code, halt["mode"], halt["by"], halt["why"]) == (
            3, "pause", "ann", "it swears",
        )  # fmt: skip
        assert run("resume", *scope, *WHY, "--db", db).code == 0
        assert run("control", "--db", db).code == 0
        assert write(db, "and now?")[0].said

    def test_a_control_that_is_damaged_can_be_mended_from_here(self, run: Run, file: Path) -> None:
        async def damage() -> None:
            async with open_store(f"sqlite:///{file}") as store:
                held = await store.records(RecordRead("demo", *CONTROL, 1))
                assert held is not None
                await store.records(RecordWrite("demo", *CONTROL, 1, held.value[:-9]))

        run("pause", "--tenant-wide", *WHY, "--db", file)
        anyio.run(damage)
        assert run("pause", "--agent", "support", *WHY, "--db", file).code == 0
        halts = run("control", "--db", file, "--json").of("halt")
        assert len(halts) == 2, "what was acted before is known from its note"

    def test_a_contact_by_id_and_a_conversation(self, run: Run, file: Path) -> None:
        told = run("show", ANN, "--db", file, "--json").objects[0]["conversation"]
        run("pause", "--contact", ANN, *WHY, "--db", file)
        id = run("control", "--db", file, "--json").of("halt")[0]["scope"]["contact"]
        assert len(bytes.fromhex(id)) == 16
        assert run("resume", "--contact", id.upper(), *WHY, "--db", file).code == 0
        assert run("pause", "--conversation", told.upper(), *WHY, "--db", file).code == 0
        assert write(file, "anybody?")[0].status == "waiting"
        assert write(file, "else", sender=BOB)[0].said

    def test_what_is_told_to_stand_still_can_be_typed(self, run: Run, file: Path) -> None:
        scope = ("--agent", "support", "--channel", "sms", "--purpose", "marketing")
        run("kill", *scope, *WHY, "--db", file)
        assert re.search(
            rf"(?m)^{' '.join(scope)} +kill +.+ {acting.login()} +it swears$",
            run("control", "--db", file).out,
        )
        wrong = run("resume", "--agent", "support", *WHY, "--db", file)
        assert (wrong.code, wrong.out) == (1, "")
        assert f"what does: {' '.join(scope)}" in wrong.err

    @pytest.mark.parametrize(("mode", "left"), [("pause", 1), ("kill", 0)])
    def test_what_has_not_left_waits_for_the_end_of_a_pause_and_dies_of_a_kill(
        self, run: Run, file: Path, mode: str, left: int
    ) -> None:
        write(file, "answer me later")
        assert run(mode, "--channel", "sms", *WHY, "--db", file).code == 0

        async def dispatch(service: Service) -> list[str]:
            await service.bridge.dispatch()
            return service.phone.texts

        assert serve(file, dispatch, clock=Ahead()) == []
        assert len(run("outbox", "--db", file, "--json").objects) == left

    def test_a_rehearsal_changes_nothing(self, run: Run, file: Path) -> None:
        before = file.read_bytes()
        for command in (
            ("kill", "--tenant-wide"), ("promote", "support", "v12"),
            ("canary", "support", "v12", 5, "--trial"), ("rollback", "support", "--to", "v12"),
        ):  # fmt: skip
            done = run(*command, *WHY, "--dry-run", "--db", file)
            assert (done.code, done.err) == (0, "")
            assert "would" in done.out
        assert file.read_bytes() == before


class TestMissing:
    @pytest.mark.parametrize(
        ("command", "told"),
        [
            (("rollback", "suport", "--to", "v11"), "known: support"),
            (("rollback", "support", "--to", "v9"), "known versions: v11, v12"),
            (("rollback", "support", "--to", "v11", "--version", "v9"), "known versions: v11, v12"),
            (("promote", "support", "v9"), "known versions: v11, v12"),
            (("canary", "support", "v9", "5"), "known versions: v11, v12"),
            (("drain", "sales", "v11"), "known: support"),
            (("kill", "--agent", "suport"), "known: support"),
            (("kill", "--agent", "support", "--version", "v9"), "known versions: v11, v12"),
            (("kill", "--contact", "sms:+15550100009"), "nobody is stored"),
            (("resume", "--tenant-wide"), "what does: nothing"),
        ],
    )
    def test_what_is_not_there_is_told_and_nothing_is_changed(
        self, run: Run, file: Path, command: tuple[str, ...], told: str
    ) -> None:
        before = run("control", "--db", file, "--json").out
        done = run(*command, *WHY, "--db", file)
        assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
        assert told in done.err
        assert run("control", "--db", file, "--json").out == before

    def test_of_another_tenant_nothing_is_known(self, run: Run, file: Path) -> None:
        for more in ((), ("--history", "3")):
            done = run("control", "--db", file, "--tenant", "other", *more)
            assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)

    def test_an_error_is_2(self, run: Run, file: Path, tmp_path: Path) -> None:
        for command in (
            ("drain", "support", "v11"), ("canary", "support", "v11", "5"),
            ("rollback", "support", "--to", "v11", "--version", "v11"), ("kill", "--contact", "sms:"),
        ):  # fmt: skip
            done = run(*command, *WHY, "--db", file)
            assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        done = run("kill", "--tenant-wide", *WHY, "--db", tmp_path / "missing.db")
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert not (tmp_path / "missing.db").exists()


class TestUsage:
    @pytest.mark.parametrize("command", ["pause", "kill", "resume"])
    def test_nobody_halts_everything_by_a_forgotten_option(
        self, run: Run, file: Path, command: str
    ) -> None:
        done = run(command, *WHY, "--db", file)
        assert (done.code, done.out) == (2, "")
        assert "--tenant-wide for all" in done.err
        both = run(command, "--tenant-wide", "--channel", "sms", *WHY, "--db", file)
        assert (both.code, both.out) == (2, "")
        assert run("control", "--db", file, "--json").of("halt") == []

    @pytest.mark.parametrize(
        "command",
        [
            ("pause", "--version", "v12"), ("pause", "--endpoint", "+15550199999"),
            ("pause", "--conversation", "x"), ("pause", "--purpose", "all"),
            ("pause", "--tenant-wide", "--by", ""),
            ("canary", "support", "v12", "101"), ("canary", "support", "v12", "nan"),
            ("canary", "support", "v12", "5", "--propose"),
            ("canary", "support", "v12", "5", "--alpha", "0.1"),
            ("canary", "support", "v12", "5", "--trial", "--alpha", "2"),
            ("rollback", "support", "--to", "v11", "--within", "-1"), ("rollback", "support"),
            ("control", "--history", "0"),
        ],
    )  # fmt: skip
    def test_wrong_usage_is_told(self, run: Run, file: Path, command: tuple[str, ...]) -> None:
        why = () if command[0] == "control" else WHY
        done = run(*command, *why, "--db", file)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("usage: ")

    def test_why_must_be_said(self, run: Run, file: Path) -> None:
        assert "--why" in run("kill", "--tenant-wide", "--db", file).err

    def test_exit_codes_are_told(self, run: Run) -> None:
        for command in ("rollback", "control", "kill", "resume", "canary"):
            assert "Exit codes: 0 " in " ".join(run(command, "--help").out.split())

    def test_words_of_others_cannot_steer_the_terminal(self, run: Run, file: Path) -> None:
        said = ("--why", HOSTILE, "--by", HOSTILE)
        run("pause", "--channel", HOSTILE, *said, "--db", file)
        for more in ((), ("--json",), ("--history", "3"), ("--history", "3", "--json")):
            assert not set(run("control", "--db", file, *more).out) & STEERING


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A user that has no name, as in many a container."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    known = {entry.pw_uid for entry in pwd.getpwall()}
    unknown = next(uid for uid in range(54_321, 60_000) if uid not in known)
    monkeypatch.setattr(os, "getuid", lambda: unknown)
    return


def test_who_has_a_name_is_known_by_it() -> None:
    assert acting.login() == getpass.getuser()


def test_who_has_no_name_is_unknown(nameless: None) -> None:
    assert acting.login() == "unknown"
