"""The leases of the turns that run in this process: renewed while they run, and told when lost.

A turn that is quick costs nothing here but a row in a table. Safety never depends on this: a lease
that is lost unnoticed is refused by the store when its turn is committed.
"""

from contextlib import suppress
from time import monotonic

import anyio

from ctxbridge.bridge.background import Background
from ctxbridge.bridge.settings import Settings
from ctxbridge.errors import CtxBridgeError
from ctxbridge.model import Address, Change, Query, Refused
from ctxbridge.ports import Store

_RENEWALS = 3
"""How often a lease is renewed in its own time."""


class Lease:
    """One turn's hold on its conversation. `lost` is set when a later turn has taken it."""

    __slots__ = ("address", "contact", "fence", "keeper", "lost", "renewed", "started", "turn")

    def __init__(self, contact: bytes, turn: bytes, fence: int, address: Address) -> None:
        self.contact = contact
        self.turn = turn
        self.fence = fence
        self.address = address
        self.lost = anyio.Event()
        self.started = self.renewed = monotonic()
        self.keeper: Background | None = None


class Leases:
    """Keeps the leases of one bridge."""

    def __init__(self, store: Store, tenant: str, settings: Settings) -> None:
        self._store = store
        self._tenant = tenant
        self._settings = settings
        self._pause = settings.lease_seconds / _RENEWALS
        self._held: dict[bytes, Lease] = {}
        self._keeper: Background | None = None

    def hold(self, lease: Lease, *, watched: bool) -> None:
        """A turn has begun. `watched` asks to be told within milliseconds when it is lost."""
        before = self._held.get(lease.contact)
        if before is not None:
            # There is one lease for each conversation: whoever had it in this process lost it.
            before.lost.set()
        self._held[lease.contact] = lease
        if watched:
            lease.keeper = Background(lambda: self._watch(lease))
        elif self._keeper is None or not self._keeper.running:
            self._keeper = Background(self._keep)

    def drop(self, lease: Lease) -> None:
        """The turn has ended."""
        if self._held.get(lease.contact) is lease:
            del self._held[lease.contact]
        if lease.keeper is not None:
            lease.keeper.end()

    async def aclose(self) -> None:
        """Renew nothing any more."""
        keepers = [lease.keeper for lease in self._held.values()]
        for keeper in (self._keeper, *keepers):
            if keeper is not None:
                keeper.end()
                await keeper.wait()

    async def _keep(self) -> None:
        """Renew what needs it, as long as a turn is running."""
        while any(lease.keeper is None for lease in self._held.values()):
            await anyio.sleep(self._pause)
            now = monotonic()
            for lease in list(self._held.values()):
                if lease.keeper is None and now - lease.renewed >= self._pause / 2:
                    await self._renew(lease)

    async def _watch(self, lease: Lease) -> None:
        """Wait for the lease to be lost, and renew it meanwhile."""
        query = Query(
            self._tenant, lease.address, window=1, fresh=True, held_by=lease.fence,
            patience_seconds=self._pause,
        )  # fmt: skip
        while not lease.lost.is_set() and self._held.get(lease.contact) is lease:
            try:
                await self._store.read(query)
            except CtxBridgeError:
                await anyio.sleep(self._pause / 2)
            await self._renew(lease)

    async def _renew(self, lease: Lease) -> None:
        settings, now = self._settings, monotonic()
        if self._held.get(lease.contact) is not lease:
            return
        if now - lease.started > settings.longest_turn_seconds:
            return  # an agent that hangs shall not hold the conversation for ever
        change = Change(
            self._tenant, lease.contact, lease.turn, settings.clock.now(), lease.fence,
            finished=False, lease_seconds=settings.lease_seconds,
        )  # fmt: skip
        # Without an answer the lease may run out, and a later worker takes the turn up.
        with suppress(CtxBridgeError):
            if isinstance(await self._store.commit(change), Refused):
                lease.lost.set()
            lease.renewed = now
