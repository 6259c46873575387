"""The web chat: frames and tokens. The counterpart is PyJWT."""

import base64
import hmac
import json

import jwt
import pytest
from tests.channels.fixtures import NOW, message_of, reason

from ctxbridge.channels import WebChat
from ctxbridge.errors import ConfigurationError, UsageError
from ctxbridge.model import (
    Address,
    Assurance,
    Endpoint,
    Message,
    Parsed,
    RawRequest,
    Text,
    Verification,
)

SECRET = "s" * 32
SECONDS = NOW // 1000
CLAIMS = {"sub": "visitor-7", "exp": SECONDS + 60, "aud": "webchat"}
FRAME = {"type": "message", "client_msg_id": "m1", "text": "Hello", "sent_at": NOW - 5}
NAMED = FRAME | {"visitor": "v1"}
UNSIGNED = Verification("unsigned")


def frame(token: str | None = None, body: dict[str, object] | bytes = FRAME) -> RawRequest:
    headers = () if token is None else (("authorization", f"Bearer {token}"),)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RawRequest(data, headers, received_at=NOW)


def minted(claims: dict[str, object], secret: str = SECRET, **more: object) -> str:
    return jwt.encode(claims, secret, algorithm="HS256", **more)


def status(token: str | None, **settings: object) -> str:
    return WebChat(SECRET, **settings).verify(frame(token)).status


def both(request: RawRequest, channel: WebChat | None = None) -> Parsed:
    channel = channel or WebChat(SECRET)
    return channel.parse(request, channel.verify(request))


def test_a_token_of_pyjwt_is_verified_and_does_not_bind_the_body() -> None:
    expected = Verification("verified", "jwt.hs256", key=0)
    assert WebChat(SECRET).verify(frame(minted(CLAIMS))) == expected


def test_a_token_of_ours_is_read_by_pyjwt() -> None:
    token = WebChat(SECRET).token("ann", now=NOW, lifetime_seconds=60, login=True)
    read = jwt.decode(
        token, SECRET, algorithms=["HS256"], audience="webchat", options={"verify_exp": False}
    )
    assert (read["sub"], read["login"], read["exp"] - read["iat"]) == ("ann", True, 60)
    assert jwt.get_unverified_header(token)["alg"] == "HS256"


def test_a_token_of_ours_names_its_person() -> None:
    channel = WebChat(SECRET)
    login = message_of(both(frame(channel.token("ann", now=NOW, login=True))))
    guest = message_of(both(frame(channel.token("visitor-7", now=NOW))))
    assert (login.sender, login.assurance) == (Address("chat", "ann"), Assurance.AUTHENTICATED)
    assert (guest.sender, guest.assurance) == (Address("chat", "visitor-7"), Assurance.CHANNEL)


