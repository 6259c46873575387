"""Scanning: what is due, waits to be sent, or is dead, by one small sorted set for each shard.

First all sets are read at once, by commands of the server. Then each entry is looked up by a script
that finds it in its tenant's set again, so that nothing of another tenant is ever given. What an
entry stood for may be gone; it is then taken off.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ctxbridge.errors import CorruptRecord, ReplyMismatch, StoreError
from ctxbridge.model import Found, Message, Scan
from ctxbridge.rules.outbox import DEAD
from ctxbridge.stores.redis import faults
from ctxbridge.stores.redis.deliveries import decode_delivery
from ctxbridge.stores.redis.ground import Ground
from ctxbridge.stores.redis.request import Request
from ctxbridge.stores.redis.resp import bulk, pack
from ctxbridge.stores.redis.scripts import FIND
from ctxbridge.stores.redis.topology import Server
from ctxbridge.stores.redis.values import keys_of, packed_find
from ctxbridge.wire import decode_contact, decode_entry

logger = logging.getLogger("ctxbridge.redis")

_TIME = Request((pack(b"TIME"),))
_RANGE = b"*8\r\n$13\r\nZRANGEBYSCORE\r\n"
_MARGIN_MILLISECONDS = 1_000
_HASH_BYTES = 16
_ENTRY_BYTES = frozenset({_HASH_BYTES, 2 * _HASH_BYTES})


class _Listed(NamedTuple):
    """An entry of a sorted set: the hash of a list; for a delivery its id behind that."""

    at: int
    entry: bytes
    shard: int


class _Shelf:
    """What was read of one shard's set."""

    __slots__ = ("done", "entries", "server", "shard", "start")

    def __init__(self, shard: int, server: Server) -> None:
        self.shard = shard
        self.server = server
        self.start = 0
        self.entries: dict[bytes, _Listed] = {}
        self.done = False

    def add(self, scan: Scan, page: Sequence[_Listed]) -> None:
        """Take a page in. Turns stand among deliveries, so a page may be too little of either."""
        self.start += len(page)
        self.entries |= {o.entry: o for o in page if _is_wanted(scan, o.entry)}
        enough = scan.what == "due" or len(self.entries) >= scan.limit
        self.done = enough or len(page) < scan.limit


def _is_wanted(scan: Scan, entry: bytes) -> bool:
    is_turn = len(entry) == _HASH_BYTES
    return scan.what == "due" or is_turn == (scan.what == "waiting")


