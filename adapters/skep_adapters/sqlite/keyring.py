"""Keys in a SQLite file of their own, so that destroying one destroys what was sealed with it.

A key's bytes are in the file's pages and, for a while, in its WAL. To destroy one we delete it (`secure_delete`
overwrites its cell), rebuild the file and empty the WAL; at the next opening, if a crash came between. The rebuilding
is a precaution: `secure_delete` speaks of deleted content, not of copies that splitting and merging pages may leave in
their gaps; no such copy was ever seen. What the file system or the drive keeps of blocks that it freed is beyond us.
The same is done when the keys are locked, or their lock is changed or taken away, which writes them all anew.
"""

import secrets
import sqlite3
from contextlib import suppress
from pathlib import Path

import aiosqlite
import anyio
from skep.ports.event_log import LogError
from skep.ports.keyring import KeyringError, KeyringLocked, WrongUnlockKey

from skep_adapters.sqlite.database import connected, size_of, truncate_wal
from skep_adapters.sqlite.files import make_file
from skep_adapters.sqlite.keyring_lock import KEY_BYTES, Lock

#: Raised when an older skep could not read what a newer one writes: it knows no lock.
PLAIN_VERSION, FORMAT_VERSION = 1, 2

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",  # rebuilding must not leave keys in a temporary file
)

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS keys (key_id TEXT PRIMARY KEY, key BLOB NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS lock (id INTEGER PRIMARY KEY CHECK (id = 1), salt BLOB, proof BLOB) STRICT",
)


