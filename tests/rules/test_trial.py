"""The trial of a release: its bound, exactly and on grids; what it may not depend on; its words."""

import math
from fractions import Fraction
from itertools import combinations, pairwise, product
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxbridge.errors import CorruptRecord, UnknownFormat
from ctxbridge.model import Outcome, Trial, TrialPolicy
from ctxbridge.model.trial import SIGNALS
from ctxbridge.rules.trial import begin, by_lot, conclude, fold

FINE, BLOCKED, FAILED = (), ("blocked",), ("failed",)
SMALL = TrialPolicy(block=4, at_least=1)
SLOW = TrialPolicy(block=4, at_least=1, alpha=1e-9)
FLAGS = st.frozensets(st.sampled_from(SIGNALS[:-1]))
OUTCOMES = st.lists(st.tuples(st.booleans(), FLAGS), max_size=150)
POLICIES = st.sampled_from([TrialPolicy(), SMALL, TrialPolicy(block=7, weights=(("failed", 2.0),)),
                            TrialPolicy(rates=(("any", 0.2),))])  # fmt: skip


def outcome(canary, ends=FINE):
    return Outcome(canary, **dict.fromkeys(ends, True))


def outcomes(given):
    return [outcome(canary, ends) for canary, ends in given]


def tried(given, policy=SMALL):
    return fold(begin("v12", "v11", policy), outcomes(given))


def evidence(given, policy=SMALL):
    return conclude(tried(given, policy)).evidence


def mean(arms, chances, policy):
    """The exact mean of the evidence: over all ways in which these conversations can end.

    `chances` has the chance of each end, for stable and for the canary.
    """
    total = 0.0
    for ends in product(chances[0], repeat=len(arms)):
        chance = math.prod([chances[arm][end] for arm, end in zip(arms, ends, strict=True)])
        total += chance * evidence(zip(arms, ends, strict=True), policy)
    return total


def ends(bad, failed=0.0):
    return {FINE: 1 - bad - failed, BLOCKED: bad, FAILED: failed}


ARMS = (False, True, False, False, True, True, False, True)
LOPSIDED = (False, False, True, False, False, False, False, False)


class TestTheBound:
    @pytest.mark.parametrize("policy", [SLOW, SMALL], ids=["to the end", "stopped when it trips"])
    @pytest.mark.parametrize("arms", [ARMS, LOPSIDED], ids=["half", "one in eight"])
    @pytest.mark.parametrize("bad", [0.01, 0.1, 0.5, 0.9])
    def test_its_mean_is_exactly_one_if_both_are_alike(self, bad, arms, policy):
        alike = ends(bad * 0.7, bad * 0.3)
        assert mean(arms, (alike, alike), policy) == pytest.approx(1, abs=1e-9)

    @pytest.mark.parametrize("better", [0.0, 0.2, 0.9])
    @pytest.mark.parametrize("bad", [0.05, 0.3, 0.8])
    def test_and_at_most_one_if_the_canary_is_better(self, bad, better):
        assert mean(ARMS, (ends(bad), ends(bad * better)), SMALL) < 1

    def test_and_over_one_if_it_is_worse(self):
        assert mean(ARMS, (ends(0.1), ends(0.4)), SMALL) > 1.2

    @pytest.mark.parametrize("bad", range(9))
    def test_whatever_happens_the_mean_over_who_got_the_canary_is_one(self, bad):
        """No word of chance about the outcomes: these eight go as they go, whoever has them."""
        fates = [BLOCKED] * bad + [FINE] * (8 - bad)
        fates = fates[::2] + fates[1::2]
        lots = [
            [at in first or at in second for at in range(8)]
            for first in combinations(range(4), 1) for second in combinations(range(4, 8), 2)
        ]  # fmt: skip
        found = [evidence(zip(lot, fates, strict=True), SLOW) for lot in lots]
        assert sum(found) / len(found) == pytest.approx(1, abs=1e-9)

    def test_the_mean_notices_an_estimate_that_is_taken_from_the_same_block(self):
        """The broken variant: of each block the factor that fits it best."""
        total = 0.0
        for fates in product([FINE, BLOCKED], repeat=4):
            block = list(zip(ARMS[:4], fates, strict=True))
            alone = [TrialPolicy(block=4, alpha=1e-9, factors=(w,)) for w in (1.5, 2.5, 5.0)]
            total += max(evidence(block, policy) for policy in alone) / 16
        assert total > 1.1

    def test_the_mean_of_a_block_by_lot_is_that_of_fractions(self):
        canary, stable, bad, factor = 7, 13, 6, 2.5
        every = math.comb(20, 6)
        found = sum(
            Fraction(math.comb(7, k) * math.comb(13, 6 - k), every) * Fraction(5, 2) ** k
            for k in range(7)
        )
        assert by_lot(canary, stable, bad, (factor,))[0] == pytest.approx(math.log(found))

    @pytest.mark.parametrize("stated", [0.1, 0.4])
    def test_against_a_stated_rate_it_is_one_at_that_rate_and_less_below(self, stated):
        policy = msgspec.structs.replace(SMALL, rates=(("blocked", stated),))
        arms = (True,) * 8
        at = mean(arms, (ends(stated), ends(stated)), policy)
        below = mean(arms, (ends(stated), ends(stated / 2)), policy)
        assert at == pytest.approx(1, abs=1e-9)
        assert below < 1 < mean(arms, (ends(stated), ends(stated * 2)), policy)

    def test_stable_outcomes_are_counted_and_do_not_weigh(self):
        policy = TrialPolicy(rates=(("any", 0.1),))
        assert evidence([(False, BLOCKED)] * 200, policy) == pytest.approx(1)
        assert tried([(False, BLOCKED)] * 20, policy).tallies[0].stable == 20


