"""STOP at any instant of a turn: what is committed after it was stored does not leave."""

from itertools import count
from random import Random

import anyio
import pytest
from anyio.lowlevel import checkpoint
from msgspec.structs import replace

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text
from ctxbridge.model import Refused, Sent
from ctxbridge.testing.storm.around import Around

from .weather import times

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quiet")]
ROUNDS = times(1_000)
AT_ONCE = 20
_numbers = count(1)


@pytest.fixture
def store(each_store):
    return each_store


class Noting(Around):
    """Notes which contacts' STOP was stored, and which commits with something to send came later."""

    def __init__(self, store):
        super().__init__(store)
        self.stopped = set()
        self.too_late = set()

    async def open(self, claim, /):
        await checkpoint()
        opened = await super().open(claim)
        if claim.consents:
            self.stopped.add(opened.context.contact.id)
        return opened

    async def commit(self, change, /):
        if change.contact in self.stopped and change.deliveries:
            self.too_late |= {delivery.key for delivery in change.deliveries}
        await checkpoint()
        return await self._commit(change)

    async def _commit(self, change):
        return await super().commit(change)


class Ungated(Noting):
    """Broken on purpose: commits whatever the gate epoch is."""

    async def _commit(self, change):
        outcome = await super()._commit(change)
        if isinstance(outcome, Refused) and outcome.reason == "gated":
            return await super()._commit(replace(change, gate_epoch=outcome.gate_epoch))
        return outcome


class Provider:
    """Notes what it is sent."""

    channel, repeatable, timeout_seconds, per_second = "sms", True, 5.0, 0.0

    def __init__(self):
        self.sent = {}

    async def send(self, outgoing):
        self.sent[outgoing.key] = outgoing.text
        return Sent("sent", provider_id=outgoing.key)

    async def aclose(self):
        pass


async def stop_meanwhile(noting):
    """Turns, each with a STOP at some instant of it: how many replies left, and how many wrongly."""
    chance, provider = Random(3), Provider()
    tenant = f"gate-{next(_numbers)}"

    def inbound(who, text):
        number = f"M{next(_numbers)}"
        return Inbound("sms", Endpoint("sms", "us"), who, number, (Text(text),), Assurance.CHANNEL)

    async def agent(turn):
        await anyio.sleep(chance.uniform(0, 0.01))
        return "on its way"

    async def one(number):
        who = Address("sms", f"+1555{number:07d}")
        async with anyio.create_task_group() as group:
            group.start_soon(bridge.answer, inbound(who, "hello"), agent)
            await anyio.sleep(chance.uniform(0, 0.02))
            await bridge.answer(inbound(who, "STOP"), agent)

    async with Bridge(noting, tenant=tenant, senders=[provider]) as bridge:
        for first in range(0, ROUNDS, AT_ONCE):
            async with anyio.create_task_group() as group:
                for number in range(first, first + AT_ONCE):
                    group.start_soon(one, number)
    replies = [key for key, text in provider.sent.items() if text == "on its way"]
    wrong = [key for key in replies if key in noting.too_late]
    print(
        f"\n{ROUNDS} turns with a STOP: {len(replies)} replies left, {len(wrong)} of them after it"
    )
    return len(replies), len(wrong)


async def test_nothing_that_was_committed_after_a_stop_leaves(store):
    replies, wrong = await stop_meanwhile(Noting(store))
    assert 0 < replies < ROUNDS  # or the STOPs came all too early, or all too late
    assert wrong == 0


async def test_without_the_epoch_it_does(store):
    """The negative control."""
    _, wrong = await stop_meanwhile(Ungated(store))
    assert wrong > 0
