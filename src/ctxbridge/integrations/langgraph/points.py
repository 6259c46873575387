"""A checkpoint as the framework has it, and as it is stored."""

from collections.abc import Collection, Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata, CheckpointTuple, PendingWrite
from langgraph.checkpoint.serde.base import SerializerProtocol
from msgspec import Struct

from ctxbridge.errors import UsageError
from ctxbridge.integrations.langgraph.serde import loaded, typed
from ctxbridge.integrations.langgraph.trail import Entry, Held, Saved, Typed, Write
from ctxbridge.integrations.langgraph.vault import Where

SEEN = "__ctxbridge_head"
"""In a config: which checkpoint was the head when the one that it names was read. What begins with
two underscores the framework copies into no metadata."""

_SMALL = 512
"""Values up to so many bytes go with every checkpoint; larger ones are written when they change."""


def where_of(config: RunnableConfig) -> Where:
    """The thread and namespace that a config names; raises `UsageError` for none."""
    named = config.get("configurable") or {}
    thread, space = named.get("thread_id"), named.get("checkpoint_ns") or ""
    if thread is None or not str(thread) or not isinstance(space, str):
        raise UsageError("the config names no thread: configurable={'thread_id': ...}")
    return Where(str(thread), space)


def config_of(where: Where, id: str, seen: str = "") -> RunnableConfig:
    """The config that names a checkpoint."""
    named = {"thread_id": where.thread, "checkpoint_ns": where.space, "checkpoint_id": id}
    return {"configurable": {**named, SEEN: seen} if seen else named}


class Draft(Struct, frozen=True, gc=False):
    """A checkpoint that is to be stored; `changed` are the channels with a new value."""

    id: str
    checkpoint: Typed
    metadata: Typed
    values: dict[str, Typed]
    versions: Mapping[str, Any]
    changed: Collection[str]
    run: str = ""
    lacks: tuple[str, ...] = ()

    def following(
        self, parent: str, before: Entry | None, now: int, lifetime_seconds: float
    ) -> Saved:
        """What to store where `parent` has the entry `before`, if that is known.

        A large value that has not changed stays where it is, unless it would end too soon.
        """
        soon = now - lifetime_seconds * 500 if lifetime_seconds else 0
        small: dict[str, Typed] = {}
        held: dict[str, Held] = {}
        for channel, value in self.values.items():
            if len(value[1]) <= _SMALL:
                small[channel] = value
                continue
            version = self.versions.get(channel, "")
            old = before.held.get(channel) if before and channel not in self.changed else None
            stays = old is not None and old.version == version and old.at >= soon
            held[channel] = old if old and stays else Held(self.id, now, version)
        entry = Entry(self.id, parent, self.run, held, self.lacks)
        return Saved(1, entry, self.checkpoint, self.metadata, small)


def draft_of(
    serde: SerializerProtocol,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    changed: Collection[str],
) -> Draft:
    """The checkpoint as it is stored; raises `UsageError` for what cannot be."""
    values = {
        channel: typed(serde, value, f"channel {channel!r}")
        for channel, value in checkpoint["channel_values"].items()
    }
    deltas = metadata.get("counters_since_delta_snapshot") or {}
    lacks = tuple([name for name in deltas if name not in values])
    rest = {**checkpoint, "channel_values": {}}
    return Draft(
        checkpoint["id"],
        typed(serde, rest, "the checkpoint"),
        typed(serde, metadata, "the metadata"),
        values,
        checkpoint["channel_versions"],
        changed,
        str(metadata.get("run_id") or ""),
        lacks,
    )


def metadata_of(serde: SerializerProtocol, saved: Saved) -> Any:
    """The metadata of a stored checkpoint."""
    return loaded(serde, saved.metadata, "the metadata of a checkpoint")


def value_of(serde: SerializerProtocol, value: Typed, channel: str) -> Any:
    """The value of a channel."""
    return loaded(serde, value, f"the stored value of channel {channel!r}")


def pending_of(serde: SerializerProtocol, writes: Collection[Write]) -> list[PendingWrite]:
    """The pending writes as the framework has them."""
    return [(w.task, w.channel, value_of(serde, w.value, w.channel)) for w in writes]


def tuple_of(
    serde: SerializerProtocol,
    where: Where,
    saved: Saved,
    large: Mapping[str, Typed],
    writes: Collection[Write],
    seen: str,
) -> CheckpointTuple:
    """The checkpoint as the framework has it."""
    checkpoint = loaded(serde, saved.checkpoint, "a stored checkpoint")
    stored = {**saved.values, **large}
    checkpoint["channel_values"] = {
        channel: value_of(serde, value, channel) for channel, value in stored.items()
    }
    parent = saved.entry.parent
    return CheckpointTuple(
        config_of(where, saved.entry.id, seen),
        checkpoint,
        metadata_of(serde, saved),
        config_of(where, parent) if parent else None,
        pending_of(serde, writes),
    )
