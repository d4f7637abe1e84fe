"""Marks of nodes, and of what becomes of their tasks."""

from collections.abc import Callable

from skep.core.events import (
    NodeRemoved,
    NodesJoined,
    NodesObserved,
    NodeUpdated,
    TasksCreated,
    TasksDesired,
    TasksEvicted,
)
from skep.model.ids import NodeId
from skep.model.states import Availability, NodeState, TaskState
from skep.testing.simulation.marks.scene import Scene, remembers, seen


@remembers(NodesObserved)
def _(scene: Scene, event: NodesObserved) -> None:
    if event.state is NodeState.DOWN:
        scene.down.update(dict.fromkeys(event.node_ids))
    else:
        for node_id in event.node_ids:
            scene.down.pop(node_id, None)


def _replaces_on(scene: Scene, event: TasksCreated, fits: Callable[[NodeId], bool]) -> bool:
    before = (scene.state.tasks.get(task_id) for task_id in event.replaces)
    return any(task is not None and task.node_id in scene.state.nodes and fits(task.node_id) for task in before)


@seen("node-down-tasks-replaced", TasksCreated)
def _(scene: Scene, event: TasksCreated) -> bool:
    nodes = scene.state.nodes
    return _replaces_on(scene, event, lambda node_id: nodes[node_id].status.state is NodeState.DOWN)


@seen("drained", TasksCreated)
def _(scene: Scene, event: TasksCreated) -> bool:
    nodes = scene.state.nodes
    return _replaces_on(scene, event, lambda node_id: nodes[node_id].spec.availability is Availability.DRAIN)


@seen("node-back-from-down", NodesObserved)
def _(scene: Scene, event: NodesObserved) -> bool:
    return event.state is NodeState.READY and any(node_id in scene.down for node_id in event.node_ids)


@seen("node-removed-orphaned", NodeRemoved)
def _(scene: Scene, _: NodeRemoved) -> bool:
    return any(task.state is TaskState.ORPHANED for task in scene.state.tasks.values())


@seen("node-joined-later", NodesJoined)
def _(scene: Scene, _: NodesJoined) -> bool:
    return bool(scene.state.tasks)


@seen("node-paused", NodeUpdated)
def _(_: Scene, event: NodeUpdated) -> bool:
    return event.spec.availability is Availability.PAUSE


@seen("node-relabelled", NodeUpdated)
def _(_: Scene, event: NodeUpdated) -> bool:
    return bool(event.spec.labels)


@seen("drain-handed-over", TasksDesired)
def _(scene: Scene, event: TasksDesired) -> bool:
    """See that a task on a drained node is stopped for another that runs already."""
    tasks = (scene.state.tasks.get(task_id) for task_id in event.task_ids)
    for task in tasks:
        node = scene.state.nodes.get(task.node_id) if task is not None else None
        if task is None or node is None or node.spec.availability is not Availability.DRAIN:
            continue
        others = scene.state.tasks_in(task.service_id, task.seat)
        if any(other.origin.replaces == task.id and other.state is TaskState.RUNNING for other in others):
            return True
    return False


@seen("task-evicted", TasksEvicted)
def _(_: Scene, event: TasksEvicted) -> bool:
    return not event.orphaned


@seen("task-orphaned-after-a-day", TasksEvicted)
def _(_: Scene, event: TasksEvicted) -> bool:
    return event.orphaned
