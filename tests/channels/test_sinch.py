"""Sinch's Conversation API: callbacks in, values out."""

import json

import pytest
from sinch.domains.conversation.sinch_events.v1.conversation_sinch_event import (
    ConversationSinchEvent,
)
from tests.channels.fixtures import fixture, message_of, only, reason, with_body

from ctxbridge.channels import Sinch
from ctxbridge.model import (
    Address,
    Assurance,
    Attachment,
    Choice,
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
UNSIGNED = Verification("unsigned")
APP, KEY = "01EB37HMH1M6SV18ABNS3G135H", "0a" * 16
FILES = "webhooks/sinch/conversation_v1_sinchevents_"


def identity(channel: str = "SMS", value: str = "46701740605", app: str = "") -> dict[str, str]:
    return {"channel": channel, "identity": value, "app_id": app}


def event(**members: object) -> dict[str, object]:
    return {
        "app_id": APP,
        "project_id": "P",
        "accepted_time": "2026-02-13T08:17:44.993024Z",
        "event_time": "2026-02-13T08:17:42.814892757Z",
        "message_metadata": "",
        **members,
    }


def inbound(content: object, **more: object) -> dict[str, object]:
    message = {
        "id": "01EQ8235TD19N21XQTH12B145D",
        "direction": "TO_APP",
        "contact_message": content,
        "channel_identity": identity(),
        "conversation_id": "",
        "contact_id": "",
        "sender_id": "12345",
        "processing_mode": "DISPATCH",
    }
    return event(message=message | more)


def parse(body: object, verification: Verification = VERIFIED) -> Parsed:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Sinch().parse(with_body(raw), verification)


def text(words: str = "Hi") -> dict[str, object]:
    return {"text_message": {"text": words}}


def test_a_text_in_dispatch_mode_becomes_a_message() -> None:
    message = message_of(parse(inbound(text("Hello"))))
    assert message.parts == (Text("Hello"),)
    assert message.sender == Address("sms", "+46701740605")
    assert message.endpoint == Endpoint("sms", APP)
    assert message.thread == "12345/+46701740605"
    assert (message.message_id, message.id_source) == ("01EQ8235TD19N21XQTH12B145D", "provider")
    assert message.occurred_at == 1_770_970_662_814
    assert (message.assurance, message.flags) == (Assurance.CHANNEL, ())
    assert message_of(parse(inbound(text()), UNSIGNED)).assurance == Assurance.CLAIMED


@pytest.mark.parametrize(
    ("given", "address"),
    [
        (identity("SMS", "46701740605"), Address("sms", "+46701740605")),
        (identity("SMS", "+46701740605"), Address("sms", "+46701740605")),
        (identity("MMS", "46701740605"), Address("sms", "+46701740605")),
        (identity("WHATSAPP", "46701740605"), Address("whatsapp", "+46701740605")),
        (identity("RCS", "+46701740605"), Address("rcs", "+46701740605")),
        (identity("VIBERBM", "46701740605"), Address("viber", "+46701740605")),
        (identity("SMS", "AcmeInc"), Address("sms", "AcmeInc")),
        (identity("SMS", "72345"), Address("sms", "72345")),
        (identity("SMS", "0701740605"), Address("sms", "0701740605")),
        (identity("WHATSAPP", "SE.1349120865530"), Address("whatsapp", "SE.1349120865530", APP)),
        (identity("MESSENGER", "7746490198930851", "page"), Address("messenger", "7746490198930851", "page")),
        (identity("TELEGRAM", "46701740605"), Address("telegram", "46701740605", APP)),
    ],
)  # fmt: skip
def test_53_a_number_has_one_form_and_names_and_short_codes_stay(
    given: dict[str, str], address: Address
) -> None:
    """Acceptance 53 and 54: with and without "+" one identity; channel by channel another."""
    assert message_of(parse(inbound(text(), channel_identity=given))).sender == address


def test_77_an_id_of_one_business_is_another_persons_elsewhere() -> None:
    """A BSUID: the same letters at another app are somebody else."""
    given = identity("WHATSAPP", "SE.1349120865530")
    one = message_of(parse(inbound(text(), channel_identity=given))).sender
    other = message_of(parse(inbound(text(), channel_identity=given) | {"app_id": "B"})).sender
    assert one.value == other.value
    assert one != other


@pytest.mark.parametrize(
    ("content", "parts", "references"),
    [
        (text("a\x00b"), (Text("a\ufffdb"),), ()),
        (text("") , (), ()),
        (text() | {"reply_to": {"message_id": "M1"}}, (Text("Hi"),), ("M1",)),
        ({"media_message": {"url": "https://x.org/a.jpg", "filename_override": "a.jpg"}},
         (Attachment("application/octet-stream", "a.jpg", where="https://x.org/a.jpg"),), ()),
        ({"media_card_message": {"url": "https://x.org/a", "caption": "Look"}},
         (Text("Look"), Attachment("application/octet-stream", where="https://x.org/a")), ()),
        ({"choice_response_message": {"message_id": "M1", "postback_data": "yes"}},
         (Text("yes"), Choice("yes", "yes")), ("M1",)),
    ],
)  # fmt: skip
def test_each_content_has_its_parts(
    content: object, parts: tuple[object, ...], references: tuple[str, ...]
) -> None:
    message = message_of(parse(inbound(content)))
    assert (message.parts, message.references, message.flags) == (parts, references, ())


def test_what_is_not_read_is_kept_byte_for_byte_and_flagged() -> None:
    message = message_of(parse(inbound({"product_response_message": {"title": "x"}})))
    assert message.flags == ("unsupported",)
    (kept,) = message.parts
    assert isinstance(kept, Opaque)
    assert kept.kind == "sinch.product_response_message"
    assert json.loads(kept.data) == {"product_response_message": {"title": "x"}}
    place = message_of(parse(inbound({"location_message": {"title": "t"}})))
    assert (place.parts[0].kind, place.flags) == ("sinch.location_message", ())


def test_a_file_without_an_address_does_not_lose_the_message() -> None:
    content = {"media_card_message": {"url": "file:///etc/passwd", "caption": "Look"}}
    parsed = parse(inbound(content))
    assert parsed.events[0].parts == (Text("Look"),)
    assert len(parsed.errors) == 1


@pytest.mark.parametrize("more", [{"injected": True}, {"direction": "TO_CONTACT"}])
def test_79_what_the_app_wrote_itself_is_flagged_as_our_own(more: dict[str, object]) -> None:
    assert message_of(parse(inbound(text(), **more))).flags == ("self",)


def test_a_message_to_the_contact_without_one_of_theirs_is_worth_nothing() -> None:
    body = inbound(None, direction="TO_CONTACT")
    notice = only(parse(body), Notice)
    assert (notice.kind, notice.value) == ("unsupported", "message.to_contact")


def test_the_redacted_form_of_a_message_is_the_message() -> None:
    body = inbound(text("I am {PERSON}"))
    body["message_redaction"] = body.pop("message") | {"original_text": "I am Ann"}
    assert message_of(parse(body)).text == "I am {PERSON}"


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        ("QUEUED_ON_CHANNEL", "sent", ""),
        ("DELIVERED", "delivered", ""),
        ("READ", "read", ""),
        ("FAILED", "failed", "OUTSIDE_ALLOWED_SENDING_WINDOW"),
        ("SWITCHING_CHANNEL", "queued", ""),
        ("TELEPORTED", "unknown", ""),
    ],
)
def test_a_delivery_report_becomes_a_receipt(said: str, status: str, code: str) -> None:
    report = {
        "message_id": "01EQBC1A3BEK731GY4YXEN0C2R",
        "status": said,
        "channel_identity": identity("WHATSAPP"),
        "metadata": KEY,
        "reason": {"code": "OUTSIDE_ALLOWED_SENDING_WINDOW", "sub_code": "UNSPECIFIED_SUB_CODE"},
    }
    receipt = only(parse(event(message_delivery_report=report)), Receipt)
    assert (receipt.status, receipt.provider_status, receipt.error_code) == (status, said, code)
    assert receipt.endpoint == Endpoint("whatsapp", APP)
    assert receipt.recipient == Address("whatsapp", "+46701740605")
    assert receipt.delivery == KEY


