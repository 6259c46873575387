"""Opt-out in free text and by locale, and mail that a machine wrote without saying so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxbridge import errors, guards
from ctxbridge.guards import wishes
from ctxbridge.guards.opt_out import is_possible, keyword, meaning
from ctxbridge.guards.words import Phrases, folded, plain
from ctxbridge.model import Assurance

from .talk import bare, grows_in_proportion


def judge(text, guard=None, channel="sms"):
    return (guard or guards.opt_out()).check(bare(text, channel=channel))


class TestFreeText:
    @pytest.mark.parametrize(
        "text",
        ["please stop texting me", "remove me from your list", "hör auf mir zu schreiben", "PLEASE STOP",
         "I don\u2019t want any more of your emails.", "Please remove me\nfrom your list", "st\u200bop texting me",
         "ｓｔｏｐ texting me", "Arrêtez de m\u2019envoyer des messages", "No quiero recibir más mensajes",
         "if you don't stop texting me, never mind. Stop texting me!"],
    )  # fmt: skip
    def test_a_wish_in_other_words_goes_on_with_a_warning(self, text):
        verdict = judge(text)
        assert (verdict.action, verdict.code) == ("warn", "consent.possible_opt_out")
        assert (verdict.labels, verdict.consent) == ((), None)

    @pytest.mark.parametrize(
        "text",
        ["we have to STOP this", "stop by my house", "can I stop the order?", "don't stop texting me",
         "never stop texting me the updates", "did you stop texting me?", "I get no more messages, why?",
         "take me off the waiting list for the lamp", "ich bekomme keine Nachrichten mehr",
         "", " ", ".", "\n\n\n", "\ufeff", "\U0001f6d1", "stop" * 1000],
    )  # fmt: skip
    def test_what_only_looks_alike_is_an_ordinary_message(self, text):
        assert judge(text).action == "allow", text

    def test_it_can_be_handed_to_a_person(self):
        verdict = judge("stop texting me", guards.opt_out(suspected="escalate", queue="desk"))
        assert (verdict.action, verdict.to, verdict.consent) == ("escalate", "desk", None)

    def test_it_can_be_taken_for_stop(self):
        verdict = judge("stop texting me", guards.opt_out(suspected="stop", stopped="Done."))
        assert (verdict.action, verdict.consent.granted, verdict.consent.channel) == (
            "block",
            False,
            "sms",
        )
        assert verdict.say == "Done."

    async def test_taken_for_stop_it_counts_as_a_wish_in_the_pipeline(self):
        guard = guards.opt_out(suspected="stop")
        judged = await guards.judge([guard], bare("stop texting me"), lambda t: t.encode()[:16])
        assert (judged.consent.granted, judged.decision.code) == (False, "consent.possible_opt_out")

    def test_it_need_not_be_looked_at(self):
        assert judge("stop texting me", guards.opt_out(suspected="off")).action == "allow"
        with pytest.raises(errors.ConfigurationError):
            guards.opt_out(suspected="maybe")

    def test_it_is_looked_at_on_the_channels_of_opt_out(self):
        assert judge("stop texting me", channel="chat").action == "allow"
        assert judge("stop texting me", channel="email").action == "warn"

    def test_a_keyword_is_a_keyword_and_no_guess(self):
        assert judge("STOP").code == "consent.stop"

    def test_it_is_early(self):
        assert guards.opt_out().early


class TestLocales:
    @pytest.mark.parametrize("language", wishes.STOP_WORDS_BY_LANGUAGE)
    def test_each_language_has_words_and_phrases(self, language):
        for word in wishes.STOP_WORDS_BY_LANGUAGE[language]:
            assert meaning(keyword(word), "email") == "stop", word
        for table in (wishes.WISHES, wishes.TURNED_ROUND, wishes.COMPLAINTS):
            assert table[language]
        assert all(
            meaning(keyword(w), "sms") == "start" for w in wishes.START_WORDS_BY_LANGUAGE[language]
        )

    def test_no_word_means_two_things(self):
        starts = {w for words in wishes.START_WORDS_BY_LANGUAGE.values() for w in words}
        stops = {w for words in wishes.STOP_WORDS_BY_LANGUAGE.values() for w in words}
        phones = {w for words in wishes.STOP_WORDS_ON_PHONES_BY_LANGUAGE.values() for w in words}
        assert not starts & (stops | phones)
        assert not wishes.HELP_WORDS & (starts | stops | phones)

    def test_words_are_written_as_they_are_compared(self):
        tables = [
            wishes.STOP_WORDS_BY_LANGUAGE,
            wishes.STOP_WORDS_ON_PHONES_BY_LANGUAGE,
            wishes.START_WORDS_BY_LANGUAGE,
        ]
        for word in (w for table in tables for words in table.values() for w in words):
            assert keyword(word) == word

    @pytest.mark.parametrize(
        "text",
        ["yes", "sí", "ja", "oui", "alta", "start over", "iniciar", "anmelden", "START please"],
    )
    def test_what_could_answer_a_question_is_no_opt_in(self, text):
        assert meaning(keyword(text), "sms") != "start"

    @pytest.mark.parametrize("word", ["cancel", "cancelar", "cancella", "end", "quit"])
    def test_an_ordinary_answer_is_stop_to_a_number_alone(self, word):
        assert (meaning(word, "sms"), meaning(word, "email")) == ("stop", "")

    def test_an_opt_in_needs_a_sender_that_the_channel_vouches_for(self):
        check = guards.TextCheck("inbound", "wieder anmelden", "email", Assurance.CLAIMED, 0)
        assert guards.opt_out().check(check).consent is None


class TestPhrases:
    def test_a_row_is_slots_some_of_which_may_be_missing(self):
        phrases = Phrases({"en": ("leave|let me|us _? alone .",)})
        found = ["leave me alone", "Let us completely alone!", "now leave me alone"]
        missed = [
            "leave me",
            "leave me really quite alone",
            "leave me alone here",
            "leave. me alone",
            "me alone",
        ]
        assert [phrases.occur(folded(t)) for t in found + missed] == [True] * 3 + [False] * 5

    def test_any_word_may_stand_right_after_the_first(self):
        phrases = Phrases({"en": ("go _ home",)})
        assert phrases.occur(folded("go straight home"))
        assert not phrases.occur(folded("go, home"))

    @given(st.text(max_size=300))
    def test_any_text_is_looked_at_without_an_error(self, text):
        tokens = folded(text)
        assert tokens[0] == tokens[-1] == "."
        is_possible(text)

    @pytest.mark.parametrize(("text", "form"), [("Arrêté", "arrete"), ("WYŁĄCZ", "wylacz"), ("Größe", "grosse"),
                                                ("ＳＴＯＰ", "stop"), ("st\u00adop", "stop"), ("Não", "nao")])  # fmt: skip
    def test_letters_are_compared_without_accents(self, text, form):
        assert plain(text) == form

    def test_each_row_could_match(self):
        for row in (r for rows in wishes.WISHES.values() for r in rows):
            slots = row.removeprefix("! ").split()
            assert not slots[0].endswith("?"), row
            assert any(not s.endswith("?") for s in slots[1:]), row

    @pytest.mark.parametrize(
        "hostile",
        ["stop ", "stop sending me ", "please ", "hör auf ", "é", "n't ", "\n", "\n\n", "a", ". ", "no more ",
         "keine weiteren ", "e-mail ", "\u0301", "\u200b", "not want any more of your "],
    )  # fmt: skip
    def test_hostile_text_costs_in_proportion_to_its_length(self, hostile):
        assert grows_in_proportion(is_possible, hostile)


class TestAutomaticWords:
    def ask(self, text, **more):
        return guards.automatic(**more).check(bare(text, channel="email"))

    @pytest.mark.parametrize("text", ["I am out of the office until Monday.", "Ich bin zurzeit nicht im Büro.",
                                      "Ceci est un message automatique", "Hello,\n\nthis is an automated response"])  # fmt: skip
    def test_what_begins_as_a_machine_does_is_noted(self, text):
        assert (self.ask(text).action, self.ask(text).code) == ("warn", "automatic.body")
        assert self.ask(text, bodies="block").action == "block"
        assert self.ask(text, bodies="off").action == "allow"

    @pytest.mark.parametrize("text", ["The automatic lid does not close", "Deliver it to my office", "", "x" * 10_000,
                                      "Hi! " * 200 + "I am out of the office until Monday."])  # fmt: skip
    def test_what_only_looks_alike_is_not(self, text):
        assert self.ask(text).action == "allow"
