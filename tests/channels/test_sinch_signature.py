"""Sinch's signature, on both of its callbacks. The signer is Sinch's own SDK."""

import json

import pytest
from sinch.domains.conversation.sinch_events.v1.conversation_sinch_event import (
    ConversationSinchEvent,
)
from tests.channels.fixtures import NOW, fixture, message_of
from tests.channels.sinch_signing import NONCE, SECONDS, SECRET, headers, signature_of, signed

from ctxbridge.channels import Sinch, SinchSms
from ctxbridge.model import RawRequest, Verification

SMS = '{"type":"mo_text","id":"1","from":"46701740605","to":"12345","body":"Hej é"}'.encode()
BODY = json.dumps(
    {"app_id": "A", "message": {"id": "01", "channel_identity": {"channel": "SMS", "identity": "46701740605"},
     "contact_message": {"text_message": {"text": "Hi"}}}}
).encode()  # fmt: skip
ADAPTERS = [Sinch, SinchSms]


def test_1_the_published_vector_gives_the_published_answer() -> None:
    found = json.loads(fixture("signatures/vectors.json").read_text())
    vectors = [vector for vector in found if vector["provider"].startswith("sinch")]
    assert vectors
    for vector in vectors:
        given = vector["headers"]
        at = int(given["x-sinch-webhook-signature-timestamp"]) * 1000
        request = RawRequest(vector["body"].encode(), tuple(given.items()), received_at=at)
        assert vector["valid"]
        verification = Sinch(vector["secret"]).verify(request)
        assert verification == Verification("verified", "sinch.hmac", binds_body=True, key=0)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_1_what_the_sdk_signs_is_verified_and_so_does_the_sdk(adapter: type) -> None:
    request = signed(BODY)
    assert adapter(SECRET).verify(request).status == "verified"
    assert ConversationSinchEvent(SECRET).validate_authentication_header(
        dict(request.headers), request.body
    )


def test_2_any_byte_flipped_in_body_nonce_time_or_signature_fails() -> None:
    good = signature_of(SMS)
    channel = SinchSms(SECRET)

    def flipped(text: str) -> list[str]:
        return [text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :] for at in range(len(text))]

    bodies = [SMS[:at] + bytes([SMS[at] ^ 1]) + SMS[at + 1 :] for at in range(len(SMS))]
    tried = [RawRequest(body, headers(good), received_at=NOW) for body in bodies]
    tried += [RawRequest(SMS, headers(s), received_at=NOW) for s in flipped(good)]
    tried += [RawRequest(SMS, headers(good, nonce), received_at=NOW) for nonce in flipped(NONCE)]
    tried += [RawRequest(SMS, headers(good, NONCE, at), received_at=NOW) for at in flipped(SECONDS)]
    assert {channel.verify(request).status for request in tried} == {"failed"}
    assert channel.verify(RawRequest(SMS, headers(good), received_at=NOW)).status == "verified"


@pytest.mark.parametrize("signature", [None, "", "é" * 44, "x" * 10_000, " ", "\udc80" * 44])
def test_4_a_signature_that_is_none_fails(signature: str | None) -> None:
    request = RawRequest(SMS, headers(signature), received_at=NOW)
    assert SinchSms(SECRET).verify(request).status == "failed"


@pytest.mark.parametrize("place", range(4))
def test_4_a_repeated_header_fails_even_if_both_are_right(place: int) -> None:
    given = headers(signature_of(SMS))
    request = RawRequest(SMS, (*given, given[place]), received_at=NOW)
    repeated_algorithm = place == 0  # it says nothing that could weaken what is checked
    status = "verified" if repeated_algorithm else "failed"
    assert SinchSms(SECRET).verify(request).status == status


