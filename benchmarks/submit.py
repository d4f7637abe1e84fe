"""Commands until durable, through the whole engine: 1, 64 and 1,000 clients, each waiting for its answer.

With one client the peer is a bare SQLite commit of one row of the same size: the price of durability itself.
"""

import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path

import skep
from report import Goal, Report, arguments, median
from skep_adapters.sqlite.storage import SqliteStorage

CLIENTS = {1: 400, 64: 40, 1000: 4}
ROUNDS = 3


async def main() -> None:
    """Measure and print."""
    options = arguments("submit", __doc__)
    report = Report("submit")
    with tempfile.TemporaryDirectory() as folder:
        storage = SqliteStorage(Path(folder) / "skep")
        async with skep.Cluster.open(storage=storage) as cluster:
            number = 0
            for clients, full in CLIENTS.items():
                each = max(2, int(full * options.scale))
                rates, waits, bare = [], [], []
                for _ in range(ROUNDS):
                    bare += _bare(Path(folder) / f"bare{number}.db", 100)
                    number += 1
                    spent, latencies = await _clients(cluster, clients, each, number)
                    rates.append(clients * each / spent)
                    waits += latencies
                report.add(f"submit/{clients}", median(rates), "commands/s")
                peer = median(bare) * 1e3 if clients == 1 else None
                goal = Goal(1.5, of_ratio=True) if clients == 1 else None
                report.add(f"submit/{clients} median wait", median(waits) * 1e3, "ms", peer=peer, goal=goal)
    report.show(options)


async def _clients(cluster: skep.Cluster, clients: int, each: int, number: int) -> tuple[float, list[float]]:
    waits: list[float] = []

    async def client(name: int) -> None:
        for i in range(each):
            start = time.perf_counter()
            await cluster.configs.create(skep.ConfigSpec(name=f"c{number}-{name}-{i}", data=b"x" * 64))
            waits.append(time.perf_counter() - start)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for name in range(clients):
            group.create_task(client(name))
    return time.perf_counter() - start, waits


def _bare(path: Path, commits: int) -> list[float]:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE log (position INTEGER PRIMARY KEY, body TEXT)")
    body = "x" * 700
    waits = []
    for i in range(commits):
        start = time.perf_counter()
        db.execute("INSERT INTO log VALUES (?,?)", (i, body))
        waits.append(time.perf_counter() - start)
    db.close()
    return waits


if __name__ == "__main__":
    asyncio.run(main())
