"""Where control meets what is rare: repetitions in band, short windows, odd turns of a trial."""

import anyio
import pytest

from ctxbridge import errors
from ctxbridge.bridge import watching
from ctxbridge.delivery.retrying import MOST_ATTEMPTS
from ctxbridge.guards import allow, block, guard
from ctxbridge.model import Floor, Outcome, RecordWrite, Release, Scope, Sent, TrialPolicy
from ctxbridge.model.control import Canary, Route
from ctxbridge.model.record import CONTROL
from ctxbridge.rules import control as rules
from ctxbridge.rules.trial import fold
from tests.bridge.conftest import SENDERS, write

from .test_control import TestStates as States
from .test_control import TicketV3, _later, answer, other, said
from .test_trial import HOUR, begin, talk

SMS = SENDERS["sms"]
States.__test__ = False  # they are run where they stand


class TestInBand:
    """Nobody sends here: the answer goes out with the response, and a repetition asks for it."""

    async def test_a_repetition_gets_nothing_of_a_release_that_was_rolled_back(self, deploy):
        async with deploy(senders=[]) as bridge:
            await bridge.control.promote("support", "v12")
            message = write("hi")
            first = await bridge.answer(message, bridge.deployed)
            assert [m.text for m in first.answer] == ["v12: hi"]
            await bridge.control.rollback("support", to="v11", within_seconds=0)
            again = await bridge.answer(message, bridge.deployed)
            assert "v12: hi" not in [m.text for m in again.answer]

    async def test_unless_what_it_has_said_is_released(self, deploy):
        async with deploy(senders=[]) as bridge:
            await bridge.control.promote("support", "v12")
            message = write("hi")
            await bridge.answer(message, bridge.deployed)
            await bridge.control.rollback("support", to="v11", pending="release", within_seconds=0)
            again = await bridge.answer(message, bridge.deployed)
            assert [m.text for m in again.answer] == ["v12: hi"]

    async def test_what_stands_still_is_to_be_asked_for_again(self, deploy):
        """Acknowledged with an empty answer, its provider would never ask again."""
        async with deploy(senders=[]) as bridge:
            message = write("hi")
            await bridge.control.pause()
            accepted = await bridge.accept(message, bridge.deployed, answers=True)
            assert await accepted.answer(5) is None
            await bridge.control.resume()
            await bridge.answer(message, bridge.deployed)
            await bridge.control.pause()
            accepted = await bridge.accept(message, bridge.deployed, answers=True)
            assert await accepted.answer(5) is None
            await bridge.control.resume()
            accepted = await bridge.accept(message, bridge.deployed, answers=True)
            assert [m.text for m in await accepted.answer(5)] == ["v11: hi"]


async def test_a_turn_that_does_not_come_in_is_forgotten(deploy):
    started = anyio.Event()

    @guard("inbound")
    async def hangs(check):
        started.set()
        await anyio.sleep_forever()

    async with deploy(guards=[hangs]) as bridge:
        async with anyio.create_task_group() as group:
            group.start_soon(answer, bridge)
            await started.wait()
            assert len(bridge.steering._turns) == 1
            group.cancel_scope.cancel()
        assert not bridge.steering._turns


async def test_what_is_handed_over_unread_is_judged_all_the_same(deploy):
    @guard("inbound")
    def no_attack(check):
        return block("attack") if "attack" in check.text else allow()

    def guarded(*versions):
        return deploy(*versions, guards=[no_attack])

    async with States()._two(guarded, TicketV3) as bridge:
        await bridge.control.promote("support", "v2")
        await answer(bridge, "A-17")
        await bridge.control.rollback("support", to="v1")
        await answer(bridge, "attack")
        context = await bridge.context(SMS, fresh=True)
        assert context.messages[-1].disposition == "quarantined"
        await answer(bridge, "and?")
        context = await bridge.context(SMS, fresh=True)
        assert (context.messages[-1].disposition, context.floor) == ("accepted", Floor.QUEUE)


async def test_a_state_that_cannot_be_read_is_handed_over_again_once_it_was_given_back(deploy):
    """Else the agent would raise at each message, and the customer never have an answer."""
    async with States()._two(deploy, TicketV3) as bridge:
        await bridge.control.promote("support", "v2")
        await answer(bridge, "A-17")
        await bridge.control.rollback("support", to="v1")
        await answer(bridge, "and?")
        await answer(bridge, "hello?")
        await bridge.floor.accept(SMS, by="ann")
        await bridge.floor.release(SMS, by="ann")
        await answer(bridge, "thanks. one more thing")
        assert (await bridge.context(SMS, fresh=True)).floor is Floor.QUEUE


async def test_a_short_window_does_not_end_the_pin(deploy):
    async with deploy(window=1) as bridge:
        await answer(bridge)
        await bridge.control.promote("support", "v12")
        await answer(bridge, "again")
        await answer(bridge, "new", sender=other(1))
        context = await bridge.context(SMS, window=0, fresh=True)
        releases = [m.release for m in context.messages if m.author == "agent"]
        assert releases == ["support@v11"] * 2
        assert [r for _, r in await said(bridge, other(1))] == ["support@v12"]


