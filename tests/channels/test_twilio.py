"""Twilio's webhooks: forms in, answers out."""

import json
import xml.etree.ElementTree as ET
from urllib.parse import urlencode

import pytest
from tests.channels.fixtures import TWILIO_FORM as FORM
from tests.channels.fixtures import TWILIO_TOKEN as TOKEN
from tests.channels.fixtures import fixture, message_of, only, reason
from tests.channels.fixtures import twilio_post as post

from ctxbridge.channels import Twilio
from ctxbridge.model import (
    Address,
    Assurance,
    Attachment,
    Choice,
    Endpoint,
    Message,
    Opaque,
    Parsed,
    RawRequest,
    Receipt,
    Text,
    Verification,
)

UNSIGNED = Verification("unsigned")
VERIFIED = Verification("verified", binds_body=True)


def parse(form: dict[str, str], verification: Verification = VERIFIED) -> Parsed:
    return Twilio().parse(post(form), verification)


def test_an_sms_becomes_a_message() -> None:
    message = message_of(parse(FORM))
    assert message.parts == (Text("Where is my order?"),)
    assert message.sender == Address("sms", "+447700900513")
    assert message.endpoint == Endpoint("sms", "+447700900000")
    assert message.thread == "+447700900000/+447700900513"
    assert (message.message_id, message.id_source) == (FORM["MessageSid"], "provider")
    assert message.occurred_at == 0
    assert message.assurance == Assurance.CHANNEL


def test_without_a_signature_the_sender_is_only_claimed() -> None:
    assert message_of(parse(FORM, UNSIGNED)).assurance == Assurance.CLAIMED


@pytest.mark.parametrize("channel", ["whatsapp", "rcs", "messenger"])
def test_a_prefix_names_the_channel_and_leaves_the_value(channel: str) -> None:
    """Acceptance 54: the same phone on another channel is another address."""
    form = FORM | {"From": f"{channel}:+447700900513", "To": f"{channel}:+447700900000"}
    message = message_of(parse(form))
    assert message.channel == channel
    assert message.sender == Address(channel, "+447700900513")
    assert message.endpoint == Endpoint(channel, "+447700900000")


@pytest.mark.parametrize(
    ("value", "country", "expected"),
    [
        ("72345", "US", Address("sms", "72345", "US")),
        ("123", "", Address("sms", "123")),
        ("AcmeInc", "GB", Address("sms", "AcmeInc")),
        (" +447700900513 ", "GB", Address("sms", "+447700900513")),
    ],
)
def test_short_codes_and_names_are_not_made_numbers(
    value: str, country: str, expected: Address
) -> None:
    """Acceptance 51."""
    assert message_of(parse(FORM | {"From": value, "FromCountry": country})).sender == expected


def test_an_mms_without_words_is_a_message_and_no_status() -> None:
    """Acceptance 45."""
    form = FORM | {
        "Body": "",
        "NumMedia": "1",
        "MediaUrl0": "https://api.twilio.com/x/Media/ME1",
        "MediaContentType0": "image/jpeg; q=1",
    }
    message = message_of(parse(form))
    assert message.text == ""
    assert message.parts == (Attachment("image/jpeg", where="https://api.twilio.com/x/Media/ME1"),)


def test_one_bad_attachment_does_not_lose_the_message() -> None:
    form = FORM | {"NumMedia": "2", "MediaUrl0": "file:///etc/passwd", "MediaUrl1": "https://a/b"}
    parsed = parse(form)
    assert len(parsed.events) == len(parsed.errors) == 1
    assert parsed.events[0].parts == (
        Text(FORM["Body"]),
        Attachment("application/octet-stream", where="https://a/b"),
    )


@pytest.mark.parametrize("count", ["-1", "two", "1e3", "٣", "9" * 5000])
def test_a_count_of_media_that_is_none_is_an_error_beside_the_message(count: str) -> None:
    parsed = parse(FORM | {"NumMedia": count})
    assert parsed.events[0].text == FORM["Body"]
    assert parsed.errors


def test_at_most_ten_media_are_taken() -> None:
    urls = {f"MediaUrl{n}": f"https://a/{n}" for n in range(20)}
    parsed = parse(FORM | urls | {"NumMedia": "20"})
    assert sum(type(part) is Attachment for part in parsed.events[0].parts) == 10
    assert len(parsed.errors) == 1


