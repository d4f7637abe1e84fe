"""The swarm itself: its spec, its tokens, its root certificate."""

from msgspec import Struct, field

from skep.model.container import Driver, Part
from skep.model.ids import EPOCH, ClusterId, Instant, Position
from skep.model.secret import Sealed


class OrchestrationConfig(Part, frozen=True):
    """How many tasks of a slot are kept; None is the default."""

    task_history_retention_limit: int | None = None


class RaftConfig(Part, frozen=True):
    """Kept and given back; skep has no raft."""

    snapshot_interval: int = 0
    keep_old_snapshots: int | None = None
    log_entries_for_slow_followers: int = 0
    election_tick: int = 0
    heartbeat_tick: int = 0


class DispatcherConfig(Part, frozen=True):
    """Time between heartbeats, in nanoseconds."""

    heartbeat_period: int = 0


class ExternalCa(Part, frozen=True):
    """A certificate authority outside."""

    protocol: str = ""
    url: str = field(default="", name="URL")
    options: dict[str, str] = field(default_factory=dict)
    ca_cert: str = field(default="", name="CACert")


class CaConfig(Part, frozen=True):
    """How certificates are issued; expiry in nanoseconds."""

    node_cert_expiry: int = 0
    external_cas: tuple[ExternalCa, ...] = field(default=(), name="ExternalCAs")
    signing_ca_cert: str = field(default="", name="SigningCACert")
    signing_ca_key: str = field(default="", name="SigningCAKey")
    force_rotate: int = 0


class TaskDefaults(Part, frozen=True):
    """What tasks get where their spec says nothing."""

    log_driver: Driver | None = None


class EncryptionConfig(Part, frozen=True):
    """Whether a restarted manager is locked."""

    auto_lock_managers: bool | None = None


class SwarmSpec(Part, frozen=True):
    """What a person wants of the swarm."""

    name: str = ""
    labels: dict[str, str] | None = None
    orchestration: OrchestrationConfig | None = None
    raft: RaftConfig | None = None
    dispatcher: DispatcherConfig | None = None
    ca_config: CaConfig | None = field(default=None, name="CAConfig")
    task_defaults: TaskDefaults | None = None
    encryption_config: EncryptionConfig | None = None


#: What `swarm init` makes of an empty spec (recorded in scenario 02).
DEFAULT_SWARM_SPEC = SwarmSpec(
    name="default",
    labels={},
    orchestration=OrchestrationConfig(task_history_retention_limit=5),
    raft=RaftConfig(
        snapshot_interval=10_000,
        keep_old_snapshots=0,
        log_entries_for_slow_followers=500,
        election_tick=10,
        heartbeat_tick=1,
    ),
    dispatcher=DispatcherConfig(heartbeat_period=5_000_000_000),
    ca_config=CaConfig(node_cert_expiry=7_776_000_000_000_000),
    task_defaults=TaskDefaults(),
    encryption_config=EncryptionConfig(auto_lock_managers=False),
)


class JoinTokens(Struct, frozen=True):
    """What lets a node join, sealed."""

    worker: Sealed
    manager: Sealed


class RootCa(Struct, frozen=True):
    """The swarm's root certificate: PEM, with the key sealed. The other two are base64 of DER."""

    certificate: str
    key: Sealed
    issuer_subject: str
    issuer_public_key: str


class Rotation(Struct, frozen=True):
    """The root that is to replace the swarm's. `crossed` is its certificate signed by the present root, PEM.

    Until every node has a certificate of the new root, all trust both.
    """

    root: RootCa
    crossed: str


class NetworkKey(Struct, frozen=True):
    """A key of the data plane, sealed: 16 bytes. Of each subsystem the one with the middle `lamport` encrypts."""

    subsystem: str
    key: Sealed
    lamport: int


class Cluster(Struct, frozen=True, kw_only=True):
    """The swarm as it keeps itself; `version` and `written` as of a service.

    `routing_mesh` says that there ever was an ingress network, so that ports cannot be published while there is none.
    `network_keys` were made at `keys_made_at`; there are none before an engine asked for them. `crossed` is the root's
    certificate signed by the root before it, PEM: for nodes that were away when that one was replaced.
    """

    id: ClusterId
    spec: SwarmSpec
    version: Position
    written: Position
    created_at: Instant
    updated_at: Instant
    root: RootCa
    tokens: JoinTokens
    unlock_key: Sealed | None = None
    default_addr_pool: tuple[str, ...] = ()
    subnet_size: int = 24
    data_path_port: int = 4789
    routing_mesh: bool = False
    rotation: Rotation | None = None
    crossed: str = ""
    network_keys: tuple[NetworkKey, ...] = ()
    keys_made_at: Instant = EPOCH


def issuing_root(cluster: Cluster) -> RootCa:
    """Return the root by which certificates are signed now."""
    return cluster.rotation.root if cluster.rotation is not None else cluster.root
