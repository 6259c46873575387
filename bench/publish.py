"""Puts what the latest full run found into the pages that show it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
README = ROOT / "README.md"
PAGES = (README, ROOT / "docs" / "figures.md")
BEGIN, END = "<!-- figures -->\n", "<!-- /figures -->"
BEGIN_TURNS, END_TURNS = "<!-- turns -->\n", "<!-- /turns -->"

# The front page shows one goal of a kind, and counts them all; they are in docs/figures.md.
HEADLINES = (
    "G1@1", "G1@64", "G4@64", "G5@64", "G6@64", "G7 read@64", "G7 write@64", "G8 LangChain",
    "G9 contacts", "G14@64", "G14 append", "G15 look-up",
)  # fmt: skip
VERDICTS = {True: "yes", False: "**no**", None: "not judged"}

Rows = Sequence[Mapping[str, Any]]


def table(goals: Rows) -> str:
    """The goals as a table, as they came out."""
    rows = [
        f"| {g['what']} | {g['target']} | {_measured(g)} | {VERDICTS[g['ok']]} |\n" for g in goals
    ]
    head = "| what | target | measured, median (range) | reached |\n| --- | --- | --- | --- |\n"
    return head + "".join(rows)


def _measured(goal: Mapping[str, Any]) -> str:
    if goal.get("counted"):
        return f"{goal['measured']:g}"
    return f"{goal['measured']:,.2f} ({goal['low']:,.2f} to {goal['high']:,.2f})"


def turns(fates: Rows) -> str:
    """What became of concurrent turns, as a table."""
    columns = ("turns", "lost", "duplicates", "stale", "refused")
    rows = [f"| {f['system']} | {' | '.join(str(f[c]) for c in columns)} |\n" for f in fates]
    head = f"| system | {' | '.join(columns)} |\n| --- |{' --- |' * len(columns)}\n"
    return head + "".join(rows)


def latest(page: Path | None = None) -> str:
    """The table of the latest full run: all of it, or what `page` shows of it."""
    goals: Rows = _results()["goals"]
    if page == README and any(goal["id"] in HEADLINES for goal in goals):
        shown = [goal for goal in goals if goal["id"] in HEADLINES]
        return table(shown) + "\n" + reached(goals)
    return table(goals)


def reached(goals: Rows) -> str:
    """How many there are, so that nobody takes those that are shown for all."""
    count = sum(goal["ok"] is True for goal in goals)
    return f"Of all {len(goals)} goals {count} were reached.\n"


def _results() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / "latest.json").read_text(encoding="utf-8"))
    return found


def publish() -> None:
    """Write the tables into the pages, between their marks."""
    for page in PAGES:
        text = between(page.read_text(encoding="utf-8"), BEGIN, latest(page), END)
        if BEGIN_TURNS in text:
            text = between(text, BEGIN_TURNS, turns(_results()["correctness"]), END_TURNS)
        page.write_text(text, encoding="utf-8")


def between(text: str, begin: str, new: str, end: str) -> str:
    before, _, rest = text.partition(begin)
    return before + begin + new + end + rest.partition(end)[2]
