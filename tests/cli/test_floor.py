"""`ctxbridge floor`, as it is typed."""

import json

import anyio
import pytest
from tests.bridge.conftest import SENDERS, exchange, write

from ctxbridge import Bridge
from ctxbridge.cli import main

ANN = str(SENDERS["sms"])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "support.db"

    async def known():
        async with Bridge(f"sqlite:///{path}", tenant="acme") as bridge:
            await exchange(bridge, write("hello"), "hi")

    anyio.run(known)
    return path


@pytest.fixture
def run(file, capfd, monkeypatch):
    def run(*words):
        monkeypatch.setenv("COLUMNS", "110")
        monkeypatch.setenv("LOGNAME", "ann")  # who types it, where nobody is named
        try:
            code = main(["floor", *words, "--db", str(file), "--tenant", "acme"])
        except SystemExit as end:
            code = end.code
        out, err = capfd.readouterr()
        return code, out, err

    return run


def test_all_steps_and_what_a_person_and_a_program_read(run):
    assert run("show", ANN)[:2] == (0, "agent  epoch: 0\n")
    code, out, _ = run(
        "offer", ANN, "--reason", "refund", "--to", "billing", "--promised", "a call", "--promised",
        "a mail", "--summary", "s", "--within", "60", "--otherwise", "", "--json",
    )  # fmt: skip
    told = json.loads(out)
    assert (code, told["floor"], told["promised"], told["by"]) == (
        0, "queue", ["a call", "a mail"], "ann",
    )  # fmt: skip
    assert told["expires_at"] - told["at"] == 60_000
    code, out, _ = run("accept", ANN, "--by", "bea", "--epoch", str(told["epoch"]))
    assert (code, out.startswith("human (bea)  epoch: 2, since: ")) == (0, True)
    assert "human (carl)" in run("pass", ANN, "--by", "bea", "--to", "carl")[1]
    code, out, _ = run("release", ANN, "--by", "boss", "--force", "--note", "gone\x1b[2J home")
    assert (code, out.startswith("agent  epoch: 4"), "\x1b" in out) == (0, True, False)
    assert "step: released, by: boss" in run("show", ANN)[1]


def test_the_log_tells_of_it(run, file, capfd):
    run("offer", ANN, "--reason", "refund", "--to", "billing")
    run("accept", ANN, "--by", "bea")
    run("release", ANN, "--by", "bea", "--note", "paid out")
    main(["show", ANN, "--db", str(file), "--tenant", "acme"])
    told = [line[28:].strip() for line in capfd.readouterr().out.splitlines() if "handoff" in line]
    assert told == [
        "handoff offered by ann to billing: refund",
        "handoff accepted by bea to billing: refund",
        "handoff released by bea to billing: paid out",
    ]


def test_who_comes_late_is_told_who_has_it_and_by_the_code(run):
    run("accept", ANN, "--by", "bea")
    code, out, err = run("accept", ANN, "--by", "carl")
    assert (code, out) == (3, "")
    assert err == "ctxbridge: the floor is not yours: a colleague has it (bea)\n"
    assert run("release", ANN, "--by", "carl")[0] == 3


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, ("show", "sms:+15550100777")), (2, ("show", "")), (2, ("shout", ANN)),
        (2, ("offer", ANN)), (2, ("pass", ANN, "--by", "bea")), (2, ("accept", ANN, "--by", "")),
        (2, ("accept", ANN, "--epoch", "-1")), (2, ("offer", ANN, "--within", "x")),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_in_one_line(run, code, words):
    ended, out, err = run(*words)
    assert (ended, out) == (code, "")
    assert err.count("ctxbridge") >= 1
