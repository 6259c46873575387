"""Whatever comes in, only values come out. Bytes are mutated from good requests, by a seed.

`CTXBRIDGE_FUZZ_SCALE` multiplies the number of tries (default 1).
"""

import base64
import hashlib
import hmac
import json
import os
import random
import time
from collections.abc import Sequence
from urllib.parse import urlencode

import pytest

from ctxbridge.channels import Email, Sinch, SinchSms, Slack, Twilio, WebChat, WhatsApp
from ctxbridge.channels._edge import UNFORESEEN
from ctxbridge.model import (
    HttpReply,
    Message,
    Parsed,
    RawRequest,
    Text,
    Verification,
)
from ctxbridge.ports import Channel, Greeted

SCALE = float(os.environ.get("CTXBRIDGE_FUZZ_SCALE", "1"))
NOW = 1_780_000_000_000
ANSWER = [Message(b"t", "agent", "sms", (Text("<ok> \x00\ud800"),), 0)]

BITS = [b"", b"\x00", b"\xff", b"\xed\xa0\x80", b"%", b"%ff", b"=", b"&", b"+", b'"', b"\\", b"\\ud800", b"{", b"[",
        b"}", b":", b";", b",", b"<", b">", b"(", b")", b"@", b"\r\n", b"\r", b"\n", b"\r\n\r\n", b"--B", b"--B--",
        b"=?utf-8?q?", b"?=", b"=?x?B?", b"1e400", b"-1", b"99999999999999999999", b"null", b"true", b"*0*=", b"''",
        b"From: ", b"<div hidden>", b"</div>", b"<!--", b"&#x110000;", b"&#" + b"9" * 5000, b"boundary=", b"charset=idna", b"base64",
        "\u202e٣é😀".encode(), b"On 1 Jan 2024 at 10:00 a@b wrote:\n", b"> ", b"-- \n", b"multipart/", b"a" * 300]  # fmt: skip

MAILS = [
    (b"From: Ann <ann@example.org>\r\nTo: b@x.y\r\nSubject: =?utf-8?q?Hi?=\r\nMessage-ID: <1@x>\r\nReferences: <2@x> <3@x>\r\n"
    b"Date: Thu, 28 May 2026 20:26:40 +0200\r\nAuthentication-Results: mx; dmarc=pass (x) header.from=example.org\r\n"
    b"Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\nContent-Type: text/plain; charset=koi8-r\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\nHi =C3\r\n\r\nOn 1 Jan 2024 at 10:00, Bob <b@x.y> wrote:\r\n> x\r\n"
    b"--B\r\nContent-Type: application/pdf; name*0*=utf-8''%41; name*1=b.pdf\r\nContent-Disposition: attachment; filename=\"x\"\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nAAECAw==\r\n--B\r\nContent-Type: message/rfc822\r\n\r\nFrom: c@x\r\n\r\nz\r\n--B--\r\n"),
    (b'From: "Doe, Ann" (c) <ann@example.org>, b@x.y\r\nContent-Type: multipart/alternative; boundary="B"\r\n\r\n--B\r\n\r\n \r\n--B\r\n'
    b"Content-Type: text/html; charset=utf-16\r\n\r\n<p style='font-size:0px'>a<b style=\"display:none\">x</b></p><blockquote>q<br>r"
    b"</blockquote><pre>a\n b</pre>&amp;<!-- c --><script>s</script>\r\n--B--\r\n"),
    (b'Return-Path: <>\r\nFrom: G: a@x.y;\r\nContent-Type: text/plain; charset=iso-2022-jp\r\nX-Auto-Reply-To: x\r\n\r\n\x1b$B$"\x1b(B\r\nVon: a@b\r\n'
    b"Gesendet: x\r\nBetreff: y\r\n"),
]  # fmt: skip
FORM = urlencode(
    {"MessageSid": "SM1", "From": "whatsapp:+447700900513", "To": "+447700900000", "Body": "héllo",
     "NumMedia": "1", "MediaUrl0": "https://a/b", "MediaContentType0": "image/png", "OptOutType": "STOP",
     "Latitude": "1", "Longitude": "2", "SmsStatus": "received"}
).encode()  # fmt: skip
STATUS = b"MessageSid=SM1&MessageStatus=sent&From=%2B15550001111&To=72345&ErrorCode=1"
CHAT = WebChat("s" * 32)
TOKEN = CHAT.token("ann", now=NOW).encode()
FRAMES = [
    b'{"type":"message","client_msg_id":"m1","text":"h\\u00e9llo","sent_at":1,"visitor":"v"}',
    b'{"type":"message","client_msg_id":"m1","text":"x","token":"' + TOKEN + b'","more":{"a":[1]}}',
    b'{"type":"edit","client_msg_id":"m2","of":"m1","text":"x","visitor":"v"}',
    b'{"type":"reaction","client_msg_id":"m3","seq":12,"value":"\xf0\x9f\x91\x8d","on":false,"visitor":"v"}',
    b'{"type":"read","seq":12,"visitor":"v"}{"type":"typing"}',
]
SLACK_MESSAGE = {"type": "message", "channel": "C1", "user": "U1", "text": "h\u00e9 <@U2|x> &lt;<https://x|y>", "ts": "1779999999.000200",
                 "thread_ts": "1779999999.000100", "files": [{"mimetype": "image/png", "size": 5}]}  # fmt: skip
