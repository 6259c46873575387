"""SMTP's sender against aiosmtpd, and against a scripted server for what aiosmtpd never does."""

import asyncio
import email
import re
import ssl
import sys
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from email import policy

import anyio
import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from msgspec.structs import replace

from ctxbridge.delivery.senders import SmtpSender
from ctxbridge.delivery.senders.smtp import names, written
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Address, Delivery, Endpoint, Markup, Message, Outgoing, Sent, Text
from ctxbridge.ports import Sender
from ctxbridge.testing.servers import free_port

KEY = b"0123456789abcdef"
OURS, THEIRS = "support@acme.example", "ann@example.org"
ID = f"<{KEY.hex()}@acme.example>"
TAKEN = Sent("sent", provider_id=ID[1:-1])
NOW = 1_700_000_000_000

PLAIN = [
    "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress", "X-Loop",
    "X-Ctxbridge-Delivery", "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
]  # fmt: skip
OF_MACHINES = {"Auto-Submitted", "X-Auto-Response-Suppress"}
REPLY = [*PLAIN[:5], "In-Reply-To", "References", *PLAIN[5:]]


@pytest.fixture
def anyio_backend():
    """aiosmtplib runs on asyncio alone."""
    return "asyncio"


def outgoing(text="It is on its way.", *, subject="Your order", ours=OURS, theirs=THEIRS, **more):
    fields = {"author": "agent", "references": ()} | more
    message = Message(
        b"t", channel="email", parts=(Text(text),) if text else (), accepted_at=1, subject=subject, **fields
    )  # fmt: skip
    return Outgoing(Delivery(KEY), message, Address("email", theirs), Endpoint("email", ours))


class Box:
    """A mailbox that keeps what it got; `answers` are its replies to MAIL, RCPT and DATA."""

    def __init__(self, **answers):
        self.answers = answers
        self.mails = []
        self.options = []

    async def handle_MAIL(self, server, session, envelope, address, options):  # noqa: N802
        envelope.mail_from = address
        self.options += options
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        envelope.rcpt_tos.append(address)
        return self.answers.get("RCPT", "250 OK")

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
        reply = self.answers.get("DATA", "250 OK")
        if reply == "cut":
            server.transport.abort()
        return reply


def data_of(box):
    """The bytes of the one mail in it."""
    ((_, _, data),) = box.mails
    return data


def mail_of(box):
    return email.message_from_bytes(data_of(box), policy=policy.default)


def headers_of(data):
    """The header names in these bytes, as the most gullible reader finds them: any CR or LF counts."""
    head = re.split(rb"\r?\n\r?\n|\r\r", data)[0]
    lines = re.split(rb"[\r\n]", head.replace(b"\r\n", b"\n"))
    return [
        line.partition(b":")[0].decode("latin-1") for line in lines if line[:1] not in (b" ", b"\t")
    ]


def text_of(box):
    return mail_of(box).get_content().replace("\r\n", "\n")


def contents(mail):
    """What its parts say."""
    return [part.get_content().replace("\r\n", "\n") for part in mail.iter_parts()]


class Cutting(SMTP):
    """Drops the connection where the mail would come, before it has asked for it."""

    async def smtp_DATA(self, arg):  # noqa: N802
        self.transport.abort()


class Running(Controller):
    made = SMTP

    def factory(self):
        return self.made(self.handler, **self.SMTP_kwargs)


@contextmanager
def mailbox(box=None, made=SMTP, **options):
    """A real server; gives the box and the port."""
    port = free_port()
    box = Box() if box is None else box
    controller = Running(box, hostname="127.0.0.1", port=port, ident="test", **options)
    controller.made = made
    controller.start()
    try:
        yield box, port
    finally:
        controller.stop()


async def delivered(message, box=None, **options):
    """What the sender says of it, and the box that it went to."""
    with mailbox(box, **options) as (box, port):
        return await SmtpSender("127.0.0.1", port).send(message), box


