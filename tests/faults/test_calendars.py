"""Retries by the calendars of providers, in virtual time: one effect for each message, days later too."""

import logging
from collections import Counter
from contextlib import suppress
from heapq import heappop, heappush
from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text, errors
from ctxbridge.model import Sent
from ctxbridge.stores import open_store
from ctxbridge.testing.storm.around import Around
from ctxbridge.testing.storm.variants import Forgetful

from .calendars import CALENDARS, DAY, HORIZON_SECONDS, HOUR
from .weather import times

pytestmark = pytest.mark.slow
SAMPLES = times(10_000)
SWEEP_SECONDS = 5 * HOUR
"""Far less than the day after which a message is given up."""
TOGETHER = 250
"""How many conversations live at the same time, so that their retries come in between one another."""


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


class Clock:
    """Moves when the world does."""

    def __init__(self):
        self.seconds = 1_790_000_000.0

    def now(self):
        return round(self.seconds * 1000)


class Unsteady(Around):
    """Loses the answer to a verb that it has done, now and then."""

    def __init__(self, store, chance):
        super().__init__(store)
        self._chance = chance

    def _may_lose(self):
        if self._chance.random() < 0.1:
            raise errors.OutcomeUnknown("the answer was lost")

    async def open(self, claim, /):
        opened = await super().open(claim)
        self._may_lose()
        return opened

    async def commit(self, change, /):
        outcome = await super().commit(change)
        self._may_lose()
        return outcome


class Provider:
    """Takes each key once. What it was sent."""

    channel, repeatable, timeout_seconds, per_second = "sms", True, 5.0, 0.0

    def __init__(self):
        self.texts = {}

    async def send(self, outgoing):
        self.texts[outgoing.key] = outgoing.text
        return Sent("sent", provider_id=f"P{outgoing.key}")

    async def aclose(self):
        pass


async def reply(turn):
    await checkpoint()
    return f"re {turn.messages[0].text}"


async def fail(turn):
    await checkpoint()
    raise ZeroDivisionError


class World:
    """Some conversations whose providers repeat what they sent, and the workers that answer."""

    def __init__(self, seed, samples, store, horizon=HORIZON_SECONDS):
        self.chance = Random(seed)
        self.clock = Clock()
        self.provider = Provider()
        self.attempts = Counter()
        self.died = 0
        self._listens, self._heard = set(), set()
        self._horizon = horizon
        self._due = []
        self._samples = samples
        unsteady = Unsteady(store, self.chance)
        self._bridge = Bridge(
            unsteady, tenant="calendars", senders=[self.provider], clock=self.clock, guards=(), overlap="queue",
            wait_seconds=0.0,
        )  # fmt: skip
        for number in range(samples):
            self._plan(number)

    def _plan(self, number):
        """All attempts for one message: late, doubled, and so in any order.

        Half of the providers hear the first answer that is not lost, and try no more. The others
        hear none, and go on to the end of their calendar.
        """
        if self.chance.random() < 0.5:
            self._listens.add(number)
        name = self.chance.choice([*CALENDARS])
        begins = self.clock.seconds + self.chance.uniform(0, DAY)
        for after in CALENDARS[name]:
            for _ in range(1 + (self.chance.random() < 0.3)):
                late = self.chance.choice([0, 0, self.chance.uniform(0, 1 + after)])
                heappush(self._due, (begins + min(after + late, 9 * DAY), number, name))

    async def pass_by(self):
        """Every attempt at its time, and a sweep every few hours, until all is quiet."""
        sweep_at = self.clock.seconds
        while self._due:
            at, number, name = heappop(self._due)
            while sweep_at < at:
                self.clock.seconds, sweep_at = sweep_at, sweep_at + SWEEP_SECONDS
                await self._sweep()
            self.clock.seconds = at
            numbers = [number]
            if number in self._heard:
                continue
            while self._due and self._due[0][:2] == (at, number):
                numbers.append(heappop(self._due)[1])
            async with anyio.create_task_group() as group:
                for one in numbers:
                    group.start_soon(self._attempt, one, name)
        for _ in range(20):
            self.clock.seconds += 900
            await self._sweep()
        await self._bridge.leases.aclose()

    async def _attempt(self, number, name):
        self.attempts[name] += 1
        fate = self.chance.random()
        turn = self._bridge.turn(self._inbound(number))
        with suppress(errors.Busy, errors.OutcomeUnknown, ZeroDivisionError):
            if fate < 0.1:
                await self._die_in(turn)
            else:
                await self._bridge.think(turn, fail if fate < 0.2 else reply)
                if number in self._listens and fate < 0.7:
                    self._heard.add(number)

    async def _die_in(self, turn):
        """A worker that begins the turn and is never seen again."""
        await turn.__aenter__()
        if turn.status == "new":
            turn._in.hold.drop()
            self.died += 1

    async def _sweep(self):
        with suppress(errors.OutcomeUnknown):
            await self._bridge.recover(reply)
        with suppress(errors.OutcomeUnknown):
            await self._bridge.dispatch()

    def _inbound(self, number):
        return Inbound(
            "sms", Endpoint("sms", "us"), _sender(number), f"m{number}", (Text(f"m{number}"),),
            Assurance.CHANNEL, horizon_seconds=self._horizon,
        )  # fmt: skip

    async def account(self):
        """How many messages are lost, and how many are there, or were sent, more than once."""
        stored, sent = Counter(), Counter(self.provider.texts.values())
        for sender in {_sender(n) for n in range(self._samples)}:
            context = await self._bridge.context(sender, window=0)
            stored.update(message.text for message in context.messages)
        names = [f"m{n}" for n in range(self._samples)]
        lost = sum(not (stored[n] and stored[f"re {n}"] and sent[f"re {n}"]) for n in names)
        twice = sum(stored[n] > 1 or stored[f"re {n}"] > 1 or sent[f"re {n}"] > 1 for n in names)
        return {"lost": lost, "twice": twice}


