"""Customers, two processes that answer them, and an operator who rolls the release back meanwhile.

Every await of a process is a stop (`tests.faults.stops`), where others may come first; the clock
stands still until the world moves it. What is in force is noted when the store has acknowledged the
control: whatever is asked of the store from then on must be refused to the release that is gone.
"""

from collections import Counter
from itertools import count
from random import Random

import anyio

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text
from ctxbridge.errors import Busy
from ctxbridge.model import Committed, Floor, Message, RecordWrite, Sent, Take
from ctxbridge.model.record import CONTROL
from ctxbridge.testing.storm.around import Around
from ctxbridge.wire.control1 import decode_control
from tests.bridge.conftest import Clock
from tests.faults.stops import LATER, LATER_MILLISECONDS, WobblyStops, guard_at

US = Endpoint("sms", "+15550199999")
OLD, NEW = "support@v12", "support@v11"
LEASE_SECONDS, HOUR = 1_800.0, 3_600_000
CUSTOMERS = 20
_tenants = (f"rolled-back-{number}" for number in count(1))


def customer(number):
    return Address("sms", f"+1555010{number:04d}")


def inbound(number):
    return Inbound("sms", US, customer(number), f"M{number}", (Text("hello"),), Assurance.CHANNEL)


def asks_of(turn):
    """The ids of the customer's messages that a turn answers."""
    ids = [m.message_id for m in turn.messages if m.author == "contact"]
    if not ids:  # the library asks for another answer to the last one
        last = [m for m in turn.context.messages if m.author == "contact"][-1:]
        ids = [m.message_id for m in last]
    return ids


class Account:
    """What was asked of the store, what it granted, and what a provider got."""

    def __init__(self):
        self.called = self.in_force = self.returned = False
        self.pending = "withhold"
        self.too_late = []
        """What the old release was granted though the rollback was in force when it was asked."""
        self.sent = []
        """Release, key, ids of the messages that are answered, and whether the call had returned."""
        self.thought = set()
        """The messages that the old release was thinking about when the rollback was called."""

    def wrote(self, write):
        if isinstance(write, RecordWrite) and (write.scope, write.name) == CONTROL:
            self.in_force |= any(r.withdrawn for r in decode_control(write.value).routes)


class Watched(Around):
    """A store with a stop before and behind each verb, which keeps the account."""

    def __init__(self, store, stops, account):
        super().__init__(store)
        self._stops, self._account = stops, account

    async def open(self, claim, /):
        await self._stops("open before")
        opened = await super().open(claim)
        await self._stops("open after")
        return opened

    async def commit(self, change, /):
        await self._stops("commit before")
        in_force = self._account.in_force
        outcome = await super().commit(change)
        if in_force and isinstance(outcome, Committed) and not outcome.replayed:
            claims = [d for d in change.deliveries if d.token]
            told = [change.append[d.place - 1] for d in claims]
            self._account.too_late += [m.text for m in told if m.release == OLD]
        await self._stops("commit after")
        return outcome

    async def deliver(self, step, /):
        await self._stops("deliver before")
        withheld = self._account.in_force and self._account.pending == "withhold"
        taken = await super().deliver(step)
        if isinstance(step, Take) and taken.status == "taken" and withheld:
            self._account.too_late += [taken.message.text] * (taken.message.release == OLD)
        await self._stops("deliver after")
        return taken

    async def scan(self, scan, /):
        await self._stops("scan before")
        return await super().scan(scan)

    async def records(self, operation, /):
        await self._stops("records before")
        record = await super().records(operation)
        self._account.wrote(operation)
        await self._stops("records after")
        return record


class Provider:
    """Takes messages by SMS, each at a stop of its own."""

    channel, repeatable, timeout_seconds, per_second = "sms", True, 60.0, 0.0

    def __init__(self, stops, account):
        self._stops, self._account = stops, account

    async def send(self, outgoing):
        await self._stops("before send")
        message, account = outgoing.message, self._account
        ids = message.text.split()[-1].split(",")
        account.sent.append((message.release, outgoing.key, ids, account.returned))
        return Sent("sent", provider_id=outgoing.key)

    async def aclose(self):
        pass