@asynccontextmanager
async def scripted(**replies):
    """A server that gives these bytes for these verbs, hangs at ``...``, cuts at `None`, else obeys."""
    heard, serving, over = [], set(), asyncio.Event()
    usual = {"DATA": b"354 go\r\n", "QUIT": b"221 bye\r\n"}

    async def act(writer, reply):
        if reply is ...:
            await over.wait()
        elif reply is not None:
            writer.write(reply)
            await writer.drain()
        return isinstance(reply, bytes)

    async def talk(reader, writer):
        good = await act(writer, replies.get("GREETING", b"220 test\r\n"))
        while good and (line := await reader.readline()):
            verb = line[:4].strip().decode("latin-1").upper()
            heard.append(verb)
            reply = replies.get(verb, usual.get(verb, b"250 ok\r\n"))
            good = await act(writer, reply)
            if good and verb == "DATA" and reply.startswith(b"354"):
                await reader.readuntil(b"\r\n.\r\n")
                heard.append(".")
                good = await act(writer, replies.get("END", b"250 ok\r\n"))
            if good and verb == "STAR":
                await over.wait()

    async def serve(reader, writer):
        serving.add(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError, ValueError):
            await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()
        over.set()
        if serving:
            await asyncio.wait(serving, timeout=5)


async def told(timeout_seconds=5.0, **replies):
    async with scripted(**replies) as (port, heard):
        sender = SmtpSender("127.0.0.1", port, timeout_seconds=timeout_seconds)
        return await sender.send(outgoing()), heard


def test_it_fills_the_port():
    sender: Sender = SmtpSender("mail.example.org")
    assert (sender.channel, sender.repeatable) == ("email", False)
    assert (sender.timeout_seconds, sender.per_second) == (30.0, 0.0)


class TestMail:
    async def test_it_arrives_as_it_was_written(self):
        sent, box = await delivered(outgoing("Dear Ann,\n\nit is on its way.\n.\n..\n"))
        assert sent == TAKEN
        assert box.mails[0][:2] == (OURS, [THEIRS])
        assert headers_of(data_of(box)) == PLAIN
        mail = mail_of(box)
        assert (mail["From"], mail["To"], mail["Subject"]) == (OURS, THEIRS, "Your order")
        assert mail["Message-ID"] == ID
        assert mail["Auto-Submitted"] == "auto-generated"
        assert mail["Content-Type"] == 'text/plain; charset="utf-8"'
        assert abs(mail["Date"].datetime.timestamp() - time.time()) < 60
        assert text_of(box) == "Dear Ann,\n\nit is on its way.\n.\n..\n"

    @pytest.mark.parametrize(
        "text",
        [
            "café, 20 €, 👍",
            "x" * 5_000,
            "word " * 2_000,
            "é" * 5_000,
            "漢字" * 2_000,
            ".\n.\n" * 50 + "é",
            "From here\nFrom there",
            "ends in a blank \nand a tab\t\nagain = and =20",
        ],
    )
    async def test_any_text_arrives_whole_in_short_lines(self, text):
        sent, box = await delivered(outgoing(text))
        assert sent == TAKEN
        assert text_of(box) == text + "\n"
        assert max(map(len, data_of(box).split(b"\r\n"))) <= 76
        assert data_of(box).isascii()

    async def test_what_no_mail_can_hold_is_left_out_or_replaced(self):
        sent, box = await delivered(outgoing("a\x00b\x1b[2Jc\rd\r\ne\ud800\u2028f\x0bg"))
        assert sent == TAKEN
        assert text_of(box).rstrip("\n") == "ab[2Jc\nd\ne\ufffd\u2028fg"
        assert b"\x00" not in data_of(box)

    async def test_a_reply_stands_in_its_thread(self):
        nearest = ("<third@x.example>", "second@x.example", "<first@x.example>")
        _, box = await delivered(outgoing(references=nearest))
        assert headers_of(data_of(box)) == REPLY
        assert (
            b"\r\nIn-Reply-To: <third@x.example>\r\n"
            b"References: <first@x.example>\r\n <second@x.example>\r\n <third@x.example>\r\n"
        ) in data_of(box)

    async def test_a_person_is_no_automaton(self):
        _, box = await delivered(outgoing(author="human_agent"))
        assert "Auto-Submitted" not in headers_of(data_of(box))
        assert headers_of(data_of(box)) == [n for n in PLAIN if n not in OF_MACHINES]

    async def test_a_system_message_says_that_it_is_automatic(self):
        _, box = await delivered(outgoing(author="system"))
        assert mail_of(box)["Auto-Submitted"] == "auto-generated"
        _, box = await delivered(outgoing(author="system", references=("a@b.example",)))
        assert mail_of(box)["Auto-Submitted"] == "auto-replied"

    async def test_the_domain_of_the_id_can_be_chosen(self):
        with mailbox() as (box, port):
            sent = await SmtpSender("127.0.0.1", port, domain="mx.example.com").send(outgoing())
        assert sent.provider_id == f"{KEY.hex()}@mx.example.com"
        assert mail_of(box)["Message-ID"] == f"<{sent.provider_id}>"

    @pytest.mark.parametrize("text", ["", " \n", "\x00\x1b"])
    async def test_without_words_it_fails(self, text):
        sent, box = await delivered(outgoing(text))
        assert (sent, box.mails) == (Sent("failed", code="smtp.empty"), [])


