"""Logs to measure on: records of the forms that a busy cluster writes."""

import random

from skep.core.commands import ReportTasks, UpdateNode
from skep.core.events import (
    Event,
    NodesJoined,
    NodesObserved,
    NodeUpdated,
    ServiceCreated,
    TasksAssigned,
    TasksCreated,
    TasksReported,
)
from skep.core.record import Actor, Planned, Record, Submitted
from skep.core.rules.stored import stored
from skep.model.build import service_spec
from skep.model.ids import Instant, NodeId, Position, ServiceId, TaskId
from skep.model.node import NodeDescription, NodeSpec
from skep.model.states import Availability, NodeState, Role, TaskState
from skep.model.task import TaskStatus

AGENT = Actor("agent", "n")
SECOND = 1_000_000_000


class Workload:
    """Makes records with ids from a seed; positions and times follow one another."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - the same ids in every run
        self.position = 0
        self.time = 1_700_000_000 * SECOND

    def new_id(self) -> str:
        """Return an id."""
        return "".join(self._random.choices("0123456789abcdefghijklmnopqrstuvwxyz", k=25))

    def record(self, *events: Event, given: Submitted | Planned | None = None, actor: Actor = AGENT) -> Record:
        """Return the next record."""
        self.position += 1
        self.time += 1_000_000
        return Record(
            Position(self.position),
            Instant(self.time),
            actor,
            given or Planned("replicas", "k", Instant(self.time)),
            events,
        )

    def nodes(self, count: int) -> tuple[list[NodeId], list[Record]]:
        """Return nodes and what makes them ready."""
        ids = [NodeId(self.new_id()) for _ in range(count)]
        spec = NodeSpec(labels={}, role=Role.WORKER, availability=Availability.ACTIVE)
        joined = NodesJoined(
            tuple(ids),
            (spec,) * count,
            tuple(NodeDescription(hostname=f"n{i}") for i in range(count)),
            ("10.0.0.1",) * count,
            (None,) * count,
        )
        return ids, [self.record(joined), self.record(NodesObserved(tuple(ids), NodeState.READY))]

    def service(self, name: str, tasks: int, nodes: list[NodeId]) -> tuple[ServiceId, list[TaskId], list[Record]]:
        """Return a service whose tasks were created, assigned and reported RUNNING, each in one event."""
        service_id = ServiceId(self.new_id())
        spec = stored(service_spec(name, "demo", replicas=tasks))
        records = [self.record(ServiceCreated(service_id, spec))]
        ids = tuple(TaskId(self.new_id()) for _ in range(tasks))
        created = TasksCreated(service_id, Position(self.position), ids, slots=tuple(range(1, tasks + 1)))
        records.append(self.record(created))
        node_ids = tuple(nodes[i % len(nodes)] for i in range(tasks))
        records.append(self.record(TasksAssigned(ids, node_ids)))
        return service_id, list(ids), records

    def running(self, node_id: NodeId, task_ids: list[TaskId], *, with_input: bool = False) -> Record:
        """Return a node's report that tasks run, with the command that brought it if asked."""
        status = TaskStatus(TaskState.RUNNING, Instant(self.time), "started")
        statuses = (status,) * len(task_ids)
        event = TasksReported(node_id, tuple(task_ids), statuses)
        given = Submitted((ReportTasks(node_id, tuple(task_ids), statuses),)) if with_input else None
        return self.record(event, given=given)

    def label(self, node_id: NodeId, number: int) -> Record:
        """Return a small record of a person's: a node's label changed."""
        spec = NodeSpec(labels={"n": str(number)}, role=Role.WORKER, availability=Availability.ACTIVE)
        command = UpdateNode(node_id, Position(self.position), spec)
        return self.record(NodeUpdated(node_id, spec), given=Submitted((command,)), actor=Actor("person", "uid:0"))
