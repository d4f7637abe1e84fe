"""Marks of tasks."""

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
from skep.model.service import RestartPolicy, TaskTemplate
from skep.model.states import TaskState
from skep.model.task import Task
from skep.runtime.simulated import KILLED
from skep.testing.simulation.marks.scene import Scene, remembers, seen

NO_POLICY = RestartPolicy()


@seen("slot-gave-up", TasksDesired)
def _(scene: Scene, _: TasksDesired) -> bool:
    return any(scene.state.given_up.values())


@seen("restart-delayed", TasksCreated)
def _(_: Scene, event: TasksCreated) -> bool:
    return bool(event.start_at)


@seen("scaled-down", TasksDesired)
def _(scene: Scene, event: TasksDesired) -> bool:
    tasks = (scene.state.tasks.get(task_id) for task_id in event.task_ids)
    return event.desired is TaskState.REMOVE and any(
        t is not None and t.service_id in scene.state.services for t in tasks
    )


@seen("history-reaped", TasksReaped)
def _(scene: Scene, event: TasksReaped) -> bool:
    return bool(scene.state.services and event.task_ids)


@seen("pending-held-then-placed", TasksAssigned)
def _(scene: Scene, event: TasksAssigned) -> bool:
    return any(task_id in scene.held for task_id in event.task_ids)


@seen("constraint-unfit", TasksHeld)
def _(_: Scene, event: TasksHeld) -> bool:
    return any("scheduling constraints" in reason for reason in event.reasons)


@seen("max-replicas-reached", TasksHeld)
def _(_: Scene, event: TasksHeld) -> bool:
    return any("max replicas" in reason for reason in event.reasons)


def _said(event: TasksReported, state: TaskState, err: str = "") -> bool:
    return any(status.state is state and err in status.err for status in event.statuses)


@seen("task-completed", TasksReported)
def _(_: Scene, event: TasksReported) -> bool:
    return _said(event, TaskState.COMPLETE)


@seen("task-failed", TasksReported)
def _(_: Scene, event: TasksReported) -> bool:
    return _said(event, TaskState.FAILED, "non-zero exit")


@seen("task-could-not-start", TasksReported)
def _(_: Scene, event: TasksReported) -> bool:
    return _said(event, TaskState.FAILED, "starting container failed")


@seen("task-rejected", TasksReported)
def _(_: Scene, event: TasksReported) -> bool:
    return _said(event, TaskState.REJECTED)


@seen("task-lost-with-its-machine", TasksReported)
def _(_: Scene, event: TasksReported) -> bool:
    return _said(event, TaskState.FAILED, "No such container")


@seen("task-killed-after-its-grace", TasksReported)
def _(_: Scene, event: TasksReported) -> bool:
    return any(
        status.state is TaskState.SHUTDOWN and status.container is not None and status.container.exit_code == KILLED
        for status in event.statuses
    )


# --- restarts


def _policy(state: ClusterState, task: Task) -> RestartPolicy:
    return state.template_of(task).spec.restart_policy or NO_POLICY


@seen("restart-window-refused", TasksDesired)
def _(scene: Scene, _: TasksDesired) -> bool:
    """See that a seat gave up for restarts within a window of time."""
    last = (scene.state.tasks[i] for seats in scene.state.given_up.values() for i in seats.values())
    policies = (_policy(scene.state, task) for task in last if task.origin.attempt)
    return any(policy.window and policy.max_attempts and policy.condition == "any" for policy in policies)


@seen("restart-window-forgave", TasksCreated)
def _(scene: Scene, event: TasksCreated) -> bool:
    """See a restart more than are allowed, since those before are long ago."""
    if not any(event.attempts):
        return False
    tasks = (scene.state.tasks[i] for i in event.task_ids if i in scene.state.tasks)
    return any(0 < (_policy(scene.state, task).max_attempts or 0) < task.origin.attempt for task in tasks)


# --- what tasks waited for


@remembers(TasksHeld)
def _(scene: Scene, event: TasksHeld) -> None:
    for task_id, reason in zip(event.task_ids, event.reasons, strict=True):
        scene.held[task_id] = None
        task = scene.state.tasks.get(task_id)
        if "no address left" in reason:
            scene.lacked_an_address[task_id] = None
        elif "host-mode port" in reason:
            scene.lacked_a_port[task_id] = None
        elif "insufficient" in reason and task is not None and _generic(scene.state.template_of(task)):
            scene.lacked_a_unit[task_id] = None


def _generic(template: TaskTemplate) -> bool:
    reserved = template.spec.resources.reservations if template.spec.resources is not None else None
    return reserved is not None and bool(reserved.generic_resources)


@seen("address-waited-for", TasksAllocated)
def _(scene: Scene, event: TasksAllocated) -> bool:
    return any(task_id in scene.lacked_an_address for task_id in event.task_ids)


@seen("host-port-waited-for", TasksAssigned)
def _(scene: Scene, event: TasksAssigned) -> bool:
    return any(task_id in scene.lacked_a_port for task_id in event.task_ids)


@seen("generic-resource-waited-for", TasksAssigned)
def _(scene: Scene, event: TasksAssigned) -> bool:
    return bool(event.resources) and any(task_id in scene.lacked_a_unit for task_id in event.task_ids)


@seen("named-resource-given", TasksAssigned)
def _(_: Scene, event: TasksAssigned) -> bool:
    return any(one.named_resource_spec is not None for row in event.resources for one in row)


@seen("spread-over-two-levels", TasksAssigned)
def _(scene: Scene, event: TasksAssigned) -> bool:
    """See tasks go to two zones at once, and to two racks of one, where both are preferred."""
    places: dict[str, dict[str, dict[str, None]]] = {}
    for task_id, node_id in zip(event.task_ids, event.node_ids, strict=True):
        task, node = scene.state.tasks.get(task_id), scene.state.nodes.get(node_id)
        placement = scene.state.template_of(task).spec.placement if task is not None else None
        if task is not None and node is not None and placement is not None and len(placement.preferences) > 1:
            labels = node.spec.labels or {}
            zones = places.setdefault(task.service_id, {})
            zones.setdefault(labels.get("zone", ""), {})[labels.get("rack", "")] = None
    return any(len(zones) > 1 and any(len(racks) > 1 for racks in zones.values()) for zones in places.values())
