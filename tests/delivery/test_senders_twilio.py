"""Twilio's sender against a server that answers as Twilio does, or worse."""

import base64
import sys
import time
from contextlib import asynccontextmanager
from email.utils import formatdate

import anyio
import pytest
from msgspec.structs import replace

from ctxbridge.delivery.senders import TwilioSender
from ctxbridge.delivery.senders.http import retry_after
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Address, Delivery, Endpoint, Markup, Message, Outgoing, Sent, Text
from ctxbridge.ports import Sender
from tests.delivery.loopback import answer, read_request, server

ACCOUNT, TOKEN = "AC" + "0a" * 16, "s3cret:with colon"
SID = "SM" + "1b" * 16
KEY = b"0123456789abcdef"
OURS, THEIRS = "+15005550006", "+15551230001"


def outgoing(text="It is on its way.", *, ours=OURS, theirs=THEIRS, channel="sms"):
    message = Message(b"t", "agent", channel, (Text(text),) if text else (), accepted_at=1)
    return Outgoing(Delivery(KEY), message, Address(channel, theirs), Endpoint(channel, ours))


CREATED = answer(201, f'{{"sid": "{SID}", "status": "queued", "error_code": null}}')


def refused(status, code):
    words = f'{{"code": {code}, "message": "no {THEIRS}", "status": {status}}}'
    return answer(status, words, "Content-Type: application/json")


@asynccontextmanager
async def sender(where, **options):
    made = TwilioSender(ACCOUNT, TOKEN, base_url=where, **options)
    try:
        yield made
    finally:
        await made.aclose()


async def said(reply, **options):
    """What the sender makes of `reply`, and how often it asked."""
    async with server(reply) as (where, asked), sender(where, **options) as twilio:
        sent = await twilio.send(outgoing())
        return sent, len(asked)


def test_it_fills_the_port():
    twilio: Sender = TwilioSender(ACCOUNT, TOKEN)
    assert (twilio.channel, twilio.repeatable) == ("sms", False)
    assert (twilio.timeout_seconds, twilio.per_second) == (15.0, 0.0)


