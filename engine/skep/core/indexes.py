"""Indexes over tasks: what the plans ask, kept as the state changes, so that no plan looks at the whole cluster.

Every index is derived from the tables of `ClusterState`; `skep.core.invariants` rebuilds them all and compares.
A dict with None values is an ordered set: iteration order is that of insertion, under any hash seed.
"""

import enum
from typing import Any, TypeVar

from skep.core.holdings import Demand, Holdings
from skep.core.needs import Needs
from skep.core.nothing import NOTHING
from skep.core.wanted import WantedBySeat
from skep.model.ids import NodeId, Position, Seat, TaskId

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
    """A task that is not wanted ended, one that was to complete did, or one was forgotten (key: service)."""
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
    """A companion in the seat of a task whose node keeps none runs, or is gone (key: node)."""
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

    Most indexes of most services have nothing in them, and share one that stays empty: ask `index` for one to put
    something into.

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
    - `removing` counts those that are desired REMOVE;
    - `spec_refs`: how many tasks name each template; `needs` and `demands`: what those ask, and take, of their node,
      of the few that do;
    - `on_node`: how many wanted tasks that have not ended each node has.
    """

    __slots__ = (
        "all",
        "blocked",
        "completed",
        "crowded",
        "demands",
        "doubled",
        "ended",
        "needs",
        "on_node",
        "overlapping",
        "pending",
        "reapable",
        "removing",
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
        self.wanted_by_seat = WantedBySeat(self.seats)
        self.wanted_by_spec: dict[Position, Ordered[TaskId]] = {}
        self.ended: Ordered[TaskId] = NOTHING
        self.blocked: Ordered[TaskId] = NOTHING
        self.waiters: dict[TaskId, TaskId] = NOTHING
        self.timed: Ordered[TaskId] = NOTHING
        self.startable: Ordered[TaskId] = NOTHING
        self.unallocated: Ordered[TaskId] = NOTHING
        self.pending: Ordered[TaskId] = NOTHING
        self.completed: dict[Position, dict[Seat, TaskId]] = NOTHING
        self.stale: dict[Seat, TaskId] = NOTHING
        self.overlapping: Ordered[Seat] = NOTHING
        self.reapable: Ordered[TaskId] = NOTHING
        self.crowded: Ordered[Seat] = NOTHING
        self.spec_refs: dict[Position, int] = {}
        self.needs: dict[Position, Needs] = NOTHING
        self.demands: dict[Position, Demand] = NOTHING
        self.on_node: dict[NodeId, int] = NOTHING
        self.running = 0
        self.removing = 0
        self.doubled = 0

    def index(self, name: str) -> dict[Any, Any]:
        """Return an index to put something into."""
        index: dict[Any, Any] = getattr(self, name)
        if index is NOTHING:
            index = {}
            setattr(self, name, index)
        return index

    def copy(self) -> "ServiceTasks":
        """Return a copy that shares only frozen values."""
        twin = ServiceTasks()
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, dict) and value is not NOTHING:
                value = {k: dict(v) if isinstance(v, dict) else v for k, v in value.items()}
            setattr(twin, name, value)
        twin.wanted_by_seat = self.wanted_by_seat.copy(twin.seats)
        return twin

    def value(self) -> dict[str, object]:
        """Return all of it for a comparison, without regard to order."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {"wanted_by_seat": {seat: {*ids} for seat, ids in self.wanted_by_seat.items()}}


class NodeTasks:
    """The tasks of one node: `active` counts those wanted and not ended, `held` is what those not stopped hold."""

    __slots__ = ("active", "all", "held")

    def __init__(self) -> None:
        self.all: Ordered[TaskId] = {}
        self.active = 0
        #: None where nothing is held, as nearly everywhere
        self.held: Holdings | None = None

    def copy(self) -> "NodeTasks":
        """Return a copy that shares only frozen values."""
        twin = NodeTasks()
        twin.all, twin.active = dict(self.all), self.active
        twin.held = self.held.copy() if self.held is not None else None
        return twin

    def value(self) -> dict[str, object]:
        """Return all of it for a comparison, without regard to order."""
        held = self.held.value() if self.held is not None else None
        return {"active": self.active, "all": self.all, "held": held}


class Shifts:
    """What moved on nodes since the scheduler last looked, and what it remembers. No part of the state's value.

    What it remembers only makes it quick: `memo` may be dropped at any time, and is whenever something is assigned that
    is not just what it `promised`.
    """

    __slots__ = ("loads", "memo", "nodes", "promised", "removed")

    def __init__(self) -> None:
        self.memo: object | None = None
        self.promised: tuple[tuple[TaskId, ...], tuple[NodeId, ...]] | None = None
        #: nodes whose spec, description or status changed, or that are new
        self.nodes: Ordered[NodeId] = {}
        #: nodes that are gone; one that joined again after that is among the changed ones, too
        self.removed: Ordered[NodeId] = {}
        #: nodes that tasks left or entered otherwise than by the scheduler, or on which something else is held
        self.loads: Ordered[NodeId] = {}

    def remove(self, node_id: NodeId) -> None:
        """Note that a node is gone."""
        self.nodes.pop(node_id, None)
        self.removed[node_id] = None
