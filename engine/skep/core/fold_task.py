"""How the events of tasks change the state. These are the hot ones: a row costs about a microsecond."""

from skep.core import task_index
from skep.core.events import (
    TasksAllocated,
    TasksAssigned,
    TasksCreated,
    TasksDesired,
    TasksHeld,
    TasksReaped,
    TasksReported,
)
from skep.core.state import ClusterState
from skep.model.ids import EPOCH, NO_NODE, NO_TASK
from skep.model.states import MESSAGES, TaskState
from skep.model.task import Task, TaskOrigin, TaskStatus


def tasks_created(state: ClusterState, event: TasksCreated) -> None:
    """Begin tasks."""
    status = TaskStatus(event.state, state.time, MESSAGES[event.state])
    position, time, tasks = state.position, state.time, state.tasks
    slots, node_ids, replaces, start_at = event.slots, event.node_ids, event.replaces, event.start_at
    attempts = event.attempts
    for row, task_id in enumerate(event.task_ids):
        origin = TaskOrigin(
            task_id,
            event.service_id,
            slots[row] if slots else 0,
            event.spec_version,
            time,
            position,
            start_at[row] if start_at else EPOCH,
            replaces[row] if replaces else NO_TASK,
            attempts[row] if attempts else 0,
        )
        task = Task(origin, node_ids[row] if node_ids else NO_NODE, event.desired, status, position, time)
        tasks[task_id] = task
        if origin.slot and event.service_id in state.given_up:
            task_index.revive(state, event.service_id, origin.slot)
        task_index.add(state, task)


def tasks_allocated(state: ClusterState, event: TasksAllocated) -> None:
    """Let tasks wait for a node."""
    status = TaskStatus(TaskState.PENDING, state.time, MESSAGES[TaskState.PENDING])
    for task_id in event.task_ids:
        task = state.tasks[task_id]
        task_index.swap(state, task, Task(task.origin, task.node_id, task.desired, status, state.position, state.time))


def tasks_assigned(state: ClusterState, event: TasksAssigned) -> None:
    """Give tasks to nodes."""
    status = TaskStatus(TaskState.ASSIGNED, state.time, MESSAGES[TaskState.ASSIGNED])
    position, time, tasks, assignments = state.position, state.time, state.tasks, state.touched.assignments
    assign = task_index.assign
    for task_id, node_id in zip(event.task_ids, event.node_ids, strict=True):
        task = tasks[task_id]
        assign(state, task, Task(task.origin, node_id, task.desired, status, position, time))
        changed = assignments.get(node_id)
        if changed is None:
            changed = assignments[node_id] = {}
        changed[task_id] = None


def tasks_held(state: ClusterState, event: TasksHeld) -> None:
    """Note why tasks wait; they stay pending."""
    for task_id, reason in zip(event.task_ids, event.reasons, strict=True):
        task = state.tasks[task_id]
        status = TaskStatus(TaskState.PENDING, state.time, task.status.message, reason)
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
        task_index.judge_given_up(state, task, new)


def tasks_reported(state: ClusterState, event: TasksReported) -> None:
    """Take what an agent observed."""
    tasks, position, time, swap = state.tasks, state.position, state.time, task_index.swap
    for task_id, status in zip(event.task_ids, event.statuses, strict=True):
        task = tasks[task_id]
        swap(state, task, Task(task.origin, task.node_id, task.desired, status, position, time))


def tasks_reaped(state: ClusterState, event: TasksReaped) -> None:
    """Forget tasks."""
    for task_id in event.task_ids:
        task = state.tasks.pop(task_id)
        task_index.remove(state, task)
        if task.node_id:
            state.touched.assignments.setdefault(task.node_id, {})[task_id] = None
