"""Two tenants in one store, with the same hostile ids: neither ever sees a byte of the other.

Each writes words that name it, and whatever it gets back is searched for the other's name.
"""

import os
import random

import msgspec
from msgspec.structs import replace

from ctxbridge.errors import CtxBridgeError
from ctxbridge.model import Address, Assurance, Committed
from ctxbridge.stores.memory import MemoryStore
from ctxbridge.stores.redis import RedisStore
from ctxbridge.stores.sqlite import SqliteStore
from ctxbridge.testing.actor import Actor

OPERATIONS = {MemoryStore: 10_000, SqliteStore: 4_000, RedisStore: 6_000}
SCALE = int(os.environ.get("CTXBRIDGE_STORM_SCALE", "1"))

# Pairs that a key made by joining would mix up, and what scripts, patterns and logs stumble over.
TENANTS = ("acme", "acme:chat")
IDS = (
    "+1555", "chat:+1555", ":", "::", "{a7}", "}{", "*", "?", "[a-z]", "\\", "\r\n", "\0", "\u202e", "\u200d",
    "') redis.call('FLUSHALL') --", "%s%d", "../..", "a" * 500, "é", "e\u0301", "K", "\u212a", " ", "m", "t", "n",
    "SELECT 1; --", "\U0001f600", "acme", "acme:chat",
)  # fmt: skip
CHANNELS = ("sms", "chat", "chat:1")


def canary(tenant):
    return f"«the words of {TENANTS.index(tenant)}»"


class Tenant:
    """One of the two: does whatever comes to its mind, and remembers nothing."""

    def __init__(self, store, tenant, rng):
        self.store, self.rng = store, rng
        self.actor = Actor(tenant=tenant, seed=TENANTS.index(tenant) + 1)
        self.words = canary(tenant)
        self.seen = 0

    def address(self):
        return Address(self.rng.choice(CHANNELS), self.rng.choice(IDS))

    async def act(self):
        deed = self.rng.choice([self.talk, self.talk, self.look, self.link, self.keep, self.scan])
        self.actor.now += self.rng.randrange(2_000)
        try:
            return await deed()
        except CtxBridgeError:
            return None

    async def talk(self):
        claim = self.actor.claim(
            self.words, message_id=self.rng.choice(IDS), address=self.address(),
            assurance=Assurance.AUTHENTICATED, lease_seconds=0.5,
        )  # fmt: skip
        opened = await self.store.open(claim)
        if opened.status != "new":
            return opened
        delivery = self.actor.delivery(token=b"worker-1")
        change = self.actor.change(
            opened, self.words, address=claim.address, state=b"\x01\0\x01\x01" + self.words.encode(),
            deliveries=(delivery,),
        )  # fmt: skip
        assert isinstance(await self.store.commit(change), Committed)
        return opened

    async def look(self):
        return await self.store.read(self.actor.query(address=self.address()))

    async def link(self):
        return await self.store.identify(self.actor.link(self.address(), self.address()))

    async def keep(self):
        scope, name = self.rng.choice(IDS), self.rng.choice(IDS)
        held = await self.store.records(self.actor.read_record(name, scope=scope))
        write = self.actor.write_record(name, self.words.encode(), scope=scope)
        return held, await self.store.records(write)

    async def scan(self):
        what = self.rng.choice(["due", "pending", "dead", "conversations"])
        return await self.store.scan(self.actor.scan(what))


def told(answer):
    """All that an answer says, as bytes."""
    return msgspec.msgpack.encode(answer, enc_hook=lambda window: list(window))


async def mixed(store, operations, seed):
    """How many answers held the other's words, and how many their own."""
    rng = random.Random(seed)
    both = [Tenant(store, tenant, rng) for tenant in TENANTS]
    leaks = own = 0
    for _ in range(operations):
        one, other = rng.sample(both, 2)
        answer = told(await one.act())
        leaks += other.words.encode() in answer
        own += one.words.encode() in answer
    return leaks, own


async def test_neither_ever_gets_a_byte_of_the_other(each_store, quiet):
    operations = OPERATIONS[type(each_store)] * SCALE
    seed = random.randrange(1 << 32)
    leaks, own = await mixed(each_store, operations, seed)
    assert leaks == 0, f"seed {seed}"
    assert own > operations / 4, "what is looked for is there to be found"


class WithoutTenant(MemoryStore):
    """Broken on purpose: all tenants are one."""

    async def open(self, claim, /):
        return await super().open(replace(claim, tenant="all"))

    async def read(self, query, /):
        return await super().read(replace(query, tenant="all"))

    async def commit(self, change, /):
        return await super().commit(replace(change, tenant="all"))


async def test_a_store_that_mixes_them_up_is_caught(quiet):
    async with WithoutTenant() as store:
        leaks, _ = await mixed(store, 300, 1)
    assert leaks > 0
