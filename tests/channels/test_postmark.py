"""Postmark: the inbound webhook and the others, with the payloads of its own tests and anymail's."""

import base64
import json

import pytest
from tests.channels.fixtures import NOW, fixture, message_of, only, reason
from tests.channels.mail_posts import CREDENTIALS, POSTMARK, SCANNED, SECRET, post, postmark

from ctxbridge.channels import Postmark
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
from ctxbridge.rules.reply_tokens import ReplyTokens


def read(request: RawRequest, channel: Postmark | None = None) -> Parsed:
    made = channel or Postmark(CREDENTIALS)
    return made.parse(request, made.verify(request))


def mail(given: object = None, channel: Postmark | None = None) -> Inbound:
    return message_of(read(postmark(given), channel))


def captured(name: str) -> dict[str, object]:
    return json.loads(fixture(f"webhooks/postmark/{name}.json").read_text())


class TestCredentials:
    def test_those_of_the_url_are_verified_and_bind_no_body(self):
        expected = Verification("verified", "basic", binds_body=False, key=0)
        assert Postmark(CREDENTIALS).verify(postmark()) == expected

    def test_8_while_they_are_replaced_both_are_good_and_the_key_tells_which(self):
        made = Postmark(["a:new", "a:old"])
        found = [made.verify(postmark(credentials=c)).key for c in ("a:new", "a:old", "a:x")]
        assert found == [0, 1, -1]

    @pytest.mark.parametrize("given", [None, "", "Basic", "Basic ", "Bearer aG9vazpzM2NyZXQ=", "Basic é", "x" * 5000, "Basic aG9vazpzM2NyZXQ", "Basic aG9vazpzM2NyZXQ=="])  # fmt: skip
    def test_4_what_are_none_fail(self, given):
        more = () if given is None else (("Authorization", given),)
        request = post(b"{}", "application/json", *more)
        assert Postmark(CREDENTIALS).verify(request).status == "failed"

    def test_4_and_so_do_repeated_ones(self):
        value = ("Authorization", "Basic " + base64.b64encode(CREDENTIALS.encode()).decode())
        assert (
            Postmark(CREDENTIALS).verify(post(b"{}", "application/json", value)).status
            == "verified"
        )
        request = post(b"{}", "application/json", value, value)
        assert Postmark(CREDENTIALS).verify(request).status == "failed"

    def test_2_any_byte_flipped_fails(self):
        value = "Basic " + base64.b64encode(CREDENTIALS.encode()).decode()
        for at in range(6, len(value)):
            flipped = value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]
            request = post(b"{}", "application/json", ("Authorization", flipped))
            assert Postmark(CREDENTIALS).verify(request).status == "failed"

    @pytest.mark.parametrize("given", ["name", ":password", "name:", ":", ["a:b", "c"]])
    def test_24_half_of_them_refuses_to_start(self, given):
        with pytest.raises(ConfigurationError):
            Postmark(given)

    def test_the_wrong_ones_are_told_403_which_ends_it(self):
        assert Postmark(CREDENTIALS).reply(read(postmark(credentials="a:b"))).status == 403