class TestPages:
    """A text that was rendered arrives with its page beside it."""

    PAGE = (
        "<!DOCTYPE html>\n<p>It is <strong>on its way</strong>, Jürgen.</p>\n"
        + "x" * 2_000
        + "\n.\n"
    )

    def with_page(self, page, text="It is on its way, Jürgen."):
        plain = outgoing(text)
        return replace(
            plain, message=replace(plain.message, parts=(Text(text), Markup("html", page)))
        )

    async def test_both_arrive_whole_and_the_words_come_first(self):
        box = Box()
        said, _ = await delivered(self.with_page(self.PAGE), box)
        assert said == TAKEN
        assert max(map(len, data_of(box).split(b"\r\n"))) <= 78
        mail = email.message_from_bytes(data_of(box), policy=policy.default)
        assert mail.keys() == PLAIN[:-1]
        assert [part.get_content_type() for part in mail.walk()] == [
            "multipart/alternative", "text/plain", "text/html",
        ]  # fmt: skip
        assert contents(mail) == ["It is on its way, Jürgen.\n", self.PAGE]

    async def test_a_text_cannot_end_its_part(self):
        box = Box()
        text = f"--=_{'0' * 32}--\n--=_\n\nContent-Type: text/html"
        await delivered(self.with_page(text, text), box)
        mail = email.message_from_bytes(data_of(box), policy=policy.default)
        assert contents(mail) == [text + "\n"] * 2

    async def test_a_page_of_another_channel_is_none(self):
        box = Box()
        plain = outgoing("Hi")
        marked = replace(plain.message, parts=(Text("Hi"), Markup("slack", "*Hi*")))
        await delivered(replace(plain, message=marked), box)
        assert text_of(box) == "Hi\n"


class TestReferences:
    def header(self, references, name="References"):
        mail = written(outgoing(references=references), None, NOW)
        return email.message_from_bytes(mail.data, policy=policy.compat32)[name]

    def test_the_nearest_twenty_are_kept(self):
        ids = [f"<{n}@x>" for n in range(100)]
        assert self.header(tuple(ids)).split() == ids[19::-1]

    def test_each_stands_once(self):
        assert self.header(("<a@x>", "a@x", "<b@x>", "<a@x>")).split() == ["<b@x>", "<a@x>"]

    @pytest.mark.parametrize(
        "bad",
        [
            "", "<>", "nothing", "<no-at>", "<a@b>\r\nBcc: evil@x", "<a@b>\n", "<a @b>", "<a@b><c@d>",
            "<a@b\u2028>", "<é@b>", "<a@b\x00>", "<" + "a" * 251 + "@b>", "<a@" + "b" * 251 + ">", "<a@b@c>",
        ],
    )  # fmt: skip
    def test_what_is_no_id_is_left_out(self, bad):
        assert self.header((bad, "<good@x>")) == "<good@x>"
        assert self.header((bad, "<good@x>"), "In-Reply-To") == "<good@x>"
        assert self.header((bad,)) is None
        assert self.header((bad,), "In-Reply-To") is None

    def test_the_longest_ids_still_fit_into_lines(self):
        ids = tuple(f"<{n:0250}@{'b' * 250}>" for n in range(30))
        mail = written(outgoing(references=ids), None, NOW)
        assert max(map(len, mail.data.split(b"\r\n"))) <= 998
        assert names(mail.data) == REPLY


