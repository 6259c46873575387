"""How a store is used as ``async with``: opened by its check, closed at the end."""

from typing import Self

from ctxbridge.model import StoreReport


class Scoped:
    """What all our stores have in common: they are open within an ``async with``."""

    async def __aenter__(self) -> Self:
        await self.check()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def check(self) -> StoreReport:
        """Open the store, and say what it can give."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Finish what is under way and let go of everything."""
        raise NotImplementedError
