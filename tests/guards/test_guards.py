"""The pipeline and the built-in guards."""

import time

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxbridge import errors, guards
from ctxbridge.guards.opt_out import keyword, meaning
from ctxbridge.guards.pii import find, mask
from ctxbridge.model import Assurance, Verdict


def digest(text):
    return text.encode()[:16]


def check(text="hello", stage="inbound", channel="sms", assurance=Assurance.CHANNEL, flags=()):
    return guards.TextCheck(stage, text, channel, assurance, 0, flags)


async def judge(text, *which, **more):
    return await guards.judge(which, check(text, **more), digest)


def make(answer, *stages, **more):
    """A guard that gives `answer`, or what it returns if it can be called."""
    return guards.guard(*stages or ("inbound",), name="made", **more)(
        answer if callable(answer) else lambda _: answer
    )


class TestPipeline:
    async def test_no_guard_allows_and_that_is_recorded(self):
        judged = await judge("hello")
        assert (judged.text, judged.decision.enforced, judged.decision.results) == (
            "hello",
            "allow",
            (),
        )
        assert judged.decision.judged == judged.decision.enforced_digest == b"hello"

    async def test_what_one_guard_modifies_the_next_one_judges(self):
        louder = make(lambda c: guards.modify(c.text.upper(), "loud"), modifies=True)
        seen = []
        spy = make(lambda c: seen.append(c.text) or guards.allow())
        judged = await judge("hello", louder, spy)
        assert (judged.text, seen, judged.modified) == ("HELLO", ["HELLO"], True)
        assert (judged.decision.judged, judged.decision.enforced_digest) == (b"hello", b"HELLO")

    async def test_a_block_ends_it_and_the_rest_is_recorded_as_skipped(self):
        stop = make(guards.block("bad", say="no"))
        judged = await judge("hello", make(guards.allow()), stop, make(guards.allow()))
        assert (judged.blocked, judged.text, judged.say) == (True, "", "no")
        assert [(r.action, r.status) for r in judged.decision.results] == [
            ("allow", "ok"), ("block", "ok"), ("allow", "skipped"),
        ]  # fmt: skip
        assert judged.decision.code == "bad"
        assert judged.decision.enforced_digest == b""

    async def test_async_guards_are_awaited(self):
        async def slow(_):
            await anyio.lowlevel.checkpoint()
            return guards.block("slow")

        assert (await judge("hello", make(slow))).decision.code == "slow"

    @pytest.mark.parametrize("answer", [None, True, "unsafe", 0, guards.modify("x", "not declared"),
                                        Verdict("defer"), Verdict("modify"), Verdict("shrug")])  # fmt: skip
    async def test_a_wrong_answer_is_a_failure_and_never_a_pass(self, answer):
        judged = await judge("hello", make(answer))
        assert (judged.blocked, judged.decision.code) == (True, "guard.wrong_answer")
        assert judged.decision.results[0].status == "error"

    async def test_a_guard_that_raises_is_recorded_without_its_words(self):
        def leak(c):
            raise ValueError(c.text)

        judged = await judge("my card is 4111", make(leak))
        assert (judged.blocked, judged.decision.code) == (True, "guard.error")
        assert "4111" not in str(judged.decision.results)

    async def test_a_guard_that_hangs_ends_at_its_deadline(self):
        async def hang(_):
            await anyio.sleep(60)

        started = time.monotonic()
        judged = await judge("hello", make(hang, deadline_seconds=0.05))
        assert time.monotonic() - started < 30
        assert (judged.blocked, judged.decision.results[0].status) == (True, "timeout")

    async def test_a_failure_may_be_let_through_where_it_was_said_so(self):
        judged = await judge("hello", make(None, on_error="allow"))
        assert (judged.text, judged.decision.results[0].status) == ("hello", "error")

    async def test_a_guard_that_says_nothing_in_time_is_wrong_and_not_late(self):
        async def nothing(_):
            return None

        assert (await judge("x", make(nothing))).decision.code == "guard.wrong_answer"

    @pytest.mark.parametrize("wrong", [{"stages": ()}, {"stages": ("sent",)},
                                       {"stages": ("reply",), "early": True},
                                       {"stages": ("inbound",), "on_error": "shrug"}])  # fmt: skip
    def test_a_guard_that_makes_no_sense_is_refused_at_once(self, wrong):
        with pytest.raises(errors.ConfigurationError):
            guards.guard(*wrong.pop("stages"), **wrong)


