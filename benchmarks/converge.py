"""A service of 10,000 replicas on 1,000 simulated nodes, over the SQLite log; in seconds.

- create: from the call until all tasks are RUNNING;
- update: a rolling update of all at once (parallelism 0), until all tasks of the new spec are RUNNING;
- loss: 100 nodes fall silent; from the command that says they are down until all tasks are RUNNING elsewhere. The
  silence itself, three heartbeats and a look each second, is not measured: it is what the swarm's spec says.

What is waited for is durable. `held` is the longest time for which one callback held the event loop, `late` how late a
timer was at most, since callbacks that are ready run one after another. CPU is that of the process, SQLite's thread
included. As `skep up` does, what the start made is frozen before anything is measured: the
collector looks at it no more.
"""

import asyncio
import cProfile
import gc
import pstats
import tempfile
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import skep
import structlog
from loop_watch import LoopWatch
from msgspec.structs import replace
from report import Goal, Report, options_of
from skep.core.commands import JoinNodes, ObserveNodes
from skep.core.events import TasksCreated, TasksReported
from skep.core.record import Actor
from skep.model.ids import NodeId, TaskId
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
        async with anyio.create_task_group() as group:
            for number, node_id in enumerate(self.ids):
                group.start_soon(self._run, node_id, number)
            yield self
            group.cancel_scope.cancel()

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


class Running:
    """What runs, by what became durable: seen from outside, so that no index of the state's is needed."""

    def __init__(self) -> None:
        self.tasks: dict[TaskId, None] = {}
        #: tasks made since `begin`; how many of them run, and how many of them and of all are wanted
        self._made: dict[TaskId, None] = {}
        self._made_running = 0
        self._wanted = (0, 0)
        self.reached = asyncio.Event()

    def begin(self, made: int, all_: int) -> None:
        """Wait until `made` tasks run that are made from now on, and `all_` in all."""
        self._made.clear()
        self._made_running = 0
        self._wanted = (made, all_)
        self.reached.clear()

    def lose(self, task_ids: list[TaskId]) -> int:
        """Forget tasks of which nobody will hear any more; return how many of them ran."""
        return sum(self.tasks.pop(task_id, self) is None for task_id in task_ids)

    def note(self, durable: Durable) -> None:
        """Take what became durable."""
        for record in durable.records:
            for event in record.events:
                if isinstance(event, TasksCreated):
                    self._made.update(dict.fromkeys(event.task_ids))
                elif isinstance(event, TasksReported):
                    self._report(event)
        if (self._made_running, len(self.tasks)) == self._wanted:
            self.reached.set()

    def _report(self, event: TasksReported) -> None:
        for task_id, status in zip(event.task_ids, event.statuses, strict=True):
            if status.state is TaskState.RUNNING and task_id not in self.tasks:
                self.tasks[task_id] = None
                self._made_running += task_id in self._made
            elif status.state.terminal and task_id in self.tasks:
                del self.tasks[task_id]
                self._made_running -= task_id in self._made


class Phases:
    """Measures phases, each from a call until so many tasks run as are wanted."""

    def __init__(self, report: Report, cluster: skep.Cluster, watch: LoopWatch, options: Namespace) -> None:
        self._report = report
        self._writer = cluster.engine.writer
        self._watch = watch
        self._options = options
        self.running = Running()
        self._writer.on_durable.append(self.running.note)

    @asynccontextmanager
    async def phase(self, name: str, *, made: int, all_: int, goal: Goal | None = None) -> AsyncIterator[None]:
        """Do what is in the block, and measure until `made` new tasks run, and `all_` in all."""
        gc.collect()
        await asyncio.sleep(0.01)  # what prepares is no part of the first callback
        self._watch.begin()
        first = self._writer.head.position
        self.running.begin(made, all_)
        start, cpu = time.perf_counter(), time.process_time()
        with _profiled(name, on=self._options.profile):
            try:
                async with asyncio.timeout(LIMIT_S):
                    yield
                    await self.running.reached.wait()
            except TimeoutError:
                self._report.add(name, None, "s", goal=goal, note=f"given up after {LIMIT_S:g} s")
                raise
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
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)  # as the daemon does
        with LoopWatch().watching() as watch:
            ticking = asyncio.ensure_future(watch.tick_forever())
            phases = Phases(report, cluster, watch, options)
            await _create_and_update(phases, cluster, replicas, full=options.scale == 1)
            gone = workers.ids[:lost]
            workers.lose(gone)
            await asyncio.sleep(1)
            silent = await cluster.read(lambda state: [task.id for i in gone for task in state.tasks_on(i)])
            silent = phases.running.lose(silent)
            async with phases.phase(f"loss of {lost}", made=silent, all_=replicas):
                down = ObserveNodes(tuple(gone), NodeState.DOWN, "heartbeat failure")
                await cluster.engine.writer.submit(down, actor=Actor("clock", "liveness"))
            ticking.cancel()


async def _create_and_update(phases: Phases, cluster: skep.Cluster, replicas: int, *, full: bool) -> None:
    # no monitor and no delay: how long to wait is the user's wish, and no work
    all_at_once = UpdateConfig(parallelism=0, monitor=1, failure_action="continue")
    restart = RestartPolicy(condition="any", delay=0)
    spec = skep.service_spec("web", "demo", replicas=replicas, update=all_at_once, restart=restart)
    goal = Goal(0.8) if full else None
    async with phases.phase(f"create {replicas:,}", made=replicas, all_=replicas, goal=goal):
        await cluster.services.create(spec)
    service = await cluster.services.get("web")
    container = replace(spec.task_template.container_spec, args=("2",))
    spec = replace(service.spec, task_template=replace(service.spec.task_template, container_spec=container))
    async with phases.phase(f"update {replicas:,}", made=replicas, all_=replicas):
        await cluster.services.update(service.id, service.version, spec)


async def _ready(cluster: skep.Cluster, count: int) -> None:
    while True:
        ready = await cluster.read(lambda s: sum(n.status.state is NodeState.READY for n in s.nodes.values()))
        if ready == count:
            return
        await asyncio.sleep(0.1)


@contextmanager
def _profiled(name: str, *, on: bool) -> Iterator[None]:
    if not on:
        yield
        return
    profile = cProfile.Profile()
    try:
        with profile:
            yield
    finally:
        print(name)
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    asyncio.run(main())
