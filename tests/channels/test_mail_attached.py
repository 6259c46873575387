"""Replies whose words are in a file, and mails that say nothing: told as such, and never made up."""

import pytest
from tests.channels.fixtures import message_of, with_body

from ctxbridge import Bridge
from ctxbridge.channels import Email
from ctxbridge.model import Attachment, Inbound, Quote, Text, Verification

HEAD = (
    b"From: Ann <ann@example.org>\r\nTo: help@shop.example\r\nMessage-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\n"
    b"Content-Type: multipart/mixed; boundary=B\r\n\r\n"
)
QUOTE = b"On Tue, 3 Mar 2026 at 10:15, Shop <help@shop.example> wrote:\r\n> Which colour?\r\n"
FILE = (
    b"Content-Type: application/vnd.openxmlformats-officedocument.wordprocessingml.document\r\n"
    b'Content-Disposition: attachment; filename="My answer.docx"\r\nContent-Transfer-Encoding: base64\r\n\r\nUEsDBA==\r\n'
)
WORDS = (
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: attachment; filename=answer.txt\r\n\r\n"
    b"The blue one.\r\n"
)
SAYS = {
    "nothing": b"", "blanks": b" \r\n\r\n\xc2\xa0\r\n", "a quote": QUOTE,
    "a signature": b"-- \r\nAnn\r\n", "a device's line and a quote": b"Sent from my iPhone\r\n\r\n" + QUOTE,
}  # fmt: skip


def mail(says: bytes, *files: bytes) -> Inbound:
    text = b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + says
    parts = b"".join(b"--B\r\n" + part + b"\r\n" for part in (text, *files))
    raw = HEAD + parts + b"--B--\r\n"
    return message_of(Email("help@shop.example").parse(with_body(raw), Verification("unsigned")))


async def asked(inbound: Inbound) -> tuple[bool, str]:
    """Whether it opens a turn, and what a model is shown of it."""
    async with Bridge("memory://", tenant="acme") as bridge, bridge.turn(inbound) as turn:
        return turn.open, turn.context.as_chat()[-1]["content"]


@pytest.mark.parametrize("says", SAYS)
@pytest.mark.parametrize("file", [FILE, WORDS], ids=["docx", "txt"])
async def test_57_a_reply_in_a_file_is_a_message_with_that_file(says, file):
    """Its words are fetched by whoever may read files; what is quoted is not taken for them."""
    inbound = mail(SAYS[says], file)
    (found,) = [part for part in inbound.parts if type(part) is Attachment]
    assert found.name in ("My answer.docx", "answer.txt")
    assert found.size in (4, 15, 13)
    own = [part.text for part in inbound.parts if type(part) is Text]
    assert "Which colour?" not in "".join(own)
    opened, shown = await asked(inbound)
    assert opened
    # What is repeated is told apart, below.
    said = shown.partition("[quoted")[0]
    assert "Which colour?" not in said
    assert ("[attachment]" in said) == (not "".join(own).strip())


@pytest.mark.parametrize("says", ["nothing", "blanks", "a quote"])
async def test_57_an_empty_reply_is_shown_as_one_and_not_as_a_file(says):
    inbound = mail(SAYS[says])
    assert all(type(part) is Quote for part in inbound.parts)
    opened, shown = await asked(inbound)
    assert opened
    assert "[attachment]" not in shown
    assert shown.startswith("[no words]" if not inbound.parts else "[quoted")


async def test_57_a_mail_that_was_attached_is_a_file_and_its_words_are_nobodys():
    """A forward as attachment: who wrote the words inside is not who sent them."""
    inner = b"Content-Type: message/rfc822\r\n\r\nFrom: Bob <bob@example.com>\r\n\r\nPay me.\r\n"
    inbound = mail(b"", inner)
    assert [type(part) for part in inbound.parts] == [Attachment]
    assert "Pay me" not in repr(inbound)
