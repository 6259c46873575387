"""Phone providers' requests all the way into a bridge: one turn each, receipts, consent, identities."""

import json
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import anyio
import pytest
from msgspec.structs import replace
from tests.channels.fixtures import NOW, TWILIO_FORM
from tests.channels.sinch_signing import SECRET, signed

from ctxbridge import Bridge, guards
from ctxbridge.channels import Sinch, SinchSms, Twilio, WhatsApp
from ctxbridge.model import (
    Address,
    Endpoint,
    Event,
    Inbound,
    Notice,
    Outgoing,
    Parsed,
    RawRequest,
    Receipt,
    Sent,
    Verification,
)
from ctxbridge.ports import Channel

VERIFIED = Verification("verified", binds_body=True)
HOUR = 3_600_000
PHONE, APP, LINE = "46701740605", "01APP", "106540352242922"


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> int:
        return self.time


class Carrier:
    """A provider that takes all there is, and says under which id."""

    repeatable, timeout_seconds, per_second = False, 5.0, 0.0

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.took: list[Outgoing] = []

    async def send(self, outgoing: Outgoing) -> Sent:
        self.took.append(outgoing)
        return Sent("sent", provider_id="OUR-1")

    async def aclose(self) -> None: ...


def sinch(channel: str = "SMS", **members: object) -> bytes:
    identity = {"channel": channel, "identity": PHONE, "app_id": ""}
    if not members:
        content = {"text_message": {"text": "Where is it?"}}
        members = {
            "message": {"id": "01M", "contact_message": content, "channel_identity": identity}
        }
    return json.dumps({"app_id": APP, "accepted_time": "2026-02-13T08:17:44Z", **members}).encode()


def sinch_sms(**more: object) -> bytes:
    given = {"type": "mo_text", "id": "01M", "from": PHONE, "to": "12345", "body": "Where is it?"}
    return json.dumps(given | more).encode()


def whatsapp(**value: object) -> bytes:
    text = {"from": PHONE, "id": "wamid.A", "type": "text", "text": {"body": "Where is it?"}}
    known = {"metadata": {"phone_number_id": LINE}} | (value or {"messages": [text]})
    changes = [{"field": "messages", "value": known}]
    return json.dumps({"entry": [{"id": "102", "changes": changes}]}).encode()


TWILIO = urlencode(TWILIO_FORM).encode()
LINES = [
    (Sinch(), sinch()),
    (SinchSms(), sinch_sms()),
    (WhatsApp(), whatsapp()),
    (Twilio(), TWILIO),
]
BY_NAME = pytest.mark.parametrize(("channel", "body"), LINES, ids=[c.name for c, _ in LINES])


def parsed(channel: Channel, body: bytes) -> Parsed:
    found = channel.parse(RawRequest(body, received_at=NOW), VERIFIED)
    assert found.errors == ()
    return found


def event(channel: Channel, body: bytes) -> Inbound | Receipt | Notice:
    return parsed(channel, body).events[0]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def bridge(clock: Clock) -> AsyncIterator[Bridge]:
    async with Bridge("memory://", tenant="acme", clock=clock) as made:
        yield made


async def answered(bridge: Bridge, inbound: Inbound, text: str = "ok", **more: str) -> list[str]:
    """What the customer gets."""
    async with bridge.turn(inbound) as turn:
        if turn.open:
            turn.reply(text, **more)
    return [message.text for message in turn.answer]


async def events_of(bridge: Bridge, address: Address) -> list[Event]:
    window = (await bridge.context(address, window=0)).window
    return [entry for entry in window if isinstance(entry, Event)]


@BY_NAME
async def test_25_the_same_webhook_ten_times_at_once_is_one_turn(bridge, channel, body):
    statuses = []

    async def webhook():
        async with bridge.turn(event(channel, body)) as turn:
            if turn.open:
                turn.reply("ok")
        statuses.append(turn.status)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(webhook)
    assert sorted(statuses) == ["duplicate"] * 9 + ["new"]


@BY_NAME
async def test_27_a_repetition_within_the_providers_horizon_is_a_duplicate(
    bridge, clock, channel, body
):
    """Sinch repeats for 22 h 45 min, Meta for seven days, and a few hours more are remembered."""
    inbound = event(channel, body)
    hours = 7 * 24 + 12 if channel.name == "whatsapp" else 23
    assert await answered(bridge, inbound) == ["ok"]
    clock.time += hours * HOUR
    async with bridge.turn(inbound) as turn:
        assert turn.status == "duplicate"
    clock.time = NOW + max(int(inbound.horizon_seconds * 1_000), 7 * 24 * HOUR) + HOUR
    async with bridge.turn(inbound) as turn:
        assert turn.status == "new"  # the control: it is the horizon that is remembered


