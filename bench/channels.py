"""``python -m bench.channels``: a usual webhook, verified and parsed, by us and its provider's SDK.

Both get the same bytes and headers, and must find the same sender's words under the same id. The
SDKs are asked as their documentation does: Twilio's validator with the form as a dict (it has no
model of a message), Sinch's with its verifier and its typed event.
"""

import json
import sys
import time
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, urlencode

from sinch.domains.conversation.sinch_events.v1.conversation_sinch_event import (
    ConversationSinchEvent,
)
from sinch.domains.sms.sinch_events.v1.sms_sinch_event import SmsSinchEvent
from twilio.request_validator import RequestValidator

from bench.harness import Outcome, Plan, Sample, Trial, Variant, compare, in_blocks, mean
from bench.harness import require_equal as equal
from ctxbridge.channels import Sinch, SinchSms, Twilio
from ctxbridge.model import Inbound, RawRequest, Verification
from ctxbridge.ports import Channel

SECRET, NONCE, URL = "s3cret", "01FJA8B4A7BM43YGWSG9GBV067", "https://hooks.example.org/in?a=1"
WORDS = "Hello, has the blue lamp left yet? I am at home from nine to twelve tomorrow. Thanks, Ann"
ID = "SM" + "0a" * 16
CALLS = 500
LATE = 86_400.0

Call = Callable[[RawRequest], object]
Case = tuple[RawRequest, Call, Call]


async def run(plan: Plan) -> Outcome:
    """Ours beside the SDK, provider by provider; what is reported is how many times faster."""
    outcome = Outcome()
    lines = ["| webhook | SDK, µs | ours, µs | SDK over ours |", "| --- | --- | --- | --- |"]
    for name, case in cases().items():
        trial = await measure(plan, name, case, rounds=plan.size(51, 11))
        outcome.add([trial], f"{name}, SDK")
        lines.append(_line(name, trial))
    outcome.notes.append("\n".join(lines))
    return outcome


async def measure(plan: Plan, name: str, case: Case, *, rounds: int) -> Trial:
    """One provider; raises `Unequal` where the two do not read the same."""
    request, ours, theirs = case
    equal(name, {"ours": ours(request), "SDK": theirs(request)})
    calls = {f"{name}, ours": ours, f"{name}, SDK": theirs}
    variants = [_variant(variant, call, request) for variant, call in calls.items()]
    return await compare(plan, name, variants, rounds=rounds)


def cases() -> dict[str, Case]:
    """For each provider its request, our way and the SDK's: both give the id and the words."""
    now = int(time.time())
    form = {
        "MessageSid": ID, "SmsSid": ID, "SmsMessageSid": ID, "AccountSid": "AC" + "0b" * 16,
        "From": "+447700900513", "To": "+447700900000", "Body": WORDS, "NumMedia": "0",
        "NumSegments": "1", "SmsStatus": "received", "ApiVersion": "2010-04-01", "FromCity": "",
        "FromState": "", "FromZip": "", "FromCountry": "GB", "ToCity": "", "ToState": "",
        "ToZip": "", "ToCountry": "GB",
    }  # fmt: skip
    event = {
        "app_id": "01APP", "project_id": "P", "accepted_time": "2026-02-13T08:17:44.993024Z",
        "event_time": "2026-02-13T08:17:42.814Z", "message_metadata": "",
        "message": {
            "id": ID, "direction": "TO_APP", "contact_message": {"text_message": {"text": WORDS}},
            "channel_identity": {"channel": "SMS", "identity": "447700900513", "app_id": ""},
            "conversation_id": "", "contact_id": "", "metadata": "", "sender_id": "12345",
            "accept_time": "2026-02-13T08:17:43.915829Z", "processing_mode": "DISPATCH",
        },
    }  # fmt: skip
    sms = {
        "type": "mo_text", "id": ID, "from": "447700900513", "to": "12345", "body": WORDS,
        "received_at": "2026-02-13T08:17:44.993Z", "operator_id": "35000",
    }  # fmt: skip
    sinch = _signed_by_sinch(json.dumps(event).encode(), now)
    sinch_sms = _signed_by_sinch(json.dumps(sms).encode(), now)
    adapter, sms_adapter = (
        Sinch(SECRET, max_age_seconds=LATE),
        SinchSms(SECRET, max_age_seconds=LATE),
    )
    return {
        "Twilio SMS": (_signed_by_twilio(form), _ours(Twilio(SECRET)), _twilio),
        "Sinch Conversation": (sinch, _ours(adapter), _sinch),
        "Sinch Conversation, parsed alone": (sinch, _parsed(adapter), _sinch_parsed),
        "Sinch SMS": (sinch_sms, _ours(sms_adapter), _sinch_sms),
        "Sinch SMS, parsed alone": (sinch_sms, _parsed(sms_adapter), _sinch_sms_parsed),
    }


