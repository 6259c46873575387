"""What comes twice, late, in another order or beside a crash, from the adapters into a bridge."""

import hmac
import json
from itertools import permutations
from urllib.parse import urlencode

import anyio
import pytest
from tests.asgi.conftest import call, scope_of, settled
from tests.channels.fixtures import NOW, TWILIO_FORM, message_of
from tests.channels.test_phone_lines import PHONE, TWILIO, Clock, whatsapp
from tests.channels.test_slack import CALLBACK, MESSAGE

from ctxbridge import Bridge, guards, open_store
from ctxbridge.asgi import webhooks
from ctxbridge.channels import Slack, Twilio, WhatsApp
from ctxbridge.errors import OutcomeUnknown
from ctxbridge.model import (
    Address,
    Assurance,
    Endpoint,
    Inbound,
    Opened,
    Query,
    RawRequest,
    Text,
    Verification,
)

VERIFIED = Verification("verified", binds_body=True)
SECONDS = NOW // 1000
SECRET = "the-app-secret"
ANN = Address("whatsapp", f"+{PHONE}")


def at_whatsapp(id: str, text: str, second: int = SECONDS, **more: object) -> dict[str, object]:
    words = {"type": "text", "text": {"body": text}}
    return {"from": PHONE, "id": id, "timestamp": str(second)} | words | more


def of_whatsapp(*messages: dict[str, object]) -> list[Inbound]:
    request = RawRequest(whatsapp(messages=list(messages)), received_at=NOW)
    parsed = WhatsApp().parse(request, VERIFIED)
    assert parsed.errors == ()
    return list(parsed.events)


def edit_of_whatsapp(id: str, of: str, text: str, second: int) -> Inbound:
    said = {"type": "text", "text": {"body": text}}
    edit = {"type": "edit", "edit": {"original_message_id": of, "message": said}}
    return of_whatsapp(at_whatsapp(id, "", second, **edit))[0]


def revoke_of_whatsapp(id: str, of: str, second: int) -> Inbound:
    revoke = {"type": "revoke", "revoke": {"original_message_id": of}}
    return of_whatsapp(at_whatsapp(id, "", second, **revoke))[0]


def of_slack(id: str, **event: object) -> Inbound:
    body = json.dumps(CALLBACK | {"event_id": id, "event": event}).encode()
    return message_of(Slack().parse(RawRequest(body, received_at=NOW), VERIFIED))


def edit_of_slack(id: str, text: str, at: str) -> Inbound:
    new = MESSAGE | {"text": text, "edited": {"user": "U1", "ts": at}}
    changed = {"message": new, "previous_message": MESSAGE, "ts": at, "event_ts": at}
    return of_slack(id, type="message", subtype="message_changed", channel="C1", **changed)


def deletion_of_slack(id: str, at: str) -> Inbound:
    gone = {"deleted_ts": MESSAGE["ts"], "previous_message": MESSAGE, "ts": at, "event_ts": at}
    return of_slack(id, type="message", subtype="message_deleted", channel="C1", **gone)


async def heard(bridge: Bridge, inbound: Inbound, text: str = "ok") -> list[str]:
    async with bridge.turn(inbound) as turn:
        if turn.open:
            turn.reply(text)
    return [message.text for message in turn.answer]


async def shown(bridge: Bridge, address: Address) -> list[str]:
    """What a model is shown of the contact's own words."""
    chat = (await bridge.context(address)).as_chat()
    return [entry["content"] for entry in chat if entry["role"] == "user"]


class TestRepeated:
    @pytest.mark.parametrize("copies", [2, 10, 1_000])
    async def test_25_the_same_webhook_is_one_turn_however_often_it_comes_at_once(self, copies):
        """Beside `tests/asgi/test_served.py`, which does it over two processes."""
        statuses: list[str] = []

        async def webhook(bridge: Bridge) -> None:
            found = Twilio().parse(RawRequest(TWILIO, received_at=NOW), VERIFIED)
            async with bridge.turn(message_of(found)) as turn:
                if turn.open:
                    turn.reply("ok")
            statuses.append(turn.status)

        async with Bridge("memory://", tenant="acme") as bridge, anyio.create_task_group() as tasks:
            for _ in range(copies):
                tasks.start_soon(webhook, bridge)
        assert sorted(statuses) == ["duplicate"] * (copies - 1) + ["new"]