SLACK_BODIES = [
    *[json.dumps({"type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event_id": "Ev1", "event": one,
                  "authorizations": [{"team_id": "T1", "user_id": "UB", "is_bot": True}]}).encode()
      for one in (SLACK_MESSAGE,
                  {"type": "message", "subtype": "message_changed", "channel": "C1", "ts": "1780000000.0002",
                   "message": SLACK_MESSAGE | {"edited": {"ts": "1780000000.0001"}}, "previous_message": SLACK_MESSAGE},
                  {"type": "message", "subtype": "message_deleted", "channel": "C1", "ts": "1780000000.0002",
                   "deleted_ts": "1779999999.000200", "previous_message": SLACK_MESSAGE},
                  {"type": "reaction_added", "user": "U1", "reaction": "x", "item": {"type": "message", "channel": "C1", "ts": "1.2"}})],
    b'{"type":"url_verification","challenge":"abc"}',
    urlencode({"team_id": "T1", "channel_id": "C1", "user_id": "U1", "command": "/x", "text": "&lt;", "trigger_id": "1.2"}).encode(),
    urlencode({"payload": json.dumps({
        "type": "block_actions", "user": {"id": "U1"}, "team": {"id": "T1"}, "channel": {"id": "C1"},
        "container": {"message_ts": "1.2"}, "actions": [{"type": "button", "value": "v", "action_ts": "1.2", "text": {"text": "t"}},
                                                        {"type": "checkboxes", "action_ts": "1.2", "selected_options": [{"value": "v"}]}]})}).encode(),
]  # fmt: skip


