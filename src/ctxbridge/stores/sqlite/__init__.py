"""The embedded store: one SQLite file, durable, for one machine. The default."""

from ctxbridge.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
