"""The rules of the outbox and of the backlog, without any store."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ctxbridge.model import Delivery, Head, Scan, Settle, Take
from ctxbridge.rules import backlog, outbox

NOW = 1_790_000_000_000
ID = bytes(range(16))
CALLBACKS = ("unknown", "sent", "failed", "delivered", "read")


def said(status, attempt=0, *, id="", by_us=True, code="", retry=None):
    return Settle(
        "acme", status, NOW, delivery=ID if by_us else b"", provider_id=id, attempt=attempt,
        code=code, retry_seconds=retry,
    )  # fmt: skip


def after(delivery, words, settle=outbox.settle):
    """Every state that the delivery goes through."""
    states = [delivery]
    for word in words:
        states.append(settle(states[-1], word))
    return states


words = st.builds(
    said,
    st.sampled_from(outbox.STATUSES),
    st.integers(0, 3),
    id=st.sampled_from(["", "P1", "P2"]),
    by_us=st.booleans(),
)
deliveries = st.builds(
    Delivery,
    st.just(ID),
    status=st.sampled_from(outbox.STATUSES),
    attempt=st.integers(0, 3),
    provider_id=st.sampled_from(["", "P1", "P2"]),
)


class TestLattice:
    def test_the_numbers_as_stored_never_move(self):
        assert outbox.STATUSES == (
            "pending", "claimed", "unknown", "sent", "failed", "delivered", "read", "withheld",
        )  # fmt: skip

    @given(deliveries, st.lists(words, max_size=12))
    def test_no_word_takes_a_better_one_back(self, delivery, said_of_it):
        ranks = [outbox.RANKS[one.status] for one in after(delivery, said_of_it)]
        steps = zip(pairwise(ranks), said_of_it, strict=True)
        # Only what is put back starts anew, and only that which had failed or was being sent.
        assert all(
            then >= was or (word.status == "pending" and was in {1, 2, 4})
            for (was, then), word in steps
        )

    @given(st.permutations(CALLBACKS), st.data(), st.booleans())
    def test_in_any_order_the_same_callbacks_end_alike(self, order, data, by_us):
        many = order[: data.draw(st.integers(1, len(order)))] * 2
        order = data.draw(st.permutations(many))
        sent = replace(Delivery(ID, status="claimed", attempt=1), provider_id="P1")
        *_, end = after(sent, [said(status, id="P1", by_us=by_us) for status in order])
        assert end.status == max(order, key=CALLBACKS.index)

    @given(st.lists(st.sampled_from(CALLBACKS), max_size=6), st.data())
    def test_what_came_before_the_providers_id_was_known_counts_the_same(self, order, data):
        early = data.draw(st.integers(0, len(order)))
        kept, delivery = None, Delivery(ID, status="claimed", attempt=1)
        for status in order[:early]:
            kept = outbox.better(kept, said(status, id="P1", by_us=False))
        delivery = outbox.settle(delivery, said("sent", 1, id="P1"))
        if kept is not None:
            delivery = outbox.settle(delivery, kept)
        late = [said(status, id="P1", by_us=False) for status in order[early:]]
        *_, end = after(delivery, late)
        assert end.status == max(["sent", *order], key=CALLBACKS.index)

    @given(st.lists(words.filter(lambda word: word.status != "withheld"), max_size=8))
    def test_what_the_gate_held_back_stays_back(self, said_of_it):
        held = Delivery(ID, status="withheld", attempt=1)
        assert {one.status for one in after(held, said_of_it)} == {"withheld"}

    @given(st.sampled_from(outbox.STATUSES), st.integers(1, 2))
    def test_no_word_on_an_earlier_attempt_undoes_that_the_provider_has_it(self, status, attempt):
        second = Delivery(ID, status="sent", attempt=3, provider_id="P3")
        late = outbox.settle(second, said(status, attempt, id=f"P{attempt}"))
        assert late.status == (status if status in {"delivered", "read"} else "sent")
        assert late.provider_id == "P3"

    def test_a_lattice_that_takes_words_back_is_found_out(self):
        """The negative control: the last word counts, whatever it is."""

        def broken(delivery, word):
            return replace(delivery, status=word.status)

        words = [said("sent"), said("read")]
        *_, forwards = after(Delivery(ID), words, broken)
        *_, backwards = after(Delivery(ID), reversed(words), broken)
        assert forwards.status != backwards.status

    @given(deliveries, words)
    def test_a_word_twice_is_a_word_once(self, delivery, word):
        once = outbox.settle(delivery, word)
        if word.status != "pending":
            assert outbox.settle(once, word) == once

    def test_where_it_knew_better_it_is_the_same_object(self):
        read = Delivery(ID, status="read", attempt=1, provider_id="P1")
        for status in outbox.STATUSES:
            assert outbox.settle(read, said(status, id="P1")) is read


class TestTake:
    def take(self, delivery, **more):
        return outbox.take(
            delivery, Head(ID, gate_epoch=2), Take("acme", ID, ID, b"worker-1", NOW, **more)
        )

    @given(deliveries, st.integers(-2, 2), st.integers(-2, 2), st.integers(0, 3), st.booleans())
    def test_nothing_is_taken_before_its_time_or_from_others_or_past_the_gate(
        self, delivery, due, held, epoch, repeatable
    ):
        delivery = replace(
            delivery, due=NOW + due, held_until=NOW + held, gate_epoch=epoch,
            repeatable=repeatable, token=b"worker-2",
        )  # fmt: skip
        taken = self.take(delivery)
        if isinstance(taken, Delivery) and taken.status == "claimed":
            assert taken.attempt == delivery.attempt + 1
            assert (taken.token, epoch) == (b"worker-1", 2)
            assert (delivery.status == "pending" and due <= 0) or (
                delivery.status == "claimed" and held <= 0 and repeatable
            )

    def test_what_is_not_repeatable_is_never_sent_twice(self):
        claimed = Delivery(ID, status="claimed", attempt=1, held_until=NOW, gate_epoch=2)
        for token in (b"worker-1", b"worker-2"):
            lost = self.take(replace(claimed, token=token))
            assert (lost.status, lost.attempt, lost.code) == ("unknown", 1, "worker.lost")
            assert self.take(lost) == "gone"


class TestLists:
    @given(deliveries, st.integers(-2, 2), st.integers(-2, 2), st.integers(0, 2))
    def test_a_delivery_is_in_the_lists_that_its_state_says(self, delivery, due, held, until):
        delivery = replace(
            delivery, due=NOW + due, held_until=NOW + held, created_at=NOW - 9, until=NOW + until
        )
        at = {what: outbox.listed_at(delivery, Scan("acme", NOW, what))
              for what in ("due", "pending", "dead")}  # fmt: skip
        again = {"pending": NOW + due, "claimed": NOW + held}.get(delivery.status, 0)
        remembered = until > 0
        assert at["pending"] == (again if remembered else 0)
        assert at["due"] == (again if remembered and again <= NOW else 0)
        dead = remembered and delivery.status in {"failed", "unknown"}
        assert at["dead"] == (NOW - 9 if dead else 0)


places = st.lists(st.integers(1, (1 << 40) - 1), unique=True, max_size=20)


class TestBacklog:
    @given(places, st.data())
    def test_it_keeps_its_order_and_loses_only_what_is_done(self, those, data):
        packed = b""
        for place in those:
            packed = backlog.joined_by(packed, place)
        assert (backlog.places(packed), backlog.count(packed)) == (tuple(those), len(those))
        done = data.draw(st.lists(st.sampled_from([*those, 7]), max_size=5))
        left = tuple(place for place in those if place not in done)
        assert backlog.places(backlog.without(packed, done)) == left

    @pytest.mark.parametrize(
        ("lease_end", "waiting", "due"),
        [(0, b"", 0), (0, b"12345", NOW + 500), (NOW + 9, b"12345", NOW + 9), (NOW + 9, b"", NOW + 9)],
    )  # fmt: skip
    def test_when_somebody_should_look_after_it(self, lease_end, waiting, due):
        assert backlog.due(Head(ID, lease_end=lease_end, waiting=waiting), NOW, 500) == due
