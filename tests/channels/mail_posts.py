"""Makers of what mail providers post, and of the signatures under it."""

import base64
import hmac
import json
from collections.abc import Iterable, Mapping
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.channels.fixtures import NOW

from ctxbridge.model import RawRequest

AT = NOW // 1000
KEY = "a-mailgun-signing-key"
TOKEN = "0" * 50
CREDENTIALS = "hook:s3cret"
SECRET = "r" * 32
"""A reply secret."""

PRIVATE, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
HEAD = (
    "Received: from mail.example.org by mx1.sendgrid.net\r\n"
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=a; bh=x; b=y\r\n"
    "From: Ann <ann@example.org>\r\nTo: Help <help@acme.example>\r\nSubject: Order\r\n"
    "Date: Thu, 28 May 2026 20:26:40 +0000\r\nMessage-ID: <1@example.org>\r\n"
)
SENDGRID = {
    "headers": HEAD,
    "dkim": "{@example.org : pass}",
    "to": "Help <help@acme.example>",
    "from": "Ann <ann@example.org>",
    "text": "Where is my order?",
    "html": "<p>Where is my order?</p>",
    "sender_ip": "192.0.2.1",
    "envelope": '{"to":["help@acme.example"],"from":"bounce@example.org"}',
    "attachments": "0",
    "subject": "Order",
    "charsets": '{"to":"UTF-8","html":"UTF-8","subject":"UTF-8","from":"UTF-8","text":"UTF-8"}',
    "SPF": "pass",
}
ABOVE = [["X-Mailgun-Dkim-Check-Result", "Pass"], ["X-Mailgun-Spf", "Pass"], ["Received", "by mxa.mailgun.org"]]  # fmt: skip
BELOW = [
    ["Dkim-Signature", "v=1; a=rsa-sha256; d=example.org; s=a; bh=x; b=y"],
    ["From", "Ann <ann@example.org>"],
    ["To", "help@acme.example"],
    ["Subject", "Order"],
    ["Message-Id", "<1@example.org>"],
]
MAILGUN = {
    "recipient": "help@acme.example",
    "sender": "ann@example.org",
    "from": "Ann <ann@example.org>",
    "subject": "Order",
    "body-plain": "Where is my order?",
    "body-html": "<p>Where is my order?</p>",
    "message-headers": json.dumps([*ABOVE, *BELOW]),
}
SCANNED = [
    {"Name": "Return-Path", "Value": "<ann@example.org>"},
    {"Name": "Received", "Value": "by p-pm-inbound01a.postmarkapp.com"},
    {"Name": "X-Spam-Checker-Version", "Value": "SpamAssassin 3.4.0 on p-pm-smtp-inbound01b"},
    {"Name": "X-Spam-Tests", "Value": "DKIM_SIGNED,DKIM_VALID,DKIM_VALID_AU,SPF_PASS"},
]
POSTMARK = {
    "FromFull": {"Email": "ann@example.org", "Name": "Ann", "MailboxHash": ""},
    "ToFull": [{"Email": "help@acme.example", "Name": "Help", "MailboxHash": ""}],
    "OriginalRecipient": "help@acme.example",
    "Subject": "Order",
    "MessageID": "22c74902-a0c1-4511-804f-341342852c90",
    "Date": "Thu, 28 May 2026 20:26:40 +0000",
    "TextBody": "Where is my order?",
    "HtmlBody": "<p>Where is my order?</p>",
    "Headers": [*SCANNED, {"Name": "Message-ID", "Value": "<1@example.org>"}],
    "Attachments": [],
}


def in_parts(
    fields: Mapping[str, str | bytes],
    files: Iterable[tuple[str, str, str, bytes]] = (),
    boundary: str = "xYzZY",
) -> tuple[bytes, str]:
    """A form in parts, and its content type; a file is its field, name, type and bytes."""
    out = b""
    for name, value in fields.items():
        raw = value.encode() if isinstance(value, str) else value
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        out += head.encode() + raw + b"\r\n"
    for name, filename, kind, data in files:
        out += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
            f"Content-Type: {kind}\r\n\r\n"
        ).encode() + data + b"\r\n"  # fmt: skip
    return out + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def post(body: bytes, kind: str, *more: tuple[str, str], at: int = NOW) -> RawRequest:
    return RawRequest(body, (("Content-Type", kind), *more), received_at=at)


def public_key(private=PRIVATE, form=serialization.Encoding.DER) -> str:
    """A public key as SendGrid shows it."""
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    data = private.public_key().public_bytes(form, spki)
    return data.decode() if form == serialization.Encoding.PEM else base64.b64encode(data).decode()


def sendgrid_signed(body: bytes, kind: str, private=PRIVATE, timestamp: object = AT) -> RawRequest:
    signature = private.sign(f"{timestamp}".encode() + body, ec.ECDSA(hashes.SHA256()))
    return post(
        body, kind,
        ("X-Twilio-Email-Event-Webhook-Signature", base64.b64encode(signature).decode()),
        ("X-Twilio-Email-Event-Webhook-Timestamp", f"{timestamp}"),
    )  # fmt: skip


def sendgrid(fields=SENDGRID, files=(), private=PRIVATE, **more) -> RawRequest:
    return sendgrid_signed(*in_parts(fields, files), private, **more)


def mailgun_signature(timestamp: object = AT, token: str = TOKEN, key: str = KEY) -> dict[str, str]:
    made = hmac.new(key.encode(), f"{timestamp}{token}".encode(), "sha256").hexdigest()
    return {"timestamp": f"{timestamp}", "token": token, "signature": made}


def mailgun(fields=MAILGUN, files=(), boundary: str = "b0", **signed) -> RawRequest:
    """As Mailgun posts a mail: in parts only if there are files."""
    form = {**fields, **mailgun_signature(**signed)}
    if files:
        return post(*in_parts(form, files, boundary))
    return post(urlencode(form).encode(), "application/x-www-form-urlencoded")


def mailgun_event(event: Mapping[str, object], **signed) -> RawRequest:
    body = json.dumps({"signature": mailgun_signature(**signed), "event-data": event}).encode()
    return post(body, "application/json")


def postmark(given: object = None, credentials: str = CREDENTIALS) -> RawRequest:
    value = "Basic " + base64.b64encode(credentials.encode()).decode()
    body = json.dumps(POSTMARK if given is None else given).encode()
    return post(body, "application/json", ("Authorization", value))
