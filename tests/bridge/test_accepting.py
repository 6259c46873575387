"""Messages that are acknowledged once they are stored, and answered behind that."""

import logging

import anyio
import pytest

from ctxbridge import Bridge, errors
from ctxbridge.model import Scan
from tests.patience import LIMIT_SECONDS, until

from .conftest import SENDERS, Ticket, exchange, write


class Agent:
    """Thinks until it is let go; counts how often it is asked."""

    def __init__(self):
        self.asked, self.let_go = 0, anyio.Event()

    async def __call__(self, turn):
        self.asked += 1
        await self.let_go.wait()
        return "re: " + " ".join(m.text for m in turn.messages)


async def quick(turn):
    return "re: " + " ".join(m.text for m in turn.messages)


async def log(bridge):
    return [(m.text, m.disposition) for m in (await bridge.context(SENDERS["sms"])).messages]


async def texts(bridge):
    return [text for text, _ in await log(bridge)]


async def ended(*accepted):
    with anyio.fail_after(LIMIT_SECONDS):
        for one in accepted:
            await one.wait()


class TestStoredFirst:
    async def test_it_is_stored_before_the_agent_has_answered_and_answered_behind_that(
        self, bridge
    ):
        agent = Agent()
        with anyio.fail_after(LIMIT_SECONDS):
            accepted = await bridge.accept(write("one"), agent)
        assert (accepted.status, await log(bridge)) == ("new", [("one", "pending")])
        assert len(bridge.acceptances) == 1
        agent.let_go.set()
        await ended(accepted)
        assert await log(bridge) == [("one", "accepted"), ("re: one", "accepted")]
        assert len(bridge.acceptances) == 0

    async def test_a_message_that_waits_for_another_turn_is_not_waited_for(self, bridge):
        agent = Agent()
        with anyio.fail_after(LIMIT_SECONDS):
            first = await bridge.accept(write("one"), agent)
            others = [await bridge.accept(write(text), quick) for text in ("two", "three")]
        assert [one.status for one in (first, *others)] == ["new", "busy", "busy"]
        agent.let_go.set()
        await ended(first, *others)
        assert await texts(bridge) == ["one", "two", "three", "re: one", "re: two three"]

    async def test_an_edit_is_noted_and_asks_nobody(self, bridge):
        await exchange(bridge, write("one", id="M1"))
        agent = Agent()
        accepted = await bridge.accept(write("won", id="M2", revises="M1"), agent)
        await ended(accepted)
        assert (accepted.status, agent.asked) == ("noted", 0)

    async def test_what_could_not_be_stored_is_raised_and_nothing_goes_on(self, bridge):
        agent = Agent()
        for _ in range(2):
            with pytest.raises(errors.Malformed):
                await bridge.accept(write("one", sender=SENDERS["sms"], id="\ud800"), agent)
        await bridge.store.aclose()
        with pytest.raises(errors.StoreClosed):
            await bridge.accept(write("one"), agent)
        assert (len(bridge.acceptances), agent.asked) == (0, 0)

    async def test_a_bridge_that_is_not_open_accepts_nothing(self, bridge):
        closed = Bridge(bridge.store, tenant="acme", state=Ticket)
        with pytest.raises(errors.StoreClosed, match="not open"):
            await closed.accept(write("one"), quick)
        assert await log(bridge) == []

    async def test_whoever_stops_listening_stops_nothing(self, bridge):
        agent = Agent()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await bridge.accept(write("one"), agent)
        assert scope.cancelled_caught
        agent.let_go.set()

        async def answered():
            return await texts(bridge) == ["one", "re: one"]

        await until(answered)


class TestRepeated:
    async def test_one_that_was_answered_is_a_duplicate(self, bridge):
        agent = Agent()
        agent.let_go.set()
        await ended(await bridge.accept(write("one", id="M1"), agent))
        again = await bridge.accept(write("one", id="M1"), agent, answers=True)
        assert [m.text for m in await again.answer(5)] == ["re: one"]
        assert (again.status, agent.asked) == ("duplicate", 1)

    async def test_one_whose_turn_runs_costs_nothing(self, bridge):
        agent = Agent()
        first = await bridge.accept(write("one", id="M1"), agent)
        for _ in range(20):
            again = await bridge.accept(write("one", id="M1"), agent)
            await ended(again)
            assert (again.status, await again.answer(0)) == ("busy", None)
        assert len(bridge.acceptances) == 1
        agent.let_go.set()
        await ended(first)
        assert (agent.asked, await texts(bridge)) == (1, ["one", "re: one"])

    async def test_it_waits_for_the_answer_where_that_goes_in_band(self, bridge):
        agent = Agent()
        first = await bridge.accept(write("one", id="M1"), agent, answers=True)
        assert await first.answer(0.02) is None
        again = await bridge.accept(write("one", id="M1"), agent, answers=True)
        agent.let_go.set()
        assert [m.text for m in await again.answer(5)] == ["re: one"]
        assert [m.text for m in await first.answer(5)] == ["re: one"]
        assert agent.asked == 1