def z_trips(given, every=20):
    """The broken variant that most teams have: a test for a fixed size, looked at again and again."""
    seen, bad = [0, 0], [0, 0]
    for at, (canary, fate) in enumerate(given, 1):
        seen[canary] += 1
        bad[canary] += bool(fate)
        if at % every == 0 and min(seen) >= 10 and sum(bad):
            pooled = sum(bad) / at
            deviation = math.sqrt(pooled * (1 - pooled) * (1 / seen[0] + 1 / seen[1]))
            if deviation and (bad[1] / seen[1] - bad[0] / seen[0]) / deviation > 1.645:
                return True
    return False


class TestWhatTheBoundNeeds:
    RUNS = 200

    def test_a_fixed_test_that_is_looked_at_again_and_again_is_over_the_bound(self):
        both = [0, 0]
        for seed in range(self.RUNS):
            random = Random(seed)
            stream = [
                (random.random() < 0.5, BLOCKED if random.random() < 0.1 else FINE)
                for _ in range(2000)
            ]
            both[0] += z_trips(stream)
            both[1] += tried(stream, TrialPolicy()).tripped
        assert both[0] > 0.2 * self.RUNS
        assert both[1] <= 0.05 * self.RUNS

    def test_turns_of_one_contact_are_no_conversations_of_many(self):
        """One contact in twenty gets each of its 20 turns blocked. Told by the turn that is evidence
        twenty times over; told once, as is asked for, it is not."""
        both = [0, 0]
        for seed in range(self.RUNS):
            random = Random(seed)
            contacts = [
                (random.random() < 0.5, BLOCKED if random.random() < 0.05 else FINE)
                for _ in range(400)
            ]
            turns = []
            for first in range(0, 400, 10):
                turns += [contact for _ in range(20) for contact in contacts[first : first + 10]]
            both[0] += tried(turns, TrialPolicy()).tripped
            both[1] += tried(contacts, TrialPolicy()).tripped
        assert both[0] > 0.2 * self.RUNS
        assert both[1] <= 0.05 * self.RUNS


