"""Replies leave as often as was promised, whatever a provider does."""

import logging
from itertools import permutations

import anyio
import pytest

from ctxbridge import Address, Bridge, Endpoint, Receipt, errors
from ctxbridge.delivery import retrying
from ctxbridge.model import Sent
from tests.patience import until

from .conftest import ANN, US, Pigeon, exchange, write

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.CRITICAL)


async def outbox(bridge, what="pending"):
    return [(f.delivery.status, f.delivery.attempt) for f in await bridge.deliveries(what)]


def receipt(status, id="P1", **more):
    return Receipt("sms", US, id, status, more.pop("recipient", ANN), **more)


async def state_of(bridge, key):
    """The delivery as it is, told by a receipt that says nothing new."""
    return await bridge.receive(receipt("sent", "", delivery=key))


class TestSending:
    async def test_a_reply_is_sent_by_its_own_worker_and_recorded(self, bridge, pigeon):
        turn = await exchange(bridge, write("where?"), "on its way")
        assert pigeon.texts == ["on its way"]
        assert [m.text for m in turn.said] == ["on its way"]
        assert turn.answer == ()
        (delivery,) = turn.deliveries
        assert (delivery.status, delivery.provider_id, delivery.attempt) == ("sent", "P1", 1)
        assert await outbox(bridge) == await outbox(bridge, "dead") == []
        assert pigeon.carried[0].key == delivery.key
        assert (pigeon.carried[0].address, pigeon.carried[0].endpoint) == (ANN, US)

    async def test_several_replies_leave_in_their_order_each_with_a_key(self, bridge, pigeon):
        async with bridge.turn(write("tell me")) as turn:
            for n in range(3):
                turn.reply(f"{n}")
        assert pigeon.texts == ["0", "1", "2"]
        assert len({o.key for o in pigeon.carried}) == 3

    async def test_a_duplicate_sends_nothing_again(self, bridge, pigeon):
        inbound = write("where?")
        for _ in range(3):
            await exchange(bridge, inbound)
        assert len(pigeon.carried) == 1

    async def test_what_is_withheld_or_has_no_sender_does_not_leave(self, bridge, pigeon):
        await exchange(bridge, write("4111", id="c1", channel="chat"))
        assert pigeon.carried == []
        assert await outbox(bridge) == []

    async def test_the_confirmation_of_stop_leaves_and_nothing_else(self, bridge, pigeon):
        await exchange(bridge, write("STOP"))
        await exchange(bridge, write("hello?"))
        assert len(pigeon.texts) == 1
        assert "no more messages" in pigeon.texts[0]

    async def test_the_bridge_closes_its_senders(self, store, pigeon):
        async with Bridge(store, tenant="acme", senders=[pigeon]):
            pass
        assert pigeon.closed == 1

    async def test_two_senders_for_one_channel_are_refused(self, store):
        with pytest.raises(errors.ConfigurationError):
            Bridge(store, tenant="acme", senders=[Pigeon(), Pigeon()])


async def hang(_):
    await anyio.sleep_forever()


