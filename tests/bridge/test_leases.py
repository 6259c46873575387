"""Leases are renewed while a turn runs, and turns whose worker is gone are taken up again."""

import logging
from contextlib import suppress
from itertools import pairwise

import anyio
import pytest

from ctxbridge import Bridge, errors
from ctxbridge.bridge.recovery import GIVEN_UP
from ctxbridge.model import Event
from tests.patience import LIMIT_SECONDS, until

from .conftest import SENDERS, Clock, Ticket, exchange, write


@pytest.fixture
async def ticking(bridge):
    """A bridge with short leases; its clock is the machine's own."""
    async with Bridge(
        bridge.store, tenant="acme", state=Ticket, lease_seconds=0.3, wait_seconds=2.0
    ) as one:
        yield one


async def reply(turn):
    return "re: " + " ".join(m.text for m in turn.messages)


async def log(bridge):
    return [(m.text, m.disposition) for m in (await bridge.context(SENDERS["sms"])).messages]


class TestRenewal:
    async def test_a_turn_may_take_longer_than_its_lease(self, ticking):
        async with ticking.turn(write("one")) as turn:
            await anyio.sleep(1.0)
            assert not turn.superseded.is_set()
            turn.reply("slow but here")
        assert [m.text for m in turn.answer] == ["slow but here"]

    async def test_without_renewal_it_would_be_fenced(self, ticking, monkeypatch):
        """The negative control of the test above."""

        async def never(lease):
            return None

        monkeypatch.setattr(ticking.leases, "_renew", never)
        inbound = write("one")
        with pytest.raises(errors.Fenced):
            async with ticking.turn(inbound) as turn:
                await anyio.sleep(0.4)
                await exchange(ticking, inbound)
                turn.reply("too late")

    async def test_an_agent_that_hangs_holds_nothing_for_ever(self, bridge):
        async with Bridge(
            bridge.store, tenant="acme", lease_seconds=0.2, longest_turn_seconds=0.3, wait_seconds=3
        ) as one:
            with pytest.raises(errors.Overdue) as caught:
                await one.answer(write("one"), lambda turn: anyio.sleep_forever())
            assert caught.value.retry_safe
            assert (await log(bridge)) == [("one", "pending")]
            with suppress(errors.Fenced):
                async with one.turn(write("two")):
                    await anyio.sleep(0.7)
                    await exchange(one, write("three"))

    async def test_a_worker_that_lost_its_lease_is_told(self, bridge):
        clock = Clock()
        async with Bridge(bridge.store, tenant="acme", lease_seconds=0.3, clock=clock) as one:
            inbound = write("one")
            with pytest.raises(errors.Fenced):
                async with one.turn(inbound) as turn:
                    clock.time += 301
                    other = Bridge(bridge.store, tenant="acme", clock=clock)
                    async with other.turn(inbound):
                        with anyio.fail_after(LIMIT_SECONDS):
                            await turn.superseded.wait()

    async def test_nothing_runs_on_when_no_turn_does(self, ticking):
        await exchange(ticking, write("one"))
        await anyio.sleep(0.3)
        assert not ticking.leases._keeper.running
        assert not ticking.leases._held


