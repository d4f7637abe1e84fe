"""Commands: what someone wants of the cluster; encodable, so that they can be passed on, kept and decided again.

Ids and everything random come in with a command. What is secret is sealed before.
A command of a person names the version that it is based on where the API asks for one.
"""

from typing import Any

from msgspec import Struct

from skep.model.ids import START, ClusterId, ConfigId, Instant, NetworkId, NodeId, Position, SecretId, ServiceId, TaskId
from skep.model.network import IpamConfig, NetworkAddress, NetworkSpec
from skep.model.node import ManagerStatus, NodeDescription, NodeSpec
from skep.model.secret import ConfigSpec, Sealed, SecretSpec
from skep.model.service import Endpoint, GenericResource, ServiceSpec, UpdateStatus
from skep.model.states import NodeState, TaskState
from skep.model.swarm import JoinTokens, NetworkKey, RootCa, Rotation, SwarmSpec
from skep.model.task import TaskStatus


class Command(Struct, frozen=True, tag_field="type", omit_defaults=True):
    """A wish; `decide` says what comes of it."""

    @property
    def name(self) -> str:
        """The stored name."""
        tag: Any = self.__struct_config__.tag
        return str(tag)


class StartEngine(Command, frozen=True, tag="start-engine/1"):
    """Note that an engine recovered this log."""

    version: str
    hostname: str = ""


class InitSwarm(Command, frozen=True, tag="init-swarm/1"):
    """Begin the swarm, with an ingress network where it is given an id."""

    cluster_id: ClusterId
    spec: SwarmSpec
    root: RootCa
    tokens: JoinTokens
    unlock_key: Sealed | None = None
    default_addr_pool: tuple[str, ...] = ()
    subnet_size: int = 24
    data_path_port: int = 4789
    ingress_id: NetworkId | None = None


class UpdateSwarm(Command, frozen=True, tag="update-swarm/1"):
    """Give the swarm a new spec, and new tokens or a new unlock key where given; begin to replace its root."""

    version: Position
    spec: SwarmSpec
    tokens: JoinTokens | None = None
    unlock_key: Sealed | None = None
    rotation: Rotation | None = None


class ReplaceRoot(Command, frozen=True, tag="replace-root/1"):
    """End a rotation: every node has a certificate of the new root. Tokens name their root, so they are new."""

    tokens: JoinTokens


class RotateNetworkKeys(Command, frozen=True, tag="rotate-network-keys/1"):
    """Give the data plane other keys: all that it has from now on."""

    keys: tuple[NetworkKey, ...]


class LeaveSwarm(Command, frozen=True, tag="leave-swarm/1"):
    """End the swarm for good: the last manager leaves."""


class JoinNodes(Command, frozen=True, tag="join-nodes/1"):
    """Take these nodes in as members; `certified` as of a node."""

    node_ids: tuple[NodeId, ...]
    specs: tuple[NodeSpec, ...]
    descriptions: tuple[NodeDescription, ...]
    addrs: tuple[str, ...]
    managers: tuple[ManagerStatus | None, ...]
    certified: bool = False


class DescribeNode(Command, frozen=True, tag="describe-node/1"):
    """Take what a node says of itself."""

    node_id: NodeId
    description: NodeDescription
    addr: str = ""


class ObserveNodes(Command, frozen=True, tag="observe-nodes/1"):
    """Take that these nodes are heard, or not heard any more. Unknown ones are dropped."""

    node_ids: tuple[NodeId, ...]
    state: NodeState
    message: str = ""


class AttachNode(Command, frozen=True, tag="attach-node/1"):
    """Give a node addresses of its own."""

    node_id: NodeId
    attachments: tuple[NetworkAddress, ...]


class UpdateNode(Command, frozen=True, tag="update-node/1"):
    """Give a node a new spec."""

    node_id: NodeId
    version: Position
    spec: NodeSpec


class RemoveNode(Command, frozen=True, tag="remove-node/1"):
    """Strike a node from the members."""

    node_id: NodeId
    force: bool = False


class CreateService(Command, frozen=True, tag="create-service/1"):
    """Begin a service, with `credentials` for the registry of its image."""

    service_id: ServiceId
    spec: ServiceSpec
    credentials: Sealed | None = None


class UpdateService(Command, frozen=True, tag="update-service/1"):
    """Give a service a new spec.

    Without `credentials` it keeps those that it has, or with `previous_credentials` those of its previous spec.
    """

    service_id: ServiceId
    version: Position
    spec: ServiceSpec
    credentials: Sealed | None = None
    previous_credentials: bool = False


class RollbackService(Command, frozen=True, tag="rollback-service/1"):
    """Give a service the spec that it had before, or `spec` with `credentials`, given at the position `to`."""

    service_id: ServiceId
    version: Position
    automatic: bool = False
    message: str = "manually requested rollback"
    to: Position = START
    spec: ServiceSpec | None = None
    credentials: Sealed | None = None


class ReportUpdate(Command, frozen=True, tag="report-update/1"):
    """Note how the update of a service stands."""

    service_id: ServiceId
    status: UpdateStatus


class RebalanceService(Command, frozen=True, tag="rebalance-service/1"):
    """Spread a service's tasks anew, moving at most `budget` of them, one at a time."""

    service_id: ServiceId
    budget: int