class Dying:
    """A store whose process ends at the first message: before the write, or after it."""

    def __init__(self, store, when: str) -> None:
        self._store, self._when, self.died = store, when, False

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    async def open(self, claim, /):
        if self.died:
            return await self._store.open(claim)
        self.died = True
        if self._when == "after":
            await self._store.open(claim)
        raise OutcomeUnknown("the process has ended")


class Noting(Dying):
    """Notes ids in a step of its own: what has dedupe and turn in two writes loses in between."""

    def __init__(self, store, when: str) -> None:
        super().__init__(store, when)
        self._known: set[str] = set()

    async def open(self, claim, /):
        id = claim.message.message_id
        if id in self._known:
            query = Query(claim.tenant, claim.address, now=claim.now)
            return Opened("duplicate", claim.turn, 0, 0, await self._store.read(query))
        self._known.add(id)
        return await super().open(claim)


class TestCrashed:
    @pytest.fixture(params=["memory://", "sqlite"])
    async def store(self, request, tmp_path):
        where = request.param if "memory" in request.param else f"sqlite:///{tmp_path}/x.db"
        made = open_store(where)
        yield made
        await made.aclose()

    @pytest.mark.parametrize("when", ["before", "after"])
    async def test_26_after_a_crash_at_the_write_the_repetition_is_one_turn(self, store, when):
        """Dedupe and turn are one write, so there is no moment between them to die in."""
        clock, inbound = Clock(), of_whatsapp(at_whatsapp("w1", "Where is it?"))[0]
        async with Bridge(Dying(store, when), tenant="acme", clock=clock) as bridge:
            with pytest.raises(OutcomeUnknown):
                await heard(bridge, inbound)
            clock.time += 120_000  # the lease of the process that has ended runs out
            assert await heard(bridge, inbound) == ["ok"]
            assert await heard(bridge, inbound) == ["ok"]  # the stored answer
            messages = (await bridge.context(ANN)).messages
        assert [(m.author, m.text) for m in messages] == [
            ("contact", "Where is it?"), ("agent", "ok")
        ]  # fmt: skip

    async def test_26_the_control_that_notes_ids_in_a_step_of_its_own_loses_it(self, store):
        inbound = of_whatsapp(at_whatsapp("w1", "Where is it?"))[0]
        noting = Noting(store, "before")
        async with Bridge(noting, tenant="acme", clock=Clock()) as bridge:
            with pytest.raises(OutcomeUnknown):
                await heard(bridge, inbound)
            assert await heard(bridge, inbound) == []
            assert (await bridge.context(ANN)).messages == []


class TestOrder:
    async def test_34_what_arrives_is_the_order_and_the_providers_time_is_data(self):
        """The later message arrives first; what the agent has seen never moves under it."""
        async with Bridge("memory://", tenant="acme") as bridge:
            late, early, last = of_whatsapp(
                at_whatsapp("w2", "second", SECONDS + 5),
                at_whatsapp("w1", "first", SECONDS + 1),
                at_whatsapp("w3", "third", SECONDS + 9),
            )
            seen = []
            for inbound in (late, early, last):
                await heard(bridge, inbound)
                context = await bridge.context(ANN)
                seen.append([entry["content"] for entry in context.as_chat()])
            assert seen[2] == ["second", "ok", "first", "ok", "third", "ok"]
            assert (seen[2][:4], seen[2][:2]) == (seen[1], seen[0])
            theirs = [m for m in context.messages if m.author == "contact"]
            assert [m.occurred_at - NOW for m in theirs] == [5_000, 1_000, 9_000]
            seqs = list(context.window.seqs)
            assert seqs == sorted(set(seqs))

    async def test_35_of_the_same_second_the_sequence_is_the_order(self):
        """Three messages of one second in one call, all the way through the ASGI app."""
        words = ["one", "two", "three"]
        body = whatsapp(messages=[at_whatsapp(f"w{n}", word) for n, word in enumerate(words)])
        made = "sha256=" + hmac.new(SECRET.encode(), body, "sha256").hexdigest()

        async def agent(turn):
            return "re: " + " ".join(message.text for message in turn.messages)

        async with Bridge("memory://", tenant="acme", clock=Clock()) as bridge:
            app = webhooks(bridge, channels=[WhatsApp(SECRET, verify_token="t")], agent=agent)
            scope = scope_of("POST", "/whatsapp", [("X-Hub-Signature-256", made)])
            assert (await call(app, scope, [body])).status == 200
            await settled(bridge)
            messages = (await bridge.context(ANN)).messages
        theirs = [m for m in messages if m.author == "contact"]
        assert [m.text for m in theirs] == words
        assert len({m.occurred_at for m in theirs}) == 1


