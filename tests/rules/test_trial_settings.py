"""What a trial can be told, and which rate a past allows to state."""

import math

import pytest

from ctxbridge.errors import ConfigurationError
from ctxbridge.model import TrialPolicy
from ctxbridge.rules.trial import begin, rate_of

NAN = float("nan")


class TestBadInput:
    @pytest.mark.parametrize("wrong", [
        {"alpha": 0.0}, {"alpha": 1.0}, {"alpha": NAN}, {"alpha": -0.1}, {"at_least": 0}, {"block": 1},
        {"block": 501}, {"weights": ()}, {"weights": (("any", 0.0),)}, {"weights": (("any", -1.0), ("failed", 1.0))},
        {"weights": (("any", NAN),)}, {"weights": (("any", math.inf),)}, {"weights": (("nonsense", 1.0),)},
        {"weights": (("any", 1.0), ("any", 1.0))}, {"factors": ()}, {"factors": (1.0,)}, {"factors": (101.0,)},
        {"factors": (NAN,)}, {"factors": (2.0,) * 6}, {"rates": (("any", 0.0),)}, {"rates": (("any", 1.0),)},
        {"rates": (("any", NAN),)}, {"rates": (("nonsense", 0.1),)},
        {"rates": (("failed", 0.1),), "weights": (("any", 1.0),)},
    ], ids=str)  # fmt: skip
    def test_a_policy_that_cannot_be_is_refused(self, wrong):
        with pytest.raises(ConfigurationError):
            begin("v12", "v11", TrialPolicy(**wrong))

    @pytest.mark.parametrize(
        "names", [("", "v11"), ("v12", ""), ("v12", "v12"), ("v" * 101, "v11")]
    )
    def test_and_so_are_names(self, names):
        with pytest.raises(ConfigurationError):
            begin(*names)

    @pytest.mark.parametrize("counts", [(-1, 10), (10, 10), (11, 10), (0, 0)])
    def test_and_counts_of_a_past(self, counts):
        with pytest.raises(ConfigurationError):
            rate_of(*counts)
        with pytest.raises(ConfigurationError):
            rate_of(1, 10, doubt=0.0)


def tail(bad, of, rate):
    """The chance of at most `bad` of `of`."""
    return sum(math.comb(of, k) * rate**k * (1 - rate) ** (of - k) for k in range(bad + 1))


class TestStatedRates:
    @pytest.mark.parametrize("of", [10, 100, 1000])
    @pytest.mark.parametrize("share", [0.0, 0.03, 0.3])
    @pytest.mark.parametrize("doubt", [0.05, 0.001])
    def test_a_past_that_good_is_as_rare_as_was_said(self, of, share, doubt):
        bad = int(share * of)
        stated = rate_of(bad, of, doubt)
        assert bad / of < stated < 1
        assert tail(bad, of, stated + 1e-12) <= doubt
        assert tail(bad, of, bad / of + 1e-12) > doubt

    def test_the_longer_the_past_the_closer(self):
        assert rate_of(5, 50) > rate_of(50, 500) > rate_of(500, 5000) > 0.1
