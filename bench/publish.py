"""Puts the goals of the latest full run into the pages that show them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
PAGES = (ROOT / "README.md", ROOT / "docs" / "figures.md")
BEGIN, END = "<!-- figures -->\n", "<!-- /figures -->"

VERDICTS = {True: "yes", False: "**no**", None: "not judged"}


def table(goals: Sequence[Mapping[str, Any]]) -> str:
    """The goals as a table, as they came out."""
    rows = [
        f"| {g['what']} | {g['target']} | {g['measured']:.2f} ({g['low']:.2f} to {g['high']:.2f}) "
        f"| {VERDICTS[g['ok']]} |\n"
        for g in goals
    ]
    head = "| what | target | measured, median (range) | reached |\n| --- | --- | --- | --- |\n"
    return head + "".join(rows)


def latest() -> str:
    """The table of the latest full run."""
    return table(json.loads((RESULTS / "latest.json").read_text(encoding="utf-8"))["goals"])


def publish() -> None:
    """Write the table into the pages, between their marks."""
    for page in PAGES:
        before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        page.write_text(before + BEGIN + latest() + END + after, encoding="utf-8")