def _signed_by_twilio(form: dict[str, str]) -> RawRequest:
    made = RequestValidator(SECRET).compute_signature(URL, form)
    kind = ("Content-Type", "application/x-www-form-urlencoded")
    return RawRequest(urlencode(form).encode(), (kind, ("X-Twilio-Signature", made)), "POST", URL)


def _signed_by_sinch(body: bytes, now: int) -> RawRequest:
    from sinch.domains.authentication.sinch_events.v1 import authentication_validation as sdk

    signed = sdk.compute_signed_data(body.decode(), NONCE, str(now))
    beside = {"": sdk.calculate_sinch_event_signature(signed, SECRET), "-nonce": NONCE}
    beside |= {"-timestamp": str(now), "-algorithm": "HmacSHA256"}
    headers = tuple([(f"x-sinch-webhook-signature{name}", beside[name]) for name in beside])
    return RawRequest(body, headers, received_at=now * 1000)


def _ours(channel: Channel) -> Call:
    parsed = _parsed(channel)

    def call(request: RawRequest) -> object:
        assert channel.verify(request).status == "verified"
        return parsed(request)

    return call


def _parsed(channel: Channel) -> Call:
    verification = Verification("verified", binds_body=True)

    def call(request: RawRequest) -> object:
        (event,) = channel.parse(request, verification).events
        assert isinstance(event, Inbound)
        return event.message_id, event.text

    return call


def _twilio(request: RawRequest) -> object:
    form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    signature = request.header("X-Twilio-Signature")
    assert RequestValidator(SECRET).validate(URL, form, signature)
    return form["MessageSid"], form["Body"]


def _sinch(request: RawRequest) -> object:
    headers = dict(request.headers)
    assert ConversationSinchEvent(SECRET).validate_authentication_header(headers, request.body)
    return _sinch_parsed(request)


def _sinch_parsed(request: RawRequest) -> object:
    message = ConversationSinchEvent().parse_event(request.body, dict(request.headers)).message
    return message.id, message.contact_message.text_message.text


def _sinch_sms(request: RawRequest) -> object:
    headers = dict(request.headers)
    assert SmsSinchEvent(SECRET).validate_authentication_header(headers, request.body)
    return _sinch_sms_parsed(request)


def _sinch_sms_parsed(request: RawRequest) -> object:
    message = SmsSinchEvent().parse_event(request.body, dict(request.headers))
    return message.id, message.body


def _variant(name: str, call: Call, request: RawRequest) -> Variant:
    async def once(request: RawRequest) -> object:
        return call(request)

    asynchronous: Callable[[RawRequest], Awaitable[object]] = once

    async def take() -> Sample:
        return await in_blocks(asynchronous, [request] * CALLS)

    return Variant(name, take)


def _line(name: str, trial: Trial) -> str:
    ours, sdk = f"{name}, ours", f"{name}, SDK"
    times = trial.times(sdk, ours, mean)
    return (
        f"| {name} | {trial.metric(sdk, mean).median:,.1f} | {trial.metric(ours, mean).median:,.1f}"
        f" | {times.median:,.2f} ({times.low:,.2f} to {times.high:,.2f}) |"
    )


if __name__ == "__main__":
    from bench.__main__ import main

    sys.exit(main(["--only", "channels", *sys.argv[1:]]))
