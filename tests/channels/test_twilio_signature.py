"""Twilio's signature. The counterpart is Twilio's own SDK."""

import base64
import hashlib
import hmac
import json
from urllib.parse import urlencode

import pytest
from tests.channels.fixtures import TWILIO_FORM as FORM
from tests.channels.fixtures import TWILIO_TOKEN as TOKEN
from tests.channels.fixtures import TWILIO_URL as URL
from tests.channels.fixtures import fixture, message_of
from tests.channels.fixtures import twilio_post as post
from twilio.request_validator import RequestValidator

from ctxbridge.channels import Twilio
from ctxbridge.model import (
    RawRequest,
    Verification,
)


def signed(form: dict[str, str], token: str = TOKEN, url: str = URL) -> RawRequest:
    return post(form, RequestValidator(token).compute_signature(url, form), url)


def vectors() -> list[dict[str, object]]:
    found = json.loads(fixture("signatures/vectors.json").read_text())
    return [vector for vector in found if vector["provider"] == "twilio"]


def test_all_published_vectors_give_the_published_answer() -> None:
    """Acceptance 1, 10 and 13: also with ports, and with duplicate parameters."""
    seen = vectors()
    assert len(seen) >= 6
    for vector in seen:
        request = post(vector["params"], vector["signature"], vector["url"])
        status = Twilio(vector["token"]).verify(request).status
        assert status == ("verified" if vector["valid"] else "failed"), vector["name"]


def test_what_the_sdk_signs_is_verified_and_binds_the_body() -> None:
    """Acceptance 9: blank fields count."""
    assert FORM["FromCity"] == ""
    expected = Verification("verified", "twilio", binds_body=True, key=0)
    assert Twilio(TOKEN).verify(signed(FORM)) == expected


@pytest.mark.parametrize("name", ["Body", "From", "FromCity", "MessageSid"])
def test_a_changed_field_fails(name: str) -> None:
    """Acceptance 2, for the body."""
    signature = RequestValidator(TOKEN).compute_signature(URL, FORM)
    changed = FORM | {name: FORM[name] + "x"}
    assert Twilio(TOKEN).verify(post(changed, signature)).status == "failed"


def test_any_byte_flipped_in_the_signature_or_the_url_fails() -> None:
    """Acceptance 2."""
    good = RequestValidator(TOKEN).compute_signature(URL, FORM)
    flips = [good[:at] + chr(ord(good[at]) ^ 1) + good[at + 1 :] for at in range(len(good))]
    assert {Twilio(TOKEN).verify(post(FORM, flip)).status for flip in flips} == {"failed"}
    urls = [URL[:at] + chr(ord(URL[at]) ^ 1) + URL[at + 1 :] for at in range(len(URL))]
    assert {Twilio(TOKEN).verify(post(FORM, good, url)).status for url in urls} == {"failed"}


@pytest.mark.parametrize("signature", [None, "", "é" * 28, "x" * 10_000, " ", "\udc80" * 28])
def test_a_signature_that_is_none_fails(signature: str | None) -> None:
    """Acceptance 4."""
    assert Twilio(TOKEN).verify(post(FORM, signature)).status == "failed"


def test_a_repeated_signature_fails_even_if_both_are_right() -> None:
    """Acceptance 4."""
    good = RequestValidator(TOKEN).compute_signature(URL, FORM)
    twice = post(FORM, good, URL, ("x-twilio-signature", good))
    assert Twilio(TOKEN).verify(twice).status == "failed"


def test_while_a_token_is_replaced_both_are_good_and_the_key_tells_which() -> None:
    """Acceptance 8."""
    channel = Twilio(["new", "old"])
    assert [channel.verify(signed(FORM, t)).key for t in ("new", "old", "other")] == [0, 1, -1]


def test_without_a_token_a_request_is_unsigned() -> None:
    assert Twilio().verify(post(FORM)).status == "unsigned"


@pytest.mark.parametrize(
    "configured",
    [
        "https://public.example.org/twilio",
        "https://public.example.org/twilio?foo=1",
        "https://public.example.org",
        "https://public.example.org:443/twilio",
        "https://public.example.org/twilio#rc=2&rt=5000",
    ],
)
def test_behind_a_proxy_the_configured_url_counts(configured: str) -> None:
    """Acceptance 11."""
    form = dict(FORM)
    signature = RequestValidator(TOKEN).compute_signature(
        "https://public.example.org/twilio?foo=1", form
    )
    request = post(form, signature, "http://internal:8080/twilio?foo=1")
    assert Twilio(TOKEN, url=configured).verify(request).status == "verified"
    assert Twilio(TOKEN).verify(request).status == "failed"


