"""The marks: rare paths by name. A run of many seeds that does not reach each of them fails.

A mark is one of three kinds, and is added by one line, or one small function, in this file:

- `@seen("name", Event)`: a look at an event that became durable; the state is that after its whole group;
- `REFUSED`: words of a rejection that a person got;
- `NOTED`: what the simulation's own faults note when they take effect, by `World.note`.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from skep.core.events import (
    EngineStarted,
    Event,
    NodeRemoved,
    NodesJoined,
    NodesObserved,
    NodeUpdated,
    SecretRemoved,
    ServiceAllocated,
    ServiceRemoved,
    ServiceRolledBack,
    ServiceUpdated,
    ServiceUpdateReported,
    SwarmUpdated,
    TasksAssigned,
    TasksCreated,
    TasksDesired,
    TasksHeld,
    TasksReaped,
    TasksReported,
)
from skep.core.record import Record
from skep.core.state import FIRST_DYNAMIC_PORT, ClusterState
from skep.model.ids import NodeId, ServiceId, TaskId
from skep.model.states import Availability, NodeState, TaskState, UpdateState
from skep.runtime.simulated import KILLED

E = TypeVar("E", bound=Event)

#: What faults, and what people do beside commands, note.
NOTED = (
    "engine-crashed",
    "engine-crashed-with-lost-group",
    "engine-crashed-before-append-landed",
    "engine-crashed-after-append-landed",
    "engine-stopped-in-order",
    "engine-was-away-for-long",
    "start-failed-by-disk",
    "append-unknown-landed",
    "append-unknown-lost",
    "disk-full-refused",
    "slow-append",
    "clock-jumped-ahead",
    "clock-jumped-back",
    "machine-crashed",
    "machine-came-back",
    "link-cut",
    "session-lost",
    "report-delayed",
    "report-repeated",
    "report-reordered",
    "report-unanswered",
    "command-sent-twice",
    "command-of-unknown-outcome",
    "command-unavailable",
)

#: A part of a rejection's words -> the mark.
REFUSED = {
    "update out of sequence": "stale-version-refused",
    "secret '": "secret-in-use-refused",
    "config '": "config-in-use-refused",
    "secret not found": "secret-gone-refused",
    "service name conflicts": "service-name-taken-refused",
    "name conflicts with an existing object": "service-name-taken-refused",
    "is already in use by service": "port-in-use-refused",
    "does not have a previous spec": "rollback-without-previous-refused",
    "is not down and can't be removed": "node-not-down-refused",
}


class Scene:
    """What was seen of a story so far."""

    def __init__(self) -> None:
        #: the marks that were reached, in their order
        self.reached: dict[str, None] = {}
        self.state = ClusterState()
        #: tasks that waited, nodes that were down, and services whose update was under way, when they were last told of
        self.held: dict[TaskId, None] = {}
        self.down: dict[NodeId, None] = {}
        self.updating: dict[ServiceId, None] = {}
        self._looks = {event: list(looks) for event, looks in SEEN.items()}

    def note(self, mark: str) -> None:
        """Note that a mark was reached."""
        if mark not in MARKS:
            raise KeyError(f"{mark} is no mark: it stands in no table of skep.testing.simulation.marks")
        self.reached[mark] = None

    def refused(self, words: str) -> None:
        """Note what a person was refused."""
        for part, mark in REFUSED.items():
            if part in words:
                self.note(mark)
                return

    def look(self, state: ClusterState, records: Iterable[Record]) -> None:
        """Look at a group that became durable, and at the state after it, for marks that were not reached yet."""
        self.state = state
        for record in records:
            for event in record.events:
                looks = self._looks.get(type(event))
                if looks:
                    for row in [row for row in looks if row[1](self, event)]:
                        self.note(row[0])
                        looks.remove(row)
                remember = REMEMBER.get(type(event))
                if remember is not None:
                    remember(self, event)


Look = Callable[[Scene, Any], bool]

#: What is looked for at each event, by marks.
SEEN: dict[type[Event], list[tuple[str, Look]]] = {}


def seen(mark: str, *events: type[E]) -> Callable[[Callable[[Scene, E], bool]], Callable[[Scene, E], bool]]:
    """Make a mark of what the function sees at these events."""

    def add(look: Callable[[Scene, E], bool]) -> Callable[[Scene, E], bool]:
        for event in events:
            SEEN.setdefault(event, []).append((mark, look))
        return look

    return add


# --- what marks need to know of the past


def _updates(scene: Scene, event: ServiceUpdateReported) -> None:
    if event.status.state is UpdateState.UPDATING:
        scene.updating[event.service_id] = None
    else:
        scene.updating.pop(event.service_id, None)


def _update_ended(scene: Scene, event: ServiceUpdated | ServiceRolledBack) -> None:
    scene.updating.pop(event.service_id, None)


def _observed(scene: Scene, event: NodesObserved) -> None:
    if event.state is NodeState.DOWN:
        scene.down.update(dict.fromkeys(event.node_ids))
    else:
        for node_id in event.node_ids:
            scene.down.pop(node_id, None)


#: Told each event after the looks at it.
REMEMBER: dict[type[Event], Callable[[Scene, Any], None]] = {
    ServiceUpdateReported: _updates,
    ServiceUpdated: _update_ended,
    ServiceRolledBack: _update_ended,
    NodesObserved: _observed,
    TasksHeld: lambda scene, event: scene.held.update(dict.fromkeys(event.task_ids)),
}


# --- updates


@seen("update-completed", ServiceUpdateReported)
def _(_: Scene, event: ServiceUpdateReported) -> bool:
    return event.status.state is UpdateState.COMPLETED


@seen("update-paused", ServiceUpdateReported)
def _(_: Scene, event: ServiceUpdateReported) -> bool:
    return event.status.state is UpdateState.PAUSED


@seen("rollback-paused", ServiceUpdateReported)
def _(_: Scene, event: ServiceUpdateReported) -> bool:
    return event.status.state is UpdateState.ROLLBACK_PAUSED


@seen("rollback-completed", ServiceUpdateReported)
def _(_: Scene, event: ServiceUpdateReported) -> bool:
    return event.status.state is UpdateState.ROLLBACK_COMPLETED


@seen("update-rolled-back", ServiceRolledBack)
def _(_: Scene, event: ServiceRolledBack) -> bool:
    return not event.keep_previous


@seen("rolled-back-by-hand", ServiceRolledBack)
def _(_: Scene, event: ServiceRolledBack) -> bool:
    return event.keep_previous


@seen("update-amid-update", ServiceUpdated)
def _(scene: Scene, event: ServiceUpdated) -> bool:
    return event.service_id in scene.updating


@seen("start-first-overlap", TasksReported)
def _(scene: Scene, event: TasksReported) -> bool:
    """See that a slot has two running tasks that are both wanted."""
    for task_id, status in zip(event.task_ids, event.statuses, strict=True):
        task = scene.state.tasks.get(task_id)
        if status.state is TaskState.RUNNING and task is not None and task.desired is TaskState.RUNNING:
            for other in scene.state.tasks_in(task.service_id, task.slot):
                both = other.id != task_id and other.state is TaskState.RUNNING
                if both and other.desired is TaskState.RUNNING:
                    return True
    return False


# --- tasks


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


# --- services


@seen("service-removed-while-running", ServiceRemoved)
def _(scene: Scene, event: ServiceRemoved) -> bool:
    return any(task.state is TaskState.RUNNING for task in scene.state.tasks_of(event.service_id))


@seen("dynamic-port-given", ServiceAllocated)
def _(_: Scene, event: ServiceAllocated) -> bool:
    return any(port.published_port >= FIRST_DYNAMIC_PORT for port in event.endpoint.ports)


@seen("secret-removed", SecretRemoved)
def _(_: Scene, __: SecretRemoved) -> bool:
    return True


# --- nodes


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


# --- the swarm


@seen("swarm-updated", SwarmUpdated)
def _(_: Scene, __: SwarmUpdated) -> bool:
    return True


@seen("engine-started-over-tasks", EngineStarted)
def _(scene: Scene, _: EngineStarted) -> bool:
    return bool(scene.state.tasks)


#: Every mark.
MARKS: tuple[str, ...] = tuple(
    dict.fromkeys((*NOTED, *REFUSED.values(), *(mark for looks in SEEN.values() for mark, _ in looks)))
)