WHATSAPP = [
    (b'{"entry":[{"id":"1","changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"2"},"messages":[{"from":"46701740605",'
    b'"from_user_id":"SE.1","id":"wamid.1","timestamp":"1749416383","type":"text","text":{"body":"h\\u00e9 \\ud83d\\ude00"},"context":'
    b'{"id":"w","forwarded":true}},{"from":"46701740605","id":"w2","type":"reaction","reaction":{"message_id":"w","emoji":"\\ud83d\\udc4d"}}],'
    b'"statuses":[{"id":"w3","status":"failed","recipient_id":"46701740605","errors":[{"code":131047}],"timestamp":"1"}]}}]}]}'),
    (b'{"entry":[{"id":"1","changes":[{"field":"x","value":{"messages":[{"id":"w","from":"1555","type":"edit","edit":{"original_message_id":"o",'
    b'"message":{"type":"image","image":{"id":"5","mime_type":"image/png","caption":null}}}},{"id":"w","type":"system","from":"46701740605",'
    b'"system":{"type":"user_changed_number","wa_id":"46701740606"}},{"id":"w","from":"46701740605","type":"interactive","interactive":'
    b'{"button_reply":{"id":"1","title":"Yes"}}}],"message_echoes":[{"id":"e","to":"46701740605","type":"text","text":{"body":"x"}}],'
    b'"user_id_update":[{"user_id":{"previous":"a","current":"b"},"timestamp":5}]}}]}]}'),
]  # fmt: skip
_SINCH = b'{"app_id":"A","event_time":"2026-02-13T08:17:42.814Z","accepted_time":"x",'
_WHO = b'"channel_identity":{"channel":"SMS","identity":"46701740605","app_id":""}'
SINCH = [
    _SINCH
    + b'"message":{"id":"01M","direction":"TO_APP","contact_message":{"text_message":{"text":"h\\u00e9 \\ud83d\\ude00"},"reply_to":'
    b'{"message_id":"m"}},' + _WHO + b',"sender_id":"12345","injected":false}}',
    _SINCH
    + b'"message":{"id":"01M","contact_message":{"media_message":{"url":"https://a/b"}},'
    + _WHO
    + b"}}",
    _SINCH
    + b'"message_delivery_report":{"message_id":"m","status":"FAILED","reason":{"code":"X"},'
    + _WHO
    + b"}}",
    _SINCH
    + b'"event":{"id":"e","contact_message_event":{"reaction_event":{"emoji":"x","action":"REACTION_ACTION_REACT"}},'
    + _WHO
    + b"}}",
    _SINCH
    + b'"opt_out_notification":{"channel":"SMS","identity":"46701740605","status":"OPT_OUT_SUCCEEDED"}}',
    _SINCH
    + b'"contact_merge_notification":{"preserved_contact":{"channel_identities":[{"channel":"SMS","identity":"1"}]},'
    b'"deleted_contact":{"channel_identities":[{"channel":"MMS","identity":"46701740605"}]}}}',
    b'{"type":"mo_text","id":"1","from":"46701740605","to":"12345","body":"h\\u00e9","received_at":"2026-08-24T14:17:22Z"}',
    b'{"type":"mo_media","id":"1","from":"46701740605","to":"1","body":{"subject":"s","message":"m","media":[{"url":"https://a/b","content_type":"a/b"}]}}',
    b'{"type":"recipient_delivery_report_sms","batch_id":"b","recipient":"46701740605","code":401,"status":"Dispatched","at":"x"}',
    b'{"type":"delivery_report_sms","batch_id":"b","statuses":[{"code":1,"status":"Failed","recipients":["46701740605"]}]}',
]
META_SECRET, SINCH_SECRET = "meta secret", "sinch secret"


def mutated(seed: bytes, chance: random.Random) -> bytes:
    """`seed` with a few bits put in, left out, doubled or flipped."""
    data = bytearray(seed)
    for _ in range(chance.randint(0, 6)):
        at = chance.randrange(len(data) + 1)
        to = at + chance.choice((0, 0, 1, 5, 40))
        kind = chance.randrange(4)
        if kind == 0:
            data[at:to] = chance.choice(BITS)
        elif kind == 1:
            data[at:at] = data[at:to] * chance.randint(1, 4)
        elif kind == 2 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        else:
            data[at:at] = chance.randbytes(chance.randint(0, 5))
    return bytes(data)


def header(seed: bytes, chance: random.Random) -> str:
    return mutated(seed, chance).decode("utf-8", chance.choice(("replace", "surrogateescape")))


def mail(chance: random.Random) -> RawRequest:
    return RawRequest(mutated(chance.choice(MAILS), chance), received_at=NOW)


def form(chance: random.Random) -> RawRequest:
    headers = [("X-Twilio-Signature", header(b"RSOYDt4T1cUTdK1PDd93/VVr8B8=", chance))]
    if chance.random() < 0.3:
        headers.append(("Content-Type", header(b"application/json", chance)))
    url = header(
        b"https://u:p@[::1]:443/twilio?bodySHA256=ab&MessageSid=SM1&From=1&To=2#rc=1", chance
    )
    method = chance.choice(("POST", "GET", "", "post"))
    body = mutated(chance.choice((FORM, STATUS)), chance)
    return RawRequest(body, tuple(headers), method, url, NOW)


def frame(chance: random.Random) -> RawRequest:
    headers = ()
    if chance.random() < 0.6:
        headers = (("Authorization", header(b"Bearer " + TOKEN, chance)),)
    return RawRequest(mutated(chance.choice(FRAMES), chance), headers, received_at=NOW)


def whatsapp(chance: random.Random) -> RawRequest:
    seed = chance.choice(WHATSAPP)
    made = "sha256=" + hmac.new(META_SECRET.encode(), seed, "sha256").hexdigest()
    given = (("X-Hub-Signature-256", header(made.encode(), chance)),) * chance.choice((0, 1, 1, 2))
    query = b"hub.mode=subscribe&hub.verify_token=t&hub.challenge=5"
    url = "https://x.org/?" + header(query, chance)
    return RawRequest(mutated(seed, chance), given, chance.choice(("POST", "GET")), url, NOW)


