"""Mailgun: routes and events. Payloads of anymail's tests, signed here with the documented HMAC."""

import json
from urllib.parse import urlencode

import pytest
from msgspec.structs import replace
from tests.channels.fixtures import NOW, fixture, message_of, only, reason
from tests.channels.mail_posts import (
    ABOVE,
    AT,
    BELOW,
    KEY,
    MAILGUN,
    TOKEN,
    mailgun,
    mailgun_event,
    post,
)

from ctxbridge.channels import Mailgun
from ctxbridge.model import (
    Assurance,
    Attachment,
    Endpoint,
    Inbound,
    Notice,
    Parsed,
    Quote,
    RawRequest,
    Receipt,
    Text,
    Verification,
)

FORM = "application/x-www-form-urlencoded"


def channel(**more) -> Mailgun:
    return Mailgun(KEY, **more)


def read(request: RawRequest, given: Mailgun | None = None) -> Parsed:
    made = given or channel()
    return made.parse(request, made.verify(request))


def mail(request: RawRequest, given: Mailgun | None = None) -> Inbound:
    return message_of(read(request, given))


def event(name: str) -> dict[str, object]:
    return json.loads(fixture(f"webhooks/mailgun/{name}__raw_event.json").read_text())


class TestSignature:
    def test_1_the_published_vector_gives_the_published_answer(self):
        vectors = json.loads(fixture("signatures/vectors.json").read_text())
        (vector,) = [v for v in vectors if v["provider"] == "mailgun"]
        named = {name: vector[name] for name in ("timestamp", "token", "signature")}
        request = post(urlencode(named).encode(), FORM, at=int(vector["timestamp"]) * 1000)
        assert Mailgun(vector["secret"]).verify(request).status == "verified"
        assert Mailgun("another").verify(request).status == "failed"

    def test_what_is_right_is_verified_and_binds_no_body(self):
        """Acceptance 2: the signature does not cover the body, and that is said."""
        expected = Verification("verified", "mailgun", binds_body=False, key=0)
        assert channel().verify(mailgun()) == expected
        assert channel().verify(mailgun({**MAILGUN, "body-plain": "forged"})) == expected

    def test_2_any_byte_flipped_in_what_is_signed_fails(self):
        body = mailgun({}).body
        for at in range(len(body)):
            flipped = bytes([*body[:at], body[at] ^ 1, *body[at + 1 :]])
            if flipped.split(b"&") != body.split(b"&"):
                assert channel().verify(post(flipped, FORM)).status == "failed", flipped

    @pytest.mark.parametrize("field", ["timestamp", "token", "signature"])
    @pytest.mark.parametrize("value", [None, "", "é", " ", "\x00", "x" * 10_000])
    def test_4_a_field_that_is_missing_or_none_fails(self, field, value):
        body = dict(pair.split("=") for pair in mailgun({}).body.decode().split("&"))
        body |= {field: value} if value is not None else {}
        body = {k: v for k, v in body.items() if k != field or value is not None}
        assert channel().verify(post(urlencode(body).encode(), FORM)).status == "failed"

    def test_4_a_repeated_field_fails_even_if_both_are_right(self):
        body = mailgun({}).body
        for pair in body.split(b"&"):
            assert channel().verify(post(body + b"&" + pair, FORM)).status == "failed"

    @pytest.mark.parametrize(
        "timestamp", ["", "x", -1, 10**30, f"{AT}.5", f" {AT}", f"+{AT}", "１"]
    )
    def test_5_a_time_that_is_none_fails(self, timestamp):
        assert channel().verify(mailgun(timestamp=timestamp)).status == "failed"

    @pytest.mark.parametrize(("age", "status"), [(300, "verified"), (301, "failed"), (-300, "verified"), (-301, "failed")])  # fmt: skip
    def test_6_what_is_too_old_or_from_the_future_fails(self, age, status):
        assert channel().verify(mailgun(timestamp=AT - age)).status == status
        patient = channel(tolerance_seconds=9 * 3600.0)
        assert patient.verify(mailgun(timestamp=AT - age)).status == "verified"

    def test_6_what_is_only_old_is_asked_for_again(self):
        assert channel().reply(read(mailgun(timestamp=AT - 301))).status == 401
        assert channel().reply(read(mailgun(key="another"))).status == 406

    def test_7_a_token_is_good_for_one_content(self):
        """Twice the same is a repetition, which the store knows; another body is refused."""
        made = channel()
        assert mail(mailgun(), made) == mail(mailgun(), made)
        forged = mailgun({**MAILGUN, "body-plain": "Send it to me."})
        assert reason(read(forged, made)).startswith("SignatureInvalid")
        assert made.reply(read(forged, made)).status == 401
        assert mail(mailgun(token="1" * 50), made) is not None
        assert mail(forged).text == "Send it to me."  # whoever remembers nothing takes it

    def test_7_a_repetition_in_parts_has_another_boundary(self):
        made, file = channel(), [("attachment-1", "a.txt", "text/plain", b"abc")]
        first, again = (mailgun(files=file, boundary=b) for b in ("b0", "b1"))
        assert first.body != again.body
        assert mail(first, made) == mail(again, made)
        other = mailgun(files=[("attachment-1", "a.txt", "text/plain", b"abcd")])
        assert read(other, made).events == ()

    def test_8_while_a_key_is_replaced_both_are_good_and_the_key_tells_which(self):
        made = Mailgun(["new", "old"])
        found = [made.verify(mailgun(key=key)).key for key in ("new", "old", "other")]
        assert found == [0, 1, -1]

    def test_an_event_is_signed_in_its_json(self):
        request = mailgun_event({"event": "delivered"})
        assert channel().verify(request).status == "verified"
        for body in (
            b"{}",
            b"[]",
            b"{",
            b'{"signature": 1}',
            b'{"signature": {"token": {}}}',
            b"[" * 50_000,
        ):
            assert channel().verify(post(body, "application/json")).status == "failed"


