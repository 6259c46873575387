"""Look-ups: from an address to what is known of who is behind it."""

from typing import Any

from ctxbridge.errors import CorruptRecord, HistoryRolledBack, ReplyMismatch
from ctxbridge.model import Address, Context, Query, Window
from ctxbridge.model.head import NO_ID
from ctxbridge.stores.redis.exchange import Exchange
from ctxbridge.stores.redis.ground import Ground
from ctxbridge.stores.redis.keys import Place
from ctxbridge.stores.redis.reading import Reading, reading_of
from ctxbridge.stores.redis.request import TAIL, Request
from ctxbridge.stores.redis.resp import pack
from ctxbridge.wire import Forward, decode_forward
from ctxbridge.wire.keys import address_key

MOST_HOPS = 16
"""As often may a way lead to where it was before, since others change it; more is damage."""

_TRIES = 3


class Way:
    """Where forwards have led: however many were merged into each other, but not in a circle."""

    def __init__(self) -> None:
        self._seen = set[bytes]()
        self._again = 0

    def leads_to(self, place: Place) -> Place:
        """The place; raises `CorruptRecord` where the way does not end."""
        self._again += place.hash in self._seen
        self._seen.add(place.hash)
        if self._again > MOST_HOPS:
            raise CorruptRecord("forwards of the store lead in a circle")
        return place