def test_a_location_is_kept_as_it_came() -> None:
    message = message_of(parse(FORM | {"Body": "", "Latitude": "51.5", "Longitude": "-0.1"}))
    assert message.parts == (Opaque("twilio.location", b'{"latitude":"51.5","longitude":"-0.1"}'),)


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        ({"ButtonText": "Yes", "ButtonPayload": "p1", "Body": "Yes"}, (Text("Yes"), Choice("p1", "Yes"))),
        ({"ButtonText": "Yes", "ButtonPayload": "p1", "Body": ""}, (Text("Yes"), Choice("p1", "Yes"))),
        ({"ButtonPayload": "p1", "Body": ""}, (Text("p1"), Choice("p1", "p1"))),
        ({"ListId": "r1", "ListTitle": "Blue", "Body": "Blue"}, (Text("Blue"), Choice("r1", "Blue"))),
        ({"ButtonText": "Yes", "Body": "Yes"}, (Text("Yes"),)),
    ],
)  # fmt: skip
def test_a_pressed_button_is_a_choice_beside_its_label(
    more: dict[str, str], parts: tuple[object, ...]
) -> None:
    assert message_of(parse(FORM | more)).parts == parts


def test_46_an_mms_may_have_a_subject() -> None:
    assert message_of(parse(FORM | {"Subject": "Broken"})).subject == "Broken"
    assert message_of(parse(FORM)).subject == ""


def test_a_reply_refers_to_the_message_it_answers() -> None:
    original = "SM" + "b" * 32
    assert message_of(parse(FORM | {"OriginalRepliedMessageSid": original})).references == (
        original,
    )
    assert message_of(parse(FORM | {"OriginalRepliedMessageSid": "a b"})).references == ()


@pytest.mark.parametrize("name", ["Forwarded", "FrequentlyForwarded"])
def test_what_was_forwarded_is_flagged(name: str) -> None:
    assert message_of(parse(FORM | {name: "true"})).flags == ("forwarded",)
    assert message_of(parse(FORM | {name: "false"})).flags == ()


def test_53_a_number_without_its_plus_is_the_same_identity() -> None:
    assert (
        message_of(parse(FORM | {"From": "447700900513"})).sender == message_of(parse(FORM)).sender
    )


def test_77_an_id_of_whatsapp_is_scoped_to_the_account_and_a_number_beside_it_is_a_proposal() -> (
    None
):
    hidden = FORM | {"From": "whatsapp:GB.1349", "To": "whatsapp:+1555", "AccountSid": "AC1"}
    scoped = Address("whatsapp", "GB.1349", "AC1")
    assert message_of(parse(hidden)).sender == scoped

    shown = hidden | {"From": "whatsapp:+447700900513", "ExternalUserId": "whatsapp:GB.1349"}
    message, notice = parse(shown).events
    assert (notice.kind, notice.sender, notice.other) == ("same", message.sender, scoped)
    assert parse(shown | {"MessageSid": "SM2"}).events[1] == notice  # written down once
    assert len(parse(FORM | {"ExternalUserId": "whatsapp:GB.1349"}).events) == 1


@pytest.mark.parametrize("word", ["STOP", "START", "HELP"])
def test_what_advanced_opt_out_handled_is_flagged_and_not_answered(word: str) -> None:
    """Acceptance 48."""
    parsed = parse(FORM | {"OptOutType": word})
    assert message_of(parsed).flags == (f"opt_out.{word.lower()}",)
    assert b"<Message>" not in Twilio().reply(parsed, [ours("hello")]).body


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("queued", "queued"),
        ("accepted", "queued"),
        ("sending", "queued"),
        ("scheduled", "queued"),
        ("sent", "sent"),
        ("delivered", "delivered"),
        ("read", "read"),
        ("undelivered", "failed"),
        ("failed", "failed"),
        ("canceled", "failed"),
        ("teleported", "unknown"),
    ],
)
def test_a_status_becomes_a_receipt(said: str, status: str) -> None:
    form = {
        "MessageSid": "SM1",
        "MessageStatus": said,
        "SmsStatus": said,
        "From": "whatsapp:+447700900000",
        "To": "whatsapp:+447700900513",
        "ErrorCode": "30003",
        "RawDlrDoneDate": "2607171206",
    }
    receipt = only(parse(form), Receipt)
    assert (receipt.status, receipt.provider_status, receipt.error_code) == (status, said, "30003")
    assert receipt.endpoint == Endpoint("whatsapp", "+447700900000")
    assert receipt.recipient == Address("whatsapp", "+447700900513")
    assert receipt.occurred_at == 0


