"""The log in a SQLite file.

- An append is one statement in autocommit, so one hop to the connection's thread; with more columns than
  `COLUMNS_PER_STATEMENT` it is one explicit transaction.
- The writer is fenced twice: other processes by a lock file, older claims of this process by the epoch that every
  append's statement checks. Under a valid epoch nobody else appends, so the end that we remember is the end.
- When that is no longer known (an error, a cancellation) every append is a `Conflict` until the next claim.
- Readers have a connection of their own, which cannot write; WAL keeps them out of the writer's way.
"""

import functools
import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiosqlite
import anyio
from anyio import CancelScope
from skep.model.ids import Position
from skep.ports.event_log import (
    Claim,
    Conflict,
    Epoch,
    Head,
    LogDamaged,
    LogError,
    LogFull,
    Recorded,
    chained,
    storable,
)

from skep_adapters.sqlite.anchor import read_anchor
from skep_adapters.sqlite.chain import GENESIS_HEAD, ROWS, anchored, checked, digest_at, walked
from skep_adapters.sqlite.database import open_reader, open_writer, truncate_wal
from skep_adapters.sqlite.failures import append_failed, opening_failed, reading_failed
from skep_adapters.sqlite.files import make_directory
from skep_adapters.sqlite.lock import ProcessLock
from skep_adapters.sqlite.wal import survey

#: Position, body, digest.
COLUMNS = 3

#: With the epoch, below SQLite's default limit of 32,766 parameters a statement.
COLUMNS_PER_STATEMENT = 10_000 * COLUMNS

#: How often a follower looks when the writer is not in its own log object.
POLL_S = 0.2

#: Records a follower reads at a time.
FOLLOW_BATCH = 128


@functools.lru_cache(maxsize=64)
def _insertion(rows: int) -> str:
    values = ",".join(["(?,?,?)"] * rows)
    return f"INSERT INTO log SELECT * FROM (VALUES {values}) WHERE (SELECT epoch FROM writer) = ?"  # noqa: S608 - marks