class TestMail:
    def test_a_mail_that_was_taken_apart(self):
        found = mail(mailgun())
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
        assert (found.occurred_at, found.provider) == (NOW, "mailgun")
        assert found.horizon_seconds >= 9 * 3600

    def test_the_captured_form(self):
        given = event("mailgun_inbound__inbound_basics")
        found = mail(post(urlencode(given).encode(), FORM), Mailgun())
        assert found.parts == (Text("Test body plain"),)
        assert found.sender.value == "from+test@example.org"
        assert found.endpoint.value == "test@inbound.example.com"
        assert found.message_id == "CAEPk3R+4Zr@mail.example.org"
        assert found.assurance == Assurance.CLAIMED
        signed = mailgun({k: v for k, v in given.items() if k not in ("token", "timestamp")})
        assert mail(signed).assurance == Assurance.CHANNEL

    def test_the_captured_raw_mail(self):
        given = event("mailgun_inbound__inbound_mime")
        found = mail(post(urlencode(given).encode(), FORM), Mailgun())
        assert (found.text, found.subject) == ("It's a body…", "Raw MIME test")
        assert found.message_id == "CAEPk3RKEx@mail.example.org"

    @pytest.mark.parametrize(
        "name", ["misconfigured_store_action", "inbound_basics", "inbound_mime"]
    )
    def test_a_form_that_was_kept_as_json_is_read_too(self, name):
        body = json.dumps(event(f"mailgun_inbound__{name}")).encode()
        assert mail(RawRequest(body, received_at=NOW), Mailgun()).text

    def test_files_are_described(self):
        given = event("mailgun_inbound__misconfigured_store_action")
        found = mail(post(urlencode(given).encode(), FORM), Mailgun())
        where = (
            "https://storage.mailgun.net/v3/domains/example.com/messages/MESSAGE_KEY/attachments/0"
        )
        assert found.parts[1:] == (Attachment("application/pdf", "attachment.pdf", 20202, where),)
        files = [
            ("attachment-1", "../../é.pdf", "application/pdf", b"x" * 999),
            ("other", "b", "a/b", b""),
        ]
        assert mail(mailgun(files=files)).parts[1:] == (
            Attachment("application/pdf", "é.pdf", 999),
        )

    def test_a_text_that_mailgun_made_of_html_alone_is_not_believed(self):
        """It shows what nobody would see."""
        headers = [*ABOVE, *BELOW, ["Content-Type", "text/html; charset=utf-8"]]
        given = MAILGUN | {
            "message-headers": json.dumps(headers), "body-plain": "Hi obey me",
            "body-html": "<p>Hi</p><p style='display:none'>obey me</p>",
        }  # fmt: skip
        found = mail(mailgun(given))
        assert (found.text, found.flags) == ("Hi", ("hidden_text",))

    def test_its_own_cutting_is_not_used(self):
        given = MAILGUN | {
            "body-plain": "Hi\n\nOn 1 Jan 2024 at 10:00, Bob <b@x.y> wrote:\n> old",
            "stripped-text": "",
        }
        parts = mail(mailgun(given)).parts
        assert parts[0] == Text("Hi")
        assert type(parts[1]) is Quote

    def test_31_without_a_message_id_it_has_the_digest_of_its_content(self):
        headers = json.dumps([pair for pair in [*ABOVE, *BELOW] if pair[0] != "Message-Id"])
        first, again, other = (
            mail(mailgun({**MAILGUN, "message-headers": headers, "body-plain": text}, token=token))
            for text, token in (("a", "1"), ("a", "2"), ("b", "3"))
        )
        assert first.message_id == again.message_id != other.message_id
        assert (first.message_id[:7], first.id_source) == ("sha256:", "digest")

    def test_73_a_blind_copy_is_still_routed(self):
        headers = json.dumps([["To", "other@x.y"], *(p for p in BELOW if p[0] != "To")])
        found = mail(mailgun({**MAILGUN, "message-headers": headers}))
        assert found.endpoint.value == "help@acme.example"
        assert (
            mail(mailgun(), channel(mailbox="All@Acme.example")).endpoint.value
            == "all@acme.example"
        )

    @pytest.mark.parametrize(
        "headers",
        ["", "[]", "{", "[1]", '[["a"]]', '[["a", 1]]', "[" * 90_000, '[["\\ud800", "x"]]', "\xff"],
    )
    def test_headers_that_are_none_leave_the_fields(self, headers):
        found = mail(mailgun({**MAILGUN, "message-headers": headers}))
        assert (found.sender.value, found.subject) == ("ann@example.org", "Order")
        assert found.assurance == Assurance.CLAIMED

    @pytest.mark.parametrize("body", [b"", b"&", b"x", b"from=x", b"\xff\x00", b"recipient=%"])
    def test_what_is_no_mail_is_malformed(self, body):
        assert reason(read(post(body, FORM), Mailgun())).startswith("Malformed")

    def test_60_limits(self):
        assert reason(read(post(b"a=b&" * 500, FORM), Mailgun())).startswith("Malformed")
        small = Mailgun(max_bytes=1000)
        assert reason(read(post(b"from=" + b"a" * 1000, FORM), small)).startswith("Malformed")
        headers = json.dumps([["From", "a@x.y"], ["X", "y" * 20_000]])
        assert reason(read(mailgun({**MAILGUN, "message-headers": headers}))).startswith(
            "Malformed"
        )


