"""The same mail is the same message, whoever hands it in."""

import json

from msgspec.structs import replace
from tests.channels.fixtures import fixture, with_body
from tests.channels.mail_posts import in_parts, mailgun, post

from ctxbridge.channels import Email, Mailgun, Postmark, SendGrid
from ctxbridge.model import Inbound, Parsed, Verification

UNSIGNED = Verification("unsigned")
BOX = "help@acme.example"


def told(parsed: Parsed) -> list[object]:
    """What was understood, without what differs by provider: its name, and ids where a mail has none."""
    events = []
    for event in parsed.events:
        named = isinstance(event, Inbound) and event.id_source == "sender"
        id, thread = (event.message_id, event.thread) if named else ("", "")
        events.append(
            replace(
                event,
                provider="",
                message_id=id,
                thread=thread,
                horizon_seconds=0,
                id_source="sender",
            )
        )
    return [events, [str(error) for error in parsed.errors]]


def test_59_raw_mails_are_read_alike_by_all_who_hand_them_in() -> None:
    seen = 0
    for path in sorted(fixture("email/mime").rglob("*")):
        raw = path.read_bytes() if path.is_file() else b""
        if not raw or path.suffix not in (".eml", ".txt", ".msg"):
            continue
        plain = told(Email(BOX).parse(with_body(raw), UNSIGNED))
        by_sendgrid = SendGrid(mailbox=BOX).parse(
            post(*in_parts({"email": raw}, boundary="o" * 60)), UNSIGNED
        )
        assert told(by_sendgrid) == plain, path.name
        by_mailgun = Mailgun(mailbox=BOX).parse(
            post(*in_parts({"body-mime": raw}, boundary="o" * 60)), UNSIGNED
        )
        assert told(by_mailgun) == plain, path.name
        if raw.isascii():
            body = json.dumps({"RawEmail": raw.decode()}).encode()
            assert told(Postmark(mailbox=BOX).parse(with_body(body), UNSIGNED)) == plain, path.name
        seen += 1
    assert seen >= 100


def test_and_so_is_one_that_was_taken_apart() -> None:
    raw = (
        b"Received: by mx\r\nFrom: Ann <ann@example.org>\r\nTo: help@acme.example\r\nSubject: =?utf-8?q?Caf=C3=A9?=\r\n"
        b"Message-ID: <2@x>\r\nReferences: <1@x>\r\nDate: Thu, 28 May 2026 20:26:40 +0000\r\nPrecedence: list\r\n\r\n"
        b"New words\r\n\r\nOn 1 Jan 2024 at 10:00, Bob <b@x.y> wrote:\r\n> old words\r\n"
    )
    head, _, text = raw.partition(b"\r\n\r\n")
    pairs = [line.split(": ", 1) for line in head.decode().split("\r\n")]
    plain = told(Email(BOX).parse(with_body(raw), UNSIGNED))
    fields = {"headers": head, "text": text}
    assert told(SendGrid(mailbox=BOX).parse(post(*in_parts(fields)), UNSIGNED)) == plain
    request = mailgun({"message-headers": json.dumps(pairs), "body-plain": text})
    assert told(Mailgun(mailbox=BOX).parse(request, UNSIGNED)) == plain
    given = {"Headers": [{"Name": n, "Value": v} for n, v in pairs], "TextBody": text.decode()}
    assert (
        told(Postmark(mailbox=BOX).parse(with_body(json.dumps(given).encode()), UNSIGNED)) == plain
    )
