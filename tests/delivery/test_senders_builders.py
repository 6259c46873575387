"""The builders of Sinch and WhatsApp: their requests on a real server, and every answer's meaning."""

import json
from typing import get_args
from urllib.parse import parse_qsl

import pytest
from sinch.domains.conversation.models.v1.messages.internal.request.send_message_request import (
    SendMessageRequest,
)
from sinch.domains.sms.models.v1.shared.text_request import TextRequest

from ctxbridge.delivery.senders import (
    HttpSender,
    SinchBuilder,
    SinchSmsBuilder,
    TwilioBuilder,
    WhatsAppBuilder,
)
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import (
    Address,
    Choice,
    Choices,
    Delivery,
    Endpoint,
    HttpAnswer,
    HttpRequest,
    Message,
    Outgoing,
    Sent,
    Text,
)
from ctxbridge.ports import Builder
from tests.delivery.loopback import answer, server

KEY = b"0123456789abcdef"
THEIRS = "+46701740605"


def outgoing(text="On its way.", choices=(), *, channel="sms", ours="APP", theirs=THEIRS, scope=""):
    parts = (Text(text),) if text else ()
    parts += (Choices(tuple(choices)),) if choices else ()
    message = Message(b"t", "agent", channel, parts, accepted_at=1)
    where = Address(channel, theirs, scope)
    return Outgoing(Delivery(KEY), message, where, Endpoint(channel, ours))


def body(builder, message):
    request = builder.build_send(message)
    assert isinstance(request, HttpRequest)
    return json.loads(request.body)


def choices(*labels):
    return [Choice(f"id-{label}", label) for label in labels]


BUILDERS = [
    SinchBuilder("P"), SinchSmsBuilder("S", "t"), WhatsAppBuilder("t"), TwilioBuilder("AC", "t")
]  # fmt: skip
BY_NAME = {builder.name: builder for builder in BUILDERS}


@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.name)
def test_it_fills_the_port(builder: Builder):
    assert builder.name
    assert builder.capabilities.longest
    assert not builder.repeatable