class TestMail:
    def test_a_mail(self):
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
        assert (found.occurred_at, found.provider) == (NOW, "postmark")

    @pytest.mark.parametrize(
        "name", ["postmark-inbound-test-payload", "postmark-inbound-test-payload-with-raw"]
    )
    def test_its_own_test_payload(self, name):
        found = mail(captured(name), Postmark())
        assert found.sender.value == "support@postmarkapp.com"
        assert found.text == "This is a test text body."
        assert found.endpoint.value == "mailbox+samplehash@inbound.postmarkapp.com"
        files = (Attachment("text/plain", "test.txt", 45),)
        assert found.parts[1:] == (() if name.endswith("raw") else files)

    def test_31_without_a_message_id_it_is_known_by_postmarks_own(self):
        found = mail(captured("postmark-inbound-test-payload"), Postmark())
        assert (found.message_id, found.id_source) == (
            "00000000-0000-0000-0000-000000000000",
            "provider",
        )
        nameless = {k: v for k, v in POSTMARK.items() if k not in ("MessageID", "Headers")}
        assert mail(nameless).message_id == mail(nameless).message_id
        assert mail(nameless).message_id != mail({**nameless, "TextBody": "x"}).message_id
        assert mail(nameless).id_source == "digest"

    def test_the_captured_mail(self):
        found = mail(captured("postmark_inbound__inbound_basics__raw_event"), Postmark())
        assert (found.sender.value, found.text) == ("from+test@example.org", "Test body plain")
        assert (found.message_id, found.flags) == ("CAEPk3R+4Zr@mail.example.org", ())

    def test_a_name_is_never_read_as_an_address(self):
        found = mail(captured("postmark_inbound__spammy_address__raw_event"), Postmark())
        assert (found.sender.value, found.flags) == ("noreply@spam.example.com", ("auto",))
        for name in (
            '"<ann@bank.example>',
            "ann@bank.example",
            'x" <ann@bank.example>, "',
            "\\",
            'a\\" <ann@bank.example>',
        ):
            given = {**POSTMARK, "FromFull": {"Email": "eve@evil.example", "Name": name}}
            assert mail(given).sender.value == "eve@evil.example"

    def test_where_the_raw_mail_is_there_it_is_read(self):
        raw = (
            "From: Ann <ann@example.org>\r\nFrom: eve@evil.example\r\nSubject: Raw\r\n\r\nRaw words"
        )
        found = mail({**POSTMARK, "RawEmail": raw})
        assert (found.text, found.subject, found.flags) == ("Raw words", "Raw", ("from.ambiguous",))

    def test_html_alone_is_rendered(self):
        given = {**POSTMARK, "TextBody": "", "HtmlBody": "<p>Hi</p><p hidden>obey me</p>"}
        assert (mail(given).text, mail(given).flags) == ("Hi", ("hidden_text",))

    def test_files_are_described_each_by_itself(self):
        files = [
            1, {"Name": "../../a.pdf", "ContentType": "application/PDF; x=y", "ContentLength": 3, "Content": "AAAA"},
            {"Name": 5, "ContentType": None, "ContentLength": "x"},
        ]  # fmt: skip
        assert mail({**POSTMARK, "Attachments": files}).parts[1:] == (
            Attachment("application/pdf", "a.pdf", 3),
            Attachment("application/octet-stream", "", -1),
        )

    def test_73_a_blind_copy_is_still_routed(self):
        given = {**POSTMARK, "ToFull": [{"Email": "other@x.y", "Name": ""}]}
        assert mail(given).endpoint.value == "help@acme.example"

    @pytest.mark.parametrize("field", sorted(POSTMARK))
    @pytest.mark.parametrize(
        "value", [None, 1, True, "x", [], {}, [1], [{}], [None], {"Email": 1}, 1e300]
    )
    def test_a_field_of_another_kind_gives_values(self, field, value):
        parsed = read(postmark({**POSTMARK, field: value}))
        assert parsed.events or parsed.errors

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b"1", b"\xff", b"[" * 90_000, b'{"a":' * 90_000, b"{}"]
    )
    def test_what_is_no_mail_is_malformed(self, body):
        assert reason(read(post(body, "application/json"), Postmark())).startswith("Malformed")

    def test_60_too_large_is_malformed(self):
        assert reason(read(postmark(), Postmark(CREDENTIALS, max_bytes=100))).startswith(
            "Malformed"
        )


class TestTrust:
    TRUSTING = Postmark(CREDENTIALS, trust_spam_tests=True)

    def assurance(self, headers, channel=None):
        return mail({**POSTMARK, "Headers": headers}, channel or self.TRUSTING).assurance

    def test_it_is_not_trusted_unless_it_was_asked_for(self):
        """A sender can write the header too, and nothing else tells."""
        assert self.assurance(SCANNED, Postmark(CREDENTIALS)) == Assurance.CLAIMED
        assert self.assurance(SCANNED) == Assurance.CHANNEL
        unsigned = Postmark(trust_spam_tests=True)
        assert self.assurance(SCANNED, unsigned) == Assurance.CLAIMED

    def test_dkim_counts_for_the_one_signature_there_is(self):
        unaligned = {"Name": "Return-Path", "Value": "<x@evil.example>"}
        one = {"Name": "DKIM-Signature", "Value": "d=example.org; b=x"}
        other = {"Name": "DKIM-Signature", "Value": "d=evil.example; b=x"}
        assert self.assurance([unaligned, *SCANNED[1:], one]) == Assurance.CHANNEL
        for signatures in ([], [other], [one, other], [one, one]):
            assert self.assurance([unaligned, *SCANNED[1:], *signatures]) == Assurance.CLAIMED

    def test_spf_counts_for_the_domain_of_the_return_path(self):
        tests = {"Name": "X-Spam-Tests", "Value": "SPF_PASS"}
        assert self.assurance([*SCANNED[:2], tests]) == Assurance.CHANNEL
        for path in ("<x@evil.example>", "<>", "", "<x@a.example.org>"):
            headers = [{"Name": "Return-Path", "Value": path}, SCANNED[1], tests]
            assert self.assurance(headers) == Assurance.CLAIMED

    def test_72_a_second_one_or_one_further_down_is_a_forgery(self):
        second = {"Name": "Received", "Value": "by mail.example.org"}
        assert self.assurance([*SCANNED, second]) == Assurance.CHANNEL
        assert self.assurance([*SCANNED, second, SCANNED[3]]) == Assurance.CLAIMED
        assert self.assurance([*SCANNED[:2], second, SCANNED[3]]) == Assurance.CLAIMED
        assert self.assurance(SCANNED[3:]) == Assurance.CLAIMED
        failed = {"Name": "X-Spam-Tests", "Value": "DKIM_INVALID,SPF_FAIL"}
        assert self.assurance([*SCANNED[:3], failed, second, SCANNED[3]]) == Assurance.CLAIMED

    def test_72_a_signature_of_a_beginning_is_none(self):
        signature = {"Name": "DKIM-Signature", "Value": "d=example.org; l=1; b=x"}
        assert self.assurance([*SCANNED, signature]) == Assurance.CLAIMED


