"""A list of names that costs the same to add to, however long it is.

Its newest part is a record whose revision is compared; what no longer fits goes into a page, which
is never changed and names the page before it.
"""

from collections.abc import Collection

from msgspec import Struct

from ctxbridge.errors import Busy, Conflict, CorruptRecord
from ctxbridge.integrations.langgraph.records import (
    TRIES,
    Name,
    Records,
    packed,
    together,
    unpacked,
)

_LONGEST = 64
_FRESH = 300_000


class Sheet(Struct, frozen=True, array_like=True, gc=False):
    """Names, oldest first, and the page of older ones."""

    format: int = 1
    names: tuple[tuple[str, int], ...] = ()
    older: str = ""


class Roll:
    """One such list. A name may be added twice; it is told once.

    Each stands there with the time at which it was added (Unix milliseconds), so that who clears up
    leaves alone what somebody is writing just now.
    """

    def __init__(self, records: Records, *name: str) -> None:
        self._records = records
        self._name = name

    async def add(self, name: str) -> None:
        """Put `name` on the list. Raises `Busy` if the list keeps changing."""
        for _ in range(TRIES):
            now = self._records.now()
            sheet, revision = await self._newest()
            if any(one == name and at > now - _FRESH for one, at in sheet.names):
                return
            others = tuple([one for one in sheet.names if one[0] != name])
            grown, page = Sheet(1, (*others, (name, now)), sheet.older), ""
            if len(others) >= _LONGEST:
                page = self._records.fresh()
                await self._write(self._page(page), Sheet(1, others, sheet.older))
                grown = Sheet(1, ((name, now),), page)
            try:
                await self._write(self._name, grown, revision)
            except Conflict:
                if page:
                    await self._records.drop(self._page(page))
                continue
            return
        raise Busy("a list of names kept changing; nothing was added to it")

    async def is_empty(self) -> bool:
        """Whether nothing was ever put on it, or all was taken off."""
        sheet, _ = await self._newest()
        return not sheet.names

    async def names(self) -> list[str]:
        """All names, the newest first."""
        names, _, _ = await self._whole()
        return list(names)

    async def remove(self, gone: Collection[str], *, unless_fresh: bool = False) -> None:
        """Take names off the list, which is written anew.

        With `unless_fresh` those stay that were added during the last minutes. If the list keeps
        changing it stays as it is.
        """
        for _ in range(TRIES):
            names, pages, revision = await self._whole()
            until = self._records.now() - _FRESH if unless_fresh else None
            left = [
                (name, at)
                for name, at in reversed(names.items())
                if name not in gone or (until is not None and at > until)
            ]
            if len(left) == len(names):
                return
            try:
                await self._rewrite(left, revision)
            except Conflict:
                continue
            await together(self._records.drop(self._page(page)) for page in pages)
            return

    async def _rewrite(self, names: list[tuple[str, int]], revision: int) -> None:
        older = ""
        while len(names) > _LONGEST:
            page = self._records.fresh()
            await self._write(self._page(page), Sheet(1, tuple(names[:_LONGEST]), older))
            older, names = page, names[_LONGEST:]
        await self._write(self._name, Sheet(1, tuple(names), older), revision)

    async def _whole(self) -> tuple[dict[str, int], list[str], int]:
        """The names, newest first, the pages, and the revision; of one moment."""
        while True:
            newest, revision = await self._newest()
            sheets, pages = [newest], list[str]()
            while older := sheets[-1].older:
                value, _ = await self._records.read(self._page(older))
                if not value:
                    break
                pages.append(older)
                sheets.append(unpacked(value, Sheet))
            else:
                names: dict[str, int] = {}
                for name, at in (one for sheet in sheets for one in reversed(sheet.names)):
                    names.setdefault(name, at)
                return names, pages, revision
            if (await self._newest())[1] == revision:
                raise CorruptRecord("a part of a list of names is missing")

    async def _newest(self) -> tuple[Sheet, int]:
        value, revision = await self._records.read(self._name)
        return (unpacked(value, Sheet) if value else Sheet()), revision

    def _page(self, page: str) -> Name:
        return (*self._name, page)

    async def _write(self, name: Name, sheet: Sheet, revision: int | None = None) -> None:
        await self._records.write(name, packed(sheet), revision, lifetime_seconds=0.0)
