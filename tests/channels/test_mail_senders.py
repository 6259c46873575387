"""Who a mail is from: forged, odd and honest From headers, and who vouches for them."""

import pytest
from tests.channels.fixtures import message_of, reason, with_body

from ctxbridge.channels import Email
from ctxbridge.channels.mail.addresses import mailboxes
from ctxbridge.model import Address, Assurance, Endpoint, Inbound, Parsed, Verification

UNSIGNED = Verification("unsigned")
PASS = b"Authentication-Results: mx.ours; dmarc=pass header.from=x.y\r\n"


def parsed(head: bytes, channel: Email | None = None) -> Parsed:
    raw = head.rstrip(b"\r\n") + b"\r\n\r\nHello\r\n"
    return (channel or Email()).parse(with_body(raw), UNSIGNED)


def mail(head: bytes, channel: Email | None = None) -> Inbound:
    return message_of(parsed(head, channel))


PLAIN, MISMATCH, AMBIGUOUS = (), ("from.mismatch",), ("from.ambiguous",)
BOTH = ("from.mismatch", "from.ambiguous")

SENDERS: list[tuple[bytes, str, tuple[str, ...]]] = [
    (b"From: evil@x.y", "evil@x.y", PLAIN),
    (b"From: <evil@x.y>", "evil@x.y", PLAIN),
    (b"From: Eve <evil@x.y>", "evil@x.y", PLAIN),
    (b"From: Eve Il evil@x.y", "evil@x.y", PLAIN),
    (b"From:evil@x.y", "evil@x.y", PLAIN),
    (b"fRoM: Eve <EVIL@X.Y>", "evil@x.y", PLAIN),
    (b"From: foo@bar.com <evil@x.y>", "evil@x.y", MISMATCH),
    (b'From: "foo@bar.com" <evil@x.y>', "evil@x.y", MISMATCH),
    (b'From: "Bank <foo@bar.com>" <evil@x.y>', "evil@x.y", MISMATCH),
    (b"From: =?utf-8?q?foo=40bar=2Ecom?= <evil@x.y>", "evil@x.y", MISMATCH),
    (b"From: =?utf-8?B?Zm9vQGJhci5jb20=?= <evil@x.y>", "evil@x.y", MISMATCH),
    (b'From: "evil@x.y" <evil@x.y>', "evil@x.y", PLAIN),
    (b"From: evil@x.y <evil@x.y>", "evil@x.y", PLAIN),
    (b"From: a@evil.com, b@bank.com", "a@evil.com", AMBIGUOUS),
    (b"From: victim@bank, evil@x.y", "victim@bank", AMBIGUOUS),
    (b"From: <a@evil.com>b@bank.com", "a@evil.com", BOTH),
    (b"From: <a@evil.com> <b@bank.com>", "a@evil.com", AMBIGUOUS),
    (b"From: b@bank.com c@bank.com <a@evil.com>", "a@evil.com", BOTH),
    (b"From: a@evil.com b@bank.com", "a@evil.com", AMBIGUOUS),
    (b"From: evil@x.y\r\nFrom: b@bank.com", "evil@x.y", AMBIGUOUS),
    (b"From: evil@x.y\r\nFrom: nobody", "evil@x.y", AMBIGUOUS),
    (b"From: Eve (b@bank.com) <evil@x.y>", "evil@x.y", PLAIN),
    (b"From: Eve (a (nested) comment) <evil@x.y>", "evil@x.y", PLAIN),
    (b"From: evil@x.y (b@bank.com)", "evil@x.y", PLAIN),
    (b"From: (" + b"(" * 3000 + b")" * 3001 + b" evil@x.y", "evil@x.y", PLAIN),
    (b"From: pete(his account)@silly.test(his host)", "pete@silly.test", PLAIN),
    (b"From: Pete <pete(his account)@silly.test(his host)>", "pete@silly.test", PLAIN),
    (b"From: A Group: evil@x.y, b@bank.com;", "evil@x.y", AMBIGUOUS),
    (b"From: A Group: Eve <evil@x.y>;", "evil@x.y", PLAIN),
    (b"From: Doe, Eve <evil@x.y>", "evil@x.y", PLAIN),
    (b'From: "Doe, Eve" <evil@x.y>', "evil@x.y", PLAIN),
    (b'From: "Eve \\"Il\\" Doe" <evil@x.y>', "evil@x.y", PLAIN),
    (b"From: Eve\r\n <evil@x.y>", "evil@x.y", PLAIN),
    (b"From: Eve <\r\n evil@x.y>", "evil@x.y", PLAIN),
    (b"From: <@relay.example,@b.example:evil@x.y>", "evil@x.y", PLAIN),
    (b"From: evil @ x.y", "evil@x.y", PLAIN),
    (b"From: Eve <evil@x.y", "evil@x.y", PLAIN),
    (b'From: "Eve <evil@x.y>', "", PLAIN),
    (b'From: "evil"@x.y', "evil@x.y", PLAIN),
    (b"From: eve+tag@x.y", "eve+tag@x.y", PLAIN),
    (b"From: evil@x.y.", "evil@x.y", PLAIN),
    (b"From: evil@[192.0.2.1]", "evil@[192.0.2.1]", PLAIN),
    (b"From: J\xc3\xbcrgen <evil@x.y>", "evil@x.y", PLAIN),
    ("From: <jürgen@müller.example>".encode(), "jürgen@müller.example", PLAIN),
    (b"From: b@bank.com@evil.com", "", PLAIN),
    (b"From: <b@bank.com@evil.com>", "", PLAIN),
    (b"From: <b@bank.com,evil@x.y>", "", PLAIN),
    (b"From: =?utf-8?q?b=40bank.com?=", "", PLAIN),
    (b"From: <=?utf-8?q?b=40bank.com?=>", "", PLAIN),
    (b"From: =?utf-8?q?b@bank.com?=", "", PLAIN),
    (b'From: "b c"@bank.com', "", PLAIN),
    (b'From: "b\\"x"@bank.com', "", PLAIN),
    (b'From: <"b\\"x"@bank.com>', "", PLAIN),
    (b'From: <"b"x"@bank.com>', "", PLAIN),
    (b'From: x"b"@bank.com', "", PLAIN),
    (b'From: "x b@bank.com y"@evil.com', "", PLAIN),
    ("From: \u212aate@ban\u212a.com".encode(), "\u212aate@ban\u212a.com", PLAIN),
    ("From: \u212bSE@x.y".encode(), "\u212bse@x.y", PLAIN),
    (b"From: @bank.com", "", PLAIN),
    (b"From: b@", "", PLAIN),
    (b"From: <>", "", PLAIN),
    (b"From:", "", PLAIN),
    (b"From: b\x00c@bank.com", "", PLAIN),
    (b"From: b@ba nk.com", "b@ba", PLAIN),
    (b"From: " + b"b" * 300 + b"@bank.com", "", PLAIN),
    (b"To: b@bank.com", "", PLAIN),
    (b"Reply-To: r@bank.com", "", PLAIN),
    (b"Reply-To: r@bank.com\r\nSender: b@bank.com", "b@bank.com", ("from.ambiguous",)),
]