@pytest.mark.parametrize(
    ("query", "delivery"),
    [
        (f"?delivery={'0a' * 16}", "0a" * 16),
        (f"?tenant=x&delivery={'0a' * 16}#rc=2", "0a" * 16),
        ("?delivery=nonsense", ""),
        (f"?delivery={'0A' * 16}", ""),
        ("?delivery=%ff%00", ""),
        ("", ""),
    ],
)
def test_a_status_callback_gives_our_own_id_back(query: str, delivery: str) -> None:
    form = urlencode({"MessageSid": "SM1", "MessageStatus": "sent", "From": "+1555", "To": "+1556"})
    request = RawRequest(form.encode(), url=f"https://hooks.example.org/status{query}")
    assert only(Twilio().parse(request, UNSIGNED), Receipt).delivery == delivery


def test_captured_forms_are_read() -> None:
    forms = json.loads(fixture("webhooks/twilio/forms.json").read_text())
    kinds = {}
    for captured in forms:
        parsed = Twilio().parse(RawRequest(captured["form"].encode()), UNSIGNED)
        assert parsed.errors == ()
        kinds[captured["name"]] = type(parsed.events[0]).__name__
    for name, kind in kinds.items():
        assert kind == ("Receipt" if name.startswith("status") else "Inbound"), name


@pytest.mark.parametrize("name", ["SmsSid", "SmsMessageSid"])
def test_the_older_names_of_the_id_serve(name: str) -> None:
    form = {key: value for key, value in FORM.items() if key != "MessageSid"} | {name: "SM9"}
    assert message_of(parse(form)).message_id == "SM9"


@pytest.mark.parametrize(
    "form",
    [
        {},
        FORM | {"MessageSid": ""},
        FORM | {"MessageSid": "a b"},
        FORM | {"MessageSid": "x" * 65},
        FORM | {"From": ""},
        FORM | {"To": " "},
        FORM | {"From": "x" * 513},
        FORM | {"From": "whatsapp:"},
        {f"a{n}": "" for n in range(401)},
        FORM | {"Body": "x" * 300_000},
    ],
)
def test_what_is_no_message_is_malformed_and_says_nothing_of_it(form: dict[str, str]) -> None:
    assert reason(parse(form)).startswith("Malformed")
    assert "+447700900513" not in reason(parse(form))
    assert Twilio().reply(parse(form)).status == 200


def test_nul_surrogates_and_direction_marks_are_stored_safely() -> None:
    """Acceptance 55: NUL is replaced, what belongs to languages stays."""
    body = b"MessageSid=SM1&From=%2B15550001111&To=1&Body=a%00b%ED%A0%80c%E2%80%AEd"
    text = message_of(Twilio().parse(RawRequest(body), UNSIGNED)).text
    assert text == "a\ufffdb\ufffd\ufffd\ufffdc\u202ed"


def ours(text: str, author: str = "agent", disposition: str = "accepted") -> Message:
    return Message(b"t", author, "sms", (Text(text),), 0, disposition)


def test_the_answer_is_one_message_for_each_that_may_leave() -> None:
    answer = [
        ours("a < b & \x00\x0b\ud800\ufffe]]>"),
        ours("", "agent"),
        ours("withheld", "agent", "withheld"),
        ours("their own", "contact"),
        ours("zwei", "human_agent"),
    ]
    reply = Twilio().reply(parse(FORM), answer)
    found = ET.fromstring(reply.body)
    assert [(child.tag, child.text) for child in found] == [
        ("Message", "a < b & ]]>"),
        ("Message", "zwei"),
    ]
    assert (reply.status, reply.content_type) == (200, "text/xml")


def test_the_answer_is_empty_without_messages_and_403_for_a_forgery() -> None:
    empty = b'<?xml version="1.0" encoding="UTF-8"?><Response></Response>'
    assert Twilio().reply(Parsed()).body == empty
    forged = Twilio(TOKEN).parse(post(FORM), Twilio(TOKEN).verify(post(FORM)))
    assert reason(forged).startswith("SignatureInvalid")
    assert Twilio(TOKEN).reply(forged).status == 403