class TestFailures:
    @pytest.mark.parametrize(
        ("says", "status", "code"),
        [
            (Sent("failed", code="twilio.21610"), "failed", "twilio.21610"),
            (Sent("unknown", code="twilio.500"), "unknown", "twilio.500"),
            (ZeroDivisionError("boo"), "unknown", "sender.raised"),
            (Sent("perhaps"), "unknown", "sender.nonsense"),
            (hang, "unknown", "sender.timeout"),
        ],
    )
    async def test_what_a_sender_does_is_recorded_and_not_repeated(
        self, store, clock, says, status, code
    ):
        pigeon = Pigeon(timeout_seconds=0.05 if says is hang else 60.0)
        pigeon.says = [says]
        async with Bridge(store, tenant="acme", senders=[pigeon], clock=clock) as bridge:
            turn = await exchange(bridge, write("hi"))
            assert [(d.status, d.code) for d in turn.deliveries] == [(status, code)]
            for _ in range(3):
                clock.time += 3_600_000
                await bridge.dispatch()
            assert len(pigeon.carried) == 1
            assert await outbox(bridge, "dead") == [(status, 1)]

    @pytest.mark.parametrize("patience", [float("inf"), float("nan"), 1e300, -5.0, "soon"])
    async def test_odd_patience_and_odd_words_lose_nothing(self, bridge, pigeon, clock, patience):
        pigeon.says = [Sent("retry", "P\ud800", "c\ud800\x00", patience), None]
        turn = await exchange(bridge, write("hi"))
        assert turn.deliveries[0].status in {"pending", "unknown"}
        clock.time += 86_400_001
        await bridge.dispatch()
        assert await outbox(bridge) == []

    async def test_nonsense_and_silence_of_any_kind_are_unknown(self, store, clock):
        for nonsense in (7, "sent", None, object()):
            pigeon = Pigeon()

            async def answer(_, nonsense=nonsense):
                return nonsense

            pigeon.says = [answer]
            async with Bridge(store, tenant="acme", senders=[pigeon], clock=clock) as bridge:
                turn = await exchange(bridge, write("hi"))
            assert turn.deliveries[0].status == "unknown"

    async def test_what_surely_failed_is_tried_again_later_and_later(self, bridge, pigeon, clock):
        pigeon.says = [Sent("retry", code="twilio.429")]
        await exchange(bridge, write("hi"))
        times = [clock.time]
        for _ in range(4_000):
            clock.time += 1_000
            if await bridge.dispatch():
                times.append(clock.time)
        assert len(pigeon.carried) == retrying.MOST_ATTEMPTS
        assert len({o.key for o in pigeon.carried}) == 1
        assert await outbox(bridge) == []
        assert await outbox(bridge, "dead") == [("failed", retrying.MOST_ATTEMPTS)]

    async def test_the_providers_own_time_is_respected(self, bridge, pigeon, clock):
        pigeon.says = [Sent("retry", code="twilio.429", retry_after=120.0), None]
        await exchange(bridge, write("hi"))
        clock.time += 119_000
        assert await bridge.dispatch() == 0
        clock.time += 1_001
        assert await bridge.dispatch() == 1
        assert len(pigeon.carried) == 2
        assert await outbox(bridge) == []

    async def test_an_unknown_is_repeated_where_the_provider_takes_a_key(self, store, clock):
        pigeon = Pigeon(repeatable=True)
        pigeon.says = [Sent("unknown"), None]
        async with Bridge(store, tenant="acme", senders=[pigeon], clock=clock) as bridge:
            await exchange(bridge, write("hi"))
            clock.time += 3_600_000
            assert await bridge.dispatch() == 1
            assert len({o.key for o in pigeon.carried}) == 1
            assert len(pigeon.carried) == 2
            assert await outbox(bridge, "dead") == []

    async def test_a_cancelled_send_is_unknown(self, bridge, pigeon):
        pigeon.says = [hang]
        async with anyio.create_task_group() as group:
            group.start_soon(exchange, bridge, write("hi"))
            await until(lambda: pigeon.carried)
            group.cancel_scope.cancel()
        assert await outbox(bridge, "dead") == [("unknown", 1)]

    async def test_a_worker_that_died_while_it_sent_leaves_an_unknown(self, bridge, pigeon, clock):
        pigeon.says = [hang]
        async with anyio.create_task_group() as group:
            group.start_soon(exchange, bridge, write("hi"))
            await until(lambda: pigeon.carried)
            assert len(pigeon.carried) == 1
            # Another worker looks, long after the claim has run out.
            clock.time += 3_600_000
            other = Bridge(bridge.store, tenant="acme", senders=[Pigeon()], clock=clock)
            await other.dispatch()
            assert await outbox(bridge, "dead") == [("unknown", 1)]
            assert other.outbox.sender_on("sms").carried == []
            group.cancel_scope.cancel()

    async def test_a_worker_that_was_stopped_past_its_claim_does_not_send(
        self, store, clock, monkeypatch
    ):
        pigeon = Pigeon()
        async with Bridge(store, tenant="acme", senders=[pigeon], clock=clock) as bridge:
            monkeypatch.setattr(bridge.outbox, "hold_seconds", lambda *_: 0.0)
            turn = await exchange(bridge, write("hi"))
            assert pigeon.carried == []
            assert turn.deliveries[0].status == "claimed"


