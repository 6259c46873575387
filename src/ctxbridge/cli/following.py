"""What is new in a conversation, or in a whole store, since it was looked at last."""

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ctxbridge import Bridge
from ctxbridge.bridge.explaining import EVERYTHING
from ctxbridge.model import Address, Context, Entry, Message, Query, Scan, Window
from ctxbridge.model.access import OPERATOR_POLICY
from ctxbridge.ports import Stamped, Store

WINDOW = 50
SLACK_MILLISECONDS = 60_000
"""How far the clocks of workers may differ from ours before what they write is taken for old."""
Owner = tuple[bytes, tuple[bytes, ...]]
"""A conversation, and who was merged into its contact."""


class Known(Struct, frozen=True):
    """Up to where a conversation was told. The same `owner` means that its places still count."""

    owner: Owner
    seq: int
    at: int


class Stirring:
    """Whether a store was written to since it was asked last, where it can tell for nothing."""

    def __init__(self, store: Store) -> None:
        inner = getattr(store, "inner", store)  # a sealed store is around the one that knows
        self._store = inner if isinstance(inner, Stamped) else None
        self._seen: int | None = None

    @property
    def tells(self) -> bool:
        """Whether the store can."""
        return self._store is not None

    def stirred(self) -> bool:
        """Always true for a store that cannot tell."""
        if self._store is None:
            return True
        seen, self._seen = self._seen, self._store.stamp()
        return seen != self._seen

    def forget(self) -> None:
        """What was told of the last change got lost: tell of it again."""
        self._seen = None


class Following:
    """Follows conversations of one bridge, each from where it was told last.

    Reads are those of operators: also what no reader is shown. On Redis they are served by the near
    cache until the server tells that something has changed.
    """

    def __init__(self, bridge: Bridge[Any], last: int = 0) -> None:
        self._bridge = bridge
        self._began = bridge.clock.now() - SLACK_MILLISECONDS
        self._last = last
        """How many entries are told of what was there at the first look."""
        self._known: dict[bytes, Known] = {}
        self._of: dict[Address, bytes] = {}
        self._first = True

    async def of_all(self) -> list[Context]:
        """What is new anywhere in the tenant's store; it is read from end to end."""
        scan = Scan(self._bridge.tenant, self._bridge.clock.now(), "conversations", EVERYTHING)
        listed = await self._bridge.store.scan(scan)
        looks = [await self._look(one.address) for one in listed if one.address is not None]
        self._first = False
        return [context for context in looks if context is not None]

    async def of(self, address: Address) -> list[Context]:
        """What is new in the conversation that `address` leads to by now."""
        context = await self._look(address)
        self._first = False
        return [] if context is None else [context]

    async def _look(self, address: Address) -> Context | None:
        """The context with the new entries as its window; `None` where there are none."""
        context = await self._read(address, max(WINDOW, self._last))
        if context.contact is None:
            return None
        owner = (context.conversation, context.contact.merged)
        before = self._before(address, context)
        missing = self._missing(context, owner, before)
        if missing is not None:
            context = await self._read(address, missing)
        fresh = self._fresh(context, owner, before)
        if len(fresh) or before is None or before.owner != owner:
            at = max([before.at if before else 0, *[at_of(entry) for entry in context.window]])
            self._known[context.conversation] = Known(owner, context.seq, at)
            self._of[address] = context.conversation
        return replace(context, window=fresh) if len(fresh) else None

    def _missing(self, context: Context, owner: Owner, before: Known | None) -> int | None:
        """How many entries must be read, if more than were; 0 for all of them."""
        if before is None:
            return None if self._first else 0
        if before.owner != owner:
            return 0
        new = context.seq - before.seq
        return new if new > len(context.window) else None

    def _before(self, address: Address, context: Context) -> Known | None:
        """What was told of this conversation, or of the one that the address led to before."""
        known = self._known.get(context.conversation)
        return known or self._known.get(self._of.get(address, b""))

    def _fresh(self, context: Context, owner: Owner, before: Known | None) -> Window:
        pairs = list(context.window.numbered())
        if before is not None and before.owner == owner:
            new = [(seq, e) for seq, e in pairs if seq > before.seq]
        elif before is not None:
            # Merged, split or erased: what joined is old, and places may count anew.
            new = [(seq, e) for seq, e in pairs if at_of(e) > before.at]
        elif self._first:
            new = pairs[-self._last :] if self._last else []
        else:
            new = [(seq, e) for seq, e in pairs if at_of(e) >= self._began]
        return Window([e for _, e in new], [seq for seq, _ in new])

    async def _read(self, address: Address, window: int) -> Context:
        query = Query(self._bridge.tenant, address, window=window, policy=OPERATOR_POLICY)
        return await self._bridge.store.read(query)


def at_of(entry: Entry) -> int:
    """When an entry was written, in Unix milliseconds."""
    if isinstance(entry, Message):
        return entry.accepted_at or entry.occurred_at
    return entry.at
