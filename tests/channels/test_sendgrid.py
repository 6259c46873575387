"""SendGrid: Inbound Parse and the Event Webhook. Keys are made here, as SendGrid makes them."""

import base64
import json
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from tests.channels.fixtures import NOW, message_of, only, reason
from tests.channels.mail_posts import (
    AT,
    HEAD,
    OTHER,
    PRIVATE,
    SENDGRID,
    in_parts,
    post,
    public_key,
    sendgrid,
    sendgrid_signed,
)

from ctxbridge.channels import SendGrid
from ctxbridge.channels.mail.forms import Form
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import (
    Assurance,
    Attachment,
    Endpoint,
    Inbound,
    Notice,
    Parsed,
    RawRequest,
    Receipt,
    Text,
    Verification,
)

KEY = public_key()
CHANNEL = SendGrid(KEY)
JSON = "application/json"


def read(request: RawRequest, channel: SendGrid = CHANNEL) -> Parsed:
    return channel.parse(request, channel.verify(request))


def mail(fields=SENDGRID, files=(), **more) -> Inbound:
    return message_of(read(sendgrid(fields, files, **more)))


def unsigned(fields=SENDGRID, files=(), boundary: str = "xYzZY") -> Inbound:
    return message_of(read(post(*in_parts(fields, files, boundary)), SendGrid()))


def with_header(request: RawRequest, name: str, *values: str | None) -> RawRequest:
    kept = [(k, v) for k, v in request.headers if not k.endswith(name)]
    full = f"X-Twilio-Email-Event-Webhook-{name}"
    given = [(full, value) for value in values if value is not None]
    return RawRequest(request.body, (*kept, *given), received_at=request.received_at)


def header(request: RawRequest, name: str) -> str:
    return next(v for k, v in request.headers if k.endswith(name))


