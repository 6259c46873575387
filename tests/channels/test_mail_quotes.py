"""Telling new words from repeated ones, in many languages. How well and how fast: `test_stripping`."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.channels.fixtures import fixture

from ctxbridge.channels.mail.phrases import LANGUAGES
from ctxbridge.channels.mail.quotes import spans

NEW = "Thanks, that works.\n\nCould you also send the invoice?"
OLD = "We have sent you the parcel.\n\nKind regards"


def new(text: str) -> str:
    return "\n".join(span.text for span in spans(text) if not span.quoted)


def old(text: str) -> str:
    return "\n".join(span.text for span in spans(text) if span.quoted)


ATTRIBUTIONS = {
    "en": "On Tue, 3 Mar 2026 at 10:15, Shop <help@shop.example> wrote:",
    "en, wrapped": "On Tue, 3 Mar 2026 at 10:15, The Shop of Many Things <\nhelp@shop.example> wrote:",
    "en, Apple": "On 3 Mar 2026, at 10:15, Shop wrote:",
    "de": "Am Di., 3. März 2026 um 10:15 Uhr schrieb Shop <help@shop.example>:",
    "de, wrapped": "Am 03.03.2026 um 10:15 schrieb Shop\n<help@shop.example>:",
    "fr": "Le mar. 3 mars 2026 à 10:15, Shop <help@shop.example> a écrit :",
    "es": "El mar, 3 mar 2026 a las 10:15, Shop (<help@shop.example>) escribió:",
    "it": "Il giorno mar 3 mar 2026 alle ore 10:15 Shop <help@shop.example> ha scritto:",
    "pt": "Em ter., 3 de mar. de 2026 às 10:15, Shop <help@shop.example> escreveu:",
    "nl": "Op di 3 mrt 2026 om 10:15 schreef Shop <help@shop.example>:",
    "sv": "Den tis 3 mars 2026 kl 10:15 skrev Shop <help@shop.example>:",
    "da": "Den tirs. 3. mar. 2026 kl. 10.15 skrev Shop <help@shop.example>:",
    "no": "tir. 3. mars 2026 kl. 10:15 skrev Shop <help@shop.example>:",
    "fi": "ti 3. maalisk. 2026 klo 10.15 Shop (help@shop.example) kirjoitti:",
    "pl": "wt., 3 mar 2026 o 10:15 Shop <help@shop.example> napisał(a):",
    "cs": "út 3. 3. 2026 v 10:15 odesílatel Shop <help@shop.example> napsal:",
    "ru": "вт, 3 мар. 2026 г. в 10:15, Shop <help@shop.example>:",
    "ru, mail.ru": "3 марта 2026, 10:15 пользователь Shop <help@shop.example> написал:",
    "uk": "вт, 3 бер. 2026 р. о 10:15 Shop <help@shop.example> пише:",
    "hu": "Shop <help@shop.example> ezt írta (időpont: 2026. márc. 3., K, 10:15):",
    "ro": "În mar., 3 mar. 2026 la 10:15, Shop <help@shop.example> a scris:",
    "tr": "Shop <help@shop.example>, 3 Mar 2026 Sal, 10:15 tarihinde şunu yazdı:",
    "el": "Στις Τρί 3 Μαρ 2026 στις 10:15 π.μ., ο χρήστης Shop <help@shop.example> έγραψε:",
    "zh": "Shop <help@shop.example> 于2026年3月3日周二 10:15写道：",
    "ja": "2026年3月3日(火) 10:15 Shop <help@shop.example>:",
    "ko": "2026년 3월 3일 (화) 오전 10:15, Shop <help@shop.example>님이 작성:",
    "Zoho": "---- On Tue, 03 Mar 2026 10:15:00 +0100 help@shop.example wrote ----",
}
HEADERS = {
    "en": "From: Shop <help@shop.example>\nSent: Tuesday\nTo: Ann\nSubject: Parcel",
    "en, ruled": "________________________________\nFrom: Shop <help@shop.example>\nSent: Tuesday\nTo: Ann\nSubject: Parcel",
    "en, bold": "*From:* Shop\n*Sent:* Tuesday\n*To:* Ann\n*Subject:* Parcel",
    "de": "Von: Shop\nGesendet: Dienstag\nAn: Ann\nBetreff: Paket",
    "fr": "De : Shop\nEnvoyé : mardi\nÀ : Ann\nObjet : Colis",
    "es": "De: Shop\nEnviado: martes\nPara: Ann\nAsunto: Paquete",
    "it": "Da: Shop\nInviato: martedì\nA: Ann\nOggetto: Pacco",
    "pt": "De: Shop\nEnviado: terça\nPara: Ann\nAssunto: Pacote",
    "nl": "Van: Shop\nVerzonden: dinsdag\nAan: Ann\nOnderwerp: Pakket",
    "sv": "Från: Shop\nSkickat: tisdag\nTill: Ann\nÄmne: Paket",
    "da": "Fra: Shop\nSendt: tirsdag\nTil: Ann\nEmne: Pakke",
    "fi": "Lähettäjä: Shop\nLähetetty: tiistai\nVastaanottaja: Ann\nAihe: Paketti",
    "pl": "Od: Shop\nWysłano: wtorek\nDo: Ann\nTemat: Paczka",
    "cs": "Od: Shop\nOdesláno: úterý\nKomu: Ann\nPředmět: Balík",
    "ru": "От: Shop\nОтправлено: вторник\nКому: Ann\nТема: Посылка",
    "tr": "Kimden: Shop\nGönderildi: Salı\nKime: Ann\nKonu: Paket",
    "zh": "发件人: Shop\n发送时间: 2026年3月3日\n收件人: Ann\n主题: 包裹",
    "ja": "差出人: Shop\n送信日時: 2026年3月3日\n宛先: Ann\n件名: 荷物",
    "ko": "보낸 사람: Shop\n보낸 날짜: 2026년\n받는 사람: Ann\n제목: 소포",
    "mark": "-----Original Message-----",
    "mark, de": "-----Ursprüngliche Nachricht-----",
    "mark, forwarded": "---------- Forwarded message ---------",
    "mark, Apple": "Begin forwarded message:",
    "mark, fr": "-------- Message d'origine --------",
    "mark, ru": "-------- Исходное сообщение --------",
}
FOOTERS = ["Sent from my iPhone", "Sent from my Galaxy S23.", "Get Outlook for iOS<https://aka.ms/x>",
           "Von meinem iPhone gesendet", "Gesendet von Outlook für Android", "Envoyé de mon iPhone",
           "Enviado desde mi iPhone", "Inviato da iPhone", "Enviado do meu iPhone", "Verstuurd vanaf mijn iPhone",
           "Skickat från min iPhone", "Sendt fra min iPhone", "Lähetetty iPhonesta", "Wysłane z iPhone'a",
           "Отправлено с iPhone", "Odesláno z iPhonu", "iPhoneから送信", "发自我的iPhone", "나의 iPhone에서 보냄"]  # fmt: skip


def test_there_are_at_least_twelve_languages() -> None:
    assert len(LANGUAGES) >= 12


@pytest.mark.parametrize("language", ATTRIBUTIONS)
@pytest.mark.parametrize("prefix", ["> ", ""], ids=["prefixed", "bare"])
def test_what_an_attribution_introduces_is_repeated(language: str, prefix: str) -> None:
    quote = "\n".join(prefix + line for line in OLD.split("\n"))
    text = f"{NEW}\n\n{ATTRIBUTIONS[language]}\n\n{quote}\n"
    assert new(text) == NEW
    assert old(text).split() == f"{ATTRIBUTIONS[language]}\n{quote}".split()


@pytest.mark.parametrize("language", HEADERS)
def test_what_a_quoted_header_introduces_is_repeated(language: str) -> None:
    text = f"{NEW}\n\n{HEADERS[language]}\n\n{OLD}\n"
    assert new(text) == NEW


@pytest.mark.parametrize("language", HEADERS)
def test_a_forward_without_new_words_keeps_its_text(language: str) -> None:
    """Acceptance 57."""
    text = f"\n{HEADERS[language]}\n\n{OLD}\n"
    assert new(text).split() == text.split()


@pytest.mark.parametrize("footer", FOOTERS)
def test_a_devices_footer_goes_only_behind_a_reply(footer: str) -> None:
    assert new(f"Yes please.\n\n{footer}\n") == "Yes please."
    assert new(f"Yes please.\n\n{footer}\n\n{ATTRIBUTIONS['en']}\n> x\n") == "Yes please."
    assert new(f"{footer}\n") == footer


def test_a_signature_goes_behind_its_delimiter_only() -> None:
    assert new("Yes.\n\n-- \nAnn\nShop") == "Yes."
    assert new("Yes.\n--\nAnn") == "Yes."
    assert new("Yes.\n\nBest regards,\nAnn") == "Yes.\n\nBest regards,\nAnn"
    assert new("-- \nAnn") == "-- \nAnn"
    long = "First\n--\n" + "\n".join(f"point {n}" for n in range(30))
    assert new(long) == long


def test_answers_below_and_between_are_kept_in_their_places() -> None:
    """Acceptance 57."""
    text = f"{ATTRIBUTIONS['en']}\n> Red or blue?\n\nBlue.\n\n> How many?\n\nTwo.\n"
    assert [(s.quoted, s.text.split("\n")[-1]) for s in spans(text)] == [
        (True, "> Red or blue?"),
        (False, "Blue."),
        (True, "> How many?"),
        (False, "Two."),
    ]


def test_an_empty_reply_has_no_new_words() -> None:
    """Acceptance 57."""
    assert new(f"\n\n{ATTRIBUTIONS['en']}\n> Red or blue?\n") == ""
    assert spans(" \n\n") == []


def test_too_many_changes_of_hand_come_as_two_spans() -> None:
    text = "> a\nb\n" * 1000
    assert [span.quoted for span in spans(text)] == [False, True]
    assert (new(text).count("b"), old(text).count("a")) == (1000, 1000)


@pytest.mark.parametrize(
    "text",
    [
        "On the one hand yes.\nOn Thursday:\nwe meet.",
        "On 3 May my wife wrote:\nplease come",
        "From: Berlin\nTo: Rome\nDate: 12 May 2026\nTwo people",
        "From: our database, not From: others",
        "I sent it on 3.3.2026 at 10:15: no answer",
        "The notification was sent from my iPhone app to all users.\nOdd.",
        "Hi\n\nSent from my desk, is much easier than my mobile phone.",
        "Points\n----\n1. one\n\n----\nmore\n\n====\nend",
        "Name  Date\n--------------------\na     b",
        "see https://example.com/on-2026-someone-wrote:\nok",
        "-- one\n-- two\nend",
        "Subject: a question\nDate: today\nwhat is this?",
        "The original message is gone.\nReally.",
        "My order:\nA-17, 2026-03-03 10:15\nfrom ann@example.org",
    ],
    ids=range(14),
)
def test_words_that_only_look_like_marks_are_kept(text: str) -> None:
    assert new(text) == text


LINES = st.sampled_from(
    [NEW, OLD, "> quote", ">> deeper", "", " ", "-- ", "--", "____________", "Sent from my iPhone",
     *ATTRIBUTIONS.values(), *HEADERS.values(), "From: x", ">:", "> wrote:", "On", "<a@b", "\ufeff", "a\rb", "\r"]
)  # fmt: skip


@given(st.lists(LINES | st.text(max_size=30), max_size=60))
@settings(max_examples=300, deadline=None)
def test_no_word_is_ever_lost_and_their_order_stays(lines: list[str]) -> None:
    text = "\n".join(lines)
    together = "\n".join(span.text for span in spans(text))
    assert together.split() == text.split()


def test_public_replies_lose_no_word_and_mostly_look_right() -> None:
    """Nothing falls apart; `test_stripping` measures."""
    cut = seen = 0
    for path in sorted(fixture("email/reply").rglob("*.txt")):
        text = path.read_text("utf-8", "replace")
        found = spans(text)
        assert "\n".join(span.text for span in found).split() == text.split(), path
        assert any(not span.quoted for span in found), path
        seen += 1
        cut += any(span.quoted for span in found)
    assert seen > 200
    assert cut / seen > 0.7
