"""How tasks that are wanted READY wait: for the task that they replace, for their instant, or for nothing."""

from skep.core.indexes import ServiceTasks, Topic
from skep.core.state import ClusterState
from skep.model.ids import NO_NODE, NO_TASK, NodeId, TaskId
from skep.model.states import NodeState
from skep.model.task import Task


def wait(state: ClusterState, of: ServiceTasks, task: Task) -> None:
    """Put a task that is wanted READY where what it waits for will find it."""
    origin = task.origin
    if origin.replaces != NO_TASK:
        of.index("waiters")[origin.replaces] = origin.id
    if origin.replaces != NO_TASK and _may_confirm(state, origin.replaces):
        of.index("blocked")[origin.id] = None
    elif origin.start_at:
        of.index("timed")[origin.id] = None
    else:
        of.index("startable")[origin.id] = None
    state.touched.keys[Topic.WAITING, origin.service_id] = None


def stop_waiting(of: ServiceTasks, replaces: TaskId, task_id: TaskId) -> None:
    """Let a task wait for nothing any more."""
    of.blocked.pop(task_id, None)
    of.timed.pop(task_id, None)
    of.startable.pop(task_id, None)
    if of.waiters.get(replaces) == task_id:
        del of.waiters[replaces]


def _may_confirm(state: ClusterState, task_id: TaskId) -> bool:
    """Whether it is still to be heard that a task stopped."""
    task = state.tasks.get(task_id)
    if task is None or task.state.terminal or task.node_id == NO_NODE:
        return False
    node = state.nodes.get(task.node_id)
    return node is not None and node.status.state is not NodeState.DOWN


def unblock(state: ClusterState, of: ServiceTasks, task_id: TaskId) -> None:
    """Let go what waits for `task_id`, which ended or is being forgotten."""
    waiting = of.waiters.get(task_id)
    if waiting is not None:
        stop_waiting(of, task_id, waiting)
        wait(state, of, state.tasks[waiting])


def rejudge_node(state: ClusterState, node_id: NodeId) -> None:
    """Look again at what waits for tasks of a node: one that is down can no longer tell that they stopped."""
    index = state.node_tasks.get(node_id)
    for task_id in index.all if index else ():
        of = state.service_tasks[state.tasks[task_id].service_id]
        waiting = of.waiters.get(task_id)
        if waiting is not None and (waiting in of.blocked) != _may_confirm(state, task_id):
            stop_waiting(of, task_id, waiting)
            wait(state, of, state.tasks[waiting])
