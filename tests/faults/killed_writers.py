"""Kills writers of one SQLite file at random moments and keeps account of what they acknowledged.

Run as a program: `python killed_writers.py FILE KILLS SEED VARIANT`; prints one JSON object. It imports
once and forks a writer for each round, so that a kill costs milliseconds.
"""

import asyncio
import json
import os
import random
import select
import signal
import sys
import time

from msgspec.structs import replace

from ctxbridge.errors import CtxBridgeError
from ctxbridge.model import Address, Committed
from ctxbridge.stores.sqlite import SqliteStore
from ctxbridge.testing.actor import Actor

CUSTOMERS = 8
LEASE_SECONDS = 10.0


class TornStore(SqliteStore):
    """Broken on purpose: stores the state in another transaction than the messages."""

    async def commit(self, change, /):
        outcome = await super().commit(replace(change, state=None))
        if change.state is not None:
            later = replace(
                change, fence=None, append=(), amend=(), turn=bytes(reversed(change.turn))
            )
            await super().commit(later)
        return outcome


class ForgetfulStore(SqliteStore):
    """Broken on purpose: remembers a message id in another transaction, after the message."""

    async def open(self, claim, /):
        opened = await super().open(claim)
        if opened.status == "new" and not opened.resumed:
            from ctxbridge.wire.keys import message_key

            key = message_key(claim.tenant, claim.endpoint, claim.message.message_id)

            def forget(connection):
                row = connection.execute("SELECT * FROM seen WHERE message = ?", (key,)).fetchone()
                connection.execute("DELETE FROM seen WHERE message = ?", (key,))
                return row

            row = await self._write(forget)
            if row:
                insert = "INSERT INTO seen VALUES (?, ?, ?, ?, ?, ?)"
                await self._write(lambda connection: connection.execute(insert, row) and None)
        return opened


class HastyStore(SqliteStore):
    """Broken on purpose: says that it has committed while the commit is only on its way."""

    async def commit(self, change, /):
        self._hasty = getattr(self, "_hasty", set())
        task = asyncio.ensure_future(super().commit(change))
        self._hasty.add(task)
        task.add_done_callback(self._hasty.discard)
        await asyncio.sleep(0)
        return Committed(0, 0)


VARIANTS = {
    "real": SqliteStore,
    "torn": TornStore,
    "forgetful": ForgetfulStore,
    "hasty": HastyStore,
}


async def serve(store, customer, round_number, repeat, say):
    """One customer's turns, one after the other: those that may have been cut off before come first."""
    actor = Actor(
        seed=round_number * 1_000 + customer, now=1_790_000_000_000 + round_number * 60_000
    )
    address = Address("chat", f"customer-{customer}")
    number = 0
    while True:
        id = repeat.pop(0) if repeat else f"{round_number}.{customer}.{number}"
        number += 1
        say("try", id)
        opened = await store.open(
            actor.claim(id, message_id=id, address=address, lease_seconds=LEASE_SECONDS)
        )
        if opened.status == "new":
            count = int(opened.context.state or b"0") + 1
            change = actor.change(opened, f"re:{id}", address=address, state=b"%d" % count)
            outcome = await store.commit(change)
            if not isinstance(outcome, Committed):
                say("odd", f"{id} {outcome}")
        elif opened.status != "duplicate":
            say("odd", f"{id} {opened.status}")
        say("ack", id)


async def write(path, variant, round_number, unsettled, pipe):
    def say(kind, what):
        os.write(pipe, f"{kind} {what}\n".encode())

    try:
        async with VARIANTS[variant](path) as store:
            repeats = [
                [i for i in unsettled if i.split(".")[1] == str(c)] for c in range(CUSTOMERS)
            ]
            await asyncio.gather(
                *(serve(store, c, round_number, repeats[c], say) for c in range(CUSTOMERS))
            )
    except CtxBridgeError as error:
        say("odd", repr(error))


def fork_writer(path, variant, round_number, unsettled):
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        try:
            asyncio.run(write(path, variant, round_number, unsettled, write_end))
        finally:
            os._exit(1)
    os.close(write_end)
    return child, read_end


def kill_after(child, read_end, seconds):
    """What the writer said until it was killed, `seconds` after its first word."""
    select.select([read_end], [], [], 10)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(read_end, "rb") as pipe:
        return [line.decode().split(" ", 1) for line in pipe.read().splitlines()]


def main(path, kills, seed, variant):
    chance = random.Random(seed)
    tried, acked, odd = [], set(), []
    for round_number in range(kills):
        unsettled = [id for id in dict.fromkeys(tried[-3 * CUSTOMERS :]) if id not in acked]
        child, read_end = fork_writer(path, variant, round_number, unsettled)
        for kind, what in kill_after(child, read_end, chance.uniform(0.0, 0.02)):
            if kind == "odd":
                odd.append(what)
            else:
                (tried.append if kind == "try" else acked.add)(what)
    print(json.dumps({"tried": tried, "acked": sorted(acked), "odd": odd}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
