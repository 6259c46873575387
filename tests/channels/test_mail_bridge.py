"""Mail through a bridge: what is repeated, what bounces, what comes back, and two bots that meet."""

import json
from contextlib import asynccontextmanager

import pytest
from aiosmtpd.controller import Controller
from tests.channels.fixtures import NOW, message_of, with_body
from tests.channels.mail_posts import (
    CREDENTIALS,
    HEAD,
    SECRET,
    SENDGRID,
    postmark,
    public_key,
    sendgrid,
)
from tests.channels.test_mail_reports import report

from ctxbridge import Bridge, guards
from ctxbridge.channels import Email, Postmark, SendGrid
from ctxbridge.delivery.senders import SmtpSender
from ctxbridge.model import Inbound, Receipt, Verification
from ctxbridge.testing.servers import free_port
from ctxbridge.wire.checked import checked, checked_inbound

OURS, ANN = "help@acme.example", "ann@example.org"
HOUR = 3_600_000
UNSIGNED = Verification("unsigned")


class Clock:
    def __init__(self, now=NOW):
        self.time = now

    def now(self):
        return self.time


class Kept:
    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.mails.append(envelope.content)
        return "250 OK"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def post():
    """A real mail server; gives its box and its port."""
    port = free_port()
    controller = Controller(Kept(), hostname="127.0.0.1", port=port)
    controller.start()
    yield controller.handler, port
    controller.stop()


@asynccontextmanager
async def bot(port=None, clock=None, tenant="acme"):
    senders = [SmtpSender("127.0.0.1", port, reply_secret=SECRET)] if port else []
    both = [guards.automatic(), guards.opt_out()]
    async with Bridge(
        "memory://", tenant=tenant, senders=senders, guards=both, clock=clock or Clock()
    ) as bridge:
        yield bridge


async def answered(bridge, inbound, text="On its way."):
    """The turn, after a reply where it is open."""
    async with bridge.turn(inbound) as turn:
        if turn.open:
            turn.reply(text)
    return turn


def by_sendgrid(fields=SENDGRID) -> Inbound:
    channel = SendGrid(public_key())
    request = sendgrid(fields)
    return message_of(channel.parse(request, channel.verify(request)))


async def test_27_a_repetition_after_72_hours_is_still_one_turn():
    clock = Clock()
    async with bot(clock=clock) as bridge:
        assert (await answered(bridge, by_sendgrid())).status != "duplicate"
        clock.time += 72 * HOUR
        again = await answered(bridge, by_sendgrid())
        assert (again.status, [m.text for m in again.answer]) == ("duplicate", ["On its way."])


async def test_30_the_same_message_id_with_another_body_is_kept_and_flagged():
    async with bot() as bridge:
        await answered(bridge, by_sendgrid())
        other = await answered(bridge, by_sendgrid({**SENDGRID, "text": "Something else"}))
        assert other.status == "new"
        (message,) = other.messages
        assert (message.text, "id_reused" in message.flags) == ("Something else", True)


async def test_31_without_a_message_id_a_repetition_is_one_turn():
    fields = {**SENDGRID, "headers": HEAD.replace("Message-ID", "X-Other")}
    async with bot() as bridge:
        await answered(bridge, by_sendgrid(fields))
        assert (await answered(bridge, by_sendgrid(fields))).status == "duplicate"


async def test_69_a_bounce_fails_the_delivery_of_the_right_turn(post):
    box, port = post
    async with bot(port) as bridge:
        first = await answered(bridge, by_sendgrid(), "Your order is on its way.")
        second = await answered(
            bridge,
            by_sendgrid({**SENDGRID, "headers": HEAD.replace("<1@", "<2@")}),
            "Anything else?",
        )
        assert [d.status for t in (first, second) for d in t.deliveries] == ["sent", "sent"]
        (bounce,) = Email(OURS).parse(with_body(report(box.mails[0])), UNSIGNED).events
        assert isinstance(bounce, Receipt)
        failed = await bridge.receive(bounce)
        assert (failed.id, failed.status, failed.code) == (
            first.deliveries[0].id,
            "failed",
            "5.1.1",
        )
        dead = [d async for d in _dead(bridge)]
        assert [found.delivery.id for found in dead] == [first.deliveries[0].id]


