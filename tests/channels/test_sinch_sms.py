"""Sinch's SMS API: callbacks in, values out."""

import json

import pytest
from sinch.domains.sms.sinch_events.v1.sms_sinch_event import SmsSinchEvent
from tests.channels.fixtures import fixture, message_of, only, reason, with_body

from ctxbridge.channels import SinchSms
from ctxbridge.model import (
    Address,
    Assurance,
    Attachment,
    Endpoint,
    Inbound,
    Notice,
    Opaque,
    Parsed,
    Receipt,
    Text,
    Verification,
)

VERIFIED = Verification("verified", binds_body=True)
KEY = "0a" * 16
FILES = "webhooks/sinch/sms_v1_"
MESSAGE = {
    "type": "mo_text",
    "id": "01FC66621XXXXX119Z8PMV1QPA",
    "from": "46701740605",
    "to": "12345",
    "body": "Hello",
    "received_at": "2026-08-24T14:17:22Z",
    "operator_id": "35000",
}
REPORT = {
    "type": "recipient_delivery_report_sms",
    "batch_id": "01FC66621XXXXX119Z8PMV1QPQ",
    "recipient": "46701740605",
    "code": 401,
    "status": "Dispatched",
    "at": "2026-08-30T08:16:08.930Z",
    "client_reference": KEY,
}


def parse(body: object, adapter: SinchSms | None = None) -> Parsed:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (adapter or SinchSms()).parse(with_body(raw), VERIFIED)


def test_an_sms_becomes_a_message() -> None:
    message = message_of(parse(MESSAGE))
    assert message.parts == (Text("Hello"),)
    assert message.sender == Address("sms", "+46701740605")
    assert message.endpoint == Endpoint("sms", "12345")
    assert message.thread == "12345/+46701740605"
    assert message.occurred_at == 1_787_581_042_000
    assert message.assurance == Assurance.CHANNEL
    unsigned = SinchSms().parse(with_body(json.dumps(MESSAGE).encode()), Verification("unsigned"))
    assert message_of(unsigned).assurance == Assurance.CLAIMED


def test_53_with_and_without_a_plus_it_is_one_identity() -> None:
    senders = {
        message_of(parse(MESSAGE | {"from": f})).sender for f in ("46701740605", "+46701740605")
    }
    assert senders == {Address("sms", "+46701740605")}


@pytest.mark.parametrize("value", ["AcmeInc", "72345", "Acme 24", "0701740605"])
def test_51_names_and_short_codes_are_not_made_numbers(value: str) -> None:
    assert message_of(parse(MESSAGE | {"from": value})).sender == Address("sms", value)


def test_44_binary_is_kept_with_its_header_and_flagged() -> None:
    body = MESSAGE | {"type": "mo_binary", "body": "AAEC", "udh": "050003cc0201"}
    message = message_of(parse(body))
    assert (message.text, message.flags) == ("", ("unsupported",))
    (kept,) = message.parts
    assert isinstance(kept, Opaque)
    assert json.loads(kept.data) == {"udh": "050003cc0201", "body": "AAEC"}


def test_46_an_mms_has_its_subject_its_words_and_its_files() -> None:
    mms = {
        "subject": "Broken",
        "message": "See here",
        "media": [{"url": "https://x.org/1", "content_type": "image/jpeg; q=1", "status": "Uploaded", "code": 0}],
    }  # fmt: skip
    message = message_of(parse(MESSAGE | {"type": "mo_media", "body": mms}))
    assert (message.subject, message.text) == ("Broken", "See here")
    assert message.parts[1] == Attachment("image/jpeg", where="https://x.org/1")


