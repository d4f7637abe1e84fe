"""Nodes: machines, or agents within this process, that tasks run on."""

from msgspec import Struct, field

from skep.model.container import Part
from skep.model.ids import EPOCH, Instant, NodeId, Position
from skep.model.network import NetworkAddress
from skep.model.service import Platform, Reservations
from skep.model.states import Availability, NodeState, Role


class NodeSpec(Part, frozen=True):
    """What a person wants of a node."""

    name: str = ""
    labels: dict[str, str] | None = None
    role: Role | None = None
    availability: Availability | None = None


class EnginePlugin(Part, frozen=True):
    """A plugin that a node's engine has."""

    type: str = ""
    name: str = ""


class EngineDescription(Part, frozen=True):
    """The engine of a node."""

    engine_version: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    plugins: tuple[EnginePlugin, ...] = ()


class TlsInfo(Part, frozen=True):
    """The root that a node trusts; `trust_root` is PEM, the others base64 of DER."""

    trust_root: str = ""
    cert_issuer_subject: str = ""
    cert_issuer_public_key: str = ""


class NodeDescription(Part, frozen=True):
    """What a node says of itself."""

    hostname: str = ""
    platform: Platform | None = None
    resources: Reservations | None = None
    engine: EngineDescription | None = None
    tls_info: TlsInfo | None = field(default=None, name="TLSInfo")


class NodeStatus(Struct, frozen=True, omit_defaults=True):
    """Whether a node is heard, and from where."""

    state: NodeState = NodeState.UNKNOWN
    message: str = ""
    addr: str = ""


class ManagerStatus(Struct, frozen=True, omit_defaults=True):
    """What a manager is to the others; `addr` is host:port, and so is `listen_addr`, where it listens for them.

    What tasks send each other comes to `data_path_addr`; where it is empty, to the address of its node.
    """

    leader: bool = False
    reachability: str = "reachable"
    addr: str = ""
    listen_addr: str = ""
    data_path_addr: str = ""


class Node(Struct, frozen=True, kw_only=True):
    """A node as the swarm keeps it; `version` and `written` as of a service.

    `down_since` is when it was first not heard, or an engine started since; 0 where it is not down.
    `attachments` are its own addresses, one for each network that tasks on it are on. `certified` says that it is known
    by a certificate of the swarm's: an engine outside the process that the manager is. `respecified` says that somebody
    gave it another spec than the one that it joined with.
    """

    id: NodeId
    spec: NodeSpec
    description: NodeDescription
    status: NodeStatus
    version: Position
    written: Position
    created_at: Instant
    updated_at: Instant
    manager: ManagerStatus | None = None
    attachments: tuple[NetworkAddress, ...] = ()
    down_since: Instant = EPOCH
    certified: bool = False
    respecified: bool = False

    @property
    def schedulable(self) -> bool:
        """Whether it takes new tasks."""
        return self.status.state is NodeState.READY and self.spec.availability is Availability.ACTIVE

    @property
    def fit(self) -> bool:
        """Whether tasks that are on it may stay."""
        return self.status.state is not NodeState.DOWN and self.spec.availability is not Availability.DRAIN
