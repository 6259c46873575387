"""The mail APIs of Postmark, SendGrid and Mailgun: what is asked of them, and what their answers mean.

No SDK is needed: the requests are compared with what the APIs' own documents say of each field, and
what they carry with what the SMTP sender writes of the same message.
"""

import base64
import email
import json
from email import policy
from urllib.parse import parse_qsl

import pytest

from ctxbridge.channels import Mailgun, Postmark, SendGrid
from ctxbridge.delivery.senders import MailgunBuilder, PostmarkBuilder, SendGridBuilder
from ctxbridge.delivery.senders.smtp import written
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import (
    Address,
    Delivery,
    Endpoint,
    HttpAnswer,
    HttpRequest,
    Message,
    Outgoing,
    RawRequest,
    Receipt,
    Sent,
    Text,
    Verification,
)
from ctxbridge.ports import Builder
from ctxbridge.rules.mail import replies_at
from ctxbridge.rules.reply_tokens import ReplyTokens

KEY = b"0123456789abcdef"
SECRET = "r" * 32
OURS, THEIRS = "help@acme.example", "ann@example.org"
OPTIONS = {"reply_secret": SECRET}
BUILDERS = {
    "postmark": lambda **more: PostmarkBuilder("server-token", **more),
    "sendgrid": lambda **more: SendGridBuilder("SG.key", **more),
    "mailgun": lambda **more: MailgunBuilder("key-1", "mg.acme.example", **more),
}
ALL = pytest.mark.parametrize("name", sorted(BUILDERS))


def outgoing(
    text="It is on its way.", *, subject="Re: Order", ours=OURS, theirs=THEIRS, **more
) -> Outgoing:
    fields = {"author": "agent", "references": ("2@x", "1@x"), "thread": "1@x"} | more
    message = Message(
        b"t", channel="email", parts=(Text(text),), accepted_at=1, subject=subject, **fields
    )
    return Outgoing(Delivery(KEY), message, Address("email", theirs), Endpoint("email", ours))


def asked(name: str, message: Outgoing, **more) -> dict[str, object]:
    """What is asked, in the words of SMTP: a mail with its headers."""
    request = BUILDERS[name](**more).build_send(message)
    assert isinstance(request, HttpRequest)
    if name == "mailgun":
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True))
        headers = {k[2:]: v for k, v in form.items() if k.startswith("h:")}
        return headers | {"From": form["from"], "To": form["to"], "Subject": form["subject"], "text": form["text"],
                          "metadata": {k[2:]: v for k, v in form.items() if k.startswith("v:")}}  # fmt: skip
    given = json.loads(request.body)
    if name == "postmark":
        headers = {h["Name"]: h["Value"] for h in given["Headers"]}
        assert headers.pop("X-PM-KeepID") == "true"
        reply = {"Reply-To": given["ReplyTo"]} if "ReplyTo" in given else {}
        return headers | reply | {"From": given["From"], "To": given["To"], "Subject": given["Subject"],
                                  "text": given["TextBody"], "metadata": given["Metadata"]}  # fmt: skip
    (personal,) = given["personalizations"]
    (content,) = given["content"]
    assert content["type"] == "text/plain"
    reply = {"Reply-To": given["reply_to"]["email"]} if "reply_to" in given else {}
    return given["headers"] | reply | {
        "From": given["from"]["email"], "To": personal["to"][0]["email"], "Subject": given["subject"],
        "text": content["value"], "metadata": given["custom_args"],
    }  # fmt: skip


@ALL
def test_it_fills_the_port(name):
    made: Builder = BUILDERS[name]()
    assert (made.name, made.channel, made.repeatable) == (name, "email", False)


