"""Limits in each channel's own unit, and what is cut where; numbers are the acceptance list's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.guards.talk import grows_in_proportion

from ctxbridge import errors
from ctxbridge.rules.graphemes import may_cut
from ctxbridge.rules.sms import segments
from ctxbridge.rules.splitting import fits, length, split

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
FLAG = "\U0001f1e9\U0001f1ea"
ONE = [
    "\r\n", "e\u0301", "\u0915\u094d\u0937", FAMILY, FLAG, "\U0001f44d\U0001f3fd", "\u2764\ufe0f", "1\ufe0f\u20e3",
    "\u1112\u1161\u11ab", "\ud55c\u11ab", "\u0e01\u0e33", "\U0001f3f4\U000e0067\U000e0062\U000e007f", "n\u0303\u0323",
]  # fmt: skip
TWO = ["ab", "\n\r", "a ", FLAG[1] + " ", "\ud55c\uae00", "\u11ab\u1112", "\u0915\u0916", "\U0001f600\U0001f600"]  # fmt: skip
UNITS = ["character", "utf16", "byte", "segment"]


@pytest.mark.parametrize("text", ONE)
def test_41_what_people_see_as_one_is_not_cut(text):
    assert not any(may_cut(text, place) for place in range(1, len(text)))


@pytest.mark.parametrize("text", TWO)
def test_41_what_are_two_may_be_cut(text):
    assert may_cut(text, 1)


def test_41_flags_are_cut_in_pairs():
    text = FLAG * 3
    assert [place for place in range(1, len(text)) if may_cut(text, place)] == [2, 4]


@pytest.mark.parametrize("unit", UNITS)
@given(
    text=st.text(max_size=300) | st.lists(st.sampled_from([*ONE, *TWO, "€", "^", "word "]), max_size=120).map("".join),
    longest=st.integers(4, 60),
)  # fmt: skip
def test_41_pieces_are_within_the_limit_and_join_to_the_text(unit, text, longest):
    text = text.encode("utf-8", "replace").decode()
    longest = longest if unit != "segment" else 1 + longest % 3
    pieces = split(text, longest, unit)
    assert "".join(pieces) == text
    assert all(length(piece, unit) <= longest for piece in pieces)
    assert all(pieces) or text == ""


@pytest.mark.parametrize("unit", UNITS)
@given(
    st.lists(st.sampled_from([*ONE, "a", "€", " "]), min_size=1, max_size=200).map("".join),
    st.integers(20, 60),
)
def test_41_no_cut_is_within_what_people_see_as_one(unit, text, longest):
    pieces = split(text, longest if unit != "segment" else 1, unit)
    ends = [sum(map(len, pieces[:n])) for n in range(1, len(pieces))]
    if "\u0e33" not in text:  # a vowel that joins whatever is before may make any number one
        assert all(may_cut(text, end) for end in ends)


def test_41_an_escape_pair_is_in_one_message():
    pieces = split("a" * 152 + "€" * 100, 1, "segment")
    assert [segments(piece) for piece in pieces] == [1] * len(pieces)
    assert "".join(pieces) == "a" * 152 + "€" * 100


def test_42_five_thousand_characters_are_split_and_not_cut_short():
    text = "All work and no play makes Jack a dull boy. " * 114
    pieces = split(text[:5000], 1600)
    assert len(pieces) == 4
    assert "".join(pieces) == text[:5000]
    assert all(piece.endswith(". ") for piece in pieces[:-1])


def test_87_bytes_are_counted_as_bytes():
    """Instagram takes 1,000 bytes, Telegram 64 in a callback."""
    assert fits("é" * 500, 1000, "byte")
    assert not fits("é" * 501, 1000, "byte")
    assert fits("é" * 1000, 1000, "character")
    assert not fits("\U0001f600" * 17, 64, "byte")
    assert length("\U0001f600" * 16, "byte") == 64
    assert [length(piece, "byte") for piece in split("é" * 1001, 1000, "byte")] == [1000, 1000, 2]


def test_where_it_ends_is_where_a_reader_would_stop():
    assert split("One two. Three four five six seven", 20) == (
        "One two. Three four ",
        "five six seven",
    )
    assert split("aaaaaaaaaaaa. bbb ccc", 20) == ("aaaaaaaaaaaa. ", "bbb ccc")
    assert split("aaaaaaaaa\n\nbb cc dd ee ff", 20) == ("aaaaaaaaa\n\n", "bb cc dd ee ff")


def test_a_word_is_torn_only_where_no_piece_could_hold_it():
    assert split("See https://x.example/17 for it.", 22) == (
        "See ",
        "https://x.example/17 ",
        "for it.",
    )
    assert split("See https://x.example/17 for it.", 12) == (
        "See https://",
        "x.example/17",
        " for it.",
    )


def test_what_is_one_character_and_too_long_by_itself_is_cut_all_the_same():
    zalgo = "a" + "\u0301" * 100
    pieces = split(zalgo, 20)
    assert "".join(pieces) == zalgo
    assert max(map(len, pieces)) == 20


def test_a_limit_in_which_nothing_fits_is_refused():
    for longest, unit in ((3, "byte"), (1, "utf16"), (9, "inch")):
        with pytest.raises(errors.ConfigurationError):
            split("\U0001f600", longest, unit)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("hostile", ["a", "\u0301", FLAG, "\U0001f600\u200d", ". "])
def test_hostile_text_costs_in_proportion_to_its_length(unit, hostile):
    longest = 160 if unit != "segment" else 2
    assert grows_in_proportion(lambda text: split(text, longest, unit), hostile)
