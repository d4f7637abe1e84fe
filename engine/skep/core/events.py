"""Events: facts about the cluster, in the past tense; the only thing that changes state.

- A tag is a name and a version, and is chosen: renaming a class never changes it.
- Plural facts are one event with columns: `task_ids[i]` belongs to `node_ids[i]`.
- New fields have defaults. What was written is never rewritten.
"""

from typing import Any, ClassVar

from msgspec import Struct

from skep.model.ids import ClusterId, ConfigId, Instant, NetworkId, NodeId, Position, SecretId, ServiceId, TaskId
from skep.model.network import IpamConfig, NetworkAddress, NetworkSpec
from skep.model.node import ManagerStatus, NodeDescription, NodeSpec
from skep.model.secret import ConfigSpec, Sealed, SecretSpec
from skep.model.service import Endpoint, GenericResource, Outcome, ServiceSpec, UpdateStatus
from skep.model.states import NodeState, TaskState
from skep.model.swarm import JoinTokens, NetworkKey, RootCa, Rotation, SwarmSpec
from skep.model.task import TaskStatus

#: At most so many rows in one event (design, rule 3); plans split and say `more`.
ROWS_MAX = 5000


class Event(Struct, frozen=True, tag_field="type", omit_defaults=True):
    """A fact. Subclasses give their stored name as `tag`."""

    #: Which plan names draw ids for it, and so where verification finds them again.
    minted: ClassVar[str] = ""

    @property
    def name(self) -> str:
        """The stored name."""
        tag: Any = self.__struct_config__.tag
        return str(tag)


# --- the engine and the swarm


class EngineStarted(Event, frozen=True, tag="engine.started/1"):
    """An engine recovered this log and goes on with it."""

    version: str
    hostname: str = ""


class SwarmInitialized(Event, frozen=True, tag="swarm.initialized/1"):
    """The swarm began."""

    cluster_id: ClusterId
    spec: SwarmSpec
    root: RootCa
    tokens: JoinTokens
    unlock_key: Sealed | None = None
    default_addr_pool: tuple[str, ...] = ()
    subnet_size: int = 24
    data_path_port: int = 4789


class SwarmUpdated(Event, frozen=True, tag="swarm.updated/1"):
    """The swarm's spec is now this; tokens and unlock key changed where given, and a `rotation` of its root began."""

    spec: SwarmSpec
    tokens: JoinTokens | None = None
    unlock_key: Sealed | None = None
    rotation: Rotation | None = None


class SwarmRootReplaced(Event, frozen=True, tag="swarm.root-replaced/1"):
    """The rotation of the swarm's root ended: only the new root is trusted, and these are the tokens now."""

    tokens: JoinTokens


class SwarmKeysRotated(Event, frozen=True, tag="swarm.keys-rotated/1"):
    """The data plane has these keys now."""

    keys: tuple[NetworkKey, ...]


class SwarmLeft(Event, frozen=True, tag="swarm.left/1"):
    """The last manager left: nothing follows in this log."""


# --- nodes


class NodesJoined(Event, frozen=True, tag="nodes.joined/1"):
    """These nodes became members, not heard yet; `certified` ones have a certificate of the swarm's."""

    node_ids: tuple[NodeId, ...]
    specs: tuple[NodeSpec, ...]
    descriptions: tuple[NodeDescription, ...]
    addrs: tuple[str, ...]
    managers: tuple[ManagerStatus | None, ...]
    certified: bool = False


class NodeDescribed(Event, frozen=True, tag="node.described/1"):
    """A node said something new about itself."""

    node_id: NodeId
    description: NodeDescription
    addr: str = ""


class NodesObserved(Event, frozen=True, tag="nodes.observed/1"):
    """These nodes are in this state now."""

    node_ids: tuple[NodeId, ...]
    state: NodeState
    message: str = ""


class NodeAttached(Event, frozen=True, tag="node.attached/1"):
    """The allocator gave a node these addresses of its own; those that it had before and has not here are free."""

    node_id: NodeId
    attachments: tuple[NetworkAddress, ...]


