"""A customer, an agent and two processes over one store: what is to be interrupted, and how."""

from itertools import count
from random import Random

import anyio

from ctxbridge import Bridge, guards
from ctxbridge.testing.actor import Actor
from tests.bridge.conftest import Clock

from .interruptions import ALL, CUSTOMER, Meddler, answered, write
from .stops import LATER, Account, Provider, Stopping, Stops, WobblyStops, guard_at, meddling

HOUR = 3_600_000
LEASE_SECONDS = 86_400.0  # nobody loses a turn because the clock is moved
_tenants = (f"interleaved-{number}" for number in count(1))


class World:
    """Two bridges whose every await is a stop, `here` and `there`, and a customer known to both.

    `loses` is how often the outcome of a send is not recorded, `refuses` how often each provider
    wants to be asked again.
    """

    def __init__(self, stores, operator, stops, *, overlap="merge", loses=0, refuses=0):
        self.account, self.clock, self.stops = Account(), Clock(), stops
        self.tenant = next(_tenants)
        self._operator = operator
        self.here, self.there = [
            Bridge(
                Stopping(store, stops, self.account, loses=loses),
                tenant=self.tenant, clock=self.clock, overlap=overlap, lease_seconds=LEASE_SECONDS,
                senders=[Provider(stops, self.account, refuses=refuses)],
                guards=[guards.opt_out(), guard_at(stops)],
            )
            for store in stores
        ]  # fmt: skip

    async def run(self, scenario):
        """Let the scenario run and be meddled with, and in the end send whatever still can be."""
        async with self.here, self.there:
            await self.unstopped(self._acquaint)
            async with anyio.create_task_group() as group:
                self.stops.happen = Meddler(
                    group, self.here, self.there, self.account, self._operator
                )  # fmt: skip
                await scenario(self)
            await self.unstopped(self.send_due, self.here, self.there)
        return self.account

    async def unstopped(self, work, *args):
        """Work that nothing interrupts."""
        token = meddling.set(True)
        try:
            await work(*args)
        finally:
            meddling.reset(token)

    async def _acquaint(self):
        """The customer has written before, so that there is somebody to take over from."""
        claim = Actor(self.tenant, self.clock.now()).claim(address=CUSTOMER, lease_seconds=0.0)
        await self.here.store.open(claim)

    async def send_due(self, *bridges, after=HOUR):
        """All that is due by then is sent, by all these processes at once."""
        self.clock.time += after
        async with anyio.create_task_group() as group:
            for bridge in bridges:
                group.start_soon(bridge.dispatch)

    async def think(self, turn):
        """The agent: says two things, and the second of them later where it is asked to."""
        await self.stops("agent")
        turn.reply("on its way")
        await self.stops("agent")
        return f"{LATER}: it has left" if "later" in turn.inbound.text else "it has left"


# --- what is interrupted, in the bounded model ----------------------------------------------------


async def claimed_at_once(world):
    await answered(world.here, write("hello", "M1"), world.think)


async def claimed_later(world):
    await answered(world.here, write("hello, later", "M1"), world.think)
    await world.send_due(world.here, world.there)


async def two_at_once(world):
    async with anyio.create_task_group() as group:
        group.start_soon(answered, world.here, write("hello", "M1"), world.think)
        group.start_soon(answered, world.there, write("are you there?", "M2"), world.think)


async def consent_given(world):
    """The confirmation of START is what is interrupted: after STOP it would be a lie."""
    await world.unstopped(answered, world.there, write("STOP", "M1"), world.think)
    await answered(world.here, write("START", "M2"), world.think)


SCENARIOS = {
    "at once": (claimed_at_once, {}),
    "superseding": (claimed_at_once, {"overlap": "supersede"}),
    "later": (claimed_later, {}),
    "refused at first": (claimed_later, {"refuses": 1}),
    "worker lost": (claimed_later, {"loses": 1}),
    "two at once": (two_at_once, {}),
    "consent given": (consent_given, {}),
}


async def one_run(stores, operator, name, plan):
    """A scenario, with each event of the plan at its stop. Gives the world when all is over."""
    scenario, faults = SCENARIOS[name]
    world = World(stores, operator, Stops(plan), **faults)
    await world.run(scenario)
    return world


# --- the same at random ---------------------------------------------------------------------------


async def random_run(stores, operator, seed):
    """Some messages, some events, some sweeps, at any time. Gives the world when all is over."""
    chance = Random(seed)
    stops = WobblyStops(chance)
    faults = {"loses": chance.choice((0, 0, 0, 1)), "refuses": chance.choice((0, 0, 0, 1))}
    overlap = chance.choice(("merge", "merge", "queue", "supersede"))
    world = World(stores, operator, stops, overlap=overlap, **faults)
    await world.run(lambda world: _at_random(world, chance))
    return world


async def _at_random(world, chance):
    async with anyio.create_task_group() as meddlers:
        meddlers.start_soon(_meddle, world, chance)
        async with anyio.create_task_group() as group:
            group.start_soon(_sweep, world, chance)
            for number in range(chance.randint(1, 3)):
                group.start_soon(_write, world, chance, number)
        world.stops.end()


async def _write(world, chance, number):
    await world.stops.dawdle(chance.randint(0, 60) * number)
    text = chance.choice(("hello", "hello, later"))
    bridge = chance.choice((world.here, world.there))
    await answered(bridge, write(text, f"M{number}"), world.think)


async def _sweep(world, chance):
    for _ in range(chance.randint(0, 2)):
        await world.stops.dawdle(chance.randint(0, 300))
        bridges = chance.sample((world.here, world.there), chance.randint(1, 2))
        await world.send_due(*bridges, after=chance.randint(0, 2) * HOUR)


async def _meddle(world, chance):
    """One event after the other, so that it is known which gate epoch is whose."""
    for _ in range(chance.randint(1, 3)):
        await world.stops.reached(chance.randint(0, 60))
        await world.stops.dawdle(chance.randint(0, 9))
        await world.stops.happen(chance.choice(ALL))
