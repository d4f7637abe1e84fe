"""How the events of tasks change the state. These are the hot ones: a row costs about a microsecond."""

from collections.abc import Iterable

from msgspec.structs import replace

from skep.core import address_index, node_index, seat_index, task_index
from skep.core.events import (
    TasksAdopted,
    TasksAllocated,
    TasksAssigned,
    TasksCreated,
    TasksDesired,
    TasksEvicted,
    TasksHeld,
    TasksReaped,
    TasksReported,
)
from skep.core.fold_network import move_cursors
from skep.core.holdings import NOTHING_GIVEN
from skep.core.indexes import NodeTasks
from skep.core.nothing import NOTHING
from skep.core.policy import restarts_of
from skep.core.progress import UpdateProgress
from skep.core.state import ClusterState
from skep.model.ids import EPOCH, NO_NODE, NO_SLOT, NO_TASK, NodeId, ServiceId, TaskId
from skep.model.states import MESSAGES, TaskState
from skep.model.task import Given, Task, TaskOrigin, TaskStatus

RUNNING = TaskState.RUNNING

#: States in which a task that is wanted ended by itself: "failure or early termination".
FAILURES = frozenset({TaskState.COMPLETE, TaskState.FAILED, TaskState.REJECTED})

#: What the status of a task says that the scheduler left where it was born, and of one that may not stay (recorded).
CONFIRMED = "scheduler confirmed task can run on preassigned node"
EVICTED = "task rejected by constraint enforcer"

#: What one says whose node was down for too long; skep's own.
ABANDONED = "Task belonged to a node that was down for a day"


def tasks_created(state: ClusterState, event: TasksCreated) -> None:
    """Begin tasks."""
    rows = len(event.task_ids)
    status = TaskStatus(event.state, state.time, MESSAGES[event.state])
    service_id, spec_version, desired = event.service_id, event.spec_version, event.desired
    position, time, tasks = state.position, state.time, state.tasks
    columns = zip(
        event.task_ids,
        event.slots or (NO_SLOT,) * rows,
        event.node_ids or (NO_NODE,) * rows,
        event.replaces or (NO_TASK,) * rows,
        event.start_at or (EPOCH,) * rows,
        event.attempts or (0,) * rows,
        strict=True,
    )
    created = [
        Task(
            TaskOrigin(task_id, service_id, slot, spec_version, time, position, start_at, replaces, attempt),
            node_id,
            desired,
            status,
            position,
            time,
        )
        for task_id, slot, node_id, replaces, start_at, attempt in columns
    ]
    tasks.update(zip(event.task_ids, created, strict=True))
    if service_id in state.given_up:
        for task in created:
            seat_index.revive(state, service_id, task.seat)
    if event.attempts:
        _note_restarts(state, service_id, created)
    if event.rebalance:
        state.rebalances[service_id].begin_move(state.tasks, event.task_ids[0])
    progress = _progress(state, service_id)
    if progress is not None and state.services[service_id].spec_version == spec_version:
        progress.note_made(created, time)
    if event.state is TaskState.PENDING and desired is TaskState.RUNNING and event.slots and not event.node_ids:
        task_index.add_pending(state, task_index.tasks_of(state, service_id), created)
    else:
        for task in created:
            task_index.add(state, task)


def _note_restarts(state: ClusterState, service_id: ServiceId, created: list[Task]) -> None:
    """Keep when the tasks of a seat were restarted, where its policy counts those within a window of time."""
    policy = restarts_of(state.template_of(created[0]).spec)
    if not (policy.window and policy.attempts):
        return
    seats = state.restarts.setdefault(service_id, {})
    for task in created:
        if task.origin.attempt:
            seats[task.seat] = (*seats.get(task.seat, ()), state.time)[-policy.attempts :]
        else:
            seats.pop(task.seat, None)
    if not seats:
        del state.restarts[service_id]


def _progress(state: ClusterState, service_id: ServiceId) -> UpdateProgress | None:
    return state.updates.get(service_id) if state.updates else None