def a_receipt(channel: str, status: str, delivery: str = "") -> Receipt:
    if channel == "whatsapp":
        told = {
            "id": "OUR-1",
            "status": status,
            "recipient_id": PHONE,
            "biz_opaque_callback_data": delivery,
        }
        return event(WhatsApp(), whatsapp(statuses=[told]))
    if channel == "sinch_sms":
        told = {"type": "recipient_delivery_report_sms", "batch_id": "OUR-1", "recipient": PHONE}
        given = told | {"status": status.capitalize(), "client_reference": delivery}
        return event(SinchSms(number="12345"), json.dumps(given).encode())
    if channel == "twilio":
        form = {"MessageSid": "OUR-1", "MessageStatus": status}
        form |= {"From": TWILIO_FORM["To"], "To": TWILIO_FORM["From"]}
        request = RawRequest(urlencode(form).encode(), url=f"https://x.org/?delivery={delivery}")
        return Twilio().parse(request, VERIFIED).events[0]
    report = {
        "message_id": "OUR-1", "status": status.upper(), "metadata": delivery,
        "channel_identity": {"channel": "SMS", "identity": PHONE},
    }  # fmt: skip
    return event(Sinch(), sinch(message_delivery_report=report))


RECEIVED = {"sinch": (Sinch(), sinch(), "sms"), "sinch_sms": (SinchSms(), sinch_sms(), "sms"),
            "twilio": (Twilio(), TWILIO, "sms"), "whatsapp": (WhatsApp(), whatsapp(), "whatsapp")}  # fmt: skip


@pytest.mark.parametrize("name", sorted(RECEIVED))
@pytest.mark.parametrize(
    ("order", "end"),
    [
        (("delivered", "queued"), "delivered"),
        (("read", "delivered"), "read"),
        (("read",), "read"),
        (("delivered", "failed"), "delivered"),
        (("failed", "delivered"), "delivered"),
        (("failed",), "failed"),
    ],
)
async def test_32_statuses_in_any_order_never_go_back(clock, name, order, end):
    channel, body, word = RECEIVED[name]
    carrier = Carrier(word)
    order = [s for s in order if name != "sinch_sms" or s != "read"] or ["delivered"]
    end = "delivered" if name == "sinch_sms" and end == "read" else end  # nobody sees an SMS read
    async with Bridge("memory://", tenant="acme", clock=clock, senders=[carrier]) as bridge:
        await answered(bridge, event(channel, body))
        for status in order:
            if status != "queued":
                told = await bridge.receive(a_receipt(name, status))
                assert told is not None
        assert told.status == end


@pytest.mark.parametrize("name", sorted(RECEIVED))
async def test_33_a_status_that_comes_before_the_send_has_returned_is_kept_for_it(clock, name):
    channel, body, word = RECEIVED[name]

    class Quick(Carrier):
        async def send(self, outgoing: Outgoing) -> Sent:
            assert await bridge.receive(a_receipt(name, "delivered")) is None
            return await super().send(outgoing)

    async with Bridge("memory://", tenant="acme", clock=clock, senders=[Quick(word)]) as bridge:
        async with bridge.turn(event(channel, body)) as turn:
            turn.reply("ok")
        assert [delivery.status for delivery in turn.deliveries] == ["delivered"]


@pytest.mark.parametrize("name", sorted(RECEIVED))
async def test_our_own_id_that_comes_back_settles_what_was_unknown(clock, name):
    channel, body, word = RECEIVED[name]

    class Lost(Carrier):
        async def send(self, outgoing: Outgoing) -> Sent:
            await super().send(outgoing)
            return Sent("unknown", code="lost")

    carrier = Lost(word)
    async with Bridge("memory://", tenant="acme", clock=clock, senders=[carrier]) as bridge:
        await answered(bridge, event(channel, body))
        told = await bridge.receive(a_receipt(name, "delivered", carrier.took[0].key))
        assert told is not None
        assert told.status == "delivered"


