"""PydanticAI's `ConversationStore` over the logs of a bridge: memory, SQLite, Redis, sealed or not.

A save is one atomic entry of the log: the new messages and the record that points at them. Whoever
saves upon the same revision second gets `ConversationConflict`, in any process. What it costs does
not grow with the history. Needs the extra ``pydantic-ai``.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from time import monotonic
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from ctxbridge.bridge import Bridge
from ctxbridge.integrations._items import ItemLog, fitting, read
from ctxbridge.integrations._versions import require
from ctxbridge.model import Address, Context, Message, Opaque, Scan

require("pydantic-ai-slim", "2.66", "3")

from pydantic_ai.conversation_store import (  # noqa: E402
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
)
from pydantic_ai.conversation_store import ConversationStore as Port  # noqa: E402
from pydantic_ai.messages import ModelMessagesTypeAdapter  # noqa: E402

ENTRY, RECORD = "pydantic_ai.entry", "pydantic_ai.record"
_WINDOW = 24
"""Entries of the log that are read first: as many saves of a conversation that is alone in it."""
_MOST_REMEMBERED = 4_096
_FRESH_SECONDS = 60.0
_ALL = 1_000_000

_records: TypeAdapter[ConversationRecord] = TypeAdapter(ConversationRecord)

Place = Callable[[str], Address]


def place_of(conversation_id: str) -> Address:
    """The address that a conversation's id begins with, up to a ``#``: ``sms:+15550100001#order``.

    An id that is no address is that of a visitor in the chat.
    """
    return Address.parse(conversation_id.partition("#")[0])


class _Head(NamedTuple):
    """The newest record of a conversation, if it is not deleted, and what marks its moment."""

    record: bytes
    mark: str
    at: float


_NOBODY = _Head(b"", "", 0.0)


class ConversationStore(Port):
    """Keeps conversations of PydanticAI in the logs of the contacts that they belong to.

    `place` gives the address for a conversation's id (`place_of`): with the contact of that address
    `Bridge.erase` erases the conversation too. `delete` hides a conversation and its messages stay
    in the log until then, since a fork may share them.

    A save raises `ConversationConflict`, and of our errors `TooLarge` for more than a megabyte of
    new messages, and `StoreError`. `list_conversations`, and `read_entry` of a conversation that
    this store has not read before, read all logs: they are for operators.
    """

    def __init__(self, bridge: Bridge[Any], *, place: Place = place_of) -> None:
        self._bridge = bridge
        self._place = place
        self._logs: OrderedDict[str, ItemLog] = OrderedDict()
        self._heads: OrderedDict[str, _Head] = OrderedDict()
        self._homes: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._windows: OrderedDict[str, dict[str, Any]] = OrderedDict()

    async def read_record(self, conversation_id: str) -> ConversationRecord | None:
        """The record for a conversation, or `None` if the store doesn't have it; one round trip."""
        head = await self._look(conversation_id)
        return _records.validate_json(head.record) if head.record else None

    async def read_records(
        self, *, scope: str | None = None, limit: int | None = None
    ) -> Sequence[ConversationRecord]:
        """The stored records, newest first; it reads every log."""
        found: list[ConversationRecord] = []
        async for _, context in self._all():
            heads: dict[str, _Head] = {}
            for conversation_id, head in _heads_in(context):
                heads.setdefault(conversation_id, head)
            found += [_records.validate_json(h.record) for h in heads.values() if h.record]
        found = [r for r in found if scope is None or r.scope == scope]
        return sorted(found, key=lambda record: record.updated_at, reverse=True)[:limit]

    async def write_record(
        self,
        record: ConversationRecord,
        *,
        new_entries: Sequence[ConversationEntry] = (),
        expected_revision: str | None,
    ) -> None:
        """Store a record and its new entries, all or none; one round trip, after a look."""
        id = record.conversation_id
        head = await self._expected(id, expected_revision)
        if not await self._leads_somewhere(record, new_entries):
            raise ConversationConflict(id)
        data = _records.dump_json(record)
        parts = [Opaque(ENTRY, _entry(entry)) for entry in new_entries]
        parts.append(Opaque(RECORD, data))
        await self._put(id, head, parts, _Head(data, record.revision, monotonic()))
        self._know(record)

    async def delete_record(self, conversation_id: str, *, expected_revision: str) -> None:
        """Hide a conversation; its entries stay in the log (see the class)."""
        head = await self._expected(conversation_id, expected_revision)
        mark = self._bridge.ids.new().hex()
        data = json.dumps({"conversation_id": conversation_id, "deleted": mark}).encode()
        gone = _Head(b"", mark, monotonic())
        await self._put(conversation_id, head, [Opaque(RECORD, data)], gone)

    async def read_entry(self, entry_id: str) -> ConversationEntry:
        """The entry with this identifier; raises `KeyError` if there is none."""
        for conversation_id in self._homes.get(entry_id, ()):
            context = await self._log(conversation_id).read(0)
            if (found := _entries_in(context).get(entry_id)) is not None:
                return _as_entry(found)
        async for _, context in self._all():
            if (found := _entries_in(context).get(entry_id)) is not None:
                return _as_entry(found)
        raise KeyError(entry_id)

    async def read_history(
        self, head_id: str | None, *, limit: int | None = None
    ) -> list[ConversationEntry]:
        """The entries up to `head_id`, in order, or the last `limit`; one round trip at most."""
        if head_id is None or limit == 0:
            return []
        known = self._windows.pop(head_id, {})
        chain, whole = _chain(known, head_id, limit)
        for conversation_id in self._homes.get(head_id, ()):
            if whole:
                break
            known = known | _entries_in(await self._log(conversation_id).read(0))
            chain, whole = _chain(known, head_id, limit)
        if not whole:
            if head_id in self._homes:
                raise KeyError(head_id)
            return await super().read_history(head_id, limit=limit)
        return [_as_entry(one) for one in chain]

    # --- one conversation -------------------------------------------------------------------------

    def _log(self, conversation_id: str) -> ItemLog:
        log = self._logs.get(conversation_id)
        if log is None:
            log = ItemLog(self._bridge, self._place(conversation_id))
            _remember(self._logs, conversation_id, log)
        return log

    async def _look(self, conversation_id: str) -> _Head:
        """The head as it is stored now."""
        window, log = _WINDOW, self._log(conversation_id)
        while True:
            context = await log.read(window)
            for id, head in _heads_in(context):
                if id == conversation_id:
                    return self._saw(id, head, context)
            if not window or len(context.window) + context.withheld >= context.seq:
                return self._saw(conversation_id, _NOBODY._replace(at=monotonic()), context)
            window = 0

    def _saw(self, id: str, head: _Head, context: Context) -> _Head:
        _remember(self._heads, id, head)
        if head.record:
            record = _records.validate_json(head.record)
            self._know(record)
            if record.head_id is not None:
                _remember(self._windows, record.head_id, _entries_in(context), most=16)
        return head

    def _know(self, record: ConversationRecord) -> None:
        """Where the ends of its histories are to be looked for."""
        homes = tuple([id for id in (record.conversation_id, record.forked_from) if id is not None])
        for tip in (record.head_id, *record.branches):
            if tip is not None:
                _remember(self._homes, tip, homes)

    async def _expected(self, id: str, revision: str | None) -> _Head:
        """The head, if it is of this revision; a look that is not long ago will do.

        Two who saw the same head cannot both write upon it, however long ago they saw it: the key
        of a write is remembered for a week at least.
        """
        head = self._heads.get(id)
        if head is None or monotonic() - head.at > _FRESH_SECONDS or not _is(head, revision):
            head = await self._look(id)
        if not _is(head, revision):
            raise ConversationConflict(id)
        return head

    async def _put(self, id: str, head: _Head, parts: list[Opaque], after: _Head) -> None:
        fitting(parts)
        if not await self._log(id).append(parts, _once(id, head.mark)):
            self._heads.pop(id, None)
            raise ConversationConflict(id)
        _remember(self._heads, id, after)

    async def _leads_somewhere(
        self, record: ConversationRecord, new: Sequence[ConversationEntry]
    ) -> bool:
        if record.head_id is None or record.head_id in {entry.id for entry in new}:
            return True
        homes = (record.conversation_id, record.forked_from)
        for conversation_id in homes:
            if conversation_id is None:
                continue
            context = await self._log(conversation_id).read(0)
            if record.head_id in _entries_in(context):
                return True
        return False

    async def _all(self) -> Any:
        """Each log there is, whole."""
        scan = Scan(self._bridge.tenant, self._bridge.clock.now(), "conversations", _ALL)
        for found in await self._bridge.store.scan(scan):
            if found.address is not None:
                yield found.address, await ItemLog(self._bridge, found.address).read(0)


