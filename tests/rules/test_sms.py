"""SMS: the alphabet, segments, the plainer text; numbers are those of the acceptance list."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.channels.fixtures import fixture
from tests.guards.talk import grows_in_proportion

from ctxbridge.rules.sms import BASIC, EXTENSION, economical, is_gsm, segments


def test_40_the_alphabet_is_that_of_the_standard():
    table = json.loads(fixture("sms/gsm7_table.json").read_text(encoding="utf-8"))
    assert {c for c, code in table.items() if len(code) == 1} == BASIC
    assert {c for c, code in table.items() if len(code) == 2} == EXTENSION


def test_the_alphabet_has_the_size_of_seven_bits_without_the_escape():
    assert (len(BASIC), len(EXTENSION), BASIC & EXTENSION) == (127, 10, frozenset())


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 1), ("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3), ("€" * 80, 1), ("€" * 81, 2),
     ("€" * 152, 2), ("€" * 153, 3), ("a" * 152 + "€" + "a" * 10, 2), ("ö" * 160, 1), ("ç" * 70, 1), ("ç" * 71, 2),
     ("ç" * 134, 2), ("ç" * 135, 3), ("\U0001f600" * 35, 1), ("\U0001f600" * 36, 2), ("\U0001f600" * 66, 2),
     ("\U0001f600" * 67, 3), ("ç" * 66 + "\U0001f600" * 3, 2), ("{" * 160, 3), ("\n\r" * 80, 1)],
)  # fmt: skip
def test_40_known_lengths(text, count):
    assert segments(text) == count


def really_split(text):
    """The same, by really splitting the text into messages."""
    gsm = set(text) <= BASIC | EXTENSION
    alone, joined = (160, 153) if gsm else (70, 67)

    def size(c):
        return 2 if (c in EXTENSION if gsm else ord(c) > 0xFFFF) else 1

    if sum(map(size, text)) <= alone:
        return 1
    messages = [""]
    for c in text:
        if sum(map(size, messages[-1])) + size(c) > joined:
            messages.append("")
        messages[-1] += c
    assert "".join(messages) == text
    return len(messages)


@given(st.text(alphabet="a€{ö", max_size=700) | st.text(alphabet="aç\U0001f600€", max_size=400))
def test_counting_is_splitting(text):
    assert segments(text) == really_split(text)


@pytest.mark.parametrize("hostile", ["a", "€", "ç", "\U0001f600"])
def test_hostile_text_costs_in_proportion_to_its_length(hostile):
    assert grows_in_proportion(segments, hostile)


class TestEconomical:
    def test_one_curly_quote_costs_a_message(self):
        text = "We’re on our way – your order “A-17” leaves today… " * 2
        told = economical(text)
        assert (told.before, told.after, told.saved) == (2, 1, 1)
        assert told.text == 'We\'re on our way - your order "A-17" leaves today... ' * 2

    def test_what_saves_nothing_stays_as_it_is(self):
        for text in ("We’re here", "Žluťoučký kůň’s " * 9, "plain " * 40, ""):
            assert economical(text).text is text
            assert economical(text).saved == 0

    @given(st.text(alphabet="a’“…\u00a0\u200bžé€", max_size=400))
    def test_it_never_costs_more_and_no_letter_changes(self, text):
        told = economical(text)
        assert told.after == segments(told.text) <= told.before == segments(text)
        assert [c for c in told.text if c.isalpha()] == [c for c in text if c.isalpha()]
        assert told.text is text or is_gsm(told.text)
