"""Mail that was made to hurt: refused at once, or read in time and in bounded memory."""

import base64
import os
import time
import tracemalloc
from collections.abc import Callable

import pytest
from tests.channels.fixtures import message_of, reason, with_body

from ctxbridge.channels import Email
from ctxbridge.model import Parsed, Verification

FROM = b"From: Ann <ann@example.org>\r\n"


def parse(raw: bytes) -> Parsed:
    return Email().parse(with_body(raw), Verification("unsigned"))


def nested(depth: int) -> bytes:
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
        for n in range(depth)
    )


MIXED = b"Content-Type: multipart/mixed; boundary=B\r\n\r\n"
HOSTILE: dict[str, Callable[[], bytes]] = {
    "30 MB": lambda: b"\r\n" + b"x" * (30 << 20),
    "1,500 nested": lambda: nested(1500),
    "21 nested": lambda: nested(22) + b"\r\nhi",
    "20 nested, short lines": lambda: nested(20) + b"\r\n" + b"--\r\n" * 299_000,
    "50,000 parts": lambda: MIXED + b"--B\r\n\r\nhi\r\n" * 50_000,
    "201 parts": lambda: MIXED + b"--B\r\n\r\nhi\r\n" * 201,
    "64 KiB To": lambda: b"To: " + b"x@y.z, " * 9500 + b"\r\n\r\nhi",
    "20,000 recipients": lambda: b"To: " + b"someone@example.org, " * 20_000 + b"\r\n\r\nhi",
    "200,000 headers": lambda: b"X: y\r\n" * 200_000 + b"\r\nhi",
    "content types": lambda: (
        MIXED + (b"--B\r\nContent-Type: a/b" + b';"' * 4000 + b"\r\n\r\n") * 190
    ),
    "lines in parts": lambda: MIXED + b"--B\r\n\r\n" + b"--Bx\r\n" * 170_000,
    "18 nested, lines": lambda: nested(18) + b"\r\n" + b"x\r\n" * 99_000,
    "lines": lambda: b"\r\n" + b"\n" * 400_000,
}
BOUNDED: dict[str, Callable[[], bytes]] = {
    "quotes in To": lambda: b"To: " + b'"' * 16_000 + b"\r\n\r\nhi",
    "comments in To": lambda: b"To: " + b"(" * 16_000 + b"\r\n\r\nhi",
    "angles in To": lambda: b"To: " + b"<" * 16_000 + b"\r\n\r\nhi",
    "encoded words": lambda: b"Subject: " + b"=?utf-8?q?a?= " * 1100 + b"\r\n\r\nhi",
    "open encoded words": lambda: b"Subject: " + b"=?a?q?" * 2500 + b"\r\n\r\nhi",
    "parameters": lambda: b"Content-Type: text/plain" + b';"' * 4000 + b"\r\n\r\nhi",
    "10 MB of text": lambda: b"\r\n" + b"The quick brown fox jumps over the lazy dog.\r\n" * 220_000,
    "closing tags": lambda: b"Content-Type: text/html\r\n\r\n" + b"</" * 2_000_000,
    "paragraphs": lambda: b"Content-Type: text/html\r\n\r\n" + b"<p>" * 2_000_000,
    "comments": lambda: b"Content-Type: text/html\r\n\r\n" + b"<!--" * 1_000_000,
    "open attributes": lambda: b"Content-Type: text/html\r\n\r\n" + b"<a b=\"'" * 500_000,
    "styles": lambda: b"Content-Type: text/html\r\n\r\n" + (b"<a style='" + b"/*" * 2000 + b"'>") * 100,
    "parts of paragraphs": lambda: (
        MIXED + (b"--B\r\nContent-Type: text/html\r\n\r\n" + b"<p>" * 9000 + b"\r\n") * 18
    ),
    "attributes": lambda: b"Content-Type: text/html\r\n\r\n<p" + b" a" * 250_000 + b">",
    "bad GB 18030": lambda: (
        b"Content-Type: text/plain; charset=gb18030\r\n\r\n" + b"\x81\x30\x81\xff" * 2_600_000
    ),
    "quotes and words": lambda: b"\r\n" + b"> a\nb\n" * 40_000,
}  # fmt: skip


def timed(raw: bytes) -> tuple[Parsed, float]:
    """What it comes to, and how much of this process's own time: others may use the machine."""
    start = time.process_time()
    parsed = parse(raw)
    return parsed, time.process_time() - start


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mail_is_refused_at_once(name: str) -> None:
    """Acceptance 60."""
    parsed, seconds = timed(FROM + HOSTILE[name]())
    assert reason(parsed).startswith("Malformed: the mail")
    assert seconds < 1


@pytest.mark.parametrize("name", BOUNDED)
def test_hostile_mail_within_the_limits_is_read_in_time(name: str) -> None:
    """Acceptance 60."""
    parsed, seconds = timed(FROM + BOUNDED[name]())
    assert message_of(parsed).sender.value == "ann@example.org"
    assert seconds < 2


def test_more_tags_than_are_read_are_reported_for_the_whole_mail() -> None:
    part = b"--B\r\nContent-Type: text/html\r\n\r\n" + b"<b>x</b>" * 20_000 + b"\r\n"
    message = message_of(parse(FROM + MIXED + part * 2))
    assert message.text.count("x") == 25_000
    assert message.flags == ("truncated",)
    assert message_of(parse(FROM + MIXED + part)).flags == ()


def test_a_mail_with_ten_megabytes_of_file_that_is_forwarded_is_read() -> None:
    file = b"Content-Type: a/b\r\n\r\n" + b"x" * 76 + b"\r\n"
    inner = nested(3) + file + (b"x" * 76 + b"\r\n") * 134_000
    head = b"Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\nhi\r\n"
    message = message_of(
        parse(FROM + head + b"--B\r\nContent-Type: message/rfc822\r\n\r\n" + inner)
    )
    assert message.text == "hi"


def test_twenty_nested_parts_are_read() -> None:
    assert message_of(parse(FROM + nested(19) + b"\r\nhi")).text == "hi"


def test_a_mail_of_ten_megabytes_takes_less_than_four_times_its_size() -> None:
    """Acceptance 60."""
    file = base64.encodebytes(os.urandom(7 << 20))
    raw = (
        FROM
        + MIXED
        + b"--B\r\n\r\nhi\r\n--B\r\nContent-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + file
    )
    tracemalloc.start()
    try:
        message = message_of(parse(raw))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert message.parts[1].size == 7 << 20
    assert peak < 4 * len(raw)