class SqliteEventLog:
    """An `EventLog` in the file `path`; `anchor` is read at claims, and need not exist.

    Nothing is opened or made before the first call. A log that is `read_only` cannot be claimed.
    """

    def __init__(self, path: Path, *, anchor: Path | None = None, read_only: bool = False) -> None:
        self._path = path
        self._anchor = anchor or path.with_name("anchor.json")
        self._read_only = read_only
        self._lock: ProcessLock | None = None
        self._writer: aiosqlite.Connection | None = None
        self._reader: aiosqlite.Connection | None = None
        self._epoch = Epoch(0)
        self._head: Head | None = None  # None: not known, so nothing can be appended
        self._closed = False
        self._unclean = False  # a failed commit left frames behind the WAL's end
        self._turn = anyio.Lock(fast_acquire=True)
        self._opening = anyio.Lock(fast_acquire=True)
        self._grown = anyio.Event()

    async def claim(self) -> Claim:
        """Become the writer; what is on the disk is looked at before anything is changed."""
        if self._closed:
            raise LogError(f"{self._path} is closed")
        if self._read_only:
            raise LogError(f"{self._path} is open for reading only")
        async with self._turn:
            await self._close_writer()
            if self._lock is None:
                await anyio.to_thread.run_sync(make_directory, self._path.parent)
                self._lock = ProcessLock.acquire(self._path.with_name(f"{self._path.name}.lock"))
            try:
                return await self._claimed(alone=self._lock.holds == 1)
            except BaseException as error:
                with CancelScope(shield=True):
                    await self._give_up()
                if isinstance(error, sqlite3.Error):
                    raise opening_failed(self._path, error) from error
                raise

    async def _claimed(self, *, alone: bool) -> Claim:
        anchor = await anyio.to_thread.run_sync(read_anchor, self._anchor)
        # A writer beside us in this process is changing the WAL, and has looked at it.
        dropped = await anyio.to_thread.run_sync(survey, self._path) if alone else ""
        reader = await self._connected()
        if reader is None and anchor.position:
            lost = f"it holds nothing, but is known to have reached position {anchor.position}"
            raise LogDamaged(f"{self._path}: {lost}", position=0)
        head = await anchored(self._path, reader, anchor) if reader else GENESIS_HEAD
        self._writer = writer = await open_writer(self._path)
        if not await truncate_wal(writer) and dropped:
            raise LogError(f"another program keeps {self._path} from being opened after a crash; end it and try again")
        self._unclean = False
        epochs = await writer.execute_fetchall("UPDATE writer SET epoch = epoch + 1 RETURNING epoch")
        self._epoch = Epoch(next(iter(epochs))[0])
        if reader := await self._connected():
            head = await walked(self._path, reader, head)  # what a writer beside us did meanwhile
        self._head = head
        return Claim(self._epoch, head, dropped)

    async def append(self, bodies: Sequence[bytes], *, expected: Position, epoch: Epoch) -> Head:
        """Append in one statement. A cancellation leaves the connection usable and the outcome unknown."""
        texts = storable(bodies)
        async with self._turn:
            writer, head = self._writable(expected, epoch)
            if self._unclean:
                await self._clean(writer)
            columns: list[object] = []
            digest = head.digest
            for position, (body, text) in enumerate(zip(bodies, texts, strict=True), head.position + 1):
                digest = chained(digest, body)
                columns += (position, text, digest)
            self._head = None
            try:
                await self._insert(writer, columns, epoch)
            except sqlite3.Error as error:
                failure = append_failed(self._path, error)
                if isinstance(failure, LogFull):
                    self._head, self._unclean = head, True
                raise failure from error
            self._head = end = Head(Position(head.position + len(bodies)), digest)
        grown, self._grown = self._grown, anyio.Event()
        grown.set()
        return end

    def _writable(self, expected: Position, epoch: Epoch) -> tuple[aiosqlite.Connection, Head]:
        if self._writer is None or epoch != self._epoch:
            raise Conflict(f"{self._path}: epoch {epoch} is not the last claimed")
        if self._head is None:
            raise Conflict(f"{self._path}: what became of an append before is not known; claim again")
        if expected != self._head.position:
            raise Conflict(f"{self._path} ends at position {self._head.position}, not {expected}")
        return self._writer, self._head

    async def _insert(self, writer: aiosqlite.Connection, columns: list[object], epoch: Epoch) -> None:
        """Insert rows, whose columns follow each other in `columns`."""
        if len(columns) <= COLUMNS_PER_STATEMENT:
            await self._insert_some(writer, columns, epoch)
            return
        await writer.execute_fetchall("BEGIN IMMEDIATE")
        try:
            for start in range(0, len(columns), COLUMNS_PER_STATEMENT):
                await self._insert_some(writer, columns[start : start + COLUMNS_PER_STATEMENT], epoch)
            await writer.execute_fetchall("COMMIT")
        except BaseException:
            with CancelScope(shield=True):
                await writer.rollback()  # nothing, if the commit happened or the error rolled back already
            raise

    async def _insert_some(self, writer: aiosqlite.Connection, columns: list[object], epoch: Epoch) -> None:
        rows = len(columns) // COLUMNS
        cursor = await writer.execute(_insertion(rows), (*columns, epoch))
        if cursor.rowcount != rows:
            raise Conflict(f"{self._path}: somebody claimed after epoch {epoch}; nothing of ours was written")

    async def _clean(self, writer: aiosqlite.Connection) -> None:
        """Clear what a commit that found no room left in the WAL."""
        try:
            if not await truncate_wal(writer):
                raise LogFull(f"{self._path}: a reader keeps what a full disk left from being cleared; nothing written")
        except sqlite3.Error as error:
            raise LogFull(f"still no room to append to {self._path}: {error}; nothing was written") from error
        self._unclean = False

    async def read(self, after: Position, *, limit: int) -> Sequence[Recorded]:
        """Return what follows `after`, its digests checked against the one stored at `after`."""
        try:
            reader = await self._connected()
            if reader is None or limit <= 0:
                return []
            rows = [tuple(row) for row in await reader.execute_fetchall(ROWS, (after, limit))]
            if not rows:
                return []
            digest = await digest_at(reader, after)
        except sqlite3.Error as error:
            raise reading_failed(self._path, error, good=after) from error
        if digest is None:
            raise LogDamaged(f"{self._path}: position {after} is missing", position=after - 1)
        return checked(self._path, Head(after, digest), rows)[0]

    async def follow(self, after: Position) -> AsyncIterator[Recorded]:
        """Wake at once for appends through this object, and within `POLL_S` for those of others."""
        while True:
            grown = self._grown
            records = await self.read(after, limit=FOLLOW_BATCH)
            for record in records:
                yield record
                after = record.position
            if not records:
                with anyio.move_on_after(POLL_S):
                    await grown.wait()

    async def head(self) -> Head:
        """Return the end as readers see it."""
        try:
            if reader := await self._connected():
                end = "SELECT position, digest FROM log ORDER BY position DESC LIMIT 1"
                for position, digest in await reader.execute_fetchall(end):
                    return Head(Position(position), digest)
        except sqlite3.Error as error:
            raise reading_failed(self._path, error, good=0) from error
        return GENESIS_HEAD

    async def verify(self) -> Head:
        """Check the whole chain and the anchor, and return the end. Works beside a writer in another process.

        Raises:
            LogDamaged: `position` is the last good one.
        """
        lock = self._path.with_name(f"{self._path.name}.lock")
        anchor = await anyio.to_thread.run_sync(read_anchor, self._anchor)
        if not ProcessLock.is_held(lock):  # the WAL of a living writer changes under our eyes
            await anyio.to_thread.run_sync(survey, self._path)
        reader = await self._connected()
        if reader is None:
            if anchor.position:
                raise LogDamaged(f"{self._path} holds nothing, but had reached {anchor.position}", position=0)
            return GENESIS_HEAD
        await anchored(self._path, reader, anchor)
        return await walked(self._path, reader, GENESIS_HEAD)

    async def aclose(self) -> None:
        """Close both connections, then give up the lock. Reads that are under way may end in a `LogError`."""
        async with self._turn:
            self._closed = True
            reader, self._reader = self._reader, None
            with CancelScope(shield=True):
                try:
                    if reader is not None:
                        await reader.close()
                finally:
                    await self._give_up()

    async def _close_writer(self) -> None:
        writer, self._writer, self._head = self._writer, None, None
        if writer is not None:
            await writer.close()

    async def _give_up(self) -> None:
        lock, self._lock = self._lock, None
        try:
            await self._close_writer()
        finally:
            if lock is not None:
                lock.release()

    async def _connected(self) -> aiosqlite.Connection | None:
        if self._reader is None:
            async with self._opening:
                if self._closed:
                    raise LogError(f"{self._path} is closed")
                if self._reader is None:
                    self._reader = await open_reader(self._path)
        return self._reader