class TestGate:
    async def test_stop_after_the_commit_withholds_what_has_not_left(self, bridge, pigeon, clock):
        pigeon.says = [Sent("retry"), None]
        await exchange(bridge, write("hi"))
        await exchange(bridge, write("STOP"))
        said = len(pigeon.carried)
        clock.time += 3_600_000
        await bridge.dispatch()
        assert len(pigeon.carried) == said
        assert await outbox(bridge) == await outbox(bridge, "dead") == []

    async def test_a_raised_gate_is_asked_again_and_may_say_yes(self, bridge, pigeon, clock):
        pigeon.says = [Sent("retry"), None]
        await exchange(bridge, write("hi"), "late but true")
        await exchange(bridge, write("STOP"))
        await exchange(bridge, write("START"))
        clock.time += 3_600_000
        await bridge.dispatch()
        assert "late but true" in pigeon.texts[1:]

    async def test_without_the_epoch_it_would_have_left(self, bridge, pigeon, clock, monkeypatch):
        """The negative control: a gate that is not asked again sends after STOP."""
        from ctxbridge.rules import gate

        pigeon.says = [Sent("retry"), None]
        await exchange(bridge, write("hi"), "must not leave")
        await exchange(bridge, write("STOP"))
        monkeypatch.setattr(gate, "refusal", lambda *_: "")
        clock.time += 3_600_000
        await bridge.dispatch()
        assert "must not leave" in pigeon.texts[1:]

    async def test_a_person_who_took_the_floor_is_not_talked_over(self):
        from msgspec.structs import replace

        from ctxbridge.model import Floor
        from ctxbridge.rules.gate import refusal

        async with Bridge("memory://", tenant="t") as bridge:
            await exchange(bridge, write("hi"))
            context = await bridge.context(ANN)
            reply = context.messages[-1]
            assert refusal(context, reply) == ""
            assert refusal(replace(context, floor=Floor.HUMAN), reply) == "floor.not_agent"
            assert refusal(replace(context, contact=None), reply) == "recipient.not_linked"
            assert refusal(context, replace(reply, packed_decision=b"")) == "decision.missing"
            elsewhere = replace(reply, address=Address("sms", "+15550100666"))
            assert refusal(context, elsewhere) == "recipient.not_linked"


class TestReceipts:
    async def test_a_receipt_finds_its_message_and_never_takes_a_better_word_back(self, bridge):
        turn = await exchange(bridge, write("hi"))
        key = turn.deliveries[0].key
        for status, then in [
            ("sent", "sent"), ("delivered", "delivered"), ("sent", "delivered"),
            ("failed", "delivered"), ("read", "read"), ("delivered", "read"),
        ]:  # fmt: skip
            assert (await bridge.receive(receipt(status))).status == then
        assert (await state_of(bridge, key)).status == "read"

    async def test_any_order_ends_in_the_same_status(self, bridge, pigeon):
        ends = set()
        for order in permutations(["sent", "delivered", "read"]):
            turn = await exchange(bridge, write("hi"))
            id = turn.deliveries[0].provider_id
            for status in order:
                last = await bridge.receive(receipt(status, id))
            ends.add(last.status)
        assert ends == {"read"}

    async def test_a_receipt_may_come_before_the_send_has_returned(self, bridge, pigeon):
        async def deliver(outgoing):
            assert await bridge.receive(receipt("delivered", "P-early")) is None
            return Sent("sent", provider_id="P-early")

        pigeon.says = [deliver]
        turn = await exchange(bridge, write("hi"))
        assert turn.deliveries[0].status == "delivered"

    async def test_one_that_names_our_own_id_resolves_what_was_unknown(self, bridge, pigeon):
        pigeon.says = [Sent("unknown")]
        turn = await exchange(bridge, write("hi"))
        key = turn.deliveries[0].key
        assert await outbox(bridge, "dead") == [("unknown", 1)]
        told = await bridge.receive(receipt("delivered", "P9", delivery=key))
        assert (told.status, told.provider_id) == ("delivered", "P9")
        assert await outbox(bridge, "dead") == []

    async def test_what_is_not_ours_is_nobodys(self, bridge):
        await exchange(bridge, write("hi"))
        assert await bridge.receive(receipt("delivered", "other")) is None
        stranger = Address("sms", "+15550100666")
        assert await bridge.receive(receipt("delivered", recipient=stranger)) is None
        assert await bridge.receive(receipt("delivered", recipient=None)) is None
        assert await bridge.receive(receipt("queued")) is None
        for hostile in ("zz", "00", "0" * 32, "é"):
            assert await bridge.receive(receipt("read", "x", delivery=hostile)) is None

    async def test_another_tenant_or_endpoint_sees_nothing(self, bridge, clock):
        await exchange(bridge, write("hi"))
        other = Bridge(bridge.store, tenant="other", clock=clock)
        assert await other.receive(receipt("delivered")) is None
        wrong = Receipt("sms", Endpoint("sms", "+1999"), "P1", "delivered", ANN)
        assert await bridge.receive(wrong) is None


