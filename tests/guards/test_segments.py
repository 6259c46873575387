"""The guard over SMS segments; how they are counted is tried in tests/rules/test_sms.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxbridge import errors, guards
from ctxbridge.rules.sms import segments

from .talk import bare, grows_in_proportion


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

    def test_plainer_it_costs_fewer_and_the_decision_says_so(self):
        text = "We’re on our way – your order “A-17” leaves today… " * 2
        judged = guards.sms_segments(1, plainer=True).check(bare(text, "reply"))
        assert (judged.action, judged.code) == ("modify", "segments.saved")
        assert judged.text == 'We\'re on our way - your order "A-17" leaves today... ' * 2
        assert guards.sms_segments(1).check(bare(text, "reply")).action == "block"
        assert guards.sms_segments(1, plainer=True).check(bare("a’b", "reply")).action == "allow"
        assert guards.sms_segments(1, plainer=True).check(bare(text * 3, "reply")).action == "block"

    def test_none_at_all_is_refused(self):
        with pytest.raises(errors.ConfigurationError):
            guards.sms_segments(0)

    @pytest.mark.parametrize("hostile", ["a", "€", "ç", "\U0001f600"])
    def test_hostile_text_costs_in_proportion_to_its_length(self, hostile):
        assert grows_in_proportion(segments, hostile)
