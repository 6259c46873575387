"""SMS in pieces: out of order, twice, never, and under a reference that was used before."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxbridge.model import Address, Endpoint
from ctxbridge.rules import concatenated
from ctxbridge.rules.concatenated import LIMIT_MILLISECONDS, MOST_HELD, Piece, gather, overdue

ANN, US = Address("sms", "+15550100001"), Endpoint("sms", "+15550199999")
WORDS = ["One ", "two ", "three ", "four"]


def piece(part, total=4, reference=7, at=0, text=None, sender=ANN):
    words = WORDS[part - 1] if text is None else text
    return Piece(sender, US, reference, total, part, words, f"id{reference}.{part}", at)


def run(pieces, held=()):
    given = []
    for one in pieces:
        gathered = gather(held, one)
        held = gathered.held
        given += gathered.whole
    return held, given


def test_43_out_of_order_with_a_repetition_is_one_message():
    held, given = run([piece(3), piece(1), piece(1), piece(4), piece(2), piece(4)])
    assert [(one.text, one.partial, one.message_id) for one in given] == [
        ("One two three four", False, "id7.1")
    ]
    assert overdue(held, LIMIT_MILLISECONDS).whole == ()


def test_43_what_is_missing_at_the_limit_is_partial():
    held, given = run([piece(1), piece(4), piece(2)])
    assert given == []
    assert overdue(held, LIMIT_MILLISECONDS - 1).whole == ()
    late = overdue(held, LIMIT_MILLISECONDS)
    assert [(one.text, one.partial) for one in late.whole] == [("One two four", True)]
    assert late.held == ()


def test_a_piece_that_comes_after_the_limit_gives_the_rest_as_partial_first():
    _, given = run([piece(1), piece(2, at=LIMIT_MILLISECONDS)])
    assert [(one.text, one.partial) for one in given] == [("One ", True)]


def test_a_reference_that_is_used_again_is_another_message():
    again = [piece(1, 2, text="New "), piece(2, 2, text="words")]
    held, given = run([piece(1, 2), piece(2, 2), *again])
    assert [one.text for one in given] == ["One two ", "New words"]
    _, given = run([piece(1), piece(2), piece(1, text="New ")])
    assert [(one.text, one.partial) for one in given] == [("One two ", True)]
    assert len(held) == 1


def test_senders_and_totals_do_not_mix():
    other = Address("sms", "+15550100002")
    _, given = run([piece(1, 2), piece(2, 2, sender=other), piece(2, 3), piece(1, 2, sender=other)])
    assert [one.text for one in given] == ["One two "]
    assert given[0].pieces[0].sender == other


@pytest.mark.parametrize(("part", "total"), [(0, 2), (3, 2), (1, 0), (-1, -1), (1, 256)])
def test_numbers_that_cannot_be_lose_nothing(part, total):
    _, given = run([piece(part, total, text="words")])
    assert [(one.text, one.partial) for one in given] == [("words", True)]


def test_a_message_of_one_piece_is_whole_at_once():
    _, given = run([piece(1, 1)])
    assert [(one.text, one.partial) for one in given] == [("One ", False)]


def test_what_is_held_is_bounded_and_nothing_is_lost():
    held, given = run(piece(1, 2, reference) for reference in range(MOST_HELD + 3))
    assert len(held) == MOST_HELD
    assert [(one.message_id, one.partial) for one in given] == [
        (f"id{n}.1", True) for n in range(3)
    ]


@st.composite
def arrivals(draw):
    """Pieces of several messages, shuffled, some twice; in time."""
    pieces = []
    for reference in range(draw(st.integers(1, 5))):
        total = draw(st.integers(1, 4))
        pieces += [
            piece(part, total, reference, text=f"{reference}/{part} ")
            for part in range(1, total + 1)
        ]
    pieces += draw(st.lists(st.sampled_from(pieces), max_size=6))
    random.Random(draw(st.integers(0, 10**6))).shuffle(pieces)
    return pieces


@given(arrivals())
def test_each_message_comes_once_and_whole(pieces):
    held, given = run(pieces)
    assert not any(one.partial for one in given)
    assert sorted(p.text for one in given for p in one.pieces) == sorted({p.text for p in pieces})
    assert overdue(held, LIMIT_MILLISECONDS).whole == ()


def test_without_its_memory_a_repetition_would_come_twice(monkeypatch):
    """The broken variant: what was given is let go of at once."""
    put = concatenated._put

    def forgetful(gathered, held):
        put_in = put(gathered, held)
        return concatenated.Gathered(tuple(h for h in put_in.held if not h.given), put_in.whole)

    monkeypatch.setattr(concatenated, "_put", forgetful)
    held, given = run([piece(1, 2), piece(2, 2), piece(1, 2)])
    assert [one.text for one in given] == ["One two "]
    assert [one.text for one in overdue(held, LIMIT_MILLISECONDS).whole] == ["One "]