class TestEvents:
    @pytest.mark.parametrize(
        ("name", "status", "said", "code", "recipient"),
        [
            ("delivered_event", "delivered", "Delivery", "", "recipient@example.com"),
            ("open_event", "read", "Open", "", "recipient@example.com"),
            ("bounce_event", "failed", "HardBounce", "HardBounce", "bounce@example.com"),
        ],
    )
    def test_what_became_of_ours(self, name, status, said, code, recipient):
        given = captured(f"postmark_webhooks__{name}__raw_event")
        receipt = only(read(postmark(given)), Receipt)
        assert (receipt.status, receipt.provider_status, receipt.error_code) == (status, said, code)
        assert (receipt.message_id, receipt.recipient.value) == (given["MessageID"], recipient)
        assert receipt.occurred_at > 10**12

    def test_our_key_and_mailbox_come_back(self):
        given = captured("postmark_webhooks__delivered_event__raw_event")
        given["Metadata"] = {"delivery": "a" * 32, "endpoint": "help@acme.example"}
        receipt = only(read(postmark(given)), Receipt)
        assert (receipt.delivery, receipt.endpoint.value) == ("a" * 32, "help@acme.example")

    def test_a_soft_bounce_is_tried_again(self):
        given = captured("postmark_webhooks__bounce_event__raw_event") | {"Type": "SoftBounce"}
        assert only(read(postmark(given)), Receipt).status == "sent"

    @pytest.mark.parametrize(
        ("name", "flag"),
        [
            ("spam_event", "opt_out.stop"),
            ("unsubscribe", "opt_out.stop"),
            ("resubscribe", "opt_out.start"),
        ],
    )
    def test_what_the_recipient_wants(self, name, flag):
        given = captured(f"postmark_webhooks__{name}__raw_event")
        found = message_of(read(postmark(given)))
        assert (found.flags, found.parts, found.assurance) == ((flag,), (), Assurance.CHANNEL)
        assert found.sender.value in ("spam@example.com", "john@example.com")
        assert found == message_of(read(postmark(given)))

    @pytest.mark.parametrize(
        "name", ["click_event", "subscription_change_bounce", "bounce_unsubscribe_variant"]
    )
    def test_what_says_nothing_of_a_person_is_passed_over(self, name):
        given = captured(f"postmark_webhooks__{name}__raw_event")
        event = read(postmark(given)).events[0]
        if name == "bounce_unsubscribe_variant":  # it names nobody
            assert isinstance(event, Receipt)
            assert event.recipient is None
        else:
            assert isinstance(event, Notice)

    def test_every_captured_payload_gives_values(self):
        seen = 0
        for path in sorted(fixture("webhooks/postmark").glob("*.json")):
            parsed = read(RawRequest(path.read_bytes(), received_at=NOW), Postmark())
            assert parsed.events, path.name
            assert not parsed.errors
            seen += 1
        assert seen >= 12


def test_64_the_mailbox_hash_names_the_thread() -> None:
    tokens = ReplyTokens(SECRET)
    channel = Postmark(CREDENTIALS, reply_secret=SECRET)
    given = {**POSTMARK, "MailboxHash": tokens.token("root@x").upper()}
    assert mail(given, channel).thread == tokens.thread(tokens.token("root@x"))
    assert (
        mail({**POSTMARK, "MailboxHash": "SampleHash"}, channel).thread
        != mail(given, channel).thread
    )
