"""A service of 10,000 replicas on 1,000 simulated nodes, over the SQLite log; in seconds.

- create: from the call until all tasks are RUNNING;
- update: a rolling update of all at once (parallelism 0), until all tasks of the new spec are RUNNING;
- loss: 100 nodes fall silent; from the command that says they are down until all tasks are RUNNING elsewhere. The
  silence itself, three heartbeats and a look each second, is not measured: it is what the swarm's spec says.

What is waited for is durable. `held` is the longest time for which one callback held the event loop, `late` how late a
timer was at most, since callbacks that are ready run one after another. CPU is that of the process, SQLite's thread
included.
"""

import asyncio
import cProfile
import gc
import pstats
import tempfile
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import skep
import structlog
from loop_watch import LoopWatch
from msgspec.structs import replace
from report import Goal, Report, options_of
from skep.core.commands import JoinNodes, ObserveNodes
from skep.core.record import Actor
from skep.core.state import ClusterState
from skep.model.ids import NodeId, ServiceId
from skep.model.node import NodeDescription, NodeSpec
from skep.model.service import RestartPolicy, UpdateConfig
from skep.model.states import Availability, NodeState, Role, TaskState
from skep.runtime.agent import Agent
from skep.runtime.memory_lines import MemoryLineStore
from skep.runtime.simulated import SimulatedExecutor
from skep.runtime.turn import Durable
from skep_adapters.sqlite.storage import SqliteStorage

REPLICAS = 10_000
NODES = 1_000
LOST = 100

#: A phase that takes longer is given up.
LIMIT_S = 120.0

#: Nodes that join in one command: a record has a limit.
JOIN_MAX = 500


class Workers:
    """Agents with simulated executors that can be lost one by one; run as the engine runs those of its own process."""

    def __init__(self, cluster: skep.Cluster) -> None:
        self._cluster = cluster
        self._lines = MemoryLineStore()
        self._scopes: dict[NodeId, anyio.CancelScope] = {}
        self.ids: list[NodeId] = []

    @asynccontextmanager
    async def running(self, count: int) -> AsyncIterator["Workers"]:
        """Join `count` nodes, and run their agents."""
        self.ids = [NodeId(self._cluster.ids.new()) for _ in range(count)]
        spec = NodeSpec(labels={}, role=Role.WORKER, availability=Availability.ACTIVE)
        for first in range(0, count, JOIN_MAX):
            ids = self.ids[first : first + JOIN_MAX]
            names = tuple(NodeDescription(hostname=f"worker{first + i}") for i in range(len(ids)))
            columns = ((spec,) * len(ids), names, ("127.0.0.1",) * len(ids), (None,) * len(ids))
            await self._cluster.engine.writer.submit(JoinNodes(tuple(ids), *columns), actor=Actor("engine"))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._run(node_id, number)) for number, node_id in enumerate(self.ids)]
            yield self
            for task in tasks:
                task.cancel()

    def lose(self, node_ids: list[NodeId]) -> None:
        """Let nodes fall silent."""
        for node_id in node_ids:
            self._scopes[node_id].cancel()

    async def _run(self, node_id: NodeId, number: int) -> None:
        engine = self._cluster.engine
        agent = Agent(
            engine.dispatcher.link(node_id),
            SimulatedExecutor(clock=engine.clock),
            self._lines,
            node_id=node_id,
            hostname=f"worker{number}",
            addr="127.0.0.1",
            clock=engine.clock,
        )
        with anyio.CancelScope() as self._scopes[node_id]:
            await agent.run()


class Phases:
    """Measures phases, each from a call until the durable state is as wanted."""

    def __init__(self, report: Report, cluster: skep.Cluster, watch: LoopWatch, options: Namespace) -> None:
        self._report = report
        self._writer = cluster.engine.writer
        self._watch = watch
        self._options = options

    @asynccontextmanager
    async def phase(
        self, name: str, done: Callable[[ClusterState], bool], *, goal: Goal | None = None
    ) -> AsyncIterator[None]:
        """Do what is in the block, and measure until `done`, which is asked whenever something became durable."""
        reached = asyncio.Event()

        def ask(_: Durable) -> None:
            if not reached.is_set() and done(self._writer.state):
                reached.set()

        gc.collect()
        await asyncio.sleep(0.01)  # what prepares is no part of the first callback
        self._watch.begin()
        first = self._writer.head.position
        self._writer.on_durable.append(ask)
        start, cpu = time.perf_counter(), time.process_time()
        with _profiled(name, on=self._options.profile):
            try:
                async with asyncio.timeout(LIMIT_S):
                    yield
                    await reached.wait()
            except TimeoutError:
                self._report.add(name, None, "s", goal=goal, note=f"given up after {LIMIT_S:g} s")
                raise
            finally:
                self._writer.on_durable.remove(ask)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        records = self._writer.head.position - first
        self._report.add(name, wall, "s", goal=goal, note=f"{records:,} records")
        collections = f"collections {self._watch.collections_s:.2f} s" if self._watch.collections_s > 0.01 else ""
        self._report.add(f"{name} CPU", cpu, "s", note=collections)
        self._report.add(f"{name} held", self._watch.longest_s * 1e3, "ms", goal=Goal(50), note=self._watch.told)
        self._report.add(f"{name} late", self._watch.late_s * 1e3, "ms")