class TestLease:
    @pytest.fixture
    async def ticking(self, bridge):
        """Short leases, by the machine's own clock."""
        async with Bridge(
            bridge.store, tenant="acme", state=Ticket, lease_seconds=0.8, drain_seconds=0.1
        ) as one:
            yield one

    async def test_it_is_renewed_from_the_moment_of_storing(self, ticking):
        turn = ticking.turn(write("one"))
        await turn.arrival.store()
        await anyio.sleep(1.2)
        assert await ticking.recover(quick) == 0
        async with turn:
            turn.reply("mine all along")
        assert await texts(ticking) == ["one", "mine all along"]

    async def test_without_renewal_it_would_be_lost(self, ticking, monkeypatch):
        """The negative control of the test above."""

        async def never(lease):
            return None

        monkeypatch.setattr(ticking.leases, "_renew", never)
        turn = ticking.turn(write("one"))
        await turn.arrival.store()
        await anyio.sleep(1.2)
        assert await ticking.recover(quick) == 1
        with pytest.raises(errors.Fenced):
            async with turn:
                turn.reply("too late")

    async def test_nobody_takes_up_a_turn_whose_agent_thinks(self, ticking):
        agent = Agent()
        accepted = await ticking.accept(write("one"), agent)
        for _ in range(4):
            await anyio.sleep(0.3)
            assert await ticking.recover(quick) == 0
        agent.let_go.set()
        await ended(accepted)
        assert agent.asked == 1


class TestFailing:
    async def test_an_agent_that_raises_is_told_of_without_its_words_and_tried_again(
        self, bridge, clock, caplog
    ):
        async def broken(turn):
            raise KeyError(turn.inbound.text)

        with caplog.at_level(logging.INFO, "ctxbridge"):
            accepted = await bridge.accept(write("my secret"), broken)
            await ended(accepted)
        assert await accepted.answer(0) is None
        (record,) = caplog.records
        assert "KeyError (test_accepting.py:" in record.getMessage()
        assert record.exc_info is None
        assert "secret" not in caplog.text
        clock.time += 1_001
        assert await bridge.recover(quick) == 1
        assert await texts(bridge) == ["my secret", "re: my secret"]

    async def test_without_an_agent_whoever_sweeps_takes_it_up(self, bridge, another, clock):
        accepted = await bridge.accept(write("one"))
        await ended(accepted)
        clock.time += 1_001
        there = await another()
        assert await there.recover(quick) == 1
        assert await texts(bridge) == ["one", "re: one"]


class TestClosing:
    async def test_turns_that_run_may_end(self, bridge, clock):
        agent, closing = Agent(), Bridge(bridge.store, tenant="acme", state=Ticket, clock=clock)

        async def is_closing():
            return closing.acceptances.is_closing

        async def let_go():
            await until(is_closing)
            with pytest.raises(errors.StoreClosed):
                await closing.accept(write("two"), agent)
            agent.let_go.set()

        async with anyio.create_task_group() as group, closing:
            await closing.accept(write("one"), agent)
            group.start_soon(let_go)
        assert await texts(bridge) == ["one", "re: one"]

    async def test_the_rest_is_given_back_at_once(self, bridge, clock, another, caplog):
        agent = Agent()
        async with Bridge(
            bridge.store, tenant="acme", state=Ticket, clock=clock, drain_seconds=0.05
        ) as closing:
            await closing.accept(write("one"), agent)
            await closing.accept(write("two"), agent)
            clock.time += 50_000  # one that failed would be tried again after half of that
        assert "2 given back" in caplog.text
        clock.time += 1_001  # a lease would be 60 s
        assert await (await another()).recover(quick) == 1
        assert await texts(bridge) == ["one", "two", "re: one two"]

    async def test_one_that_is_not_given_back_waits_for_its_lease(self, bridge, clock, another):
        """The negative control of the test above: as if the process had been killed."""
        turn = bridge.turn(write("one"))
        await turn.arrival.store()
        turn.arrival._entered.hold.drop()
        clock.time += 1_001
        assert await bridge.store.scan(Scan("acme", clock.now())) == []
        assert await (await another()).recover(quick) == 0
        clock.time += 60_000
        assert await (await another()).recover(quick) == 1

    async def test_an_agent_that_hears_nothing_does_not_hold_the_bridge_up(
        self, bridge, clock, monkeypatch
    ):
        from ctxbridge.bridge import accepting

        monkeypatch.setattr(accepting, "_GIVING_BACK_SECONDS", 0.05)
        deaf = anyio.Event()

        async def agent(turn):
            with anyio.CancelScope(shield=True):
                await deaf.wait()

        with anyio.fail_after(LIMIT_SECONDS):
            async with Bridge(
                bridge.store, tenant="acme", state=Ticket, clock=clock, drain_seconds=0
            ) as closing:
                await closing.accept(write("one"), agent)
        deaf.set()

    def test_how_long_is_bounded(self):
        with pytest.raises(errors.ConfigurationError, match="drain_seconds"):
            Bridge("memory://", tenant="acme", drain_seconds=-1)
