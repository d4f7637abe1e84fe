"""Decisions about tasks, made for plans and agents: stale rows are dropped, never the batch."""

from skep.core.commands import (
    AllocateTasks,
    AssignTasks,
    CreateTasks,
    DesireTasks,
    HoldTasks,
    ReapTasks,
    ReportTasks,
)
from skep.core.events import (
    ROWS_MAX,
    Event,
    TasksAllocated,
    TasksAssigned,
    TasksCreated,
    TasksDesired,
    TasksHeld,
    TasksReaped,
    TasksReported,
)
from skep.core.rejected import Broken, Rejected
from skep.core.state import ClusterState
from skep.model.ids import TaskId
from skep.model.states import DESIRED_STATES, TaskState
from skep.model.task import Task, TaskStatus

PENDING, ASSIGNED, RUNNING = TaskState.PENDING, TaskState.ASSIGNED, TaskState.RUNNING

#: What an agent may say of a task: REMOVE is only ever wanted, the rest is the manager's to say.
REPORTABLE = frozenset(s for s in TaskState if s > ASSIGNED and s not in (TaskState.REMOVE, TaskState.ORPHANED))


def create_tasks(state: ClusterState, command: CreateTasks) -> tuple[Event, ...]:
    """Make tasks of a template that lives."""
    _check_rows(command.task_ids)
    templates = state.templates.get(command.service_id, {})
    if command.spec_version not in templates:
        raise Broken(f"service {command.service_id} has no template {command.spec_version}")
    if taken := [i for i in command.task_ids if i in state.tasks]:
        raise Broken(f"ids of new tasks are taken: {taken[:3]}")
    return (
        TasksCreated(
            service_id=command.service_id,
            spec_version=command.spec_version,
            task_ids=command.task_ids,
            state=command.state,
            desired=command.desired,
            slots=command.slots,
            node_ids=command.node_ids,
            replaces=command.replaces,
            start_at=command.start_at,
            attempts=command.attempts,
        ),
    )


def allocate_tasks(state: ClusterState, command: AllocateTasks) -> tuple[Event, ...]:
    """Let new tasks wait for a node."""
    rows = tuple(i for i in command.task_ids if i in state.tasks and state.tasks[i].state is TaskState.NEW)
    return (TasksAllocated(rows),) if rows else ()


def assign_tasks(state: ClusterState, command: AssignTasks) -> tuple[Event, ...]:
    """Give waiting tasks to nodes that are members."""
    _check_rows(command.task_ids)
    nodes = state.nodes
    fresh = all(_waits(state, i) and n in nodes for i, n in zip(command.task_ids, command.node_ids, strict=True))
    if fresh:  # always, for a plan made in the writer's turn
        return (TasksAssigned(command.task_ids, command.node_ids),) if command.task_ids else ()
    rows = [(i, n) for i, n in zip(command.task_ids, command.node_ids, strict=True) if _waits(state, i) and n in nodes]
    return (TasksAssigned(tuple(i for i, _ in rows), tuple(n for _, n in rows)),) if rows else ()


def hold_tasks(state: ClusterState, command: HoldTasks) -> tuple[Event, ...]:
    """Note reasons that are new."""
    _check_rows(command.task_ids)
    rows = [
        (i, reason)
        for i, reason in zip(command.task_ids, command.reasons, strict=True)
        if _waits(state, i) and state.tasks[i].status.err != reason
    ]
    return (TasksHeld(tuple(i for i, _ in rows), tuple(r for _, r in rows)),) if rows else ()


def desire_tasks(state: ClusterState, command: DesireTasks) -> tuple[Event, ...]:
    """Want more of tasks, never less: a desired state only grows."""
    _check_rows(command.task_ids)
    if command.desired not in DESIRED_STATES:
        raise Rejected.invalid(f"desired state {command.desired.word} cannot be wanted")
    rows = tuple(i for i in command.task_ids if i in state.tasks and state.tasks[i].desired < command.desired)
    return (TasksDesired(rows, command.desired),) if rows else ()


def report_tasks(state: ClusterState, command: ReportTasks) -> tuple[Event, ...]:
    """Take from a node's agent what is new about the node's own tasks."""
    _check_rows(command.task_ids)
    rows = [
        (i, status)
        for i, status in zip(command.task_ids, command.statuses, strict=True)
        if i in state.tasks and _is_news(command, state.tasks[i], status)
    ]
    if not rows:
        return ()
    return (TasksReported(command.node_id, tuple(i for i, _ in rows), tuple(s for _, s in rows)),)


def reap_tasks(state: ClusterState, command: ReapTasks) -> tuple[Event, ...]:
    """Forget tasks that are still known."""
    _check_rows(command.task_ids)
    rows = tuple(i for i in command.task_ids if i in state.tasks)
    return (TasksReaped(rows),) if rows else ()


def _waits(state: ClusterState, task_id: TaskId) -> bool:
    """Whether a task waits for a node."""
    task = state.tasks.get(task_id)
    return task is not None and task.status.state is PENDING and task.desired <= RUNNING


def _is_news(command: ReportTasks, task: Task, status: TaskStatus) -> bool:
    if task.node_id != command.node_id or status.state not in REPORTABLE:
        return False
    known = task.status
    if status.state < known.state or known.state > RUNNING:
        return False
    if status.state is not known.state:
        return True
    # the same state again: only what an operator would see counts as new
    return (status.err, status.container, status.ports) != (known.err, known.container, known.ports)


def _check_rows(task_ids: tuple[TaskId, ...]) -> None:
    if len(task_ids) > ROWS_MAX:
        raise Rejected.invalid(f"{len(task_ids)} rows are too many for one command (at most {ROWS_MAX})")
