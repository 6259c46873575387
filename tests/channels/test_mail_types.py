"""Content types, encodings and references that are a little wrong, as mailers write them."""

import pytest
from tests.channels.fixtures import message_of, with_body

from ctxbridge.channels import Email
from ctxbridge.channels.mail.charset import decode
from ctxbridge.channels.mail.html import render
from ctxbridge.model import Attachment, Inbound, Text, Verification


def mail(head: str, body: bytes = b"my words") -> Inbound:
    raw = b"From: a@x.y\r\n" + head.encode() + b"\r\n\r\n" + body
    return message_of(Email().parse(with_body(raw), Verification("unsigned")))


@pytest.mark.parametrize(
    "kind",
    ["text/plain charset=koi8-r", "text/plain, charset=koi8-r", "text/plain (hi); charset=koi8-r",
     "text / plain; charset=koi8-r", '"text/plain"; charset=koi8-r', "'text/plain'; charset=koi8-r",
     "plain/text; charset=koi8-r", "text/plain:charset=koi8-r", "TEXT/MARKDOWN; charset=koi8-r",
     "text/enriched; charset=koi8-r", "text/*; charset=koi8-r", "text/html charset=koi8-r",
     "/plain; charset=koi8-r", "???; charset=koi8-r", "x; charset=koi8-r"],
)  # fmt: skip
def test_a_type_that_is_slightly_wrong_loses_no_word(kind: str) -> None:
    assert mail(f"Content-Type: {kind}", "слова".encode("koi8-r")).parts == (Text("слова"),)


@pytest.mark.parametrize(
    "kind", ["text/calendar", "text/csv (x)", "text/vcard", "text/x-diff", "application/pdf x=y"]
)
def test_files_of_text_stay_files(kind: str) -> None:
    value = kind.partition(" ")[0]
    assert mail(f"Content-Type: {kind}").parts == (Attachment(value, "", 8),)


def test_only_a_disposition_makes_a_file_of_a_text_with_a_name() -> None:
    head = "Content-Type: text/plain; name=b.txt"
    assert mail(head + "\r\nContent-Disposition: inline").text == "my words"
    for disposition in ("attachment", '"attachment" (x)', "inline; filename=b.txt"):
        parts = mail(f"{head}\r\nContent-Disposition: {disposition}").parts
        assert parts == (Attachment("text/plain", "b.txt", 8),)


@pytest.mark.parametrize("encoding", ["base64;", "base64 (x)", '"base64"', " BASE64 ", "base64, x"])
def test_an_encoding_that_is_slightly_wrong_is_undone(encoding: str) -> None:
    assert mail(f"Content-Transfer-Encoding: {encoding}", b"bXkgd29yZHM=").text == "my words"


def test_references_to_huge_characters_are_none_and_short_ones_stay() -> None:
    """Python refuses to read a number of more than 4,300 digits."""
    assert render("a&#" + "9" * 5000 + ";b").text == "a\ufffdb"
    assert render("<p title='&#" + "9" * 5000 + "' style='&#" + "9" * 5000 + "'>a").text == "a"
    assert render("&#" + "0" * 5000 + "65;&#65;&#x41;&#0;&#;&#128512;").text == "AAA\ufffd&#;😀"


def test_a_character_that_is_cut_does_not_make_its_charset_a_lie() -> None:
    data = "日本語".encode("iso2022-jp")
    assert decode(data[:6], "iso-2022-jp", cut=True) == "日"
    assert decode("é".encode("utf-16")[:3], "utf-16", cut=True) == ""


def test_a_long_mail_of_japanese_is_cut_and_stays_japanese() -> None:
    data = "日本語".encode("iso2022-jp") + b"\x1b$B" + b"F|" * 600_000
    message = mail("Content-Type: text/plain; charset=iso-2022-jp", data)
    assert set(message.text) == set("日本語")
    assert message.flags == ("truncated",)
