"""Each adapter with the largest body that it takes, usual and hostile: time, and memory beside it.

`pytest -s` prints the figures of docs/channels/acceptance.md. Time is this process's own, since
others may use the machine; the bounds are several times what was measured.
"""

import base64
import json
import time
import tracemalloc
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from tests.channels.fixtures import NOW, TWILIO_FORM, twilio_post
from tests.channels.mail_posts import (
    CREDENTIALS,
    HEAD,
    KEY,
    MAILGUN,
    POSTMARK,
    SENDGRID,
    mailgun,
    mailgun_signature,
    post,
    postmark,
    public_key,
    sendgrid,
)
from tests.channels.test_slack import CALLBACK, MESSAGE
from tests.channels.test_slack import SECRET as SLACK_SECRET
from tests.channels.test_slack import form as slack_form
from tests.channels.test_slack import signed as slack_signed
from tests.channels.test_standard_webhooks import SECRET as WHSEC
from tests.channels.test_standard_webhooks import signed as webhook
from twilio.request_validator import RequestValidator

from ctxbridge.channels import (
    Email,
    Mailgun,
    Postmark,
    SendGrid,
    Sinch,
    SinchSms,
    Slack,
    StandardWebhooks,
    Twilio,
    WebChat,
    WhatsApp,
)
from ctxbridge.model import RawRequest
from ctxbridge.ports import Channel

KIB, MIB = 1024, 1024 * 1024
LINES = "The quick brown fox jumps over the lazy dog, and then it comes back for more.\r\n"
FILE = base64.encodebytes(b"\x00\x01\x02" * 19 * 1000).decode()


