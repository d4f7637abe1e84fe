"""What tasks print, in one SQLite file for all agents of a process.

- A row is a chunk of consecutive lines of one task, packed; many lines then cost one short statement.
- Chunks belong to parts. When one part too many begins, the oldest one's chunks are deleted and a chunk of one line,
  which says so, stands in their place.
- `synchronous = NORMAL`: a crash of the process loses nothing that was answered; a crash of the machine may lose what
  the system had not yet written, but never damages the file.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import aiosqlite
import anyio
import msgspec
from skep.model.ids import TaskId
from skep.ports.event_log import LogError, LogFull
from skep.ports.lines import PART_BYTES, PARTS, Line, dropped

from skep_adapters.sqlite.database import connected
from skep_adapters.sqlite.failures import code_of
from skep_adapters.sqlite.files import make_directory, make_file
from skep_adapters.sqlite.lock import ProcessLock

FORMAT_VERSION = 1

#: A chunk is decoded whole to read one line of it.
CHUNK_LINES = 256
CHUNK_BYTES = 64 * 1024

#: Six parameters a row, below SQLite's default limit of 32,766.
CHUNKS_PER_STATEMENT = 5_000

#: The part of the line that says what was dropped; parts of lines begin at 1.
NOTICE_PART = 0

SCHEMA = (
    (
        "CREATE TABLE IF NOT EXISTS chunks (task TEXT, first INTEGER, last INTEGER NOT NULL, part INTEGER NOT NULL,"
        " bytes INTEGER NOT NULL, lines BLOB NOT NULL, PRIMARY KEY (task, first)) STRICT, WITHOUT ROWID"
    ),
    (
        "CREATE TABLE IF NOT EXISTS lost (task TEXT PRIMARY KEY, lines INTEGER NOT NULL, bytes INTEGER NOT NULL)"
        " STRICT, WITHOUT ROWID"
    ),
)

#: The chunks with the lines (?2, ?2 + ?3]: from the one that holds the first of them, or else the oldest.
READ = """
WITH start(first) AS (SELECT coalesce(
  (SELECT max(first) FROM chunks WHERE task = ?1 AND first <= ?2 + 1), (SELECT min(first) FROM chunks WHERE task = ?1)))
SELECT first, lines FROM chunks
WHERE task = ?1 AND first >= (SELECT first FROM start) AND last > ?2
  AND first < max(?2 + 1, (SELECT first FROM start)) + ?3
ORDER BY first
"""

#: From name to name: `DISTINCT` would read every chunk.
TASKS = """
WITH RECURSIVE names(task) AS (
  SELECT min(task) FROM chunks
  UNION ALL SELECT (SELECT min(task) FROM chunks WHERE task > names.task) FROM names WHERE task IS NOT NULL)