# Each with the words that a reader of the mail may see.
HOSTILE = [
    ("hi\r\nBcc: evil@x.example", "hi Bcc: evil@x.example"),
    ("hi\nBcc: evil@x.example", "hi Bcc: evil@x.example"),
    ("hi\rBcc: evil@x.example", "hi Bcc: evil@x.example"),
    ("hi\r\n\r\n<script>", "hi <script>"),
    ("hi\r\n Bcc: evil@x.example", "hi Bcc: evil@x.example"),
    ("\r\nBcc: evil@x.example", "Bcc: evil@x.example"),
    ("Bcc: evil@x.example\r\n", "Bcc: evil@x.example"),
    ("hi\r\n.\r\nMAIL FROM:<evil@x.example>", "hi . MAIL FROM:<evil@x.example>"),
    ("=?utf-8?q?hi=0D=0ABcc:_evil@x?=", "hi Bcc: evil@x"),
    ("Re: =?utf-8?q?hi=0D=0ABcc:_evil@x?=", "Re: hi Bcc: evil@x"),
    ("=?UTF-8?B?aGkNCkJjYzogZXZpbEB4?=", "hi Bcc: evil@x"),
    ("=?utf-8?q?hi=0D?= =?utf-8?q?=0ABcc:_evil@x?=", "hi Bcc: evil@x"),
    ("=?iso-8859-1?q?hi=0ABcc:_evil@x?=", "hi Bcc: evil@x"),
    ("=?utf-7?q?hi+AA0ACg-Bcc:?=", "=?utf-7?q?hi+AA0ACg-Bcc:?="),
    ("=?zip?b?eJw=?=", "=?zip?b?eJw=?="),
    ("=?utf-8?b?!!!?=", ""),
    ("=?utf-8?b?YQ?=", "=?utf-8?b?YQ?="),
    ("=?utf-8?q?=3D=3Futf-8=3Fq=3Fa=3D0D=3D0ABcc=3F=3D?=", "=?utf-8?q?a=0D=0ABcc?="),
    ("=?utf-8*en?q?hi=0ABcc?=", "hi Bcc"),
    ("hi\x00there", "hi there"),
    ("hi\x0bBcc: x\x0cBcc: y\x1cBcc: z", "hi Bcc: x Bcc: y Bcc: z"),
    ("hi\x85Bcc: x", "hi Bcc: x"),
    ("hi\u2028Bcc: x\u2029Bcc: y", "hi Bcc: x Bcc: y"),
    ("hi \ud800 \udfff", "hi \ufffd \ufffd"),
    ("\u202eevil\u202c", "\u202eevil\u202c"),
    ("مرحبا بك", "مرحبا بك"),
    ("👍" * 50, "👍" * 50),
    ("é" * 200, "é" * 200),
    ("x" * 65_536, "x" * 249 + "…"),
    ("long words " * 6_000, ("long words " * 23)[:249] + "…"),
    ("=?utf-8?q?" * 6_000, ("=?utf-8?q?" * 25)[:249] + "…"),
    ("a" * 240, "a" * 240),
    ("many words in a row " * 12, ("many words in a row " * 12).strip()),
    ("", ""),
    (" \t ", ""),
]


@pytest.fixture(scope="module")
def postbox():
    with mailbox() as running:
        yield running


class TestHostileSubjects:
    @pytest.mark.parametrize(("subject", "seen"), HOSTILE)
    async def test_the_server_got_exactly_the_intended_headers(self, postbox, subject, seen):
        box, port = postbox
        box.mails.clear()
        assert await SmtpSender("127.0.0.1", port).send(outgoing(subject=subject)) == TAKEN
        assert headers_of(data_of(box)) == PLAIN
        assert box.mails[0][:2] == (OURS, [THEIRS])
        assert str(mail_of(box)["Subject"]) == seen
        assert text_of(box) == "It is on its way.\n"
        assert max(map(len, data_of(box).split(b"\r\n"))) <= 260

    def test_headers_made_without_care_are_caught(self):
        """The broken variants: what the sender and this file look at must show the other header."""
        for subject in ("hi\r\nBcc: evil@x", "hi\nBcc: evil@x", "hi\rBcc: evil@x"):
            data = f"From: a@x\r\nSubject: {subject}\r\n\r\nhi\r\n".encode()
            assert names(data) != ["From", "Subject"]
            assert headers_of(data) == ["From", "Subject", "Bcc"]
        assert names(b"From: a@x\r\nSubject: hi\x00\r\n\r\nhi\r\n") == []
        assert names(b"From: a@x\r\nSubject: " + b"x" * 999 + b"\r\n\r\nhi\r\n") == []
        assert names(b"From: a@x\r\nSubject: hi\r\n there\r\n\r\nBcc: no header\r\n") == [
            "From",
            "Subject",
        ]

    def test_a_mail_whose_headers_are_not_the_intended_ones_fails(self, monkeypatch):
        from ctxbridge.delivery.senders import smtp

        monkeypatch.setattr(smtp, "_subject", lambda raw: raw)
        hostile = outgoing(subject="hi\r\nBcc: evil@x.example")
        assert written(hostile, None, NOW) == Sent("failed", code="smtp.header")