def _sender(number):
    """Two messages make a conversation."""
    return Address("sms", f"+1555{number // 2:07d}")


async def test_one_effect_whatever_is_repeated_lost_or_dies():
    attempts, died, found = Counter(), 0, Counter()
    for seed in range(SAMPLES // TOGETHER):
        world = World(seed, TOGETHER, open_store("memory://"))
        await world.pass_by()
        attempts += world.attempts
        died += world.died
        found.update(await world.account())
    print(
        f"\n{SAMPLES} messages, {attempts.total()} attempts {dict(attempts)}, {died} workers died: {dict(found)}"
    )
    assert found == {"lost": 0, "twice": 0}
    assert set(attempts) == set(CALENDARS)
    assert died > SAMPLES // 20


async def test_a_store_that_forgets_ids_has_them_twice():
    """The negative control."""
    world = World(1, 50, Forgetful(open_store("memory://")))
    await world.pass_by()
    assert (await world.account())["twice"]


async def test_an_id_that_is_forgotten_after_a_week_comes_twice_where_it_is_repeated_longer():
    """The negative control of the horizon: nine days are longer than the seven that are the least."""
    found = Counter()
    for seed in range(4):
        world = World(seed, TOGETHER, open_store("memory://"), horizon=0.0)
        await world.pass_by()
        found.update(await world.account())
    assert found["twice"]


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def store(request, tmp_path):
    if request.param == "redis":
        url = request.getfixturevalue("server").url
        where = open_store(url, prefix=tmp_path.name, clock="caller")
    else:
        where = open_store(
            "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/c.db"
        )
    async with where:
        yield where


@pytest.mark.parametrize("how", ["taken up", "joined"])
async def test_what_another_turn_has_answered_is_remembered_as_long_as_it_is_repeated(store, how):
    """Whoever answers in place of the webhook does not know how long its provider repeats it."""
    clock = Clock()
    async with Bridge(store, tenant="calendars", clock=clock) as bridge:
        first, second = (
            Inbound("sms", Endpoint("sms", "us"), _sender(0), id, (Text(id),), Assurance.CHANNEL,
                    horizon_seconds=horizon)
            for id, horizon in (("m0", HORIZON_SECONDS), ("m1", 0.0))
        )  # fmt: skip
        with suppress(ZeroDivisionError):
            await bridge.answer(first, fail)
        clock.seconds += 2
        if how == "joined":
            await bridge.answer(second, reply)
        else:
            assert await bridge.recover(reply) == 1
        before = await bridge.context(_sender(0), window=0)
        clock.seconds += 9 * DAY
        turn = await bridge.answer(first, reply)
        after = await bridge.context(_sender(0), window=0)
    assert turn.status == ("merged" if how == "joined" else "duplicate")
    assert [m.text for m in after.messages] == [m.text for m in before.messages]
