"""Which thread a mail answers, and which mails are our own: tokens, References, loop headers."""

import random
import smtplib
import string
import time
from contextlib import contextmanager
from email.message import EmailMessage

import pytest
from aiosmtpd.controller import Controller
from tests.channels.fixtures import message_of, with_body
from tests.channels.mail_posts import HEAD, SECRET, SENDGRID, in_parts, mailgun, post

from ctxbridge.channels import Email, Mailgun, SendGrid
from ctxbridge.delivery.senders import SmtpSender
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import (
    Address,
    Assurance,
    Delivery,
    Endpoint,
    Inbound,
    Message,
    Outgoing,
    RawRequest,
    Text,
    Verification,
)
from ctxbridge.rules.reply_tokens import Reached, ReplyTokens, thread_name
from ctxbridge.testing.servers import free_port

UNSIGNED = Verification("unsigned")
TOKENS = ReplyTokens(SECRET)
OURS = "help@acme.example"
BOX = Email(reply_secret=SECRET)
REFERENCES = "References: <root@x> <2@x>\r\nIn-Reply-To: <2@x>\r\n"


def mail(head: str, channel: Email = BOX) -> Inbound:
    raw = f"From: Ann <ann@example.org>\r\nMessage-ID: <9@x>\r\n{head}\r\nHello".encode()
    return message_of(channel.parse(with_body(raw), UNSIGNED))


class TestTokens:
    def test_64_a_token_names_the_thread_even_where_references_are_gone(self):
        with_references = mail(f"To: {OURS}\r\n{REFERENCES}")
        assert with_references.thread == thread_name("root@x")
        stripped = mail(f"To: {TOKENS.address(OURS, 'root@x')}\r\n")
        assert (stripped.thread, stripped.references) == (with_references.thread, ())
        assert stripped.thread != mail(f"To: {OURS}\r\n").thread == thread_name("9@x")

    def test_64_a_forged_token_is_ignored_and_told(self):
        good = TOKENS.address(OURS, "root@x")
        for at in range(good.index("+") + 1, good.index("@")):
            other = "a" if good[at] != "a" else "b"
            found = mail(f"To: {good[:at]}{other}{good[at + 1 :]}\r\n")
            assert (found.thread, found.flags) == (thread_name("9@x"), ("token.forged",))
            assert found.endpoint.value == OURS

    def test_a_good_one_beside_a_forged_one_counts(self):
        forged = ReplyTokens("f" * 32).address(OURS, "other@x")
        found = mail(f"To: {forged}, {TOKENS.address(OURS, 'root@x')}\r\n")
        assert (found.thread, found.flags) == (thread_name("root@x"), ())

    def test_74_the_case_of_the_address_may_change_on_the_way(self):
        given = TOKENS.address(OURS, "root@x")
        for written in (given.upper(), given.title(), given.swapcase()):
            found = mail(f"To: Help <{written}>\r\n")
            assert (found.thread, found.endpoint.value) == (thread_name("root@x"), OURS)

    def test_it_is_taken_off_the_mailbox_and_other_tags_stay(self):
        assert mail(f"To: {TOKENS.address(OURS, 'a')}\r\n").endpoint.value == OURS
        assert mail("To: help+sales@acme.example\r\n").endpoint.value == "help+sales@acme.example"
        tagged = TOKENS.address("help+sales@acme.example", "a")
        assert TOKENS.reached(tagged).mailbox == "help+sales@acme.example"

    @pytest.mark.parametrize("name", ["To", "Cc", "Delivered-To", "X-Original-To", "Envelope-To"])
    def test_it_counts_wherever_a_recipient_stands(self, name):
        found = mail(
            f"To: {OURS}\r\n{name}: {TOKENS.address(OURS, 'root@x')}\r\n"
            if name != "To"
            else f"To: {TOKENS.address(OURS, 'root@x')}\r\n"
        )
        assert found.thread == thread_name("root@x")

    @pytest.mark.parametrize("name", ["From", "Reply-To", "Subject", "X-Anything", "Bcc"])
    def test_and_nowhere_else(self, name):
        head = f"To: {OURS}\r\n{name}: {TOKENS.address(OURS, 'root@x')}\r\n"
        if name == "From":
            raw = f"{head}Message-ID: <9@x>\r\n\r\nHello".encode()
            found = message_of(BOX.parse(with_body(raw), UNSIGNED))
        else:
            found = mail(head)
        assert found.thread == thread_name("9@x")

    def test_a_forwarded_mail_carries_it_and_it_makes_nobody_of_its_bearer(self):
        """It names a thread: no assurance, no contact, no mailbox of another's."""
        token = TOKENS.address(OURS, "root@x")
        head = f"From: Eve <eve@evil.example>\r\nTo: {token}\r\nMessage-ID: <8@x>\r\n\r\nHi"
        found = message_of(BOX.parse(with_body(head.encode()), UNSIGNED))
        assert (found.sender.value, found.assurance) == ("eve@evil.example", Assurance.CLAIMED)

    def test_without_a_secret_an_address_is_only_an_address(self):
        token = TOKENS.address(OURS, "root@x")
        found = mail(f"To: {token}\r\n{REFERENCES}", Email())
        assert (found.endpoint.value, found.thread, found.flags) == (token, "root@x", ())

    def test_while_a_secret_is_replaced_both_are_good(self):
        both = ReplyTokens(["n" * 32, SECRET])
        assert both.thread(TOKENS.token("a")) == both.thread(both.token("a")) == thread_name("a")
        assert TOKENS.thread(both.token("a")) == ""

    @pytest.mark.parametrize("secret", ["", "short", [], ["x" * 32, ""], b"x" * 31])
    def test_24_a_secret_that_is_missing_or_short_refuses_to_start(self, secret):
        for make in (
            ReplyTokens,
            lambda s: Email(reply_secret=s),
            lambda s: Mailgun(reply_secret=s),
        ):
            with pytest.raises(ConfigurationError, match="reply_secret"):
                make(secret)

    def test_no_random_address_is_taken_for_a_good_one(self):
        chance = random.Random(1)
        letters = string.ascii_lowercase + "234567"
        for _ in range(20_000):
            token = "".join(chance.choices(letters, k=chance.choice((39, 40, 40, 40, 41))))
            assert not TOKENS.thread(token)

    @pytest.mark.parametrize(
        "address",
        [
            "",
            "@",
            "a",
            "+@",
            "+" + "a" * 40 + "@x",
            "a+@x",
            "a+b",
            "\ud800+" + "a" * 40 + "@x",
            "a+" + "\u212a" * 40 + "@x",
        ],
    )
    def test_what_is_no_token_leaves_the_address(self, address):
        assert TOKENS.reached(address).thread == ""
        if not address.startswith("\ud800"):
            assert TOKENS.reached(address) == Reached(address)

    def test_the_name_of_a_name_is_itself_and_nothing_shows_the_secret(self):
        assert thread_name(thread_name("a")) == thread_name("a") != thread_name("b")
        assert SECRET not in repr(TOKENS)

    def test_one_that_would_be_too_long_for_a_mailbox_is_left_out(self):
        assert TOKENS.address("a" * 23 + "@x", "t")
        assert TOKENS.address("a" * 24 + "@x", "t") == ""

    def test_the_providers_read_it_too(self):
        token = TOKENS.address(OURS, "root@x")
        sent = {**SENDGRID, "envelope": f'{{"to": ["{token}"], "from": "a@b.c"}}'}
        parsed = SendGrid(reply_secret=SECRET).parse(post(*in_parts(sent)), UNSIGNED)
        assert message_of(parsed).thread == thread_name("root@x")
        assert message_of(parsed).endpoint.value == OURS
        request = mailgun(
            {"recipient": token.upper(), "from": "ann@example.org", "body-plain": "x"}
        )
        parsed = Mailgun(reply_secret=SECRET).parse(request, UNSIGNED)
        assert message_of(parsed).thread == thread_name("root@x")


