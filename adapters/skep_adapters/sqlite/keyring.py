"""Keys in a SQLite file of their own, so that destroying one destroys what was sealed with it.

A key's bytes are in the file's pages and, for a while, in its WAL. To destroy one we delete it (`secure_delete`
overwrites its cell), rebuild the file and empty the WAL; at the next opening, if a crash came between. The rebuilding
is a precaution: `secure_delete` speaks of deleted content, not of copies that splitting and merging pages may leave in
their gaps; no such copy was ever seen. What the file system or the drive keeps of blocks that it freed is beyond us.
"""

import secrets
import sqlite3
from pathlib import Path

import aiosqlite
import anyio
from skep.ports.event_log import LogError
from skep.ports.keyring import KeyringError

from skep_adapters.sqlite.database import connected, size_of, truncate_wal
from skep_adapters.sqlite.files import make_file

KEY_BYTES = 32

FORMAT_VERSION = 1

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",  # rebuilding must not leave keys in a temporary file
)

SCHEMA = "CREATE TABLE IF NOT EXISTS keys (key_id TEXT PRIMARY KEY, key BLOB NOT NULL) STRICT, WITHOUT ROWID"


class SqliteKeyring:
    """A `Keyring` in the file `path`, 0600. Nothing is opened before the first call."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._read_only = read_only
        self._connection: aiosqlite.Connection | None = None
        self._closed = False
        self._turn = anyio.Lock(fast_acquire=True)

    async def create(self, key_id: str) -> bytes:
        """Return the kept key, or a new one once it is durable."""
        self._refuse_if_read_only()
        async with self._turn:
            insertion = "INSERT INTO keys VALUES (?, ?) ON CONFLICT DO UPDATE SET key = key RETURNING key"
            kept = await self._run("SELECT key FROM keys WHERE key_id = ?", key_id)
            kept = kept or await self._run(insertion, key_id, secrets.token_bytes(KEY_BYTES))
        return bytes(kept[0][0])

    async def get(self, key_id: str) -> bytes | None:
        """Return the key, if kept."""
        async with self._turn:
            kept = await self._run("SELECT key FROM keys WHERE key_id = ?", key_id)
        return bytes(kept[0][0]) if kept else None

    async def destroy(self, key_id: str) -> None:
        """Delete the key, rebuild the file and empty the WAL. Done again if an earlier try was cut short."""
        self._refuse_if_read_only()
        async with self._turn:
            await self._run("DELETE FROM keys WHERE key_id = ?", key_id)
            await self._run("VACUUM")
            connection = await self._opened()
            try:
                emptied = connection is None or await truncate_wal(connection)
            except sqlite3.Error as error:
                raise KeyringError(f"cannot empty the WAL of {self._path}: {error}; destroy the key again") from error
            if not emptied:
                raise KeyringError(f"another program keeps the WAL of {self._path} from being emptied; destroy again")

    async def key_ids(self) -> list[str]:
        """Return the names kept, sorted."""
        async with self._turn:
            return sorted(str(row[0]) for row in await self._run("SELECT key_id FROM keys"))

    async def aclose(self) -> None:
        """Close the file."""
        async with self._turn:
            self._closed = True
            connection, self._connection = self._connection, None
            if connection is not None:
                with anyio.CancelScope(shield=True):
                    await connection.close()

    def _refuse_if_read_only(self) -> None:
        if self._read_only:
            raise KeyringError(f"{self._path} is open for reading only")

    async def _run(self, sql: str, *parameters: object) -> list[sqlite3.Row]:
        try:
            connection = await self._opened()
            if connection is None:
                return []
            return list(await connection.execute_fetchall(sql, parameters))
        except sqlite3.Error as error:
            raise KeyringError(f"the keyring {self._path}: {error}") from error
        except LogError as error:
            raise KeyringError(str(error)) from error

    async def _version(self, connection: aiosqlite.Connection) -> int:
        (version,) = next(iter(await connection.execute_fetchall("PRAGMA user_version")))
        if version > FORMAT_VERSION:
            raise KeyringError(f"{self._path} is a keyring of a newer version ({version})")
        return int(version)

    async def _opened(self) -> aiosqlite.Connection | None:
        if self._connection is not None:
            return self._connection
        if self._closed:
            raise KeyringError(f"{self._path} is closed")
        if self._read_only:
            if not self._path.exists():
                return None
            mode, pragmas = "mode=ro", ["PRAGMA query_only = ON"]
        else:
            make_file(self._path)
            mode, pragmas = "mode=rw", [*PRAGMAS, SCHEMA]
        # after a crash the WAL may hold a key whose deletion was committed, so that nobody would destroy it again
        unclean = not self._read_only and size_of(self._path.with_name(f"{self._path.name}-wal")) > 0
        connection = await connected(self._path, mode)
        try:
            for pragma in pragmas:
                await connection.execute_fetchall(pragma)
            if not await self._version(connection) and not self._read_only:
                await connection.execute_fetchall(f"PRAGMA user_version = {FORMAT_VERSION}")
            if unclean:
                await self._clean(connection)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection
        return connection

    async def _clean(self, connection: aiosqlite.Connection) -> None:
        """Remove what a destruction that was cut short left."""
        await connection.execute_fetchall("VACUUM")
        if not await truncate_wal(connection):
            raise KeyringError(f"another program keeps the WAL of {self._path} from being emptied; end it")
