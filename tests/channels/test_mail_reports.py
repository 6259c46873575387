"""Bounces and read notifications of mails of ours, and all other automatic mail."""

import pytest
from tests.channels.fixtures import fixture, message_of, only, with_body

from ctxbridge.channels import Email
from ctxbridge.delivery.senders.smtp import written
from ctxbridge.model import (
    Address,
    Delivery,
    Endpoint,
    Inbound,
    Message,
    Outgoing,
    Parsed,
    Receipt,
    Text,
    Verification,
)

UNSIGNED = Verification("unsigned")
KEY = b"0123456789abcdef"
ANN, OURS = "ann@example.org", "help@acme.example"


def ours() -> bytes:
    """A mail of ours, as the SMTP sender writes it."""
    message = Message(b"t", "agent", "email", (Text("On its way."),), 1, subject="Order")
    outgoing = Outgoing(Delivery(KEY), message, Address("email", ANN), Endpoint("email", OURS))
    return written(outgoing, None, 1_780_000_000_000).data


def headers_of(mail: bytes) -> bytes:
    return mail.partition(b"\r\n\r\n")[0] + b"\r\n"


def report(
    returned: bytes | None = None,
    kind: bytes = b"message/rfc822",
    action: bytes = b"failed",
    status: bytes = b"5.1.1 (no such user)",
    recipient: bytes = ANN.encode(),
    more: bytes = b"",
) -> bytes:
    back = ours() if returned is None else returned
    return (
        b"Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example\r\nTo: help@acme.example\r\nSubject: Undelivered\r\n"
        b"Date: Thu, 28 May 2026 20:26:40 +0000\r\nMessage-ID: <b1@mx.example>\r\n"
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=R\r\n\r\n"
        b"--R\r\nContent-Type: text/plain\r\n\r\nYour mail did not arrive.\r\n"
        b"--R\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
        b"Final-Recipient: rfc822; " + recipient + b"\r\nAction: " + action + b"\r\nStatus: " + status + b"\r\n"
        + more + b"\r\n--R\r\nContent-Type: " + kind + b"\r\n\r\n" + back + b"\r\n--R--\r\n"
    )  # fmt: skip


def read(raw: bytes) -> Parsed:
    return Email(OURS).parse(with_body(raw), UNSIGNED)


class TestBounces:
    def test_69_a_bounce_of_our_mail_says_that_it_failed(self):
        assert only(read(report()), Receipt) == Receipt(
            "email", Endpoint("email", OURS), f"{KEY.hex()}@acme.example", "failed", Address("email", ANN),
            "failed", "5.1.1", 1_780_000_000_000, "email", KEY.hex(),
        )  # fmt: skip

    @pytest.mark.parametrize(
        "kind",
        [b"text/rfc822-headers", b"message/rfc822-headers", b"message/rfc822", b"message/global"],
    )
    def test_69_headers_alone_will_do(self, kind):
        receipt = only(read(report(headers_of(ours()), kind)), Receipt)
        assert (receipt.delivery, receipt.recipient) == (KEY.hex(), Address("email", ANN))

    def test_69_a_message_id_that_was_rewritten_leaves_our_key(self):
        rewritten = ours().replace(
            b"<" + KEY.hex().encode() + b"@acme.example>", b"<0102@email.amazonses.com>"
        )
        receipt = only(read(report(rewritten)), Receipt)
        assert (receipt.delivery, receipt.message_id) == (KEY.hex(), "0102@email.amazonses.com")
        nameless = b"\r\n".join(
            line for line in rewritten.split(b"\r\n") if not line.startswith(b"Message-ID")
        )
        assert only(read(report(nameless)), Receipt).delivery == KEY.hex()

    @pytest.mark.parametrize(
        ("action", "status", "code"),
        [(b"failed", "failed", "5.1.1"), (b"FAILED (x)", "failed", "5.1.1"), (b"delayed", "sent", "5.1.1"),
         (b"delivered", "delivered", "5.1.1"), (b"relayed", "sent", "5.1.1"), (b"expanded", "sent", "5.1.1")],
    )  # fmt: skip
    def test_what_each_action_comes_to(self, action, status, code):
        receipt = only(read(report(action=action)), Receipt)
        assert (receipt.status, receipt.error_code) == (status, code)

    def test_it_is_about_whom_we_wrote_to_not_about_where_that_led(self):
        receipt = only(read(report(recipient=b"ann@elsewhere.example")), Receipt)
        assert receipt.recipient == Address("email", ANN)

    def test_of_several_recipients_each(self):
        more = b"\r\nFinal-Recipient: rfc822; b@x.y\r\nAction: delivered\r\nStatus: 2.0.0\r\n"
        assert [e.status for e in read(report(more=more)).events] == ["failed", "delivered"]

    @pytest.mark.parametrize(
        "raw",
        [
            report(
                b"From: help@acme.example\r\nTo: ann@example.org\r\nMessage-ID: <x@y>\r\n\r\nHi"
            ),
            report(b""),
            report(action=b"unheard-of"),
            report().replace(b"multipart/report", b"multipart/mixed"),
            report(headers_of(ours()), b"text/plain"),
            report(ours().replace(KEY.hex().encode(), b"z" * 32)),
        ],
        ids=range(6),
    )
    def test_68_a_report_that_is_not_about_ours_is_automatic_mail(self, raw):
        assert "auto" in message_of(read(raw)).flags

    def test_a_mail_of_a_person_that_holds_ours_is_none(self):
        """Whoever forwards our mail as a file reports nothing on it."""
        raw = (
            b"From: ann@example.org\r\nContent-Type: multipart/mixed; boundary=R\r\n\r\n--R\r\n\r\nLook\r\n"
            b"--R\r\nContent-Type: message/rfc822\r\n\r\n" + ours() + b"\r\n--R--\r\n"
        )
        assert message_of(read(raw)).text == "Look"

    def test_the_captured_reports_of_others_give_automatic_mail(self):
        folder = "email/mime/mikel_mail/spec/fixtures/emails/multipart_report_emails"
        seen = 0
        for path in sorted(fixture(folder).iterdir()):
            (event,) = Email().parse(with_body(path.read_bytes()), UNSIGNED).events
            assert isinstance(event, Inbound), path.name
            assert "auto" in event.flags, path.name
            seen += 1
        assert seen >= 5

    def test_60_a_hostile_report_is_bounded(self):
        many = b"\r\nFinal-Recipient: rfc822; b@x.y\r\nAction: failed\r\n" * 150
        parsed = read(report(more=many))
        assert 1 <= len(parsed.events) <= 20
        endless = report(b"X: " + b"y" * 2_000_000, b"text/rfc822-headers")
        assert read(endless).events or read(endless).errors