async def _dead(bridge):
    for found in await bridge.deliveries("dead"):
        yield found


async def test_64_an_answer_without_references_is_in_the_thread_of_the_question(post):
    box, port = post
    channel = SendGrid(public_key(), reply_secret=SECRET)
    async with bot(port) as bridge:
        request = sendgrid()
        asked = message_of(channel.parse(request, channel.verify(request)))
        await answered(bridge, asked)
        line = next(x for x in box.mails[0].splitlines() if x.startswith(b"Reply-To: "))
        raw = b"From: ann@example.org\r\nTo: " + line[10:] + b"\r\nMessage-ID: <3@x>\r\n\r\nThanks"
        reply = message_of(Email(OURS, reply_secret=SECRET).parse(with_body(raw), UNSIGNED))
        assert (reply.thread, reply.references) == (asked.thread, ())
        turn = await answered(bridge, reply)
        assert turn.messages[-1].thread == asked.thread


async def test_68_what_we_have_sent_ourselves_is_not_answered(post):
    box, port = post
    async with bot(port) as bridge:
        await answered(bridge, by_sendgrid())
        back = message_of(Email(OURS).parse(with_body(box.mails[0]), UNSIGNED))
        turn = await answered(bridge, back)
        assert (turn.open, len(box.mails)) == (False, 1)


async def meeting(box, port, seen=lambda raw: raw):
    """How many mails two bots write, of which each answers whatever is no machine's; five at most."""
    async with bot(port, tenant="a") as ours, bot(port, tenant="b") as theirs:
        await answered(ours, by_sendgrid())
        for turn in range(4):
            mailbox, bridge = ((ANN, theirs), (OURS, ours))[turn % 2]
            inbound = message_of(Email(mailbox).parse(with_body(seen(box.mails[-1])), UNSIGNED))
            await answered(bridge, inbound, f"Thank you for your mail number {turn}.")
            if len(box.mails) != turn + 2:
                break
    return len(box.mails)


async def test_68_two_bots_stop_after_one_mail(post):
    assert await meeting(*post) == 1


async def test_and_without_what_we_write_into_our_mails_they_would_not(post):
    """The broken variant: mails that do not say that a machine wrote them."""

    def bare(raw: bytes) -> bytes:
        told = (b"Auto-Submitted", b"X-Auto-Response-Suppress", b"X-Loop")
        return b"\r\n".join(line for line in raw.split(b"\r\n") if not line.startswith(told))

    assert await meeting(*post, bare) == 5


async def test_an_unsubscription_that_the_provider_took_ends_our_mail():
    channel = Postmark(CREDENTIALS)
    event = {
        "RecordType": "SubscriptionChange", "MessageID": "x", "Recipient": ANN, "SuppressSending": True,
        "ChangedAt": "2026-05-28T20:26:40Z", "Metadata": {"endpoint": OURS},
    }  # fmt: skip
    request = postmark(event)
    async with bot() as bridge:
        await answered(bridge, by_sendgrid())
        stop = message_of(channel.parse(request, channel.verify(request)))
        assert stop.endpoint.value == OURS
        stopped = await answered(bridge, stop)
        assert (stopped.open, list(stopped.answer)) == (False, [])
        written = await bridge.send(f"email:{ANN}", "Something new")
        assert not written.message.visible


def test_what_the_adapters_give_can_be_stored() -> None:
    """Also where a provider's JSON holds half of a character."""
    for field in ("Subject", "MessageID", "TextBody", "OriginalRecipient", "Date"):
        body = json.dumps({"FromFull": {"Email": ANN}, field: "a\x00\u2028\U0001f600b"}).encode()
        for raw in (body, body.replace(b"\\ud83d", b"")):
            for event in Postmark().parse(with_body(raw), UNSIGNED).events:
                assert checked_inbound(event)[0] == checked(event)
