"""What all verbs of the store stand on: settings, keys, courier, near cache, nonces."""

import os
from collections.abc import Coroutine
from itertools import count
from typing import Any

from ctxbridge.errors import HistoryRolledBack
from ctxbridge.stores.redis import faults
from ctxbridge.stores.redis.courier import Courier
from ctxbridge.stores.redis.deliveries import Known
from ctxbridge.stores.redis.exchange import Exchange
from ctxbridge.stores.redis.keys import Keys, Memory, Place
from ctxbridge.stores.redis.near import NearCache
from ctxbridge.stores.redis.news import News
from ctxbridge.stores.redis.request import Request
from ctxbridge.stores.redis.scripts import CONTACT
from ctxbridge.stores.redis.settings import Settings
from ctxbridge.stores.redis.values import keys_of

_MOST_DELIVERIES = 4_096


class Ground:
    """The state of an opened store. `near` is `None` where there is no near cache."""

    def __init__(
        self, settings: Settings, keys: Keys, courier: Courier, near: NearCache | None
    ) -> None:
        self.settings = settings
        self.keys = keys
        self.courier = courier
        self.near = near
        self.news = News() if near is None else near.news
        """Told of keys that change, as far as the server tells of that."""
        # Unique over all processes, and cheap: a random start and a count.
        self._nonces = count(int.from_bytes(os.urandom(8), "big"))
        self._own_clock = settings.clock == "server"
        self.outbox: Memory[Known] = Memory(_MOST_DELIVERIES)
        """What this process has written last of deliveries: who settles one need not read it."""
        self.lost = False
        """Whether all history is gone and nobody has been told yet."""

    def nonce(self) -> bytes:
        """8 bytes that no other request has."""
        return (next(self._nonces) & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "big")

    def time(self, now: int) -> int:
        """The time as the scripts take it: 0 for the server's own clock."""
        return 0 if self._own_clock else now

    def write(self, place: Place, request: Request, take: Any = None) -> Coroutine[Any, Any, Any]:
        """Carry a script that may change the list at `place`, and keep the near cache right."""
        if self.near is None:
            return self.courier.write(place.shard, request)
        if not self.settings.waits:
            return self.courier.write(place.shard, request, take or self._dropping(place))
        return self._write_elsewhere(self.near, place, request)

    async def _write_elsewhere(self, near: NearCache, place: Place, request: Request) -> Any:
        near.unsettle(place)
        try:
            return await self.courier.write(place.shard, request)
        finally:
            near.settle(place)

    async def swap_contact(
        self, place: Place, before: bytes, then: bytes, entry: bytes = b"", *founds: bytes
    ) -> list[Any]:
        """Put the contact `then` in the place of `before`, and append `entry` if there is one.

        `founds` is for somebody new, whose `before` is empty: where the contact is to be found, and
        the id of the conversation. The status is ``ok``, ``again`` where another contact is there,
        or ``moved`` or ``none``.
        """
        nonce = self.nonce()
        pointer, conversation = founds or (place.key, b"")
        keys = keys_of(place.key, pointer)
        values = (nonce, before, then, entry, conversation, place.hash)
        request = CONTACT.request(nonce, keys, 2, *values)
        reply: list[Any] = await self.write(place, request)
        self.require_sound(reply)
        return reply

    def _dropping(self, place: Place) -> Any:
        near = self.near
        assert near is not None

        def take(_: Exchange, __: Any) -> None:
            near.drop(place.key)

        return take

    def require_sound(self, reply: list[Any]) -> bytes:
        """The status that a script answered with; raises for what is torn or of a newer release."""
        status: bytes = reply[1]
        if status in {b"torn", b"format"}:
            raise faults.torn(status)
        return status

    def start_anew(self) -> None:
        """The server has lost everything: tell it once, and remember nothing of before."""
        self.lost = True
        self.forget()

    def forget(self) -> None:
        """Nothing that was remembered of the server is true any more."""
        self.keys.forget()
        self.outbox.clear()
        if self.near is not None:
            self.near.clear()

    def require_history(self, place: Place, seq: int, known: int) -> None:
        """Note the `seq` that was read; raises `HistoryRolledBack` if more was `known` before.

        `known` is what we had been told of when we asked: what others were told since counts not.
        """
        if seq < known:
            raise self.rolled_back(place, seq)
        place.seq = max(place.seq, seq)

    def rolled_back(self, place: Place, seq: int = 0) -> HistoryRolledBack:
        """The error for a conversation that is shorter than we were told; told once."""
        place.seq, self.lost = seq, False
        if self.near is not None:
            self.near.drop(place.key)
        return HistoryRolledBack(
            "the store has less of this conversation than it had acknowledged: a failover or a "
            "restart took it back in time; the same call again goes on from what is there"
        )