class TestRead:
    def mdn(self, original: bytes, disposition: bytes, back: bytes = b"") -> bytes:
        return (
            b"From: ann@example.org\r\nTo: help@acme.example\r\nSubject: Read: Order\r\n"
            b"Content-Type: multipart/report; report-type=disposition-notification; boundary=R\r\n\r\n"
            b"--R\r\nContent-Type: text/plain\r\n\r\nSeen.\r\n"
            b"--R\r\nContent-Type: message/disposition-notification\r\n\r\n"
            b"Final-Recipient: rfc822; ann@example.org\r\nOriginal-Message-ID: "
            + original
            + b"\r\n"
            b"Disposition: " + disposition + b"\r\n" + back + b"\r\n--R--\r\n"
        )

    @pytest.mark.parametrize(
        "mode",
        [
            b"manual-action/MDN-sent-manually; displayed",
            b"automatic-action/MDN-sent-automatically; displayed/warning",
        ],
    )
    def test_68_a_mail_of_ours_was_read(self, mode):
        receipt = only(read(self.mdn(f"<{KEY.hex()}@acme.example>".encode(), mode)), Receipt)
        assert (receipt.status, receipt.delivery) == ("read", KEY.hex())
        assert receipt.recipient == Address("email", ANN)

    @pytest.mark.parametrize(
        ("original", "mode"),
        [
            (b"<x@y>", b"a/b; displayed"),
            (b"", b"a/b; displayed"),
            (b"<" + KEY.hex().encode() + b"@x>", b"a/b; deleted"),
        ],
        ids=range(3),
    )
    def test_68_any_other_is_automatic_mail(self, original, mode):
        assert "auto" in message_of(read(self.mdn(original, mode))).flags


class TestAutomatic:
    @pytest.mark.parametrize(
        "head",
        [
            "X-Auto-Response-Suppress: All", "X-Auto-Response-Suppress: OOF, AutoReply", "X-Auto-Response-Suppress: DR",
            "X-Autorespond: x", "Precedence: list", "List-Unsubscribe-Post: x\r\nList-Unsubscribe: <https://x.y>",
            "Content-Type: text/calendar; method=REQUEST", 'Content-Type: text/calendar; method="REPLY"; charset=utf-8',
            "Content-Type: multipart/report; report-type=feedback-report; boundary=x",
            "Content-Type: message/disposition-notification", 'Auto-Submitted: auto-notified; owner-email="a@b.c"',
        ],
    )  # fmt: skip
    def test_68_is_flagged(self, head):
        raw = f"{head}\r\nFrom: ann@example.org\r\n\r\nHello".encode()
        assert message_of(read(raw)).flags == ("auto",)

    @pytest.mark.parametrize("method", ["REPLY", "REQUEST", "CANCEL"])
    def test_68_and_so_is_an_invitation_beside_its_text(self, method):
        raw = (
            "From: ann@example.org\r\nContent-Type: multipart/alternative; boundary=R\r\n\r\n"
            f"--R\r\n\r\nAccepted\r\n--R\r\nContent-Type: text/calendar; method={method}\r\n\r\nBEGIN:VCALENDAR\r\n--R--"
        ).encode()
        assert message_of(read(raw)).flags == ("auto",)
        mixed = (
            b"From: ann@example.org\r\nContent-Type: multipart/mixed; boundary=M\r\n\r\n--M\r\n"
            + raw.partition(b"\r\n")[2]
            + b"\r\n--M\r\nContent-Type: application/ics; name=invite.ics\r\n\r\nx\r\n--M--"
        )
        assert message_of(read(mixed)).flags == ("auto",)

    @pytest.mark.parametrize(
        "head",
        ["X-Auto-Response-Suppress: OOF", "X-Auto-Response-Suppress: RN, NRN", "Content-Type: text/calendar", "Precedence: normal",
         "Content-Type: multipart/mixed; boundary=R"],
    )  # fmt: skip
    def test_and_a_person_is_not(self, head):
        raw = f"{head}\r\nFrom: ann@example.org\r\n\r\n--R\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\nx\r\n--R--".encode()
        assert message_of(read(raw)).flags == ()

    def test_68_what_we_send_is_automatic_to_another_who_runs_this(self):
        assert "auto" in message_of(Email(ANN).parse(with_body(ours()), UNSIGNED)).flags