@ALL
@pytest.mark.parametrize(
    "message",
    [
        outgoing(),
        outgoing(references=()),
        outgoing(author="human_agent"),
        outgoing(author="system"),
    ],
    ids=range(4),
)
def test_it_says_what_the_smtp_sender_writes_of_the_same_message(name, message):
    mail = written(message, None, 0, replies_at(SECRET))
    theirs = email.message_from_bytes(mail.data, policy=policy.default)
    found = asked(name, message, reply_secret=SECRET)
    mime = {"Date", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"}
    assert {k: " ".join(v.split()) for k, v in theirs.items() if k not in mime} == {
        k: v for k, v in found.items() if k not in ("text", "metadata")
    }
    assert found["text"] == "It is on its way."
    assert found["metadata"] == {"delivery": KEY.hex(), "endpoint": OURS}


@ALL
def test_the_thread_is_named_where_it_is_answered_to(name):
    found = asked(name, outgoing(), reply_secret=SECRET, reply_to="reply@acme.example")
    assert found["Reply-To"] == ReplyTokens(SECRET).address("reply@acme.example", "1@x")
    assert "Reply-To" not in asked(name, outgoing())


@ALL
def test_63_a_hostile_subject_or_thread_writes_no_header(name):
    hostile = outgoing(
        subject="Re: =?utf-8?q?hi=0D=0ABcc:_evil@x?=\r\nBcc: e@x",
        references=("1@x>\r\nBcc: e@x", "2@x"),
    )
    found = asked(name, hostile)
    assert all("\r" not in str(v) and "\n" not in str(v) for k, v in found.items() if k != "text")
    assert found["Subject"] == "Re: hi Bcc: evil@x Bcc: e@x"
    assert found["In-Reply-To"] == "<2@x>"


@ALL
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"text": ""}, "empty"),
        ({"text": " \x00"}, "empty"),
        ({"ours": "x"}, "address"),
        ({"theirs": "a@b\r\nc"}, "address"),
        ({"theirs": "Ann <a@b.c>"}, "address"),
    ],
)
def test_what_cannot_be_sent_is_said_before_anything_is_asked(name, change, code):
    assert BUILDERS[name]().build_send(outgoing(**change)) == Sent("failed", code=f"{name}.{code}")


@ALL
@pytest.mark.parametrize("text", ["é\n😀\u2028", "a\r\nb", "\ud800", "x" * 100_000])
def test_any_text_can_be_asked(name, text):
    assert asked(name, outgoing(text))["text"] == text.replace("\r\n", "\n").replace(
        "\ud800", "\ufffd"
    )


@ALL
def test_a_mailbox_beyond_ascii_stands_in_no_header(name):
    found = asked(name, outgoing(ours="hilfe@bücher.example"))
    assert "X-Loop" not in found
    assert found["Message-ID"] == f"<{KEY.hex()}@xn--bcher-kva.example>"


def test_who_is_asked_and_with_which_key():
    made = {name: make().build_send(outgoing()) for name, make in BUILDERS.items()}
    assert {name: (r.method, r.url) for name, r in made.items()} == {
        "postmark": ("POST", "https://api.postmarkapp.com/email"),
        "sendgrid": ("POST", "https://api.sendgrid.com/v3/mail/send"),
        "mailgun": ("POST", "https://api.mailgun.net/v3/mg.acme.example/messages"),
    }
    assert dict(made["postmark"].headers)["X-Postmark-Server-Token"] == "server-token"
    assert dict(made["sendgrid"].headers)["Authorization"] == "Bearer SG.key"
    assert (
        dict(made["mailgun"].headers)["Authorization"]
        == "Basic " + base64.b64encode(b"api:key-1").decode()
    )
    eu = MailgunBuilder("k", "mg.acme.example", base_url="https://api.eu.mailgun.net/")
    assert eu.build_send(outgoing()).url == "https://api.eu.mailgun.net/v3/mg.acme.example/messages"


@pytest.mark.parametrize(
    "make",
    [lambda: PostmarkBuilder(""), lambda: SendGridBuilder("a\r\nb"), lambda: MailgunBuilder("", "a.b"), lambda: MailgunBuilder("k", "a/b"),
     lambda: PostmarkBuilder("t", domain="a b"), lambda: SendGridBuilder("k", reply_secret="short"), lambda: SendGridBuilder("k", reply_to="a@b.c"),
     lambda: SendGridBuilder("k", reply_secret=SECRET, reply_to="a")],
    ids=range(8),
)  # fmt: skip
def test_24_settings_that_cannot_be_refuse_to_start(make):
    with pytest.raises(ConfigurationError):
        make()


def answer(status: int, body: object = None, **headers: str) -> HttpAnswer:
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    return HttpAnswer(status, tuple((k.replace("_", "-"), v) for k, v in headers.items()), data)