class EndRebalance(Command, frozen=True, tag="end-rebalance/1"):
    """Note that spreading a service anew ended."""

    service_id: ServiceId
    moved: int
    why: str


class AllocateService(Command, frozen=True, tag="allocate-service/1"):
    """Give a service its ports and addresses."""

    service_id: ServiceId
    endpoint: Endpoint


class RemoveService(Command, frozen=True, tag="remove-service/1"):
    """End a service."""

    service_id: ServiceId


class CreateTasks(Command, frozen=True, tag="create-tasks/1"):
    """Make tasks for a service; columns as in `TasksCreated`."""

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


class AllocateTasks(Command, frozen=True, tag="allocate-tasks/1"):
    """Note that these tasks have what they need, and which addresses; columns as in `TasksAllocated`."""

    task_ids: tuple[TaskId, ...]
    addresses: tuple[tuple[NetworkAddress, ...], ...] = ()


class AssignTasks(Command, frozen=True, tag="assign-tasks/1"):
    """Give tasks to nodes. A row whose task no longer waits is dropped."""

    task_ids: tuple[TaskId, ...]
    node_ids: tuple[NodeId, ...]
    resources: tuple[tuple[GenericResource, ...], ...] = ()


class HoldTasks(Command, frozen=True, tag="hold-tasks/1"):
    """Note why tasks wait. A row whose task no longer waits, or already says so, is dropped."""

    task_ids: tuple[TaskId, ...]
    reasons: tuple[str, ...]


class DesireTasks(Command, frozen=True, tag="desire-tasks/1"):
    """Want tasks in a state. A row that would go back is dropped."""

    task_ids: tuple[TaskId, ...]
    desired: TaskState


class ReportTasks(Command, frozen=True, tag="report-tasks/1"):
    """Take what a node's agent observed. A row that goes back, repeats, or is not the node's is dropped."""

    node_id: NodeId
    task_ids: tuple[TaskId, ...]
    statuses: tuple[TaskStatus, ...]


class EvictTasks(Command, frozen=True, tag="evict-tasks/1"):
    """Reject tasks whose node is not fit for them any more. A row that has ended is dropped.

    They are `orphaned` instead where the node is not heard any more, and may never be again.
    """

    task_ids: tuple[TaskId, ...]
    err: str
    orphaned: bool = False


class AdoptTasks(Command, frozen=True, tag="adopt-tasks/1"):
    """Let tasks bear a newer template of their service, since they are what it wants."""

    service_id: ServiceId
    spec_version: Position
    task_ids: tuple[TaskId, ...]


class ReapTasks(Command, frozen=True, tag="reap-tasks/1"):
    """Forget tasks."""

    task_ids: tuple[TaskId, ...]


class CreateNetwork(Command, frozen=True, tag="create-network/1"):
    """Begin a network."""

    network_id: NetworkId
    spec: NetworkSpec


class AllocateNetwork(Command, frozen=True, tag="allocate-network/1"):
    """Give a network its ranges of addresses, and a VXLAN id for each."""

    network_id: NetworkId
    vnis: tuple[int, ...]
    ranges: tuple[IpamConfig, ...]


class RemoveNetwork(Command, frozen=True, tag="remove-network/1"):
    """End a network."""

    network_id: NetworkId


class AttachContainer(Command, frozen=True, tag="attach-container/1"):
    """Put a container that a person runs on a node on the network of the id or name `target`.

    `addresses` are those that the person wants it to have, at most one; none where any will do.
    """

    attachment_id: TaskId
    node_id: NodeId
    target: str
    container_id: str
    addresses: tuple[str, ...] = ()


class DetachContainer(Command, frozen=True, tag="detach-container/1"):
    """Take such a container of this very node off its network."""

    node_id: NodeId
    attachment_id: TaskId


class EndAttachments(Command, frozen=True, tag="end-attachments/1"):
    """Give up attachments whose node is not heard any more. A row that has ended is dropped."""

    attachment_ids: tuple[TaskId, ...]


class CreateSecret(Command, frozen=True, tag="create-secret/1"):
    """Begin a secret; its data is sealed already. `size` is that of the data in bytes."""

    secret_id: SecretId
    spec: SecretSpec
    sealed: Sealed | None = None
    size: int = 0


class UpdateSecret(Command, frozen=True, tag="update-secret/1"):
    """Give a secret new labels; `mac` is that of the data sent along under the secret's own key (empty: none)."""

    secret_id: SecretId
    version: Position
    spec: SecretSpec
    mac: bytes = b""


class RemoveSecret(Command, frozen=True, tag="remove-secret/1"):
    """End a secret."""

    secret_id: SecretId


class CreateConfig(Command, frozen=True, tag="create-config/1"):
    """Begin a config."""

    config_id: ConfigId
    spec: ConfigSpec


class UpdateConfigObject(Command, frozen=True, tag="update-config/1"):
    """Give a config new labels."""

    config_id: ConfigId
    version: Position
    spec: ConfigSpec


class RemoveConfig(Command, frozen=True, tag="remove-config/1"):
    """End a config."""

    config_id: ConfigId


#: Every command, by its stored name.
COMMANDS: dict[str, type[Command]] = {str(kind.__struct_config__.tag): kind for kind in Command.__subclasses__()}