class TestFolding:
    @given(OUTCOMES, POLICIES, st.lists(st.integers(0, 150)))
    def test_batches_may_be_cut_anywhere(self, given, policy, cuts):
        whole = outcomes(given)
        cuts = sorted({0, len(whole), *[cut for cut in cuts if cut < len(whole)]})
        state = begin("v12", "v11", policy)
        for start, end in pairwise(cuts):
            state = fold(Trial.unpack(state.pack()), whole[start:end])
        assert state == fold(begin("v12", "v11", policy), iter(whole))

    @given(OUTCOMES.filter(len), POLICIES, st.data())
    def test_a_bad_end_more_speaks_against_who_had_it(self, given, policy, data):
        policy = msgspec.structs.replace(policy, alpha=1e-200)
        at = data.draw(st.integers(0, len(given) - 1))
        canary, fate = given[at]
        worse = [
            *given[:at],
            (canary, fate | {data.draw(st.sampled_from(SIGNALS[:-1]))}),
            *given[at + 1 :],
        ]
        before, after = evidence(given, policy), evidence(worse, policy)
        assert after >= before * (1 - 1e-9) if canary else after <= before * (1 + 1e-9)

    @given(OUTCOMES, POLICIES)
    def test_every_number_is_one(self, given, policy):
        state = tried(given, policy)
        found = conclude(state)
        numbers = [found.evidence, *[weighs for _, weighs in found.weighs], *state.tallies[0].logs]
        assert all(map(math.isfinite, numbers))
        assert found.evidence >= 0
        assert state.canary_count + state.stable_count <= len(given)

    def test_what_went_on_for_very_long_has_numbers_too(self):
        policy = TrialPolicy(at_least=10**6)
        good = tried([(at % 2 == 0, BLOCKED if at % 2 else FINE) for at in range(10_000)], policy)
        bad = tried(
            [(at % 2 == 0, BLOCKED if at % 2 == 0 else FINE) for at in range(10_000)], policy
        )
        assert 0 <= dict(conclude(good).weighs)["blocked"] < 1e-100
        assert 1e100 < conclude(bad).evidence < math.inf
        assert "1,000,000 and more to 1" in conclude(bad).words

    @given(st.booleans(), st.lists(FLAGS, max_size=100))
    def test_one_release_alone_is_evidence_of_nothing(self, canary, fates):
        assert evidence([(canary, fate) for fate in fates]) == pytest.approx(1)

    @pytest.mark.parametrize(
        ("odds", "grows"), [(1.0, False), (1.15, False), (1.3, True), (1.5, True)]
    )
    def test_well_below_the_mildest_factor_evidence_dwindles(self, odds, grows):
        """How much the log of the evidence moves with a block of ten and ten, five of them bad."""
        ways = [math.comb(10, k) * math.comb(10, 5 - k) * odds**k for k in range(6)]
        mildest = by_lot(10, 10, 5, (1.5,))[0]
        moves = sum(way * (k * math.log(1.5) - mildest) for k, way in enumerate(ways)) / sum(ways)
        assert (moves > 0) is grows

    def test_an_outage_that_hits_all_is_evidence_of_nothing(self):
        assert evidence([(at % 3 == 0, FAILED) for at in range(300)]) == pytest.approx(1)

    def test_nothing_is_counted_after_it_tripped(self):
        bad = [(at % 2 == 0, BLOCKED if at % 2 == 0 else FINE) for at in range(40)]
        tripped = tried(bad, TrialPolicy())
        assert tripped.tripped
        assert fold(tripped, outcomes([(True, FINE)] * 1000)) is tripped

    def test_it_waits_for_as_many_as_were_asked_for(self):
        bad = [(at % 2 == 0, BLOCKED if at % 2 == 0 else FINE) for at in range(400)]
        early, late = (tried(bad, TrialPolicy(at_least=least)) for least in (10, 150))
        assert early.canary_count < 30
        assert late.canary_count == 150
        assert not tried(bad[:299], TrialPolicy(at_least=150)).tripped

    def test_a_trial_is_not_drained_beyond_what_it_needs(self):
        stream = iter(
            outcomes([(at % 2 == 0, BLOCKED if at % 2 == 0 else FINE) for at in range(1000)])
        )
        state = fold(begin("v12", "v11"), stream)
        assert len(list(stream)) == 1000 - state.canary_count - state.stable_count


class TestSignals:
    def test_any_counts_a_conversation_once(self):
        state = tried([(True, ("blocked", "failed", "opted_out")), (False, FINE)])
        assert [tally.canary for tally in state.tallies] == [1, 1, 0, 1, 0, 1]

    @pytest.mark.parametrize("signal", SIGNALS[:-1])
    def test_each_trips_by_itself(self, signal):
        policy = TrialPolicy(weights=((signal, 1.0),))
        found = conclude(
            tried([(at % 2 == 0, (signal,) if at % 2 == 0 else FINE) for at in range(60)], policy)
        )
        assert (found.driver, found.does) == (signal, "roll_back")

    def test_what_has_no_weight_does_not_count(self):
        policy = TrialPolicy(weights=(("failed", 1.0), ("blocked", 0.0)))
        found = conclude(
            tried([(at % 2 == 0, BLOCKED if at % 2 == 0 else FINE) for at in range(600)], policy)
        )
        assert found.evidence == pytest.approx(1)
        assert [signal for signal, _ in found.weighs] == ["failed"]

    def test_the_evidence_is_the_mean_by_weight(self):
        policy = TrialPolicy(weights=(("failed", 3.0), ("blocked", 1.0)), alpha=1e-9)
        found = conclude(
            tried([(at % 2 == 0, BLOCKED if at % 2 == 0 else FINE) for at in range(40)], policy)
        )
        weighs = dict(found.weighs)
        assert weighs["blocked"] > weighs["failed"] == pytest.approx(1)
        assert found.evidence == pytest.approx(0.75 * weighs["failed"] + 0.25 * weighs["blocked"])


