"""The running engine in a test: opened over memory, and looked at when the block ends.

    async with engine_test(nodes=3) as cluster:
        await cluster.services.create(service_spec("web", "demo", replicas=3))
        await cluster.converged("web")

Run it in virtual time (`skep.testing.virtual`), where an hour takes milliseconds.
"""
# A kit for tests is made of asserts:
# ruff: noqa: S101

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from skep.core.codec import encode_state
from skep.core.invariants import check
from skep.history.verify import verify
from skep.model.ids import Position
from skep.runtime.cluster import Cluster
from skep.runtime.memory import MemoryStorage
from skep.runtime.recovery import state_at
from skep.runtime.simulated import Behaviour, Behaviours, SimulatedExecutor
from skep.testing.sources import SeededIds
from skep.testing.virtual import VirtualClock

STEADY = Behaviour()


@asynccontextmanager
async def engine_test(
    *, storage: MemoryStorage | None = None, nodes: int = 1, behaviours: Behaviours = STEADY, seed: int = 0
) -> AsyncIterator[Cluster]:
    """Open a cluster over `storage`, and after the block expect that its log is whole and says what its memory says."""
    storage = storage or MemoryStorage()
    clock = VirtualClock()
    if await storage.latest() is not None:
        # a second life begins later, and draws other ids
        clock.offset_ns = (await storage.log.head()).position * 10**9
        seed += (await storage.log.head()).position
    async with Cluster.open(
        storage=storage,
        nodes=nodes,
        clock=clock,
        ids=SeededIds(seed),
        executor=lambda _name, _number: SimulatedExecutor(behaviours, clock=clock),
    ) as cluster:
        yield cluster
        if cluster.active:
            await assert_whole(cluster)
    store = await storage.latest()
    assert store is not None
    report = await verify(store)
    assert report.clean, "\n".join(report.problems)


async def assert_whole(cluster: Cluster) -> None:
    """Expect that the engine's memory is what its log says, and whole."""
    engine = cluster.engine
    live, at = await cluster.read(lambda state: (encode_state(state), state.position))
    check(engine.writer.state)
    assert encode_state(await state_at(engine.store.log, None, Position(at))) == live, "the log says something else"
