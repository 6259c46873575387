"""Answers that are offered, and the one that words come to; 88 is the acceptance list's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ctxbridge import errors
from ctxbridge.model import Capabilities, Choice, Choices, Message, Text
from ctxbridge.rules.choices import (
    as_buttons,
    checked_choices,
    chosen,
    lines,
    open_offer,
    pointed_to_in,
    said_in,
    with_choice,
    without_labels,
)

COLOURS = Choices((Choice("r", "Red"), Choice("b", "Dark blue"), Choice("g", "Grün, hell!")))
NIGHTS = Choices((Choice("two", "2"), Choice("four", "4")))


class TestAnswers:
    @pytest.mark.parametrize("text", [
        "2", " 2. ", "2)", "(2)", "#2", "2!", "option 2", "Option #2", "No. 2", "nr 2", "opción 2", "Dark blue", "dark  BLUE.",
        "“Dark blue”", "2. Dark blue", "2.\n\nBest regards\nAnn", "２", "٢", "*2*", "Dark blue\nplease by Monday",
    ])  # fmt: skip
    def test_88_what_names_one_is_that_one(self, text):
        assert chosen(text, COLOURS) == Choice("b", "Dark blue")

    @pytest.mark.parametrize("text", [
        "", "4", "0", "12", "2 or 3", "22", "not 2", "2 please", "blue", "I do not know", "2nd", "-", "?", "two", "1 2", "option",
        "Red or Dark blue", "b", "2" * 500, "option option 2 3",
    ])  # fmt: skip
    def test_what_may_mean_something_else_is_none(self, text):
        assert chosen(text, COLOURS) is None

    def test_labels_may_hold_anything(self):
        assert chosen("grün hell", COLOURS) is None
        assert chosen("GRÜN, HELL", COLOURS) == chosen("3", COLOURS) == COLOURS.offered[2]

    def test_labels_that_are_numbers_get_letters(self):
        assert lines(NIGHTS) == "A. 2\nB. 4"
        assert (
            chosen("2", NIGHTS)
            == chosen("a", NIGHTS)
            == chosen("Option A", NIGHTS)
            == NIGHTS.offered[0]
        )
        assert chosen("1", NIGHTS) is None

    @given(st.text(max_size=500))
    def test_whatever_is_said_is_one_of_them_or_none(self, text):
        assert chosen(text, COLOURS) in {None, *COLOURS.offered}

    @given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=20))
    def test_each_line_and_each_label_names_its_own(self, labels):
        try:
            offered = checked_choices(labels)
        except errors.UsageError:
            return
        for line, choice in zip(lines(offered).split("\n"), offered.offered, strict=True):
            assert chosen(choice.label, offered) == choice
            assert chosen(line.partition(".")[0], offered) == choice


class TestOffers:
    def test_a_text_is_id_and_label(self):
        assert checked_choices(["Yes", Choice("n", " No ")]) == Choices(
            (Choice("Yes", "Yes"), Choice("n", "No"))
        )
        assert checked_choices([]) is None

    @pytest.mark.parametrize("choices", [
        ["a"] * 2, ["Yes", "yes."], [""], [" "], ["..."], ["a\nb"], ["a" * 201], [Choice("", "a")], [Choice("a" * 257, "a")], [7],
        [None], [Choice(1, "a")], [Choice("a", None)], [Choice("a", "A"), Choice("a", "B")], [str(n) for n in range(21)],
    ])  # fmt: skip
    def test_what_cannot_be_offered_is_refused(self, choices):
        with pytest.raises(errors.UsageError):
            checked_choices(choices)

    def test_what_cannot_be_stored_is_replaced(self):
        assert checked_choices(["a\x00b\ud800"]).offered == (
            Choice("a\ufffdb\ufffd", "a\ufffdb\ufffd"),
        )

    def test_88_buttons_only_where_all_fit_whole(self):
        assert as_buttons(COLOURS, Capabilities(buttons=3, button_characters=20))
        assert as_buttons(COLOURS, Capabilities(buttons=2, choices=10))
        assert as_buttons(COLOURS, Capabilities(buttons=3))
        assert not as_buttons(COLOURS, Capabilities(buttons=2))
        assert not as_buttons(COLOURS, Capabilities(buttons=3, button_characters=8))
        assert not as_buttons(COLOURS, Capabilities())
        listed = Capabilities(buttons=2, button_characters=4, choices=10, choice_characters=11)
        assert as_buttons(COLOURS, listed)
        assert not as_buttons(COLOURS, replace(listed, choice_characters=10))
        assert not as_buttons(Choices((Choice("i" * 201, "a"),)), Capabilities(buttons=3))

    def test_88_what_the_words_offer_already_is_known(self):
        assert said_in("Which?\n\n1. Red\n2. Dark blue\n3. Grün, hell!", COLOURS)
        assert said_in("3. Grün, hell!", COLOURS)  # the last of several messages
        assert not said_in("Which? 3. Grün, hell!", COLOURS)
        assert not said_in("Which?\n3. Grün, hell! tea", COLOURS)
        masked = without_labels(COLOURS)
        assert pointed_to_in("1. [x]\n2. [y]\n3. Grün, hell!", masked)
        assert not pointed_to_in("1. [x]\n2. [y]", masked)
        assert not pointed_to_in("1. Red\n2. Dark blue\n3. Grün, hell!", COLOURS)

    def test_marks_stand_for_labels_that_may_not_be_shown(self):
        assert without_labels(COLOURS).offered == (
            Choice("r", "1"),
            Choice("b", "2"),
            Choice("g", "3"),
        )
        assert chosen("2", without_labels(COLOURS)).id == "b"


def said(author, *parts, turn=b"t1", disposition="accepted"):
    return Message(turn, author, "sms", parts, 1, disposition)


ASKED = said("agent", Text("Which?"), COLOURS)


class TestLatest:
    def test_it_waits_until_it_is_answered(self):
        assert open_offer([ASKED]) == (COLOURS, True)
        assert open_offer([ASKED, said("contact", Text("hm"), turn=b"t2")]) == (COLOURS, True)
        assert open_offer([ASKED, said("contact", Text("2"), COLOURS.offered[1])]) is None
        assert open_offer([]) is None

    def test_a_later_one_takes_its_place(self):
        assert open_offer([ASKED, said("agent", Text("When?"), NIGHTS, turn=b"t2")]) == (
            NIGHTS,
            True,
        )

    def test_once_something_else_was_said_a_number_is_no_answer_to_it(self):
        later = [
            ASKED,
            said("contact", Text("hm")),
            said("agent", Text("How many nights?"), turn=b"t2"),
        ]
        assert open_offer(later) == (COLOURS, False)
        assert with_choice((Text("3"),), later) == (Text("3"),)
        assert with_choice((Text("red"),), later) == (Text("red"), COLOURS.offered[0])

    def test_what_was_said_in_the_same_turn_is_no_something_else(self):
        assert open_offer([ASKED, said("agent", Text("Take your time."))]) == (COLOURS, True)

    def test_what_did_not_leave_offers_nothing(self):
        assert open_offer([said("agent", Text("Which?"), COLOURS, disposition="withheld")]) is None
        assert open_offer(
            [ASKED, said("contact", Text("Red"), COLOURS.offered[0], disposition="quarantined")]
        ) == (COLOURS, True)

    def test_a_button_has_brought_its_choice(self):
        parts = (Text("Red"), Choice("x", "Red"))
        assert with_choice(parts, [ASKED]) is parts