@pytest.mark.parametrize(("head", "address", "flags"), SENDERS, ids=range(len(SENDERS)))
def test_the_sender_is_read_without_being_fooled(
    head: bytes, address: str, flags: tuple[str, ...]
) -> None:
    """Acceptance 62, and S1 of the threats."""
    got = parsed(head)
    if not address:
        assert reason(got).startswith("Malformed")
        assert "bank" not in reason(got)
        return
    message = message_of(got)
    assert message.sender == Address("email", address)
    assert message.flags == flags
    assert message.assurance == Assurance.CLAIMED


OURS = Email(authserv_id="mx.ours")
VOUCHED = (b"x.y", b"bank.com", b"evil.com")


@pytest.mark.parametrize("vouched", VOUCHED)
@pytest.mark.parametrize(("head", "address", "flags"), SENDERS, ids=range(len(SENDERS)))
def test_a_domain_that_passes_vouches_for_its_own_addresses_alone(
    head: bytes, address: str, flags: tuple[str, ...], vouched: bytes
) -> None:
    """S1 of the threats: whoever passes DMARC for a domain of theirs becomes nobody else by it."""
    results = b"Authentication-Results: mx.ours; dmarc=pass header.from=" + vouched + b"\r\n"
    got = parsed(results + head, OURS)
    for message in got.events:
        assert isinstance(message, Inbound)
        certain = message.assurance > Assurance.CLAIMED
        assert message.assurance <= Assurance.CHANNEL
        assert message.sender.value == address
        if certain:
            assert message.sender.value.endswith("@" + vouched.decode())
            assert "from.ambiguous" not in message.flags
        elif address.endswith("@" + vouched.decode()):
            assert "from.ambiguous" in flags


