"""Writers that keep account of what they were told, while servers die under them."""

import asyncio
import time
from collections import Counter
from itertools import pairwise

from msgspec.structs import replace

from ctxbridge.errors import CtxBridgeError
from ctxbridge.model import Address, Committed
from ctxbridge.testing.actor import Actor

LEASE_SECONDS = 10.0


class Writers:
    """Customers of one store, each with one turn after the other; what fails is repeated.

    `acked` are the turns that were acknowledged, by customer; `errors` what was raised instead,
    `surprises` what no caller should ever see.
    """

    def __init__(self, store, count=8, pause_seconds=0.002):
        self.store = store
        self._pause_seconds = pause_seconds
        self.customers = [Address("chat", f"customer-{number}") for number in range(count)]
        self.acked = {customer: [] for customer in self.customers}
        self.errors = Counter()
        self.surprises = []
        self.look_ups = 0
        self.stamps = {customer: [] for customer in self.customers}
        self._actors = {c: Actor(seed=n) for n, c in enumerate(self.customers)}
        self._tasks = []
        self._over = False

    async def __aenter__(self):
        self._tasks = [asyncio.ensure_future(self._serve(c)) for c in self.customers]
        return self

    async def __aexit__(self, *exc):
        self._over = True
        await asyncio.gather(*self._tasks)

    @property
    def acknowledged(self):
        """How many turns were acknowledged."""
        return sum(map(len, self.acked.values()))

    @property
    def gap(self):
        """The longest time, in seconds, that one customer was without an acknowledgement."""
        pairs = [pair for stamps in self.stamps.values() for pair in pairwise(stamps)]
        return max(later - earlier for earlier, later in pairs)

    async def until(self, more, seconds=90.0):
        """Wait until each customer has `more` turns acknowledged than now."""
        wanted = {customer: len(ids) + more for customer, ids in self.acked.items()}
        async with asyncio.timeout(seconds):
            while any(len(self.acked[c]) < n for c, n in wanted.items()):  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def _serve(self, customer):
        number = 0
        while not self._over:
            await asyncio.sleep(self._pause_seconds)
            id = f"{customer.value}.{number}"
            if await self._turn(customer, id):
                self.acked[customer].append(id)
                self.stamps[customer].append(time.monotonic())
                number += 1
            elif self.surprises:
                return

    async def _turn(self, customer, id):
        """Whether the turn was acknowledged."""
        actor = self._actors[customer]
        # A worker that was cut off holds its lease until it runs out: the next comes later.
        actor.now += int(LEASE_SECONDS * 2_000)
        claim = actor.claim(id, message_id=id, address=customer, lease_seconds=LEASE_SECONDS)
        try:
            opened = await self.store.open(claim)
            if opened.status != "new":
                return opened.status == "duplicate"
            accepted = replace(claim.message, turn=opened.turn, disposition="accepted")
            change = actor.change(opened, f"re {id}", address=customer, accept=accepted)
            outcome = await self.store.commit(change)
        except CtxBridgeError as error:
            self.errors[type(error).__name__] += 1
            if not error.retry_safe:
                self.surprises.append(error)
        except Exception as error:  # noqa: BLE001 - what it is, is told in the end
            self.surprises.append(error)
        else:
            return isinstance(outcome, Committed)
        return False

    def watch(self, customer):
        """Look the customer up until the writers stop, and note whatever is wrong.

        A look-up shows what was acknowledged before it began, never less than the one before, and
        nothing of others.
        """
        self._tasks.append(asyncio.ensure_future(self._watch(customer)))

    async def _watch(self, customer):
        query, seq = self._actors[customer].query(customer, window=10), 0
        while not self._over:
            await asyncio.sleep(self._pause_seconds)
            acked = self.acked[customer][-1:]
            try:
                context = await self.store.read(query)
            except Exception as error:  # noqa: BLE001 - what it is, is told in the end
                self.surprises.append(error)
                return
            texts = [m.text for m in context.messages]
            self.surprises += [f"{text} is not there" for text in acked if text not in texts]
            self.surprises += [f"{t} for {customer}" for t in texts if customer.value not in t]
            self.surprises += [f"{context.seq} after {seq}"] * (context.seq < seq)
            seq, self.look_ups = context.seq, self.look_ups + 1

    async def account(self, store):
        """What became of it all, as `store` has it."""
        found = {}
        for customer in self.customers:
            query = replace(self._actors[customer].query(customer), fresh=True)
            found[customer] = [m.text for m in (await store.read(query)).messages]
        lost, twice, foreign = [], [], []
        for customer, texts in found.items():
            counted = Counter(texts)
            wanted = [text for id in self.acked[customer] for text in (id, f"re {id}")]
            lost += [text for text in wanted if not counted[text]]
            twice += [text for text, count in counted.items() if count > 1]
            foreign += [text for text in texts if f"{customer.value}." not in text]
        return {"lost": lost, "twice": twice, "foreign": foreign}


NOTHING_WRONG = {"lost": [], "twice": [], "foreign": []}