class NodeUpdated(Event, frozen=True, tag="node.updated/1"):
    """A person changed a node's spec."""

    node_id: NodeId
    spec: NodeSpec


class NodeRemoved(Event, frozen=True, tag="node.removed/1"):
    """A node is no member any more; its tasks are orphaned."""

    node_id: NodeId


# --- services


class ServiceCreated(Event, frozen=True, tag="service.created/1"):
    """A service began; its `credentials` for the registry of its image are sealed."""

    service_id: ServiceId
    spec: ServiceSpec
    credentials: Sealed | None = None


class ServiceUpdated(Event, frozen=True, tag="service.updated/1"):
    """A service's spec is now this, with these `credentials` or none; the one before is its previous spec.

    `outcome` is that of an update cut short.
    """

    service_id: ServiceId
    spec: ServiceSpec
    outcome: Outcome | None = None
    credentials: Sealed | None = None


class ServiceRolledBack(Event, frozen=True, tag="service.rolled-back/1"):
    """A service's spec is `spec` again with its `credentials`, as after `to`; `status` says that a rollback began.

    `outcome` is that of the update that it ends.
    """

    service_id: ServiceId
    spec: ServiceSpec
    to: Position
    status: UpdateStatus
    keep_previous: bool = True
    outcome: Outcome | None = None
    credentials: Sealed | None = None


class ServiceUpdateReported(Event, frozen=True, tag="service.update-reported/1"):
    """The update of a service stands so; with its `outcome` where it ended."""

    service_id: ServiceId
    status: UpdateStatus
    outcome: Outcome | None = None


class ServiceRebalanceBegan(Event, frozen=True, tag="service.rebalance-began/1"):
    """A person asked for a service's tasks to be spread anew, moving at most `budget` of them."""

    service_id: ServiceId
    budget: int


class ServiceRebalanceEnded(Event, frozen=True, tag="service.rebalance-ended/1"):
    """Spreading a service anew ended, after `moved` tasks, for the reason `why`."""

    service_id: ServiceId
    moved: int
    why: str


class ServiceAllocated(Event, frozen=True, tag="service.allocated/1"):
    """The allocator gave a service its ports and addresses. Those that it had before and has not here are free."""

    service_id: ServiceId
    endpoint: Endpoint


class ServiceRemoved(Event, frozen=True, tag="service.removed/1"):
    """A service is gone; its tasks follow when they have stopped. `outcome` is that of the update that it was in."""

    service_id: ServiceId
    outcome: Outcome | None = None


# --- tasks


class TasksCreated(Event, frozen=True, tag="tasks.created/1"):
    """An orchestrator made tasks for a service.

    `slots` is empty where the mode has none; `node_ids` where the scheduler chooses; `replaces` where nothing is
    replaced; `start_at` (instants) where all may run at once; `attempts` where none is a restart. `rebalance` says that
    it is one that takes over as its service is spread anew.
    """

    minted: ClassVar[str] = "task_ids"

    service_id: ServiceId
    spec_version: Position
    task_ids: tuple[TaskId, ...]
    state: TaskState = TaskState.PENDING
    desired: TaskState = TaskState.RUNNING
    slots: tuple[int, ...] = ()
    node_ids: tuple[NodeId, ...] = ()
    replaces: tuple[TaskId, ...] = ()
    start_at: tuple[Instant, ...] = ()
    attempts: tuple[int, ...] = ()
    rebalance: bool = False


class TasksAllocated(Event, frozen=True, tag="tasks.allocated/1"):
    """The allocator gave these tasks what they need: they wait for a place. `addresses` is empty where none has any."""

    task_ids: tuple[TaskId, ...]
    addresses: tuple[tuple[NetworkAddress, ...], ...] = ()


class TasksAssigned(Event, frozen=True, tag="tasks.assigned/1"):
    """The scheduler gave these tasks to nodes; `task_ids[i]` went to `node_ids[i]`.

    `resources` are the generic resources of the node that each may use; empty where none uses any.
    """

    task_ids: tuple[TaskId, ...]
    node_ids: tuple[NodeId, ...]
    resources: tuple[tuple[GenericResource, ...], ...] = ()