@pytest.mark.parametrize("name", sorted(BY_NAME))
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"text": ""}, "empty"), ({"text": " \n"}, "empty"), ({"text": "x" * 4_097}, "too_long"),
        ({"theirs": " "}, "address"), ({"theirs": "+1\r\nX: y"}, "address"),
        ({"theirs": "5" * 513}, "address"), ({"ours": "\ud800"}, "address"), ({"ours": ""}, "address"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_fails_before_anything_is_asked(name, change, code):
    builder = BY_NAME[name]
    message = outgoing(**({"channel": builder.channel} | change))
    assert builder.build_send(message) == Sent("failed", code=f"{name}.{code}")


@pytest.mark.parametrize("name", ["sinch", "sinch_sms", "twilio"])
def test_51_a_name_cannot_be_answered_and_a_short_code_can(name):
    builder = BY_NAME[name]
    assert builder.build_send(outgoing(theirs="AcmeInc")) == Sent("failed", code=f"{name}.address")
    assert isinstance(builder.build_send(outgoing(theirs="72345")), HttpRequest)


@pytest.mark.parametrize(
    ("name", "field"), [("twilio", "Body"), ("sinch_sms", "body"), ("sinch", "text")]
)
def test_88_where_there_are_no_buttons_choices_are_numbered_lines(name, field):
    request = BY_NAME[name].build_send(outgoing("Well?", choices("Yes", "No")))
    if name == "twilio":
        assert dict(parse_qsl(request.body.decode()))[field] == "Well?\n\n1. Yes\n2. No"
    else:
        assert f'"{field}":"Well?\\n\\n1. Yes\\n2. No"'.encode() in request.body


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_55_nul_and_surrogates_leave_as_something_that_can_be_sent(name):
    builder = BY_NAME[name]
    request = builder.build_send(outgoing("a\x00b\ud800", channel=builder.channel))
    assert isinstance(request, HttpRequest)


class TestSinch:
    async def test_it_asks_for_exactly_this(self):
        reply = answer(200, '{"message_id": "01FC", "accepted_time": "2026-01-01T00:00:00Z"}')
        async with server(reply) as (where, asked):
            sender = HttpSender(SinchBuilder("P/1", base_url=where, sms_sender="4670"))
            assert await sender.send(outgoing()) == Sent("sent", provider_id="01FC")
            await sender.aclose()
        (request,) = asked
        assert (request.method, request.path) == ("POST", "/v1/projects/P%2F1/messages:send")
        assert request.json == {
            "app_id": "APP",
            "recipient": {
                "identified_by": {
                    "channel_identities": [{"channel": "SMS", "identity": "46701740605"}]
                }
            },
            "message": {"text_message": {"text": "On its way."}},
            "channel_priority_order": ["SMS"],
            "message_metadata": KEY.hex(),
            "channel_properties": {"SMS_SENDER": "4670"},
        }

    def test_the_sdk_takes_what_is_asked_for_its_own(self):
        builder = SinchBuilder("P", channel="whatsapp")
        few, many = choices("Yes", "No"), choices("1", "2", "3", "4")
        for offered in ((), few, many):
            asked = body(builder, outgoing("Well?", offered, channel="whatsapp"))
            SendMessageRequest(**asked)

    @pytest.mark.parametrize(
        ("channel", "name"), [("sms", "SMS"), ("viber", "VIBERBM"), ("applebc", "APPLEBC")]
    )
    def test_each_channel_has_sinchs_name(self, channel, name):
        asked = body(SinchBuilder("P", channel=channel), outgoing(channel=channel))
        assert asked["channel_priority_order"] == [name]

    def test_an_id_of_messenger_is_not_changed(self):
        message = outgoing(channel="messenger", theirs="+77", scope="page")
        asked = body(SinchBuilder("P", channel="messenger"), message)
        identities = asked["recipient"]["identified_by"]["channel_identities"]
        assert identities == [{"channel": "MESSENGER", "identity": "+77"}]

    def test_choices_are_buttons_a_list_or_numbers(self):
        whatsapp = SinchBuilder("P", channel="whatsapp", list_button="Val")
        few = body(whatsapp, outgoing("Well?", choices("Yes", "No"), channel="whatsapp"))["message"]
        assert few["choice_message"]["text_message"] == {"text": "Well?"}
        assert few["choice_message"]["choices"][0] == {
            "text_message": {"text": "Yes"}, "postback_data": "id-Yes"
        }  # fmt: skip
        four = choices("1", "2", "3", "4")
        many = body(whatsapp, outgoing("Well?", four, channel="whatsapp"))["message"]
        assert many["list_message"]["sections"][0]["items"][3] == {
            "choice": {"title": "4", "postback_data": "id-4"}
        }
        sms = body(SinchBuilder("P"), outgoing("Well?", choices("Yes", "No")))["message"]
        assert sms == {"text_message": {"text": "Well?\n\n1. Yes\n2. No"}}

    @pytest.mark.parametrize(
        ("status", "said", "sent"),
        [
            (200, '{"message_id": "M"}', Sent("sent", provider_id="M")),
            (200, "{}", Sent("unknown")),
            (200, "<html>", Sent("unknown")),
            (400, '{"error": {"code": 400, "status": "INVALID_ARGUMENT"}}', Sent("failed", code="sinch.invalid_argument")),
            (404, '{"error": {"status": "NOT_FOUND"}}', Sent("failed", code="sinch.not_found")),
            (400, '{"error": {"status": "no +46701740605"}}', Sent("unknown")),
            (400, "{}", Sent("unknown")),
            (429, '{"error": {"status": "RESOURCE_EXHAUSTED"}}', Sent("unknown")),
            (500, '{"error": {"status": "INTERNAL"}}', Sent("unknown")),
        ],
    )  # fmt: skip
    def test_each_answer_has_one_meaning(self, status, said, sent):
        assert SinchBuilder("P").read_receipt(HttpAnswer(status, (), said.encode())) == sent

    @pytest.mark.parametrize(
        ("project", "options"),
        [
            ("", {}),
            ("P", {"channel": "fax"}),
            ("P", {"region": "mars"}),
            ("P", {"base_url": "x"}),
            ("P", {"list_button": "x" * 21}),
        ],
    )
    def test_what_cannot_be_is_told_at_once(self, project, options):
        with pytest.raises(ConfigurationError):
            SinchBuilder(project, **options)


class TestSinchSms:
    async def test_it_asks_for_exactly_this(self):
        async with server(answer(201, '{"id": "01FC"}')) as (where, asked):
            builder = SinchSmsBuilder("S", "tok", base_url=where, callback_url="https://x.org/dr")
            sender = HttpSender(builder)
            assert await sender.send(outgoing(ours="+46700")) == Sent("sent", provider_id="01FC")
            await sender.aclose()
        (request,) = asked
        assert request.path == "/xms/v1/S/batches"
        assert request.headers["authorization"] == "Bearer tok"
        assert request.json == {
            "from": "+46700",
            "to": [THEIRS],
            "body": "On its way.",
            "type": "mt_text",
            "delivery_report": "per_recipient",
            "client_reference": KEY.hex(),
            "callback_url": "https://x.org/dr",
        }
        assert TextRequest(**request.json).to == [THEIRS]

    @pytest.mark.parametrize(
        ("status", "said", "sent"),
        [
            (201, '{"id": "B"}', Sent("sent", provider_id="B")),
            (201, '{"id": ""}', Sent("unknown")),
            (400, '{"code": "syntax_invalid_parameter_format", "text": "x"}', Sent("failed", code="sinch_sms.syntax_invalid_parameter_format")),
            (400, '{"code": "to: +46701740605"}', Sent("unknown")),
            (403, '{"code": "forbidden"}', Sent("unknown")),
            (503, '{"code": "x"}', Sent("unknown")),
        ],
    )  # fmt: skip
    def test_each_answer_has_one_meaning(self, status, said, sent):
        assert BY_NAME["sinch_sms"].read_receipt(HttpAnswer(status, (), said.encode())) == sent

    @pytest.mark.parametrize(
        ("given", "options"),
        [(("", "t"), {}), (("S", ""), {}), (("S", "t"), {"region": "mars"}), (("S", "t"), {"callback_url": "/x"})],
    )  # fmt: skip
    def test_what_cannot_be_is_told_at_once(self, given, options):
        with pytest.raises(ConfigurationError):
            SinchSmsBuilder(*given, **options)


def error(code):
    return json.dumps({"error": {"message": f"no {THEIRS}", "code": code}})


class TestWhatsApp:
    def content(self, text, offered, **options):
        asked = body(WhatsAppBuilder("t", **options), outgoing(text, offered, channel="whatsapp"))
        return {key: asked[key] for key in ("type", "text", "interactive") if key in asked}

    async def test_it_asks_for_exactly_this(self):
        made = answer(200, '{"messaging_product": "whatsapp", "messages": [{"id": "wamid.A"}]}')
        async with server(made) as (where, asked):
            sender = HttpSender(WhatsAppBuilder("tok", base_url=where))
            message = outgoing(channel="whatsapp", ours="10654")
            assert await sender.send(message) == Sent("sent", provider_id="wamid.A")
            await sender.aclose()
        (request,) = asked
        assert request.path == "/v23.0/10654/messages"
        assert request.headers["authorization"] == "Bearer tok"
        assert request.json == {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": "46701740605",
            "type": "text",
            "text": {"body": "On its way.", "preview_url": False},
            "biz_opaque_callback_data": KEY.hex(),
        }

    def test_77_who_has_no_phone_is_a_recipient(self):
        message = outgoing(channel="whatsapp", theirs="US.134912086", scope="102")
        asked = body(WhatsAppBuilder("t"), message)
        assert asked["recipient"] == "US.134912086"
        assert "to" not in asked

    def test_an_endpoint_cannot_lead_to_another_path(self):
        request = WhatsAppBuilder("t").build_send(outgoing(channel="whatsapp", ours="../x?y"))
        assert request.url == "https://graph.facebook.com/v23.0/..%2Fx%3Fy/messages"

    def test_up_to_three_short_choices_are_reply_buttons(self):
        found = self.content("Well?", choices("Yes", "x" * 20, "No"))["interactive"]
        assert (found["type"], found["body"]) == ("button", {"text": "Well?"})
        assert found["action"]["buttons"][0] == {
            "type": "reply", "reply": {"id": "id-Yes", "title": "Yes"}
        }  # fmt: skip
        assert len(found["action"]["buttons"]) == 3

    @pytest.mark.parametrize("labels", [("1", "2", "3", "4"), ("x" * 21, "No"), [*"abcdefghij"]])
    def test_up_to_ten_longer_ones_are_a_list(self, labels):
        found = self.content("Well?", choices(*labels), list_button="Val")["interactive"]
        assert (found["type"], found["action"]["button"]) == ("list", "Val")
        rows = found["action"]["sections"][0]["rows"]
        assert [row["title"] for row in rows] == list(labels)

    @pytest.mark.parametrize(
        "offered",
        [
            choices(*"abcdefghijk"), choices("x" * 25), choices("", "b"),
            [Choice("1", "a"), Choice("1", "b")], [Choice("1", "a"), Choice("2", "a")],
            [Choice("", "a")], [Choice("x" * 201, "a")],
        ],
    )  # fmt: skip
    def test_88_what_does_not_fit_stands_as_numbers(self, offered):
        """No choice is lost, and none is shown that could be taken for another."""
        lines = "\n" + "".join(f"\n{n}. {choice.label}" for n, choice in enumerate(offered, 1))
        assert self.content("Well?", offered) == {
            "type": "text", "text": {"body": f"Well?{lines}", "preview_url": False}
        }  # fmt: skip

    @pytest.mark.parametrize("text", ["", "x" * 1_025])
    def test_88_choices_under_no_text_or_a_long_one_are_numbers_too(self, text):
        assert self.content(text, choices("Yes"))["text"]["body"] == f"{text}\n\n1. Yes".strip("\n")

    def test_88_with_its_numbers_a_text_is_within_the_limit_or_refused(self):
        message = outgoing("x" * 4_090, choices("Yes please"), channel="whatsapp")
        assert WhatsAppBuilder("t").build_send(message) == Sent("failed", code="whatsapp.too_long")

    @pytest.mark.parametrize(
        ("status", "said", "sent"),
        [
            (200, '{"messages": [{"id": "W"}]}', Sent("sent", provider_id="W")),
            (200, '{"messages": []}', Sent("unknown")),
            (400, error(131047), Sent("failed", code="whatsapp.131047")),
            (400, error(131026), Sent("failed", code="whatsapp.131026")),
            (400, error(130429), Sent("retry", code="whatsapp.130429")),
            (400, error(131056), Sent("retry", code="whatsapp.131056")),
            (400, error(80007), Sent("retry", code="whatsapp.80007")),
            (429, error(4), Sent("retry", code="whatsapp.4")),
            (401, error(190), Sent("retry", code="whatsapp.190")),
            (400, error(190), Sent("retry", code="whatsapp.190")),
            (403, error(368), Sent("retry", code="whatsapp.368")),
            (500, error(131000), Sent("unknown")),
            (503, error(131016), Sent("unknown")),
            (400, error(-3), Sent("unknown")),
            (400, error(10**30), Sent("unknown")),
            (400, "<html>", Sent("unknown")),
        ],
    )
    def test_84_each_answer_has_one_meaning(self, status, said, sent):
        """131047, the window has closed, is `failed`: no attempt will ever help."""
        assert WhatsAppBuilder("t").read_receipt(HttpAnswer(status, (), said.encode())) == sent

    def test_84_the_window_of_a_day_is_a_capability(self):
        assert WhatsAppBuilder("t").capabilities.window_seconds == 86_400

    @pytest.mark.parametrize(
        ("token", "options"),
        [
            ("", {}),
            ("t", {"version": "../v1"}),
            ("t", {"base_url": "x"}),
            ("t", {"list_button": ""}),
        ],
    )
    def test_what_cannot_be_is_told_at_once(self, token, options):
        with pytest.raises(ConfigurationError):
            WhatsAppBuilder(token, **options)


@pytest.mark.parametrize("name", sorted(BY_NAME))
@pytest.mark.parametrize(
    "given", [None, b"", b"\xff", b"[" * 60_000, b"null", b"5", b'{"error": 5}', b'{"sid": {}}']
)
def test_an_answer_that_is_none_is_unknown_whatever_its_status(name, given):
    for status in (200, 201, 204, 400, 404, 418, 500):
        sent = BY_NAME[name].read_receipt(HttpAnswer(status, (), given))
        assert sent.status == "unknown"
        assert sent.status in get_args(Sent.__annotations__["status"])