def tasks_allocated(state: ClusterState, event: TasksAllocated) -> None:
    """Let tasks wait for a node, with the addresses that they were given."""
    status = TaskStatus(TaskState.PENDING, state.time, MESSAGES[TaskState.PENDING])
    for task_id in event.task_ids:
        task = state.tasks[task_id]
        new = Task(task.origin, task.node_id, task.desired, status, state.position, state.time)
        task_index.await_node(state, new)
    for task_id, addresses in zip(event.task_ids, event.addresses, strict=False):
        if addresses:
            give(state, task_id, Given(addresses=addresses))
            address_index.enter(state, state.tasks[task_id])
    if event.addresses:
        move_cursors(state, [a for addresses in event.addresses for a in addresses])


def tasks_assigned(state: ClusterState, event: TasksAssigned) -> None:
    """Give tasks to nodes; only those that are pending and wanted are ever assigned."""
    status = TaskStatus(TaskState.ASSIGNED, state.time, MESSAGES[TaskState.ASSIGNED])
    position, time, tasks = state.position, state.time, state.tasks
    indexes, pending = state.service_tasks, state.pending
    _keep_promise(state, event)
    by_node: dict[NodeId, dict[TaskId, None]] = {}
    confirmed: list[Task] = []
    demanding: list[Task] = []
    for task_id, node_id in zip(event.task_ids, _as_known(state, event.node_ids), strict=True):
        task = tasks[task_id]
        origin = task.origin
        of = indexes[origin.service_id]
        if len(of.pending) > 1:
            del of.pending[task_id]
        else:
            del pending[origin.service_id]
            of.pending = NOTHING  # a dict keeps the room that it once needed
        if task.node_id:
            confirmed.append(task)
            continue
        new = tasks[task_id] = Task(origin, node_id, task.desired, status, position, time)
        on_node = of.on_node or of.index("on_node")
        on_node[node_id] = on_node.get(node_id, 0) + 1
        mine = by_node.get(node_id)
        if mine is None:
            by_node[node_id] = {origin.id: None}
        else:
            mine[origin.id] = None
        if of.demands:
            demanding.append(new)
    _enter_nodes(state, by_node)
    demanding += _confirm(state, confirmed)
    _take_resources(state, event)
    for task in demanding:
        node_index.hold(state, indexes[task.origin.service_id], task)
    if state.given:
        settled = {task.origin.id: None for task in confirmed}
        for task_id in event.task_ids:
            if task_id in state.given and task_id not in settled:
                address_index.place(state, tasks[task_id])


def _as_known(state: ClusterState, node_ids: tuple[NodeId, ...]) -> Iterable[NodeId]:
    """Return ids as the table of nodes has them: a record that was read has a copy of one in each row, of 80 bytes."""
    nodes = state.nodes
    first = nodes.get(node_ids[0])
    if first is None or first.id is node_ids[0]:
        return node_ids  # it was made here
    known = {node_id: nodes[node_id].id for node_id in node_ids if node_id in nodes}
    return (known.get(node_id, node_id) for node_id in node_ids)


def _enter_nodes(state: ClusterState, by_node: dict[NodeId, dict[TaskId, None]]) -> None:
    nodes, assignments = state.node_tasks, state.touched.assignments
    for node_id, task_ids in by_node.items():
        node = nodes.get(node_id)
        if node is None:
            node = nodes[node_id] = NodeTasks()
        node.all |= task_ids
        node.active += len(task_ids)
        assignments[node_id] = assignments[node_id] | task_ids if node_id in assignments else task_ids


def _confirm(state: ClusterState, tasks: list[Task]) -> list[Task]:
    """Let tasks stay on the nodes that they were born with, which count them since then; return those that hold any."""
    status = TaskStatus(TaskState.ASSIGNED, state.time, CONFIRMED)
    demanding = []
    for task in tasks:
        origin = task.origin
        new = Task(origin, task.node_id, task.desired, status, state.position, state.time)
        state.tasks[origin.id] = new
        state.touched.assignments.setdefault(task.node_id, {})[origin.id] = None
        if state.service_tasks[origin.service_id].demands:
            demanding.append(new)
    return demanding


def _keep_promise(state: ClusterState, event: TasksAssigned) -> None:
    """Let the scheduler's memory live on only if it has just what it reckons with."""
    shifts = state.shifts
    if shifts.promised != (event.task_ids, event.node_ids):
        shifts.memo = None
    shifts.promised = None


