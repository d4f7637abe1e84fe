"""What SQLite's errors mean in the port's words."""

import sqlite3
from pathlib import Path

from skep.ports.event_log import AppendUnknown, Conflict, LogDamaged, LogError, LogFull, LogLocked

#: "database disk image is malformed" and "file is not a database".
DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def code_of(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code, 0 if the error did not come from SQLite itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def opening_failed(path: Path, error: sqlite3.Error) -> LogError:
    """Return what to raise when opening or claiming the log at `path` failed."""
    code = code_of(error)
    if code in DAMAGE:
        return LogDamaged(f"{path} is damaged: {error}", position=0)
    if code == sqlite3.SQLITE_FULL:
        return LogFull(f"no room to open {path}: {error}")
    if code == sqlite3.SQLITE_BUSY:
        return LogLocked(f"another program holds the write lock of {path}: {error}")
    return LogError(f"cannot open {path}: {error}")


def reading_failed(path: Path, error: sqlite3.Error, *, good: int) -> LogError:
    """Return what to raise when reading what follows `good` failed."""
    if code_of(error) in DAMAGE:
        return LogDamaged(f"{path} is damaged after position {good}: {error}", position=good)
    return LogError(f"cannot read {path}: {error}")


def append_failed(path: Path, error: sqlite3.Error) -> LogError:
    """Return what to raise when an append failed.

    `SQLITE_FULL` comes from writing pages, before the frame that would have committed them; an I/O error may come from
    the sync after it, and then nobody knows.
    """
    match code_of(error):
        case sqlite3.SQLITE_FULL:
            return LogFull(f"no room to append to {path}: {error}; nothing was written")
        case sqlite3.SQLITE_CONSTRAINT:
            return Conflict(f"{path} has other records at these positions; nothing of ours was written")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Conflict(f"another program holds the write lock of {path}; nothing of ours was written")
        case _:
            return AppendUnknown(f"whether an append to {path} happened is not known: {error}")
