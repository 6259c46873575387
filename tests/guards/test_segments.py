"""SMS segments."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.channels.fixtures import fixture

from ctxbridge import errors, guards
from ctxbridge.guards.segments import BASIC, EXTENSION, segments

from .talk import bare, grows_in_proportion


def test_the_alphabet_is_that_of_the_standard():
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
def test_known_lengths(text, count):
    assert segments(text) == count


def split(text):
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
    assert segments(text) == split(text)


class TestGuard:
    def test_what_is_too_long_is_blocked_or_noted(self):
        long = "a" * 460
        assert guards.sms_segments(3).check(bare(long, "reply")).code == "segments.too_many"
        assert guards.sms_segments(3, action="warn").check(bare(long, "reply")).action == "warn"
        assert guards.sms_segments(3).check(bare(long[:459], "reply")).action == "allow"

    def test_other_channels_have_no_segments(self):
        assert guards.sms_segments(1).check(bare("a" * 999, "reply", "email")).action == "allow"

    @given(st.text(alphabet="a€ç\U0001f600", max_size=300), st.integers(1, 6))
    def test_the_short_way_says_the_same(self, text, most):
        blocked = guards.sms_segments(most).check(bare(text, "reply")).action == "block"
        assert blocked == (segments(text) > most)

    def test_none_at_all_is_refused(self):
        with pytest.raises(errors.ConfigurationError):
            guards.sms_segments(0)

    @pytest.mark.parametrize("hostile", ["a", "€", "ç", "\U0001f600"])
    def test_hostile_text_costs_in_proportion_to_its_length(self, hostile):
        assert grows_in_proportion(segments, hostile)
