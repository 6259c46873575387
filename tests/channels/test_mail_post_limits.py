"""Acceptance 60, for what providers post: large and hostile requests are bounded in time and memory."""

import json
import time
import tracemalloc

import pytest
from tests.channels.mail_posts import (
    CREDENTIALS,
    HEAD,
    KEY,
    POSTMARK,
    SENDGRID,
    mailgun,
    mailgun_event,
    post,
    postmark,
    public_key,
    sendgrid,
    sendgrid_signed,
)

from ctxbridge.channels import Mailgun, Postmark, SendGrid

MB = 1_000_000
FORM = "application/x-www-form-urlencoded"
BASE64 = (b"A" * 76 + b"\r\n") * (8 * MB // 78)
RAW = (
    HEAD.encode()
    + b"Content-Type: multipart/mixed; boundary=Q\r\n\r\n--Q\r\n\r\nHi\r\n--Q\r\nContent-Type: a/b\r\n\r\n"
)
FILE = [("attachment1", "a", "a/b", b"x" * 8 * MB)]
CHANNELS = {"s": SendGrid(public_key()), "m": Mailgun(KEY), "p": Postmark(CREDENTIALS)}

LARGE = {
    "s a file": lambda: sendgrid(files=FILE),
    "s a raw mail": lambda: sendgrid({"email": RAW + BASE64}),
    "s a text": lambda: sendgrid({**SENDGRID, "text": "x y " * (2 * MB)}),
    "s events": lambda: sendgrid_signed(b"[" + b"{}," * MB + b"{}]", "application/json"),
    "s zeros": lambda: sendgrid_signed(b"[" + b"0," * (2 * MB) + b"0]", "application/json"),
    "s charsets": lambda: sendgrid({**SENDGRID, "charsets": "[" + "0," * (2 * MB) + "0]"}),
    "m a file": lambda: mailgun(files=FILE),
    "m percents": lambda: post(b"body-mime=From%3A+a%40x.y%0D%0A%0D%0A" + b"%41" * (2 * MB), FORM),
    "m headers": lambda: mailgun(
        {"from": "a@x.y", "message-headers": json.dumps([["X", "y"]] * 200_000)}
    ),
    "m an event": lambda: mailgun_event({"event": "delivered", "x": [0] * MB}),
    "p files": lambda: postmark(
        {**POSTMARK, "Attachments": [{"Content": "A" * 8 * MB, "Name": "a"}]}
    ),
    "p zeros": lambda: postmark({**POSTMARK, "Attachments": [0] * (2 * MB), "ToFull": [0] * MB}),
    "p headers": lambda: postmark({**POSTMARK, "Headers": [{"Name": "X", "Value": "y"}] * 150_000}),
    "p a raw mail": lambda: postmark({**POSTMARK, "RawEmail": (RAW + BASE64).decode()}),
}


@pytest.mark.parametrize("name", sorted(LARGE))
def test_60_a_large_request_takes_less_than_a_second_and_four_times_its_size(name: str) -> None:
    request, channel = LARGE[name](), CHANNELS[name[0]]
    assert len(request.body) > MB
    start = time.process_time()
    parsed = channel.parse(request, channel.verify(request))
    assert time.process_time() - start < 1
    assert parsed.events or parsed.errors
    tracemalloc.start()
    try:
        channel.parse(request, channel.verify(request))
        assert tracemalloc.get_traced_memory()[1] < 4.05 * len(request.body)
    finally:
        tracemalloc.stop()