def words(size: int) -> str:
    return (LINES * (size // len(LINES) + 1))[:size]


def twilio(body: str) -> RawRequest:
    form = TWILIO_FORM | {"Body": body}
    made = RequestValidator("12345").compute_signature("https://hooks.example.org/t", form)
    return twilio_post(form, made, "https://hooks.example.org/t")


def json_of(value: object) -> RawRequest:
    return RawRequest(json.dumps(value).encode(), received_at=NOW)


def sinch(text: str, **more: object) -> RawRequest:
    who = {"channel": "SMS", "identity": "46701740605"}
    said = {"text_message": {"text": text}}
    message = {"id": "01M", "contact_message": said, "channel_identity": who} | more
    return json_of({"app_id": "A", "message": message})


def sinch_sms(body: object, **more: object) -> RawRequest:
    given = {"type": "mo_text", "id": "01M", "from": "46701740605", "to": "12345", "body": body}
    return json_of(given | more)


def whatsapp(count: int, text: str) -> RawRequest:
    said = {"type": "text", "text": {"body": text}}
    messages = [{"from": "46701740605", "id": f"w{n}", **said} for n in range(count)]
    value = {"metadata": {"phone_number_id": "1"}, "messages": messages}
    entry = {"id": "1", "changes": [{"field": "messages", "value": value}]}
    return json_of({"entry": [entry]})


def slack(text: str) -> RawRequest:
    return slack_signed(json.dumps(CALLBACK | {"event": MESSAGE | {"text": text}}).encode())


PRESSED = {
    "type": "block_actions", "user": {"id": "U1"}, "team": {"id": "T1"}, "channel": {"id": "C1"},
    "container": {"message_ts": "1.2"},
    "actions": [{"type": "button", "value": "v", "action_ts": "1.2", "text": {"text": "t"}}],
}  # fmt: skip
CHAT = WebChat("s" * 32)


def frame(text: str) -> RawRequest:
    token = CHAT.token("ann", now=NOW)
    body = json.dumps({"type": "message", "client_msg_id": "1", "text": text}).encode()
    return RawRequest(body, (("Authorization", f"Bearer {token}"),), received_at=NOW)


MIXED = "Content-Type: multipart/mixed; boundary=Q\r\n\r\n"
PART = (
    "--Q\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
)


def mail(size: int) -> bytes:
    """A letter with one large file."""
    file = FILE.replace("\n", "\r\n")
    head = HEAD + MIXED + "--Q\r\n\r\nWhere is it?\r\n" + PART
    return (head + file * ((size - len(head)) // len(file))).encode() + b"--Q--\r\n"


def hostile_mail(size: int) -> bytes:
    """Bytes that are of no charset but the slowest: of `test_mail_limits` what costs most."""
    head = HEAD.encode() + b"Content-Type: text/plain; charset=gb18030\r\n\r\n"
    return head + b"\x81\x30\x81\xff" * ((size - len(head)) // 4)


def open_tags(size: int) -> bytes:
    head = HEAD.encode() + b"Content-Type: text/html\r\n\r\n"
    return head + b"<p>" * ((size - len(head)) // 3)


HTML_MAIL = HEAD.encode() + b"Content-Type: text/html\r\n\r\n" + f"<p>{LINES}</p>".encode() * 50_000
TEN = 10 * MIB - 4 * KIB
LARGEST: dict[str, tuple[Channel, Callable[[], RawRequest], Callable[[], RawRequest]]] = {
    "twilio": (
        Twilio("12345"),
        lambda: twilio("héllo wörld " * 11_000),
        lambda: twilio("\x00\U0001f600" * 16_000),
    ),
    "sinch": (Sinch(), lambda: sinch(words(980 * KIB)), lambda: sinch("\ud800" * 25_000, more=[[]] * 19_000)),
    "sinch_sms": (
        SinchSms(),
        lambda: sinch_sms(words(980 * KIB)),
        lambda: sinch_sms("\ud800" * 25_000, more=[[]] * 19_000),
    ),
    "whatsapp": (
        WhatsApp(),
        lambda: whatsapp(1_000, words(2_900)),
        lambda: whatsapp(20_000, "\x00" * 6),
    ),
    "slack": (
        Slack(SLACK_SECRET),
        lambda: slack(words(900 * KIB)),
        lambda: slack("<@U1|&lt;" * 100_000),
    ),
    "slack, a form": (
        Slack(SLACK_SECRET),
        lambda: slack_signed(slack_form(payload=json.dumps(PRESSED | {"x": words(600 * KIB)}))),
        lambda: slack_signed(b"payload=" + b"%7B%22" * 170_000),
    ),
    "webchat": (CHAT, lambda: frame(words(30 * KIB)), lambda: frame("\ud83d\ude00" * 4_000)),
    "standard-webhooks": (
        StandardWebhooks(WHSEC),
        lambda: webhook(json.dumps({"a": words(TEN - MIB)}).encode()),
        lambda: webhook(b"[" + b"0," * (TEN // 2 - 10) + b"0]"),
    ),
    "email": (
        Email(),
        lambda: RawRequest(mail(TEN), received_at=NOW),
        lambda: RawRequest(hostile_mail(TEN), received_at=NOW),
    ),
    "email, HTML": (
        Email(),
        lambda: RawRequest(HTML_MAIL, received_at=NOW),
        lambda: RawRequest(open_tags(TEN), received_at=NOW),
    ),
    "email, headers": (
        Email(),
        lambda: RawRequest(HEAD.encode() + b"References:" + b" <a@x.y>\r\n" * 2_000 + b"\r\nHi"),
        lambda: RawRequest(HEAD.encode() + b"X: y\r\n" * 200_000 + b"\r\nHi"),
    ),
    "sendgrid": (
        SendGrid(public_key()),
        lambda: sendgrid(SENDGRID, [("attachment1", "a", "a/b", b"x" * (TEN - MIB))]),
        lambda: sendgrid({"email": hostile_mail(TEN)}),
    ),
    "mailgun": (
        Mailgun(KEY),
        lambda: mailgun(MAILGUN, [("attachment-1", "a", "a/b", b"x" * (TEN - MIB))]),
        lambda: post(
            urlencode(mailgun_signature()).encode() + b"&body-mime=" + b"%41" * (TEN // 3 - KIB),
            "application/x-www-form-urlencoded",
        ),
    ),
    "postmark": (
        Postmark(CREDENTIALS),
        lambda: postmark({**POSTMARK, "Attachments": [{"Content": "A" * (TEN - MIB), "Name": "a"}]}),
        lambda: postmark({**POSTMARK, "RawEmail": open_tags(TEN).decode()}),
    ),
}  # fmt: skip
CASES = [(name, kind) for name in LARGEST for kind in ("usual", "hostile")]


def work(channel: Channel, request: RawRequest) -> None:
    parsed = channel.parse(request, channel.verify(request))
    assert parsed.events or parsed.errors
    channel.reply(parsed)


def measured(channel: Channel, request: RawRequest) -> tuple[float, float]:
    """Seconds, and the memory at its highest in sizes of the body."""
    start = time.process_time()
    work(channel, request)
    seconds = time.process_time() - start
    tracemalloc.start()
    try:
        work(channel, request)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return seconds, peak / len(request.body)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_60_the_largest_body_is_bounded_in_time_and_memory(name: str, kind: str) -> None:
    channel, usual, hostile = LARGEST[name]
    request = usual() if kind == "usual" else hostile()
    seconds, times = measured(channel, request)
    size = len(request.body) / KIB
    print(f"| {name} | {kind} | {size:,.0f} KiB | {seconds * 1000:.0f} ms | {times:.1f} |")
    assert seconds < 2
    # Of a small body the objects count that it names, and they are few megabytes at most.
    assert times < 5 or times * size < 4_096


def test_the_same_measure_sees_one_that_keeps_too_much() -> None:
    class Hoarding(Email):
        def parse(self, request: RawRequest, verification, /):
            self.kept = [request.body[at:] for at in range(0, len(request.body), KIB * 100)]
            return super().parse(request, verification)

    assert measured(Hoarding(), RawRequest(mail(2 * MIB), received_at=NOW))[1] > 5
