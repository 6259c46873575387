"""All conversations of a tenant, for operators: the servers' keys are walked through by pages.

Nothing on the way of a turn does this. A key does not tell whose it is; what stands there does.
"""

import logging
from typing import Any

from ctxbridge.errors import ReplyMismatch, StoreError
from ctxbridge.model import Address, Found, Scan
from ctxbridge.stores.redis.ground import Ground
from ctxbridge.stores.redis.request import TAIL, Request
from ctxbridge.stores.redis.resp import pack
from ctxbridge.wire import decode_contact

logger = logging.getLogger("ctxbridge.redis")

_PAGE = b"1000"
_HASH_CHARACTERS = 22


class Listing:
    """The part of `Store.scan` that looks at everything."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._pattern = ground.keys.pattern(_HASH_CHARACTERS)

    async def scan(self, scan: Scan) -> list[Found]:
        """Each conversation of the tenant once, as long as the servers' slots do not move."""
        found: dict[bytes, Found] = {}
        servers = self._ground.courier.topology.servers
        shards = {server: shard for shard, server in reversed(list(enumerate(servers)))}
        for shard in sorted(shards.values()):
            cursor = b"0"
            while len(found) < scan.limit:
                cursor, keys = await self._page(shard, cursor)
                for one in await self._of(scan, keys):
                    found[one.where] = one
                if cursor == b"0":
                    break
        return sorted(found.values(), key=lambda one: one.contact)[: scan.limit]

    async def _page(self, shard: int, cursor: bytes) -> tuple[bytes, list[bytes]]:
        asked = pack(b"SCAN", cursor, b"MATCH", self._pattern, b"COUNT", _PAGE, b"TYPE", b"list")
        (reply,) = await self._ground.courier.read_all([(shard, Request((asked,)))])
        if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[1], list):
            raise ReplyMismatch("the store keeps answering something else than was asked")
        return reply[0], reply[1]

    async def _of(self, scan: Scan, keys: list[bytes]) -> list[Found]:
        hashes = [self._ground.keys.hash_in(key) for key in keys]
        places = [self._ground.keys.at(hash) for hash in hashes if hash is not None]
        contact = b"-%d" % (TAIL - 1)
        asked = [(p.shard, Request((pack(b"LINDEX", p.key, contact),))) for p in places]
        replies = await self._ground.courier.read_all(asked)
        found = [_understood(p.hash, r) for p, r in zip(places, replies, strict=True)]
        return await self._of_the_tenant(scan, [one for one in found if one is not None])

    async def _of_the_tenant(self, scan: Scan, found: list[Found]) -> list[Found]:
        """Those whose ids lead there in the tenant's name."""
        asked = []
        for one in found:
            shard, key = self._ground.keys.pointer(scan.tenant, one.contact)
            asked.append((shard, Request((pack(b"GET", key),))))
        places = await self._ground.courier.read_all(asked)
        return [one for one, place in zip(found, places, strict=True) if place == one.where]


def _understood(hash: bytes, reply: Any) -> Found | None:
    """What stands there, if it is a conversation: a forward has no contact."""
    if not isinstance(reply, bytes):
        return None
    try:
        contact = decode_contact(reply)
    except StoreError as error:
        logger.warning("a conversation cannot be read and is passed by: %s", error)
        return None
    return Found(hash, 0, contact.id, address=_address_of(contact.addresses))


def _address_of(addresses: tuple[Address, ...]) -> Address | None:
    return next(iter(addresses), None)
