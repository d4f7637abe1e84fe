"""What holds of everything that becomes durable: each event is held against all that came before it.

1. What is observed of a task never goes back, and neither does what is wanted of it.
2. No task is made twice, or in place of one that is not known.
3. A task is forgotten only when it has stopped, or was never assigned.
4. Every update that ends says how it ended.
"""

from collections.abc import Callable, Iterable
from typing import Any

from skep.core.events import (
    Event,
    NodeRemoved,
    ServiceCreated,
    ServiceRemoved,
    ServiceRolledBack,
    ServiceUpdated,
    ServiceUpdateReported,
    TasksAllocated,
    TasksAssigned,
    TasksCreated,
    TasksDesired,
    TasksEvicted,
    TasksReaped,
    TasksReported,
)
from skep.core.record import Record
from skep.core.state import ClusterState
from skep.model.ids import NO_TASK, NodeId, Position, ServiceId, TaskId
from skep.model.service import Outcome, ServiceSpec
from skep.model.states import GOING, TaskState


class Failed(AssertionError):
    """What must hold does not."""


class Always:
    """What is remembered of a story, as it became durable."""

    def __init__(self) -> None:
        #: every spec that a service had, by the position that set it
        self.specs: dict[ServiceId, dict[Position, ServiceSpec]] = {}
        self._states: dict[TaskId, TaskState] = {}
        self._desired: dict[TaskId, TaskState] = {}
        self._nodes: dict[TaskId, NodeId] = {}
        self._updating: dict[ServiceId, None] = {}
        self._at = Position(0)

    def begin(self, state: ClusterState) -> None:
        """Go on from what an engine recovered, and may have added to since: that is on its way to the log."""
        self._at = state.position
        self._states = {task.id: task.state for task in state.tasks.values()}
        self._desired = {task.id: task.desired for task in state.tasks.values()}
        self._nodes = {task.id: task.node_id for task in state.tasks.values()}
        self._updating = dict.fromkeys(state.updates)

    def forget_after(self, end: Position) -> None:
        """Forget what the disk lost."""
        self._at = min(self._at, end)
        for service_id, specs in self.specs.items():
            self.specs[service_id] = {at: spec for at, spec in specs.items() if at <= end}

    def look(self, records: Iterable[Record]) -> None:
        """Look at what became durable.

        Raises:
            Failed: it must not follow what was before.
        """
        for record in records:
            if record.position <= self._at:
                continue
            self._at = record.position
            for event in record.events:
                look = _LOOKS.get(type(event))
                if look is not None:
                    look(self, event)

    # --- tasks

    def created(self, event: TasksCreated) -> None:
        """Take new tasks."""
        for number, task_id in enumerate(event.task_ids):
            if task_id in self._states:
                raise self._failed(f"task {task_id} was made twice")
            if event.node_ids:
                self._nodes[task_id] = event.node_ids[number]
            self._states[task_id], self._desired[task_id] = event.state, event.desired
            before = event.replaces[number] if event.replaces else NO_TASK
            if before != NO_TASK and self._states.get(before) is None:
                raise self._failed(f"task {task_id} replaces {before}, which is not known")

    def advanced(self, task_ids: Iterable[TaskId], states: Iterable[TaskState]) -> None:
        """Take what was observed."""
        for task_id, state in zip(task_ids, states, strict=True):
            before = self._states[task_id]
            if state < before or (before.terminal and state is not before):
                raise self._failed(f"task {task_id} went from {before.word} to {state.word}")
            self._states[task_id] = state

    def assigned(self, event: TasksAssigned) -> None:
        """Take nodes of tasks."""
        self.advanced(event.task_ids, [TaskState.ASSIGNED] * len(event.task_ids))
        self._nodes.update(zip(event.task_ids, event.node_ids, strict=True))

    def desired(self, event: TasksDesired) -> None:
        """Take what is wanted."""
        for task_id in event.task_ids:
            if event.desired <= self._desired[task_id]:
                raise self._failed(f"task {task_id} is wanted {event.desired.word} after {self._desired[task_id].word}")
            self._desired[task_id] = event.desired

    def reaped(self, event: TasksReaped) -> None:
        """Take what is forgotten."""
        for task_id in event.task_ids:
            state = self._states.pop(task_id)
            if TaskState.ASSIGNED <= state <= TaskState.RUNNING:
                raise self._failed(f"task {task_id} was forgotten, and is {state.word}")
            del self._desired[task_id]
            self._nodes.pop(task_id, None)

    def bereft(self, event: NodeRemoved) -> None:
        """Take that a node is no member any more: what it did not say has ended will never be known."""
        there = [i for i, node_id in self._nodes.items() if node_id == event.node_id and not self._states[i].terminal]
        self.advanced(there, [TaskState.ORPHANED] * len(there))

    # --- services

    def specified(self, service_id: ServiceId, spec: ServiceSpec) -> None:
        """Bear a spec in mind."""
        self.specs.setdefault(service_id, {})[self._at] = spec

    def update_ended(self, service_id: ServiceId, outcome: Outcome | None) -> None:
        """Take that no update of a service is under way any more."""
        if service_id in self._updating and outcome is None:
            raise self._failed(f"the update of service {service_id} ended, and nobody says how")
        self._updating.pop(service_id, None)

    def update_reported(self, event: ServiceUpdateReported) -> None:
        """Take how an update stands."""
        if event.status.state in GOING:
            self._updating[event.service_id] = None
        else:
            self.update_ended(event.service_id, event.outcome)

    def updated(self, event: ServiceUpdated) -> None:
        """Take a new spec."""
        self.specified(event.service_id, event.spec)
        self.update_ended(event.service_id, event.outcome)

    def rolled_back(self, event: ServiceRolledBack) -> None:
        """Take an earlier spec, to which an update goes back."""
        known = self.specs.get(event.service_id, {}).get(event.to)
        if known is not None and known != event.spec:
            raise self._failed(f"service {event.service_id} did not go back to what it was at {event.to}")
        self.specified(event.service_id, event.spec)
        self.update_ended(event.service_id, event.outcome)
        if not event.spec.kind.is_job:
            self._updating[event.service_id] = None

    def removed(self, event: ServiceRemoved) -> None:
        """Take that a service is gone."""
        self._updating.pop(event.service_id, None)
        self.specs.pop(event.service_id, None)

    def _failed(self, what: str) -> Failed:
        return Failed(f"at {self._at}: {what}")


def _evicted(event: TasksEvicted) -> TaskState:
    return TaskState.ORPHANED if event.orphaned else TaskState.REJECTED


_LOOKS: dict[type[Event], Callable[[Always, Any], None]] = {
    TasksCreated: Always.created,
    TasksAllocated: lambda this, e: this.advanced(e.task_ids, [TaskState.PENDING] * len(e.task_ids)),
    TasksAssigned: Always.assigned,
    TasksReported: lambda this, e: this.advanced(e.task_ids, [status.state for status in e.statuses]),
    TasksEvicted: lambda this, e: this.advanced(e.task_ids, [_evicted(e)] * len(e.task_ids)),
    TasksDesired: Always.desired,
    TasksReaped: Always.reaped,
    NodeRemoved: Always.bereft,
    ServiceCreated: lambda this, e: this.specified(e.service_id, e.spec),
    ServiceUpdated: Always.updated,
    ServiceUpdateReported: Always.update_reported,
    ServiceRolledBack: Always.rolled_back,
    ServiceRemoved: Always.removed,
}
