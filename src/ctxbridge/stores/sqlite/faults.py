"""What SQLite's errors mean here: whose fault, and whether anything may have been applied."""

import sqlite3

from ctxbridge.errors import (
    CorruptRecord,
    OutcomeUnknown,
    StoreError,
    StoreFull,
    StoreReadOnly,
    Unavailable,
    UnknownFormat,
)

_NOTHING_CHANGED = "; nothing was changed, and a retry with the same message id is safe"


def typed(error: sqlite3.Error, *, committing: bool = False) -> StoreError:
    """Our error for `error`, without its wording, which may repeat what was stored.

    `committing` says that it came from COMMIT: a disk that fails there leaves the outcome unknown.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(f"no room is left for the store ({name}){_NOTHING_CHANGED}")
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        return StoreReadOnly(
            f"the file cannot be opened or written ({name}): does its folder exist, and may this "
            f"process write there?{_NOTHING_CHANGED}"
        )
    if code == sqlite3.SQLITE_NOTADB:
        return UnknownFormat("the file is no SQLite database; choose another path")
    if code == sqlite3.SQLITE_CORRUPT:
        return CorruptRecord("the store's file is damaged; restore it from a backup")
    if committing and code == sqlite3.SQLITE_IOERR:
        return OutcomeUnknown(
            f"the disk failed in a commit ({name}); repeat with the same message id to find out"
        )
    return Unavailable(f"the store cannot be used now ({name}){_NOTHING_CHANGED}")
