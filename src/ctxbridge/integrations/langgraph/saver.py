"""Checkpoints of LangGraph in a bridge's store."""

from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_id,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from ctxbridge.bridge import Bridge
from ctxbridge.errors import Busy, ConfigurationError, Conflict, CorruptRecord, UsageError
from ctxbridge.integrations.langgraph import pruning
from ctxbridge.integrations.langgraph import trail as trails
from ctxbridge.integrations.langgraph.history import delta_history
from ctxbridge.integrations.langgraph.points import (
    SEEN,
    Draft,
    config_of,
    draft_of,
    metadata_of,
    tuple_of,
    where_of,
)
from ctxbridge.integrations.langgraph.records import TRIES, Records, together
from ctxbridge.integrations.langgraph.serde import serializer, typed
from ctxbridge.integrations.langgraph.threads import Blocking
from ctxbridge.integrations.langgraph.trail import Entry, Saved, Trail, Write
from ctxbridge.integrations.langgraph.vault import Vault, Where

_MOST_KEPT = 100
_LOOKS = 8


class BridgeSaver(BaseCheckpointSaver[int]):
    """Keeps the checkpoints of graphs in the store of `bridge`, each tenant's apart.

    `on_conflict` says what happens when two runs of a thread have started from the same checkpoint:
    ``raise`` (the later one gets `Conflict`, and nothing of it is stored), or ``fork`` (it becomes
    the head, the other a branch that `list` still shows). A run that was started from an older
    checkpoint on purpose is no conflict, unless the thread went on meanwhile.

    `keep_last` is how many checkpoints of each thread and namespace stay, 0 for all, at most 100;
    where a delta channel needs older ones, those too. `lifetime_seconds` is how long a thread is
    kept after it was last written to, 0 for ever. `serde` is the framework's own by default, which
    is never let unpickle anything.

    Make it in the event loop in which the bridge is open; its sync verbs are for other threads. A
    program that has no loop says ``with BridgeSaver(bridge) as saver:``, which opens and closes the
    bridge. The verbs raise `Conflict`, `Busy` if a thread keeps changing, `UsageError` for a value
    that cannot be stored, `TooLarge` for one beyond 8 MiB, `CorruptRecord`, and `StoreError`.
    """

    def __init__(
        self,
        bridge: Bridge[Any],
        *,
        on_conflict: Literal["raise", "fork"] = "raise",
        keep_last: int = 0,
        lifetime_seconds: float = 0.0,
        serde: SerializerProtocol | None = None,
    ) -> None:
        if on_conflict not in {"raise", "fork"}:
            raise ConfigurationError("on_conflict is 'raise' or 'fork'")
        if not 0 <= keep_last <= _MOST_KEPT or lifetime_seconds < 0:
            raise ConfigurationError("keep_last is 0 (all) to 100, lifetime_seconds at least 0")
        super().__init__(serde=serializer(serde))
        self._bridge = bridge
        self._forks = on_conflict == "fork"
        self._vault = Vault(Records(bridge, "langgraph", lifetime_seconds), keep_last)
        self._blocking = Blocking()

    def __repr__(self) -> str:
        return f"<BridgeSaver {self._bridge!r}>"

    def __enter__(self) -> Self:
        self._blocking.run(self._bridge.__aenter__())
        return self

    def __exit__(self, *exc: object) -> None:
        self._blocking.run(self._bridge.__aexit__(*exc))

    # --- writing ----------------------------------------------------------------------------------

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint as the head; its parent is the one that `config` names.

        Two steps, whatever came before: the head until now and the large values that are new, then
        the trail. Raises `Conflict` where the head is neither the parent nor what the run has seen.
        """
        where, parent = where_of(config), get_checkpoint_id(config) or ""
        seen = str(config["configurable"].get(SEEN) or "")
        whole = get_checkpoint_metadata(config, metadata)
        draft = draft_of(self.serde, checkpoint, whole, new_versions)
        written: set[str] = set()
        try:
            with self._vault.putting(where):
                await self._put(where, parent, seen, draft, written)
        except (Conflict, Busy):
            await self._vault.disown(where, draft.id, written)
            raise
        await self._vault.settle_writes(where, draft.id)
        return config_of(where, draft.id)

    async def _put(
        self, where: Where, parent: str, seen: str, draft: Draft, written: set[str]
    ) -> None:
        look = self._vault.known
        for _ in range(TRIES):
            trail, revision = await look(where)
            if trail is not None and trail.entry(draft.id) is not None:
                return  # this very call has been heard before
            if self._forks or trails.follows(trail, parent, seen):
                if await self._append(where, trail, revision, draft, parent, written):
                    return
            elif look == self._vault.trail:
                raise Conflict("another run has moved this thread on; read its head and run again")
            look = self._vault.trail
        raise Busy("a thread kept changing; this checkpoint was not stored")

    async def _append(
        self,
        where: Where,
        trail: Trail | None,
        revision: int,
        draft: Draft,
        parent: str,
        written: set[str],
    ) -> bool:
        """Put the checkpoint behind the head; false if another was there first."""
        records = self._vault.records
        before = trail.entry(parent) if trail is not None else None
        saved = draft.following(parent, before, records.now(), records.lifetime_seconds)
        await self._prepare(where, trail, saved, draft, written)
        grown, gone = trails.grown(trail, saved, self._vault.keep)
        if not await self._vault.move(where, grown, revision):
            return False
        if gone and grown.older:  # it was written with another `keep_last` before
            await pruning.thin(self._vault, where, self._newest)
        elif gone:
            await self._vault.drop(where, gone, grown.entries)
        return True

    def _newest(self, entries: Sequence[Entry]) -> set[str]:
        return trails.retained(entries, self._vault.keep)

    async def _prepare(
        self, where: Where, trail: Trail | None, saved: Saved, draft: Draft, written: set[str]
    ) -> None:
        """Write what the trail will speak of, before it does."""
        vault, entry = self._vault, saved.entry
        if trail is None:
            await vault.enrol(where)
        if entry.run and not (trail and any(e.run == entry.run for e in trail.entries)):
            await vault.note_run(entry.run, where)
        own = {name for name, held in entry.held.items() if held.owner == entry.id} - written
        written |= own
        steps = [vault.keep_value(where, entry.id, name, draft.values[name]) for name in own]
        if trail is not None and vault.keep != 1:
            steps.append(vault.keep_point(where, trail.head))
        await together(steps)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store what a task has written, before the checkpoint that comes of it."""
        where, id = where_of(config), get_checkpoint_id(config)
        if not id:
            raise UsageError("the config names no checkpoint: configurable={'checkpoint_id': ...}")
        new = [
            Write(
                task_id,
                WRITES_IDX_MAP.get(channel, place),
                channel,
                typed(self.serde, value, f"a write to {channel!r}"),
                task_path,
            )
            for place, (channel, value) in enumerate(writes)
        ]
        await self._vault.add_writes(where, id, new)

    # --- reading ----------------------------------------------------------------------------------

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that the config names, else the head; `None` where there is none."""
        where, id = where_of(config), get_checkpoint_id(config)
        for _ in range(_LOOKS):
            trail, revision = await self._vault.trail(where)
            if trail is None:
                return None
            head = trail.head
            saved = head if not id or id == head.entry.id else await self._vault.point(where, id)
            if saved is None:
                return None
            found = await self._tuple(where, saved, head.entry.id)
            if found is not None:
                return found
            if (await self._vault.trail(where))[1] == revision:
                break  # nobody is taking it away at the moment
        raise CorruptRecord("a value of a stored checkpoint is missing")

    async def _tuple(self, where: Where, saved: Saved, head: str) -> CheckpointTuple | None:
        """The whole checkpoint; `None` if a part of it is gone."""
        vault, entry = self._vault, saved.entry
        parts: list[Awaitable[Any]] = [
            vault.values(where, entry.held),
            vault.writes(where, entry.id),
        ]
        large, writes = await together(parts)
        return None if large is None else tuple_of(self.serde, where, saved, large, writes, head)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """The checkpoints of a thread (of all, without a config), newest first."""
        id = get_checkpoint_id(config) if config else None
        until = get_checkpoint_id(before) if before else None
        left = limit
        for where in await self._places(config):
            trail, _ = await self._vault.trail(where)
            if trail is None and config is None:  # its lifetime is over
                await self._vault.strike(where.thread, [where.space], unless_fresh=True)
            async for saved in self._saved(where, trail, id, until):
                if left is not None and left <= 0:
                    return
                metadata = metadata_of(self.serde, saved)
                if filter and any(metadata.get(k) != v for k, v in filter.items()):
                    continue
                found = await self._tuple(where, saved, trail.head.entry.id if trail else "")
                if found is not None:
                    left = left - 1 if left is not None else None
                    yield found

    async def _places(self, config: RunnableConfig | None) -> list[Where]:
        if config is None:
            threads = await self._vault.threads()
        else:
            where = where_of(config)
            if config["configurable"].get("checkpoint_ns") is not None:
                return [where]
            threads = [where.thread]
        return [Where(t, space) for t in threads for space in await self._vault.spaces(t)]

    async def _saved(
        self, where: Where, trail: Trail | None, id: str | None, until: str | None
    ) -> AsyncIterator[Saved]:
        """The checkpoints of one trail, newest first."""
        shown = 0
        async for entry in self._vault.entries(where, trail):
            shown += 1
            if self._vault.keep and shown > self._vault.keep:
                return
            if (id and entry.id != id) or (until and entry.id >= until):
                continue
            assert trail is not None
            is_head = entry.id == trail.head.entry.id
            saved = trail.head if is_head else await self._vault.point(where, entry.id)
            if saved is not None:
                yield saved

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What made the values of delta channels: their writes, back to where each is whole."""
        where, id = where_of(config), get_checkpoint_id(config) or ""
        return await delta_history(self._vault, self.serde, where, id, channels)

    # --- taking away ------------------------------------------------------------------------------

    async def adelete_thread(self, thread_id: str) -> None:
        """Leave nothing of a thread."""
        await pruning.delete_thread(self._vault, str(thread_id))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Leave no checkpoint whose metadata has one of these as its `run_id`."""
        await pruning.delete_runs(self._vault, run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all of a thread; raises `Conflict` where the target has checkpoints already."""
        await pruning.copy_thread(self._vault, str(source_thread_id), str(target_thread_id))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Leave the newest checkpoint of each namespace, or (``delete``) nothing."""
        steps = {"keep_latest": pruning.keep_latest, "delete": pruning.delete_thread}
        if strategy not in steps:
            raise UsageError("the strategy is 'keep_latest' or 'delete'")
        for thread in thread_ids:
            await steps[strategy](self._vault, str(thread))

    # --- for threads that wait --------------------------------------------------------------------

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `aget_tuple`."""
        return self._blocking.run(self.aget_tuple(config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """As `alist`; all are read before the first is given."""
        found = self.alist(config, filter=filter, before=before, limit=limit)
        yield from self._blocking.run(_all(found))

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `aput`."""
        return self._blocking.run(self.aput(config, checkpoint, metadata, new_versions))

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """As `aput_writes`."""
        self._blocking.run(self.aput_writes(config, writes, task_id, task_path))

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """As `aget_delta_channel_history`."""
        return self._blocking.run(self.aget_delta_channel_history(config=config, channels=channels))

    def delete_thread(self, thread_id: str) -> None:
        """As `adelete_thread`."""
        self._blocking.run(self.adelete_thread(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `adelete_for_runs`."""
        self._blocking.run(self.adelete_for_runs(run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `acopy_thread`."""
        self._blocking.run(self.acopy_thread(source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As `aprune`."""
        self._blocking.run(self.aprune(thread_ids, strategy=strategy))


async def _all(found: AsyncIterator[CheckpointTuple]) -> Sequence[CheckpointTuple]:
    return [one async for one in found]