def an_opt(name: str, status: str, channel: str = "SMS") -> bytes:
    told = {"channel": channel, "identity": PHONE, "status": status, "request_id": f"R{name}"}
    return sinch(**{name: told})


async def test_50_sinchs_opt_out_ends_messages_and_opt_in_brings_them_back(bridge):
    first = event(Sinch(), sinch())
    assert await answered(bridge, first) == ["ok"]
    stop = event(Sinch(), an_opt("opt_out_notification", "OPT_OUT_SUCCEEDED"))
    assert await answered(bridge, stop) == []
    assert not (await bridge.send(first.sender, "hello?")).message.visible
    start = event(Sinch(), an_opt("opt_in_notification", "OPT_IN_SUCCEEDED"))
    assert await answered(bridge, start) == []
    assert (await bridge.send(first.sender, "hello!")).message.visible


async def test_50_opt_in_on_one_channel_does_not_restore_another(bridge):
    first = event(Sinch(), sinch())
    await answered(bridge, first)
    await answered(bridge, event(Sinch(), an_opt("opt_out_notification", "OPT_OUT_SUCCEEDED")))
    viber = event(Sinch(), an_opt("opt_in_notification", "OPT_IN_SUCCEEDED", "VIBERBM"))
    await answered(bridge, viber)
    assert not (await bridge.send(first.sender, "hello?")).message.visible


async def test_marketing_that_was_stopped_in_whatsapp_leaves_service_alone(bridge):
    first = event(WhatsApp(), whatsapp())
    assert await answered(bridge, first) == ["ok"]
    given = {"wa_id": PHONE, "category": "marketing_messages", "value": "stop", "timestamp": 1}
    assert await answered(bridge, event(WhatsApp(), whatsapp(user_preferences=[given]))) == []

    async def leaves(purpose):
        return (await bridge.send(first.sender, "x", purpose=purpose)).message.visible

    assert (await leaves("marketing"), await leaves("service")) == (False, True)
    resume = given | {"value": "resume", "timestamp": 2}
    await answered(bridge, event(WhatsApp(), whatsapp(user_preferences=[resume])))
    assert await leaves("marketing")


async def test_53_one_number_is_one_contact_whichever_provider_writes_it_how(bridge):
    forms = [sinch(), sinch_sms(id="2"), sinch_sms(id="3", **{"from": f"+{PHONE}"})]
    channels = [Sinch(), SinchSms(), SinchSms()]
    contacts = set()
    for channel, body in zip(channels, forms, strict=True):
        inbound = event(channel, body)
        await answered(bridge, inbound)
        contacts.add((await bridge.context(inbound.sender)).contact.id)
    form = TWILIO_FORM | {"From": f"+{PHONE}", "MessageSid": "SM9"}
    inbound = event(Twilio(), urlencode(form).encode())
    contacts.add((await bridge.context(inbound.sender)).contact.id)
    assert len(contacts) == 1


async def test_54_the_same_phone_on_another_channel_is_another_address(bridge):
    sms, chat = event(Sinch(), sinch()), event(WhatsApp(), whatsapp())
    via_twilio = TWILIO_FORM | {"From": f"whatsapp:+{PHONE}", "To": "whatsapp:+1555"}
    assert event(Twilio(), urlencode(via_twilio).encode()).sender == chat.sender
    for inbound in (sms, chat):
        await answered(bridge, inbound)
    contacts = {(await bridge.context(inbound.sender)).contact.id for inbound in (sms, chat)}
    assert (sms.sender.value, len(contacts)) == (chat.sender.value, 2)


async def test_77_a_phone_that_is_revealed_later_is_proposed_once_and_joins_nobody(bridge):
    hidden = {"id": "wamid.1", "from_user_id": "SE.1", "type": "text", "text": {"body": "a"}}
    first = event(WhatsApp(), whatsapp(messages=[hidden]))
    await answered(bridge, first)
    for n in (2, 3):
        shown = hidden | {"id": f"wamid.{n}", "from": PHONE}
        message, same = parsed(WhatsApp(), whatsapp(messages=[shown])).events
        await answered(bridge, message)
        await bridge.receive(same)
    (proposal,) = await events_of(bridge, message.sender)
    assert (proposal.kind, proposal.about("says")) == ("proposal", "same")
    assert proposal.about("other") == "whatsapp:SE.1"
    contacts = {(await bridge.context(one.sender)).contact.id for one in (first, message)}
    assert len(contacts) == 2