class TestRecovery:
    async def test_a_turn_whose_worker_died_is_taken_up(self, bridge, clock):
        turn = bridge.turn(write("one"))
        await turn.__aenter__()  # and never left: the worker is gone
        turn._in.hold.drop()
        assert await bridge.recover(reply) == 0
        clock.time += 60_001
        assert await bridge.recover(reply) == 1
        assert await log(bridge) == [("one", "accepted"), ("re: one", "accepted")]
        clock.time += 60_001
        assert await bridge.recover(reply) == 0

    async def test_a_message_that_only_waited_is_taken_up_with_its_masks(self, bridge, clock):
        impatient = Bridge(bridge.store, tenant="acme", clock=clock, wait_seconds=0.01)
        async with bridge.turn(write("one")):
            with pytest.raises(errors.Busy):
                await exchange(impatient, write("card 4111 1111 1111 1111"))
        clock.time += 1_001
        assert await bridge.recover(reply) == 1
        assert (await log(bridge))[-1] == ("re: card [card …1111]", "accepted")

    async def test_a_stop_that_only_waited_is_confirmed_and_not_answered(self, bridge, clock):
        impatient = Bridge(bridge.store, tenant="acme", clock=clock, wait_seconds=0.01)
        async with bridge.turn(write("one")) as turn:
            with pytest.raises(errors.Busy):
                await exchange(impatient, write("STOP"))
            turn.reply("on its way")
        clock.time += 1_001
        assert await bridge.recover(reply) == 1
        texts = [m.text for m in (await bridge.context(SENDERS["sms"])).messages if m.visible]
        assert [t for t in texts if t.startswith("re:")] == []
        assert "You will get no more messages" in texts[-1]

    async def test_an_agent_that_fails_is_tried_less_and_less_often(self, bridge, clock, caplog):
        tries = []

        async def fail(turn):
            tries.append(clock.time)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await bridge.answer(write("one"), fail)
        end = clock.time + 3_600_000
        with caplog.at_level(logging.CRITICAL):
            while clock.time < end:
                clock.time += 1_001
                await bridge.recover(fail)
        assert 8 <= len(tries) <= 30
        assert max(b - a for a, b in pairwise(tries)) <= 700_000
        assert await bridge.recover(reply) <= 1

    async def test_after_a_day_it_is_given_up_and_the_log_says_so(self, bridge, clock, caplog):
        with pytest.raises(ZeroDivisionError):
            async with bridge.turn(write("one")):
                raise ZeroDivisionError
        clock.time += 86_400_001
        with caplog.at_level(logging.CRITICAL):
            assert await bridge.recover(reply) == 1
        window = (await bridge.context(SENDERS["sms"])).window
        assert [e.kind for e in window if isinstance(e, Event)] == [GIVEN_UP]
        assert (await bridge.context(SENDERS["sms"])).waiting == ()
        assert await bridge.recover(reply) == 0

    async def test_another_tenants_turns_are_left_alone(self, bridge, clock):
        with pytest.raises(ZeroDivisionError):
            async with bridge.turn(write("one")):
                raise ZeroDivisionError
        clock.time += 2_000
        assert await Bridge(bridge.store, tenant="other", clock=clock).recover(reply) == 0
        assert await bridge.recover(reply) == 1

    async def test_running_it_does_both_until_cancelled_and_outlives_failures(
        self, bridge, clock, caplog
    ):
        with pytest.raises(ZeroDivisionError):
            async with bridge.turn(write("one")):
                raise ZeroDivisionError
        clock.time += 2_000
        with caplog.at_level(logging.CRITICAL):
            async with anyio.create_task_group() as group:

                async def answered():
                    return len(await log(bridge)) == 2

                async def look():
                    await until(answered)
                    group.cancel_scope.cancel()

                group.start_soon(look)
                await bridge.run(reply, sweep_seconds=0.02)
        assert (await log(bridge))[-1] == ("re: one", "accepted")


class TestClock:
    @pytest.mark.parametrize("hours", [-1, 1])
    async def test_a_clock_that_jumps_an_hour_loses_and_doubles_nothing(self, bridge, clock, hours):
        first = write("one", id="1")
        assert await exchange(bridge, first) == ["re: one"]
        async with bridge.turn(write("two")) as turn:
            clock.time += hours * 3_600_000
            turn.reply("re: two")
        assert await exchange(bridge, first) == ["re: one"]
        assert await exchange(bridge, write("three")) == ["re: three"]
        assert [text for text, _ in await log(bridge)] == [
            "one", "re: one", "two", "re: two", "three", "re: three",
        ]  # fmt: skip
