"""How the fates of concurrent turns are counted, on stories whose counts are known."""

from bench.correctness import Turn, judge

A, B = "answer to a", "answer to b"


def turn(question, *seen, well=True):
    return Turn(question, set(seen), ended_well=well)


def counts(turns, *stored):
    return {what: number for what, number in judge(turns, stored).items() if number}


def test_one_after_the_other_is_faultless():
    assert counts([turn("a"), turn("b", "a", A)], "a", A, "b", B) == {}


def test_a_question_that_comes_while_another_is_answered_is_no_fault():
    assert counts([turn("a", "a"), turn("b", "a", A)], "a", "b", A, B) == {}


def test_an_answer_that_did_not_see_the_one_before_it_is_stale():
    assert counts([turn("a"), turn("b")], "a", "b", A, B) == {"stale": 1}


def test_what_was_acknowledged_and_is_not_there_is_lost():
    assert counts([turn("a"), turn("b", "a", A)], "a", A, "b") == {"lost": 1}


def test_what_was_refused_is_not_lost():
    assert counts([turn("a"), turn("b", well=False)], "a", A, "b") == {"refused": 1}


def test_a_repeated_webhook_may_leave_nothing_twice():
    assert counts([turn("a"), turn("a", "a", A)], "a", A) == {}
    assert counts([turn("a"), turn("a", "a", A)], "a", A, "a", A) == {"duplicates": 2}
