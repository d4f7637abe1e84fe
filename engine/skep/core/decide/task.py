"""Decisions about tasks, made for plans and agents: stale rows are dropped, never the batch."""

from collections.abc import Mapping

from skep.core.commands import (
    AdoptTasks,
    AllocateTasks,
    AssignTasks,
    CreateTasks,
    DesireTasks,
    EvictTasks,
    HoldTasks,
    ReapTasks,
    ReportTasks,
)
from skep.core.events import (
    ROWS_MAX,
    AttachmentsEnded,
    AttachmentsReported,
    Event,
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
from skep.core.rejected import Broken, Rejected
from skep.core.state import ClusterState
from skep.model.attachment import Attachment
from skep.model.ids import TaskId
from skep.model.states import DESIRED_STATES, TaskState
from skep.model.task import Task, TaskStatus

PENDING, ASSIGNED, RUNNING, COMPLETE = TaskState.PENDING, TaskState.ASSIGNED, TaskState.RUNNING, TaskState.COMPLETE

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
            rebalance=command.rebalance,
        ),
    )


def allocate_tasks(state: ClusterState, command: AllocateTasks) -> tuple[Event, ...]:
    """Let new tasks wait for a node, with the addresses that they are given."""
    addresses = command.addresses or ((),) * len(command.task_ids)
    rows = [
        (i, given)
        for i, given in zip(command.task_ids, addresses, strict=True)
        if i in state.tasks and state.tasks[i].state is TaskState.NEW
    ]
    if not rows:
        return ()
    kept = tuple(given for _, given in rows) if any(given for _, given in rows) else ()
    return (TasksAllocated(tuple(i for i, _ in rows), kept),)


def assign_tasks(state: ClusterState, command: AssignTasks) -> tuple[Event, ...]:
    """Give waiting tasks to nodes that are members."""
    _check_rows(command.task_ids)
    tasks, nodes = state.tasks, state.nodes
    for task_id, node_id in zip(command.task_ids, command.node_ids, strict=True):
        task = tasks.get(task_id)
        if task is None or task.status.state is not PENDING or task.desired > COMPLETE or node_id not in nodes:
            fresh = False
            break
        if task.node_id and task.node_id != node_id:
            fresh = False
            break
    else:
        fresh = True
    if fresh:  # always, for a plan made in the writer's turn
        if not command.task_ids:
            return ()
        return (TasksAssigned(command.task_ids, command.node_ids, command.resources),)
    resources = command.resources or ((),) * len(command.task_ids)
    rows = [
        row
        for row in zip(command.task_ids, command.node_ids, resources, strict=True)
        if _waits(state, row[0]) and row[1] in nodes and tasks[row[0]].node_id in ("", row[1])
    ]
    if not rows:
        return ()
    kept = tuple(row[2] for row in rows) if command.resources else ()
    return (TasksAssigned(tuple(row[0] for row in rows), tuple(row[1] for row in rows), kept),)


def hold_tasks(state: ClusterState, command: HoldTasks) -> tuple[Event, ...]:
    """Note reasons that are new."""
    _check_rows(command.task_ids)
    rows = [
        (i, reason)
        for i, reason in zip(command.task_ids, command.reasons, strict=True)
        if _waits(state, i, TaskState.NEW) and state.tasks[i].status.err != reason
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
    """Take from a node's agent what is new about the node's own tasks; of several reports of one, the furthest.

    To an agent attachments are tasks. One that ended is forgotten: nothing comes after it.
    """
    _check_rows(command.task_ids)
    events: list[Event] = []
    if rows := _news(state.tasks, command):
        events.append(TasksReported(command.node_id, tuple(rows), tuple(rows.values())))
    if state.attachments and (rows := _news(state.attachments, command)):
        events.append(AttachmentsReported(command.node_id, tuple(rows), tuple(rows.values())))
        if ended := tuple(attachment_id for attachment_id, status in rows.items() if status.state.terminal):
            events.append(AttachmentsEnded(ended))
    return tuple(events)


def _news(known: Mapping[TaskId, Task | Attachment], command: ReportTasks) -> dict[TaskId, TaskStatus]:
    rows: dict[TaskId, TaskStatus] = {}
    for task_id, status in zip(command.task_ids, command.statuses, strict=True):
        task = known.get(task_id)
        if task is not None and task.node_id == command.node_id and _is_news(rows.get(task_id, task.status), status):
            rows[task_id] = status
    return rows


def evict_tasks(state: ClusterState, command: EvictTasks) -> tuple[Event, ...]:
    """Reject tasks that have a node and have not ended."""
    _check_rows(command.task_ids)
    rows = tuple(
        i for i in command.task_ids if i in state.tasks and state.tasks[i].node_id and state.tasks[i].state <= RUNNING
    )
    return (TasksEvicted(rows, command.err, command.orphaned),) if rows else ()


def adopt_tasks(state: ClusterState, command: AdoptTasks) -> tuple[Event, ...]:
    """Let tasks of a service bear a template of it that lives."""
    _check_rows(command.task_ids)
    if command.spec_version not in state.templates.get(command.service_id, {}):
        raise Broken(f"service {command.service_id} has no template {command.spec_version}")
    rows = tuple(
        i
        for i in command.task_ids
        if i in state.tasks
        and state.tasks[i].service_id == command.service_id
        and state.tasks[i].origin.spec_version != command.spec_version
    )
    return (TasksAdopted(command.service_id, command.spec_version, rows),) if rows else ()


def reap_tasks(state: ClusterState, command: ReapTasks) -> tuple[Event, ...]:
    """Forget tasks that are still known."""
    _check_rows(command.task_ids)
    rows = tuple(i for i in command.task_ids if i in state.tasks)
    return (TasksReaped(rows),) if rows else ()


def _waits(state: ClusterState, task_id: TaskId, *states: TaskState) -> bool:
    """Whether a task waits for a node, or in another of these states."""
    task = state.tasks.get(task_id)
    return task is not None and task.status.state in (PENDING, *states) and task.wanted


def _is_news(known: TaskStatus, status: TaskStatus) -> bool:
    if status.state not in REPORTABLE or status.state < known.state or not ASSIGNED <= known.state <= RUNNING:
        return False
    if status.state is not known.state:
        return True
    # the same state again: only what an operator would see counts as new
    return (status.err, status.container, status.ports) != (known.err, known.container, known.ports)


def _check_rows(task_ids: tuple[TaskId, ...]) -> None:
    if len(task_ids) > ROWS_MAX:
        raise Rejected.invalid(f"{len(task_ids)} rows are too many for one command (at most {ROWS_MAX})")
