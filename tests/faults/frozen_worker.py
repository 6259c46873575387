"""A worker that stops itself in the middle of each turn, until somebody lets it go on.

Run as a program: `python frozen_worker.py URL CUSTOMER VARIANT STAGE`. It reads message ids, one in a
line, and answers each; it says "stopped" before it stops, and then what became of the turn, as JSON.
STAGE is "think" (in the agent) or "send" (when the reply is committed and claimed, and not sent yet).
"""

import asyncio
import json
import logging
import os
import signal
import sys

from msgspec.structs import replace

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text
from ctxbridge.delivery import Outbox
from ctxbridge.errors import CtxBridgeError
from ctxbridge.model import Sent
from ctxbridge.stores import open_store
from ctxbridge.testing.storm.around import Around
from ctxbridge.testing.storm.variants import VARIANTS

TENANT = "frozen"
US = Endpoint("chat", "us")
LEASE_SECONDS = 0.12
HOLD_SECONDS = 0.12


def inbound(customer, id):
    """What the customer writes."""
    return Inbound("chat", US, Address("chat", customer), id, (Text(id),), Assurance.CHANNEL)


class Provider:
    """Notes what it was sent."""

    channel, timeout_seconds, per_second = "chat", HOLD_SECONDS / 2, 0.0

    def __init__(self, *, repeatable):
        self.repeatable = repeatable
        self.sent = []

    async def send(self, outgoing):
        self.sent.append(outgoing.text)
        return Sent("sent", provider_id=f"P{outgoing.key}")

    async def aclose(self):
        pass


def stop():
    """Until SIGCONT."""
    print("stopped", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)


class StopsBeforeSending(Around):
    """Stops when a reply is committed, and with that claimed, and before anybody can send it."""

    async def commit(self, change, /):
        outcome = await super().commit(change)
        if change.deliveries:
            stop()
        return outcome


class Heedless(Outbox):
    """Broken on purpose: sends under a claim that has run out."""

    async def _send(self, claim, contact, step):
        return await super()._send(replace(claim, until=float("inf")), contact, step)


async def main(url, customer, variant, stage):
    logging.disable(logging.CRITICAL)
    store = VARIANTS.get(variant, Around)(open_store(url))
    provider = Provider(repeatable=variant != "at_most_once")
    where = StopsBeforeSending(store) if stage == "send" else store
    bridge = Bridge(where, tenant=TENANT, senders=[provider], lease_seconds=LEASE_SECONDS)
    if variant == "heedless":
        bridge.outbox = Heedless(where, TENANT, [provider], bridge.clock, bridge.ids)
    bridge.outbox.margin_seconds = HOLD_SECONDS / 2

    async def agent(turn):
        if stage == "think":
            stop()
        return f"stale {turn.messages[0].text}"

    async with store, bridge:
        print("ready", flush=True)
        while id := (await asyncio.to_thread(sys.stdin.readline)).strip():
            provider.sent.clear()
            try:
                turn = await bridge.answer(inbound(customer, id), agent)
                outcome = turn.status
            except CtxBridgeError as error:
                outcome = type(error).__name__
            print(json.dumps({"outcome": outcome, "sent": provider.sent}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