@pytest.mark.parametrize(
    ("called", "signed_url"),
    [
        ("https://[2001:db8::1]/t", "https://[2001:db8::1]:443/t"),
        ("https://[2001:db8::1]:443/t", "https://[2001:db8::1]/t"),
        ("https://[2001:db8::1]:8443/t", "https://[2001:db8::1]:8443/t"),
        ("https://ann:pw@example.org/t", "https://ann:pw@example.org/t"),
        ("https://ann:pw@example.org:443/t", "https://ann:pw@example.org/t"),
        ("http://example.org/t", "http://example.org:80/t"),
        ("https://example.org", "https://example.org:443"),
    ],
)
def test_ports_may_be_written_or_left_out(called: str, signed_url: str) -> None:
    """Acceptance 13, IPv6 and userinfo included."""
    signature = RequestValidator(TOKEN).compute_signature(signed_url, FORM)
    assert Twilio(TOKEN).verify(post(FORM, signature, called)).status == "verified"


@pytest.mark.parametrize("url", ["", "/", "https://", "https://[::1", "\udcff://x", "//a:b:c@:d/"])
def test_a_url_that_is_none_fails(url: str) -> None:
    assert Twilio(TOKEN).verify(post(FORM, "x" * 28, url)).status == "failed"


def test_a_get_is_covered_by_its_url_alone() -> None:
    """Acceptance 14."""
    url = "https://hooks.example.org/twilio?" + urlencode(FORM)
    signature = RequestValidator(TOKEN).compute_signature(url, {})
    request = RawRequest(b"", (("X-Twilio-Signature", signature),), "GET", url)
    verification = Twilio(TOKEN).verify(request)
    assert (verification.status, verification.binds_body) == ("verified", False)
    assert message_of(Twilio(TOKEN).parse(request, verification)).text == FORM["Body"]


def json_request(body: bytes, query: str) -> RawRequest:
    url = f"https://hooks.example.org/twilio{query}"
    signature = RequestValidator(TOKEN).compute_signature(url, {})
    headers = (("Content-Type", "application/json"), ("X-Twilio-Signature", signature))
    return RawRequest(body, headers, "POST", url)


def test_a_json_body_is_bound_by_its_hash_in_the_url() -> None:
    body = b'{"a": 1}'
    query = "?bodySHA256=" + hashlib.sha256(body).hexdigest()
    assert Twilio(TOKEN).verify(json_request(body, query)).status == "verified"
    assert Twilio(TOKEN).verify(json_request(body + b" ", query)).status == "failed"
    assert Twilio(TOKEN).verify(json_request(body, query + "&bodySHA256=x")).status == "failed"


@pytest.mark.parametrize("query", ["", "?x=1", "?bodySHA256=", "?bodySHA256=%ff"])
def test_a_json_body_without_its_hash_fails(query: str) -> None:
    """Acceptance 12."""
    assert Twilio(TOKEN).verify(json_request(b"{}", query)).status == "failed"


def test_a_shared_key_signs_with_the_algorithm_it_names() -> None:
    name = "X-Twilio-Webhooks-Signature-Settings"
    signature = RequestValidator(TOKEN).compute_signature(URL, FORM, "HMAC_SHA256")
    ok = post(FORM, signature, URL, (name, "key=k1,algorithm=HMAC_SHA256"))
    assert Twilio(TOKEN).verify(ok).status == "verified"
    odd = post(FORM, signature, URL, (name, "key=k1,algorithm=none"))
    assert Twilio(TOKEN).verify(odd).status == "failed"


def test_bytes_that_are_no_utf8_are_signed_as_they_came() -> None:
    body = b"MessageSid=SM1&From=%2B15550001111&To=%2B15550002222&Body=caf%E9"
    data = URL.encode() + b"Bodycaf\xe9" + b"From+15550001111" + b"MessageSidSM1To+15550002222"
    mac = base64.b64encode(hmac.new(TOKEN.encode(), data, "sha1").digest()).decode()
    request = RawRequest(body, (("X-Twilio-Signature", mac),), "POST", URL)
    verification = Twilio(TOKEN).verify(request)
    assert verification.status == "verified"
    assert message_of(Twilio(TOKEN).parse(request, verification)).text == "caf\ufffd"
