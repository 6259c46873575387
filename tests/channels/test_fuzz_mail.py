"""The fuzzing of `test_fuzz`, for the providers of mail: nothing raises, nothing forged is accepted."""

import random
import time
from collections.abc import Callable

import pytest
from tests.channels.fixtures import NOW
from tests.channels.mail_posts import (
    AT,
    CREDENTIALS,
    KEY,
    POSTMARK,
    SECRET,
    SENDGRID,
    TOKEN,
    mailgun,
    mailgun_event,
    postmark,
    public_key,
    sendgrid,
    sendgrid_signed,
)
from tests.channels.test_fuzz import MAILS, SCALE, header, mutated, surprises
from tests.channels.test_standard_webhooks import SECRET as WHSEC
from tests.channels.test_standard_webhooks import signed as webhook

from ctxbridge.channels import Email, Mailgun, Postmark, SendGrid, StandardWebhooks
from ctxbridge.model import RawRequest
from ctxbridge.ports import Channel

FILES = [("attachment1", "a.txt", "text/plain", b"abc")]
EVENTS = b'[{"event":"bounce","email":"a@x.y","sg_message_id":"a.filter","delivery":"' + b"a" * 32 + b'"},{"event":"unsubscribe","email":"a@x.y","sg_event_id":"1"}]'  # fmt: skip
EVENT = {
    "event": "failed", "severity": "permanent", "recipient": "a@x.y", "user-variables": {"delivery": "a" * 32},
    "message": {"headers": {"message-id": "1@x", "from": "A <b@x.y>"}}, "timestamp": 1534110422.38,
}  # fmt: skip
BOUNCE = {"RecordType": "Bounce", "Type": "HardBounce", "MessageID": "x", "Email": "a@x.y", "BouncedAt": "2016-04-27T16:28:50.3963933-04:00"}  # fmt: skip

SEEDS: dict[str, list[RawRequest]] = {
    "sendgrid": [
        sendgrid({**SENDGRID, "attachment-info": '{"attachment1":{"type":"a/b"}}'}, FILES),
        sendgrid({"email": MAILS[0], "envelope": '{"to":["a@x.y"]}', "dkim": "{@x.y : pass}"}),
        sendgrid_signed(EVENTS, "application/json"),
    ],
    "mailgun": [mailgun(), mailgun(files=FILES), mailgun({"body-mime": MAILS[1]}), mailgun_event(EVENT)],
    "postmark": [postmark(), postmark({**POSTMARK, "RawEmail": MAILS[0].decode("latin-1")}), postmark(BOUNCE)],
    "standard-webhooks": [webhook(), webhook(MAILS[2].replace(b"\x1b", b"")), webhook(b"[]", prefix="svix")],
}  # fmt: skip
CHANNELS: dict[str, list[Channel]] = {
    "sendgrid": [SendGrid(), SendGrid([public_key()], mailbox="a@b.example", reply_secret=SECRET)],
    "mailgun": [Mailgun(), Mailgun([KEY, "x"], reply_secret=SECRET, own_domains=["x"])],
    "postmark": [Postmark(), Postmark(CREDENTIALS, trust_spam_tests=True, reply_secret=SECRET)],
    "standard-webhooks": [StandardWebhooks(), StandardWebhooks([WHSEC], Email().parse)],
}
ALL = pytest.mark.parametrize("name", sorted(SEEDS))


def damaged(name: str) -> Callable[[random.Random], RawRequest]:
    """Makes damaged requests: bytes of the body, and sometimes of the headers."""

    def make(chance: random.Random) -> RawRequest:
        seed = chance.choice(SEEDS[name])
        headers = seed.headers
        if chance.random() < 0.3:
            headers = tuple((k, header(v.encode(), chance)) for k, v in headers)
        return RawRequest(mutated(seed.body, chance), headers, received_at=NOW)

    return make


@ALL
def test_3_damaged_requests_only_give_values(name: str) -> None:
    assert surprises(CHANNELS[name], damaged(name), 1_200, 1) == []


@ALL
def test_3_of_twenty_thousand_damaged_requests_none_is_taken_for_a_good_one(name: str) -> None:
    """Accepted is only what is, in all that its signature covers, what was signed."""
    chance, channel, make = random.Random(2), CHANNELS[name][1], damaged(name)
    good = {_covered(name, seed) for seed in SEEDS[name]}
    accepted = 0
    for _ in range(int(20_000 * SCALE)):
        request = make(chance)
        if channel.verify(request).status == "verified":
            accepted += 1
            assert _covered(name, request) in good, request
    assert accepted > 0  # some were not damaged where it counts


def _covered(name: str, request: RawRequest) -> object:
    """What the signature of `name` covers in a request."""
    if name == "postmark":
        # The scheme's case is free.
        return tuple((request.header("authorization") or "").split()[1:])
    if name == "mailgun":
        return all(word in request.body for word in (str(AT).encode(), TOKEN.encode()))
    covered = [v for k, v in request.headers if k.lower().endswith(("timestamp", "-id"))]
    return (request.body, *covered)


@ALL
def test_3_no_damaged_request_takes_longer_than_fifty_milliseconds(name: str) -> None:
    chance, make = random.Random(3), damaged(name)
    slow = 0
    for _ in range(500):
        request, channel = make(chance), chance.choice(CHANNELS[name])
        slow += min(_seconds(channel, request) for _ in range(2)) > 0.05
    assert slow == 0


def _seconds(channel: Channel, request: RawRequest) -> float:
    start = time.process_time()
    channel.reply(channel.parse(request, channel.verify(request)))
    return time.process_time() - start


class Trusting(StandardWebhooks):
    """A verifier as one might write it in a hurry: the control that a forgery can be found."""

    def verify(self, request: RawRequest, /):
        given = request.header("webhook-signature")
        found = super().verify(
            RawRequest(SEEDS["standard-webhooks"][0].body, request.headers, received_at=NOW)
        )
        return found if given else super().verify(request)


def test_the_same_damage_gets_past_a_verifier_that_looks_at_another_body() -> None:
    chance, make, channel = random.Random(2), damaged("standard-webhooks"), Trusting(WHSEC)
    good = {_covered("standard-webhooks", seed) for seed in SEEDS["standard-webhooks"]}
    requests = [make(chance) for _ in range(2_000)]
    taken = [r for r in requests if channel.verify(r).status == "verified"]
    assert any(_covered("standard-webhooks", r) not in good for r in taken)