class TestReferences:
    def test_65_the_newest_hundred_are_kept_each_once(self):
        ids = [f"<{n}@x>" for n in range(20_000)]
        cycle = " ".join([*ids, "<9@x>", "bad", "<>", "<a b@x>", *ids[:50], "<9@x>"])
        start = time.process_time()
        found = mail(f"To: {OURS}\r\nReferences: {cycle}\r\nIn-Reply-To: <19999@x>\r\n", Email())
        assert time.process_time() - start < 1
        assert len(found.references) == len(set(found.references)) == 100
        assert found.references[0] == "19999@x"
        assert "9@x" not in found.references
        assert found.thread == "0@x"

    def test_65_two_mails_that_name_each_other_are_two(self):
        for head in (
            "In-Reply-To: <9@x>\r\n",
            "References: <9@x>\r\n",
            "In-Reply-To: <9@x> <9@x>\r\n",
        ):
            found = mail(f"To: {OURS}\r\n{head}", Email())
            assert (found.references, found.thread) == ((), "9@x")

    def test_67_a_subject_joins_nobody(self):
        first, second = (
            message_of(Email().parse(with_body(
                f"From: {who}\r\nSubject: Re: Order\r\nMessage-ID: <{n}@x>\r\n\r\nHi".encode()
            ), UNSIGNED))
            for n, who in enumerate(("ann@x.y", "bob@x.y"))
        )  # fmt: skip
        assert first.thread != second.thread

    def test_66_ids_that_were_rewritten_are_kept_beside_ours(self):
        """Whoever rewrites a Message-ID is answered under that: both stand in References."""
        theirs, ours = "0102-abc@email.amazonses.com", "0" * 32 + "@acme.example"
        found = mail(
            f"To: {OURS}\r\nReferences: <{ours}> <{theirs}>\r\nIn-Reply-To: <{theirs}>\r\n", Email()
        )
        assert found.references == (theirs, ours)


