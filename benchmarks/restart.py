"""Recovery of a log of 1,000,000 records with 10,000 live tasks: with a checkpoint near its end, and without."""

import asyncio
import tempfile
import time
from pathlib import Path

from report import SEED, Goal, Report, arguments, median
from skep.core.codec import encode_record, encode_state
from skep.core.fold import FOLD_VERSION
from skep.ports.checkpoints import Checkpoint
from skep.runtime.recovery import recover
from skep_adapters.sqlite.storage import SqliteStorage
from workload import Workload

RECORDS = 1_000_000
TASKS = 5000
SERVICES = 2
BATCH = 2000
ROUNDS = 3
TAIL = 100


async def main() -> None:
    """Measure and print."""
    options = arguments("restart", __doc__)
    report = Report("restart")
    count = max(1000, int(RECORDS * options.scale))
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "skep"
        await _write(directory, count)
        spent, state = await _recover(directory)
        report.add(f"recover {count:,} records", spent, "s", note="no checkpoint")
        assert len(state.tasks) == SERVICES * TASKS
        await _checkpoint(directory)
        times = []
        for _ in range(ROUNDS):
            spent, again = await _recover(directory)
            times.append(spent)
            assert encode_state(again) == encode_state(state)
        report.add(f"recover {count:,} records, checkpoint", median(times), "s", goal=Goal(0.5), note="10,000 tasks")
    report.show(options)


async def _write(directory: Path, count: int) -> None:
    work = Workload(SEED)
    nodes, records = work.nodes(100)
    for number in range(SERVICES):
        _, task_ids, made = work.service(f"s{number}", TASKS, nodes)
        records += [*made, work.running(nodes[0], task_ids)]
    store = await SqliteStorage(directory).begin()
    claim = await store.log.claim()
    head = await store.log.append([encode_record(r) for r in records], expected=claim.head.position, epoch=claim.epoch)
    while work.position < count:
        bodies = [encode_record(work.label(nodes[i % 100], i)) for i in range(min(BATCH, count - work.position))]
        head = await store.log.append(bodies, expected=head.position, epoch=claim.epoch)
    await store.aclose()


async def _recover(directory: Path):  # type: ignore[no-untyped-def] # noqa: ANN202 - seconds and a state
    store = await SqliteStorage(directory).latest()
    assert store is not None
    start = time.perf_counter()
    _, state = await recover(store)
    spent = time.perf_counter() - start
    await store.aclose()
    return spent, state


async def _checkpoint(directory: Path) -> None:
    """Leave a checkpoint as a crash does: some records before the end."""
    store = await SqliteStorage(directory).latest()
    assert store is not None
    claim, state = await recover(store)
    await store.checkpoints.save(Checkpoint(claim.head.position, claim.head.digest, FOLD_VERSION, encode_state(state)))
    await store.anchor(claim.head)
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(main())
