"""Look-ups: from an address to what is known of who is behind it."""

from typing import Any

from ctxbridge.errors import CorruptRecord, ReplyMismatch
from ctxbridge.model import Address, Context, Query, Window
from ctxbridge.model.head import NO_ID
from ctxbridge.stores.redis.exchange import Exchange
from ctxbridge.stores.redis.ground import Ground
from ctxbridge.stores.redis.keys import TAIL, Place
from ctxbridge.stores.redis.reading import Reading, reading_of
from ctxbridge.stores.redis.scripts import Request
from ctxbridge.wire import Forward, decode_forward

MOST_HOPS = 16
"""A forward leads to a list or to another forward; more than this in a row is damage."""

_TRIES = 3


class Looking:
    """`Store.read`, and how an address is resolved."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._keys = ground.keys
        self._near = ground.near
        self._courier = ground.courier

    async def read(self, query: Query) -> Context:
        """The context of an address."""
        address, window = query.address, query.window
        home = self._keys.home_of(query.tenant, address)
        found: Reading | Forward | None = None
        if self._near is not None and not query.fresh:
            found = self._near.serve(home, window, self._courier.exchange_for(home.shard))
        if found is None:
            found = await self.look(home, window)
        if not isinstance(found, Reading) or not found.is_of(address):
            found = await self._find(query.tenant, address, window)
            if found is None:
                return Context(None, NO_ID, Window(), reader=query.assurance)
        return found.context(address, query.assurance, window)

    async def _find(self, tenant: str, address: Address, window: int) -> Reading | None:
        """What is known of an address, resolved anew; `None` for somebody nobody knows."""
        own = self._keys.of_address(tenant, address)
        for _ in range(_TRIES):
            found = await self.follow(own, window)
            if found is None:
                return None
            home, reading = found
            if reading.is_of(address):
                self._keys.learn_home(tenant, address, home)
                self._keys.learn_contact(tenant, reading.contact.id, home)
                return reading
            if self._near is not None:
                self._near.drop(home.key)
            self._courier.mismatch(self._courier.exchange_for(home.shard))
        raise ReplyMismatch("the store keeps answering with another contact than was asked for")

    async def follow(self, place: Place, window: int) -> tuple[Place, Reading] | None:
        """What is at `place`, or where the forwards from there lead; links under way are made."""
        for _ in range(MOST_HOPS):
            found = await self.look(place, window)
            if not isinstance(found, Forward):
                return None if found is None else (place, found)
            place = await self.step(place, found)
        raise CorruptRecord("forwards of the store lead in a circle")

    async def step(self, place: Place, forward: Forward) -> Place:
        """Where a forward that stands at `place` leads; one under way is finished first."""
        if forward.journal:
            await self.finish(place, forward)
        return self._keys.at(forward.target)

    async def finish(self, place: Place, forward: Forward) -> None:
        """Make the link that the forward at `place` tells of."""
        raise NotImplementedError

    async def look(self, place: Place, window: int) -> Reading | Forward | None:
        """What is at `place`, by one command."""
        known = place.seq
        take = None if self._near is None else self.filling(place)
        request = Request((place.look(window),), looks=True)
        elements = await self._courier.read(place.shard, request, take)
        return self.understood(place, elements, known)

    def filling(self, place: Place) -> Any:
        """What holds in the near cache the elements that are read of `place`."""
        near = self._near
        assert near is not None
        token = near.token(place)

        def take(exchange: Exchange, elements: Any) -> None:
            near.fill(place, elements, exchange, token)

        return take

    def understood(
        self, place: Place, elements: list[bytes], known: int
    ) -> Reading | Forward | None:
        """What a list's elements are; `known` is the seq that we had been told when we asked."""
        if len(elements) == 1:
            return decode_forward(elements[0])
        if not elements:
            if known:
                raise self._ground.rolled_back(place)
            return None
        reading = None if self._near is None else self._near.held(place)
        if reading is None or reading.packed_head is not elements[-TAIL]:
            reading = reading_of(elements, None)
        seq = reading.head.seq
        if seq < known:
            raise self._ground.rolled_back(place, seq)
        place.seq = max(place.seq, seq)
        return reading
