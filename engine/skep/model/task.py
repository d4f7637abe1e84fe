"""Tasks: one run of a service's template in a slot.

A task is split so that a transition is cheap: what never changes is its `origin`, shared by every version of it.
"""

from msgspec import Struct

from skep.model.ids import NO_SLOT, Instant, NodeId, Position, Seat, ServiceId, TaskId
from skep.model.network import NetworkAddress
from skep.model.service import GenericResource, PortConfig
from skep.model.states import TaskState


class ContainerStatus(Struct, frozen=True, gc=False, omit_defaults=True):
    """What an executor knows of what runs; `exit_code` is -1 while it is being stopped."""

    container_id: str = ""
    pid: int = 0
    exit_code: int = 0


class TaskStatus(Struct, frozen=True, gc=False, omit_defaults=True):
    """What was observed of a task, and when."""

    state: TaskState
    at: Instant
    message: str = ""
    err: str = ""
    container: ContainerStatus | None = None
    ports: tuple[PortConfig, ...] = ()


class TaskOrigin(Struct, frozen=True, gc=False):
    """What a task is from its creation to its reaping.

    `spec_version` names its template; `start_at` is the earliest instant at which a task that is wanted READY may be
    wanted RUNNING (0: at once); `replaces` is the task that stood in the slot before; `attempt` counts the restarts of
    this template in this slot.
    """

    id: TaskId
    service_id: ServiceId
    slot: int
    spec_version: Position
    created_at: Instant
    created: Position
    start_at: Instant
    replaces: TaskId
    attempt: int = 0


class Task(Struct, frozen=True, gc=False):
    """A task as the swarm keeps it."""

    origin: TaskOrigin
    node_id: NodeId
    desired: TaskState
    status: TaskStatus
    version: Position
    updated_at: Instant

    @property
    def id(self) -> TaskId:
        """Its id."""
        return self.origin.id

    @property
    def service_id(self) -> ServiceId:
        """The service that it belongs to, which may be gone."""
        return self.origin.service_id

    @property
    def slot(self) -> int:
        """Its slot: from 1, of a job's from 0; NO_SLOT where the service runs one on each node."""
        return self.origin.slot

    @property
    def seat(self) -> Seat:
        """What it has to itself within its service: its slot, or its node."""
        return self.origin.slot if self.origin.slot != NO_SLOT else self.node_id

    @property
    def state(self) -> TaskState:
        """The last state observed."""
        return self.status.state

    @property
    def wanted(self) -> bool:
        """Whether it should run now or soon, or to its completion."""
        return self.desired <= TaskState.COMPLETE

    @property
    def name_in_slot(self) -> str:
        """The part of its name that follows the service's: the slot, or the node where it has none, or slot 0."""
        return str(self.origin.slot) if self.origin.slot > 0 else self.node_id


class Given(Struct, frozen=True, gc=False, omit_defaults=True):
    """What a task was given for as long as it is known: addresses by the allocator, resources by the scheduler.

    Few tasks have any, so this is no part of the task.
    """

    addresses: tuple[NetworkAddress, ...] = ()
    resources: tuple[GenericResource, ...] = ()
