"""A store around a store: passes everything on; its children change one thing each."""

from collections.abc import Sequence

from ctxbridge.model import (
    Change,
    Claim,
    Committed,
    Context,
    Erase,
    Erased,
    Found,
    Identified,
    LinkClaim,
    Merge,
    Opened,
    Query,
    Record,
    RecordRead,
    RecordWrite,
    Refused,
    Scan,
    Settle,
    Split,
    StoreReport,
    Take,
    Taken,
)
from ctxbridge.ports import Store
from ctxbridge.stores.scoped import Scoped


class Around(Scoped):
    """Every verb of `Store`, by another store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def open(self, claim: Claim, /) -> Opened:
        return await self._store.open(claim)

    async def read(self, query: Query, /) -> Context:
        return await self._store.read(query)

    async def commit(self, change: Change, /) -> Committed | Refused:
        return await self._store.commit(change)

    async def identify(self, claim: LinkClaim | Merge | Split, /) -> Identified:
        return await self._store.identify(claim)

    async def deliver(self, step: Take | Settle, /) -> Taken:
        return await self._store.deliver(step)

    async def scan(self, scan: Scan, /) -> Sequence[Found]:
        return await self._store.scan(scan)

    async def erase(self, erase: Erase, /) -> Erased:
        return await self._store.erase(erase)

    async def records(self, operation: RecordRead | RecordWrite, /) -> Record | None:
        return await self._store.records(operation)

    async def check(self) -> StoreReport:
        return await self._store.check()

    async def aclose(self) -> None:
        await self._store.aclose()