def test_45_an_mms_without_words_is_a_message() -> None:
    mms = {"media": [{"url": "https://x.org/1", "content_type": "nonsense"}]}
    message = message_of(parse(MESSAGE | {"type": "mo_media", "body": mms}))
    assert message.parts == (Attachment("application/octet-stream", where="https://x.org/1"),)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("mo_media", {"message": "x", "media": [{"url": "file:///x", "content_type": "a/b"}]}),
        ("mo_media", {"message": "x", "media": [{"url": "https://x.org/1"}] * 11}),
        ("mo_media", "no object"),
        ("mo_text", {"no": "text"}),
    ],
)
def test_content_that_is_none_is_an_error_beside_the_message(kind: str, body: object) -> None:
    parsed = parse(MESSAGE | {"type": kind, "body": body})
    assert [type(event) for event in parsed.events] == [Inbound]
    assert len(parsed.errors) == 1


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("Queued", "queued"), ("Dispatched", "sent"), ("Delivered", "delivered"),
        ("Aborted", "failed"), ("Cancelled", "failed"), ("Rejected", "failed"),
        ("Deleted", "failed"), ("Failed", "failed"), ("Expired", "failed"),
        ("Unknown", "unknown"), ("Teleported", "unknown"),
    ],
)  # fmt: skip
def test_a_report_becomes_a_receipt(said: str, status: str) -> None:
    receipt = only(parse(REPORT | {"status": said}, SinchSms(number="46700000000")), Receipt)
    assert (receipt.status, receipt.provider_status) == (status, said.lower())
    assert receipt.error_code == ("401" if status == "failed" else "")
    assert receipt.endpoint == Endpoint("sms", "+46700000000")
    assert receipt.recipient == Address("sms", "+46701740605")
    assert (receipt.message_id, receipt.delivery) == (REPORT["batch_id"], KEY)
    assert receipt.occurred_at == 1_788_077_768_930


def test_the_number_that_a_report_names_wins() -> None:
    body = REPORT | {"applied_originator": "46711111111"}
    receipt = only(parse(body, SinchSms(number="+46700000000")), Receipt)
    assert receipt.endpoint == Endpoint("sms", "+46711111111")


def test_a_full_report_on_a_batch_is_a_receipt_for_each_recipient() -> None:
    statuses = [
        {"code": 0, "status": "Delivered", "count": 2, "recipients": ["46701740605", "AcmeInc"]},
        {"code": 402, "status": "Failed", "count": 2, "recipients": ["+15550100001", ""]},
    ]
    body = {"type": "delivery_report_sms", "batch_id": "B", "statuses": statuses}
    parsed = parse(body)
    assert [(r.status, r.recipient.value, r.error_code) for r in parsed.events] == [
        ("delivered", "+46701740605", ""),
        ("delivered", "AcmeInc", ""),
        ("failed", "+15550100001", "402"),
    ]


def test_a_report_that_only_counts_is_of_nobody() -> None:
    body = {"type": "delivery_report_sms", "batch_id": "B", "statuses": [{"code": 0, "count": 1}]}
    assert only(parse(body), Notice).kind == "unsupported"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{", b"\xff", b'{"type":"mo_call"}', b'{"type":null}', {},
        MESSAGE | {"id": ""}, MESSAGE | {"from": ""}, MESSAGE | {"to": " "}, MESSAGE | {"from": 5},
        MESSAGE | {"from": "x" * 513}, REPORT | {"batch_id": ""}, REPORT | {"recipient": ""},
        {"type": "delivery_report_sms"}, MESSAGE | {"body": "x" * 2**20},
    ],
)  # fmt: skip
def test_what_is_no_callback_is_malformed_and_answered_200(body: object) -> None:
    parsed = parse(body)
    assert reason(parsed).startswith("Malformed")
    assert "46701740605" not in reason(parsed)
    assert SinchSms().reply(parsed).status == 200


def test_55_nul_surrogates_and_direction_marks_are_stored_safely() -> None:
    raw = json.dumps(MESSAGE).encode().replace(b"Hello", rb"a\u0000b\ud800c\u202ed")
    assert message_of(parse(raw)).text == "a\ufffdb\ufffdc\u202ed"


def test_captured_callbacks_are_read_as_the_sdk_reads_them() -> None:
    body = fixture(f"{FILES}inbounds_InboundTextDto.json").read_bytes()
    theirs, ours = SmsSinchEvent().parse_event(body), message_of(parse(body))
    assert (ours.text, ours.message_id) == (theirs.body, theirs.id)
    assert ours.occurred_at == int(theirs.sent_at.timestamp() * 1000)
    assert (ours.sender.value, ours.endpoint.value) == (theirs.from_, "+" + theirs.to)

    body = fixture(f"{FILES}deliveryreports_RecipientDeliveryReportSMSDto.json").read_bytes()
    report, receipt = SmsSinchEvent().parse_event(body), only(parse(body), Receipt)
    assert (receipt.message_id, receipt.recipient.value) == (report.batch_id, report.recipient)
    assert receipt.status == "sent"


def test_a_forgery_is_answered_401() -> None:
    forged = SinchSms().parse(with_body(b"{}"), Verification("failed", reason="for this test"))
    assert SinchSms().reply(forged).status == 401
