"""What can come between an agent's thought and the customer: STOP, revocation, takeover, pause.

For the gate takeover, pause, block and erasure are the same: in one atomic step the head gets another
floor, and the gate epoch is raised. So they are modelled here by operators who do just that to what a
store holds, behind its back. Pause, block and erasure are the move to `Floor.QUEUE`, until they have
rules of their own. `ByFloor` does it by the library's own verbs.
"""

import sqlite3
from contextlib import closing

from msgspec.structs import replace

from ctxbridge import Address, Assurance, Bridge, Endpoint, Inbound, Text
from ctxbridge.errors import CtxBridgeError
from ctxbridge.model import Consent, Floor
from ctxbridge.stores.redis.keys import Keys
from ctxbridge.testing.actor import Actor
from ctxbridge.wire.format1 import decode_head, encode_head
from ctxbridge.wire.keys import address_key

from .stops import EVERYWHERE, FLOOR, meddling

CUSTOMER = Address("sms", "+15550100001")
OURS = Endpoint("sms", "+15550199999")

FLOORS = {"takeover": Floor.HUMAN, "pause": Floor.QUEUE, "hand back": Floor.AGENT}


def moved(head, floor):
    """The head after the floor was moved: the revision goes with the floor, the epoch with both."""
    return replace(
        head, floor=floor, gate_epoch=head.gate_epoch + 1, revision=head.revision + 1
    )  # fmt: skip


class OnMemory:
    """Moves the floor in a memory store. Each operator gives the gate epoch that it has made."""

    def __init__(self, store):
        self._store = store

    async def move(self, tenant, floor):
        home = self._store._addresses[tenant, CUSTOMER]
        home.head = moved(home.head, floor)
        home.views.clear()
        return home.head.gate_epoch


class OnSqlite:
    """Moves the floor in a file, in one transaction beside the store's own."""

    def __init__(self, path):
        self._path = path

    async def move(self, tenant, floor):
        with closing(sqlite3.connect(self._path, isolation_level=None, timeout=30)) as file:
            file.execute("BEGIN IMMEDIATE")
            (home, raw) = file.execute(
                "SELECT home, head FROM home JOIN address USING (home) WHERE address = ?",
                (address_key(tenant, CUSTOMER),),
            ).fetchone()
            head = moved(decode_head(raw), floor)
            file.execute("UPDATE home SET head = ? WHERE home = ?", (encode_head(head), home))
            file.execute("COMMIT")
        return head.gate_epoch


# The head is the third from the end. Of its bytes (from 1, see `wire.format1._HEAD`) the second is
# the floor, 14 to 21 are the revision, 38 to 45 the gate epoch.
_MOVE = """
local head = redis.call('LINDEX', KEYS[1], -3)
local revision, epoch = struct.unpack('>I8', head, 14) + 1, struct.unpack('>I8', head, 38) + 1
redis.call('LSET', KEYS[1], -3, string.sub(head, 1, 1) .. string.char(ARGV[1])
  .. string.sub(head, 3, 13) .. struct.pack('>I8', revision)
  .. string.sub(head, 22, 37) .. struct.pack('>I8', epoch) .. string.sub(head, 46))
return epoch
"""


class OnRedis:
    """Moves the floor on a server, by a script."""

    def __init__(self, client, prefix, shards):
        self._client = client
        self._keys = Keys(prefix, shards, 16)

    async def move(self, tenant, floor):
        key = self._keys.of_address(tenant, CUSTOMER).key
        return await self._client.eval(_MOVE, 1, key, int(floor))


class ByFloor:
    """A colleague in another process: takes the floor, offers it, gives it back."""

    def __init__(self, store):
        self._store = store

    async def move(self, tenant, floor):
        steps = Bridge(self._store, tenant=tenant).floor
        if floor is Floor.HUMAN:
            return (await steps.accept(CUSTOMER, by="ann")).epoch
        if floor is Floor.QUEUE:
            return (await steps.offer(CUSTOMER, reason="pause", within_seconds=0)).epoch
        return (await steps.release(CUSTOMER, by="ann", force=True)).epoch


class Meddler:
    """Lets events happen to the contact of a run, and returns when the store has acknowledged them.

    `here` is the bridge whose turn is interrupted, `there` that of another process. What comes
    after the acknowledgement (STOP has a turn of its own, and a confirmation) runs in `group`.
    """

    def __init__(self, group, here, there, account, operator):
        self._group, self._account, self._operator = group, account, operator
        self._here, self._there = here, there
        self._numbers = 0

    async def __call__(self, event):
        if event in FLOORS:
            await self._move(FLOORS[event])
        elif event == "revoked":
            await self._revoke()
        else:
            bridge = self._there if event.endswith("there") else self._here
            await self._write(bridge, event.split()[0].upper())

    async def _move(self, floor):
        lifts = floor is Floor.AGENT
        self._account.happening(FLOOR, lifts=lifts)
        epoch = await self._operator.move(self._here.tenant, floor)
        self._account.happened(FLOOR, lifts=lifts)
        # What the account takes to be the epoch is what the store has made it.
        assert epoch == len(self._account.under) - 1

    async def _revoke(self):
        """The tenant says that nothing is to be sent any more, by whatever channel."""
        self._numbers += 1
        clock, id = self._here.clock, f"revoked-{self._numbers}"
        actor = Actor(self._here.tenant, clock.now(), seed=10_000 + self._numbers)
        claim = actor.claim("no more", message_id=id, address=CUSTOMER, lease_seconds=0.0)
        wish = Consent(EVERYWHERE, "all", granted=False, at=clock.now(), evidence=id)
        token = meddling.set(True)
        try:
            await self._here.store.open(replace(claim, consents=(wish,)))
        finally:
            meddling.reset(token)

    async def _write(self, bridge, word):
        self._numbers += 1
        self._group.start_soon(self._answer, bridge, write(word, f"{word}-{self._numbers}"))
        await self._account.next_event()

    async def _answer(self, bridge, inbound):
        meddling.set(True)
        await answered(bridge, inbound, _says_nothing)


def write(text, id):
    """A message of the customer."""
    return Inbound("sms", OURS, CUSTOMER, id, (Text(text),), Assurance.CHANNEL)


async def answered(bridge, inbound, agent):
    """A whole turn. That it is lost, or not free in time, is no fault here: others look after it."""
    try:
        await bridge.answer(inbound, agent)
    except CtxBridgeError as error:
        return type(error).__name__
    return ""


async def _says_nothing(turn):
    return None


BARRING = ("stop here", "stop there", "revoked", "takeover", "pause")
LIFTING = ("start there", "hand back")
ALL = BARRING + LIFTING
