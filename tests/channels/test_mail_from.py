"""Threat S1: a From header that reads as somebody else's, by every adapter of mail.

The attacker passes whatever a provider checks, for a domain of their own. The headers are made from
a table of shapes, names and victims.
"""

import json
from email.utils import parseaddr

import pytest
from tests.channels.fixtures import with_body
from tests.channels.mail_posts import (
    CREDENTIALS,
    KEY,
    MAILGUN,
    POSTMARK,
    SCANNED,
    SENDGRID,
    mailgun,
    postmark,
    public_key,
    sendgrid,
)

from ctxbridge.channels import Email, Mailgun, Postmark, SendGrid
from ctxbridge.channels.mail import letterbox
from ctxbridge.channels.mail.headers import Mailbox
from ctxbridge.model import Assurance, Inbound, Parsed

VICTIM, EVIL = "ann@bank.example", "eve@evil.example"
SHAPES = [
    "{v} <{e}>", '"{v}" <{e}>', '"Ann <{v}>" <{e}>', "Ann <{v}> <{e}>", "<{e}>{v}", "<{v}><{e}>", "<{e}> <{v}>",
    "{v}, {e}", "{e}, {v}", "{v};{e}", "Friends: {v}, {e};", "Friends: {e};, {v}", "{v} ({e})", "{e} ({v})",
    "({v}) {e}", "({v} <{e}>", "<{v} ({e})>", "<{e} ({v})>", "{v} {e}", "{e} {v}", "=?utf-8?q?{vq}?= <{e}>",
    "=?utf-8?b?{vb}?= <{e}>", "=?utf-8?q?{vq}?=", "<=?utf-8?q?{vq}?=>", "=?utf-8?q?=3C{vq}=3E?= {e}", "=?x?q?{v}",
    "<@evil.example:{v}>", "<@{v}:{e}>", "{v}\r\n <{e}>", "{v}\r\nFrom: {e}", "{e}\r\nFrom: {v}", "{e}\r\nfrom : {v}",
    "{v}@evil.example", "<{v}@evil.example>", "{e}@bank.example", '"{v}"@evil.example', '"{v} "<{e}>', "{v}\t<{e}>",
    "{v}\x00 <{e}>", "<{v}\x00{e}>", "\u202e{v} <{e}>", "<{e}", "{v} <{e}> x", "{v} <>", "<>{v}", "{v}:{e}", ":{v}:{e}",
    "Friends:{v}:{e};", "\\{v} <{e}>", '"\\" <{v}>" <{e}>', "a{v} <{e}>", "{v}<{e}>{v}", "(\\){v} <{e}>",
    "<{e},{v}>", "<{v},{e}>", "{v}\u2028<{e}>", "'{v}' <{e}>", "[{v}] <{e}>", "{v}\r <{e}>", "{v}\n<{e}>",
]  # fmt: skip
NAMES = ["", "Ann ", '"Ann, of the bank" ', "=?utf-8?q?Ann?= ", "J\u00fcrgen "]
PLAIN = f"Eve <{EVIL}>"
RESULTS = "Authentication-Results: mx.ours; dmarc=pass header.from=evil.example\r\n"
SIGNED = "DKIM-Signature: v=1; d=evil.example; b=x\r\n"


def froms() -> list[str]:
    from base64 import b64encode

    filled = {
        "v": VICTIM, "e": EVIL, "vq": VICTIM.replace("@", "=40"), "vb": b64encode(VICTIM.encode()).decode(),
    }  # fmt: skip
    return [name + shape.format(**filled) for shape in SHAPES for name in NAMES]


def by_email(given: str) -> Parsed:
    channel = Email(authserv_id="mx.ours")
    request = with_body(f"{RESULTS}From: {given}\r\n\r\nHi".encode())
    return channel.parse(request, channel.verify(request))


def by_sendgrid(given: str) -> Parsed:
    channel = SendGrid(public_key())
    fields = {
        **SENDGRID, "headers": f"{SIGNED}From: {given}\r\n", "dkim": "{@evil.example : pass}",
        "envelope": f'{{"from": "{EVIL}", "to": []}}', "from": given,
    }  # fmt: skip
    request = sendgrid(fields)
    return channel.parse(request, channel.verify(request))


def by_mailgun(given: str) -> Parsed:
    channel = Mailgun(KEY)
    several = [
        ["From", one.partition(":")[2] if n else one]
        for n, one in enumerate(given.split("\r\nFrom"))
    ]
    headers = [["X-Mailgun-Spf", "Pass"], ["X-Mailgun-Dkim-Check-Result", "Pass"], ["Received", "x"],
               ["DKIM-Signature", "d=evil.example; b=x"], *several]  # fmt: skip
    request = mailgun(
        {**MAILGUN, "sender": EVIL, "from": given, "message-headers": json.dumps(headers)}
    )
    return channel.parse(request, channel.verify(request))


def by_postmark(given: str) -> Parsed:
    channel = Postmark(CREDENTIALS, trust_spam_tests=True)
    headers = [
        {"Name": "Return-Path", "Value": f"<{EVIL}>"},
        *SCANNED[1:],
        {"Name": "From", "Value": given},
    ]
    request = postmark({**POSTMARK, "FromFull": None, "Headers": headers})
    return channel.parse(request, channel.verify(request))


ADAPTERS = {
    "email": by_email,
    "sendgrid": by_sendgrid,
    "mailgun": by_mailgun,
    "postmark": by_postmark,
}


def surer_than_claimed(by, given: str) -> list[str]:
    """Whom the adapter is sure of, where it should be sure of nobody but the attacker."""
    found = [e for e in by(given).events if isinstance(e, Inbound)]
    return [
        e.sender.value for e in found if e.assurance > Assurance.CLAIMED and e.sender.value != EVIL
    ]


@pytest.mark.parametrize("by", ADAPTERS.values(), ids=ADAPTERS)
def test_62_no_from_header_makes_anybody_surer_than_they_are(by) -> None:
    assert len(froms()) >= 200
    assert [given for given in froms() if surer_than_claimed(by, given)] == []


@pytest.mark.parametrize("by", ADAPTERS.values(), ids=ADAPTERS)
def test_the_same_attacker_is_sure_as_themselves(by) -> None:
    """So the check above is not of an adapter that is never sure of anybody."""
    (event,) = by(PLAIN).events
    assert (event.sender.value, event.assurance) == (EVIL, Assurance.CHANNEL)


@pytest.mark.parametrize("by", ADAPTERS.values(), ids=ADAPTERS)
def test_where_two_addresses_can_be_read_a_guard_is_told(by) -> None:
    """Acceptance 62: the shown address is another, or there are several."""
    for given in (
        f"{VICTIM} <{EVIL}>",
        f'"{VICTIM}" <{EVIL}>',
        f"{EVIL}, {VICTIM}",
        f"<{EVIL}> <{VICTIM}>",
    ):
        (event,) = by(given).events
        assert {"from.mismatch", "from.ambiguous"} & set(event.flags), given


def test_a_reader_in_a_hurry_is_fooled(monkeypatch) -> None:
    """The broken variant: who takes the name for an address, and the verdict for everybody's."""

    def hurried(raw: str) -> list[Mailbox]:
        name, address = parseaddr(raw)
        found = next((word.strip('<>"') for word in name.split() if "@" in word), address)
        return [Mailbox(found.lower())] if "@" in found else []

    monkeypatch.setattr(letterbox, "mailboxes", hurried)
    monkeypatch.setattr("ctxbridge.channels.mail.trust.is_aligned", lambda *_: True)
    assert len([given for given in froms() if surer_than_claimed(by_email, given)]) > 50