class TestRequest:
    async def test_it_asks_for_exactly_this(self):
        async with server(CREATED) as (where, asked), sender(where) as twilio:
            assert await twilio.send(outgoing()) == Sent("sent", provider_id=SID)
        (request,) = asked
        assert (request.method, request.path) == (
            "POST", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
        )  # fmt: skip
        given = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        assert request.headers["authorization"] == f"Basic {given}"
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert request.headers["accept-encoding"] == "identity"
        assert sorted(request.form) == [
            ("Body", "It is on its way."), ("From", OURS), ("To", THEIRS)
        ]  # fmt: skip

    @pytest.mark.parametrize("channel", ["whatsapp", "rcs", "messenger"])
    async def test_another_channel_is_a_prefix_of_both_sides(self, channel):
        async with server(CREATED) as (where, asked), sender(where, channel=channel) as twilio:
            assert twilio.channel == channel
            await twilio.send(outgoing(channel=channel))
        form = dict(asked[0].form)
        assert (form["From"], form["To"]) == (f"{channel}:{OURS}", f"{channel}:{THEIRS}")

    async def test_a_messaging_service_is_no_from(self):
        service = "MG" + "2c" * 16
        async with server(CREATED) as (where, asked), sender(where, channel="whatsapp") as twilio:
            await twilio.send(outgoing(ours=service, channel="whatsapp"))
        assert sorted(asked[0].form) == [
            ("Body", "It is on its way."), ("MessagingServiceSid", service), ("To", f"whatsapp:{THEIRS}")
        ]  # fmt: skip

    async def test_a_name_that_only_begins_like_a_service_is_a_from(self):
        async with server(CREATED) as (where, asked), sender(where) as twilio:
            await twilio.send(outgoing(ours="MG Motors"))
        assert dict(asked[0].form)["From"] == "MG Motors"

    @pytest.mark.parametrize(
        ("given", "sent"),
        [
            ("https://x.org/hook", "https://x.org/hook?delivery={key}"),
            ("https://x.org/hook?a=1&b=%20", "https://x.org/hook?a=1&b=%20&delivery={key}"),
            ("https://x.org", "https://x.org?delivery={key}"),
            ("https://u:p@x.org/h?#rc=3&rp=all", "https://u:p@x.org/h?delivery={key}#rc=3&rp=all"),
        ],
    )
    async def test_the_callback_names_the_delivery(self, given, sent):
        async with (
            server(CREATED) as (where, asked),
            sender(where, status_callback=given) as twilio,
        ):
            await twilio.send(outgoing())
        assert dict(asked[0].form)["StatusCallback"] == sent.format(key=KEY.hex())

    async def test_the_text_arrives_as_it_is(self):
        text = "a&b=c+d %0A\r\n€ 👍 \x00\ud800" + "x" * 1_500
        async with server(CREATED) as (where, asked), sender(where) as twilio:
            assert (await twilio.send(outgoing(text))).status == "sent"
        expected = text.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")
        assert dict(asked[0].form)["Body"] == expected

    @pytest.mark.parametrize(("channel", "body"), [("whatsapp", "*Hi*"), ("sms", "Hi")])
    async def test_whatsapp_shows_marks_and_sms_does_not(self, channel, body):
        plain = outgoing("Hi", channel=channel)
        parts = (*plain.message.parts, Markup("whatsapp", "*Hi*"))
        async with server(CREATED) as (where, asked), sender(where, channel=channel) as twilio:
            await twilio.send(replace(plain, message=replace(plain.message, parts=parts)))
        assert dict(asked[0].form)["Body"] == body

    def test_it_says_what_it_can_take(self):
        can = TwilioSender(ACCOUNT, TOKEN).capabilities
        assert (can.longest, can.unit, can.form) == (1_600, "character", "plain")
        assert TwilioSender(ACCOUNT, TOKEN, channel="whatsapp").capabilities.form == "whatsapp"

    async def test_a_connection_is_used_again_and_closed_at_the_end(self):
        peers = []

        async def reply(stream):
            peers.append(stream)
            await stream.send(CREATED)
            await read_request(stream)
            await stream.send(CREATED)

        async with server(reply) as (where, _), sender(where) as twilio:
            for _ in range(2):
                assert (await twilio.send(outgoing())).status == "sent"
            assert len(peers) == 1
            await twilio.aclose()
            await twilio.aclose()

    async def test_a_connection_that_was_closed_meanwhile_is_noticed_before_the_request(self):
        peers = []

        async def reply(stream):
            await stream.send(CREATED)
            await stream.aclose()
            peers.append(stream)

        async with server(reply) as (where, asked), sender(where) as twilio:
            for n in (1, 2):
                assert (await twilio.send(outgoing())).status == "sent"
                while len(peers) < n:  # noqa: ASYNC110
                    await anyio.sleep(0.01)
        assert len(asked) == 2


class TestRefusedHere:
    @pytest.mark.parametrize(
        ("message", "code"),
        [
            (outgoing(""), "twilio.empty"),
            (outgoing(" \n"), "twilio.empty"),
            (outgoing("x" * 1_601), "twilio.too_long"),
            (outgoing(theirs=""), "twilio.address"),
            (outgoing(theirs=" "), "twilio.address"),
            (outgoing(theirs="+1555\r\nBcc: x"), "twilio.address"),
            (outgoing(theirs="+1555\x00"), "twilio.address"),
            (outgoing(theirs="whatsapp:+1555"), "twilio.address"),
            (outgoing(theirs="5" * 513), "twilio.address"),
            (outgoing(ours="\ud800"), "twilio.address"),
        ],
    )
    async def test_what_cannot_be_sent_fails_before_anything_is_asked(self, message, code):
        async with server(CREATED) as (where, asked), sender(where) as twilio:
            assert await twilio.send(message) == Sent("failed", code=code)
        assert asked == []

    async def test_1600_characters_are_sent(self):
        async with server(CREATED) as (where, _), sender(where) as twilio:
            assert (await twilio.send(outgoing("é" * 1_600))).status == "sent"


