"""Replay: read plural events from the SQLite log, decode and fold them; in task transitions per second."""

import asyncio
import gc
import tempfile
import time
from pathlib import Path

from report import SEED, Goal, Report, arguments, median
from skep.core.codec import decode_record, encode_record
from skep.core.fold import fold
from skep.core.state import ClusterState
from skep.model.ids import START
from skep_adapters.sqlite.storage import SqliteStorage
from workload import Workload

ROUNDS = 3
TASKS = 5000
SERVICES = 67  # 67 services x 5,000 tasks x 3 transitions: a million


async def main() -> None:
    """Measure and print."""
    options = arguments("replay", __doc__)
    report = Report("replay")
    work = Workload(SEED)
    nodes, records = work.nodes(1000)
    services = max(1, int(SERVICES * options.scale))
    for number in range(services):
        _, task_ids, made = work.service(f"s{number}", TASKS, nodes)
        records += made
        records.append(work.running(nodes[0], task_ids))
    transitions = services * TASKS * 3
    with tempfile.TemporaryDirectory() as folder:
        storage = SqliteStorage(Path(folder) / "skep")
        store = await storage.begin()
        claim = await store.log.claim()
        head = claim.head
        for record in records:
            head = await store.log.append([encode_record(record)], expected=head.position, epoch=claim.epoch)
        reads, decodes, folds, wholes = [], [], [], []
        for _ in range(ROUNDS):
            gc.collect()
            gc.freeze()
            start = time.perf_counter()
            bodies, after = [], START
            while batch := await store.log.read(after, limit=100):
                bodies += [r.body for r in batch]
                after = batch[-1].position
            read = time.perf_counter()
            decoded = [decode_record(body) for body in bodies]
            decode = time.perf_counter()
            state = ClusterState()
            for record in decoded:
                fold(state, record.position, record.time, record.command_id, record.events)
                state.take_touched()
            end = time.perf_counter()
            assert len(state.tasks) == services * TASKS
            reads.append(transitions / (read - start))
            decodes.append(transitions / (decode - read))
            folds.append(transitions / (end - decode))
            wholes.append(transitions / (end - start))
            del state, decoded, bodies
        report.add("replay: read", median(reads), "transitions/s")
        report.add("replay: decode", median(decodes), "transitions/s")
        report.add("replay: fold", median(folds), "transitions/s")
        goal = Goal(1_000_000, at_least=True)
        report.add("replay: read + decode + fold", median(wholes), "transitions/s", goal=goal)
        await store.aclose()
    report.show(options)


if __name__ == "__main__":
    asyncio.run(main())
