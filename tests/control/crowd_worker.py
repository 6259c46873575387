"""Some workers in one process, each with many turns that run: see `crowd.py`, which starts it.

Run as a program: `python -m tests.control.crowd_worker`. The first line of its input is what to do,
as JSON. It says "begun" once all its turns are thought about; on "go" the agents come to an end, each
at a time of its own, and on "end" it stops. What it claims and sends is written to a file that the
store knows nothing of, with the time of `time.monotonic`, which all processes of a machine share.
"""

import asyncio
import json
import logging
import os
import sys
import time
from contextlib import suppress
from random import Random

from msgspec.structs import replace

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text
from ctxbridge.errors import Busy
from ctxbridge.guards.guard import allow, defer, guard
from ctxbridge.model import Committed, RecordRead, Sent, Take
from ctxbridge.model.record import CONTROL
from ctxbridge.stores import open_store
from ctxbridge.testing.storm.around import Around

US = Endpoint("sms", "+15550199999")
OLD, NEW = "support@v12", "support@v11"
LATER, HOUR = "later: ", 3_600_000
SWEEP_SECONDS, SLOW_SECONDS = 0.5, 3.0


def customer(number):
    return Address("sms", f"+1555{number:07d}")


def inbound(number):
    return Inbound("sms", US, customer(number), f"M{number}", (Text("hello"),), Assurance.CHANNEL)


class Diary:
    """Lines in a file that is only ever appended to."""

    def __init__(self, path):
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(self, what, message, key, began):
        line = [what, message.release, key, message.text, began, time.monotonic()]
        os.write(self._file, json.dumps(line).encode() + b"\n")


class Watched(Around):
    """Notes what is claimed, and when the store was asked for it."""

    def __init__(self, store, diary):
        super().__init__(store)
        self._diary = diary

    async def commit(self, change, /):
        began = time.monotonic()
        outcome = await super().commit(change)
        if isinstance(outcome, Committed) and not outcome.replayed:
            for delivery in change.deliveries:
                if delivery.token:
                    message = change.append[delivery.place - 1]
                    self._diary.note("claimed", message, delivery.key, began)
        return outcome

    async def deliver(self, step, /):
        began = time.monotonic()
        taken = await super().deliver(step)
        if isinstance(step, Take) and taken.status == "taken":
            self._diary.note("claimed", taken.message, taken.delivery.key, began)
        return taken


class Ignorant(Watched):
    """Broken on purpose: asks for everything as if it knew any control, and hears of no newer one."""

    _heard = None

    async def open(self, claim, /):
        return replace(await super().open(claim), control=b"")

    async def records(self, operation, /):
        if not isinstance(operation, RecordRead) or (operation.scope, operation.name) != CONTROL:
            return await super().records(operation)
        await asyncio.sleep(operation.patience_seconds)
        self._heard = self._heard or await super().records(replace(operation, patience_seconds=0.0))
        return self._heard

    async def commit(self, change, /):
        return await super().commit(_knowing_all(change))

    async def deliver(self, step, /):
        return await super().deliver(_knowing_all(step) if isinstance(step, Take) else step)


def _knowing_all(step):
    return replace(step, control=1 << 52)


class Provider:
    """Takes some time for each message, and now and then much of it."""

    channel, repeatable, timeout_seconds, per_second = "sms", True, 60.0, 0.0

    def __init__(self, diary, chance):
        self._diary, self._chance = diary, chance

    async def send(self, outgoing):
        began = time.monotonic()
        slow = self._chance.random() < 0.1
        await asyncio.sleep(SLOW_SECONDS if slow else self._chance.uniform(0.0, 0.02))
        self._diary.note("sent", outgoing.message, outgoing.key, began)
        return Sent("sent", provider_id=outgoing.key)

    async def aclose(self):
        pass


@guard("reply", name="puts_off")
async def puts_off(check):
    return defer(check.now + HOUR, "put_off") if check.text.startswith(LATER) else allow()


def asks_of(turn):
    ids = [m.message_id for m in turn.messages if m.author == "contact"]
    return ids or [m.message_id for m in turn.context.messages if m.author == "contact"][-1:]


async def answers(turn):
    """The release that is rolled back to."""
    return f"v11 {','.join(asks_of(turn))}"


class Crowd:
    """The workers of this process. Of the customers the first ones get a reply that is put off."""

    def __init__(self, plan):
        self._plan = plan
        self._chance = Random(plan["first"])
        self._diary = Diary(plan["diary"])
        self._left = plan["turns"]
        self._go, self._begun = asyncio.Event(), asyncio.Event()

    async def old(self, turn):
        ids = ",".join(asks_of(turn))
        if int(asks_of(turn)[-1][1:]) % self._plan["step"] < self._plan["later"]:
            return f"{LATER}v12 {ids}"
        self._left -= 1
        if self._left == 0:
            self._begun.set()
        await self._go.wait()
        await asyncio.sleep(self._chance.uniform(0.0, self._plan["think"]))
        return f"v12 {ids}"

    def _bridge(self, store):
        kind = Ignorant if self._plan["broken"] else Watched
        bridge = Bridge(
            kind(store, self._diary), tenant=self._plan["tenant"], guards=[puts_off],
            senders=[Provider(self._diary, self._chance)], wait_seconds=5.0,
        )  # fmt: skip
        bridge.deploy(NEW, answers)
        bridge.deploy(OLD, self.old)
        return bridge

    async def run(self, lines):
        plan = self._plan
        stores = [open_store(plan["url"], prefix=plan["prefix"]) for _ in range(plan["workers"])]
        bridges = [self._bridge(store) for store in stores]
        for bridge in bridges:
            await bridge.__aenter__()
        first, later, turns = plan["first"], plan["later"], plan["turns"]
        await self._all(bridges, range(first, first + later))
        async with asyncio.TaskGroup() as group:
            sweeps = [
                group.create_task(b.run(b.deployed, sweep_seconds=SWEEP_SECONDS)) for b in bridges
            ]
            running = group.create_task(
                self._all(bridges, range(first + later, first + later + turns))
            )
            await self._begun.wait()
            print("begun", flush=True)
            await lines.readline()
            self._go.set()
            await running
            await lines.readline()
            for sweep in sweeps:
                sweep.cancel()
        for bridge, store in zip(bridges, stores, strict=True):
            await bridge.__aexit__()
            await store.aclose()

    async def _all(self, bridges, numbers):
        async with asyncio.TaskGroup() as group:
            for number in numbers:
                group.create_task(self._one(bridges[number % len(bridges)], number))

    async def _one(self, bridge, number):
        with suppress(Busy):  # it is stored, and whoever sweeps has it
            await bridge.answer(inbound(number), bridge.deployed)


async def main():
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    await Crowd(json.loads(await lines.readline())).run(lines)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(main())
