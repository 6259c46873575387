"""What a store says of itself: its format, its number of shards, and the epoch that it is in.

The epoch is chosen at random when a store is first used. A server that comes back with another one,
or with none, has lost everything since.
"""

import os
from typing import Any

from ctxbridge.errors import ConfigurationError, UnknownFormat
from ctxbridge.stores.redis import faults
from ctxbridge.stores.redis.exchange import Exchange
from ctxbridge.stores.redis.ground import Ground
from ctxbridge.stores.redis.request import Request
from ctxbridge.stores.redis.resp import ServerError, pack
from ctxbridge.stores.redis.scripts import STORE
from ctxbridge.stores.redis.values import keys_of

_FORMAT = 1


class Standing:
    """The record of one store, as it was when the store was opened."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._epoch = b""

    async def require(self) -> None:
        """Read or write the record; raises if it is not one that this release can go on with."""
        reply = await self._ground.courier.write(0, self._request())
        self._epoch = self._understood(reply)

    async def is_unchanged(self, exchange: Exchange) -> bool:
        """Whether a server that was connected to again still is in the epoch that we know.

        A server that cannot tell (the record is on another node) is believed to be. One that has
        lost the record is given another, so that its loss is told once.
        """
        if not self._epoch:
            return True
        epoch = await exchange.ask(pack(b"HGET", self._ground.keys.store, b"epoch")).future
        if epoch is None:
            epoch = await self._written_anew(exchange)
        if not isinstance(epoch, bytes) or epoch == self._epoch:
            return True
        self._epoch = epoch
        return False

    async def _written_anew(self, exchange: Exchange) -> bytes | None:
        """The epoch from now on: whoever comes first chooses it."""
        request = self._request().spelled_out()
        reply = await exchange.ask(request.data).future
        return self._understood(reply) if request.is_answered_by(reply) else None

    def _request(self) -> Request:
        ground, nonce = self._ground, self._ground.nonce()
        shards = str(ground.keys.shards).encode()
        values = (nonce, b"%d" % _FORMAT, shards, os.urandom(8))
        return STORE.request(nonce, keys_of(ground.keys.store), 1, *values)

    def _understood(self, reply: list[Any]) -> bytes:
        """The epoch that the record tells."""
        if reply[1] != b"ok" or not all(isinstance(part, bytes) for part in reply[2:]):
            raise faults.typed(ServerError("WRONGTYPE"))
        _, _, written, shards, epoch = reply
        if not written.isdigit() or int(written) > _FORMAT:
            raise UnknownFormat(
                f"the store has a format that this release does not read (up to {_FORMAT}): upgrade"
            )
        if shards != str(self._ground.keys.shards).encode():
            made = shards.decode("ascii", "replace")[:8]
            raise ConfigurationError(f"the store was made with shards={made}: keep to it")
        found: bytes = epoch
        return found
