"""The near cache: what was read stays here until the server says that it has changed.

It holds undecoded records, never a `Context`, so what a reader may see is decided on every read. It
is filled in the order of the wire, by the connection that is told of changes: a fill that came from
an awaiting task could overtake the news that it is stale.
"""

from collections import OrderedDict
from typing import Any

from ctxbridge.stores.redis.exchange import Exchange
from ctxbridge.stores.redis.keys import Place
from ctxbridge.stores.redis.news import News
from ctxbridge.stores.redis.reading import Reading, reading_of
from ctxbridge.stores.redis.request import TAIL

_MOST_ENTRIES = 256
"""Longer windows are somebody's export: held, they would take the memory of thousands of others."""


class NearCache:
    """At most `most` conversations, each no staler than `staleness_seconds`, those used last.

    `staleness_seconds` bounds what a connection that died silently can do: nothing is served unless
    the server was heard of within that time.
    """

    def __init__(self, most: int, staleness_seconds: float) -> None:
        self._most = most
        self._staleness = staleness_seconds
        self._entries: OrderedDict[bytes, Reading] = OrderedDict()
        self._unsettled: dict[bytes, int] = {}
        self._epochs: OrderedDict[bytes, int] = OrderedDict()
        self._epoch = self._floor = 0
        self.news = News()
        """Told of every change that is heard of here, and of our own."""

    def __len__(self) -> int:
        return len(self._entries)

    def serve(self, place: Place, window: int, exchange: Exchange | None) -> Reading | None:
        """The reading of a place, if one is held that is surely fresh and reaches far enough."""
        reading = self._entries.get(place.key)
        if reading is None or exchange is None:
            return None
        if reading.exchange is not exchange:
            del self._entries[place.key]
            return None
        # One read over the wire, of whatever, makes all that is held fresh again.
        if exchange.clock() - exchange.heard > self._staleness:
            return None
        if not 0 < window <= len(reading.records) and not reading.has(window):
            return None
        self._entries.move_to_end(place.key)
        return reading

    def token(self, place: Place) -> int:
        """What a read that is about to leave must show when it fills."""
        return self._epochs.get(place.key, self._floor)

    def fill(self, place: Place, elements: Any, exchange: Exchange, token: int = 0) -> None:
        """Hold what was read. Called in the order of the wire."""
        if not exchange.tracks or not isinstance(elements, list):
            return
        if not TAIL <= len(elements) <= _MOST_ENTRIES + TAIL:
            return
        key = place.key
        if key in self._unsettled or self._epochs.get(key, self._floor) != token:
            return
        self._hold(key, reading_of(elements, exchange))

    def _hold(self, key: bytes, reading: Reading) -> None:
        self._entries[key] = reading
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def held(self, place: Place) -> Reading | None:
        """What is held of a place, fresh or not."""
        return self._entries.get(place.key)

    def put(self, place: Place, reading: Reading) -> None:
        """Hold a reading that a change of ours gives. Called in the order of the wire."""
        if place.key in self._entries:
            self._entries[place.key] = reading
        self.news.tell(place.key)

    def drop(self, key: bytes) -> None:
        """Let go of a place."""
        self._entries.pop(key, None)
        self.news.tell(key)

    def heed(self, exchange: Exchange, push: Any) -> None:
        """The server says that keys have changed, or (without naming any) that all may have."""
        if push[0] != b"invalidate":
            return
        if push[1] is None:
            self.forget(exchange)
            return
        for key in push[1]:
            self.drop(key)

    def forget(self, exchange: Exchange) -> None:
        """Let go of all that a connection was to tell of."""
        mine = [key for key, reading in self._entries.items() if reading.exchange is exchange]
        for key in mine:
            del self._entries[key]
        self.news.tell_all()

    def clear(self) -> None:
        """Let go of everything."""
        self._entries.clear()
        self.news.tell_all()

    # --- writes over another connection ----------------------------------------------------------

    def unsettle(self, place: Place) -> None:
        """A write leaves over another connection: nothing of this place is served or filled."""
        self._entries.pop(place.key, None)
        self._unsettled[place.key] = self._unsettled.get(place.key, 0) + 1

    def settle(self, place: Place) -> None:
        """The write is settled. Reads that left before may not fill: they may not have seen it."""
        left = self._unsettled.pop(place.key) - 1
        if left:
            self._unsettled[place.key] = left
        self.news.tell(place.key)
        self._epoch += 1
        self._epochs[place.key] = self._epoch
        if len(self._epochs) > self._most:
            # What is forgotten reads as the latest that was: no read under way can have shown it.
            self._epochs.popitem(last=False)
            self._floor = self._epoch