class TestSignature:
    def test_22_what_the_key_signed_is_verified_and_binds_the_body(self):
        expected = Verification("verified", "sendgrid", binds_body=True, key=0)
        assert CHANNEL.verify(sendgrid()) == expected
        assert SendGrid(public_key(form=serialization.Encoding.PEM)).verify(sendgrid()) == expected
        assert SendGrid(public_key(OTHER)).verify(sendgrid()).status == "failed"

    def test_2_any_byte_flipped_in_body_or_time_fails(self):
        body, kind = in_parts({"text": "x", "email": "From: a@x.y"})
        good = sendgrid_signed(body, kind)
        for at in range(len(body)):
            flipped = bytes([*body[:at], body[at] ^ 1, *body[at + 1 :]])
            request = RawRequest(flipped, good.headers, received_at=NOW)
            assert CHANNEL.verify(request).status == "failed"
        for other in (AT + 1, AT - 1, f"0{AT}"):
            assert CHANNEL.verify(with_header(good, "Timestamp", str(other))).status == "failed"

    @pytest.mark.parametrize(
        "signature",
        [None, "", "é", " ", "x" * 10_000, "AAAA", "MEUCIQ==", "MAYCAQACAQA=", "MAYCAQECAQE=", "\udc80"],
    )  # fmt: skip
    def test_4_22_what_is_no_signature_fails(self, signature):
        assert CHANNEL.verify(with_header(sendgrid(), "Signature", signature)).status == "failed"

    def test_22_der_garbage_fails(self):
        good = base64.b64decode(header(sendgrid(), "Signature"))
        for at in range(len(good)):
            for bad in (good[:at], good[:at] + b"\xff" + good[at + 1 :], good + b"\x00"):
                if bad != good:
                    changed = with_header(sendgrid(), "Signature", base64.b64encode(bad).decode())
                    assert CHANNEL.verify(changed).status == "failed"

    def test_4_a_repeated_signature_fails_even_if_both_are_right(self):
        request = sendgrid()
        value = header(request, "Signature")
        assert CHANNEL.verify(with_header(request, "Signature", value)).status == "verified"
        assert CHANNEL.verify(with_header(request, "Signature", value, value)).status == "failed"

    @pytest.mark.parametrize("timestamp", ["", "x", -1, 10**30, f"{AT}.5", f" {AT}", f"+{AT}"])
    def test_5_a_time_that_is_none_fails(self, timestamp):
        assert CHANNEL.verify(sendgrid(timestamp=timestamp)).status == "failed"
        assert CHANNEL.verify(with_header(sendgrid(), "Timestamp", None)).status == "failed"

    @pytest.mark.parametrize(("age", "status"), [(300, "verified"), (301, "failed"), (-300, "verified"), (-301, "failed")])  # fmt: skip
    def test_6_what_is_too_old_or_from_the_future_fails(self, age, status):
        request = sendgrid(timestamp=AT - age)
        assert CHANNEL.verify(request).status == status
        assert SendGrid(KEY, tolerance_seconds=400.0).verify(request).status == "verified"

    def test_what_is_only_old_is_asked_for_again_and_what_is_forged_is_dropped(self):
        """SendGrid drops a mail at any 4xx, so only a forgery gets one."""
        assert CHANNEL.reply(read(sendgrid(timestamp=AT - 301))).status == 503
        assert CHANNEL.reply(read(sendgrid(private=OTHER))).status == 401

    def test_8_while_a_key_is_replaced_both_are_good_and_the_key_tells_which(self):
        made = SendGrid([public_key(OTHER), KEY])
        assert [made.verify(sendgrid(private=p)).key for p in (OTHER, PRIVATE)] == [0, 1]

    def test_24_a_key_that_is_none_refuses_to_start(self):
        p384 = public_key(ec.generate_private_key(ec.SECP384R1()))
        edwards = public_key(ed25519.Ed25519PrivateKey.generate())
        for key in ("x", "AAAA", p384, edwards, "-----BEGIN PUBLIC KEY-----\n", KEY[:-8], "é"):
            with pytest.raises(ConfigurationError, match="P-256"):
                SendGrid(key)

    def test_without_a_key_cryptography_is_not_loaded(self):
        code = "import sys; from ctxbridge.channels import SendGrid; SendGrid(); print('cryptography' in sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "False"

    def test_without_cryptography_the_extra_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
        with pytest.raises(ConfigurationError, match=r"ctxbridge\[crypto\]"):
            SendGrid(KEY)
        assert SendGrid().verify(sendgrid()).status == "unsigned"


CAPTURED = (
    b'--xYzZY\r\nContent-Disposition: form-data; name="headers"\r\n\r\n'
    b"To: =?utf-8?q?R=C3=A9cipiendaire?= <inbound@sg.example.com>\r\n"
    b"From: =?utf-8?q?Op=C3=A9rateur?= de test <sender@example.com>\r\n"
    b"Subject: =?cp850?q?Como_usted_pidi=A2?=\r\n\r\n"
    b'--xYzZY\r\nContent-Disposition: form-data; name="subject"\r\n\r\nComo usted pidi\xa2\r\n'
    b'--xYzZY\r\nContent-Disposition: form-data; name="html"\r\n\r\n<p>\xbfEsto se ve como esperabas?</p>\r\n'
    b'--xYzZY\r\nContent-Disposition: form-data; name="text"\r\n\r\nTest the ESP\x92s inbound charset handling\x85\r\n'
    b'--xYzZY\r\nContent-Disposition: form-data; name="charsets"\r\n\r\n'
    b'{"to":"UTF-8","html":"iso-8859-1","subject":"cp850","from":"UTF-8","text":"windows-1252"}\r\n'
    b"--xYzZY--\r\n"
)
"""In the shape of a post that django-anymail's authors have captured: a charset for each field."""