async def test_77_a_number_that_changed_is_proposed_and_the_old_contact_stays_whole(bridge):
    first = event(WhatsApp(), whatsapp())
    await answered(bridge, first)
    system = {"type": "user_changed_number", "wa_id": "46700000000"}
    told = {"from": PHONE, "id": "wamid.S", "type": "system", "system": system}
    notice = event(WhatsApp(), whatsapp(messages=[told]))
    for _ in range(2):
        await bridge.receive(notice)
    (proposal,) = await events_of(bridge, first.sender)
    assert proposal.about("says") == "moved"
    assert (await bridge.context(notice.other)).contact is None


async def test_78_a_merge_of_sinchs_contacts_is_proposed_and_joins_nobody(bridge):
    first = event(Sinch(), sinch())
    await answered(bridge, first)
    merge = {
        "deleted_contact": {"channel_identities": [{"channel": "SMS", "identity": PHONE}]},
        "preserved_contact": {"channel_identities": [{"channel": "SMS", "identity": "+15550100001"}]},
    }  # fmt: skip
    notice = event(Sinch(), sinch(contact_merge_notification=merge))
    await bridge.receive(notice)
    (proposal,) = await events_of(bridge, first.sender)
    assert (proposal.kind, proposal.about("other")) == ("proposal", "sms:+15550100001")
    assert (await bridge.context(notice.other)).contact is None


@pytest.mark.parametrize("name", ["sinch", "whatsapp"])
async def test_79_what_we_wrote_ourselves_is_never_answered(bridge, clock, name):
    if name == "sinch":
        told = {"id": "01E", "injected": True, "contact_message": {"text_message": {"text": "x"}},
                "channel_identity": {"channel": "SMS", "identity": PHONE}}  # fmt: skip
        inbound = event(Sinch(), sinch(message=told))
    else:
        told = {"id": "wamid.E", "to": PHONE, "type": "text", "text": {"body": "x"}}
        inbound = event(WhatsApp(), whatsapp(message_echoes=[told]))
    async with bridge.turn(inbound) as turn:
        assert not turn.open
    assert turn.answer == ()
    # The control: it is the flag that keeps it from being answered.
    async with (
        Bridge("memory://", tenant="acme", clock=clock) as another,
        another.turn(replace(inbound, flags=())) as turn,
    ):
        assert turn.open


async def test_50_twilios_own_opt_out_and_opt_in(bridge):
    inbound = event(Twilio(), TWILIO)
    assert await answered(bridge, inbound) == ["ok"]
    for number, (word, visible) in enumerate((("STOP", False), ("START", True))):
        form = TWILIO_FORM | {"MessageSid": f"SM{number}", "Body": word, "OptOutType": word}
        assert await answered(bridge, event(Twilio(), urlencode(form).encode())) == []
        assert (await bridge.send(inbound.sender, "hello")).message.visible == visible


async def test_84_outside_the_window_of_a_day_whatsapp_gets_no_free_text(clock):
    async with Bridge(
        "memory://", tenant="acme", clock=clock, guards=[guards.channel_window()]
    ) as bridge:
        inbound = event(WhatsApp(), whatsapp())
        await answered(bridge, inbound)
        assert (await bridge.send(inbound.sender, "still open")).message.visible
        clock.time += int(WhatsApp.capabilities.window_seconds * 1_000)
        late = await bridge.send(inbound.sender, "too late")
        assert late.message.decision.code == "window.closed"


async def test_7_a_replayed_request_of_sinch_is_a_duplicate_and_nothing_more(bridge):
    channel = Sinch(SECRET)
    statuses = []
    for _ in range(2):
        request = signed(sinch())
        found = channel.parse(request, channel.verify(request))
        async with bridge.turn(found.events[0]) as turn:
            if turn.open:
                turn.reply("ok")
        statuses.append((turn.status, channel.reply(found).status))
    assert statuses == [("new", 200), ("duplicate", 200)]


def test_the_endpoints_are_what_the_builders_send_from():
    """What came in by an endpoint can be answered from it: the same value leads both ways."""
    found = {channel.name: event(channel, body).endpoint for channel, body in LINES}
    assert found == {
        "sinch": Endpoint("sms", APP),
        "sinch_sms": Endpoint("sms", "12345"),
        "whatsapp": Endpoint("whatsapp", LINE),
        "twilio": Endpoint("sms", TWILIO_FORM["To"]),
    }