class TestAnswers:
    @pytest.mark.parametrize(
        ("reply", "sent"),
        [
            (refused(400, 21610), Sent("failed", code="twilio.21610")),
            (refused(400, 21617), Sent("failed", code="twilio.21617")),
            (refused(404, 20404), Sent("failed", code="twilio.20404")),
            (refused(400, 21611), Sent("retry", code="twilio.21611")),
            (refused(401, 20003), Sent("retry", code="twilio.401")),
            (answer(403, "<html>"), Sent("retry", code="twilio.403")),
            (refused(429, 20429), Sent("retry", code="twilio.429")),
            (answer(429, "", "Retry-After: 7"), Sent("retry", code="twilio.429", retry_after=7.0)),
            (answer(429, "", "Retry-After: soon"), Sent("retry", code="twilio.429")),
            (answer(500, "{}"), Sent("unknown", code="twilio.500")),
            (refused(500, 20500), Sent("unknown", code="twilio.500")),
            (answer(503, "", "Retry-After: 7"), Sent("unknown", code="twilio.503")),
            (answer(201, "<html>hello"), Sent("unknown", code="twilio.201")),
            (answer(201, ""), Sent("unknown", code="twilio.201")),
            (answer(201, "[" * 60_000), Sent("unknown", code="twilio.201")),
            (answer(201, '{"sid": null}'), Sent("unknown", code="twilio.201")),
            (answer(201, '{"sid": ["x"]}'), Sent("unknown", code="twilio.201")),
            (answer(201, '{"sid": "S\\nM"}'), Sent("unknown", code="twilio.201")),
            (answer(400, "no json"), Sent("unknown", code="twilio.400")),
            (answer(400, '{"code": "x"}'), Sent("unknown", code="twilio.400")),
            (answer(400, '{"code": -5}'), Sent("unknown", code="twilio.400")),
            (answer(400, f'{{"code": {10**30}}}'), Sent("unknown", code="twilio.400")),
            (answer(204), Sent("unknown", code="twilio.204")),
        ],
    )
    async def test_each_answer_has_one_meaning_and_nothing_is_asked_twice(self, reply, sent):
        assert await said(reply) == (sent, 1)

    async def test_retry_after_may_be_a_date(self):
        reply = answer(429, "", f"Retry-After: {formatdate(time.time() + 60, usegmt=True)}")
        sent, _ = await said(reply)
        assert 55 < sent.retry_after <= 60

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_redirects_are_not_followed(self, status):
        async with server(CREATED) as (elsewhere, asked_there):
            reply = answer(status, "", f"Location: {elsewhere}/")
            assert await said(reply) == (Sent("unknown", code=f"twilio.{status}"), 1)
        assert asked_there == []

    async def test_no_word_or_address_of_an_answer_is_passed_on(self):
        sent, _ = await said(refused(400, 21211))
        assert THEIRS not in repr(sent)


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("120", 120.0),
            (" 0 ", 0.0),
            ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
            ("Tue, 14 Nov 2023 22:13:10 GMT", 0.0),
            ("Tue, 14 Nov 2090 22:13:10 GMT", 86_400.0),
            ("999999999", 86_400.0),
            ("9" * 5_000, 0.0),
            ("-5", 0.0),
            ("1.5", 0.0),
            ("٣", 0.0),
            ("", 0.0),
            ("Tue, 99 Nov 2023 22:13:30 GMT", 0.0),
        ],
    )
    def test_seconds_or_a_date(self, value, seconds):
        assert retry_after(value, 1_700_000_000) == seconds