OK = {
    "postmark": answer(
        200, {"To": THEIRS, "MessageID": "0a129aee", "ErrorCode": 0, "Message": "OK"}
    ),
    "sendgrid": answer(202, b"", X_Message_Id="14c5d75ce93.dfd"),
    "mailgun": answer(200, {"id": "<2018.1@mg.acme.example>", "message": "Queued. Thank you."}),
}
IDS = {"postmark": "0a129aee", "sendgrid": "14c5d75ce93.dfd", "mailgun": "2018.1@mg.acme.example"}
ANSWERS = [
    ("postmark", answer(422, {"ErrorCode": 406, "Message": "Inactive"}), Sent("failed", code="postmark.406")),
    ("postmark", answer(422, {"ErrorCode": 405}), Sent("retry", code="postmark.405")),
    ("postmark", answer(401, {"ErrorCode": 10}), Sent("retry", code="postmark.10")),
    ("postmark", answer(200, {"ErrorCode": 0}), Sent("unknown", code="postmark.200")),
    ("postmark", answer(200, {"ErrorCode": 0, "MessageID": "a b"}), Sent("unknown", code="postmark.200")),
    ("postmark", answer(422, {"ErrorCode": "x"}), Sent("unknown", code="postmark.422")),
    ("sendgrid", answer(400, {"errors": [{"message": "x"}]}), Sent("failed", code="sendgrid.400")),
    ("sendgrid", answer(413, b"<html>"), Sent("unknown", code="sendgrid.413")),
    ("sendgrid", answer(202, None), Sent("sent")),
    ("mailgun", answer(400, {"message": "'to' parameter is not a valid address"}), Sent("failed", code="mailgun.400")),
    ("mailgun", answer(404, {"message": "Domain not found"}), Sent("retry", code="mailgun.404")),
    ("mailgun", answer(404, b""), Sent("unknown", code="mailgun.404")),
    ("mailgun", answer(200, {"message": "Queued"}), Sent("unknown", code="mailgun.200")),
]  # fmt: skip


class TestAnswers:
    @ALL
    def test_it_was_taken(self, name):
        assert BUILDERS[name]().read_receipt(OK[name]) == Sent("sent", provider_id=IDS[name])

    @pytest.mark.parametrize(("name", "given", "sent"), ANSWERS, ids=range(len(ANSWERS)))
    def test_what_each_means(self, name, given, sent):
        assert BUILDERS[name]().read_receipt(given) == sent

    @ALL
    def test_what_was_surely_not_taken_is_tried_again(self, name):
        for status in (401, 403, 429):
            sent = BUILDERS[name]().read_receipt(answer(status, b"no", Retry_After="17"))
            assert sent == Sent("retry", code=f"{name}.{status}")

    @ALL
    @pytest.mark.parametrize(
        "body",
        [
            None,
            b"",
            b"{",
            b"[]",
            b"\xff",
            b"[" * 90_000,
            b'{"id": 1}',
            b'{"errors": 1}',
            b'{"MessageID": []}',
        ],
    )
    def test_whatever_else_says_nothing(self, name, body):
        for status in (100, 204, 302, 400, 418, 500, 503, 599, 0, -1):
            assert BUILDERS[name]().read_receipt(answer(status, body)).status == "unknown"


class TestRoundTrip:
    """What a provider is given to give back is read by its adapter."""

    def test_postmark(self):
        given = json.loads(PostmarkBuilder("t").build_send(outgoing()).body)
        event = {
            "RecordType": "Delivery",
            "MessageID": "0a129aee",
            "Recipient": given["To"],
            "Metadata": given["Metadata"],
        }
        self.check(Postmark(), json.dumps(event).encode(), "0a129aee")

    def test_sendgrid(self):
        given = json.loads(SendGridBuilder("k").build_send(outgoing()).body)
        event = {
            "event": "delivered",
            "sg_message_id": "a.b.filter1.2",
            "email": THEIRS,
            **given["custom_args"],
        }
        self.check(SendGrid(), json.dumps([event]).encode(), "a.b")

    def test_mailgun(self):
        form = dict(parse_qsl(MailgunBuilder("k", "a.b").build_send(outgoing()).body.decode()))
        event = {
            "event": "delivered", "recipient": form["to"], "user-variables": {"delivery": form["v:delivery"]},
            "message": {"headers": {"message-id": form["h:Message-ID"], "from": form["from"]}},
        }  # fmt: skip
        body = json.dumps({"event-data": event}).encode()
        self.check(Mailgun(), body, f"{KEY.hex()}@acme.example")

    def check(self, channel, body, id):
        (receipt,) = channel.parse(RawRequest(body), Verification("unsigned")).events
        assert isinstance(receipt, Receipt)
        assert (receipt.status, receipt.delivery, receipt.message_id) == (
            "delivered",
            KEY.hex(),
            id,
        )
        assert (receipt.endpoint.value, receipt.recipient.value) == (OURS, THEIRS)
