"""What all senders over HTTPS have in common, against a real server, with a builder of the test."""

import sys
import time

import anyio
import pytest

from ctxbridge.delivery.senders import ClientCredentials, HttpSender
from ctxbridge.errors import ConfigurationError, Unavailable
from ctxbridge.model import (
    Address,
    Capabilities,
    Delivery,
    Endpoint,
    HttpRequest,
    Message,
    Outgoing,
    Sent,
    Text,
)
from ctxbridge.ports import Builder, Sender
from tests.delivery.loopback import answer, server

KEY = b"0123456789abcdef"


class Pigeons:
    """A provider whose 200 is an id, whose 409 is a no, and which says nothing of the rest."""

    name, channel, repeatable, capabilities = "pigeons", "sms", True, Capabilities()

    def __init__(self, where, says=None):
        self.where, self.says, self.answers = where, says, []

    def build_send(self, outgoing):
        if not outgoing.text:
            return Sent("failed", code="pigeons.empty")
        headers = (("Content-Type", "text/x-note"), ("X-Key", outgoing.key))
        return HttpRequest(f"{self.where}/coop?n=1", outgoing.text.encode(), headers, "PUT")

    def read_receipt(self, given):
        self.answers.append(given)
        if self.says is not None:
            return self.says
        if given.status == 200 and given.body:
            return Sent("sent", provider_id=given.body.decode())
        return Sent("failed" if given.status == 409 else "unknown")


def outgoing(text="Hello"):
    message = Message(b"t", "agent", "sms", (Text(text),), accepted_at=1)
    return Outgoing(Delivery(KEY), message, Address("sms", "+1"), Endpoint("sms", "+2"))


async def said(reply, *, says=None, **options):
    """What becomes of the answer, and the builder."""
    async with server(reply) as (where, asked):
        builder = Pigeons(where, says)
        sender = HttpSender(builder, **options)
        sent = await sender.send(outgoing())
        await sender.aclose()
        await sender.aclose()
        assert len(asked) == 1
        return sent, builder, asked[0]


def test_it_fills_the_port_with_what_its_builder_is():
    builder: Builder = Pigeons("http://x.org")
    sender: Sender = HttpSender(builder, timeout_seconds=3.0, per_second=2.0)
    assert (sender.channel, sender.repeatable) == ("sms", True)
    assert HttpSender(builder).capabilities is builder.capabilities
    assert (sender.timeout_seconds, sender.per_second) == (3.0, 2.0)


async def test_it_asks_what_it_is_told_and_hands_on_the_answer():
    sent, builder, asked = await said(answer(200, "P1", "X-More: a"))
    assert sent == Sent("sent", provider_id="P1")
    assert (asked.method, asked.path, asked.body) == ("PUT", "/coop?n=1", b"Hello")
    assert (asked.headers["content-type"], asked.headers["x-key"]) == ("text/x-note", KEY.hex())
    (given,) = builder.answers
    assert (given.status, given.body, given.header("x-more")) == (200, b"P1", "a")


async def test_what_cannot_be_built_is_not_asked():
    async with server(answer(200, "P1")) as (where, asked):
        sender = HttpSender(Pigeons(where))
        assert await sender.send(outgoing("")) == Sent("failed", code="pigeons.empty")
        await sender.aclose()
    assert asked == []


@pytest.mark.parametrize(
    ("reply", "sent"),
    [
        (answer(401), Sent("retry", code="pigeons.401")),
        (answer(403), Sent("retry", code="pigeons.403")),
        (answer(429), Sent("retry", code="pigeons.429")),
        (answer(429, "", "Retry-After: 9"), Sent("retry", code="pigeons.429", retry_after=9.0)),
        (answer(409), Sent("failed", code="pigeons.409")),
        (answer(500), Sent("unknown", code="pigeons.500")),
        (answer(503, "", "Retry-After: 9"), Sent("unknown", code="pigeons.503")),
        (answer(302, "", "Location: http://x.invalid/"), Sent("unknown", code="pigeons.302")),
        (answer(200), Sent("unknown", code="pigeons.200")),
    ],
)
async def test_what_the_status_alone_says_fills_the_gaps_of_the_builder(reply, sent):
    assert (await said(reply))[0] == sent


@pytest.mark.parametrize(
    ("reply", "says", "sent"),
    [
        (answer(503, "", "Retry-After: 9"), Sent("retry", code="p.busy"), Sent("retry", code="p.busy", retry_after=9.0)),
        (answer(503, "", "Retry-After: 9"), Sent("retry", retry_after=2.0), Sent("retry", code="pigeons.503", retry_after=2.0)),
        (answer(403), Sent("failed", code="p.barred"), Sent("failed", code="p.barred")),
        (answer(401), Sent("unknown", code="p.odd"), Sent("retry", code="p.odd")),
    ],
)  # fmt: skip
async def test_a_word_of_the_builder_counts_more_than_the_status(reply, says, sent):
    assert (await said(reply, says=says))[0] == sent


