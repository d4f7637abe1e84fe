"""Which of the wanted tasks of a seat stays, where an update, a drained node or a rebalancing made several."""

from collections.abc import Iterable

from skep.core.state import ClusterState
from skep.model.ids import NO_NODE, Position
from skep.model.task import Task


def successor(tasks: Iterable[Task], present: Position) -> Task:
    """Return which of a seat's tasks stays: the newest of the template `present`; if none bears it, the newest."""
    return max(tasks, key=lambda task: (task.origin.spec_version == present, task.origin.created))


def may_stay(state: ClusterState, task: Task) -> bool:
    """Whether a task has no node yet, or one that keeps its tasks: a member that is neither down nor drained."""
    if task.node_id == NO_NODE:
        return True
    node = state.nodes.get(task.node_id)
    return node is not None and node.fit