@pytest.mark.parametrize(
    "claims",
    [
        CLAIMS | {"exp": SECONDS},
        CLAIMS | {"exp": SECONDS - 1},
        {"sub": "visitor-7"},
        CLAIMS | {"exp": 10**30},
        CLAIMS | {"exp": -1},
        CLAIMS | {"exp": SECONDS - 0.5},
        CLAIMS | {"exp": 1e12},
        CLAIMS | {"iat": SECONDS + 60.5},
        CLAIMS | {"exp": True},
        CLAIMS | {"exp": None},
        CLAIMS | {"nbf": SECONDS + 61},
        CLAIMS | {"iat": SECONDS + 61},
        CLAIMS | {"aud": "other"},
        CLAIMS | {"aud": ["other"]},
        CLAIMS | {"aud": []},
        CLAIMS | {"aud": ""},
        {"exp": SECONDS + 60},
        CLAIMS | {"sub": ""},
        CLAIMS | {"sub": "x" * 201},
        CLAIMS | {"sub": "a\nb"},
        CLAIMS | {"login": "yes"},
        CLAIMS | {"login": 1},
    ],
)
def test_claims_that_do_not_hold_fail(claims: dict[str, object]) -> None:
    """Acceptance 5 and 6, for tokens."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    token = jwt.api_jws.encode(json.dumps(claims).encode(), SECRET, algorithm="HS256")
    assert payload in token
    assert status(token) == "failed"


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "visitor-7", "exp": SECONDS + 1},
        CLAIMS | {"exp": SECONDS + 0.5, "iat": SECONDS - 0.25, "nbf": float(SECONDS)},
        CLAIMS | {"iat": SECONDS + 60, "nbf": SECONDS + 60},
        CLAIMS | {"aud": ["other", "webchat"]},
        CLAIMS | {"more": {"deep": [1, 2, 3]}},
    ],
)
def test_claims_that_hold_pass(claims: dict[str, object]) -> None:
    assert status(minted(claims)) == "verified"


def test_a_token_does_not_pass_when_the_time_is_not_known() -> None:
    request = RawRequest(b"{}", (("Authorization", f"Bearer {minted(CLAIMS)}"),))
    assert WebChat(SECRET).verify(request).status == "failed"


def encoded(value: object) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


@pytest.mark.parametrize("alg", ["none", "nOnE", "RS256", "HS512", "hs256", "", None, ["HS256"]])
def test_another_algorithm_fails_even_with_a_right_hmac(alg: object) -> None:
    """Acceptance 19: neither "none" nor a public key taken for a secret."""
    signing = encoded({"alg": alg, "typ": "JWT"}) + b"." + encoded(CLAIMS)
    mac = hmac.new(SECRET.encode(), signing, "sha256").digest()
    token = (signing + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()
    assert status(token) == "failed"
    assert status(signing.decode() + ".") == "failed"


def test_extensions_that_must_be_understood_are_not() -> None:
    assert status(minted(CLAIMS, headers={"crit": ["b64"]})) == "failed"


def test_any_character_changed_in_a_token_fails() -> None:
    """Acceptance 2; the last character too, of whose bits base64 ignores some."""
    token = minted(CLAIMS)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for at, char in enumerate(token):
        other = alphabet[(alphabet.find(char) + 1) % 64]
        assert status(token[:at] + other + token[at + 1 :]) == "failed", at
    for other in alphabet:
        assert other == token[-1] or status(token[:-1] + other) == "failed"


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "...", "a.b", "a.b.c.d", "é.é.é", "x" * 5000, "\ud800", "=.=.=", " . . "],
)
def test_what_is_no_token_fails(token: str) -> None:
    assert status(token) == "failed"


def test_padding_is_not_accepted() -> None:
    assert status(minted(CLAIMS) + "=") == "failed"


def test_a_missing_token_fails_where_a_secret_is_configured() -> None:
    forged = both(frame(None))
    assert reason(forged).startswith("SignatureInvalid")
    assert WebChat(SECRET).reply(forged).status == 401


def test_a_repeated_authorization_fails_even_if_both_are_right() -> None:
    header = ("Authorization", f"Bearer {minted(CLAIMS)}")
    request = RawRequest(json.dumps(FRAME).encode(), (header, header), received_at=NOW)
    assert WebChat(SECRET).verify(request).status == "failed"


def test_while_a_secret_is_replaced_both_are_good_and_the_key_tells_which() -> None:
    """Acceptance 8."""
    channel = WebChat(["n" * 32, SECRET])
    keys = [channel.verify(frame(minted(CLAIMS, s * 32))).key for s in ("n", "s", "x")]
    assert keys == [0, 1, -1]


def test_a_websocket_may_send_its_token_in_the_frame() -> None:
    request = frame(None, FRAME | {"token": minted(CLAIMS)})
    assert message_of(both(request)).sender == Address("chat", "visitor-7")


def test_without_a_secret_visitors_are_anonymous_but_not_one_person() -> None:
    open_house = WebChat()
    named = message_of(both(frame(None, NAMED), open_house))
    assert (named.sender.value, named.assurance) == ("v1", Assurance.ANONYMOUS)
    assert "a visitor or a token is needed" in reason(both(frame(None), open_house))


def test_a_token_that_nobody_checked_gives_a_name_and_no_assurance() -> None:
    """As `ctxbridge parse` shows it, which has no secret to check with."""
    message = message_of(WebChat().parse(frame(minted(CLAIMS | {"login": True})), UNSIGNED))
    assert (message.sender.value, message.assurance) == ("visitor-7", Assurance.ANONYMOUS)
    assert reason(WebChat().parse(frame("a.b.c"), UNSIGNED)).startswith("Malformed")


def test_a_visitor_named_in_the_frame_does_not_replace_the_token() -> None:
    request = frame(minted(CLAIMS), FRAME | {"visitor": "ann"})
    assert message_of(both(request)).sender.value == "visitor-7"


def test_a_token_that_nobody_can_check_fails() -> None:
    assert WebChat().verify(frame(minted(CLAIMS))).status == "failed"


def test_a_frame_becomes_a_message() -> None:
    message = message_of(both(frame(minted(CLAIMS | {"aud": "shop"})), WebChat(SECRET, app="shop")))
    assert message.parts == (Text("Hello"),)
    assert message.endpoint == Endpoint("chat", "shop")
    assert (message.message_id, message.id_source) == ("visitor-7:m1", "sender")
    assert (message.occurred_at, message.thread) == (NOW - 5, "visitor-7")


def test_two_visitors_never_share_an_id() -> None:
    """A colon in either half must not make ``a`` + ``b:c`` the same as ``a:b`` + ``c``."""
    ids = {
        message_of(
            both(frame(minted(CLAIMS | {"sub": sub}), FRAME | {"client_msg_id": own}))
        ).message_id
        for sub, own in (("a", "b:c"), ("a:b", "c"), ("a%3Ab", "c"))
    }
    assert len(ids) == 3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'"\xff"',
        b"[" * 60_000,
        b'{"type":"message","x":' + b'{"a":' * 9_000,
        b'{"type":"message","client_msg_id":"a","text":"\xff"}',
        NAMED | {"type": "dance"},
        NAMED | {"type": "resume"},
        NAMED | {"type": 1},
        NAMED | {"client_msg_id": ""},
        NAMED | {"client_msg_id": "x" * 129},
        NAMED | {"client_msg_id": "a\u0000b"},
        NAMED | {"client_msg_id": 7},
        NAMED | {"text": ""},
        NAMED | {"text": " \n "},
        NAMED | {"text": "x" * 16_001},
        NAMED | {"text": None},
        NAMED | {"sent_at": -1},
        NAMED | {"sent_at": "soon"},
        NAMED | {"sent_at": 10**30},
        NAMED | {"visitor": "a\nb"},
        NAMED | {"pad": "x" * 70_000},
    ],
)
def test_what_is_no_frame_is_malformed(body: dict[str, object] | bytes) -> None:
    """Acceptance 82, oversize frames included."""
    malformed = WebChat().parse(frame(None, body), UNSIGNED)
    assert reason(malformed).startswith("Malformed")
    assert WebChat().reply(malformed).status == 400


def test_a_surrogate_in_text_is_replaced_or_refused_but_never_kept() -> None:
    body = b'{"type":"message","client_msg_id":"a","text":"x\\ud800y\\u0000z","visitor":"v"}'
    for event in WebChat().parse(frame(None, body), UNSIGNED).events:
        assert event.text.encode()


def test_the_answer_names_the_message_it_is_for() -> None:
    parsed = both(frame(minted(CLAIMS | {"sub": "a:b"})))
    answer = [
        Message(b"t", "agent", "chat", (Text("Hi"),), 0),
        Message(b"t", "agent", "chat", (Text("no"),), 0, "withheld"),
    ]
    reply = WebChat(SECRET).reply(parsed, answer)
    assert (reply.status, reply.content_type) == (200, "application/json")
    assert json.loads(reply.body) == {
        "type": "answer",
        "client_msg_id": "m1",
        "messages": [{"author": "agent", "text": "Hi"}],
    }


def test_making_a_token_needs_a_secret_and_a_subject() -> None:
    with pytest.raises(ConfigurationError):
        WebChat().token("ann", now=NOW)
    with pytest.raises(UsageError):
        WebChat(SECRET).token("", now=NOW)
    with pytest.raises(UsageError):
        WebChat(SECRET).token("ann", now=NOW, lifetime_seconds=0)
