"""The pure rules, without any store."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxbridge.errors import CorruptRecord
from ctxbridge.model import (
    AccessPolicy,
    Address,
    Assurance,
    Consent,
    Contact,
    GuardResult,
    Link,
    Message,
    Text,
    Window,
)
from ctxbridge.model.lines import estimate_tokens
from ctxbridge.rules import access, consent, identity, order, text, verdicts
from ctxbridge.testing.actor import Actor

DAY = 86_400_000
PHONE, MAIL = Address("sms", "+15550100001"), Address("email", "ann@example.org")


def say(turn, words, author="contact", **more):
    return Message(turn.encode().ljust(16), author, "sms", (Text(words),), 0, **more)


class TestWindow:
    def window(self, *messages):
        return Window(messages, range(1, len(messages) + 1))

    def test_whole_turns_are_kept_or_left_out(self):
        window = self.window(
            say("1", "a" * 300), say("1", "b"), say("2", "c"), say("2", "d", "agent")
        )
        assert [m.text for m in window.fit(20)] == ["c", "d"]
        assert len(window.fit(10_000)) == 4

    def test_the_newest_turn_stays_however_long(self):
        window = self.window(say("1", "old"), say("2", "x" * 10_000))
        assert [len(m.text) for m in window.fit(5)] == [10_000]

    def test_what_no_model_may_see_is_left_out(self):
        hidden = [say("1", d, disposition=d) for d in ("pending", "withheld", "quarantined")]
        assert self.window(*hidden, say("2", "seen")).fit(1000)[0].text == "seen"
        assert len(self.window(*hidden, say("2", "seen")).fit(1000)) == 1

    @given(
        st.lists(st.tuples(st.sampled_from("123"), st.text(max_size=50)), max_size=20),
        st.integers(0, 200),
    )
    def test_it_fits_and_holds_whole_turns_with_the_newest(self, said, budget):
        messages = [say(turn, words) for turn, words in said]
        kept = self.window(*messages).fit(budget)
        turns = {m.turn for m in kept}
        assert kept == [m for m in messages if m.turn in turns], "whole turns, in their order"
        assert not messages or messages[-1] in kept
        assert len(turns) <= 1 or sum(estimate_tokens(m.text) for m in kept) <= budget

    def test_slices_keep_their_places(self):
        window = self.window(say("1", "a"), say("1", "b"), say("1", "c"))
        assert list(window[1:].numbered()) == [(2, window[1]), (3, window[2])]
        assert window != [1]
        assert repr(window) == "Window(3 entries, seq [1]..[3])"


class TestConsent:
    def test_each_channel_and_purpose_has_a_bit_of_its_own(self):
        bits = [consent.bit(c, p) for c in consent.CHANNELS for p in consent.PURPOSES]
        assert len(set(bits)) == len(bits)
        assert sum(bits) < 1 << 64

    def test_the_bits_are_stored_and_never_move(self):
        assert consent.bit("sms", "service") == 1
        assert consent.bit("email", "all") == 1 << 7
        assert consent.bit("unheard-of", "service") == consent.bit("other", "service") == 1 << 32

    def test_a_refusal_covers_what_it_says_and_no_more(self):
        some = [Consent("sms", "marketing", False, 1, "x")]
        assert not consent.may_send(some, "sms", "marketing")
        assert consent.may_send(some, "sms", "service")
        assert consent.may_send(some, "email", "marketing")
        assert consent.revoked_bits(some) == consent.bit("sms", "marketing")
        everywhere = [Consent("all", "all", False, 1, "x")]
        assert not any(
            consent.may_send(everywhere, c, p) for c in consent.CHANNELS for p in consent.PURPOSES
        )

    def test_the_latest_word_counts(self):
        said = consent.fold(
            (), [Consent("sms", "marketing", False, 1, "a"), Consent("sms", "all", False, 2, "b")]
        )
        said = consent.fold(said, [Consent("sms", "all", True, 3, "c")])
        assert consent.revoked_bits(said) == 0
        assert [c.evidence for c in said] == ["c"]

    @settings(max_examples=1_000)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["sms", "email"]), st.sampled_from(["1", "2", ""]),
                st.sampled_from(["all", "marketing"]), st.booleans(), st.booleans(),
            ),
            max_size=12,
        )
    )  # fmt: skip
    def test_whoever_said_stop_is_written_to_only_after_a_later_word(self, words):
        """Against the plainest model there is: the history itself, read backwards.

        A word without an address is the tenant's; with the last mark it counts on all channels.
        """
        history = [
            Consent("all" if anywhere else channel, purpose, granted, at, f"{at}",
                    (f"contact:{channel}" if anywhere else "contact") if by else "tenant", by="" if anywhere else by)
            for at, (channel, by, purpose, granted, anywhere) in enumerate(words)
        ]  # fmt: skip
        said = consent.fold((), history)
        for channel, address in itertools.product(["sms", "email"], ["1", "2"]):
            for purpose in ("service", "marketing"):
                may = consent.may_send(said, channel, purpose, address)
                stands = refused(history, channel, purpose, address)
                assert not (may and stands)
                # Between several addresses a START may be forgotten with a later STOP of another's:
                # then who said it says it again. With one address nothing is.
                if {word.by for word in history} <= {"", address}:
                    assert may != stands


def refused(history, channel, purpose, address):
    """Whether some refusal stands that nobody who may has taken back since."""
    for place, word in enumerate(history):
        if (
            word.granted
            or word.channel not in {channel, "all"}
            or word.purpose not in {purpose, "all"}
        ):
            continue
        later = [w for w in history[place + 1 :] if w.granted and w.channel == word.channel
                 and w.purpose in {word.purpose, "all"}]  # fmt: skip
        if word.channel == "all":
            back = [w for w in later if w.source in {word.source, "tenant"}]
        else:
            back = [w for w in later if w.by in {"", address, word.by}]
        if not back:
            return True
    return False


class TestIdentity:
    def contact(self, assurance=Assurance.CLAIMED):
        return identity.first_seen(b"c" * 16, MAIL, assurance, 1)

    def hear(self, contact, address, assurance, now=1, **more):
        return identity.confirm(
            contact, Actor(now=now).claim(address=address, assurance=assurance, **more)
        )

    def test_a_first_seen_link_rises_with_what_the_channel_vouches_for(self):
        raised = self.hear(self.contact(), MAIL, Assurance.CHANNEL)
        assert raised.links[0].assurance is Assurance.CHANNEL
        assert self.hear(raised, MAIL, Assurance.CLAIMED) is raised
        assert self.hear(raised, PHONE, Assurance.VERIFIED) is raised

    def test_a_tenants_link_does_not_rise_by_itself(self):
        link = Link(PHONE, Assurance.CLAIMED, "typed in", "tenant", 1)
        linked = identity.add_link(self.contact(), link)
        assert self.hear(linked, PHONE, Assurance.AUTHENTICATED) is linked

    def test_that_it_wrote_is_noted_once_a_day(self):
        first = identity.first_seen(b"c" * 16, MAIL, Assurance.CHANNEL, 1)
        assert self.hear(first, MAIL, Assurance.CHANNEL, now=DAY) is first
        later = self.hear(first, MAIL, Assurance.CHANNEL, now=DAY + 2)
        assert (later.links[0].seen, later.links[0].resumed) == (DAY + 2, 0)
        assert self.hear(first, MAIL, Assurance.CLAIMED, now=DAY + 2) is first, "forged, perhaps"

    def test_a_number_that_comes_back_after_a_long_silence_may_be_somebody_elses(self):
        first = identity.first_seen(b"c" * 16, PHONE, Assurance.CHANNEL, 1)
        back = self.hear(first, PHONE, Assurance.CHANNEL, now=91 * DAY)
        assert back.links[0].resumed == 91 * DAY
        again = self.hear(back, PHONE, Assurance.CHANNEL, now=93 * DAY)
        assert again.links[0].resumed == 91 * DAY, "its next messages do not prove it either"
        mail = identity.first_seen(b"c" * 16, MAIL, Assurance.CHANNEL, 1)
        assert self.hear(mail, MAIL, Assurance.CHANNEL, now=91 * DAY).links[0].resumed == 0
        patient = AccessPolicy(silence_days=0)
        kept = self.hear(first, PHONE, Assurance.CHANNEL, now=400 * DAY, policy=patient)
        assert kept.links[0].resumed == 0

    def test_a_proof_is_taken_over_and_ends_the_doubt(self):
        first = identity.first_seen(b"c" * 16, PHONE, Assurance.CHANNEL, 1)
        back = self.hear(first, PHONE, Assurance.CHANNEL, now=91 * DAY)
        proof = Link(PHONE, Assurance.CLAIMED, "code", "code", 91 * DAY, proved_until=91 * DAY + 5)
        (link,) = identity.add_link(back, proof).links
        assert (link.resumed, link.proved_until, link.assurance) == (
            0,
            91 * DAY + 5,
            Assurance.CHANNEL,
        )

    def test_a_firmer_link_replaces_a_weaker_one_and_not_the_other_way(self):
        firm = identity.add_link(self.contact(), Link(MAIL, Assurance.VERIFIED, "code", "proof", 2))
        assert [k.assurance for k in firm.links] == [Assurance.VERIFIED]
        assert identity.add_link(firm, Link(MAIL, Assurance.CLAIMED, "x", "tenant", 3)) is firm

    def test_a_link_that_ended_leads_nowhere(self):
        ended = Contact(b"c" * 16, (Link(MAIL, Assurance.VERIFIED, "x", "tenant", 1, until=5),))
        assert ended.link_to(MAIL) is None
        assert ended.addresses == ()
        assert not access.trusts_link(ended, MAIL)


class TestOrder:
    def test_the_newest_places(self):
        assert list(order.newest(5, 3)) == [3, 4, 5]
        assert list(order.newest(2, 3)) == [1, 2]
        assert list(order.newest(2, 0)) == [1, 2]
        assert list(order.newest(0, 3)) == []

    def test_a_gap_is_reported(self):
        assert order.require_whole(range(3, 6), 3) == range(3, 6)
        with pytest.raises(CorruptRecord, match="3 entries were expected and 2 found"):
            order.require_whole(range(3, 6), 2)


class TestVerdicts:
    def results(self, *actions, mode="enforce"):
        return [GuardResult("g", "1", a, a, mode=mode) for a in actions]

    def test_the_strictest_action_counts(self):
        assert verdicts.strictest(["allow", "modify", "warn"]) == "modify"
        assert verdicts.strictest([]) == "allow"
        assert verdicts.enforced(self.results("allow", "block", "modify")) == "block"
        assert verdicts.leading_code(self.results("allow", "modify", "block")) == "block"
        assert verdicts.leading_code([]) == ""

    def test_a_guard_that_only_observes_enforces_nothing(self):
        assert verdicts.enforced(self.results("block", mode="observe")) == "allow"


class TestText:
    @given(st.text(st.characters(), max_size=50))
    def test_clean_text_can_be_stored_and_is_otherwise_the_same(self, given_text):
        cleaned = text.clean(given_text)
        cleaned.encode()
        assert "\x00" not in cleaned
        assert len(cleaned) == len(given_text)

    def test_what_is_replaced(self):
        assert text.clean("a\x00b\ud83dc\u202ed") == "a\ufffdb\ufffdc\u202ed"


class TestAddress:
    @pytest.mark.parametrize(
        ("written", "read"),
        [("sms:+1555", Address("sms", "+1555")), ("+1555", Address("sms", "+1555")),
         ("a@b.c", Address("email", "a@b.c")), ("EMAIL:A@B.c", Address("email", "a@b.c")), ("\u212a@b.c", Address("email", "\u212a@b.c")),
         (" visitor-7 ", Address("chat", "visitor-7")), ("whatsapp:+1", Address("whatsapp", "+1"))],
    )  # fmt: skip
    def test_it_is_read_as_people_write_it(self, written, read):
        assert Address.parse(written) == read
        assert Address.parse(str(read)) == read