BAD_ADDRESSES = [
    "", "<>", "ann", "@example.org", "ann@", "ann@example.org\r\nRCPT TO:<evil@x>", "ann@example.org\n",
    "ann @example.org", "<ann@example.org>", "ann@example.org>", "Ann <ann@example.org>", "a@b@c",
    "ann@example.org, evil@x", "ann@exa mple.org", "ann@ex\u2028ample.org", "ann\x00@example.org",
    "ann\u202e@example.org", "ann@-..org", "ann@.org", "ann@example.org.", '"a b"@example.org', "ann@[127.0.0.1]",
    "a" * 65 + "@example.org", "a@" + "b" * 64 + ".org", "a@" + "b." * 200 + "org", "ann@example.org SIZE=1",
    "ann@\ud800.org", "grp:ann@example.org;", "ann@example.org(comment)", "a@" + "\u00e9" * 60_000,
]  # fmt: skip


class TestAddresses:
    @pytest.mark.parametrize("value", BAD_ADDRESSES)
    @pytest.mark.parametrize("side", ["ours", "theirs"])
    async def test_what_is_no_address_fails_before_anything_is_sent(self, value, side):
        # Nobody listens on port 1: had it gone on, it would be ``retry``.
        sent = await SmtpSender("127.0.0.1", 1).send(outgoing(**{side: value}))
        assert sent == Sent("failed", code="smtp.address")

    async def test_beyond_ascii_it_needs_the_servers_consent(self):
        message = outgoing(ours="hilfe@bücher.example", theirs="jürgen@müller.example")
        sent, box = await delivered(message, enable_SMTPUTF8=True)
        assert sent.status == "sent"
        assert sent.provider_id == f"{KEY.hex()}@xn--bcher-kva.example"
        assert "SMTPUTF8" in box.options
        assert box.mails[0][:2] == ("hilfe@bücher.example", ["jürgen@müller.example"])
        assert headers_of(data_of(box)) == PLAIN
        assert "To: jürgen@müller.example\r\n".encode() in data_of(box)

    async def test_without_it_the_mail_fails(self):
        sent, box = await delivered(outgoing(theirs="jürgen@example.org"), enable_SMTPUTF8=False)
        assert sent == Sent("failed", code="smtp.smtputf8")
        assert box.mails == []

    async def test_within_ascii_it_is_not_asked_for(self):
        _, box = await delivered(outgoing("é", subject="é"), enable_SMTPUTF8=True)
        assert box.options == []


class TestReplies:
    @pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
    @pytest.mark.parametrize(
        ("code", "status"),
        [(450, "retry"), (451, "retry"), (421, "retry"), (550, "failed"), (552, "failed")],
    )
    async def test_4yz_is_for_now_and_5yz_for_good(self, verb, code, status):
        sent, box = await delivered(outgoing(), Box(**{verb: f"{code} no {THEIRS}"}))
        assert sent == Sent(status, code=f"smtp.{code}")
        assert len(box.mails) == (verb == "DATA")

    @pytest.mark.parametrize(("code", "status"), [(451, "retry"), (554, "failed")])
    async def test_the_word_data_itself_may_be_refused(self, code, status):
        sent, heard = await told(DATA=b"%d no\r\n" % code)
        assert sent == Sent(status, code=f"smtp.{code}")
        assert "." not in heard

    @pytest.mark.parametrize(
        ("replies", "code"),
        [
            ({"GREETING": b"554 no\r\n"}, 554),
            ({"GREETING": b"421 no\r\n"}, 421),
            ({"EHLO": b"550 no\r\n"}, 550),
            ({"MAIL": b"530 5.7.0 log in first\r\n"}, 530),
        ],
    )
    async def test_a_refusal_of_ourselves_is_no_reason_to_lose_a_message(self, replies, code):
        sent, _ = await told(**replies)
        assert sent == Sent("retry", code=f"smtp.{code}")

    @pytest.mark.parametrize(
        "odd", [b"what?\r\n", b"999 no\r\n", b"334 more\r\n", b"-12 no\r\n", b"2\xff0\r\n"]
    )
    async def test_what_is_no_reply_says_nothing(self, odd):
        sent, _ = await told(RCPT=odd)
        assert sent == Sent("retry", code="smtp.reply")
        sent, _ = await told(END=odd)
        assert sent == Sent("unknown", code="smtp.reply")

    async def test_an_endless_reply_is_bounded(self):
        sent, _ = await told(RCPT=b"250-" + b"x" * 200_000)
        assert sent.status == "retry"
        sent, _ = await told(END=b"250-" + b"x" * 200_000)
        assert sent.status == "unknown"

    async def test_no_word_of_the_server_is_passed_on(self):
        sent, _ = await told(RCPT=b"550 secret words\r\n")
        assert repr(sent) == repr(Sent("failed", code="smtp.550"))