def test_a_message_that_was_submitted_is_queued() -> None:
    told = {"message_id": "M1", "channel_identity": identity(), "metadata": "nonsense"}
    receipt = only(parse(event(message_submit_notification=told)), Receipt)
    assert (receipt.status, receipt.delivery) == ("queued", "")


@pytest.mark.parametrize(
    ("told", "kind", "value"),
    [
        ({"contact_event": {"composing_event": {}}}, "typing", ""),
        ({"contact_message_event": {"reaction_event": {"emoji": "👍", "action": "REACTION_ACTION_REACT", "message_id": "M1"}}}, "reaction", "👍"),
        ({"contact_message_event": {"reaction_event": {"emoji": "👍", "action": "REACTION_ACTION_UNREACT", "message_id": "M1"}}}, "reaction_removed", "👍"),
        ({"contact_event": {"comment_event": {}}}, "unsupported", "event"),
    ],
)  # fmt: skip
def test_83_events_are_notices_and_no_messages(
    told: dict[str, object], kind: str, value: str
) -> None:
    """Acceptance 83: typing never becomes a turn."""
    body = event(event={"id": "E1", "channel_identity": identity("WHATSAPP"), **told})
    notice = only(parse(body), Notice)
    assert (notice.kind, notice.value, notice.event_id) == (kind, value, "E1")
    assert notice.sender == Address("whatsapp", "+46701740605")