WHATSAPP_EDITS = [
    of_whatsapp(at_whatsapp("w1", "order A-17"))[0],
    edit_of_whatsapp("e1", "w1", "order A-18", SECONDS + 10),
    edit_of_whatsapp("e2", "w1", "order A-19", SECONDS + 20),
]
SLACK_EDITS = [
    of_slack("Ev1", **MESSAGE),
    edit_of_slack("Ev2", "order A-18", "1780000001.000100"),
    edit_of_slack("Ev3", "order A-19", "1780000002.000100"),
]


class TestRevised:
    @pytest.mark.parametrize("events", [WHATSAPP_EDITS, SLACK_EDITS], ids=["whatsapp", "slack"])
    async def test_36_edited_twice_in_any_order_the_newest_words_count(self, events):
        for order in permutations(events):
            async with Bridge("memory://", tenant="acme") as bridge:
                for inbound in order:
                    await heard(bridge, inbound)
                assert await shown(bridge, events[0].sender) == ["order A-19"]

    @pytest.mark.parametrize(
        ("original", "gone"),
        [
            (WHATSAPP_EDITS[0], revoke_of_whatsapp("r1", "w1", SECONDS + 30)),
            (SLACK_EDITS[0], deletion_of_slack("Ev4", "1780000003.000100")),
        ],
        ids=["whatsapp", "slack"],
    )
    async def test_36_what_is_deleted_before_it_comes_is_not_answered(self, original, gone):
        async with Bridge("memory://", tenant="acme") as bridge:
            assert await heard(bridge, gone) == []
            assert await heard(bridge, original) == []
            assert await shown(bridge, original.sender) == []
        async with Bridge("memory://", tenant="acme") as bridge:  # the control
            assert await heard(bridge, original) == ["ok"]
            assert await shown(bridge, original.sender) == [original.text]


class TestConsent:
    STOP = TWILIO_FORM | {"MessageSid": "SM-STOP", "Body": "STOP", "OptOutType": "STOP"}
    MAIL = Address("email", "ann@example.org")

    async def test_48_what_the_provider_has_answered_is_answered_by_no_agent(self):
        asked = []
        async with Bridge("memory://", tenant="acme", guards=[guards.opt_out()]) as bridge:
            for number, word in enumerate(("STOP", "START", "HELP")):
                form = self.STOP | {"MessageSid": f"SM{number}", "Body": word, "OptOutType": word}
                found = Twilio().parse(RawRequest(urlencode(form).encode()), VERIFIED)
                async with bridge.turn(message_of(found)) as turn:
                    if turn.open:
                        asked.append(word)
        assert asked == []

    @pytest.mark.parametrize("everywhere", [(), ("marketing",)], ids=["here", "everywhere"])
    async def test_49_who_said_stop_by_sms_gets_by_mail_what_the_purpose_allows(self, everywhere):
        stop = guards.opt_out(everywhere=everywhere)
        async with Bridge("memory://", tenant="acme", guards=[stop]) as bridge:
            first = Twilio().parse(RawRequest(TWILIO), VERIFIED)
            phone = message_of(first).sender
            await heard(bridge, message_of(first))
            await bridge.link(phone, self.MAIL, evidence="crm:1")
            stopped = Twilio().parse(RawRequest(urlencode(self.STOP).encode()), VERIFIED)
            await heard(bridge, message_of(stopped))
            ours = Endpoint("email", "help@acme.example")
            words = (Text("and by mail?"),)
            await heard(bridge, Inbound("email", ours, self.MAIL, "m@x", words, Assurance.CHANNEL))
            told = {
                (to.channel, purpose): (
                    await bridge.send(to, "hi", purpose=purpose)
                ).message.visible
                for to in (phone, self.MAIL)
                for purpose in ("service", "marketing")
            }
        assert told == {
            ("sms", "service"): False, ("sms", "marketing"): False,
            ("email", "service"): True, ("email", "marketing"): not everywhere,
        }  # fmt: skip
