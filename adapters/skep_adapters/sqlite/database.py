"""The file behind a log: how it is made, recognised and opened.

One row a transaction, `log(position, body, digest)`, with the body as text, so that `sqlite3 cluster.db` shows a person
what happened; and `writer(id, epoch)`, one row, raised by every claim.
"""

import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiosqlite
from skep.ports.event_log import LogError

from skep_adapters.sqlite.failures import opening_failed
from skep_adapters.sqlite.files import failed, make_file

#: Raised when an older skep could not read what a newer one writes.
FORMAT_VERSION = 1

#: STRICT tables; RETURNING is older.
SQLITE_NEEDED = (3, 37, 0)

#: "skep": says whose file this is.
APPLICATION_ID = 0x736B6570

#: How long we wait for another program's short hold on the file, such as a person's `sqlite3 cluster.db`.
BUSY_TIMEOUT_S = 5.0

#: Prepared statements kept; an append of n records is a statement of its own, and a long one takes megabytes.
STATEMENTS_KEPT = 8

SCHEMA = (
    "CREATE TABLE log (position INTEGER PRIMARY KEY, body TEXT NOT NULL, digest BLOB NOT NULL) STRICT",
    "CREATE TABLE writer (id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL) STRICT",
    "INSERT INTO writer VALUES (1, 0)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {FORMAT_VERSION}",
)

WRITER_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_spill = OFF",  # only commits reach the WAL, so a valid frame in it was committed, or was the last
    "PRAGMA trusted_schema = OFF",
)


async def connected(path: Path, query: str) -> aiosqlite.Connection:
    """Connect to `path` in autocommit, with SQLite's URI parameters `query`.

    Raises:
        LogError: the SQLite that this Python was built with is too old.
    """
    if sqlite3.sqlite_version_info < SQLITE_NEEDED:
        needed = ".".join(map(str, SQLITE_NEEDED))
        raise LogError(f"cannot open {path}: SQLite {needed} is needed, and this is {sqlite3.sqlite_version}")
    connecting = aiosqlite.connect(
        _uri(path, query),
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        cached_statements=STATEMENTS_KEPT,
    )
    # A program that ends without closing must end: what its thread was doing is then as after a crash. Before
    # aiosqlite 0.22 the connection itself is the thread.
    thread: Any = getattr(connecting, "_thread", connecting)
    thread.daemon = True
    return await connecting


def _uri(path: Path, query: str) -> str:
    return f"file:{quote(str(path.absolute()))}?{query}"


def size_of(path: Path) -> int:
    """Return the size of the file at `path` in bytes, 0 if there is none.

    Raises:
        LogError: the system does not tell.
    """
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise failed("open", path, error) from error


async def open_writer(path: Path) -> aiosqlite.Connection:
    """Open `path` for appending, making file and tables if it is new.

    Raises:
        LogError: it cannot be opened, is of a newer version, or is something else's file.
    """
    make_file(path)
    connection = await connected(path, "mode=rw")
    try:
        for pragma in WRITER_PRAGMAS:
            await connection.execute_fetchall(pragma)
        if not await version_of(path, connection):
            await connection.execute_fetchall("BEGIN IMMEDIATE")
            for statement in SCHEMA:
                await connection.execute_fetchall(statement)
            await connection.execute_fetchall("COMMIT")
    except BaseException as error:
        await connection.close()
        if isinstance(error, sqlite3.Error):
            raise opening_failed(path, error) from error
        raise
    return connection


async def open_reader(path: Path) -> aiosqlite.Connection | None:
    """Open `path` strictly for reading, or return None if there is no log in it yet.

    SQLite may make its empty `-wal` and `-shm` beside it. Where it cannot (a read-only file system), a file without a
    WAL is opened as one that nobody changes.

    Raises:
        LogError: as `open_writer`.
    """
    if not size_of(path):
        return None
    try:
        return await _reader(path, "mode=ro")
    except sqlite3.Error as error:
        unwritable = getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
        if not unwritable or size_of(path.with_name(f"{path.name}-wal")):
            raise opening_failed(path, error) from error
    try:
        return await _reader(path, "immutable=1")
    except sqlite3.Error as error:
        raise opening_failed(path, error) from error


async def _reader(path: Path, mode: str) -> aiosqlite.Connection | None:
    connection = await connected(path, mode)
    try:
        connection.text_factory = bytes
        await connection.execute_fetchall("PRAGMA query_only = ON")
        if await version_of(path, connection):
            return connection
    except BaseException:
        await connection.close()
        raise
    await connection.close()
    return None


async def version_of(path: Path, connection: aiosqlite.Connection) -> int:
    """Return the version of the log in `path`, 0 if it is still empty.

    Raises:
        LogError: it is newer than we know, or no log of ours.
    """
    (version,) = next(iter(await connection.execute_fetchall("PRAGMA user_version")))
    (application,) = next(iter(await connection.execute_fetchall("PRAGMA application_id")))
    tables = next(iter(await connection.execute_fetchall("SELECT count(*) FROM sqlite_schema")))[0]
    if application not in {0, APPLICATION_ID} or (tables and application != APPLICATION_ID):
        raise LogError(f"{path} is a database of another program, not a log of skep")
    if version > FORMAT_VERSION:
        raise LogError(f"{path} is a log of a newer version ({version}; this skep knows up to {FORMAT_VERSION})")
    return int(version)


async def truncate_wal(connection: aiosqlite.Connection) -> bool:
    """Move all of the WAL into the database and empty it; return whether that was possible at once.

    What a failed or torn commit left behind the WAL's end goes with it: later frames of the same generation in front of
    it would look like damage.
    """
    (busy, _, _) = next(iter(await connection.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")))
    return not busy