class TestLostConnections:
    async def test_nobody_listens(self):
        with mailbox() as (_, port):
            pass
        sent = await SmtpSender("127.0.0.1", port).send(outgoing())
        assert sent == Sent("retry", code="smtp.unreachable")

    async def test_no_such_host(self):
        sent = await SmtpSender("nowhere.invalid").send(outgoing())
        assert sent == Sent("retry", code="smtp.unreachable")

    async def test_dropped_after_the_final_dot(self):
        sent, box = await delivered(outgoing(), Box(DATA="cut"))
        assert sent == Sent("unknown", code="smtp.lost")
        assert len(box.mails) == 1

    async def test_dropped_before_the_mail(self):
        sent, box = await delivered(outgoing(), made=Cutting)
        assert sent == Sent("retry", code="smtp.lost")
        assert box.mails == []

    @pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
    async def test_dropped_on_the_way(self, verb):
        assert (await told(**{verb: None}))[0] == Sent("retry", code="smtp.lost")

    @pytest.mark.parametrize("verb", ["GREETING", "EHLO"])
    async def test_dropped_at_the_door(self, verb):
        assert (await told(**{verb: None}))[0].status == "retry"

    @pytest.mark.parametrize("verb", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA"])
    async def test_silence_before_the_mail(self, verb):
        sent, _ = await told(timeout_seconds=0.15, **{verb: ...})
        assert sent == Sent("retry", code="smtp.timeout")

    async def test_silence_after_the_mail(self):
        sent, heard = await told(timeout_seconds=1.5, END=...)
        assert sent == Sent("unknown", code="smtp.timeout")
        assert heard[-1] == "."

    @pytest.mark.parametrize("goodbye", [None, b"421 no\r\n", b"500 what?\r\n", b"bye\r\n"])
    async def test_what_comes_of_quit_changes_nothing(self, goodbye):
        sent, heard = await told(QUIT=goodbye)
        assert sent == TAKEN
        assert heard[-1] == "QUIT"

    async def test_silence_at_quit_costs_neither_the_outcome_nor_much_time(self, monkeypatch):
        monkeypatch.setattr("ctxbridge.delivery.senders.smtp.QUIT_SECONDS", 0.4)
        started = time.monotonic()
        sent, _ = await told(timeout_seconds=60.0, QUIT=...)
        assert sent == TAKEN
        assert time.monotonic() - started < 30

    @pytest.mark.parametrize("verb", ["GREETING", "RCPT", "END"])
    async def test_cancellation_goes_through(self, verb):
        async with scripted(**{verb: ...}) as (port, _):
            with anyio.move_on_after(0.1) as scope:
                await SmtpSender("127.0.0.1", port).send(outgoing())
            assert scope.cancelled_caught

    async def test_native_cancellation_goes_through(self):
        async with scripted(END=...) as (port, heard):
            task = asyncio.create_task(SmtpSender("127.0.0.1", port).send(outgoing()))
            while "." not in heard:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    authority = trustme.CA()
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return authority, str(path)


@pytest.fixture
def tls(authority, monkeypatch):
    """A context for the server; its authority is trusted here."""
    monkeypatch.setenv("SSL_CERT_FILE", authority[1])
    return context_of(authority[0])


def context_of(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def opens(server, session, envelope, mechanism, data):
    good = (data.login, data.password) == (b"bot", b"s3cret")
    return AuthResult(success=good, handled=False)


class TestTls:
    async def test_it_is_taken_where_it_is_offered(self, tls):
        with mailbox(tls_context=tls, require_starttls=True) as (box, port):
            assert await SmtpSender("127.0.0.1", port).send(outgoing()) == TAKEN
        assert len(box.mails) == 1

    async def test_a_login_goes_over_it(self, tls):
        with mailbox(tls_context=tls, authenticator=opens, auth_required=True) as (box, port):
            sender = SmtpSender("127.0.0.1", port, username="bot", password="s3cret")
            assert await sender.send(outgoing()) == TAKEN
            sender = SmtpSender("127.0.0.1", port, username="bot", password="wrong")
            assert await sender.send(outgoing()) == Sent("retry", code="smtp.535")
            assert await SmtpSender("127.0.0.1", port).send(outgoing()) == Sent(
                "retry", code="smtp.530"
            )
        assert len(box.mails) == 1

    async def test_a_server_that_is_not_trusted_gets_nothing(self, tls):
        with mailbox(tls_context=context_of(trustme.CA())) as (box, port):
            assert await SmtpSender("127.0.0.1", port).send(outgoing()) == Sent(
                "retry", code="smtp.tls"
            )
        assert box.mails == []

    async def test_demanded_and_not_offered(self):
        with mailbox() as (box, port):
            sent = await SmtpSender("127.0.0.1", port, start_tls=True).send(outgoing())
        assert (sent, box.mails) == (Sent("retry", code="smtp.tls"), [])

    async def test_no_password_is_sent_in_the_clear_unless_it_was_asked_for(self):
        seen = []

        def watching(server, session, envelope, mechanism, data):
            seen.append(data.password)
            return AuthResult(success=True)

        options = {"authenticator": watching, "auth_require_tls": False}
        with mailbox(**options) as (_, port):
            sender = SmtpSender("127.0.0.1", port, username="bot", password="s3cret")
            assert await sender.send(outgoing()) == Sent("retry", code="smtp.tls")
            assert seen == []
            sender = SmtpSender(
                "127.0.0.1", port, username="bot", password="s3cret", start_tls=False
            )
            assert await sender.send(outgoing()) == TAKEN
            assert seen == [b"s3cret"]

    async def test_a_server_without_logins(self):
        with mailbox() as (_, port):
            sender = SmtpSender("127.0.0.1", port, username="bot", password="x", start_tls=False)
            assert await sender.send(outgoing()) == Sent("retry", code="smtp.login")

    async def test_from_the_start(self, tls):
        with mailbox(ssl_context=tls) as (box, port):
            assert await SmtpSender("127.0.0.1", port, use_tls=True).send(outgoing()) == TAKEN
        assert len(box.mails) == 1

    async def test_from_the_start_where_nobody_speaks_it(self):
        async with scripted() as (port, _):
            sent = await SmtpSender("127.0.0.1", port, use_tls=True).send(outgoing())
        assert sent == Sent("retry", code="smtp.unreachable")

    async def test_an_upgrade_that_hangs(self):
        offer = b"250-test\r\n250 STARTTLS\r\n"
        sent, _ = await told(timeout_seconds=0.2, EHLO=offer, STAR=b"220 go\r\n")
        assert sent == Sent("retry", code="smtp.timeout")

    async def test_a_challenge_that_is_no_base64(self):
        offer = b"250-test\r\n250 AUTH CRAM-MD5\r\n"
        async with scripted(EHLO=offer, AUTH=b"334 A\r\n") as (port, _):
            sender = SmtpSender("127.0.0.1", port, username="b", password="x", start_tls=False)
            assert (await sender.send(outgoing())).status == "retry"


class TestSettings:
    @pytest.mark.parametrize(
        "options",
        [
            {"host": ""},
            {"host": "mail.example.org\r\nRSET"},
            {"host": "mail example"},
            {"use_tls": True, "start_tls": True},
            {"password": "hidden"},
            {"domain": "a b"},
            {"domain": ""},
            {"domain": "x.org>\r\nBcc: evil@x"},
        ],
    )
    def test_what_cannot_be_is_told_at_once_and_without_secrets(self, options):
        with pytest.raises(ConfigurationError) as told:
            SmtpSender(**{"host": "mail.example.org"} | options)
        assert "hidden" not in str(told.value)

    def test_without_aiosmtplib_the_extra_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "aiosmtplib", None)
        with pytest.raises(ConfigurationError, match=r"ctxbridge\[smtp\]"):
            SmtpSender("mail.example.org")

    async def test_closing_twice_is_nothing(self):
        sender = SmtpSender("mail.example.org")
        await sender.aclose()
        await sender.aclose()