def test_there_are_two_hundred_cases_of_it() -> None:
    assert len(SENDERS) * len(VOUCHED) >= 200


@pytest.mark.parametrize(
    "results",
    [
        PASS,
        b"Authentication-Results: MX.ours 1; spf=fail; dmarc=pass (p=NONE) header.from=X.Y\r\n",
        (
            b"Authentication-Results: mx.ours;\r\n dkim=pass header.d=x.y;\r\n"
            b" dmarc=pass (a; dmarc=fail) action=none header.from=x.y\r\n"
        ),
        PASS + b"Authentication-Results: mx.ours; dmarc=fail header.from=x.y\r\n",
    ],
)
def test_our_own_server_may_vouch_for_the_sender(results: bytes) -> None:
    assert mail(results + b"From: Eve <evil@x.y>", OURS).assurance == Assurance.CHANNEL
    assert mail(results + b"From: Eve <evil@x.y>").assurance == Assurance.CLAIMED


@pytest.mark.parametrize(
    "results",
    [
        b"",
        b"Authentication-Results: mx.other; dmarc=pass header.from=x.y\r\n",
        b"Authentication-Results: mx.ours.evil; dmarc=pass header.from=x.y\r\n",
        b"Authentication-Results: mx.ours (x) evil; dmarc=pass header.from=x.y\r\n",
        b"Authentication-Results: mx.other; dmarc=none\r\n" + PASS,
        b"Authentication-Results: mx.ours; dmarc=fail header.from=x.y\r\n" + PASS,
        b"Authentication-Results: mx.ours; spf=pass smtp.mailfrom=x.y\r\n" + PASS,
        b"Authentication-Results: mx.ours; dmarc=fail header.from=x.y; dmarc=pass header.from=x.y\r\n",
        b"Authentication-Results: mx.ours; dmarc=pass header.from=bank.com\r\n",
        b"Authentication-Results: mx.ours; dmarc=pass header.from=sub.x.y\r\n",
        b"Authentication-Results: mx.ours; dmarc=pass\r\n",
        b"Authentication-Results: mx.ours; dmarc=pass header.from=x.y header.from=bank.com\r\n",
        b"Authentication-Results: mx.ours; dkim=pass header.d=x.y; spf=pass\r\n",
        b"Authentication-Results: mx.ours; (dmarc=pass header.from=x.y)\r\n",
        b'Authentication-Results: mx.ours; dkim=fail reason="; dmarc=pass header.from=x.y"\r\n',
        b"Authentication-Results: mx.ours; x=(" + b"(" * 5000 + b"; dmarc=pass header.from=x.y\r\n",
        b"Authentication-Results: mx.ours 2; dmarc=pass header.from=x.y\r\n",
        b"Authentication-Results:\r\n" + PASS,
        # The server's own words, swallowed by what the sender left open before them.
        (
            b'Authentication-Results: mx.ours; spf=pass (mx: domain of "x);dmarc=pass header.from=x.y;'
            b'x=(("@evil.com designates 1.2.3.4) smtp.mailfrom=evil.com; dmarc=fail header.from=x.y\r\n'
        ),
        (
            b"Authentication-Results: mx.ours; spf=pass smtp.mailfrom=a;dmarc=pass header.from=x.y;"
            b'x="@evil.com; dmarc=fail header.from=x.y\r\n'
        ),
        "Authentication-Results: mx.ours; dmar\u212a=pass header.from=x.y\r\n".encode(),
        b"Authentication-Results : mx.ours; dmarc=fail header.from=x.y\r\n" + PASS,
        b"Authentication-Results: mx.ours; " + b"a=b; " * 3000 + b"dmarc=pass header.from=x.y\r\n",
    ],
    ids=range(23),
)
def test_nobody_else_may_and_no_forgery_below(results: bytes) -> None:
    """Acceptance 72."""
    assert mail(results + b"From: Eve <evil@x.y>", OURS).assurance == Assurance.CLAIMED


@pytest.mark.parametrize(
    "head",
    [
        b"From: evil@x.y\r\nFrom: evil@x.y",
        b"From : a@b.c\r\nFrom: evil@x.y",
        b"From: evil@x.y, b@x.y",
        b"From: <evil@x.y> <b@x.y>",
    ],
)
def test_an_ambiguous_sender_is_never_more_than_claimed(head: bytes) -> None:
    assert mail(PASS + head, OURS).assurance == Assurance.CLAIMED