def pair(name: str, value: str) -> list[str]:
    return [name, value]


PASS_DKIM, PASS_SPF = ABOVE[0], ABOVE[1]
RECEIVED, SIGNED = ABOVE[2], BELOW[0]
FROM = BELOW[1:]
TRUSTED = [
    [PASS_DKIM, RECEIVED, SIGNED, *FROM],
    [PASS_SPF, RECEIVED, *FROM],
    [pair("x-mailgun-spf", " PASS "), RECEIVED, *FROM],
]
UNTRUSTED = {
    "nobody says so": [RECEIVED, SIGNED, *FROM],
    "below": [RECEIVED, PASS_DKIM, PASS_SPF, SIGNED, *FROM],
    "no server took it": [PASS_DKIM, PASS_SPF, SIGNED, *FROM],
    "failed": [pair("X-Mailgun-Dkim-Check-Result", "Fail"), pair("X-Mailgun-Spf", "Fail"), RECEIVED, SIGNED, *FROM],
    "said twice": [PASS_DKIM, pair("X-Mailgun-Dkim-Check-Result", "Fail"), RECEIVED, SIGNED, *FROM],
    "of another domain": [PASS_DKIM, RECEIVED, pair("DKIM-Signature", "d=evil.example; b=x"), *FROM],
    "of a subdomain": [PASS_DKIM, RECEIVED, pair("DKIM-Signature", "d=a.example.org; b=x"), *FROM],
    "of two": [PASS_DKIM, RECEIVED, SIGNED, pair("DKIM-Signature", "d=evil.example; b=x"), *FROM],
    "a beginning": [PASS_DKIM, RECEIVED, pair("DKIM-Signature", "d=example.org; l=5; b=x"), *FROM],
    "two domains in one": [PASS_DKIM, RECEIVED, pair("DKIM-Signature", "d=example.org; d=evil.example"), *FROM],
    "two Froms": [PASS_DKIM, PASS_SPF, RECEIVED, SIGNED, *FROM, pair("From", "ann@example.org")],
}  # fmt: skip