@pytest.mark.parametrize(
    ("name", "status", "flag"),
    [
        ("opt_out_notification", "OPT_OUT_SUCCEEDED", "opt_out.stop"),
        ("opt_in_notification", "OPT_IN_SUCCEEDED", "opt_out.start"),
    ],
)
def test_a_wish_that_sinch_took_down_is_a_message_with_its_flag(
    name: str, status: str, flag: str
) -> None:
    told = {"channel": "VIBERBM", "identity": "46701740605", "status": status, "request_id": "R1"}
    message = message_of(parse(event(**{name: told})))
    assert (message.flags, message.parts) == ((flag,), ())
    assert message.sender == Address("viber", "+46701740605")
    assert message.message_id == f"{name}:R1"


def test_31_a_wish_without_an_id_gets_one_that_is_stable_over_repetitions() -> None:
    told = {"channel": "SMS", "identity": "46701740605", "status": "OPT_OUT_SUCCEEDED"}
    other = told | {"identity": "46701740606"}
    found = [message_of(parse(event(opt_out_notification=o))) for o in (told, told, other)]
    ids = [message.message_id for message in found]
    assert ids[0] == ids[1] != ids[2]
    assert {message.id_source for message in found} == {"digest"}


def test_a_wish_that_failed_changes_nothing_and_one_of_nobody_is_an_error() -> None:
    failed = {"channel": "SMS", "identity": "46701740605", "status": "OPT_OUT_FAILED"}
    assert only(parse(event(opt_out_notification=failed)), Notice).kind == "unsupported"
    nobody = parse(event(opt_out_notification={"channel": "SMS", "status": "OPT_OUT_SUCCEEDED"}))
    assert reason(nobody).startswith("Malformed")


def test_78_merged_contacts_are_proposals_one_for_each_address() -> None:
    merge = {
        "preserved_contact": {"channel_identities": [identity()]},
        "deleted_contact": {
            "channel_identities": [identity(), identity("MESSENGER", "77", "page"), identity("SMS", "+15550100001")]
        },
    }  # fmt: skip
    parsed = parse(event(contact_merge_notification=merge) | {"app_id": ""})
    assert [(e.kind, e.sender, e.other) for e in parsed.events] == [
        ("same", Address("messenger", "77", "page"), Address("sms", "+46701740605")),
        ("same", Address("sms", "+15550100001"), Address("sms", "+46701740605")),
    ]