def test_no_percent_of_one_version_does_not_end_the_canary_of_another():
    route = Route("support", "v11", Canary("v12", 10), known=("v11", "v12", "v13"))
    after = rules.with_canary(route, Canary("v13", 0))
    assert after.canary == route.canary
    assert rules.with_canary(route, Canary("v12", 0)).canary is None


async def test_a_long_pause_costs_no_attempts(deploy, pigeon, clock):
    """Else the first fault of the provider behind it would be the end of the message."""
    async with deploy(guards=[_later]) as bridge, deploy() as operator:
        await answer(bridge, "hello")
        await operator.control.pause(Scope(agent="support"))
        clock.time += HOUR
        for _ in range(2 * MOST_ATTEMPTS):
            await bridge.dispatch()
            clock.time += 5_000
        assert pigeon.texts == []
        await operator.control.resume(Scope(agent="support"))
        pigeon.says = Sent("retry", code="busy")
        assert await bridge.dispatch() == 1
        (waiting,) = await bridge.deliveries("pending")
        assert waiting.delivery.attempt <= 2
        pigeon.says = Sent("sent", provider_id="P")
        clock.time += HOUR
        await bridge.dispatch()
        assert pigeon.texts == ["v11: hello"] * 2
        assert not await bridge.deliveries("pending")


async def test_who_sweeps_by_hand_learns_that_a_pause_is_over(deploy, pigeon, clock):
    async with deploy() as bridge, deploy() as operator:
        await operator.control.pause()
        await answer(bridge, "hello")
        await operator.control.resume()
        clock.time += 10_000
        assert await bridge.recover(bridge.deployed) == 1
        assert pigeon.texts == ["v11: hello"]


async def test_what_stands_still_for_days_is_not_given_up(deploy, pigeon, clock, caplog):
    """A halt of a version is seen only once its turn was opened."""
    scope = Scope(agent="support", version="v11")
    async with deploy() as bridge:
        await bridge.control.pause(scope)
        await answer(bridge, "hello")
        clock.time += 48 * HOUR
        assert await bridge.recover(bridge.deployed) == 1
        assert not [m for m in caplog.messages if "given up" in m]
        await bridge.control.resume(scope)
        clock.time += HOUR
        await bridge.recover(bridge.deployed)
        assert pigeon.texts == ["v11: hello"]


async def test_a_damaged_control_is_mended_by_the_next_act(deploy):
    async with deploy(control_fails="open") as bridge:
        await bridge.control.pause(Scope(channel="email"))
        held = await bridge.control.read()
        damaged = held.epoch.to_bytes(8, "big") + b"\x01\xc1"
        now = bridge.clock.now()
        await bridge.store.records(RecordWrite("acme", *CONTROL, now, damaged, None))
        await bridge.control.pause(Scope(channel="chat"))
        channels = [halt.scope.channel for halt in (await bridge.control.read()).halts]
        assert channels == ["email", "chat"]
        async with deploy() as other:  # it can be read again
            assert other.steering.epoch > held.epoch


async def test_one_whose_note_is_gone_too_is_told_as_damaged(deploy):
    async with deploy(control_fails="open") as bridge:
        damaged = (9).to_bytes(8, "big") + b"\x01\xc1"
        now = bridge.clock.now()
        await bridge.store.records(RecordWrite("acme", *CONTROL, now, damaged, None))
        with pytest.raises(errors.CorruptRecord):
            await bridge.control.pause()


class TestTrials:
    async def test_a_late_one_leaves_the_stable_version_as_it_is_by_now(self, deploy):
        """It goes on with what it began with, and its stable version may be an old one."""
        async with deploy("v11", "v12", "v13") as bridge:
            await begin(bridge)
            await bridge.control.promote("support", "v13")
            await bridge.control.canary("support", "v12", 50, trial=TrialPolicy())
            canary = Release("support", "v12")
            trial, revision = await bridge.watching.trial(canary)
            bad = [Outcome(canary=True, failed=True), Outcome(canary=False)] * 100
            await bridge.watching.put(canary, fold(trial, bad), revision)
            await bridge.watching.settle()
            route = (await bridge.control.read()).route("support")
            assert route.withdrawal("v12") is not None
            assert (route.canary, route.stable) == (None, "v13")

    async def test_what_was_proposed_is_not_proposed_again_behind_many_acts(self, deploy):
        async with deploy() as bridge:
            await begin(bridge, acts=False)
            canary = Release("support", "v12")
            trial, revision = await bridge.watching.trial(canary)
            bad = [Outcome(canary=True, failed=True), Outcome(canary=False)] * 100
            await bridge.watching.put(canary, fold(trial, bad), revision)
            await bridge.watching.settle()
            for _ in range(26):
                await bridge.control.pause()
                await bridge.control.resume()
            await bridge.watching.settle()
            acts = [control.act for control in await bridge.control.history(100)]
            assert acts.count("propose rollback support@v12") == 1

    async def test_where_nobody_runs_what_waits_to_be_told_does_not_grow_for_ever(
        self, deploy, monkeypatch
    ):
        monkeypatch.setattr(watching, "MOST_HELD", 4)
        async with deploy() as bridge:
            await begin(bridge)
            await talk(bridge, 9)
            assert len(bridge.watching._begun) == 4
