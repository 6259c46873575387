"""A worker that was stopped for longer than its lease, or its claim, can neither commit nor send."""

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from ctxbridge import Bridge
from ctxbridge.errors import CtxBridgeError
from ctxbridge.stores import open_store

from .frozen_worker import HOLD_SECONDS, LEASE_SECONDS, TENANT, Provider, inbound
from .weather import times

pytestmark = pytest.mark.slow
WORKERS = 4
ROUNDS = times(25)


@pytest.fixture(params=["sqlite", "redis"])
def url(request, tmp_path):
    if request.param == "redis":
        return request.getfixturevalue("server").url + f"?prefix={tmp_path.name}"
    return f"sqlite:///{tmp_path}/frozen.db"


class Frozen:
    """A worker's process, by what it says of itself; see `frozen_worker`."""

    def __init__(self, customer, *arguments):
        self.customer = customer
        self._arguments = arguments

    def __enter__(self):
        program = Path(__file__).with_name("frozen_worker.py")
        url, *others = self._arguments
        self._process = subprocess.Popen(
            [sys.executable, str(program), url, self.customer, *others],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        return self

    def __exit__(self, *exc):
        self._process.kill()
        self._process.communicate()

    async def hears(self):
        """The next thing that it says."""
        async with asyncio.timeout(20):
            return (await asyncio.to_thread(self._process.stdout.readline)).decode().strip()

    async def stops_with(self, id):
        """Give it a message, and wait until it has stopped itself in the middle of it."""
        self._process.stdin.write(f"{id}\n".encode())
        self._process.stdin.flush()
        assert await self.hears() == "stopped"

    async def goes_on(self):
        """What became of its turn."""
        self._process.send_signal(signal.SIGCONT)
        return json.loads(await self.hears())


async def answers(turn):
    return f"fresh {turn.messages[0].text}"


class Found:
    """What became of many turns whose worker was stopped in the middle of them.

    `said` is what that worker told of them, `ids` are their messages, `sent` is what another worker
    sent and `log` how often each text was stored.
    """

    def __init__(self):
        self.said, self.log = Counter(), Counter()
        self.ids, self.sent = [], []
        self.unknown = 0

    def each(self, word):
        """How often each of the turns has an entry that begins with the word."""
        return {self.log[f"{word}{id}"] for id in self.ids}


async def freeze(url, stage, variant="real", rounds=ROUNDS):
    """Stop each of some workers again and again, and let another take up what it has left."""
    found, provider = Found(), Provider(repeatable=variant != "at_most_once")
    provider.timeout_seconds = 5.0
    store = open_store(url)

    async def one(customer):
        with Frozen(customer, url, variant, stage) as frozen:
            assert await frozen.hears() == "ready"
            for number in range(rounds):
                while not await one_turn(
                    frozen, f"{customer}.{number}.{next(numbers)}", number % 2
                ):
                    pass

    async def one_turn(frozen, id, swept):
        """Whether another took it up: one that is stopped while it writes to a file lets nobody."""
        await frozen.stops_with(id)
        await asyncio.sleep(max(LEASE_SECONDS, HOLD_SECONDS) + 0.02)
        taken_up = await taken(frozen, id, swept) if stage == "think" else True
        if stage == "send":
            await bridge.dispatch()
        told = await frozen.goes_on()
        if taken_up:
            found.ids.append(id)
            found.said[told["outcome"], len(told["sent"])] += 1
        return taken_up

    async def taken(frozen, id, swept):
        with suppress(CtxBridgeError):
            if swept:
                await bridge.recover(answers)
            else:
                await bridge.answer(inbound(frozen.customer, id), answers)
        context = await bridge.context(f"chat:{frozen.customer}", window=8, fresh=True)
        return f"fresh {id}" in [message.text for message in context.messages]

    numbers = count()
    async with store, Bridge(store, tenant=TENANT, senders=[provider]) as bridge:
        await asyncio.gather(*(one(f"c{n}") for n in range(WORKERS)))
        await bridge.dispatch()
        for n in range(WORKERS):
            context = await bridge.context(f"chat:c{n}", window=0, fresh=True)
            found.log.update(message.text for message in context.messages)
        found.unknown = len(await bridge.deliveries("dead", limit=10_000))
    found.sent = provider.sent
    print(f"{len(found.ids)} times stopped at {stage}: {dict(found.said)}, {found.unknown} unknown")
    return found


class TestInTheAgent:
    async def test_every_stale_commit_is_refused_and_nothing_of_it_is_sent(self, url):
        found = await freeze(url, "think")
        assert found.said == {("Fenced", 0): ROUNDS * WORKERS}
        assert (found.each(""), found.each("fresh "), found.each("stale ")) == ({1}, {1}, {0})
        assert sorted(found.sent) == sorted(t for t in found.log if t.startswith("fresh"))

    async def test_without_the_fence_it_is_stored_and_sent(self, url):
        """The negative control."""
        found = await freeze(url, "think", "unfenced", 3)
        assert {outcome for outcome, _ in found.said} == {"new"}
        assert any(sent for _, sent in found.said)
        assert (found.each("fresh "), found.each("stale ")) == ({1}, {1})


class TestBetweenClaimAndSend:
    async def test_the_send_is_refused_and_another_makes_it(self, url):
        found = await freeze(url, "send")
        assert found.said == {("new", 0): ROUNDS * WORKERS}
        assert (found.each(""), found.each("stale ")) == ({1}, {1})
        assert sorted(found.sent) == sorted(t for t in found.log if t.startswith("stale"))
        assert found.unknown == 0

    async def test_where_nothing_may_be_repeated_it_is_unknown_and_nobody_sends(self, url):
        found = await freeze(url, "send", "at_most_once", 5)
        assert found.said == {("new", 0): 5 * WORKERS}
        assert found.sent == []
        assert found.unknown >= 5 * WORKERS

    async def test_one_who_does_not_look_at_the_claims_time_sends_twice(self, url):
        """The negative control."""
        found = await freeze(url, "send", "heedless", 3)
        assert found.said == {("new", 1): 3 * WORKERS}
        assert set(found.sent) & {f"stale {id}" for id in found.ids}
