"""What a store says of itself: its format, its number of shards, and the epoch that it is in.

The epoch is chosen at random when a store is first used. A server that comes back with another one,
or with none, has lost everything since.
"""

import os

from ctxbridge.errors import ConfigurationError, UnknownFormat
from ctxbridge.stores.redis.exchange import Exchange
from ctxbridge.stores.redis.ground import Ground
from ctxbridge.stores.redis.resp import pack
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
        ground, nonce = self._ground, self._ground.nonce()
        shards = str(ground.keys.shards).encode()
        request = STORE.request(
            nonce, keys_of(ground.keys.store), 1, nonce, b"%d" % _FORMAT, shards, os.urandom(8)
        )
        reply = await ground.courier.write(0, request)
        ground.require_sound(reply)
        _, _, written, counted, epoch = reply
        if not written.isdigit() or int(written) > _FORMAT:
            raise UnknownFormat(
                f"the store has a format that this release does not read (up to {_FORMAT}): upgrade"
            )
        if counted != shards:
            raise ConfigurationError(
                f"the store was made with shards={counted.decode('ascii', 'replace')}: keep to it"
            )
        self._epoch = epoch

    async def is_unchanged(self, exchange: Exchange) -> bool:
        """Whether a server that was connected to again still is in the epoch that we know.

        A server that cannot tell (the record is on another node) is believed to be.
        """
        if not self._epoch:
            return True
        epoch = await exchange.ask(pack(b"HGET", self._ground.keys.store, b"epoch")).future
        return epoch == self._epoch or not (epoch is None or isinstance(epoch, bytes))