def test_the_kelvin_sign_is_no_k_where_somebody_vouches() -> None:
    results = PASS.replace(b"x.y", b"k.y")
    assert mail(results + "From: evil@\u212a.y".encode(), OURS).assurance == Assurance.CLAIMED


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\n\nFrom: a@x.y\r\nSubject: Hi\r\n\r\nHello",
        b"\xef\xbb\xbfFrom: a@x.y\r\nSubject: Hi\r\n\r\nHello",
        b"From \t: a@x.y\r\nSubject : Hi\r\n\r\nHello",
        b"garbage\r\nFrom: a@x.y\r\nSubject: Hi\r\n\r\nHello",
        b"From: a@x.y\r\ngarbage\r\n , b@bank.com\r\nSubject: Hi\r\n\r\nHello",
        b"From a@x.y Thu May 28 20:26:40 2026\nFrom: a@x.y\nSubject: Hi\n\nHello",
        b"From: a@x.y\rgarbage\rSubject: Hi\r\rHello",
        b"From: a@x.y\nSubject: Hi\nHello",
    ],
    ids=range(8),
)
def test_a_header_block_with_a_flaw_is_read(raw: bytes) -> None:
    message = message_of(Email().parse(with_body(raw), UNSIGNED))
    found = (message.sender.value, message.subject, message.text, message.flags)
    assert found == ("a@x.y", "Hi", "Hello", ())


def test_words_that_follow_headers_without_an_empty_line_are_not_taken_for_a_flaw() -> None:
    raw = b"From: a@x.y\nHello\nthere\nmy\norder\nNumber: 5\n\ngarbage\nFrom: b@x.y\n"
    message = message_of(Email().parse(with_body(raw), UNSIGNED))
    assert message.text == "Hello\nthere\nmy\norder\nNumber: 5\n\ngarbage\nFrom: b@x.y"
    raw = b"From: a@x.y\n\ngarbage\nX : y\n"
    assert message_of(Email().parse(with_body(raw), UNSIGNED)).text == "garbage\nX : y"


@pytest.mark.parametrize(
    "head",
    [
        b"Auto-Submitted: auto-replied",
        b"Auto-Submitted: auto-generated (rejected)",
        b"Precedence: bulk",
        b"precedence: Junk",
        b"Precedence: auto_reply",
        b"List-Id: <list.example.org>",
        b"List-Unsubscribe: <mailto:x@y.z>",
        b"X-Auto-Response-Suppress: DR, OOF",
        b"X-Autoreply: yes",
        b"X-Auto-Reply-From: x",
        b"Return-Path: <>",
        b"Feedback-ID: 1:2:3",
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=b",
    ],
)
def test_automatic_mail_is_flagged(head: bytes) -> None:
    """Acceptance 68."""
    assert mail(head + b"\r\nFrom: a@x.y").flags == ("auto",)


@pytest.mark.parametrize(
    "name", ["mailer-daemon", "Postmaster", "no-reply", "noreply+1", "bounces"]
)
def test_programs_are_known_by_their_address(name: str) -> None:
    assert mail(f"From: {name}@x.y".encode()).flags == ("auto",)


@pytest.mark.parametrize(
    "head",
    [
        b"Auto-Submitted: no",
        b"Precedence: first-class",
        b"X-Auto-Response-Suppress: None",
        b"Return-Path: <a@x.y>",
        b"Subject: noreply",
    ],
)
def test_mail_of_people_is_not(head: bytes) -> None:
    assert mail(head + b"\r\nFrom: reply@x.y").flags == ()


@pytest.mark.parametrize(
    ("channel", "head", "endpoint"),
    [
        (Email("Help@Shop.Example"), b"To: other@x.y", "help@shop.example"),
        (Email(), b"To: Shop <Help@shop.example>, b@x.y", "help@shop.example"),
        (Email(), b"To: undisclosed-recipients:;", "unknown"),
        (Email(), b"Cc: b@x.y", "unknown"),
    ],
    ids=range(4),
)
def test_the_endpoint_is_the_mailbox_or_the_first_recipient(
    channel: Email, head: bytes, endpoint: str
) -> None:
    """Acceptance 73: a blind copy is still routed."""
    assert mail(b"From: a@x.y\r\n" + head, channel).endpoint == Endpoint("email", endpoint)


def test_a_list_of_many_recipients_is_bounded() -> None:
    """Acceptance 60."""
    assert len(mailboxes(", ".join(f"a{n}@x.y" for n in range(20_000)))) == 100