async def main() -> None:
    """Measure and print."""
    parser = options_of("converge", __doc__)
    parser.add_argument("--profile", action="store_true", help="print where the time goes; figures are worthless then")
    options = parser.parse_args()
    report = Report("converge")
    # what agents log of their sessions is no part of this
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory() as folder:
        storage = SqliteStorage(Path(folder) / "skep")
        async with skep.Cluster.open(storage=storage, init=False) as cluster:
            await cluster.swarm.init(availability="drain")
            try:
                await _phases(report, cluster, options)
            except* TimeoutError:
                pass
    report.show(options)


async def _phases(report: Report, cluster: skep.Cluster, options: Namespace) -> None:
    replicas, nodes = int(REPLICAS * options.scale), int(NODES * options.scale)
    lost = max(1, int(LOST * options.scale))
    async with Workers(cluster).running(nodes) as workers:
        await _ready(cluster, nodes + 1)
        with LoopWatch().watching() as watch:
            ticking = asyncio.ensure_future(watch.tick_forever())
            phases = Phases(report, cluster, watch, options)
            await _create_and_update(phases, cluster, replicas, full=options.scale == 1)
            gone = dict.fromkeys(workers.ids[:lost])
            workers.lose(list(gone))
            await asyncio.sleep(1)
            async with phases.phase(f"loss of {lost}", lambda state: _run_elsewhere(state, replicas, gone)):
                down = ObserveNodes(tuple(gone), NodeState.DOWN, "heartbeat failure")
                await cluster.engine.writer.submit(down, actor=Actor("clock", "liveness"))
            ticking.cancel()


async def _create_and_update(phases: Phases, cluster: skep.Cluster, replicas: int, *, full: bool) -> None:
    # no monitor and no delay: how long to wait is the user's wish, and no work
    all_at_once = UpdateConfig(parallelism=0, monitor=1, failure_action="continue")
    restart = RestartPolicy(condition="any", delay=0)
    spec = skep.service_spec("web", "demo", replicas=replicas, update=all_at_once, restart=restart)
    goal = Goal(0.8) if full else None
    async with phases.phase(f"create {replicas:,}", lambda state: _all_run(state, replicas), goal=goal):
        await cluster.services.create(spec)
    service = await cluster.services.get("web")
    container = replace(spec.task_template.container_spec, args=("2",))
    spec = replace(service.spec, task_template=replace(service.spec.task_template, container_spec=container))
    # 20 s is the goal over the worker protocol; it holds here, too
    goal = Goal(20) if full else None
    async with phases.phase(f"update {replicas:,}", lambda state: _all_new(state, replicas), goal=goal):
        await cluster.services.update(service.id, service.version, spec)


async def _ready(cluster: skep.Cluster, count: int) -> None:
    while True:
        ready = await cluster.read(lambda s: sum(n.status.state is NodeState.READY for n in s.nodes.values()))
        if ready == count:
            return
        await asyncio.sleep(0.1)


def _all_run(state: ClusterState, replicas: int) -> bool:
    return any(of.running == replicas for of in state.service_tasks.values())


def _all_new(state: ClusterState, replicas: int) -> bool:
    """Whether all wanted tasks are of the present spec and run, and the former ones have stopped."""
    for service_id, of in state.service_tasks.items():
        if of.running != replicas or len(of.wanted) != replicas:
            return False
        if list(of.wanted_by_spec) != [state.services[service_id].spec_version]:
            return False
        return all(state.tasks[i].state is TaskState.RUNNING for i in of.wanted)
    return False


def _run_elsewhere(state: ClusterState, replicas: int, gone: dict[NodeId, None]) -> bool:
    service_id: ServiceId = next(iter(state.service_tasks))
    wanted = state.service_tasks[service_id].wanted
    # the newest first: they are the last to run, so that this is cheap while it is not so
    return len(wanted) == replicas and all(
        state.tasks[i].state is TaskState.RUNNING and state.tasks[i].node_id not in gone for i in reversed(wanted)
    )


@contextmanager
def _profiled(name: str, *, on: bool) -> Iterator[None]:
    if not on:
        yield
        return
    profile = cProfile.Profile()
    with profile:
        yield
    print(name)
    pstats.Stats(profile).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    asyncio.run(main())