class TestOptOut:
    guard = staticmethod(guards.opt_out())

    @pytest.mark.parametrize("text", ["STOP", "stop", " Stop. ", "Stop!", "STOPALL", "stop all", "QUIT", "END",
                                      "revoke", "opt out", "Opt-Out", "cancel", "unsubscribe", "ARRET", "Arrêt",
                                      "ＳＴＯＰ", "\u201cSTOP\u201d", "Stopp", "BAJA"])  # fmt: skip
    async def test_47_the_word_alone_is_a_wish(self, text):
        judged = await judge(text, self.guard)
        assert judged.decision.code == "consent.stop", text
        assert judged.consent.granted is False
        assert "START" in judged.say

    @pytest.mark.parametrize("text", ["please stop by later", "we have to STOP this", "don't stop", "end of the month",
                                      "cancel my order A-17", "stop " * 40, "help me with my order", "yes", ""])  # fmt: skip
    async def test_47_a_sentence_is_an_ordinary_message(self, text):
        assert (await judge(text, self.guard)).decision.enforced == "allow", text

    async def test_47_a_wish_in_other_words_is_a_possible_one(self):
        judged = await judge("stop texting me", self.guard)
        assert (judged.decision.enforced, judged.decision.code) == (
            "warn",
            "consent.possible_opt_out",
        )
        assert (await judge("please stop by later", self.guard)).decision.code == ""

    async def test_channels_differ(self):
        assert meaning("cancel", "sms") == "stop"
        assert meaning("cancel", "email") == ""
        assert meaning("help", "sms") == "help"
        assert meaning("help", "email") == ""
        assert (await judge("stop", self.guard, channel="chat")).decision.enforced == "allow"
        assert (await judge("unsubscribe", self.guard, channel="email")).consent.channel == "email"

    async def test_start_counts_from_whom_the_channel_vouches_for(self):
        assert (await judge("START", self.guard)).consent.granted is True
        forged = await judge("START", self.guard, channel="email", assurance=Assurance.CLAIMED)
        assert forged.consent is None
        assert forged.decision.enforced == "allow"

    async def test_stop_counts_from_anybody(self):
        judged = await judge("STOP", self.guard, channel="email", assurance=Assurance.CLAIMED)
        assert judged.consent.granted is False

    async def test_what_the_provider_has_answered_is_not_answered_again(self):
        judged = await judge("STOP", self.guard, flags=("opt_out.stop",))
        assert (judged.consent.granted, judged.say) == (False, None)
        assert (await judge("info", self.guard, flags=("opt_out.help",))).say is None

    async def test_help_is_answered_and_changes_nothing(self):
        judged = await judge("HELP", self.guard)
        assert (judged.decision.code, judged.consent) == ("consent.help", None)
        assert judged.say

    @given(st.text(max_size=200))
    def test_any_text_is_compared_without_an_error(self, text):
        assert len(keyword(text)) <= 24


class TestAutomatic:
    @pytest.mark.parametrize(
        ("flag", "code"), [("auto", "automatic.mail"), ("self", "automatic.echo")]
    )
    async def test_what_no_person_wrote_is_not_answered(self, flag, code):
        judged = await judge("I am away", guards.automatic(), flags=(flag,))
        assert (judged.decision.code, judged.say) == (code, None)

    async def test_people_are(self):
        assert not (await judge("hello", guards.automatic())).blocked


class TestPii:
    @pytest.mark.parametrize(
        ("text", "masked"),
        [("my card is 4111 1111 1111 1111, ok?", "my card is [card …1111], ok?"),
         ("4111-1111-1111-1111", "[card …1111]"), ("378282246310005", "[card …0005]"),
         ("IBAN DE89 3704 0044 0532 0130 00 bitte", "IBAN [iban] bitte"),
         ("ssn 078-05-1120.", "ssn [ssn]."),
         ("key sk-" + "a1" * 16, "key [secret]"), ("AKIAIOSFODNN7EXAMPLE", "[secret]"),
         ("4111 1111 1111 1111 123", "[card …1111] 123"), ("4111111111111111 12/27 123", "[card …1111] 12/27 123"),
         ("order 12 4111 1111 1111 1111", "order 12 [card …1111]"), ("q2 4111.1111.1111.1111", "q2 [card …1111]"),
         ("4111\u00a01111\u20131111  1111", "[card …1111]"), ("4111\n1111\n1111\n1111", "[card …1111]"), ("4111 / 1111 / 1111 / 1111", "[card …1111]"), ("4111_1111_1111, 1111", "[card …1111]"), ("4111\u200b1111\u2060 1111 1111", "[card …1111]"),
         ("AT61 1904 3002 3457 3201 from my bank", "[iban] from my bank"), ("BE68 5390 0754 7034 this is it", "[iban] this is it"),
         ("two 4111111111111111 and 5500005555555559", "two [card …1111] and [card …5559]")],
    )  # fmt: skip
    async def test_what_is_found_is_masked(self, text, masked):
        judged = await judge(text, guards.pii())
        assert judged.text == masked
        assert judged.decision.enforced == "modify"

    @pytest.mark.parametrize("text", ["order 4111 1111 1111 1112", "call +15550100001", "A-1042", "0000000000000000",
                                      "DE89 3704 0044 0532 0130 01", "2026-11-22 10:15:00", "000-12-3456",
                                      "tracking 1Z999AA10123456784", "sk-short", "4111111111111111111111", "1234567890123", "call 0043 1 234 5678 901 234"])  # fmt: skip
    async def test_what_only_looks_alike_is_left_alone(self, text):
        assert (await judge(text, guards.pii())).text == text

    async def test_kinds_can_be_chosen(self):
        text = "4111111111111111 078-05-1120"
        assert (await judge(text, guards.pii(kinds=["ssn"]))).text == "4111111111111111 [ssn]"
        with pytest.raises(errors.ConfigurationError):
            guards.pii(kinds=["blood"])

    @pytest.mark.parametrize(
        "hostile",
        ["4" * 7, "4 ", "4-4", "1234567890123", "AA11 AAAA ", "123-", "sk-", "xoxb-a", "ghp_a"],
    )
    def test_hostile_text_costs_in_proportion_to_its_length(self, hostile):
        def cost(size):
            text = hostile * (size // len(hostile))
            started = time.thread_time()
            find(text)
            return time.thread_time() - started

        cost(10_000)
        small = min(cost(50_000) for _ in range(3))
        large = min(cost(200_000) for _ in range(3))
        assert large < 12 * small + 0.05
        assert large < 1.0

    @given(st.text(alphabet="0123456789 -", max_size=80))
    def test_masking_never_grows_a_text_by_much(self, text):
        once = mask(text, find(text))
        assert len(once) <= len(text) + 20
