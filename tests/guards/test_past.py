"""The guards that read what was said before: window, budget, recipient, disclosure, loops."""

import pytest
from msgspec.structs import replace

from ctxbridge import errors, guards
from ctxbridge.model import Address, Event

from .talk import HOUR, MINUTE, NOW, SECOND, bare, check, contact, said


class TestChannelWindow:
    guard = staticmethod(guards.channel_window())

    def ask(self, *entries, channel="whatsapp", **more):
        return self.guard.check(check("hi", *entries, channel=channel, **more))

    @pytest.mark.parametrize(
        ("ago", "action"), [(0, "allow"), (24 * HOUR - 1, "allow"), (24 * HOUR, "block")]
    )
    def test_it_is_open_for_a_day_after_the_contact_wrote(self, ago, action):
        verdict = self.ask(said("contact", "hi", ago, "whatsapp"))
        assert (verdict.action, verdict.code) == (
            action,
            "window.closed" if action == "block" else "",
        )

    def test_the_providers_time_counts_and_never_a_later_one_than_ours(self):
        late = said("contact", "hi", HOUR, "whatsapp", occurred_at=NOW - 25 * HOUR)
        assert self.ask(late).action == "block"
        ahead = said("contact", "hi", 25 * HOUR, "whatsapp", occurred_at=NOW + HOUR)
        assert self.ask(ahead).action == "block"

    @pytest.mark.parametrize(
        "entries",
        [(), (said("agent", "hi", 0, "whatsapp"),), (said("contact", "hi", 0, "sms"),),
         (said("contact", "edited", 0, "whatsapp", revises="m1"),)],
    )  # fmt: skip
    def test_what_the_contact_did_not_write_there_opens_nothing(self, entries):
        assert self.ask(*entries).code == "window.closed"

    def test_other_channels_have_none(self):
        assert self.ask(channel="sms").action == "allow"
        assert self.guard.check(bare("hi", "reply", "sms")).action == "allow"
        assert self.guard.check(bare("hi", "reply", "messenger")).action == "block"


class TestBudget:
    def ask(self, count, *more, stage="reply", text="next", **options):
        guard = guards.contact_budget(3, per_seconds=60, **options)
        sent = [said("agent", f"n{i}", 30 * SECOND) for i in range(count)]
        return guard.check(check(text, *more, *sent, stage=stage))

    def test_up_to_the_budget_it_leaves_then_no_more(self):
        assert [self.ask(n).action for n in range(5)] == [
            "allow",
            "allow",
            "allow",
            "block",
            "block",
        ]
        assert self.ask(3).code == "budget.messages"

    def test_only_what_left_in_that_time_counts(self):
        old = said("agent", "old", 61 * SECOND)
        withheld = said("agent", "", 1, disposition="withheld")
        theirs = said("contact", "hi", 1)
        assert self.ask(2, old, withheld, theirs).action == "allow"
        assert self.ask(2, said("human_agent", "hello", 1)).action == "block"

    def test_channels_may_have_budgets_of_their_own(self):
        mail = said("agent", "mail", 1, "email")
        assert self.ask(2, mail).action == "block"
        assert self.ask(2, mail, channels=["sms"]).action == "allow"
        assert self.ask(3, channels=["email"]).action == "allow"

    def test_before_sending_the_message_itself_is_not_counted(self):
        assert self.ask(3, stage="send", text="n2").action == "allow"
        assert self.ask(4, stage="send", text="n2").action == "block"
        assert self.ask(3, stage="send", text="not there yet").action == "block"

    def test_a_window_that_is_too_short_is_told(self):
        guard = guards.contact_budget(3, per_seconds=60)
        entries = [said("contact", "hi", 10), said("agent", "hello", 5)]
        assert guard.check(check("x", *entries, seq=40)).code == "budget.window_short"
        assert (
            guard.check(check("x", said("contact", "hi", 2 * MINUTE), *entries, seq=40)).code == ""
        )
        assert guard.check(bare("x", "reply")).action == "allow"

    @pytest.mark.parametrize("wrong", [{"messages": 0}, {"per_seconds": 0}])
    def test_a_budget_of_nothing_is_refused(self, wrong):
        with pytest.raises(errors.ConfigurationError):
            guards.contact_budget(**wrong)


class TestRecipient:
    guard = staticmethod(guards.recipient())

    def test_who_is_linked_may_be_written_to(self):
        assert self.guard.check(check("hi", said("contact", "hi", 1))).action == "allow"
        assert self.guard.check(check("hi")).action == "allow"

    def test_an_address_whose_link_was_taken_back_may_not(self):
        gone = contact(until=5)
        asked = check("hi", said("contact", "hi", 1), who=gone)
        assert self.guard.check(asked).code == "recipient.not_linked"
        assert self.guard.check(check("hi", who=gone)).code == "recipient.not_linked"

    def test_the_address_that_wrote_counts_not_another_of_the_channel(self):
        other = contact(Address("sms", "+15550100002"))
        asked = check("hi", said("contact", "hi", 1), who=other)
        assert self.guard.check(asked).code == "recipient.not_linked"

    def test_somebody_unknown_is_new_at_a_reply_and_nobody_at_sending(self):
        assert self.guard.check(bare("hi", "reply")).action == "allow"
        assert self.guard.check(bare("hi", "send")).code == "recipient.unknown"