class TestReplay:
    async def test_a_dead_letter_is_sent_again_on_demand(self, bridge, pigeon, clock):
        pigeon.says = [Sent("failed", code="twilio.30003"), None]
        await exchange(bridge, write("hi"), "once more")
        (dead,) = await bridge.deliveries("dead")
        assert (dead.message.text, dead.delivery.code) == ("once more", "twilio.30003")
        assert (await bridge.replay(dead)).status == "pending"
        assert await bridge.dispatch() == 1
        assert pigeon.texts == ["once more", "once more"]
        assert await bridge.deliveries("dead") == [] or not await bridge.deliveries("dead")

    async def test_what_is_not_dead_is_not_replayed(self, bridge, pigeon, clock):
        pigeon.says = [Sent("failed"), None]
        await exchange(bridge, write("hi"))
        (dead,) = await bridge.deliveries("dead")
        await bridge.replay(dead)
        await bridge.dispatch()
        assert (await bridge.replay(dead)).status == "sent"
        assert await bridge.dispatch() == 0

    async def test_stop_holds_for_a_replay_too(self, bridge, pigeon, clock):
        pigeon.says = [Sent("failed"), None]
        await exchange(bridge, write("hi"), "must not leave")
        await exchange(bridge, write("STOP"))
        (dead,) = await bridge.deliveries("dead")
        await bridge.replay(dead)
        await bridge.dispatch()
        assert "must not leave" not in pigeon.texts[1:]


class TestPace:
    async def test_an_endpoint_sends_no_faster_than_it_may(self, store):
        pigeon = Pigeon(per_second=20.0)
        times = []

        async def note(_):
            times.append(anyio.current_time())
            return Sent("sent", provider_id="x")

        pigeon.says = [note]
        bridge = Bridge(store, tenant="acme", senders=[pigeon])
        started = anyio.current_time()
        async with bridge, bridge.turn(write("hi")) as turn:
            for n in range(5):
                turn.reply(f"{n}")
        # From the start, not from one to the next: on a busy machine a late one is noted late.
        assert all(at - started > n / 20 - 0.01 for n, at in enumerate(times))
        assert len(times) == 5


class TestConcurrency:
    async def test_a_process_without_its_sender_leaves_a_delivery_alone(
        self, bridge, pigeon, clock
    ):
        pigeon.says = [Sent("retry"), None]
        await exchange(bridge, write("hi"))
        clock.time += 3_600_000
        other = Bridge(bridge.store, tenant="acme", senders=[Pigeon("chat")], clock=clock)
        assert await other.dispatch() == 0
        assert await bridge.dispatch() == 1
        assert len(pigeon.carried) == 2

    async def test_many_dispatchers_send_each_delivery_once(self, store, clock):
        first = Pigeon()
        first.says = [Sent("retry")]
        async with Bridge(store, tenant="acme", senders=[first], clock=clock) as bridge:
            for n in range(10):
                await exchange(bridge, write(f"{n}"), f"re {n}")
        clock.time += 3_600_000
        pigeons = [Pigeon() for _ in range(5)]
        bridges = [Bridge(store, tenant="acme", senders=[p], clock=clock) for p in pigeons]
        async with anyio.create_task_group() as group:
            for one in bridges:
                group.start_soon(one.dispatch)
        sent = [text for p in pigeons for text in p.texts]
        assert sorted(sent) == sorted(f"re {n}" for n in range(10))


@pytest.mark.parametrize("history", ["stays", "goes"])
@pytest.mark.parametrize("says", ["sent", "retry"])
async def test_what_became_of_a_message_is_noted_where_it_went_meanwhile(
    bridge, pigeon, clock, says, history
):
    """Its address was unlinked while the provider had it; who sent it knows the old contact."""
    await exchange(bridge, write("hello", channel="email"), "by mail")
    mail = Address("email", ANN.value)
    await bridge.link(mail, ANN, evidence="crm:1")

    async def unlinks(outgoing):
        await bridge.unlink(ANN, evidence="crm:2", history=history)
        return Sent(says, provider_id="P1" if says == "sent" else "")

    pigeon.says = [unlinks]
    turn = await exchange(bridge, write("hello?"), "yours")
    assert turn.deliveries[0].status == {"sent": "sent", "retry": "pending"}[says]
    pigeon.says = []
    clock.time += 600_000
    await bridge.dispatch()
    assert pigeon.texts == ["yours"] * (2 if (says, history) == ("retry", "goes") else 1)
    assert await outbox(bridge) == []
    assert ("unknown", 1) not in await outbox(bridge, "dead")
