"""Lines that flow (RFC 3676), and the reply stripping behind it."""

import time

import pytest
from tests.channels.fixtures import message_of, with_body

from ctxbridge.channels import Email
from ctxbridge.channels.mail.flowed import MAX_LINES, unflowed
from ctxbridge.model import Quote, Text, Verification

HEAD = b"From: Ann <ann@example.org>\r\nMessage-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\n"


def parsed(body: str, kind: str = "text/plain; charset=utf-8; format=flowed"):
    raw = HEAD + f"Content-Type: {kind}\r\n\r\n".encode() + body.replace("\n", "\r\n").encode()
    return message_of(Email().parse(with_body(raw), Verification("unsigned")))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a \nb", "a b"),
        ("a\nb", "a\nb"),
        ("a \n\nb", "a \n\nb"),
        ("> a \n> b", "> a b"),
        ("> a \n>> b", "> a \n>> b"),
        (">> a \n>> b\n> c", ">> a b\n> c"),
        (" From here", "From here"),
        (" > no quote", " > no quote"),
        ("a \n-- \nAnn", "a \n-- \nAnn"),
        ("> -- \n> Ann", "> -- \n> Ann"),
        (">\n>a", ">\n> a"),
        ("ends ", "ends "),
        ("", ""),
        ("  ", " "),
    ],
)
def test_a_line_that_ends_in_a_blank_goes_on(given: str, shown: str) -> None:
    """Section 4 of the RFC, line by line."""
    assert unflowed(given, deletes_blank=False) == shown


def test_a_blank_between_letters_is_taken_out() -> None:
    assert unflowed("\u304a\u5f85 \n\u3061", deletes_blank=True) == "\u304a\u5f85\u3061"
    assert unflowed("-- \nAnn", deletes_blank=True) == "-- \nAnn"


def test_in_a_mail_only_where_it_says_so() -> None:
    assert parsed("Where is \nit?").text == "Where is it?"
    assert parsed("Where is \nit?", "text/plain; FORMAT=Flowed; DelSp=Yes").text == "Where isit?"
    assert parsed("Where is \nit?", "text/plain").text == "Where is \nit?"
    assert parsed("Where is \nit?", "text/plain; format=fixed").text == "Where is \nit?"


def test_57_a_flowed_reply_loses_its_quote_and_none_of_its_words() -> None:
    """As Thunderbird writes it: the attribution and the quotes flow too."""
    body = (
        "I would rather have \nthe blue one.\n\nOn 3/3/26 10:15, the people of the Shop in the High Street wrote: \n"
        "> Your order has left \n> our house.\n>> Where is \n>> it?\n\n-- \nAnn\n"
    )  # fmt: skip
    message = parsed(body)
    own = [part.text for part in message.parts if type(part) is Text]
    quoted = "\n".join(part.text for part in message.parts if type(part) is Quote)
    assert own[0] == "I would rather have the blue one."
    assert "> Your order has left our house.\n>> Where is it?" in quoted
    assert "Your order" not in message.text


def test_60_hostile_lines_take_time_as_their_number() -> None:
    def seconds(text: str) -> float:
        start = time.process_time()
        unflowed(text, deletes_blank=True)
        return time.process_time() - start

    for unit in ("a \n", "> a \n", ">" * 99 + " \n", "> a \n>> b \n", "\n"):
        small, large = (seconds(unit * count) for count in (2_000, 20_000))
        assert large < 10 * small * 3 + 0.05
    flood = "a \n" * MAX_LINES
    assert unflowed(flood, deletes_blank=False) == flood