class TestMail:
    def test_a_mail_that_was_taken_apart(self):
        found = mail()
        assert found.parts == (Text("Where is my order?"),)
        assert (found.sender.value, found.endpoint) == (
            "ann@example.org",
            Endpoint("email", "help@acme.example"),
        )
        assert (found.subject, found.message_id, found.id_source) == (
            "Order",
            "1@example.org",
            "sender",
        )
        assert (found.occurred_at, found.provider) == (NOW, "sendgrid")
        assert found.horizon_seconds >= 72 * 3600

    def test_a_raw_mail(self):
        kind = "Content-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: base64\r\n"
        fields = {k: v for k, v in SENDGRID.items() if k not in ("headers", "text", "html")}
        found = mail({**fields, "email": f"{HEAD}{kind}\r\n08zP18E="})
        assert (found.sender.value, found.text) == ("ann@example.org", "слова")
        assert found.assurance == Assurance.CHANNEL

    def test_61_each_field_in_its_own_charset(self):
        request = post(CAPTURED, "multipart/form-data; boundary=xYzZY")
        found = message_of(read(request, SendGrid()))
        assert found.subject == "Como usted pidió"
        assert found.text == "Test the ESP’s inbound charset handling…"
        html = CAPTURED.replace(b"Test the ESP\x92s inbound charset handling\x85", b"")
        request = post(html, "multipart/form-data; boundary=xYzZY")
        assert message_of(read(request, SendGrid())).text == "¿Esto se ve como esperabas?"

    def test_61_and_without_headers_too(self):
        fields = {
            "from": "Jürgen <j@x.y>".encode("latin-1"), "subject": "Como usted pidi\xa2".encode("latin-1"),
            "text": "слова".encode("koi8-r"),
            "charsets": '{"from": "latin1", "subject": "cp850", "text": "koi8-r"}',
        }  # fmt: skip
        found = unsigned(fields)
        assert (found.sender.value, found.subject, found.text) == (
            "j@x.y",
            "Como usted pidió",
            "слова",
        )

    def test_a_field_cannot_write_a_header(self):
        fields = {
            "from": "eve@evil.example",
            "subject": "x\r\nFrom: ann@bank.example\r\n\r\nwords",
            "text": "t",
        }
        found = unsigned(fields)
        assert (found.sender.value, found.flags) == ("eve@evil.example", ())

    @pytest.mark.parametrize(
        "charsets", ["", "{", "[]", '{"text": 1}', '{"text": "idna"}', "[" * 90_000]
    )
    def test_charsets_that_are_none_are_guessed(self, charsets):
        assert mail({**SENDGRID, "charsets": charsets, "text": "é"}).text == "é"

    def test_files_are_described(self):
        files = [
            ("attachment1", "x", "text/plain", b"abc"),
            ("attachment2", "b.png", "image/png", b"\r\n--xYzZ" * 100),
        ]
        info = {"attachment1": {"filename": "..\\a.txt", "type": "TEXT/Plain"}, "attachment2": 5}
        found = mail({**SENDGRID, "attachment-info": json.dumps(info)}, files)
        assert found.parts[1:] == (
            Attachment("text/plain", "a.txt", 3),
            Attachment("image/png", "b.png", 800),
        )

    def test_30_31_known_by_its_message_id_else_by_its_content(self):
        first, again = unsigned(), unsigned(boundary="another")
        assert first == again
        assert first.id_source == "sender"
        other = unsigned({**SENDGRID, "text": "Other"})
        assert (other.message_id, other.text) == (first.message_id, "Other")
        nameless = {**SENDGRID, "headers": HEAD.replace("Message-ID", "X-Other")}
        first, again = unsigned(nameless), unsigned(nameless, boundary="another")
        assert (first.message_id, first.id_source) == (again.message_id, "digest")
        assert unsigned({**nameless, "text": "Other"}).message_id != first.message_id

    def test_73_a_blind_copy_is_still_routed(self):
        fields = {**SENDGRID, "headers": HEAD.replace("help@acme.example", "other@x.y")}
        assert mail(fields).endpoint.value == "help@acme.example"
        assert mail({**fields, "envelope": "{"}).endpoint.value == "other@x.y"

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"--",
            b"--x",
            b"x=y",
            b"--xYzZY--",
            b"\xff",
            b"{}",
            b"[]",
            b"[1",
            b"{",
            b"[" * 90_000,
        ],
    )
    def test_what_is_no_mail_is_malformed(self, body):
        for kind in (
            "multipart/form-data; boundary=xYzZY",
            "multipart/form-data",
            "text/plain",
            "",
        ):
            assert reason(read(post(body, kind), SendGrid())).startswith("Malformed")

    def test_60_too_large_is_malformed_or_fails(self):
        small = SendGrid(KEY, max_bytes=100)
        assert small.verify(sendgrid()).status == "failed"
        assert reason(read(sendgrid(), SendGrid(max_bytes=100))).startswith("Malformed")