@pytest.mark.parametrize("at", ["", "x", "-1", str(10**30), "1780000000.0", "1e9", "٣" * 10])
def test_5_a_timestamp_that_is_none_fails_even_if_it_is_signed(at: str) -> None:
    assert SinchSms(SECRET).verify(signed(SMS, at=at)).status == "failed"


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(0, "verified"), (299, "verified"), (-299, "verified"), (301, "failed"), (-301, "failed")],
)
def test_6_a_time_301_seconds_off_fails(seconds: int, status: str) -> None:
    late = signed(SMS, received_at=NOW + seconds * 1000)
    assert Sinch(SECRET).verify(late).status == status
    assert Sinch(SECRET, max_age_seconds=400).verify(late).status == "verified"


def test_6_without_the_time_of_the_request_nothing_is_verified() -> None:
    assert Sinch(SECRET).verify(signed(SMS, received_at=0)).status == "failed"


def test_7_a_nonce_that_comes_again_can_only_bring_the_same_event() -> None:
    """The same event again is a duplicate by its id, and is answered 200; another is refused."""
    channel = Sinch(SECRET)
    first, again = signed(BODY), signed(BODY, received_at=NOW + 60_000)
    ids = [message_of(channel.parse(r, channel.verify(r))).message_id for r in (first, again)]
    assert ids[0] == ids[1]
    assert channel.reply(channel.parse(again, channel.verify(again))).status == 200

    other = RawRequest(BODY.replace(b"Hi", b"Ho"), first.headers, received_at=NOW)
    refused = channel.parse(other, channel.verify(other))
    assert channel.reply(refused).status == 401
    late = signed(BODY, received_at=NOW + 301_000)
    assert channel.reply(channel.parse(late, channel.verify(late))).status == 401


def test_8_while_a_secret_is_replaced_both_are_good_and_the_key_tells_which() -> None:
    channel = Sinch(["new", "old"])
    keys = [channel.verify(signed(SMS, secret)).key for secret in ("new", "old", "other")]
    assert keys == [0, 1, -1]


def test_15_bytes_are_verified_and_a_nonce_with_a_dot_is_refused() -> None:
    """A dot would let the end of the body be moved into the nonce, under the same signature."""
    body, nonce = b'{"a":1}', NONCE
    moved = RawRequest(
        b'{"a"', headers(signature_of(body, nonce=nonce), f":1}}.{nonce}"), received_at=NOW
    )
    dotted = signed(b'{"a":1', nonce=f"X.{NONCE}")
    assert {Sinch(SECRET).verify(request).status for request in (moved, dotted)} == {"failed"}
    whole = b'{"a":1}.X'
    split = RawRequest(b'{"a":1}', headers(signature_of(whole), f"X.{NONCE}"), received_at=NOW)
    # The control: to the SDK, which joins with dots and asks no more, the split body is as good.
    sdk = ConversationSinchEvent(SECRET)
    assert sdk.validate_authentication_header(dict(split.headers), split.body)
    assert Sinch(SECRET).verify(split).status == "failed"


@pytest.mark.parametrize("nonce", ["", "a-b", "01FJA8B4A7BM43YGWSG9GBV067\n", "é", "X" * 65])
def test_15_a_nonce_that_is_no_plain_word_is_refused(nonce: str) -> None:
    assert Sinch(SECRET).verify(signed(SMS, nonce=nonce)).status == "failed"


@pytest.mark.parametrize(
    ("algorithm", "status"), [("HMACSHA256", "verified"), ("", "verified"), ("none", "failed")]
)
def test_no_other_algorithm_is_taken(algorithm: str, status: str) -> None:
    given = headers(signature_of(SMS), algorithm=algorithm)
    assert Sinch(SECRET).verify(RawRequest(SMS, given, received_at=NOW)).status == status


def test_a_body_over_its_limits_is_not_even_hashed() -> None:
    big = signed(b"x" * (1024 * 1024 + 1))
    assert Sinch(SECRET).verify(big).status == "failed"


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_without_a_secret_a_request_is_unsigned(adapter: type) -> None:
    assert adapter().verify(RawRequest(SMS)).status == "unsigned"