async def test_a_body_that_never_ends_does_not_make_a_refusal_doubtful():
    async def reply(stream):
        await stream.send(b"HTTP/1.1 429 Too Many\r\nRetry-After: 9\r\n\r\n")
        while True:
            await stream.send(b" ")
            await anyio.sleep(0.01)

    started = time.monotonic()
    sent, builder, _ = await said(reply, timeout_seconds=8.0)
    assert sent == Sent("retry", code="pigeons.429", retry_after=9.0)
    assert builder.answers[0].body is None
    assert time.monotonic() - started < 7, "a quarter of it is enough for the body"


async def test_nobody_listens_and_nobody_answers():
    async with server(answer(200)) as (where, _):
        pass
    sender = HttpSender(Pigeons(where))
    assert await sender.send(outgoing()) == Sent("retry", code="pigeons.unreachable")
    await sender.aclose()

    async def silence(stream):
        await anyio.sleep_forever()

    async def hung_up(stream):
        await stream.aclose()

    assert (await said(silence, timeout_seconds=1.0))[0] == Sent("unknown", code="pigeons.timeout")
    assert (await said(hung_up))[0] == Sent("unknown", code="pigeons.lost")


def test_without_httpx_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ConfigurationError, match=r"ctxbridge\[http\]"):
        HttpSender(Pigeons("http://x.org"))
    with pytest.raises(ConfigurationError, match=r"ctxbridge\[http\]"):
        ClientCredentials("id", "secret", "http://x.org")


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


def token(word="T1", seconds=3_600):
    return answer(200, f'{{"access_token": "{word}", "expires_in": {seconds}}}')


class TestTokens:
    async def test_one_token_serves_until_it_is_about_to_run_out(self):
        clock = Clock()
        async with server(token()) as (where, asked):
            tokens = ClientCredentials("id", "secret", f"{where}/token", monotonic=clock)
            got = []

            async def get():
                got.append(await tokens.header())

            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(get)
            assert got == ["Bearer T1"] * 5
            assert len(asked) == 1
            clock.now += 3_539
            await tokens.header()
            assert len(asked) == 1
            clock.now += 2
            await tokens.header()
            tokens.refused()
            await tokens.header()
            assert len(asked) == 3
            await tokens.aclose()
            await tokens.aclose()
        assert asked[0].headers["authorization"] == "Basic aWQ6c2VjcmV0"
        assert (asked[0].method, asked[0].path) == ("POST", "/token")
        assert asked[0].form == [("grant_type", "client_credentials")]

    @pytest.mark.parametrize(
        "reply",
        [
            answer(401),
            answer(200, "{}"),
            answer(200, "<html>"),
            token("a\\nb"),
            answer(500),
            token(word=""),
        ],
    )
    async def test_where_none_is_given_nothing_is_sent(self, reply):
        async with server(reply) as (where, _), server(answer(200, "P1")) as (api, asked):
            tokens = ClientCredentials("id", "secret", where)
            with pytest.raises(Unavailable) as told:
                await tokens.header()
            assert "secret" not in str(told.value)
            sender = HttpSender(Pigeons(api), authorization=tokens)
            assert await sender.send(outgoing()) == Sent("retry", code="pigeons.unauthorized")
            await sender.aclose()
        assert asked == []

    async def test_a_token_that_hangs_is_no_message_that_may_have_left(self):
        async def silence(stream):
            await anyio.sleep_forever()

        async with server(silence) as (where, _), server(answer(200, "P1")) as (api, asked):
            tokens = ClientCredentials("id", "secret", where)
            sender = HttpSender(Pigeons(api), authorization=tokens, timeout_seconds=0.4)
            assert await sender.send(outgoing()) == Sent("retry", code="pigeons.unauthorized")
            await sender.aclose()
        assert asked == []

    async def test_a_token_that_the_provider_refuses_is_not_used_again(self):
        async with server(token()) as (where, given), server(answer(401)) as (api, asked):
            tokens = ClientCredentials("id", "secret", where)
            sender = HttpSender(Pigeons(api), authorization=tokens)
            for _ in range(2):
                assert await sender.send(outgoing()) == Sent("retry", code="pigeons.401")
            await sender.aclose()
        assert [request.headers["authorization"] for request in asked] == ["Bearer T1"] * 2
        assert len(given) == 2

    @pytest.mark.parametrize(
        "arguments",
        [("", "s", "http://x.org"), ("i", "", "http://x.org"), ("i", "s", "x.org/t?hidden")],
    )
    def test_what_cannot_be_is_told_at_once_and_without_secrets(self, arguments):
        with pytest.raises(ConfigurationError) as told:
            ClientCredentials(*arguments)
        assert "hidden" not in str(told.value)