def test_78_an_address_of_several_contacts_is_told_and_joins_nobody() -> None:
    told = {"duplicated_identities": [identity() | {"contact_ids": ["C1", "C2"]}]}
    notice = only(parse(event(duplicated_contact_identities_notification=told)), Notice)
    assert (notice.kind, notice.sender, notice.other) == (
        "same", Address("sms", "+46701740605"), None
    )  # fmt: skip
    assert notice.value == "C1 C2"


@pytest.mark.parametrize(
    "name",
    [
        "capability_notification", "channel_event_notification", "contact_create_notification",
        "conversation_start_notification", "event_delivery_report", "smart_conversation_notification",
        "unsupported_callback", "something_of_next_year",
    ],
)  # fmt: skip
def test_what_no_one_reads_yet_is_named_and_answered(name: str) -> None:
    parsed = parse(event(**{name: {"x": 1}}))
    notice = only(parsed, Notice)
    assert (notice.kind, notice.value, notice.sender) == ("unsupported", name, None)
    assert Sinch().reply(parsed).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"message": null}', b'{"message": 5}',
        inbound(text(), id=""), inbound(text(), id="\n"), inbound(text(), id=5),
        inbound(text(), channel_identity={}), inbound(text(), channel_identity=identity("S.S")),
        inbound(text(), channel_identity=identity(value="x" * 513)),
        event(event={}), event(message_delivery_report={}), event(contact_merge_notification={}),
        event(contact_merge_notification={"preserved_contact": {}, "deleted_contact": {}}),
        b'{"a":"' + b"x" * 2**20 + b'"}',
    ],
)  # fmt: skip
def test_what_is_no_event_is_malformed_and_answered_200(body: object) -> None:
    parsed = parse(body)
    assert not any(isinstance(e, Inbound) for e in parsed.events)
    assert parsed.errors or parsed.events[0].kind == "unsupported"
    assert "46701740605" not in str(parsed.errors)
    assert Sinch().reply(parsed).status == 200


def test_55_lone_surrogates_and_nulls_do_not_lose_the_message() -> None:
    raw = json.dumps(inbound(text("MARK"), sender_id=None, conversation_id=None)).encode()
    message = message_of(parse(raw.replace(b"MARK", rb"a\ud800b\\ud83d \ud83d\ude00 \u0000\u202e")))
    assert message.text == "a\ufffdb\\ud83d 😀 \ufffd\u202e"
    raw = json.dumps(inbound(text("MARK"))).encode()
    assert message_of(parse(raw.replace(b"MARK", b"\xed\xa0\x80x"))).text == "\ufffd\ufffd\ufffdx"


def test_captured_callbacks_are_read_as_the_sdk_reads_them() -> None:
    body = fixture(f"{FILES}message_MessageInboundEventDto.json").read_bytes()
    theirs = ConversationSinchEvent().parse_event(body).message
    ours = message_of(parse(body))
    assert ours.text == theirs.contact_message.text_message.text
    assert ours.message_id == theirs.id
    assert ours.references == (theirs.contact_message.reply_to.message_id,)
    assert ours.sender == Address("messenger", "an identity", "an app id")
    assert ours.flags == ("self",)
    assert theirs.injected

    body = fixture(f"{FILES}delivery_MessageDeliveryReceiptEventDto.json").read_bytes()
    report = ConversationSinchEvent().parse_event(body).message_delivery_report
    receipt = only(parse(body), Receipt)
    assert (receipt.message_id, receipt.provider_status) == (report.message_id, report.status)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("inbound_InboundContactMessageEventDto", ["reaction"]),
        ("opting_OptOutEventDto", ["unsupported"]),
        ("contact_ContactMergeEventDto", ["same", "same"]),
    ],
)
def test_captured_events_are_notices(name: str, kinds: list[str]) -> None:
    parsed = parse(fixture(f"{FILES}{name}.json").read_bytes())
    assert parsed.errors == ()
    assert [event.kind for event in parsed.events] == kinds


def test_a_forgery_is_answered_401_and_all_else_200_without_a_body() -> None:
    forged = parse(inbound(text()), Verification("failed", reason="for this test"))
    assert (Sinch().reply(forged).status, Sinch().reply(Parsed()).status) == (401, 200)
    assert Sinch().reply(Parsed()).body == b""
