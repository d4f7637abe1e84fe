"""Make a new golden history: `python tests/histories/record.py NAME`. One that exists is never written again.

The running engine plays `story.py` over memory, in virtual time.
"""

import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from skep import Cluster
from skep.model.ids import START
from skep.runtime.memory import MemoryStorage
from skep.runtime.simulated import SimulatedExecutor
from skep.testing.sources import SeededIds
from skep.testing.virtual import VirtualClock, run_virtual
from story import LIVES, behaviour, described

HERE = Path(__file__).parent


def cluster_over(
    storage: MemoryStorage, clock: VirtualClock, seed: int, nodes: tuple[str, ...]
) -> AbstractAsyncContextManager[Cluster]:
    """Open a life."""
    return Cluster.open(
        storage=storage,
        nodes=nodes,
        clock=clock,
        ids=SeededIds(seed),
        executor=lambda _, number: SimulatedExecutor(behaviour, clock=clock, description=described(number)),
    )


async def recorded() -> bytes:
    """Play the story, and return what the log holds, a record a line."""
    storage, clock = MemoryStorage(), VirtualClock()
    for seed, (live, nodes) in enumerate(LIVES, 1):
        async with cluster_over(storage, clock, seed, nodes) as cluster:
            await live(cluster)
    store = await storage.latest()
    if store is None:
        raise RuntimeError("there is no log")
    records = await store.log.read(START, limit=10_000)
    return b"".join(record.body + b"\n" for record in records)


if __name__ == "__main__":
    target = HERE / f"{sys.argv[1]}.jsonl"
    if target.exists():
        sys.exit(f"{target} exists, and is never written again")
    target.write_bytes(run_virtual(recorded()))
