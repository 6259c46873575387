"""Writing first: judged, committed and sent as a reply is, once for each key."""

import anyio
import pytest

from ctxbridge import Address, Endpoint, errors, guards
from ctxbridge.guards import allow, block, guard

from .conftest import ENDPOINTS, SENDERS, exchange, write
from .test_guards import HOUR, Pigeon

SMS = SENDERS["sms"]


@pytest.fixture
def pigeon():
    return Pigeon()


@pytest.fixture
async def known(another, pigeon):
    """A bridge that can send, and a customer who has written before."""
    bridge = await another(senders=[pigeon], wait_seconds=0.01)
    await exchange(bridge, write("hello"), "hi")
    pigeon.texts.clear()
    return bridge


class TestSend:
    async def test_it_is_stored_and_sent(self, known, pigeon):
        written = await known.send(SMS, "Your order has left.")
        assert (pigeon.texts, written.delivery.status) == (["Your order has left."], "sent")
        last = (await known.context(SMS)).messages[-1]
        assert (last.author, last.text, last.endpoint) == (
            "agent",
            "Your order has left.",
            ENDPOINTS["sms"],
        )
        assert next(r.guard for r in last.decision.results) == "gate"
        assert [m["content"] for m in (await known.context(SMS)).as_chat()][-1] == last.text

    async def test_a_key_makes_it_once(self, known, pigeon):
        first = await known.send(SMS, "one", key="order:1:left")
        again = await known.send(SMS, "one", key="order:1:left")
        await known.send(SMS, "two", key="order:2:left")
        assert (first.repeated, again.repeated, again.delivery) == (False, True, None)
        assert pigeon.texts == ["one", "two"]

    async def test_many_at_once_under_one_key_are_one(self, known, pigeon):
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(lambda: known.send(SMS, "one", key="k"))
        assert pigeon.texts == ["one"]

    async def test_nothing_leaves_against_consent(self, known, pigeon):
        await known.consent(SMS, granted=False, purpose="marketing", evidence="call:1")
        written = await known.send(SMS, "Sofas!", purpose="marketing")
        assert (written.message.disposition, written.delivery, pigeon.texts) == (
            "withheld",
            None,
            [],
        )
        assert written.message.decision.code == "consent.opted_out"
        await known.send(SMS, "Your order has left.")
        assert pigeon.texts == ["Your order has left."]

    async def test_marketing_waits_for_the_morning(self, another, pigeon, clock):
        quiet = guards.quiet_hours("UTC", start="21:00", end="08:00", grace_seconds=0.0)
        bridge = await another(guards=[quiet], senders=[pigeon])
        await exchange(bridge, write("hello"), "hi")
        clock.time = 1_790_000_000_000 - 1_790_000_000_000 % 86_400_000 + 22 * HOUR
        written = await bridge.send(SMS, "Sofas!", purpose="marketing")
        assert (written.delivery.status, pigeon.texts) == ("pending", ["hi"])
        clock.time += 11 * HOUR
        await bridge.dispatch()
        assert pigeon.texts == ["hi", "Sofas!"]

    async def test_stop_that_comes_while_it_is_judged_is_heard(self, another, pigeon):
        other = await another(guards=[guards.opt_out(stopped=None)])

        @guard("send", name="slow", deadline_seconds=5.0)
        async def slow(check):
            if check.text == "must not leave" and not stopped:
                stopped.append(await exchange(other, write("STOP")))
            return allow()

        stopped = []
        for senders in ([pigeon], []):
            bridge = await another(guards=[slow], senders=senders)
            await exchange(other, write("START"))
            await exchange(bridge, write("hello"), "hi")
            stopped.clear()
            written = await bridge.send(SMS, "must not leave")
            assert written.message.disposition == "withheld"
        assert "must not leave" not in pigeon.texts

    async def test_what_a_guard_would_say_instead_is_not_sent_unasked(self, another, pigeon):
        no = guard("reply", name="no")(lambda check: block("no", say="I may not say that."))
        bridge = await another(guards=[no], senders=[pigeon])
        await exchange(bridge, write("hello"), "hi")
        pigeon.texts.clear()
        assert (await bridge.send(SMS, "x")).message.decision.code == "no"
        assert pigeon.texts == []

    async def test_it_does_not_wait_for_a_turn_that_runs(self, known, pigeon):
        async with known.turn(write("hello")) as turn:
            turn.state.order = "A-17"
            await known.send(SMS, "Your order has left.")
            turn.reply("bye")
        assert pigeon.texts == ["Your order has left.", "bye"]

    async def test_without_a_sender_it_is_yours_to_send(self, bridge):
        await exchange(bridge, write("hello"), "hi")
        written = await bridge.send(str(SMS), "Your order has left.")
        assert (written.message.visible, written.delivery) == (True, None)

    async def test_mail_goes_on_in_its_thread(self, bridge):
        await exchange(
            bridge,
            write("hello", "email", subject="Order", references=("<0@x>",), id="<1@x>"),
            "hi",
        )
        written = await bridge.send(SENDERS["email"], "It has left.")
        assert (written.message.subject, written.message.references) == (
            "Re: Order",
            ("<1@x>", "<0@x>"),
        )

    async def test_somebody_who_never_wrote_needs_a_record_and_an_endpoint(self, known, pigeon):
        lead = Address("sms", "+15550100777")
        with pytest.raises(errors.UnknownContact):
            await known.send(lead, "hi")
        await known.consent(lead, granted=True, purpose="marketing", evidence="list:7")
        with pytest.raises(errors.UsageError, match="endpoint"):
            await known.send(lead, "hi")
        with pytest.raises(errors.UsageError, match="endpoint"):
            await known.send(lead, "hi", endpoint=Endpoint("email", "us@acme.example"))
        await known.send(lead, "hi", endpoint=ENDPOINTS["sms"], purpose="marketing")
        assert pigeon.texts == ["hi"]

    @pytest.mark.parametrize("text", ["", None, b"x"])
    async def test_nonsense_is_refused(self, known, text):
        with pytest.raises(errors.UsageError):
            await known.send(SMS, text)
