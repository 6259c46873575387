"""A plus in the fields of mail providers: in forms it means a blank, unless it is written as %2B."""

import pytest
from tests.channels.fixtures import message_of
from tests.channels.mail_posts import (
    CREDENTIALS,
    HEAD,
    KEY,
    MAILGUN,
    POSTMARK,
    SECRET,
    SENDGRID,
    mailgun,
    postmark,
    public_key,
    sendgrid,
)

from ctxbridge.channels import Mailgun, Postmark, SendGrid
from ctxbridge.model import Inbound
from ctxbridge.rules.reply_tokens import ReplyTokens, thread_name

OURS = "help+sales@acme.example"
FILES = [("attachment-1", "a.txt", "a/b", b"x")]


def by_mailgun(reached: str, files=()) -> Inbound:
    channel = Mailgun(KEY, reply_secret=SECRET)
    request = mailgun({**MAILGUN, "recipient": reached}, files)
    return message_of(channel.parse(request, channel.verify(request)))


def by_sendgrid(reached: str) -> Inbound:
    channel = SendGrid(public_key(), reply_secret=SECRET)
    head = HEAD.replace("Help <help@acme.example>", reached)
    fields = {**SENDGRID, "headers": head, "to": reached, "envelope": f'{{"to":["{reached}"]}}'}
    request = sendgrid(fields)
    return message_of(channel.parse(request, channel.verify(request)))


def by_postmark(reached: str) -> Inbound:
    channel = Postmark(CREDENTIALS, reply_secret=SECRET)
    to = [
        {"Email": reached, "Name": "", "MailboxHash": reached.partition("+")[2].partition("@")[0]}
    ]
    request = postmark({**POSTMARK, "OriginalRecipient": reached, "ToFull": to})
    return message_of(channel.parse(request, channel.verify(request)))


WAYS = [by_mailgun, lambda reached: by_mailgun(reached, FILES), by_sendgrid, by_postmark]


@pytest.mark.parametrize("by", WAYS, ids=["mailgun", "mailgun in parts", "sendgrid", "postmark"])
@pytest.mark.parametrize("written", [str, str.upper, str.title], ids=["as is", "upper", "title"])
def test_74_a_plus_and_any_case_in_a_providers_field_lead_to_the_thread(by, written) -> None:
    inbound = by(written(ReplyTokens(SECRET).address(OURS, "root@x")))
    assert inbound.endpoint.value == OURS
    assert inbound.thread == thread_name("root@x")
    assert inbound.flags == ()