class TestLostConnections:
    async def test_nobody_listens(self):
        async with server(CREATED) as (where, _):
            pass
        async with sender(where) as twilio:
            assert await twilio.send(outgoing()) == Sent("retry", code="twilio.unreachable")

    async def test_no_such_host(self):
        async with sender("http://nowhere.invalid") as twilio:
            assert await twilio.send(outgoing()) == Sent("retry", code="twilio.unreachable")

    async def test_tls_that_fails_was_before_the_request(self):
        async def serve(stream):
            async with stream:
                await stream.receive()
                await stream.send(b"220 this is no TLS\r\n")

        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listener.serve, serve)
                async with sender(f"https://127.0.0.1:{port}") as twilio:
                    sent = await twilio.send(outgoing())
                tasks.cancel_scope.cancel()
        assert sent == Sent("retry", code="twilio.unreachable")

    async def test_tls_that_hangs_was_before_the_request(self):
        async def serve(stream):
            async with stream:
                await anyio.sleep_forever()

        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listener.serve, serve)
                async with sender(f"https://127.0.0.1:{port}", timeout_seconds=3.2) as twilio:
                    sent = await twilio.send(outgoing())
                tasks.cancel_scope.cancel()
        assert sent == Sent("retry", code="twilio.unreachable")

    async def test_closed_without_an_answer(self):
        async def reply(stream):
            await stream.aclose()

        assert await said(reply) == (Sent("unknown", code="twilio.lost"), 1)

    async def test_closed_within_the_head(self):
        async def reply(stream):
            await stream.send(b"HTTP/1.1 201 Crea")

        assert await said(reply) == (Sent("unknown", code="twilio.lost"), 1)

    @pytest.mark.parametrize(("reply", "code"), [(CREATED, 201), (refused(400, 21610), 400)])
    async def test_closed_within_the_body(self, reply, code):
        async def cut(stream):
            await stream.send(reply[:-5])

        assert await said(cut) == (Sent("unknown", code=f"twilio.{code}"), 1)

    async def test_closed_within_the_body_of_a_429_which_the_status_settles(self):
        async def cut(stream):
            await stream.send(refused(429, 20429)[:-5])

        assert await said(cut) == (Sent("retry", code="twilio.429"), 1)

    async def test_an_answer_that_is_no_http(self):
        assert await said(b"SSH-2.0-X\r\n\r\n") == (Sent("unknown", code="twilio.lost"), 1)

    async def test_an_answer_that_never_comes(self):
        async def reply(stream):
            await anyio.sleep_forever()

        started = time.monotonic()
        sent, asked = await said(reply, timeout_seconds=2.0)
        assert (sent, asked) == (Sent("unknown", code="twilio.timeout"), 1)
        assert time.monotonic() - started < 30

    async def test_an_answer_that_trickles_is_bounded_as_a_whole(self):
        async def reply(stream):
            await stream.send(b"HTTP/1.1 201 Created\r\n\r\n")
            while True:
                await stream.send(b" ")
                await anyio.sleep(0.02)

        sent, _ = await said(reply, timeout_seconds=2.0)
        assert sent == Sent("unknown", code="twilio.timeout")

    @pytest.mark.parametrize("length", [f"Content-Length: {10 * 2**20}", "X-None: endless"])
    async def test_an_answer_of_ten_megabytes_is_not_read_to_its_end(self, length):
        written = 0

        async def reply(stream):
            nonlocal written
            await stream.send(f"HTTP/1.1 201 Created\r\n{length}\r\n\r\n".encode())
            for _ in range(160):
                await stream.send(b"x" * 65_536)
                written += 65_536

        assert await said(reply) == (Sent("unknown", code="twilio.201"), 1)
        assert written < 10 * 2**20

    async def test_cancellation_goes_through(self):
        async def reply(stream):
            await anyio.sleep_forever()

        async with server(reply) as (where, _), sender(where) as twilio:
            with anyio.move_on_after(0.1) as scope:
                await twilio.send(outgoing())
            assert scope.cancelled_caught


class TestSettings:
    @pytest.mark.parametrize(
        ("arguments", "options"),
        [
            (("", TOKEN), {}),
            ((ACCOUNT, ""), {}),
            ((ACCOUNT, TOKEN), {"channel": "fax"}),
            ((ACCOUNT, TOKEN), {"base_url": "api.twilio.com"}),
            ((ACCOUNT, TOKEN), {"base_url": "http://["}),
            ((ACCOUNT, TOKEN), {"status_callback": "/hook?token=hidden"}),
        ],
    )
    def test_what_cannot_be_is_told_at_once_and_without_secrets(self, arguments, options):
        with pytest.raises(ConfigurationError) as told:
            TwilioSender(*arguments, **options)
        assert TOKEN not in str(told.value)
        assert "hidden" not in str(told.value)

    def test_without_httpx_the_extra_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "httpx", None)
        with pytest.raises(ConfigurationError, match=r"ctxbridge\[twilio\]"):
            TwilioSender(ACCOUNT, TOKEN)

    async def test_an_account_cannot_lead_to_another_path(self):
        async with server(CREATED) as (where, asked):
            twilio = TwilioSender("../x?y#z", TOKEN, base_url=where)
            await twilio.send(outgoing())
            await twilio.aclose()
        assert asked[0].path == "/2010-04-01/Accounts/..%2Fx%3Fy%23z/Messages.json"
