"""The story of the example is what it says."""

import runpy
from pathlib import Path

import anyio

STORY = Path(__file__).parents[2] / "examples" / "identity.py"


def test_each_one_sees_what_they_may_and_no_more(capsys):
    anyio.run(runpy.run_path(str(STORY))["main"])
    told = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())

    assert told["by mail, a stranger"] == "['It is for my mother.']"
    joined = ["Where is order A-17?", "It is for my mother.", "That was me."]
    assert told["by sms, after the code"] == str(joined)
    assert told["in the chat, logged in"] == str([*joined, "Here too."])
    assert told["a mail with a forged From"].startswith("['Send it to Elm Street.'], ")
    assert told["a mail with a forged From"].endswith(" kept back")
    assert "Where is order A-17?" in told["after a wrong merge"]
    assert told["split again"] == "['I am somebody else.', 'Who is Ann?', 'Good.']"
    evidence = [text for place, text in told.items() if place.startswith("#")]
    assert evidence == [
        "code to the mailbox, back by sms", "shop login 7", "a clerk's mistake", "the clerk noticed",
    ]  # fmt: skip
    assert told["nobody is left"] == "True"
    assert int(told["erased"].split()[0]) >= 16