TRUSTED = [
    {},
    {"dkim": "{@other.example : fail, @example.org : pass}"},
    {"dkim": "none", "envelope": '{"to":["help@acme.example"],"from":"x@example.org"}'},
    {"dkim": "{@Example.ORG:pass}", "SPF": "fail"},
]
UNTRUSTED = [
    {"dkim": "{@evil.example : pass}", "envelope": '{"from":"x@evil.example"}'},
    {"dkim": "{@a.example.org : pass}", "SPF": "fail"},
    {"dkim": "{@example.org : fail}", "SPF": "softfail"},
    {"dkim": "none", "SPF": "none"},
    {"dkim": "@example.org : pass", "SPF": ""},
    {"dkim": "{@evil.example : fail} {@example.org : pass}", "SPF": ""},
    {"dkim": "{@evil.example : fail; @example.org : pass}", "SPF": ""},
    {"dkim": "{" + "@x.y : pass, " * 9000 + "@example.org : pass}", "SPF": ""},
    {"dkim": "{@example.org : pass}", "headers": HEAD.replace("s=a;", "s=a; l=3;")},
    {"dkim": "{@example.org : pass}", "headers": HEAD.replace("s=a;", "s=a; x=" + "y" * 9000 + "; l=3;")},
    {"dkim": "{@example.org : pass, @evil.example : fail}", "headers": "DKIM-Signature: d=example.org : pass, @evil.example; b=x\r\n" + HEAD},
    {"dkim": "none", "SPF": "pass", "envelope": '{"from":"x@evil.example"}'},
    {"dkim": "none", "SPF": "pass", "envelope": '{"from":""}'},
    {"dkim": "none", "SPF": "pass", "envelope": '{"from":["x@example.org"]}'},
    {"dkim": "none", "SPF": "none", "headers": "Authentication-Results: mx.sendgrid.net; dmarc=pass header.from=example.org\r\nX-Spam-Tests: DKIM_VALID_AU\r\n" + HEAD},
    {"headers": HEAD + "From: ann@example.org\r\n"},
    {"headers": HEAD.replace("Ann <ann@example.org>", "ann@example.org, eve@example.org")},
]  # fmt: skip