SELECT task FROM names WHERE task IS NOT NULL
"""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Line]).decode


class _Chunk(msgspec.Struct):
    first: int
    part: int
    lines: list[Line]
    data_bytes: int = 0

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1


class _Tail(msgspec.Struct, frozen=True):
    """Where a task's output stands: its last line, its parts' range, and the bytes in the newest part."""

    last: int = 0
    oldest: int = 1
    part: int = 1
    part_bytes: int = 0


class SqliteLineStore:
    """A `LineStore` in the file `path`. Nothing is opened before the first call.

    `lock` is the lock file to hold while open, by default one next to `path`; one process writes at a time.
    """

    def __init__(
        self,
        path: Path,
        *,
        part_bytes: int = PART_BYTES,
        parts: int = PARTS,
        lock: Path | None = None,
        read_only: bool = False,
    ) -> None:
        self._path = path
        self._part_bytes = part_bytes
        self._parts = parts
        self._lock_path = lock
        self._lock: ProcessLock | None = None
        self._read_only = read_only
        self._connection: aiosqlite.Connection | None = None
        self._tails: dict[TaskId, _Tail] = {}
        self._closed = False
        self._opening = anyio.Lock(fast_acquire=True)
        self._turn = anyio.Lock(fast_acquire=True)

    async def append(self, task_id: TaskId, lines: Sequence[Line]) -> None:
        """Keep `lines` in one statement, or in one transaction when a part is dropped.

        Raises:
            LogFull: no room; none of `lines` are kept.
            LogError: the file cannot be written.
        """
        if self._read_only:
            raise LogError(f"{self._path} is open for reading only")
        if not lines:
            return
        async with self._turn:
            tail = await self._tail(task_id)
            chunks, after = self._chunked(tail, lines)
            self._tails.pop(task_id, None)  # read again if what follows fails
            if after.part - after.oldest < self._parts and len(chunks) <= CHUNKS_PER_STATEMENT:
                await self._insert(task_id, chunks)
            else:
                after = await self._rotate(task_id, chunks, after)
            self._tails[task_id] = after

    def _chunked(self, tail: _Tail, lines: Sequence[Line]) -> tuple[list[_Chunk], _Tail]:
        """Return `lines` in chunks, none across two parts, and where the output then stands."""
        chunks: list[_Chunk] = []
        chunk: _Chunk | None = None
        last, part, part_bytes = tail.last, tail.part, tail.part_bytes
        for line in lines:
            size = len(line.data)
            if part_bytes and part_bytes + size > self._part_bytes:
                part, part_bytes = part + 1, 0
            last, part_bytes = last + 1, part_bytes + size
            full = chunk is None or len(chunk.lines) == CHUNK_LINES or chunk.data_bytes + size > CHUNK_BYTES
            if chunk is None or full or chunk.part != part:
                chunk = _Chunk(last, part, [])
                chunks.append(chunk)
            chunk.lines.append(line)
            chunk.data_bytes += size
        return chunks, _Tail(last, tail.oldest, part, part_bytes)

    async def _insert(self, task_id: TaskId, chunks: Sequence[_Chunk]) -> None:
        marks = ",".join(["(?,?,?,?,?,?)"] * len(chunks))
        parameters: list[object] = []
        for chunk in chunks:
            parameters += (task_id, chunk.first, chunk.last, chunk.part, chunk.data_bytes, _encode(chunk.lines))
        await self._run(f"INSERT INTO chunks VALUES {marks}", *parameters)  # noqa: S608 - only question marks

    async def _rotate(self, task_id: TaskId, chunks: Sequence[_Chunk], after: _Tail) -> _Tail:
        """Insert `chunks` and drop the parts that are then too many, in one transaction."""
        oldest = max(after.oldest, after.part - self._parts + 1)
        await self._run("BEGIN IMMEDIATE")
        try:
            for start in range(0, len(chunks), CHUNKS_PER_STATEMENT):
                await self._insert(task_id, chunks[start : start + CHUNKS_PER_STATEMENT])
            if oldest > after.oldest:
                await self._drop(task_id, oldest)
            await self._run("COMMIT")
        except BaseException:
            with anyio.CancelScope(shield=True):
                if self._connection is not None:
                    await self._connection.rollback()
            raise
        return msgspec.structs.replace(after, oldest=oldest)

    async def _drop(self, task_id: TaskId, oldest: int) -> None:
        doomed = "task = ? AND part < ? AND part > 0"
        ((lines, data_bytes, last),) = await self._run(
            f"SELECT sum(last - first + 1), sum(bytes), max(last) FROM chunks WHERE {doomed}",  # noqa: S608 - a constant
            task_id,
            oldest,
        )
        ((packed,),) = await self._run("SELECT lines FROM chunks WHERE task = ? AND last = ?", task_id, last)
        upsert = (
            "INSERT INTO lost VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET lines = lines + excluded.lines,"
            " bytes = bytes + excluded.bytes RETURNING lines, bytes"
        )
        ((lost_lines, lost_bytes),) = await self._run(upsert, task_id, lines, data_bytes)
        await self._run("DELETE FROM chunks WHERE task = ? AND part < ?", task_id, oldest)
        notice = dropped(lost_lines, lost_bytes, at=_decode(packed)[-1].at)
        await self._insert(task_id, [_Chunk(last, NOTICE_PART, [notice])])

    async def read(self, task_id: TaskId, *, after: int = 0, limit: int = 1000) -> Sequence[tuple[int, Line]]:
        """Return lines after `after`, with the chunks that hold them found by their numbers."""
        if limit <= 0:
            return []
        found: list[tuple[int, Line]] = []
        for first, packed in await self._run(READ, task_id, after, limit):
            found.extend(entry for entry in enumerate(_decode(packed), first) if entry[0] > after)
        return found[:limit]

    async def tail(self, task_id: TaskId, count: int) -> int:
        """Return where the last `count` lines begin; numbers are dense from the first line kept."""
        rows = await self._run("SELECT first FROM chunks WHERE task = ? ORDER BY first LIMIT 1", task_id)
        if not rows:
            return 0
        after = await self.last(task_id) - max(0, count)
        return after if after >= rows[0][0] else 0

    async def last(self, task_id: TaskId) -> int:
        """Return the newest line's number."""
        rows = await self._run("SELECT last FROM chunks WHERE task = ? ORDER BY first DESC LIMIT 1", task_id)
        return rows[0][0] if rows else 0

    async def remove(self, task_id: TaskId) -> None:
        """Delete the task's chunks; the file keeps its size and uses the room again."""
        async with self._turn:
            self._tails.pop(task_id, None)
            await self._run("DELETE FROM chunks WHERE task = ?", task_id)
            await self._run("DELETE FROM lost WHERE task = ?", task_id)

    async def task_ids(self) -> Sequence[TaskId]:
        """Return the tasks with lines, sorted."""
        return [TaskId(row[0]) for row in await self._run(TASKS)]

    async def aclose(self) -> None:
        """Close the file."""
        async with self._turn:
            self._closed = True
            connection, self._connection = self._connection, None
            lock, self._lock = self._lock, None
            self._tails.clear()
            try:
                if connection is not None:
                    with anyio.CancelScope(shield=True):
                        await connection.close()
            finally:
                if lock is not None:
                    lock.release()

    async def _tail(self, task_id: TaskId) -> _Tail:
        if task_id in self._tails:
            return self._tails[task_id]
        newest = "SELECT last, part FROM chunks WHERE task = ? ORDER BY first DESC LIMIT 1"
        rows = await self._run(newest, task_id)
        if not rows:
            return _Tail()
        ((last, part),) = rows
        of_oldest = "SELECT part FROM chunks WHERE task = ? AND part > 0 ORDER BY first LIMIT 1"
        ((oldest,),) = await self._run(of_oldest, task_id)
        ((part_bytes,),) = await self._run("SELECT sum(bytes) FROM chunks WHERE task = ? AND part = ?", task_id, part)
        return _Tail(last, oldest, part, part_bytes)

    async def _run(self, sql: str, *parameters: object) -> list[Any]:
        try:
            connection = self._connection
            if connection is None:
                async with self._opening:
                    connection = self._connection or await self._opened()
            return list(await connection.execute_fetchall(sql, parameters)) if connection else []
        except sqlite3.Error as error:
            kind = LogFull if code_of(error) == sqlite3.SQLITE_FULL else LogError
            raise kind(f"the lines in {self._path}: {error}") from error

    async def _opened(self) -> aiosqlite.Connection | None:
        if self._closed:
            raise LogError(f"{self._path} is closed")
        if self._read_only:
            if not self._path.exists():
                return None
            pragmas: Iterable[str] = ["PRAGMA query_only = ON"]
        else:
            make_directory(self._path.parent)
            if self._lock is None:
                self._lock = ProcessLock.acquire(self._lock_path or self._path.with_name(f"{self._path.name}.lock"))
            make_file(self._path)
            pragmas = ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", *SCHEMA]
        connection = await connected(self._path, "mode=ro" if self._read_only else "mode=rw")
        try:
            for pragma in pragmas:
                await connection.execute_fetchall(pragma)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection
        return connection