class SqliteKeyring:
    """A `Keyring` in the file `path`, 0600. Nothing is opened before the first call."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._read_only = read_only
        self._connection: aiosqlite.Connection | None = None
        self._closed = False
        self._turn = anyio.Lock(fast_acquire=True)
        #: by which this handle was locked or unlocked, by salt: a locking that is cut short may be done or not
        self._known: dict[bytes, Lock] = {}
        #: whether file or WAL may still hold what was overwritten
        self._unscrubbed = False

    async def create(self, key_id: str) -> bytes:
        """Return the kept key, or a new one once it is durable."""
        self._refuse_if_read_only()
        async with self._turn:
            lock = await self._own_lock()
            insertion = "INSERT INTO keys VALUES (?, ?) ON CONFLICT DO UPDATE SET key = key RETURNING key"
            kept = await self._run("SELECT key FROM keys WHERE key_id = ?", key_id)
            kept = kept or await self._run(insertion, key_id, _closed(lock, key_id, secrets.token_bytes(KEY_BYTES)))
        return self._plain(lock, key_id, kept[0][0])

    async def get(self, key_id: str) -> bytes | None:
        """Return the key, if kept."""
        async with self._turn:
            lock = await self._own_lock()
            kept = await self._run("SELECT key FROM keys WHERE key_id = ?", key_id)
        return self._plain(lock, key_id, kept[0][0]) if kept else None

    async def destroy(self, key_id: str) -> None:
        """Delete the key, rebuild the file and empty the WAL. Done again if an earlier try was cut short."""
        self._refuse_if_read_only()
        async with self._turn:
            await self._own_lock()
            await self._run("DELETE FROM keys WHERE key_id = ?", key_id)
            await self._scrub("destroy the key again")

    async def key_ids(self) -> list[str]:
        """Return the names kept, sorted."""
        async with self._turn:
            await self._own_lock()
            return sorted(str(row[0]) for row in await self._run("SELECT key_id FROM keys"))

    async def locked(self) -> bool:
        """Return whether the file is locked otherwise than this handle knows."""
        async with self._turn:
            try:
                await self._own_lock()
            except KeyringLocked:
                return True
            return False

    async def unlock(self, unlock_key: bytes) -> None:
        """Keep the lock in memory; the file is left as it is."""
        async with self._turn:
            for salt, proof in await self._locks():
                lock = Lock(unlock_key, salt)
                if not lock.proves(proof):
                    raise WrongUnlockKey
                self._known = {salt: lock}

    async def lock_with(self, unlock_key: bytes | None) -> None:
        """Write every key anew in one transaction, rebuild the file and empty the WAL; the latter two until done."""
        self._refuse_if_read_only()
        async with self._turn:
            had = await self._own_lock()
            if await self._is_locked_with(unlock_key):
                if self._unscrubbed:
                    await self._scrub("lock it again")
                return
            new = None if unlock_key is None else Lock(unlock_key)
            if new is not None:
                self._known[new.salt] = new
            self._unscrubbed = True
            await self._run("BEGIN IMMEDIATE")
            try:
                for key_id, kept in await self._run("SELECT key_id, key FROM keys"):
                    key = _closed(new, key_id, self._plain(had, key_id, kept))
                    await self._run("UPDATE keys SET key = ? WHERE key_id = ?", key, key_id)
                await self._run("DELETE FROM lock")
                if new is not None:
                    await self._run("INSERT INTO lock VALUES (1, ?, ?)", new.salt, new.proof())
                # an older skep would take what is encrypted for keys
                await self._run(f"PRAGMA user_version = {PLAIN_VERSION if new is None else FORMAT_VERSION}")
                await self._run("COMMIT")
            except BaseException:
                with anyio.CancelScope(shield=True), suppress(KeyringError):
                    await self._run("ROLLBACK")
                raise
            self._known = {} if new is None else {new.salt: new}
            await self._scrub("lock it again")

    async def aclose(self) -> None:
        """Close the file."""
        async with self._turn:
            self._closed = True
            connection, self._connection = self._connection, None
            if connection is not None:
                with anyio.CancelScope(shield=True):
                    await connection.close()

    async def _own_lock(self) -> Lock | None:
        """Return what opens the file, None if it is not locked."""
        for salt, _ in await self._locks():
            if salt not in self._known:
                raise KeyringLocked
            return self._known[salt]
        return None

    async def _locks(self) -> list[sqlite3.Row]:
        """Return salt and proof of the lock, if there is one: the table is as old as the version."""
        version = await self._run("PRAGMA user_version")
        return await self._run("SELECT salt, proof FROM lock") if version and version[0][0] == FORMAT_VERSION else []

    async def _is_locked_with(self, unlock_key: bytes | None) -> bool:
        locks = await self._locks()
        if unlock_key is None or not locks:
            return unlock_key is None and not locks
        return all(Lock(unlock_key, salt).proves(proof) for salt, proof in locks)

    def _plain(self, lock: Lock | None, key_id: str, kept: bytes) -> bytes:
        key = bytes(kept) if lock is None else lock.opened(key_id, kept)
        if key is None or len(key) != KEY_BYTES:
            raise KeyringError(f"the key {key_id} in {self._path} is damaged")
        return key

    async def _scrub(self, again: str) -> None:
        """Rebuild the file and empty the WAL, so that what was overwritten is in neither."""
        await self._run("VACUUM")
        connection = await self._opened()
        try:
            emptied = connection is None or await truncate_wal(connection)
        except sqlite3.Error as error:
            raise KeyringError(f"cannot empty the WAL of {self._path}: {error}; {again}") from error
        if not emptied:
            raise KeyringError(f"another program keeps the WAL of {self._path} from being emptied; {again}")
        self._unscrubbed = False

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
            mode, pragmas = "mode=rw", [*PRAGMAS, *SCHEMA]
        # after a crash the WAL may hold a key whose deletion was committed, so that nobody would destroy it again
        unclean = not self._read_only and size_of(self._path.with_name(f"{self._path.name}-wal")) > 0
        connection = await connected(self._path, mode)
        try:
            for pragma in pragmas:
                await connection.execute_fetchall(pragma)
            if not await self._version(connection) and not self._read_only:
                await connection.execute_fetchall(f"PRAGMA user_version = {PLAIN_VERSION}")
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


def _closed(lock: Lock | None, key_id: str, key: bytes) -> bytes:
    return key if lock is None else lock.closed(key_id, key)