class TestTrust:
    @pytest.mark.parametrize("changed", TRUSTED, ids=range(len(TRUSTED)))
    def test_what_sendgrid_found_of_exactly_this_domain_counts(self, changed):
        assert mail({**SENDGRID, **changed}).assurance == Assurance.CHANNEL
        assert unsigned({**SENDGRID, **changed}).assurance == Assurance.CLAIMED

    @pytest.mark.parametrize("changed", UNTRUSTED, ids=range(len(UNTRUSTED)))
    def test_72_and_nothing_else(self, changed):
        fields = {**SENDGRID, "envelope": '{"from":"x@evil.example"}', **changed}
        assert mail(fields).assurance == Assurance.CLAIMED

    def test_72_whoever_knows_the_boundary_gains_nothing(self, monkeypatch):
        """SendGrid's boundary is always the same, so a sender can write fields into his words."""
        assert not any(self.injected())
        # The broken variant believes whichever of two fields comes first.
        monkeypatch.setattr(Form, "only", Form.text)
        assert any(self.injected())

    def injected(self):
        """Whether each of these forgeries gets its sender vouched for."""
        for place in ("text", "html", "subject"):
            for end in ("", "\r\n--xYzZY--\r\n"):
                yield from self.injecting(place, end)

    def injecting(self, place, end):
        field = '\r\n--xYzZY\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}'
        forged = "Hi"
        for name, value in (("dkim", "{@example.org : pass}"), ("SPF", "pass"), ("headers", HEAD),
                            ("envelope", '{"from":"a@example.org","to":["help@acme.example"]}')):  # fmt: skip
            forged += field.format(name, value)
        honest = {
            **SENDGRID, "dkim": "{@evil.example : pass}", "envelope": '{"from":"x@evil.example"}',
            "headers": HEAD.replace("ann@example.org", "eve@evil.example"),
        }  # fmt: skip
        first = {place: forged + end}
        for fields in (
            {**first, **{k: v for k, v in honest.items() if k != place}},
            {**honest, **first},
        ):
            found = read(sendgrid(fields)).events
            yield any(event.assurance > Assurance.CLAIMED for event in found)


EVENT = {
    "email": "ann@example.org", "timestamp": AT, "event": "delivered", "sg_event_id": "e1",
    "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
}  # fmt: skip


class TestEvents:
    def read(self, *events: object) -> Parsed:
        return read(sendgrid_signed(json.dumps(events).encode(), JSON))

    @pytest.mark.parametrize(
        ("changed", "status", "code"),
        [
            ({}, "delivered", ""),
            ({"event": "processed"}, "queued", ""),
            ({"event": "deferred", "reason": "busy"}, "sent", ""),
            ({"event": "bounce", "status": "5.1.1"}, "failed", "5.1.1"),
            ({"event": "dropped", "reason": "Bounced Address"}, "failed", "Bounced Address"),
            (
                {"event": "bounce", "reason": "550 <ann@example.org>: unknown", "type": "blocked"},
                "failed",
                "blocked",
            ),
            ({"event": "bounce", "reason": "no mailbox of Ann Lee in this house"}, "failed", ""),
            ({"event": "open"}, "read", ""),
            ({"event": "open", "sg_machine_open": True}, "delivered", ""),
        ],
    )
    def test_what_became_of_ours(self, changed, status, code):
        receipt = only(self.read({**EVENT, **changed}), Receipt)
        assert (receipt.status, receipt.error_code) == (status, code)
        assert (receipt.message_id, receipt.occurred_at) == ("14c5d75ce93.dfd.64b469", NOW)
        assert receipt.recipient.value == "ann@example.org"

    def test_our_key_and_mailbox_come_back(self):
        given = {**EVENT, "delivery": "a" * 32, "endpoint": "help@acme.example"}
        receipt = only(self.read(given), Receipt)
        assert (receipt.delivery, receipt.endpoint.value) == ("a" * 32, "help@acme.example")

    @pytest.mark.parametrize(
        ("event", "flag"),
        [("spamreport", "stop"), ("unsubscribe", "stop"), ("group_unsubscribe", "stop"), ("group_resubscribe", "start")],
    )  # fmt: skip
    def test_what_the_recipient_wants(self, event, flag):
        found = message_of(self.read({**EVENT, "event": event}))
        assert (found.flags, found.parts, found.message_id) == ((f"opt_out.{flag}",), (), "e1")
        assert found.assurance == Assurance.CHANNEL

    def test_one_bad_event_does_not_lose_the_others(self):
        parsed = self.read(EVENT, 5, {}, {"event": 1e300}, {**EVENT, "event": "click"}, EVENT)
        assert [type(e) for e in parsed.events] == [Receipt, Notice, Receipt]
        assert len(parsed.errors) == 3
        assert CHANNEL.reply(parsed).status == 200
        assert len(self.read(*[EVENT] * 1500).events) == 1000
