"""The scheduler: from tasks that wait for a node until all are assigned, decided and folded; in seconds.

The plan is run as the writer runs it, again and again until it is content. Records are made, and not stored. `longest`
is the longest single call, for which an event loop would be held.

- distinct: each task is of a service of its own, the worst case, and the shape of SwarmKit's benchmark;
- one-service: all tasks are of one service;
- third: as distinct, with a constraint that a third of the nodes fit.
"""

import cProfile
import gc
import pstats
import signal
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct
from msgspec.structs import replace
from report import SEED, Goal, Report, median, options_of
from skep.core.events import NodesJoined, NodesObserved, ServiceCreated, TasksCreated
from skep.core.fold import fold
from skep.core.rules.stored import stored
from skep.core.state import ClusterState
from skep.core.transaction import run_plan
from skep.model.build import service_spec
from skep.model.ids import Instant, NodeId, Position, ServiceId, TaskId
from skep.model.node import NodeDescription, NodeSpec
from skep.model.service import Placement, ServiceSpec
from skep.model.states import Availability, NodeState, Role
from skep.runtime.sources import RandomIds

BEGIN = 1_700_000_000_000_000_000
ZONES = 3

#: Seconds after which a case is given up.
LIMIT_S = 30.0


class Size(Struct, frozen=True):
    """How many tasks on how many nodes; what is wanted of it, and SwarmKit's seconds for the distinct shape."""

    tasks: int
    nodes: int
    goal_s: float
    swarmkit_s: float | None
    runs: int

    @property
    def name(self) -> str:
        """Its part of a case's name."""
        return f"{self.tasks:,}x{self.nodes:,}"


SIZES = (
    Size(1_000, 1_000, 0.01, 0.17, 7),
    Size(10_000, 1_000, 0.05, 1.3, 5),
    Size(100_000, 1_000, 0.3, 15.7, 3),
    Size(100_000, 100_000, 0.6, None, 3),
    Size(1_000_000, 100_000, 8.0, None, 1),
)
SHAPES = ("distinct", "one-service", "third")

#: Tasks of the size that takes minutes to set up for every shape: by default one shape of it is measured.
LARGEST = SIZES[-1].tasks


def main() -> None:
    """Measure and print."""
    parser = options_of("schedule", __doc__)
    parser.add_argument("--full", action="store_true", help="the largest size in every shape, not only in the first")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--profile", action="store_true", help="print where the time goes; figures are worthless then")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds after which a case is given up")
    options = parser.parse_args()
    report = Report("schedule")
    for size in SIZES:
        for shape in SHAPES:
            if size.tasks == LARGEST and shape != SHAPES[0] and not (options.full or options.only):
                continue
            if options.only in f"{shape}/{size.name}":
                _measure(report, shape, size, options)
    report.show(options)


def _measure(report: Report, shape: str, size: Size, options: Namespace) -> None:
    tasks, nodes = max(1, int(size.tasks * options.scale)), max(ZONES, int(size.nodes * options.scale))
    name = f"{shape}/{tasks:,}x{nodes:,}"
    goal = Goal(size.goal_s) if options.scale == 1 else None
    swarmkit = size.swarmkit_s if options.scale == 1 and shape == "distinct" else None
    totals, longests, cpus = [], [], []
    for _ in range(size.runs):
        state = waiting(shape, tasks, nodes)
        gc.collect()
        gc.freeze()
        try:
            with _given_up_after(options.limit), _profiled(name, on=options.profile):
                cpu = time.process_time()
                spent = schedule(state)
                cpus.append(time.process_time() - cpu)
        except TimeoutError:
            report.add(name, None, "s", goal=goal, swarmkit=swarmkit, note=f"given up after {options.limit:g} s")
            return
        finally:
            gc.unfreeze()
        _check(state, shape, nodes)
        totals.append(sum(spent))
        longests.append(max(spent))
        del state
    report.add(
        name, median(totals), "s", goal=goal, swarmkit=swarmkit, note=f"CPU {median(cpus):.3g} s; median of {size.runs}"
    )
    report.add(f"{name} longest", median(longests) * 1e3, "ms", goal=Goal(50), note=f"of {len(spent)} calls")


def schedule(state: ClusterState) -> list[float]:
    """Place all that waits; return the seconds of each call of the plan."""
    ids, spent = RandomIds(), []
    more = True
    while more:
        start = time.perf_counter()
        _, record = run_plan(state, "placement", "", Instant(state.time + 1), ids)
        state.take_touched()
        spent.append(time.perf_counter() - start)
        more = record is not None
    return spent


def waiting(shape: str, tasks: int, nodes: int) -> ClusterState:
    """Return a state in which `tasks` wait for one of `nodes`. Ids are counted, to be quick."""
    state = ClusterState()
    gc.disable()
    _join(state, nodes)
    if shape == "one-service":
        service_id = ServiceId(f"s{SEED:024}")
        _fold(state, ServiceCreated(service_id, stored(service_spec("web", "demo", replicas=tasks))))
        ids = tuple(TaskId(f"t{i:024}") for i in range(tasks))
        _fold(state, TasksCreated(service_id, state.position, ids, slots=tuple(range(1, tasks + 1))))
    else:
        spec = stored(service_spec("web", "demo"))
        if shape == "third":
            spec = _constrained(spec, "node.labels.zone == z0")
        for i in range(tasks):
            service_id = ServiceId(f"s{i:024}")
            _fold(state, ServiceCreated(service_id, replace(spec, name=f"web{i}")))
            _fold(state, TasksCreated(service_id, state.position, (TaskId(f"t{i:024}"),), slots=(1,)))
    gc.enable()
    return state


def _join(state: ClusterState, nodes: int) -> None:
    ids = tuple(NodeId(f"n{i:024}") for i in range(nodes))
    specs = [
        NodeSpec(labels={"zone": f"z{zone}"}, role=Role.WORKER, availability=Availability.ACTIVE)
        for zone in range(ZONES)
    ]
    joined = NodesJoined(
        ids,
        tuple(specs[i % ZONES] for i in range(nodes)),
        tuple(NodeDescription(hostname=f"node{i}") for i in range(nodes)),
        ("10.0.0.1",) * nodes,
        (None,) * nodes,
    )
    _fold(state, joined)
    _fold(state, NodesObserved(ids, NodeState.READY))


def _fold(state: ClusterState, event: ServiceCreated | TasksCreated | NodesJoined | NodesObserved) -> None:
    position = Position(state.position + 1)
    fold(state, position, Instant(BEGIN + position * 1_000_000), "", (event,))
    state.take_touched()


def _constrained(spec: ServiceSpec, constraint: str) -> ServiceSpec:
    template = spec.task_template
    return replace(spec, task_template=replace(template, placement=Placement(constraints=(constraint,))))


def _check(state: ClusterState, shape: str, nodes: int) -> None:
    """See that all are placed, and evenly."""
    assert not state.pending
    assert all(task.node_id for task in state.tasks.values())
    fitting = [i for number, i in enumerate(state.nodes) if shape != "third" or number % ZONES == 0]
    loads = [of.active if (of := state.node_tasks.get(node_id)) else 0 for node_id in fitting]
    assert sum(loads) == len(state.tasks)
    assert max(loads) - min(loads) <= 1, (shape, nodes)


@contextmanager
def _given_up_after(seconds: float) -> Iterator[None]:
    """Raise `TimeoutError` in the midst of whatever runs then."""

    def stop(*_: object) -> None:
        raise TimeoutError

    former = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


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
        pstats.Stats(profile).sort_stats("tottime").print_stats(14)


if __name__ == "__main__":
    main()