class TestDisclosure:
    guard = staticmethod(guards.disclosure("I am an automated assistant."))

    def ask(self, *entries, guard=None, text="Hello Ann!", **more):
        return (guard or self.guard).check(check(text, *entries, **more))

    def test_the_first_message_begins_with_it(self):
        verdict = self.ask(said("contact", "hi", 1))
        assert verdict.text == "I am an automated assistant.\n\nHello Ann!"
        assert verdict.code == "disclosure.added"

    def test_later_ones_do_not(self):
        assert self.ask(said("contact", "hi", 9), said("agent", "x", 8)).action == "allow"

    @pytest.mark.parametrize(
        "before",
        [said("agent", "x", 8, "email"), said("agent", "", 8, disposition="withheld"), said("system", "x", 8),
         said("human_agent", "x", 8)],
    )  # fmt: skip
    def test_what_the_contact_did_not_get_of_the_agent_there_is_none(self, before):
        assert self.ask(before).action == "modify"

    def test_where_the_window_does_not_show_all_it_says_nothing_unless_told_to(self):
        once_more = guards.disclosure("I am a bot.", unsure="disclose")
        for cut in ({"seq": 50}, {"withheld": 2}):
            assert self.ask(said("contact", "hi", 1), **cut).action == "allow"
            assert self.ask(said("contact", "hi", 1), guard=once_more, **cut).action == "modify"
        assert self.ask(said("agent", "x", 1), guard=once_more, seq=50).action == "allow"

    def test_it_is_not_said_twice(self):
        assert self.ask(text="I am an automated assistant. Hello!").action == "allow"

    def test_events_are_entries_too(self):
        assert self.ask(Event("linked", 1), said("contact", "hi", 1)).action == "modify"

    def test_it_must_say_something(self):
        with pytest.raises(errors.ConfigurationError):
            guards.disclosure(" ")


OURS = "Thank you for your message, we will look into it and answer soon."


class TestLoops:
    guard = staticmethod(guards.loop_breaker())

    def ask(self, text, *entries, guard=None, **more):
        waits = said("contact", text, 0, disposition="pending")
        return (guard or self.guard).check(check(text, *entries, waits, stage="inbound", **more))

    @pytest.mark.parametrize(
        "echo", [OURS, OURS.upper(), f"  {OURS}\n", OURS.replace("soon", "soon ")]
    )
    def test_our_own_words_are_not_answered(self, echo):
        verdict = self.ask(echo, said("agent", OURS, MINUTE))
        assert (verdict.code, verdict.say) == ("loop.echo", None)

    def test_nearly_our_own_words_neither(self):
        long = " ".join(f"word{n}" for n in range(60))
        assert self.ask(long + " footer", said("agent", long, MINUTE)).code == "loop.echo"

    @pytest.mark.parametrize(
        ("text", "before"),
        [("Yes, thank you!", "Yes, thank you!"), (f"You wrote: {OURS} When is soon?", OURS),
         ("Thank you for your message, but I need an answer now.", OURS), ("", OURS)],
    )  # fmt: skip
    def test_what_only_looks_alike_is_answered(self, text, before):
        assert self.ask(text, said("agent", before, MINUTE)).action == "allow"

    def test_their_own_words_are_no_echo(self):
        assert self.ask(OURS, said("contact", OURS, MINUTE)).action == "allow"

    def machine(self, rounds, answer="Ticket {} was updated, please wait for news.", gap=SECOND):
        """A conversation with something that answers within `gap`."""
        entries = []
        for n in range(rounds, 0, -1):
            entries.append(said("contact", answer.format(n), n * 10 * SECOND))
            entries.append(
                said(
                    "agent",
                    f"Hello number {n}, how may we be of use?",
                    n * 10 * SECOND - 10 * SECOND + gap,
                )
            )
        return entries

    def test_a_machine_that_answers_at_once_is_stopped_in_the_end(self):
        asked = [self.ask("and another one", *self.machine(n)).code for n in range(1, 7)]
        assert asked == ["", "", "", "", "loop.rate", "loop.rate"]

    def test_one_that_takes_its_time_but_repeats_itself_too(self):
        same = "Your request is important to us, please hold."
        entries = self.machine(6, same, gap=9 * SECOND)
        assert self.ask(same, *entries).code == "loop.rate"

    def test_a_message_that_a_person_took_time_for_ends_the_row(self):
        entries = self.machine(6)
        assert self.ask("and another one", *entries).code == "loop.rate"
        slower = replace(entries[5], accepted_at=entries[5].accepted_at - 6 * SECOND)
        assert self.ask("and another one", *entries[:5], slower, *entries[6:]).action == "allow"

    def test_long_ago_does_not_count(self):
        old = [replace(m, accepted_at=m.accepted_at - HOUR) for m in self.machine(8)]
        assert self.ask("and another one", *old).action == "allow"

    def test_a_cap_ends_everything(self):
        guard = guards.loop_breaker(per_hour=5)
        entries = [said("contact", f"question {n}", n * MINUTE) for n in range(5, 0, -1)]
        assert self.ask("one more", *entries[1:], guard=guard).action == "allow"
        assert self.ask("one more", *entries, guard=guard).code == "loop.cap"

    def test_without_a_context_it_says_nothing(self):
        assert self.guard.check(bare(OURS)).action == "allow"

    def test_it_is_not_early_since_it_reads_what_was_said(self):
        assert not self.guard.early

    @pytest.mark.parametrize(
        "wrong", [{"exchanges": 0}, {"per_hour": 0}, {"within_seconds": 0}, {"quick_seconds": -1}]
    )
    def test_numbers_that_make_no_sense_are_refused(self, wrong):
        with pytest.raises(errors.ConfigurationError):
            guards.loop_breaker(**wrong)

    def test_long_texts_are_compared_by_their_beginning(self):
        huge = "word and " * 120_000
        assert self.ask(huge, *[said("agent", huge, n) for n in range(10)]).code == "loop.echo"
