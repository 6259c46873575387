"""The example of LangGraph as it is started."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip(
    "langchain", reason="needs the extras: pip install ctxbridge[langchain,langgraph]"
)

BOT = Path(__file__).parents[2] / "examples" / "langgraph_bot.py"


def test_text_and_mail_are_one_conversation_and_a_redelivery_changes_nothing():
    done = subprocess.run(
        [sys.executable, str(BOT)], capture_output=True, check=True, text=True, timeout=60
    )
    assert [line.split(maxsplit=2) for line in done.stdout.splitlines()] == [
        ["sms", "contact", "Where is my order?"],
        ["sms", "agent", "Your order A-17 left today."],
        ["email", "contact", "Can it go to work?"],
        ["email", "agent", "Yes: A-17 can still be sent elsewhere."],
    ]


def test_it_is_short():
    assert len(BOT.read_text().splitlines()) <= 40