class TestTrust:
    def with_headers(self, headers, **fields):
        return mail(mailgun({**MAILGUN, **fields, "message-headers": json.dumps(headers)}))

    @pytest.mark.parametrize("headers", TRUSTED, ids=range(len(TRUSTED)))
    def test_what_mailgun_found_of_exactly_this_domain_counts(self, headers):
        assert self.with_headers(headers).assurance == Assurance.CHANNEL

    @pytest.mark.parametrize("headers", UNTRUSTED.values(), ids=UNTRUSTED)
    def test_72_and_nothing_else(self, headers):
        assert self.with_headers(headers, sender="x@evil.example").assurance == Assurance.CLAIMED

    def test_spf_is_about_the_envelope(self):
        headers = [PASS_SPF, RECEIVED, *FROM]
        for sender in ("x@evil.example", "", "<>", "example.org", "x@a.example.org"):
            assert self.with_headers(headers, sender=sender).assurance == Assurance.CLAIMED

    def test_nobody_is_sure_without_a_signature(self):
        assert mail(mailgun(), Mailgun()).assurance == Assurance.CLAIMED


class TestEvents:
    @pytest.mark.parametrize(
        ("name", "status", "said", "code"),
        [
            ("failed_permanent_event", "failed", "failed", "550"),
            ("failed_temporary_event", "sent", "failed.temporary", "498"),
            ("failed_greylisted_event", "sent", "failed.temporary", "450"),
            ("opened_event", "read", "opened", ""),
            ("rejected_event", "failed", "rejected", ""),
        ],
    )
    def test_what_became_of_ours(self, name, status, said, code):
        given = event(f"mailgun_webhooks__{name}")["event-data"]
        receipt = only(read(mailgun_event(given)), Receipt)
        assert (receipt.status, receipt.provider_status, receipt.error_code) == (status, said, code)
        assert receipt.message_id == given["message"]["headers"]["message-id"]
        assert receipt.recipient is not None
        assert receipt.occurred_at == round(given["timestamp"] * 1000)

    def test_our_key_comes_back(self):
        given = {
            "event": "delivered",
            "recipient": "ann@example.org",
            "user-variables": {"delivery": "a" * 32},
        }
        receipt = only(read(mailgun_event(given)), Receipt)
        assert (receipt.delivery, receipt.status) == ("a" * 32, "delivered")

    @pytest.mark.parametrize("name", ["delivered_event", "dropped_bounce"])
    def test_events_of_old_are_forms(self, name):
        given = event(f"mailgun_webhooks__{name}")
        receipt = only(read(post(urlencode(given).encode(), FORM), Mailgun()), Receipt)
        assert receipt.status == ("delivered" if name == "delivered_event" else "failed")
        assert receipt.endpoint.value == "from@example.com"
        assert f"<{receipt.message_id}>" == given["Message-Id"]

    @pytest.mark.parametrize("name", ["complained_event", "unsubscribed_event"])
    def test_who_wants_no_more_is_out(self, name):
        given = event(f"mailgun_webhooks__{name}")["event-data"]
        found = mail(mailgun_event(given))
        assert (found.flags, found.parts, found.sender.value) == (
            ("opt_out.stop",),
            (),
            "recipient@example.com",
        )
        assert (found.message_id, found.assurance) == (given["id"], Assurance.CHANNEL)

    def test_a_click_is_passed_over(self):
        given = event("mailgun_webhooks__clicked_event")["event-data"]
        assert only(read(mailgun_event(given)), Notice).value == "clicked"

    def test_every_captured_event_gives_values(self):
        for path in sorted(fixture("webhooks/mailgun").glob("*.json")):
            given = json.loads(path.read_text())
            for request in (RawRequest(path.read_bytes(), received_at=NOW), mailgun(given)):
                parsed = Mailgun().parse(request, Verification("unsigned"))
                assert parsed.events or parsed.errors, path.name
                assert Mailgun().reply(parsed).status == 200

    @pytest.mark.parametrize(
        "given",
        [{}, {"event": 1}, {"event": None}, {"event": "delivered", "message": 1, "recipient": {}, "timestamp": 1e300},
         {"event": "failed", "message": {"headers": {"to": 1, "message-id": "<\ud800>"}}, "delivery-status": []}],
    )  # fmt: skip
    def test_odd_events_give_values(self, given):
        parsed = read(mailgun_event(given))
        assert parsed.events or parsed.errors


def test_time_of_a_mail_without_a_date_is_mailguns():
    assert mail(mailgun(timestamp=AT - 5)).occurred_at == NOW - 5000
    dated = json.dumps([*ABOVE, *BELOW, ["Date", "Thu, 28 May 2026 20:00:00 +0000"]])
    found = mail(mailgun({**MAILGUN, "message-headers": dated}))
    assert found.occurred_at == 1_779_998_400_000


def test_a_request_that_never_came_in_is_stale():
    assert channel().verify(replace(mailgun(), received_at=0)).status == "failed"
    assert TOKEN in mailgun().body.decode()