def _is(head: _Head, revision: str | None) -> bool:
    return (head.mark if head.record else None) == revision


def _once(id: str, mark: str) -> bytes:
    """A key that is one for all who write upon the same head."""
    key = json.dumps([id, mark]).encode()
    return blake2b(key, digest_size=16, person=b"pydantic_ai").digest()


def _remember(held: "OrderedDict[str, Any]", key: str, value: Any, most: int = 0) -> None:
    held[key] = value
    held.move_to_end(key)
    while len(held) > (most or _MOST_REMEMBERED):
        held.popitem(last=False)


# --- from the log, and to it ----------------------------------------------------------------------


def _parts(context: Context, kind: str) -> Iterator[Opaque]:
    """The parts of a kind, the newest first."""
    for entry in reversed(list(context.window)):
        if isinstance(entry, Message) and entry.visible:
            for part in reversed(entry.parts):
                if isinstance(part, Opaque) and part.kind == kind:
                    yield part


def _heads_in(context: Context) -> Iterator[tuple[str, _Head]]:
    """The records of all conversations in the log, the newest first."""
    for part in _parts(context, RECORD):
        stored = read(part)
        if isinstance(stored, dict) and "conversation_id" in stored:
            record = b"" if "deleted" in stored else part.data
            mark = stored.get("deleted") or stored["revision"]
            yield stored["conversation_id"], _Head(record, mark, monotonic())


def _entries_in(context: Context) -> dict[str, Any]:
    found = (read(part) for part in _parts(context, ENTRY))
    return {one["id"]: one for one in found if isinstance(one, dict)}


def _chain(known: dict[str, Any], head: str, limit: int | None) -> tuple[list[Any], bool]:
    """The entries up to `head` as far as they are known, and whether that is all that is wanted."""
    chain: list[Any] = []
    at: str | None = head
    while at is not None and (limit is None or len(chain) < limit):
        entry = known.get(at)
        if entry is None:
            return chain, False
        chain.append(entry)
        at = entry["parent_id"]
    chain.reverse()
    return chain, True


def _entry(entry: ConversationEntry) -> bytes:
    message = ModelMessagesTypeAdapter.dump_json([entry.message])[1:-1]
    about = {"id": entry.id, "parent_id": entry.parent_id, "kind": entry.kind}
    return json.dumps(about).encode()[:-1] + b', "message": ' + message + b"}"


def _as_entry(stored: Any) -> ConversationEntry:
    # As JSON, since only so bytes are read back from their base64.
    [message] = ModelMessagesTypeAdapter.validate_json(json.dumps([stored["message"]]))
    return ConversationEntry(id=stored["id"], parent_id=stored["parent_id"], message=message)
