"""States of a task and of a node, and which transitions are legal.

The numbers are SwarmKit's own (`api/types.proto`): what a worker's protocol sends. A task's state never goes back.
"""

import enum


class TaskState(enum.IntEnum):
    """Where a task is; the order of the numbers is the order of its life."""

    NEW = 0
    PENDING = 64
    ASSIGNED = 192
    ACCEPTED = 256
    PREPARING = 320
    READY = 384
    STARTING = 448
    RUNNING = 512
    COMPLETE = 576
    SHUTDOWN = 640
    FAILED = 704
    REJECTED = 768
    REMOVE = 800
    ORPHANED = 832

    @property
    def word(self) -> str:
        """The state as the Engine API spells it."""
        return self.name.lower()

    @property
    def terminal(self) -> bool:
        """Whether the task will never run again."""
        return self > TaskState.RUNNING


#: States that an orchestrator may want of a task. REMOVE is only ever wanted, never observed.
DESIRED_STATES = frozenset(
    {TaskState.READY, TaskState.RUNNING, TaskState.COMPLETE, TaskState.SHUTDOWN, TaskState.REMOVE}
)

#: What the last message of a task says when its author says nothing (recorded; FACTS, chapter 3).
MESSAGES = {
    TaskState.NEW: "created",
    TaskState.PENDING: "pending task scheduling",
    TaskState.ASSIGNED: "scheduler assigned task to node",
    TaskState.ACCEPTED: "accepted",
    TaskState.PREPARING: "preparing",
    TaskState.READY: "prepared",
    TaskState.STARTING: "starting",
    TaskState.RUNNING: "started",
    TaskState.COMPLETE: "finished",
    TaskState.SHUTDOWN: "shutdown",
    TaskState.FAILED: "started",
    TaskState.REJECTED: "preparing",
    TaskState.ORPHANED: "Task belonged to a node that has been deleted",
}


class NodeState(enum.StrEnum):
    """Whether a node's agent is heard."""

    UNKNOWN = "unknown"
    DOWN = "down"
    READY = "ready"
    DISCONNECTED = "disconnected"


class Role(enum.StrEnum):
    """What a node may do."""

    WORKER = "worker"
    MANAGER = "manager"


class Availability(enum.StrEnum):
    """What an operator lets a node do."""

    ACTIVE = "active"
    PAUSE = "pause"
    DRAIN = "drain"


class Mode(enum.StrEnum):
    """How many tasks a service wants, and whether they are to end. The values are those of the API's `mode` filter."""

    REPLICATED = "replicated"
    GLOBAL = "global"
    REPLICATED_JOB = "replicated-job"
    GLOBAL_JOB = "global-job"

    @property
    def is_job(self) -> bool:
        """Whether its tasks run to completion."""
        return self in (Mode.REPLICATED_JOB, Mode.GLOBAL_JOB)

    @property
    def per_node(self) -> bool:
        """Whether it wants one task on each node that fits, rather than a number of them."""
        return self in (Mode.GLOBAL, Mode.GLOBAL_JOB)


class UpdateState(enum.StrEnum):
    """How the update of a service stands."""

    UPDATING = "updating"
    PAUSED = "paused"
    COMPLETED = "completed"
    ROLLBACK_STARTED = "rollback_started"
    ROLLBACK_PAUSED = "rollback_paused"
    ROLLBACK_COMPLETED = "rollback_completed"


#: States of an update in which it goes on.
GOING = frozenset({UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED})
