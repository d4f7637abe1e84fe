"""Durable appends by the SQLite log, against bare sqlite3 writing the same rows in the same run.

Batches of 1, 64 and 1,000 records; from records, with encoding; and beside a busy loop, where bare sqlite3 writes in
a thread. Ours always hashes.
"""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from report import SEED, Goal, Report, arguments, median
from skep.core.codec import encode_record
from skep.ports.event_log import Epoch, EventLog, Head
from skep_adapters.sqlite.storage import SqliteStorage
from workload import Workload

ROUNDS = 7
BATCHES = {1: 300, 64: 40, 1000: 12}

#: Beside a busy loop an append waits for the interpreter many times, up to 5 ms each: few of them take seconds.
BUSY_APPENDS = 2
BUSY_ROUNDS = 5


class Bare:
    """sqlite3 with the same schema and settings, and nothing else: the same text, the same digest column."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("CREATE TABLE log (position INTEGER PRIMARY KEY, body TEXT NOT NULL, digest BLOB NOT NULL)")
        self._position = 0

    def append(self, texts: list[str]) -> None:
        """Append rows in one transaction."""
        rows = [(self._position + i, text, _DIGEST) for i, text in enumerate(texts, 1)]
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT INTO log VALUES (?,?,?)", rows)
        self._db.execute("COMMIT")
        self._position += len(rows)


_DIGEST = bytes(32)


async def main() -> None:
    """Measure and print."""
    options = arguments("append", __doc__)
    report = Report("append")
    work = Workload(SEED)
    nodes, _ = work.nodes(1)
    with tempfile.TemporaryDirectory() as folder:
        store = await SqliteStorage(Path(folder) / "skep").begin()
        claim = await store.log.claim()
        head, epoch = claim.head, claim.epoch
        bare = Bare(Path(folder) / "bare.db")
        for batch, appends in BATCHES.items():
            for busy in (False, True):
                count = max(2, int(appends * options.scale)) if not busy else BUSY_APPENDS
                ours: list[float] = []
                theirs: list[float] = []
                for _ in range(BUSY_ROUNDS if busy else ROUNDS):
                    groups = [[encode_record(work.label(nodes[0], i)) for i in range(batch)] for _ in range(count)]
                    texts = [[body.decode() for body in group] for group in groups]
                    theirs.append(batch * count / await _theirs(bare, texts, busy=busy))
                    spent, head = await _ours(store.log, groups, head, epoch, busy=busy)
                    ours.append(batch * count / spent)
                name = f"append/{batch}{' busy loop' if busy else ''}"
                goal = Goal(0.8, at_least=True, of_ratio=True) if batch == 1000 else None
                report.add(name, median(ours), "records/s", peer=median(theirs), goal=goal)
        await _encoding(report, work, store.log, bare, head, epoch, scale=options.scale)
        await store.aclose()
    report.show(options)


async def _encoding(
    report: Report, work: Workload, log: EventLog, bare: Bare, head: Head, epoch: Epoch, *, scale: float
) -> None:
    """Measure from records, as the writer pays it, against bare rows."""
    nodes, _ = work.nodes(1)
    ours, theirs = [], []
    count = max(2, int(BATCHES[1000] * scale))
    for _ in range(ROUNDS):
        groups = [[work.label(nodes[0], i) for i in range(1000)] for _ in range(count)]
        texts = [[encode_record(record).decode() for record in group] for group in groups]
        start = time.perf_counter()
        for group in texts:
            bare.append(group)
        theirs.append(1000 * count / (time.perf_counter() - start))
        start = time.perf_counter()
        for group in groups:
            head = await log.append([encode_record(r) for r in group], expected=head.position, epoch=epoch)
        ours.append(1000 * count / (time.perf_counter() - start))
    goal = Goal(0.6, at_least=True, of_ratio=True)
    report.add("append/1000 with encoding", median(ours), "records/s", peer=median(theirs), goal=goal)


async def _ours(
    log: EventLog, groups: list[list[bytes]], head: Head, epoch: Epoch, *, busy: bool
) -> tuple[float, Head]:
    """Return the seconds that our appends took, and the new end."""
    async with _beside(busy=busy):
        start = time.perf_counter()
        for group in groups:
            head = await log.append(group, expected=head.position, epoch=epoch)
        return time.perf_counter() - start, head


async def _theirs(bare: Bare, texts: list[list[str]], *, busy: bool) -> float:
    """Return the seconds that bare appends took: in this thread, or in another beside a busy loop."""
    if not busy:
        start = time.perf_counter()
        for group in texts:
            bare.append(group)
        return time.perf_counter() - start
    async with _beside(busy=True):
        start = time.perf_counter()
        for group in texts:
            await asyncio.to_thread(bare.append, group)
        return time.perf_counter() - start


@asynccontextmanager
async def _beside(*, busy: bool) -> AsyncIterator[None]:
    spinner = asyncio.ensure_future(_spin()) if busy else None
    try:
        yield
    finally:
        if spinner is not None:
            spinner.cancel()


async def _spin() -> None:
    """Keep the loop busy in slices of about a millisecond, as requests and plans do."""
    while True:
        end = time.perf_counter() + 0.001
        while time.perf_counter() < end:
            pass
        await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(main())
