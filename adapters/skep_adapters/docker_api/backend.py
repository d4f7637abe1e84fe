"""The part of the engine that this API calls: `skep.runtime.cluster.Cluster`, as far as it is needed here.

Everything may raise `Rejected` and the errors of `skep.runtime.errors`.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol, TypeVar

from skep.core.changes import Change
from skep.core.record import Actor
from skep.core.state import ClusterState
from skep.history.deployments import Deployment
from skep.model.ids import ConfigId, Instant, NetworkId, NodeId, Position, SecretId, ServiceId
from skep.model.network import NetworkSpec
from skep.model.node import NodeSpec
from skep.model.secret import ConfigSpec, SecretSpec
from skep.model.service import ServiceSpec
from skep.model.stack import StackSpec
from skep.model.states import Availability
from skep.model.swarm import SwarmSpec
from skep.ports.link import LineOptions, LineSelector, PublishedLine
from skep.runtime.stacks import Deployed, Stack

T = TypeVar("T")


class SwarmBackend(Protocol):
    """The swarm itself."""

    async def init(
        self,
        spec: SwarmSpec | None = None,
        *,
        advertise_addr: str = "",
        listen_addr: str = "",
        availability: Availability = Availability.ACTIVE,
        default_addr_pool: tuple[str, ...] = (),
        subnet_size: int = 24,
        data_path_port: int = 4789,
        data_path_addr: str = "",
        force_new_cluster: bool = False,
        actor: Actor,
    ) -> NodeId:
        """Begin the swarm."""
        ...

    async def tokens(self) -> tuple[str, str]:
        """Return the join tokens in plain: for workers, for managers."""
        ...

    async def unlock_key(self) -> str:
        """Return the unlock key in plain; empty if there is none."""
        ...

    async def update(
        self,
        version: Position,
        spec: SwarmSpec,
        *,
        rotate_worker_token: bool = False,
        rotate_manager_token: bool = False,
        rotate_unlock_key: bool = False,
        actor: Actor,
    ) -> None:
        """Give the swarm a new spec, and new secrets where asked."""
        ...

    async def unlock(self, unlock_key: str) -> None:
        """Unlock the swarm."""
        ...

    async def leave(self, *, force: bool, actor: Actor) -> None:
        """End the swarm."""
        ...


class NodesBackend(Protocol):
    """Nodes."""

    async def update(self, node_id: NodeId, version: Position, spec: NodeSpec, *, actor: Actor) -> None:
        """Give a node a new spec."""
        ...

    async def remove(self, node_id: NodeId, *, force: bool, actor: Actor) -> None:
        """Strike a node from the members."""
        ...


class ServicesBackend(Protocol):
    """Services."""

    async def create(self, spec: ServiceSpec, *, registry_auth: str, actor: Actor) -> ServiceId:
        """Begin a service."""
        ...

    async def update(
        self,
        service_id: ServiceId,
        version: Position,
        spec: ServiceSpec,
        *,
        registry_auth: str,
        previous_registry_auth: bool,
        actor: Actor,
    ) -> None:
        """Give a service a new spec; without credentials for its registry it keeps what it or its last spec has."""
        ...

    async def rollback(
        self, service_id: ServiceId, version: Position, *, to: Position | None = None, actor: Actor
    ) -> None:
        """Give a service the spec that it had before, or that it was given at `to`."""
        ...

    async def rebalance(self, ref: str, *, budget: int, actor: Actor) -> None:
        """Spread the tasks of a service anew."""
        ...

    async def remove(self, service_id: ServiceId, *, actor: Actor) -> None:
        """End a service."""
        ...


class NetworksBackend(Protocol):
    """Networks."""

    async def create(self, spec: NetworkSpec, *, actor: Actor) -> NetworkId:
        """Begin a network."""
        ...

    async def remove(self, network_id: NetworkId, *, actor: Actor) -> None:
        """End a network."""
        ...


class SecretsBackend(Protocol):
    """Secrets."""

    async def create(self, spec: SecretSpec, data: bytes, *, actor: Actor) -> SecretId:
        """Begin a secret."""
        ...

    async def update(
        self, secret_id: SecretId, version: Position, spec: SecretSpec, data: bytes | None, *, actor: Actor
    ) -> None:
        """Give a secret new labels; `data`, if sent, must be what it is."""
        ...

    async def remove(self, secret_id: SecretId, *, actor: Actor) -> None:
        """End a secret."""
        ...


class ConfigsBackend(Protocol):
    """Configs."""

    async def create(self, spec: ConfigSpec, *, actor: Actor) -> ConfigId:
        """Begin a config."""
        ...

    async def update(self, config_id: ConfigId, version: Position, spec: ConfigSpec, *, actor: Actor) -> None:
        """Give a config new labels."""
        ...

    async def remove(self, config_id: ConfigId, *, actor: Actor) -> None:
        """End a config."""
        ...


class StacksBackend(Protocol):
    """Stacks."""

    async def list(self) -> Sequence[Stack]:
        """Return the stacks that have services."""
        ...

    async def apply(self, stack: StackSpec, *, prune: bool, actor: Actor) -> Deployed:
        """Make a stack what is said, as one change."""
        ...

    async def history(self, name: str) -> Sequence[Deployment]:
        """Return the deployments of a stack."""
        ...

    async def rollback(self, name: str, *, to: int, actor: Actor) -> Deployed:
        """Bring a stack back to what it was after a deployment."""
        ...


class Backend(Protocol):
    """A cluster, or the absence of one."""

    @property
    def resumed(self) -> bool:
        """Whether the swarm goes on from what was before."""
        ...

    @property
    def active(self) -> bool:
        """Whether there is a swarm here."""
        ...

    @property
    def locked(self) -> bool:
        """Whether there is a swarm here that has to be unlocked first."""
        ...

    @property
    def node_id(self) -> NodeId:
        """This node's own id; empty outside a swarm."""
        ...

    @property
    def advertise_addr(self) -> str:
        """Where others reach this node."""
        ...

    @property
    def hostname(self) -> str:
        """This node's name."""
        ...

    @property
    def swarm(self) -> SwarmBackend:
        """The swarm itself."""
        ...

    @property
    def nodes(self) -> NodesBackend:
        """Its nodes."""
        ...

    @property
    def services(self) -> ServicesBackend:
        """Its services."""
        ...

    @property
    def networks(self) -> NetworksBackend:
        """Its networks."""
        ...

    @property
    def secrets(self) -> SecretsBackend:
        """Its secrets."""
        ...

    @property
    def configs(self) -> ConfigsBackend:
        """Its configs."""
        ...

    async def ready(self, node_id: NodeId, *, timeout_s: float) -> bool:
        """Return whether a node is ready within `timeout_s`."""
        ...

    @property
    def stacks(self) -> StacksBackend:
        """Its stacks."""
        ...

    async def read(self, ask: Callable[[ClusterState], T]) -> T:
        """Return what `ask` says of the state, once what it saw is durable."""
        ...

    def lines(self, selector: LineSelector, options: LineOptions) -> AsyncIterator[PublishedLine]:
        """Yield what tasks printed, and with `follow` what they print."""
        ...

    def changes(self, *, since: Instant | None, until: Instant | None) -> AsyncIterator[Change]:
        """Yield what changed: from `since` (None: from now), up to `until` (None: for ever)."""
        ...