class TasksHeld(Event, frozen=True, tag="tasks.held/1"):
    """The scheduler has no node for these tasks, for the reason `reasons[i]`."""

    task_ids: tuple[TaskId, ...]
    reasons: tuple[str, ...]


class TasksDesired(Event, frozen=True, tag="tasks.desired/1"):
    """An orchestrator wants these tasks in that state."""

    task_ids: tuple[TaskId, ...]
    desired: TaskState


class TasksReported(Event, frozen=True, tag="tasks.reported/1"):
    """A node's agent observed its tasks so: `statuses[i]` is that of `task_ids[i]`."""

    node_id: NodeId
    task_ids: tuple[TaskId, ...]
    statuses: tuple[TaskStatus, ...]


class TasksEvicted(Event, frozen=True, tag="tasks.evicted/1"):
    """Nodes are not fit for these tasks any more, for the reason `err`: they are rejected, whatever agents say.

    They are `orphaned` instead where the node was not heard for long.
    """

    task_ids: tuple[TaskId, ...]
    err: str
    orphaned: bool = False


class TasksAdopted(Event, frozen=True, tag="tasks.adopted/1"):
    """These tasks are already what a newer template of their service wants: they bear it from now on."""

    service_id: ServiceId
    spec_version: Position
    task_ids: tuple[TaskId, ...]


class TasksReaped(Event, frozen=True, tag="tasks.reaped/1"):
    """These tasks are history no more."""

    task_ids: tuple[TaskId, ...]


# --- networks


class NetworkCreated(Event, frozen=True, tag="network.created/1"):
    """A network began; it has no addresses yet."""

    network_id: NetworkId
    spec: NetworkSpec


class NetworkAllocated(Event, frozen=True, tag="network.allocated/1"):
    """The allocator gave a network its ranges of addresses, and a VXLAN id for each."""

    network_id: NetworkId
    vnis: tuple[int, ...]
    ranges: tuple[IpamConfig, ...]


class NetworkRemoved(Event, frozen=True, tag="network.removed/1"):
    """A network is gone; its addresses and its VXLAN id are free."""

    network_id: NetworkId


# --- attachments


class AttachmentCreated(Event, frozen=True, tag="attachment.created/1"):
    """A container that a person runs on a node is on a network, at `addr`; `asked` if that was chosen by the person."""

    attachment_id: TaskId
    node_id: NodeId
    network_id: NetworkId
    container_id: str
    addr: str
    asked: bool = False


class AttachmentsReported(Event, frozen=True, tag="attachments.reported/1"):
    """A node's agent observed its attachments so: `statuses[i]` is that of `attachment_ids[i]`."""

    node_id: NodeId
    attachment_ids: tuple[TaskId, ...]
    statuses: tuple[TaskStatus, ...]


class AttachmentsEnded(Event, frozen=True, tag="attachments.ended/1"):
    """These containers are on their networks no more; their addresses are free."""

    attachment_ids: tuple[TaskId, ...]


# --- secrets and configs


class SecretCreated(Event, frozen=True, tag="secret.created/1"):
    """A secret began; its data is sealed."""

    secret_id: SecretId
    spec: SecretSpec
    sealed: Sealed | None = None


class SecretUpdated(Event, frozen=True, tag="secret.updated/1"):
    """A secret's labels changed."""

    secret_id: SecretId
    spec: SecretSpec


class SecretRemoved(Event, frozen=True, tag="secret.removed/1"):
    """A secret is gone; its key is destroyed next."""

    secret_id: SecretId


class ConfigCreated(Event, frozen=True, tag="config.created/1"):
    """A config began."""

    config_id: ConfigId
    spec: ConfigSpec


class ConfigUpdated(Event, frozen=True, tag="config.updated/1"):
    """A config's labels changed."""

    config_id: ConfigId
    spec: ConfigSpec


class ConfigRemoved(Event, frozen=True, tag="config.removed/1"):
    """A config is gone."""

    config_id: ConfigId


#: Every event, by its stored name. A test proves that each has a fold and an example.
EVENTS: dict[str, type[Event]] = {str(kind.__struct_config__.tag): kind for kind in Event.__subclasses__()}