class Scanning:
    """`Store.scan`."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._keys = ground.keys
        self._ahead: dict[Server, float] = {}
        """How far servers' clocks are ahead of the loop's, in milliseconds: as told last."""

    async def scan(self, scan: Scan) -> Sequence[Found]:
        """What is due, pending or dead, the oldest first."""
        listed = sorted(await self._listed(scan))
        found: list[Found] = []
        while listed and len(found) < scan.limit:
            wanted = scan.limit - len(found)
            found += await self._found(scan, listed[:wanted])
            listed = listed[wanted:]
        return sorted(found, key=lambda one: one.at)

    async def server_time(self) -> int:
        """What the clock of the first shard's server says, in Unix milliseconds."""
        (reply,) = await self._ground.courier.read_all([(0, _TIME)])
        return self._told(self._ground.courier.topology.servers[0], reply)

    # --- the sorted sets --------------------------------------------------------------------------

    async def _listed(self, scan: Scan) -> list[_Listed]:
        """The first entries of each shard, as many as are asked for of all."""
        servers = self._ground.courier.topology.servers
        shelves = [_Shelf(shard, servers[shard]) for shard in range(self._keys.shards)]
        left = shelves
        while left:
            await self._read(scan, left)
            left = [shelf for shelf in left if not shelf.done]
        return [one for shelf in shelves for one in shelf.entries.values()]

    async def _read(self, scan: Scan, shelves: Sequence[_Shelf]) -> None:
        """Read the next page of each; what is due is judged by the clock of the server it is on."""
        clocks: dict[Server, int] = {}
        if scan.what == "due" and self._ground.settings.clock == "server":
            clocks = {shelf.server: shelf.shard for shelf in reversed(shelves)}
        asked = [(shard, _TIME) for shard in clocks.values()]
        asked += self._ranges(scan, shelves)
        replies = await self._ground.courier.read_all(asked)
        nows = {server: self._told(server, replies.pop(0)) for server in clocks}
        for shelf, reply in zip(shelves, replies, strict=True):
            now = nows.get(shelf.server)
            page = _entries(self._keys.shards, shelf.shard, reply)
            shelf.add(scan, [one for one in page if now is None or one.at <= now])

    def _ranges(self, scan: Scan, shelves: Sequence[_Shelf]) -> list[tuple[int, Request]]:
        """What asks for the next page of each: but for the key the same for all of a server."""
        ends: dict[tuple[Server, int], bytes] = {}
        asked = []
        for shelf in shelves:
            end = ends.get((shelf.server, shelf.start))
            if end is None:
                limit = (b"LIMIT", b"%d" % shelf.start, b"%d" % max(0, scan.limit))
                words = (b"-inf", self._until(scan, shelf.server), b"WITHSCORES", *limit)
                end = ends[shelf.server, shelf.start] = b"".join([bulk(w) for w in words])
            agenda = self._keys.agenda(scan.tenant, shelf.shard)
            key = bulk(agenda.dead) if scan.what == "dead" else agenda.script_key
            asked.append((shelf.shard, Request((_RANGE + key + end,))))
        return asked

    def _until(self, scan: Scan, server: Server) -> bytes:
        """The time up to which to ask: by the server's clock only about, as it was told last."""
        if scan.what != "due":
            return b"+inf"
        if self._ground.settings.clock == "caller":
            return b"%d" % scan.now
        ahead = self._ahead.get(server)
        if ahead is None:
            return b"+inf"
        return b"%d" % (_milliseconds() + ahead + _MARGIN_MILLISECONDS)

    def _told(self, server: Server, reply: Any) -> int:
        """The time that a server has told."""
        if not isinstance(reply, list) or not all(str(part, "ascii").isdigit() for part in reply):
            raise ReplyMismatch("the store keeps answering something else than was asked")
        now = int(reply[0]) * 1_000 + int(reply[1]) // 1_000
        self._ahead[server] = now - _milliseconds()
        return now

    # --- what stands in them ----------------------------------------------------------------------

    async def _found(self, scan: Scan, listed: Sequence[_Listed]) -> list[Found]:
        asked = [(one.shard, self._finding(scan, one)) for one in listed]
        replies = await self._ground.courier.read_all(asked)
        nothing = [o for o, r in zip(listed, replies, strict=True) if r[1] == b"nothing"]
        if nothing:
            await self._take_off(scan, nothing)
        found = [_understood(one, reply) for one, reply in zip(listed, replies, strict=True)]
        return [one for one in found if one is not None]

    def _finding(self, scan: Scan, listed: _Listed, *, drops: bool = False) -> Request:
        nonce, ground = self._ground.nonce(), self._ground
        place = self._keys.at(listed.entry[:_HASH_BYTES])
        agenda = self._keys.agenda(scan.tenant, listed.shard)
        kept = agenda.dead if scan.what == "dead" else agenda.due
        fixed = packed_find(nonce, ground.time(scan.now), bounded=scan.what == "due", drops=drops)
        keys = keys_of(place.key, place.outbox, kept)
        return FIND.request(nonce, keys, 3, fixed, listed.entry)

    async def _take_off(self, scan: Scan, listed: Sequence[_Listed]) -> None:
        """Take off what stands for nothing; where that fails, the next scan does it."""
        write = self._ground.courier.write
        writes = [write(o.shard, self._finding(scan, o, drops=True)) for o in listed]
        await asyncio.gather(*writes, return_exceptions=True)


def _milliseconds() -> int:
    return round(asyncio.get_running_loop().time() * 1_000)


def _entries(shards: int, shard: int, reply: Any) -> Iterator[_Listed]:
    """The entries of a set, as either protocol tells them; raises for what is no set of ours."""
    if not isinstance(reply, list):
        raise ReplyMismatch("the store keeps answering something else than was asked")
    nested = reply and isinstance(reply[0], list)
    pairs = reply if nested else zip(reply[::2], reply[1::2], strict=True)
    for entry, at in pairs:
        if len(entry) not in _ENTRY_BYTES or entry[0] % shards != shard:
            raise CorruptRecord(
                "what is due is kept in a set that holds something else: another program wrote "
                "under the store's prefix; choose another `prefix`, or remove the key"
            )
        yield _Listed(int(float(at)), entry, shard)


def _understood(listed: _Listed, reply: list[Any]) -> Found | None:
    """What was found; `None` where it is gone, or (which is logged) cannot be read.

    One damaged conversation must not keep the others of a tenant from being looked after.
    """
    status, found = reply[1], None
    try:
        if status in {b"torn", b"format"}:
            raise faults.torn(status)  # told below, as what cannot be decoded is
        if status == b"found":
            found = _one(listed, *reply[2:])
    except StoreError as error:
        logger.warning("what is due cannot be read and is passed by: %s", error)
    return found


def _one(listed: _Listed, at: int, place: int, contact: bytes, entry: bytes, raw: bytes) -> Found:
    where, id = listed.entry[:_HASH_BYTES], listed.entry[_HASH_BYTES:]
    message = decode_entry(entry)
    if not isinstance(message, Message):
        raise CorruptRecord("what waits is no message")
    delivery = decode_delivery(id, raw) if id else None
    if delivery and delivery.status in DEAD:
        at = delivery.created_at  # such are listed by the end of their time
    whose = decode_contact(contact)
    return Found(where, at, whose.id, message, delivery, id, place, merged=whose.merged)