class Looking:
    """`Store.read`, and how an address is resolved."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._keys = ground.keys
        self._near = ground.near
        self._courier = ground.courier
        self._servers = ground.courier.topology.servers

    def at_hand(self, query: Query) -> Context | None:
        """The context of an address, if the near cache has what it takes."""
        near = self._near
        if near is None or query.fresh or query.held_by:
            return None
        address = query.address
        home = self._keys.homes.get((query.tenant, address))
        if home is None:
            return None
        held = near.serve(home, query.window, self._servers[home.shard].reads.exchange)
        if held is None or not held.is_of(query.tenant, address):
            return None
        return held.context(query.reader, query.window)

    async def read(self, query: Query) -> Context:
        """The context of an address, as the server has it."""
        return self.context(await self.find(query), query)

    @staticmethod
    def context(found: Reading | None, query: Query) -> Context:
        """The context that `found` gives; an empty one where nobody is known."""
        if found is None:
            return Context(None, NO_ID, Window(), reader=query.assurance)
        return found.context(query.reader, query.window)

    async def find(self, query: Query) -> Reading | None:
        """What is known of who is behind an address, as the server has it."""
        address, window = query.address, query.window
        home = self._keys.home_of(query.tenant, address)
        known, take = home.seq, None if self._near is None else self.filling(home)
        elements = await self._courier.read(home.shard, home.look(window), take)
        found = self.understood(home, elements)
        if isinstance(found, Reading) and found.is_of(query.tenant, address):
            self._ground.require_history(home, found.head.seq, known)
            if not home.met:
                self._meet(query.tenant, home, found)
            return found
        return await self._find(query, home, found, known)

    def _meet(self, tenant: str, home: Place, reading: Reading) -> None:
        """From now on a commit need not look where this contact lives."""
        home.met = True
        self._keys.learn_contact(tenant, reading.contact.id, home)

    async def _find(
        self, query: Query, place: Place, found: Reading | Forward | None, known: int
    ) -> Reading | None:
        """Go on from what was `found` at `place`, where that was not what is looked for.

        `known` is the `seq` that we had been told of when we asked there.
        """
        tenant, address, window = query.tenant, query.address, query.window
        own, tries, left = self._keys.of_address(tenant, address), 0, None
        while tries < _TRIES:
            home, reading, known = await self._follow(place, found, known, window)
            if reading is None and home is own:
                self._ground.require_history(home, 0, known)
                self._keys.learn_home(tenant, address, own)
                return None
            if reading is not None and reading.is_of(tenant, address):
                self._ground.require_history(home, reading.head.seq, known)
                self._keys.learn_home(tenant, address, home)
                self._meet(tenant, home, reading)
                return reading
            if reading is not None and address_key(tenant, address) in reading.contact.left:
                own, left = await self._elsewhere(tenant, address, home, left), home
            elif reading is not None and own in (home, place):
                # Not a forward that we remember wrongly: somebody else's reply.
                self.distrust(home)
                tries += 1
            else:
                tries += 1
            place, known = own, own.seq
            found = await self.look(own, window)
        raise ReplyMismatch("the store keeps answering with another contact than was asked for")

    async def _elsewhere(
        self, tenant: str, address: Address, home: Place, seen: Place | None
    ) -> Place:
        """Where to look for an address that was parted from who lives at `home`.

        Where it was looked for before, unless that has been `seen` to lead there twice.
        """
        own = self._keys.of_address(tenant, address)
        if await self.finish_parting(tenant, home) or seen is not home:
            return own
        return self._keys.pass_on(tenant, address)

    async def find_anew(self, tenant: str, address: Address) -> Place:
        """Where an address leads to, whatever was remembered of it."""
        self._keys.forget_home(tenant, address)
        await self.find(Query(tenant, address, window=1))
        return self._keys.home_of(tenant, address)

    def distrust(self, place: Place) -> None:
        """What was answered for `place` is of somebody else: drop it and the connection."""
        if self._near is not None:
            self._near.drop(place.key)
        self._courier.mismatch(self._courier.exchange_for(place.shard))

    async def follow(self, place: Place, window: int) -> tuple[Place, Reading | None]:
        """What is at `place`, or where the forwards from there lead; links under way are made."""
        found = await self.look(place, window)
        home, reading, _ = await self._follow(place, found, place.seq, window)
        return home, reading

    async def _follow(
        self, place: Place, found: Reading | Forward | None, known: int, window: int
    ) -> tuple[Place, Reading | None, int]:
        way = Way()
        while True:
            if not isinstance(found, Forward):
                return place, found, known
            before, place = place, way.leads_to(await self.step(place, found))
            known = place.seq
            forward, found = found, await self.look(place, window)
            if found is None and before is not place:
                await self.cut(before, forward)
                raise self._ground.rolled_back(place)
            if found is None:
                return place, None, known

    async def step(self, place: Place, forward: Forward) -> Place:
        """Where to look on: where the forward at `place` leads, or where one under way stood.

        That is finished or undone here, so something else stands there then.
        """
        if forward.journal:
            await self.finish(place, forward)
            return place
        return self._keys.at(forward.target)

    async def lost(self, tenant: str, address: Address, home: Place) -> HistoryRolledBack:
        """The error for a conversation that is gone; a forward that leads to it is taken away."""
        own = self._keys.of_address(tenant, address)
        self._keys.learn_home(tenant, address, own)
        found = await self.look(own, 1) if own is not home else None
        if isinstance(found, Forward) and found.target == home.hash and not found.journal:
            await self.cut(own, found)
        return self._ground.rolled_back(home)

    async def cut(self, place: Place, forward: Forward) -> None:
        """Take away a forward that leads nowhere: what it led to was lost."""
        raise NotImplementedError

    async def finish(self, place: Place, forward: Forward) -> None:
        """Make the link or the merge that the forward at `place` tells of."""
        raise NotImplementedError

    async def finish_parting(self, tenant: str, home: Place) -> bool:
        """Finish what is being parted from who lives at `home`; whether anything was."""
        raise NotImplementedError

    async def look(self, place: Place, window: int) -> Reading | Forward | None:
        """What is at `place`, by one command."""
        take = None if self._near is None else self.filling(place)
        elements = await self._courier.read(place.shard, place.look(window), take)
        return self.understood(place, elements)

    def filling(self, place: Place) -> Any:
        """What holds in the near cache the elements that are read of `place`."""
        near = self._near
        assert near is not None
        token = near.token(place)

        def take(exchange: Exchange, elements: Any) -> None:
            near.fill(place, elements, exchange, token)

        return take

    def filling_behind(self, place: Place) -> Any:
        """The same for a look that is sent behind a script; `None` where nothing is held of it."""
        near = self._near
        if near is None or self._ground.settings.waits:
            return None
        fill = self.filling(place)

        def take(exchange: Exchange, replies: Any) -> None:
            fill(exchange, replies[1] if isinstance(replies, list) else None)
            near.news.tell(place.key)

        return take

    async def entries(self, place: Place, reading: Reading, first: int, count: int) -> list[bytes]:
        """The packed entries from a place in the log on: of the reading, or read for it."""
        start = reading.head.seq - len(reading.records) + 1
        if first >= start:
            return reading.records[first - start : first - start + count]
        words = (b"LRANGE", place.key, b"%d" % (first - 1), b"%d" % (first + count - 2))
        request = Request((pack(*words),), looks=True)
        found: list[bytes] = await self._courier.read(place.shard, request)
        return found

    def understood(self, place: Place, elements: list[bytes]) -> Reading | Forward | None:
        """What a list's elements are."""
        if len(elements) == 1:
            return decode_forward(elements[0])
        if not elements:
            return None
        reading = None if self._near is None else self._near.held(place)
        if reading is None or reading.packed_head is not elements[-TAIL]:
            reading = reading_of(elements, None)
        return reading