class TestWords:
    BAD = tuple((at % 4 == 0, BLOCKED if at % 4 == 0 or at == 1 else FINE) for at in range(200))

    def test_a_trip_says_what_to_do_and_why(self):
        found = conclude(tried(self.BAD, TrialPolicy()))
        assert found.trips
        assert found.words == (
            "Roll v12 back: of 10 conversations of v12 10 were blocked or escalated by a guard, of 30 "
            f"of v11 1. The evidence is {math.floor(found.evidence):,} to 1, 20 to 1 is needed: were v12 no worse "
            f"than v11, the chance that it ever came to this was at most 1 in {math.floor(found.evidence):,}."
        )

    def test_who_only_proposes_says_so(self):
        found = conclude(tried(self.BAD, TrialPolicy(acts=False)))
        assert found.does == "propose"
        assert found.words.startswith("Consider rolling v12 back: of 10 conversations")

    def test_before_that_it_says_what_is_missing(self):
        found = conclude(tried(self.BAD[:20], TrialPolicy()))
        assert (found.does, found.trips) == ("wait", False)
        assert found.words.startswith("Go on with v12: of 5 conversations of v12 5 were blocked")
        assert found.words.endswith("20 to 1 is needed, from 10 conversations of v12 on.")

    def test_without_stable_there_is_nothing_to_compare_with(self):
        found = conclude(tried([(True, BLOCKED)] * 300, TrialPolicy()))
        assert found.does == "wait"
        assert "there is no conversation of v11 to compare with" in found.words

    def test_a_stated_rate_is_named(self):
        found = conclude(tried([(True, BLOCKED)] * 20, TrialPolicy(rates=(("any", 0.0614),))))
        assert found.does == "roll_back"
        assert "where 6.14% are stated for v11" in found.words
        assert "were v12 no worse than these rates" in found.words

    def test_what_says_nothing_about_anybody_is_all_that_is_said(self):
        """Counts and versions alone: no flag holds a text, so no words can."""
        assert {type(value) for value in msgspec.structs.astuple(outcome(True, BLOCKED))} == {bool}


GOLDEN = (
    "0199a3763132a376313197cb3fa999999999999a01c3049692a3616e79cb3fe000000000000092a7626c6f636b6564cb"
    "3fb999999999999a92a66661696c6564cb3fb999999999999a92aa756e616e737765726564cb3fb999999999999a92a9"
    "6f707465645f6f7574cb3fb999999999999a92aa74616b656e5f6f766572cb3fb999999999999a93cb3ff80000000000"
    "00cb4004000000000000cb401400000000000090969593cb0000000000000000cb0000000000000000cb000000000000"
    "0000000100019593cb0000000000000000cb0000000000000000cb0000000000000000000000009593cb000000000000"
    "0000cb0000000000000000cb0000000000000000000000009593cb0000000000000000cb0000000000000000cb000000"
    "0000000000000000009593cb0000000000000000cb0000000000000000cb0000000000000000000000009593cb000000"
    "0000000000cb0000000000000000cb00000000000000000001000102010201c2"
)


class TestBytes:
    def test_the_largest_is_under_a_kilobyte(self):
        rates = tuple((signal, 0.123456789) for signal in SIGNALS)
        factors = (1.1, 1.7, 2.9, 5.3, 11.7)
        policy = TrialPolicy(rates=rates, factors=factors, at_least=2**40, block=500)
        state = fold(
            begin("v" * 100, "w" * 100, policy), outcomes([(True, BLOCKED), (False, FAILED)] * 400)
        )
        many = [msgspec.structs.replace(t, stable=2**40, canary=2**40) for t in state.tallies]
        state = msgspec.structs.replace(
            state, canary_count=2**40, stable_count=2**40, tallies=tuple(many)
        )
        assert len(state.pack()) < 1024
        assert Trial.unpack(state.pack()) == state

    @pytest.mark.parametrize("damage", [b"", b"\x01", b"\x00" + begin("a", "b").pack()[1:],
                                        begin("a", "b").pack()[:-3], b"\x01\xc1"])  # fmt: skip
    def test_damage_is_reported(self, damage):
        with pytest.raises(CorruptRecord):
            Trial.unpack(damage)

    def test_so_is_another_width(self):
        state = begin("v12", "v11")
        wrong = msgspec.structs.replace(state, tallies=state.tallies[:-1])
        with pytest.raises(CorruptRecord):
            Trial.unpack(wrong.pack())

    def test_and_a_newer_format(self):
        with pytest.raises(UnknownFormat):
            Trial.unpack(b"\x02" + begin("a", "b").pack()[1:])

    def test_the_first_format_can_still_be_read(self):
        stored = bytes.fromhex(GOLDEN)
        assert Trial.unpack(stored) == tried([(True, BLOCKED), (False, FINE), (True, FINE)], SMALL)
