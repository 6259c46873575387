"""``python -m bench.guards_quality``: how well the guards find, on the labelled sets of the tests.

Precision is how much of what was found was meant, recall how much of what was meant was found.
Every second item is held back: no phrase or pattern was changed for it, so its figures are the ones
to believe. The sets are our own words; other people's customers write otherwise.
"""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from ctxbridge.channels import Email
from ctxbridge.guards import TextCheck, automatic, opt_out
from ctxbridge.guards.opt_out import is_possible, keyword, meaning
from ctxbridge.guards.patterns import ALL_KINDS, find
from ctxbridge.model import Assurance, Inbound, RawRequest, Verdict

LABELLED = Path(__file__).parents[1] / "tests" / "guards" / "labelled"
HALVES = ("open", "held back")
Item = dict[str, Any]


class Score(Struct):
    """Right and wrong findings, and what was missed."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    @property
    def precision(self) -> float:
        found = self.right + self.wrong
        return self.right / found if found else 1.0

    @property
    def recall(self) -> float:
        meant = self.right + self.missed
        return self.right / meant if meant else 1.0

    def note(self, meant: bool, found: bool) -> None:
        self.right += meant and found
        self.wrong += found and not meant
        self.missed += meant and not found


Scores = dict[tuple[str, str, str], Score]
"""By set, part and half."""


def items(name: str) -> list[Item]:
    lines = (LABELLED / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def half(item: Item) -> str:
    return HALVES[bool(item.get("held_back"))]


def measure() -> Scores:
    """All the figures."""
    scores: Scores = defaultdict(Score)
    for name, judge in (("opt_out", _opt_out), ("automatic", _automatic), ("pii", _pii)):
        for item in items(name):
            for part, meant, found in judge(item):
                scores[name, part, half(item)].note(meant, found)
    return dict(scores)


def _opt_out(item: Item) -> Iterator[tuple[str, bool, bool]]:
    """The keywords, free text by language, and both together as the guard has them."""
    text, tier = item["text"], item["tier"]
    is_keyword = meaning(keyword(text), "sms") == "stop"
    yield "keywords", tier == "keyword", is_keyword
    if tier != "keyword":
        yield f"free text {item['language']}", tier == "free", is_possible(text)
    verdict = _verdict(opt_out().check, text, "sms", ())
    yield "guard", tier != "none", verdict.action != "allow"


def _automatic(item: Item) -> Iterator[tuple[str, bool, bool]]:
    inbound = _mail(item["headers"], item["text"])
    verdict = _verdict(automatic().check, inbound.text, "email", inbound.flags)
    yield "headers", item["tier"] == "header", verdict.action == "block"
    if item["tier"] != "header":
        yield "words", item["tier"] == "words", verdict.action == "warn"


def _mail(headers: Iterable[tuple[str, str]], text: str) -> Inbound:
    lines = {"From": "ann@example.org", "Message-ID": "<1@example.org>", **dict(headers)}
    raw = "\r\n".join(f"{name}: {value}" for name, value in lines.items()) + f"\r\n\r\n{text}"
    channel = Email()
    request = RawRequest(raw.encode())
    (event,) = channel.parse(request, channel.verify(request)).events
    assert isinstance(event, Inbound)
    return event


def _verdict(check: Any, text: str, channel: str, flags: tuple[str, ...]) -> Verdict:
    verdict: Verdict = check(TextCheck("inbound", text, channel, Assurance.CHANNEL, 0, flags))
    return verdict


def _pii(item: Item) -> Iterator[tuple[str, bool, bool]]:
    """Each span counts, and only where kind and place are exactly right."""
    meant = {(kind, start, end) for kind, start, end in item["spans"]}
    found = {(f.category, f.start, f.end) for f in find(item["text"], ALL_KINDS)}
    for span in meant | found:
        yield span[0], span in meant, span in found


ORDINARY = (
    "Hello, I ordered a blue kettle on 12 November 2026 (order A-1042) and it has not come yet. "
    "The tracking number is 1Z999AA10123456784, and the shop said that it takes 3 to 5 days. Could "
    "you look into it, please? Best wishes, Ann\n"
) * 5


def costs() -> dict[str, float]:
    """Microseconds per KiB of ordinary text, the best of several rounds."""
    text = ORDINARY[:1024]
    what: dict[str, Callable[[], object]] = {
        "pii, as it is": lambda: find(text),
        "pii, all kinds": lambda: find(text, ALL_KINDS),
        "opt-out, free text": lambda: is_possible(text),
    }
    return {name: min(_round(run) for _ in range(15)) for name, run in what.items()}


def _round(run: Callable[[], object], times: int = 50) -> float:
    started = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - started) / times * 1e6


def report(scores: Scores) -> str:
    """The figures as a table."""
    rows = ["| set | part | items | precision | recall | held back: precision | recall |"]
    rows.append("|---|---|---|---|---|---|---|")
    for name, part in dict.fromkeys((name, part) for name, part, _ in scores):
        seen, kept = (scores.get((name, part, h), Score()) for h in HALVES)
        meant = seen.right + seen.missed + kept.right + kept.missed
        rows.append(
            f"| {name} | {part} | {meant} | {seen.precision:.2f} | {seen.recall:.2f} "
            f"| {kept.precision:.2f} | {kept.recall:.2f} |"
        )
    return "\n".join(rows)


def main() -> None:
    print(report(measure()))
    print()
    for name, cost in costs().items():
        print(f"{name}: {cost:.0f} µs per KiB")


if __name__ == "__main__":
    main()