class TestOwn:
    @pytest.mark.parametrize(
        ("head", "channel"),
        [
            (f"To: {OURS}\r\nX-Loop: {OURS}\r\n", Email()),
            ("To: other@x.y\r\nX-Loop: Help@Acme.example\r\n", Email(OURS)),
            (
                "To: other@x.y\r\nX-Loop: sales@acme.example\r\n",
                Email(own_domains=["acme.example"]),
            ),
            (f"To: {TOKENS.address(OURS, 'a')}\r\nX-Loop: {OURS}\r\n", BOX),
        ],
        ids=range(4),
    )
    def test_68_a_mail_with_our_loop_header_is_our_own(self, head, channel):
        assert mail(head, channel).flags == ("self",)

    def test_68_and_so_is_one_with_a_message_id_of_ours(self):
        assert mail(f"To: {OURS}\r\n", Email(own_domains=["X"])).flags == ("self",)
        assert mail(f"To: {OURS}\r\n", Email(own_domains=["y"])).flags == ()

    def test_what_others_send_with_this_is_not_our_own(self):
        head = f"To: {OURS}\r\nX-Loop: agent@other.example\r\nX-Ctxbridge-Delivery: {'a' * 32}\r\n"
        assert mail(head).flags == ()
        assert mail(head, Email(own_domains=["acme.example"])).flags == ()

    @pytest.mark.parametrize("domains", ["acme.example", [""], ["a", ""]])
    def test_domains_that_are_none_refuse_to_start(self, domains):
        with pytest.raises(ConfigurationError):
            Email(own_domains=domains)


class Kept:
    """A mailbox that keeps the bytes it got."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.mails.append(envelope.content)
        return "250 OK"


@contextmanager
def server():
    port = free_port()
    controller = Controller(Kept(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield controller.handler, port
    finally:
        controller.stop()


class TestRoundTrip:
    @pytest.fixture
    def anyio_backend(self):
        return "asyncio"

    async def test_an_answer_finds_its_thread_through_real_servers(self):
        """Out by SmtpSender, answered by smtplib without References, in by Email."""
        first = mail(f"To: {OURS}\r\n")
        message = Message(
            b"t",
            "agent",
            "email",
            (Text("On its way."),),
            1,
            thread=first.thread,
            references=("9@x",),
        )
        outgoing = Outgoing(
            Delivery(b"0" * 16),
            message,
            Address("email", "ann@example.org"),
            Endpoint("email", OURS),
        )
        with server() as (box, port):
            sender = SmtpSender("127.0.0.1", port, reply_secret=SECRET)
            assert (await sender.send(outgoing)).status == "sent"
            sent = box.mails.pop()
            reply_to = next(line for line in sent.splitlines() if line.startswith(b"Reply-To: "))
            answer = EmailMessage()
            answer["From"], answer["To"] = "ann@example.org", reply_to[10:].decode()
            answer["Subject"], answer["Message-ID"] = "New subject", "<10@x>"
            answer.set_content("Thanks")
            with smtplib.SMTP("127.0.0.1", port) as client:
                client.send_message(answer)
            arrived = message_of(BOX.parse(RawRequest(box.mails.pop()), UNSIGNED))
        assert (arrived.thread, arrived.endpoint.value, arrived.references) == (
            first.thread,
            OURS,
            (),
        )
        # Our own mail, if it comes back, is known: by its loop header, and as a machine's.
        back = message_of(Email(OURS).parse(RawRequest(sent), UNSIGNED))
        assert back.flags == ("auto", "self")

    async def test_who_writes_first_names_the_thread_by_its_own_id(self):
        message = Message(b"t", "agent", "email", (Text("Hello."),), 1)
        outgoing = Outgoing(
            Delivery(b"0" * 16),
            message,
            Address("email", "ann@example.org"),
            Endpoint("email", OURS),
        )
        with server() as (box, port):
            sender = SmtpSender(
                "127.0.0.1", port, reply_secret=SECRET, reply_to="reply@acme.example"
            )
            sent = await sender.send(outgoing)
        line = next(line for line in box.mails[0].splitlines() if line.startswith(b"Reply-To: "))
        assert line.startswith(b"Reply-To: reply+")
        by_token = mail(f"To: {line[10:].decode()}\r\n")
        by_references = mail(f"To: {OURS}\r\nReferences: <{sent.provider_id}>\r\n")
        assert by_token.thread == by_references.thread


def test_63_a_reply_to_a_hostile_subject_has_the_intended_headers_alone() -> None:
    from ctxbridge.delivery.senders.smtp import names, written
    from ctxbridge.rules.mail import replies_at

    found = mail(f"To: {OURS}\r\nSubject: Re: =?utf-8?q?hi=0D=0ABcc:_evil@x?=\r\n")
    message = Message(
        b"t", "agent", "email", (Text("x"),), 1, subject=found.subject, thread="a\r\nBcc: b@x"
    )
    outgoing = Outgoing(Delivery(b"0" * 16), message, found.sender, found.endpoint)
    sent = written(outgoing, None, 0, replies_at(SECRET))
    assert names(sent.data) == [
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress", "X-Loop",
        "X-Ctxbridge-Delivery", "Reply-To", "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
    ]  # fmt: skip
    assert HEAD
