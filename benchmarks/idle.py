"""What 1,000 idle agents cost: the share of one core that the process takes, over the SQLite log.

Each agent is a node of this process, with a simulated executor and nothing to run. It sends a heartbeat every 5 s, the
swarm's default. Nothing goes over a wire, so that SwarmKit's 7 % is no peer of it.
"""

import asyncio
import gc
import tempfile
import time
from pathlib import Path

import skep
import structlog
from report import Goal, Report, arguments
from skep.model.states import NodeState
from skep_adapters.sqlite.storage import SqliteStorage

AGENTS = 1_000

#: Two periods of heartbeats.
MEASURED_S = 10.0

#: Until what the start left behind is done.
SETTLE_S = 2.0


async def main() -> None:
    """Measure and print."""
    options = arguments("idle", __doc__)
    report = Report("idle")
    agents = int(AGENTS * options.scale)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory() as folder:
        storage = SqliteStorage(Path(folder) / "skep")
        start = time.perf_counter()
        async with skep.Cluster.open(storage=storage, nodes=agents) as cluster:
            while sum(node.status.state is NodeState.READY for node in await cluster.nodes.list()) < agents:  # noqa: ASYNC110 - the API tells of no such event
                await asyncio.sleep(0.05)
            report.add(f"{agents:,} agents registered", time.perf_counter() - start, "s")
            gc.collect()
            gc.freeze()
            await asyncio.sleep(SETTLE_S)
            start, cpu = time.perf_counter(), time.process_time()
            await asyncio.sleep(MEASURED_S)
            share = (time.process_time() - cpu) / (time.perf_counter() - start)
            report.add(f"{agents:,} agents idle", share * 100, "% of a core", goal=Goal(10))
    report.show(options)


if __name__ == "__main__":
    asyncio.run(main())