def sinch(chance: random.Random) -> RawRequest:
    seed, nonce, at = chance.choice(SINCH), b"01FJA8B4A7BM43YGWSG9GBV067", str(NOW // 1000).encode()
    made = hmac.new(SINCH_SECRET.encode(), b".".join((seed, nonce, at)), "sha256").digest()
    beside = {
        "": base64.b64encode(made),
        "-nonce": nonce,
        "-timestamp": at,
        "-algorithm": b"HmacSHA256",
    }
    given = [
        (
            f"x-sinch-webhook-signature{k}",
            header(v, chance) if chance.random() < 0.3 else v.decode(),
        )
        for k, v in beside.items()
    ]
    return RawRequest(mutated(seed, chance), tuple(given[: chance.randint(1, 9)]), received_at=NOW)


def slack_request(chance: random.Random) -> RawRequest:
    """A body that was damaged before or after it was signed, or a damaged signature."""
    body = mutated(chance.choice(SLACK_BODIES), chance)
    signed = b"v0:%d:" % (NOW // 1000) + body
    signature = ("v0=" + hmac.new(b"s", signed, hashlib.sha256).hexdigest()).encode()
    if chance.random() < 0.5:
        signature = mutated(signature, chance)
    stamp = str(NOW // 1000).encode()
    headers = (
        ("X-Slack-Signature", signature.decode("latin-1")),
        (
            "X-Slack-Request-Timestamp",
            header(stamp, chance) if chance.random() < 0.3 else stamp.decode(),
        ),
    )
    return RawRequest(body, headers, received_at=NOW)


def surprises(channels: Sequence[Channel], make: object, tries: int, seed: int) -> list[str]:
    """What went wrong: exceptions, answers of another type, and inputs that only `total` caught."""
    chance = random.Random(seed)
    found = []
    for _ in range(int(tries * SCALE)):
        request = make(chance)
        channel = chance.choice(channels)
        try:
            found += _wrong(channel, request)
        except Exception as error:  # noqa: BLE001 - finding any is what this is for
            found.append(f"{type(error).__name__} for {request!r}")
    return found


def _wrong(channel: Channel, request: RawRequest) -> list[str]:
    verification = channel.verify(request)
    found = []
    greeting = channel.handshake(request) if isinstance(channel, Greeted) else None
    if not isinstance(greeting, HttpReply | None):
        found.append(f"no greeting for {request!r}")
    for checked in {verification, Verification("unsigned"), Verification("verified")}:
        parsed = channel.parse(request, checked)
        reply = channel.reply(parsed, ANSWER)
        kinds = (type(verification), type(parsed), type(reply))
        if kinds != (Verification, Parsed, HttpReply) or not (parsed.events or parsed.errors):
            found.append(f"no values for {request!r}")
        if UNFORESEEN in f"{verification.reason}{parsed.errors}":
            found.append(f"unforeseen: {request!r}")
        for event in parsed.events:
            repr(event).encode()
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_mutated_mails_only_give_values(seed: int) -> None:
    """Acceptance 3, for mail."""
    channels = [Email(), Email("a@b.example", authserv_id="mx")]
    assert surprises(channels, mail, 2_500, seed) == []


def test_mutated_forms_only_give_values() -> None:
    """Acceptance 3."""
    channels = [Twilio(), Twilio("12345"), Twilio(["a", "b"], url="https://public.example.org")]
    assert surprises(channels, form, 20_000, 3) == []


def test_mutated_frames_only_give_values() -> None:
    """Acceptance 3."""
    assert surprises([CHAT, WebChat(), WebChat(["x", "s" * 32])], frame, 20_000, 4) == []


def test_3_mutated_updates_of_whatsapp_only_give_values() -> None:
    channels = [WhatsApp(), WhatsApp(META_SECRET), WhatsApp(["x", META_SECRET], verify_token="t")]
    assert surprises(channels, whatsapp, 20_000, 8) == []


def test_3_mutated_callbacks_of_sinch_only_give_values() -> None:
    channels = [Sinch(), Sinch(SINCH_SECRET), SinchSms(), SinchSms(["x", SINCH_SECRET])]
    assert surprises(channels, sinch, 20_000, 9) == []


@pytest.mark.parametrize(
    ("channel", "make", "names"),
    [
        (WhatsApp(META_SECRET), whatsapp, ("x-hub-signature-256",)),
        (Sinch(SINCH_SECRET), sinch, ("x-sinch-webhook-signature", "x-sinch-webhook-signature-nonce")),
        (SinchSms(SINCH_SECRET), sinch, ("x-sinch-webhook-signature", "x-sinch-webhook-signature-nonce")),
    ],
)  # fmt: skip
def test_3_no_forged_request_is_accepted(
    channel: Channel, make: object, names: tuple[str, ...]
) -> None:
    """Of 20,000 damaged ones, those are verified of which nothing that is signed was damaged."""
    chance, seeds = random.Random(10), {*WHATSAPP, *SINCH}
    good = 0
    for _ in range(int(20_000 * SCALE)):
        request = make(chance)
        if channel.verify(request).status == "verified":
            good += 1
            assert request.body in seeds
            assert all(request.header(name) for name in names)
    assert 0 < good < 4_000 * SCALE  # the control: some come through unharmed


def test_3_no_greeting_that_was_damaged_gives_more_than_its_challenge() -> None:
    chance, channel = random.Random(11), WhatsApp(verify_token="t")
    statuses = set()
    for _ in range(int(5_000 * SCALE)):
        reply = channel.handshake(whatsapp(chance))
        statuses.add(reply and reply.status)
        assert reply is None or reply.body.isascii()
    assert statuses == {None, 200, 400, 403}


def test_no_mutated_token_is_taken_for_a_good_one() -> None:
    chance = random.Random(5)
    for _ in range(int(20_000 * SCALE)):
        changed = mutated(TOKEN, chance)
        request = RawRequest(
            b"{}", (("Authorization", "Bearer " + changed.decode("latin-1")),), received_at=NOW
        )
        if CHAT.verify(request).status == "verified":
            assert changed.strip() == TOKEN


def test_mutated_slack_requests_only_give_values() -> None:
    """Acceptance 3."""
    assert surprises([Slack(), Slack("s"), Slack(["x", "s"])], slack_request, 20_000, 8) == []


def test_no_forged_slack_request_is_taken_for_a_good_one() -> None:
    """Acceptance 3: whatever is changed behind the signing is not verified."""
    chance, channel = random.Random(9), Slack("s")
    good = SLACK_BODIES[0]
    signed = b"v0:%d:" % (NOW // 1000) + good
    signature = "v0=" + hmac.new(b"s", signed, hashlib.sha256).hexdigest()
    for _ in range(int(20_000 * SCALE)):
        body, sign = mutated(good, chance), mutated(signature.encode(), chance).decode("latin-1")
        stamp = mutated(str(NOW // 1000).encode(), chance).decode("latin-1")
        headers = (("X-Slack-Signature", sign), ("X-Slack-Request-Timestamp", stamp))
        request = RawRequest(body, headers, received_at=NOW)
        if channel.verify(request).status == "verified":
            assert (body, sign, stamp) == (good, signature, str(NOW // 1000))


def test_no_input_takes_longer_than_fifty_milliseconds() -> None:
    """Acceptance 3; the best of three counts, so that a busy machine does not."""
    chance = random.Random(6)
    for make, channel in (
        (mail, Email()), (form, Twilio("1")), (frame, CHAT), (whatsapp, WhatsApp("1")),
        (sinch, Sinch("1")), (sinch, SinchSms("1")),
        (slack_request, Slack("s")),
    ):  # fmt: skip
        for _ in range(300):
            request = make(chance)
            assert min(_seconds(channel, request) for _ in range(3)) < 0.05


def _seconds(channel: Channel, request: RawRequest) -> float:
    start = time.process_time()
    _wrong(channel, request)
    return time.process_time() - start


class Sloppy(WebChat):
    """An adapter as one might write it in a hurry: the control that the fuzzing finds things."""

    def parse(self, request: RawRequest, _verification: Verification, /) -> Parsed:
        text = request.body.decode()
        return Parsed(events=(text.split('"text":"')[1].split('"')[0],)) if text else Parsed()


def test_the_same_fuzzing_finds_the_mistakes_of_a_sloppy_adapter() -> None:
    found = surprises([Sloppy()], frame, 2_000, 7)
    assert {"UnicodeDecodeError", "IndexError"} <= {line.split()[0] for line in found}
