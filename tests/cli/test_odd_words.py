"""What is typed wrong, what is no text, and who is gone: told in one line, with a code that says which."""

from pathlib import Path

import anyio
import pytest
from tests.cli.test_operating import ANN, OURS, Run, run

from ctxbridge import Address, Assurance, Bridge, Inbound, Text

__all__ = ["run"]
NO_TEXT = "\udcff"  # how Python gives an argument's byte 0xff to a program


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Ann wrote, and then STOP."""
    path = tmp_path / "support.db"

    async def write() -> None:
        async with Bridge(f"sqlite:///{path}", tenant="acme") as bridge:
            ann = Address.parse(ANN)
            for id, text in (("SM1", "Hello"), ("SM2", "STOP")):
                parts = (Text(text),)
                inbound = Inbound("sms", OURS, ann, id, parts, Assurance.CHANNEL)
                async with bridge.turn(inbound) as turn:
                    if turn.open:
                        turn.reply("Hi")

    anyio.run(write)
    return path


@pytest.mark.parametrize(
    "asked",
    [
        ["pause", "--channel", NO_TEXT, "--why", "x"],
        ["kill", "--endpoint", f"sms:{NO_TEXT}", "--why", "x"],
    ],
)
def test_what_is_no_text_is_told_in_one_line(run: Run, db: Path, asked: list[str]) -> None:
    done = run(*asked, "--db", db, "--tenant", "acme")
    assert (done.code, done.out) == (2, "")
    assert done.err == "ctxbridge: an argument is no text in UTF-8, so nothing was done\n"
    assert run("control", "--db", db, "--tenant", "acme").code == 1  # nothing stands still


@pytest.mark.parametrize("words", [["--why", NO_TEXT], ["--by", NO_TEXT, "--why", "x"]])
def test_no_kill_is_refused_for_an_odd_byte_in_its_reason(
    run: Run, db: Path, words: list[str]
) -> None:
    done = run("kill", "--tenant-wide", *words, "--db", db, "--tenant", "acme")
    assert (done.code, done.err) == (0, "")
    assert "\ufffd" in done.out


@pytest.mark.parametrize(
    "asked",
    [
        ["link", ANN, "email:ann@example.org", "--evidence", ""],
        ["split", ANN, "--evidence", " "],
        ["unlink", ANN, "--history", "stays", "--evidence", ""],
        ["pause", "--channel", "sms", "--why", " "],
        ["rollback", "support", "--to", "v1", "--why", ""],
    ],
)
def test_a_reason_that_is_stored_says_something(run: Run, db: Path, asked: list[str]) -> None:
    done = run(*asked, "--db", db, "--tenant", "acme")
    assert (done.code, done.out) == (2, "")
    assert "it is empty, and must say something" in done.err


def test_nobody_is_told_with_the_tenant_that_was_asked(run: Run, db: Path) -> None:
    for asked in (
        ["erase", ANN, "--yes"],
        ["history", ANN],
        ["floor", "show", ANN],
        ["unlink", ANN, "--history", "goes", "--evidence", "x"],
    ):
        done = run(*asked, "--db", db)  # acme's, and --tenant was forgotten
        assert done.code == 1
        assert "(tenant 'demo')" in done.err


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        (["--address", "sms:+15550100009", "--tenant", "acme"], 1, "nobody is stored under this"),
        (["--address", ANN], 1, "(tenant 'demo')"),
        (["--since", "2026-11-02", "--until", "2026-11-01"], 2, "--since is not before --until"),
        (["--address", ANN, "--tenant", "acme", "--since", "2026-11-02"], 3, ""),  # STOP
    ],
)
def test_of_nothing_a_replay_does_not_say_that_all_is_well(
    run: Run, db: Path, tmp_path: Path, more: list[str], code: int, told: str
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("[[guard]]\nuse = 'pii'\n")
    done = run("replay", "--guards", policy, "--db", db, *more)
    assert done.code == code, done.err
    assert told in done.err
    assert ("judged again" in done.out) is (code == 3)


def test_an_empty_name_of_a_store_is_not_this_folder(run: Run) -> None:
    done = run("show", ANN, "--db", "")
    assert (done.code, done.err) == (
        2, "ctxbridge: --db is empty; it names the file of a store, or its address\n",
    )  # fmt: skip


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_who_closed_stdout_reads_nothing_and_no_traceback(
    run: Run, db: Path, more: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Python gives a program that was started with ``>&-``."""
    monkeypatch.setattr("sys.stdout", None)
    done = run("stats", "--db", db, "--tenant", "acme", *more)
    assert (done.code, done.err) == (0, "")


class TestErased:
    def test_without_yes_it_is_a_usage_error_and_not_nobody(self, run: Run, db: Path) -> None:
        done = run("erase", ANN, "--db", db, "--tenant", "acme")
        assert (done.code, done.err) == (
            2, "ctxbridge: this cannot be undone: say --yes to erase\n",
        )  # fmt: skip
        assert run("show", ANN, "--db", db, "--tenant", "acme").code == 0

    @pytest.mark.parametrize("more", [[], ["--json"]])
    def test_one_who_was_erased_is_told_so(self, run: Run, db: Path, more: list[str]) -> None:
        assert run("erase", ANN, "--db", db, "--tenant", "acme", "--yes").code == 0
        done = run("show", ANN, "--db", db, "--tenant", "acme", *more)
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("ctxbridge: who was stored under this address was erased: ")

    def test_that_they_said_stop_is_still_in_the_ledger(self, run: Run, db: Path) -> None:
        run("erase", ANN, "--db", db, "--tenant", "acme", "--yes")
        told = run("consents", ANN, "--db", db, "--tenant", "acme", "--json").objects
        assert [(one["channel"], one["granted"], one["source"], one["holds"]) for one in told] == [
            ("sms", False, "erased", True)
        ]
        printed = run("consents", ANN, "--db", db, "--tenant", "acme").out
        assert "refused" in printed
        assert "01 Jan" not in printed  # when it was said went with the words
