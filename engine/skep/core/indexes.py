"""Indexes over tasks: what the plans ask, kept as the state changes, so that no plan looks at the whole cluster.

Every index is derived from the tables of `ClusterState`; `skep.core.invariants` rebuilds them all and compares.
A dict with None values is an ordered set: iteration order is that of insertion, under any hash seed.
"""

import enum
from typing import TypeVar

from skep.model.ids import NodeId, Position, Seat, ServiceId, TaskId
from skep.model.task import Task

T = TypeVar("T")

#: A set that remembers the order of its members.
Ordered = dict[T, None]


class Topic(enum.IntEnum):
    """What kind of thing changed; `skep.core.plan` says which plans are woken by it. An int, since those hash fast."""

    SERVICE = 1
    """A service's spec, or its removal (key: service)."""
    ENDED = 2
    """A task that is wanted ended (key: service)."""
    STOPPED = 3
    """A task that is not wanted ended, or was forgotten (key: service)."""
    RUNNING = 4
    """A task runs (key: service)."""
    WAITING = 5
    """A task is wanted READY, and may be wanted RUNNING later (key: service)."""
    NEW = 6
    """A task needs an allocation (key: service)."""
    PENDING = 7
    """A task needs a node (key: empty)."""
    NODE = 8
    """A node's spec or status (key: node)."""
    REAPABLE = 9
    """A task may be forgotten (key: service)."""
    WANTED = 10
    """A task is wanted, is so no more, or is otherwise (key: service)."""
    OVERLAP = 11
    """A seat has several wanted tasks, of which all but one may stop (key: service)."""
    NETWORK = 12
    """A network began, was given its addresses, or has one free again (key: network)."""
    ATTACHMENT = 15
    """A node has not the addresses that it should have (key: node)."""
    STRANDED = 13
    """A task on a node that keeps none has one companion less in its seat (key: node)."""
    DEMANDS = 14
    """A service demands something else of the node of its tasks (key: node)."""


class Touched:
    """What changed since somebody last asked. Transient: no part of the state's value."""

    __slots__ = ("assignments", "keys", "sessions")

    def __init__(self) -> None:
        #: what plans are woken by
        self.keys: Ordered[tuple[Topic, str]] = {}
        #: tasks whose assignment changed, by node: what the dispatcher sends
        self.assignments: dict[NodeId, Ordered[TaskId]] = {}
        #: nodes of which a session must hear
        self.sessions: Ordered[NodeId] = {}


class ServiceTasks:
    """The tasks of one service. A seat has few tasks, so its set is a tuple: a tenth of a dict's memory.

    - a task is wanted: desired at most COMPLETE, unless it is a job's that completed; `wanted` counts them,
      `wanted_by_seat` and `wanted_by_spec` hold them by seat and by template;
    - `ended`: wanted and in a terminal state: the restart supervisor's work;
    - `waiters[old] = new`: `new` is wanted READY and replaces `old`; each that is wanted READY is either `blocked` (the
      old has not stopped yet), `timed` (until its `start_at`), or `startable` (nothing holds it back);
    - `unallocated`, `pending`: wanted, and waiting for the allocator or the scheduler;
    - `completed[spec][seat]`: a job's task that is done, by the run of the job;
    - `stale[seat]`: the task to replace where no wanted one bears the service's present template;
    - `doubled` counts seats with several wanted tasks; `overlapping` are those in which all but one may stop;
    - `reapable`: of no use any more; `crowded`: seats with more history than is kept;
    - `spec_refs`: how many tasks name each template.
    """

    __slots__ = (
        "all",
        "blocked",
        "completed",
        "crowded",
        "doubled",
        "ended",
        "overlapping",
        "pending",
        "reapable",
        "running",
        "seats",
        "spec_refs",
        "stale",
        "startable",
        "timed",
        "unallocated",
        "waiters",
        "wanted",
        "wanted_by_seat",
        "wanted_by_spec",
    )

    def __init__(self) -> None:
        self.all: Ordered[TaskId] = {}
        self.seats: dict[Seat, tuple[TaskId, ...]] = {}
        self.wanted = 0
        self.wanted_by_seat: dict[Seat, tuple[TaskId, ...]] = {}
        self.wanted_by_spec: dict[Position, Ordered[TaskId]] = {}
        self.ended: Ordered[TaskId] = {}
        self.blocked: Ordered[TaskId] = {}
        self.waiters: dict[TaskId, TaskId] = {}
        self.timed: Ordered[TaskId] = {}
        self.startable: Ordered[TaskId] = {}
        self.unallocated: Ordered[TaskId] = {}
        self.pending: Ordered[TaskId] = {}
        self.completed: dict[Position, dict[Seat, TaskId]] = {}
        self.stale: dict[Seat, TaskId] = {}
        self.overlapping: Ordered[Seat] = {}
        self.reapable: Ordered[TaskId] = {}
        self.crowded: Ordered[Seat] = {}
        self.spec_refs: dict[Position, int] = {}
        self.running = 0
        self.doubled = 0

    def copy(self) -> "ServiceTasks":
        """Return a copy that shares only frozen values."""
        twin = ServiceTasks()
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, dict):
                value = {k: dict(v) if isinstance(v, dict) else v for k, v in value.items()}
            setattr(twin, name, value)
        return twin

    def value(self) -> dict[str, object]:
        """Return all of it for a comparison, without regard to order."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {"wanted_by_seat": {seat: {*ids} for seat, ids in self.wanted_by_seat.items()}}


class NodeTasks:
    """The tasks of one node: `active` counts those wanted and not ended, `by_service` the same by service."""

    __slots__ = ("active", "all", "by_service")

    def __init__(self) -> None:
        self.all: Ordered[TaskId] = {}
        self.by_service: dict[ServiceId, int] = {}
        self.active = 0

    def copy(self) -> "NodeTasks":
        """Return a copy that shares only frozen values."""
        twin = NodeTasks()
        twin.all, twin.by_service, twin.active = dict(self.all), dict(self.by_service), self.active
        return twin

    def value(self) -> dict[str, object]:
        """Return all of it for a comparison, without regard to order."""
        return {name: getattr(self, name) for name in self.__slots__}

    def count(self, task: Task, by: int) -> None:
        """Count an active task in (1) or out (-1)."""
        self.active += by
        now = self.by_service.get(task.service_id, 0) + by
        if now:
            self.by_service[task.service_id] = now
        else:
            self.by_service.pop(task.service_id, None)
