"""The long-term memory of LangGraph in a bridge's store."""

import json
import math
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Self

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    validate_op_namespace,
)
from msgspec import Struct
from msgspec.structs import replace

from ctxbridge.bridge import Bridge
from ctxbridge.errors import Conflict, CorruptRecord, UsageError
from ctxbridge.integrations.langgraph.filters import matches, matches_path, named_by
from ctxbridge.integrations.langgraph.records import Name, Records, packed, together, unpacked
from ctxbridge.integrations.langgraph.roll import Roll
from ctxbridge.integrations.langgraph.threads import Blocking

Space = tuple[str, ...]

_AT_ONCE = 32
_REFRESHED_AFTER = 0.05
"""A lifetime begins anew on reading when so much of it has passed: not every read is a write."""
_DEAD = 16


class Stored(Struct, frozen=True, array_like=True, gc=False):
    """An item: its value as JSON, Unix milliseconds, and its lifetime in minutes (0: for ever)."""

    format: int
    value: bytes
    created_at: int
    updated_at: int
    minutes: float = 0.0
    read_at: int = 0


class BridgeStore(BaseStore):
    """Keeps items under namespaces in the store of `bridge`, each tenant's apart.

    Values are JSON objects of at most 8 MiB. `ttl` is the framework's own setting
    (``{"default_ttl": 60, "refresh_on_read": True}``, minutes); items that have expired are never
    given. `search` reads what is stored under its prefix, newest first within a namespace, and
    compares fields; words are not searched for (`query` has no effect). What a put costs does not
    depend on how much there is.

    Make it in the event loop in which the bridge is open; its sync verbs are for other threads, or
    for a program without a loop (``with BridgeStore(bridge) as store:``). The verbs raise
    `UsageError` for a value that is no JSON object, `TooLarge`, `Busy`, `CorruptRecord`,
    `StoreError`, and the framework's `InvalidNamespaceError`.
    """

    supports_ttl = True

    def __init__(self, bridge: Bridge[Any], *, ttl: TTLConfig | None = None) -> None:
        self._bridge = bridge
        self._records = Records(bridge, "langgraph.store")
        self._blocking = Blocking()
        self.ttl_config = ttl

    def __repr__(self) -> str:
        return f"<BridgeStore {self._bridge!r}>"

    def __enter__(self) -> Self:
        self._blocking.run(self._bridge.__aenter__())
        return self

    def __exit__(self, *exc: object) -> None:
        self._blocking.run(self._bridge.__aexit__(*exc))

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """As `abatch`."""
        return self._blocking.run(self.abatch(ops))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """The answers, in the order of the operations.

        Reads see what was there before; of several puts to one item the last is written.
        """
        ops = list(ops)
        for op in ops:
            if not isinstance(op, GetOp | SearchOp | PutOp | ListNamespacesOp):
                raise UsageError(f"a store does not know the operation {type(op).__name__}")
            validate_op_namespace(op)
        puts = {(op.namespace, op.key): _encoded(op) for op in ops if isinstance(op, PutOp)}
        answers = await together(self._answer(op) for op in ops)
        await together(self._put(*where, *put) for where, put in puts.items())
        return answers

    async def _answer(self, op: Op) -> Result:
        if isinstance(op, GetOp):
            stored = await self._get(op.namespace, op.key, refresh=op.refresh_ttl)
            return Item(**_fields(op.namespace, op.key, stored)) if stored else None
        if isinstance(op, SearchOp):
            return await self._search(op)
        if isinstance(op, ListNamespacesOp):
            return await self._list(op)
        return None

    # --- one item ---------------------------------------------------------------------------------

    async def _get(self, space: Space, key: str, *, refresh: bool) -> Stored | None:
        value, revision = await self._records.read(_item(space, key))
        if not value:
            return None
        stored = unpacked(value, Stored)
        if refresh and stored.minutes:
            await self._refresh(_item(space, key), stored, revision)
        return stored

    async def _refresh(self, name: Name, stored: Stored, revision: int) -> None:
        now, seconds = self._records.now(), stored.minutes * 60
        if now - max(stored.read_at, stored.updated_at) < seconds * 1000 * _REFRESHED_AFTER:
            return
        again = packed(replace(stored, read_at=now))
        try:
            await self._records.write(name, again, revision, lifetime_seconds=seconds)
        except Conflict:
            return  # somebody has written it meanwhile, and its lifetime has begun anew

    async def _put(self, space: Space, key: str, value: bytes | None, minutes: float) -> None:
        name, now = _item(space, key), self._records.now()
        if value is None:
            await self._records.drop(name)
            return
        held, _ = await self._records.read(name)
        created = unpacked(held, Stored).created_at if held else now
        if not held:
            await self._enrol(space, key)
        stored = Stored(1, value, created, now, minutes)
        await self._records.write(name, packed(stored), lifetime_seconds=minutes * 60)

    # --- which there are --------------------------------------------------------------------------

    def _keys(self, space: Space) -> Roll:
        return Roll(self._records, "keys", *space)

    def _below(self, space: Space) -> Roll:
        return Roll(self._records, "below", *space)

    async def _enrol(self, space: Space, key: str) -> None:
        """Note that there is such an item, before it is written: its namespaces from the top."""
        depth = len(space)
        while depth and await self._keys(space[:depth]).is_empty():
            if depth < len(space) and not await self._below(space[:depth]).is_empty():
                break
            depth -= 1
        for level in range(depth, len(space)):
            await self._below(space[:level]).add(space[level])
        await self._keys(space).add(key)

    async def _spaces(self, prefix: Space) -> AsyncIterator[Space]:
        """The namespaces that have or had items, from this one downwards."""
        waiting = [prefix]
        while waiting:
            space = waiting.pop()
            if not await self._keys(space).is_empty():
                yield space
            waiting += [(*space, label) for label in await self._below(space).names()]

    async def _search(self, op: SearchOp) -> list[SearchItem]:
        found: list[SearchItem] = []
        most = op.offset + op.limit
        async for space in self._spaces(tuple(op.namespace_prefix)):
            async for key, stored in self._items(space, refresh=op.refresh_ttl):
                if len(found) >= most:
                    return found[op.offset : most]
                fields = _fields(space, key, stored)
                if matches(fields["value"], op.filter):
                    found.append(SearchItem(**fields))
        return found[op.offset : most]

    async def _items(self, space: Space, *, refresh: bool) -> AsyncIterator[tuple[str, Stored]]:
        keys, dead = await self._keys(space).names(), list[str]()
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            read = await together(self._get(space, key, refresh=refresh) for key in some)
            for key, stored in zip(some, read, strict=True):
                if stored is None:
                    dead.append(key)
                else:
                    yield key, stored
        if len(dead) >= max(_DEAD, len(keys) // 2):
            await self._keys(space).remove(dead, unless_fresh=True)

    async def _list(self, op: ListNamespacesOp) -> list[Space]:
        conditions = op.match_conditions or ()
        found = {
            space[: op.max_depth]
            async for space in self._spaces(named_by(conditions))
            if space and all(matches_path(condition, space) for condition in conditions)
        }
        return sorted(found)[op.offset : op.offset + op.limit]


def _item(space: Space, key: str) -> Name:
    return ("item", key, *space)


def _fields(space: Space, key: str, stored: Stored) -> dict[str, Any]:
    try:
        value = json.loads(stored.value)
    except ValueError:
        raise CorruptRecord("a stored item is damaged") from None
    return {
        "value": value,
        "key": key,
        "namespace": space,
        "created_at": _moment(stored.created_at),
        "updated_at": _moment(stored.updated_at),
    }


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)


def _encoded(op: PutOp) -> tuple[bytes | None, float]:
    """The value as it is stored, and its lifetime in minutes."""
    if op.value is None:
        return None, 0.0
    if op.ttl is not None and not 0 < op.ttl < math.inf:
        raise UsageError("the lifetime of an item is a positive number of minutes")
    value: object = op.value
    if not isinstance(value, Mapping) or not isinstance(op.key, str):
        raise UsageError("an item has a text for a key, and its value is a JSON object")
    try:
        return json.dumps(dict(value), separators=(",", ":")).encode(), op.ttl or 0.0
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the value of an item is no JSON ({type(error).__name__})") from None
