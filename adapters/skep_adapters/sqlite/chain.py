"""The chain of digests over stored rows: checked whenever rows are read."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

import aiosqlite
from skep.model.ids import Position
from skep.ports.event_log import GENESIS, Head, LogDamaged, Recorded, chained

from skep_adapters.sqlite.failures import reading_failed

#: Rows a step when nothing but the chain is wanted: a hop costs 0.1 ms, and a row may be a MiB.
STEP = 128

GENESIS_HEAD = Head(Position(0), GENESIS)

ROWS = "SELECT position, body, digest FROM log WHERE position > ? ORDER BY position LIMIT ?"

#: A row as `ROWS` gives it.
Row = tuple[int, bytes, bytes]


def checked(path: Path, start: Head, rows: Iterable[Row]) -> tuple[list[Recorded], Head]:
    """Return `rows` as records and the head that they lead to from `start`.

    Raises:
        LogDamaged: a position is missing or a digest does not fit; `position` is that of the last row that does.
    """
    records = []
    position, digest = start.position, start.digest
    for row_position, body, row_digest in rows:
        if row_position != position + 1:
            raise LogDamaged(f"{path}: position {position + 1} is missing", position=position)
        if not isinstance(body, bytes) or chained(digest, body) != row_digest:
            raise LogDamaged(
                f"{path}: the record at position {row_position} is not what was written", position=position
            )
        position, digest = Position(row_position), row_digest
        records.append(Recorded(position, body))
    return records, Head(position, digest)


async def digest_at(reader: aiosqlite.Connection, position: Position) -> bytes | None:
    """Return the digest stored at `position`, or None if there is no such row."""
    if position == 0:
        return GENESIS
    rows = list(await reader.execute_fetchall("SELECT digest FROM log WHERE position = ?", (position,)))
    return rows[0][0] if rows else None


async def walked(path: Path, reader: aiosqlite.Connection, start: Head) -> Head:
    """Return the end of the log, having checked every row that follows `start`.

    Raises:
        LogDamaged: as `checked`, or SQLite cannot read the rows.
    """
    head = start
    while True:
        try:
            rows = list(await reader.execute_fetchall(ROWS, (head.position, STEP)))
        except sqlite3.Error as error:
            raise reading_failed(path, error, good=head.position) from error
        if not rows:
            return head
        _, head = checked(path, head, (tuple(row) for row in rows))


async def anchored(path: Path, reader: aiosqlite.Connection, anchor: Head) -> Head:
    """Return the end of the log, having checked that it reached `anchor` and is whole from there on.

    Raises:
        LogDamaged: it did not, or is not.
    """
    try:
        digest = await digest_at(reader, anchor.position)
    except sqlite3.Error as error:
        raise reading_failed(path, error, good=0) from error
    if digest == anchor.digest:
        return await walked(path, reader, anchor)
    end = await walked(path, reader, GENESIS_HEAD)
    if end.position < anchor.position:
        lost = f"the log ends at position {end.position}, but is known to have reached {anchor.position}"
        raise LogDamaged(f"{path}: {lost}", position=end.position)
    raise LogDamaged(f"{path}: position {anchor.position} is not the record that was written there", position=0)
