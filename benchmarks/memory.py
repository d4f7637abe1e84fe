"""Memory of the state for a live task: bytes by the growth of the process, divided by the tasks.

Each case is a process of its own: it folds what makes nodes and services, and measures what tasks add that are created,
assigned and reported RUNNING. `one` is one service with all tasks, `ten` services of ten replicas each. Every record
goes through the codec, so that the state is one that was recovered from a log: what stands in several records is in
memory as often as that.

- simulated: a status with a state, an instant and a message;
- docker: the same with a container id of 64 digits and a process id, as a Docker worker reports it.

Agents, sessions and what they keep of a task are not in it.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from report import SEED, Goal, Report, options_of
from skep.core.codec import decode_record, encode_record
from skep.core.events import ROWS_MAX, ServiceCreated, TasksAssigned, TasksCreated, TasksReported
from skep.core.fold import fold
from skep.core.record import Record
from skep.core.rules.stored import stored
from skep.core.state import ClusterState
from skep.model.build import service_spec
from skep.model.ids import Instant, NodeId, Position, ServiceId, TaskId
from skep.model.states import MESSAGES, TaskState
from skep.model.task import ContainerStatus, TaskStatus
from workload import Workload

NODES = 1_000
SIZES = (100_000, 1_000_000)
SHAPES = {"one": 0, "ten": 10}
GOALS = {"simulated": 600, "docker": 1_000}

#: Tracing every allocation takes as much memory again, and five times as long.
TRACED_MAX = 100_000

#: Rows of one node's report: what an agent sends at once on a busy node.
REPORT_ROWS = 100


def main() -> None:
    """Measure and print."""
    parser = options_of("memory", __doc__)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        shape, status, tasks, how = options.case.split("/")
        print(json.dumps(_measure(SHAPES[shape], status, int(tasks), traced=how == "traced")))
        return
    report = Report("memory")
    for full in SIZES:
        tasks = int(full * options.scale)
        for status, goal in GOALS.items():
            for shape in SHAPES:
                grown = _apart(f"{shape}/{status}/{tasks}/rss")
                traced = f"{_apart(f'{shape}/{status}/{tasks}/traced'):.0f} traced" if tasks <= TRACED_MAX else ""
                report.add(f"{status}, {shape}/{tasks:,}", grown, "bytes a task", goal=Goal(goal), note=traced)
    report.show(options)


def _apart(case: str) -> float:
    """Return the bytes a task of one case, measured in a fresh process."""
    command = [sys.executable, __file__, "--case", case]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - it is this very file
    return float(json.loads(done.stdout))


def _measure(replicas: int, status: str, tasks: int, *, traced: bool) -> float:
    """Return the bytes a task in this process."""
    work = Workload(SEED)
    state = ClusterState()
    nodes, records = work.nodes(NODES)
    for record in records:
        _fold(state, record)
    warm = ClusterState()  # what is made once, by the first record of each kind, belongs to no task
    _fold_tasks(work, warm, nodes, "warm", 10, status)
    del warm
    gc.collect()
    if traced:
        tracemalloc.start()
    used: Callable[[], int] = _traced if traced else _resident
    before = used()
    for number in range(tasks // (replicas or tasks)):
        _fold_tasks(work, state, nodes, f"web{number}", replicas or tasks, status)
    gc.collect()
    grown = used() - before
    assert len(state.tasks) == tasks
    assert sum(of.running for of in state.service_tasks.values()) == tasks
    return grown / tasks


def _fold_tasks(work: Workload, state: ClusterState, nodes: list[NodeId], name: str, tasks: int, status: str) -> None:
    """Make a service, and its tasks run on nodes in turn."""
    service_id = ServiceId(work.new_id())
    _fold(state, work.record(ServiceCreated(service_id, stored(service_spec(name, "demo", replicas=tasks)))))
    spec_version = Position(work.position)
    for first in range(0, tasks, ROWS_MAX):
        count = min(ROWS_MAX, tasks - first)
        ids = tuple(TaskId(work.new_id()) for _ in range(count))
        slots = tuple(range(first + 1, first + count + 1))
        _fold(state, work.record(TasksCreated(service_id, spec_version, ids, slots=slots)))
        # reports are of one node each: rows of a node stand together
        at = len(state.tasks) // REPORT_ROWS
        node_ids = tuple(nodes[(at + i // REPORT_ROWS) % len(nodes)] for i in range(count))
        _fold(state, work.record(TasksAssigned(ids, node_ids)))
        for row in range(0, count, REPORT_ROWS):
            statuses = tuple(_status(work, status, task_id) for task_id in ids[row : row + REPORT_ROWS])
            _fold(state, work.record(TasksReported(node_ids[row], ids[row : row + REPORT_ROWS], statuses)))


def _status(work: Workload, status: str, task_id: TaskId) -> TaskStatus:
    work.time += 1000
    container = None
    if status == "docker":
        container = ContainerStatus(sha256(task_id.encode()).hexdigest(), pid=1_000 + work.time % 1_000_000)
    return TaskStatus(TaskState.RUNNING, Instant(work.time), MESSAGES[TaskState.RUNNING], container=container)


def _fold(state: ClusterState, made: Record) -> None:
    record = decode_record(encode_record(made))
    fold(state, record.position, record.time, record.command_id, record.events)
    state.take_touched()


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _traced() -> int:
    return tracemalloc.get_traced_memory()[0]


if __name__ == "__main__":
    main()