def _take_resources(state: ClusterState, event: TasksAssigned) -> None:
    for task_id, resources in zip(event.task_ids, event.resources, strict=False):
        if resources:
            had = state.given.get(task_id, NOTHING_GIVEN)
            give(state, task_id, Given(addresses=had.addresses, resources=resources))


def tasks_held(state: ClusterState, event: TasksHeld) -> None:
    """Note why tasks wait; they stay as they are."""
    for task_id, reason in zip(event.task_ids, event.reasons, strict=True):
        task = state.tasks[task_id]
        status = TaskStatus(task.status.state, state.time, task.status.message, reason)
        state.tasks[task_id] = Task(task.origin, task.node_id, task.desired, status, state.position, state.time)


def tasks_desired(state: ClusterState, event: TasksDesired) -> None:
    """Want tasks in another state."""
    desired, tasks, assignments = event.desired, state.tasks, state.touched.assignments
    for task_id in event.task_ids:
        task = tasks[task_id]
        new = Task(task.origin, task.node_id, desired, task.status, state.position, state.time)
        task_index.swap(state, task, new)
        if new.node_id:
            assignments.setdefault(new.node_id, {})[task_id] = None
        seat_index.judge_given_up(state, task, new)
        if not new.wanted and (progress := _progress(state, task.service_id)) is not None:
            progress.note_unwanted(task_id)


def tasks_reported(state: ClusterState, event: TasksReported) -> None:
    """Take what an agent observed."""
    tasks, position, time = state.tasks, state.position, state.time
    service_id, of, progress = None, None, None
    for task_id, status in zip(event.task_ids, event.statuses, strict=True):
        task = tasks[task_id]
        origin = task.origin
        new = Task(origin, task.node_id, task.desired, status, position, time)
        if of is None or service_id != origin.service_id:
            service_id = origin.service_id
            of, progress = state.service_tasks[service_id], _progress(state, service_id)
        if status.state > RUNNING:
            task_index.swap(state, task, new)
            node_index.note_failure(state, new)
            if progress is not None and task.wanted:
                _note_end(state, progress, new)
            continue
        # it lives: nothing that an index asks changed, but whether it runs
        tasks[task_id] = new
        if status.state is RUNNING and task.status.state is not RUNNING:
            task_index.runs(state, of, new)
            if progress is not None:
                progress.note_running(task_id, time)


def _note_end(state: ClusterState, progress: UpdateProgress, task: Task) -> None:
    present = state.services[task.service_id].spec_version == task.origin.spec_version
    if present and task.status.state in FAILURES:
        progress.note_ended(task, state.time)
    else:
        progress.note_unwanted(task.origin.id)


def tasks_evicted(state: ClusterState, event: TasksEvicted) -> None:
    """Reject tasks where they are, with what is known of their containers; their agents are told to stop them later."""
    orphaned = TaskStatus(TaskState.ORPHANED, state.time, ABANDONED, event.err)
    for task_id in event.task_ids:
        task = state.tasks[task_id]
        known = task.status
        rejected = TaskStatus(TaskState.REJECTED, state.time, EVICTED, event.err, known.container, known.ports)
        status = orphaned if event.orphaned else rejected
        task_index.swap(state, task, Task(task.origin, task.node_id, task.desired, status, state.position, state.time))
        if event.orphaned and task_id in state.given:
            give(state, task_id, Given())
        if (progress := _progress(state, task.service_id)) is not None:
            progress.note_unwanted(task_id)


def tasks_adopted(state: ClusterState, event: TasksAdopted) -> None:
    """Let tasks bear another template."""
    for task_id in event.task_ids:
        task = state.tasks[task_id]
        origin = replace(task.origin, spec_version=event.spec_version)
        task_index.adopt(state, task, Task(origin, task.node_id, task.desired, task.status, state.position, state.time))


def tasks_reaped(state: ClusterState, event: TasksReaped) -> None:
    """Forget tasks, and take back what they were given."""
    for task_id in event.task_ids:
        task = state.tasks.pop(task_id)
        task_index.remove(state, task)
        if task_id in state.given:
            give(state, task_id, Given())
        if task.node_id:
            state.touched.assignments.setdefault(task.node_id, {})[task_id] = None


def give(state: ClusterState, task_id: TaskId, given: Given) -> None:
    """Let `given` be all that a task was given."""
    if given == Given():
        state.given.pop(task_id, None)
    else:
        state.given[task_id] = given
