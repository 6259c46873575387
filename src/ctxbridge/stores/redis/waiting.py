"""Waiting for the end of a turn that runs, here or in another process, without asking all the time.

Where the server tells of keys that change, it wakes who waits: within the way of the news. Where it
does not (RESP 2, no near cache) the head is read again every few milliseconds.
"""

import asyncio

from msgspec.structs import replace

from ctxbridge.model import Context, Head, Query
from ctxbridge.stores.redis.ground import Ground
from ctxbridge.stores.redis.keys import Place
from ctxbridge.stores.redis.looking import Looking
from ctxbridge.stores.redis.news import within

_LONGEST_WITHOUT_LOOKING_SECONDS = 1.0
"""News can be lost: of a server that was left by its clients, or that is a replica by now."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.005, 0.05


class Waiting:
    """`Store.read` with `Query.held_by`."""

    def __init__(self, ground: Ground, looking: Looking) -> None:
        self._ground = ground
        self._looking = looking
        self._news = ground.news

    async def read(self, query: Query) -> Context:
        """The context, once that turn has ended, or lost its lease, or patience has."""
        keys, clock = self._ground.keys, asyncio.get_running_loop().time
        ends, pause = clock() + query.patience_seconds, _FIRST_PAUSE_SECONDS
        plain = replace(query, held_by=0, patience_seconds=0.0)
        while True:
            place = keys.home_of(query.tenant, query.address)
            # Before it is read, so that no change can fall between.
            with self._news.of(place.key) as told:
                reading = await self._looking.find(plain)
                left = ends - clock()
                if reading is None or left <= 0 or not _runs(reading.head, query.held_by):
                    return self._looking.context(reading, plain)
                if keys.home_of(query.tenant, query.address) is place:
                    longest = self._longest(place, pause)
                    pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
                    await within(told, min(left, longest))

    def _longest(self, place: Place, pause: float) -> float:
        """How long not to look: with news of changes a while, without it `pause`."""
        exchange = self._ground.courier.exchange_for(place.shard)
        told = self._ground.near is not None and exchange is not None and exchange.tracks
        return _LONGEST_WITHOUT_LOOKING_SECONDS if told else pause


def _runs(head: Head, fence: int) -> bool:
    return head.lease_end > 0 and head.fence == fence
