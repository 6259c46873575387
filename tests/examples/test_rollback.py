"""The story of the example is what it says, and would not be told of a good release."""

import logging
import runpy
from pathlib import Path

import anyio
import pytest

from ctxbridge.cli import main

STORY = Path(__file__).parents[2] / "examples" / "rollback.py"


@pytest.fixture
def story(tmp_path):
    """Plays it, with what a test changes of it."""

    def play(**changed):
        main = runpy.run_path(str(STORY))["main"]
        main.__globals__.update(changed)
        anyio.run(main, f"sqlite:///{tmp_path}/shop.db")

    return play


def test_the_bad_release_is_taken_back_and_everybody_has_an_answer_of_the_good_one(
    story, capsys, caplog, tmp_path
):
    with caplog.at_level(logging.ERROR, logger="ctxbridge"):
        story()
    told, logged = capsys.readouterr().out, caplog.messages
    assert "the last act: rollback support: v12 to v11, by policy:trial\nRoll v12 back: " in told
    assert "all 300 asked again, and have an answer of v11; none was lost" in told
    assert any(line.startswith("a trial has tripped: Roll v12 back: ") for line in logged)
    assert any(
        line.startswith("rolled back support@v12 to v11, in force after ") for line in logged
    )
    answers = told.splitlines()[0].split(" v11 ")[1].split(", v12 ")
    assert int(answers[0]) + int(answers[1]) >= 300
    assert int(answers[1]) > 0, "the canary had some of them"
    tenant = told.splitlines()[-1].removeprefix("stored under --tenant ")
    assert main(["control", "--db", str(tmp_path / "shop.db"), "--tenant", tenant]) == 0
    assert "by policy:trial" in capsys.readouterr().out


def test_a_good_release_is_not(story):
    """The control: the same traffic, and a v12 that is as good as v11."""
    good = runpy.run_path(str(STORY))["v11"]
    with pytest.raises(AssertionError, match="the rule did not trip"):
        story(v12=good, CUSTOMERS=100)
