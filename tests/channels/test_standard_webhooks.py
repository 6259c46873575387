"""Standard Webhooks. The counterpart is the standard's own package."""

import base64
import json
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook
from tests.channels.fixtures import NOW, fixture, message_of, only, reason

from ctxbridge.channels import Email, StandardWebhooks
from ctxbridge.errors import ConfigurationError
from ctxbridge.model import Capabilities, Notice, Parsed, RawRequest, Verification
from ctxbridge.ports import Channel

SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 24).decode()
AT = NOW // 1000
BODY = b'{"type": "email.received", "data": {"subject": "\\u00e9"}}'


def signed(
    body=BODY, secret=SECRET, id="msg_1", at=AT, prefix="webhook", signature=None
) -> RawRequest:
    made = Webhook(secret).sign(id, datetime.fromtimestamp(at, UTC), body.decode())
    value = made if signature is None else signature
    headers = (
        (f"{prefix}-id", id),
        (f"{prefix}-timestamp", str(at)),
        (f"{prefix}-signature", value),
    )
    return RawRequest(body, headers, received_at=NOW)


def changed(request: RawRequest, name: str, *values: str) -> RawRequest:
    kept = [(k, v) for k, v in request.headers if not k.endswith(name)]
    return RawRequest(
        request.body, (*kept, *((f"webhook-{name}", v) for v in values)), received_at=NOW
    )


def status(request: RawRequest, channel: StandardWebhooks | None = None) -> str:
    return (channel or StandardWebhooks(SECRET)).verify(request).status


def test_it_fills_the_port() -> None:
    made: Channel = StandardWebhooks(SECRET)
    assert made.capabilities == Capabilities()


def test_1_the_published_vector_gives_the_published_answer() -> None:
    vectors = json.loads(fixture("signatures/vectors.json").read_text())
    (v,) = [v for v in vectors if v["provider"] == "standard_webhooks"]
    headers = (
        ("webhook-id", v["id"]),
        ("webhook-timestamp", v["timestamp"]),
        ("webhook-signature", v["signature"]),
    )
    request = RawRequest(v["body"].encode(), headers, received_at=int(v["timestamp"]) * 1000)
    assert StandardWebhooks(v["secret"]).verify(request).status == "verified"
    assert StandardWebhooks(OTHER).verify(request).status == "failed"


@pytest.mark.parametrize("prefix", ["webhook", "svix"])
def test_what_the_package_signs_is_verified_and_binds_the_body(prefix: str) -> None:
    expected = Verification("verified", "standard-webhooks", binds_body=True, key=0)
    assert StandardWebhooks(SECRET).verify(signed(prefix=prefix)) == expected
    assert StandardWebhooks(SECRET.removeprefix("whsec_")).verify(signed()) == expected


def test_2_any_byte_flipped_fails() -> None:
    good = signed()
    for at in range(len(BODY)):
        body = bytes([*BODY[:at], BODY[at] ^ 1, *BODY[at + 1 :]])
        assert status(RawRequest(body, good.headers, received_at=NOW)) == "failed"
    assert status(changed(good, "id", "msg_2")) == "failed"
    assert status(changed(good, "timestamp", str(AT + 1))) == "failed"
    value = good.header("webhook-signature") or ""
    for at in range(3, len(value) - 2):
        flipped = value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]
        assert status(changed(good, "signature", flipped)) == "failed"


def test_23_one_right_signature_of_several_will_do() -> None:
    value = signed().header("webhook-signature")
    for several in (f"v1,AAAA {value}", f"{value} v1,AAAA", f"v1a,x {value} v2,y", f"v1, {value}"):
        assert status(changed(signed(), "signature", several)) == "verified"
    for none in (
        "v1,AAAA v1,BBBB",
        f"v1a{value}",
        "v1",
        "v1,",
        ",",
        " ",
        f"v1,{value}",
        "v1,x " * 16 + f"{value}",
    ):
        assert status(changed(signed(), "signature", none)) == "failed"


@pytest.mark.parametrize("name", ["id", "timestamp", "signature"])
@pytest.mark.parametrize("value", [None, "", "é", "x" * 10_000, "\udc80", "a\nb"])
def test_4_a_header_that_is_missing_or_none_fails(name: str, value: str | None) -> None:
    assert status(changed(signed(), name, *([] if value is None else [value]))) == "failed"


def test_4_a_repeated_header_fails_even_if_both_are_right() -> None:
    for name in ("id", "timestamp", "signature"):
        value = signed().header(f"webhook-{name}") or ""
        assert status(changed(signed(), name, value)) == "verified"
        assert status(changed(signed(), name, value, value)) == "failed"


@pytest.mark.parametrize("timestamp", ["", "x", "-1", "1" + "0" * 30, f"{AT}.0", f" {AT}", "１"])
def test_5_a_time_that_is_none_fails(timestamp: str) -> None:
    assert status(changed(signed(), "timestamp", timestamp)) == "failed"


@pytest.mark.parametrize(
    ("age", "expected"), [(300, "verified"), (301, "failed"), (-300, "verified"), (-301, "failed")]
)
def test_6_what_is_too_old_or_from_the_future_fails(age: int, expected: str) -> None:
    assert status(signed(at=AT - age)) == expected
    assert (
        status(signed(at=AT - age), StandardWebhooks(SECRET, tolerance_seconds=400.0)) == "verified"
    )


def test_8_while_a_secret_is_replaced_both_are_good_and_the_key_tells_which() -> None:
    made = StandardWebhooks([OTHER, SECRET])
    third = "whsec_" + base64.b64encode(b"t" * 24).decode()
    assert [made.verify(signed(secret=s)).key for s in (OTHER, SECRET, third)] == [0, 1, -1]


@pytest.mark.parametrize("secret", ["whsec_", "not base64!", "whsec_é"])
def test_24_a_secret_that_is_none_refuses_to_start(secret: str) -> None:
    with pytest.raises(ConfigurationError):
        StandardWebhooks(secret)


def read(channel: StandardWebhooks, request: RawRequest) -> Parsed:
    return channel.parse(request, channel.verify(request))


def test_another_adapter_reads_what_was_verified() -> None:
    """Whoever posts raw mail under a signature is read as any mail."""
    raw = b"From: Ann <ann@example.org>\r\nMessage-ID: <1@x>\r\n\r\nHello"
    made = StandardWebhooks(
        SECRET, Email("help@acme.example").parse, name="acme-mail", channel="email"
    )
    found = message_of(read(made, signed(raw)))
    assert (found.sender.value, found.text, found.endpoint.value) == (
        "ann@example.org",
        "Hello",
        "help@acme.example",
    )
    assert reason(read(made, signed(raw, OTHER))).startswith("SignatureInvalid")
    assert made.reply(read(made, signed(raw, OTHER))).status == 401
    assert made.reply(read(made, signed(raw))).status == 200


def test_without_a_reader_an_event_is_told_as_unsupported() -> None:
    told = only(read(StandardWebhooks(SECRET), signed()), Notice)
    assert (told.kind, told.value, told.event_id) == ("unsupported", "email.received", "msg_1")
    for body in (b"", b"{", b"[]", b"{}", b'{"type": 1}', b'{"type": ""}'):
        assert reason(read(StandardWebhooks(SECRET), signed(body))).startswith("Malformed")


def test_a_reader_that_raises_or_gives_nothing_is_no_exception() -> None:
    for reader in (
        lambda _r, _v: 1 / 0,
        lambda _r, _v: None,
        lambda _r: Parsed(),
        lambda _r, _v: [],
    ):
        assert reason(read(StandardWebhooks(SECRET, reader), signed())).startswith("Malformed")