class World:
    """Two processes and an operator over one store; `chance` decides what the plan leaves open."""

    def __init__(self, store, chance, *, running="retake", pending="withhold", customers=CUSTOMERS):
        self.account, self.clock, self.chance = Account(), Clock(), chance
        self.account.pending = pending
        self.stops = WobblyStops(chance)
        self.running, self.pending, self.customers = running, pending, customers
        self.tenant = next(_tenants)
        self.report = None
        self.floors = {}
        self.releases = {}
        self.died = 0
        self.old = self._old
        self.here, self.there, self.operator = [self._bridge(store) for _ in range(3)]

    def _bridge(self, store):
        bridge = Bridge(
            Watched(store, self.stops, self.account), tenant=self.tenant, clock=self.clock,
            lease_seconds=LEASE_SECONDS, guards=[guard_at(self.stops)],
            senders=[Provider(self.stops, self.account)],
        )  # fmt: skip
        bridge.deploy(NEW, self._new)
        bridge.deploy(OLD, lambda turn: self.old(turn))
        return bridge

    async def _old(self, turn):
        ids = asks_of(turn)
        if not self.account.called:
            self.account.thought |= set(ids)
        for _ in range(self.chance.randint(0, 3)):
            await self.stops("agent")
        later = f"{LATER}: " if self.chance.random() < 0.3 else ""
        return f"{later}v12 {','.join(ids)}"

    async def _new(self, turn):
        await self.stops("agent")
        return f"v11 {','.join(asks_of(turn))}"

    async def run(self):
        """Customers write, somebody rolls back, and in the end all that is left is done."""
        async with self.here, self.there, self.operator:
            await self.operator.control.promote("support", "v12")
            self.at = self.chance.randint(len(self.stops.labels), 5 + 14 * self.customers)
            async with anyio.create_task_group() as group:
                group.start_soon(self._roll_back)
                group.start_soon(self._sweep)
                async with anyio.create_task_group() as writing:
                    for number in range(self.customers):
                        writing.start_soon(self._write, number)
                self.stops.end()
            await self._settle()
            await self._look()

    async def _write(self, number):
        await self.stops.dawdle(self.chance.randint(0, 60))
        bridge = self.chance.choice((self.here, self.there))
        turn = bridge.turn(inbound(number))
        try:
            if self.chance.random() < 0.05:
                await self._die_in(turn)
            else:
                await bridge.think(turn, bridge.deployed)
        except Busy:
            pass  # it is stored, and waits

    async def _die_in(self, turn):
        """A worker that begins the turn and is never seen again."""
        await turn.__aenter__()
        if turn.status == "new":
            turn._in.hold.drop()
            self.died += 1

    async def _roll_back(self):
        await self.stops.reached(self.at)
        self.account.called = True
        self.report = await self.operator.control.rollback(
            "support", to="v11", running=self.running, pending=self.pending, within_seconds=0.0
        )
        self.account.returned = True

    async def _sweep(self):
        """What was put off is due at some time, and a process may have asked for the control."""
        for _ in range(self.chance.randint(1, 6)):
            await self.stops.dawdle(self.chance.randint(0, 200))
            self.clock.time += self.chance.choice((0, LATER_MILLISECONDS))
            bridge = self.chance.choice((self.here, self.there))
            if self.chance.random() < 0.2:
                await bridge.steering.refresh()
            await bridge.dispatch()

    async def _settle(self):
        """All that waits is done: by both, and whoever died is missed for long enough."""
        for _ in range(6):
            self.clock.time += HOUR
            for bridge in (self.here, self.there):
                await bridge.recover(bridge.deployed)
                await bridge.dispatch()

    async def _look(self):
        for number in range(self.customers):
            context = await self.operator.context(customer(number), window=0)
            self.floors[f"M{number}"] = context.floor
            self.releases |= {
                m.message_id: (context.contact.id.hex(), m.disposition, m.release)
                for m in context.messages
                if isinstance(m, Message) and m.author == "contact"
            }

    # --- what is wrong ----------------------------------------------------------------------------

    @property
    def wrong(self):
        """In words; empty if all is well."""
        return [
            *[f"claimed too late: {text}" for text in self.account.too_late],
            *self._unanswered(), *self._untold(), *self._miscounted(),
        ]  # fmt: skip

    def _unanswered(self):
        """Each message is answered once, or for a person."""
        answers = Counter(id for _, _, ids, _ in self.account.sent for id in ids)
        for id, floor in self.floors.items():
            if id not in self.releases:
                yield f"{id} is lost"
            elif self.releases[id][1] == "pending":
                yield f"{id} waits for ever"
            wanted = {0} if floor is Floor.QUEUE else {1}
            if answers[id] not in wanted:
                yield f"{id} was answered {answers[id]} times, the floor is with {floor.name}"

    def _untold(self):
        """What leaves under the old release once the call has returned is in the report."""
        told = {*self.report.already_sent, *self.report.released}
        for release, key, ids, returned in self.account.sent:
            if release == OLD and returned and key not in told:
                yield f"{ids} left after the call, and the report does not say so"

    def _miscounted(self):
        """Whom the old release thought about and the new one answered: those were stopped."""
        report = self.report
        parts = [*report.taken_up, *report.handed_over, *report.waiting]
        if sorted(parts) != sorted(report.stopped):
            yield f"of {len(report.stopped)} stopped {len(parts)} are told"
        asked = {id for id in self.account.thought if self.releases[id][2] == NEW}
        for id in asked:
            if self.releases[id][0] not in report.stopped:
                yield f"{id} was stopped, and the report does not say so"


async def one_run(store, seed, **wanted):
    """A world that has run to its end."""
    chance = Random(seed)
    wanted = {
        "running": chance.choice(("retake", "retake", "handoff")),
        "pending": chance.choice(("withhold", "withhold", "release")),
    } | wanted  # fmt: skip
    world = World(store, chance, **wanted)
    await world.run()
    return world
