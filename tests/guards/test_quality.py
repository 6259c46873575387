"""The labelled sets: what they must be like, and that the figures are measured on them."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from bench.guards_quality import HALVES, costs, half, items, measure, report

from ctxbridge.guards import wishes
from ctxbridge.guards.opt_out import keyword

ROOT = Path(__file__).parents[2]
SETS = ("opt_out", "automatic", "pii")


@pytest.fixture(scope="module")
def scores():
    return measure()


class TestSets:
    @pytest.mark.parametrize("name", SETS)
    def test_half_of_each_is_held_back(self, name):
        halves = Counter(half(item) for item in items(name))
        assert abs(halves["open"] - halves["held back"]) <= len(SETS) + 5

    @pytest.mark.parametrize("name", SETS)
    def test_nothing_is_in_it_twice(self, name):
        def same(item):
            words = "".join(c for c in item["text"].casefold() if c.isalnum())
            return item.get("language"), words, str(item.get("headers"))

        counts = Counter(map(same, items(name)))
        assert [words for words, n in counts.items() if n > 1] == []

    def test_opt_out_has_forty_of_each_language_and_as_many_that_are_none(self):
        by_language = Counter(item["language"] for item in items("opt_out"))
        wanted = Counter(item["language"] for item in items("opt_out") if item["tier"] != "none")
        assert set(by_language) == set(wishes.STOP_WORDS_BY_LANGUAGE)
        for language, count in by_language.items():
            assert count >= 40
            assert 0.4 <= wanted[language] / count <= 0.6

    def test_automatic_has_sixty_half_of_them_of_people(self):
        tiers = Counter(item["tier"] for item in items("automatic"))
        assert tiers.total() >= 60
        assert tiers["none"] * 2 == tiers.total()

    def test_pii_has_a_hundred_and_fifty_with_their_places(self):
        found = items("pii")
        assert len(found) >= 150
        for item in found:
            for _, start, end in item["spans"]:
                assert item["text"][start:end] == item["text"][start:end].strip() != ""
        assert sum(not item["spans"] for item in found) >= 50


def test_keywords_are_no_guesses(scores):
    for part in HALVES:
        assert scores["opt_out", "keywords", part].precision >= 0.9


def test_every_set_and_half_has_figures(scores):
    assert {(name, part) for name, _, part in scores} == {(n, h) for n in SETS for h in HALVES}
    assert report(scores).count("\n") > 15
    assert all(cost > 0 for cost in costs().values())


def test_a_guard_that_finds_nothing_or_everything_would_be_seen(scores):
    from bench.guards_quality import Score

    nothing, everything = Score(), Score()
    for item in items("opt_out"):
        nothing.note(item["tier"] != "none", False)
        everything.note(item["tier"] != "none", True)
    assert nothing.recall == 0
    assert everything.precision < 0.6 < scores["opt_out", "guard", "held back"].precision


def test_the_report_can_be_printed():
    done = subprocess.run(
        [sys.executable, "-m", "bench.guards_quality"], check=True, cwd=ROOT, capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert "| opt_out | keywords |" in done.stdout
    assert "per KiB" in done.stdout


def test_no_item_is_a_keyword_by_accident():
    for item in items("opt_out"):
        assert item["tier"] == "keyword" or len(keyword(item["text"]).split()) != 1, item
